//! What the commands share that ask one query and show its rows: which runs it is about, and how the answer is written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use runlake::export::{Format, escape};
use runlake::{QueryError, Session, Store, StoreError};

use super::answer::{Answer, Engine, Stopped};
use super::output::say;
use super::place::Past;
use super::target::{Target, check_binary};
use super::{Exit, Failure, Outcome, Place, terminal};

/// How the answer of a question is written.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AskArgs {
    /// How rows are written: table, csv, tsv, json, ndjson, markdown, html, line, parquet or arrow
    ///
    /// [default: what the ending of --out says, else table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A file to write to, replaced once all is written; - is stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Prints the query instead of running it
    #[arg(long)]
    pub sql: bool,
    #[command(flatten)]
    pub past: Past,
}

/// Which runs a question is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ScopeArgs {
    /// Only runs of this experiment, or of those that a pattern fits: 'churn%', '%' for all [default: the only one]
    #[arg(long, short, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Only runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
}

impl ScopeArgs {
    /// The scope, as table functions take it.
    pub async fn scope(&self, session: &Session) -> Result<String, Failure> {
        self.narrowed(session, self.condition.as_deref()).await
    }

    /// The runs of the experiment that a condition holds for, as table functions take it.
    pub async fn narrowed(&self, session: &Session, condition: Option<&str>) -> Result<String, Failure> {
        let name = experiment(session, self.experiment.as_deref()).await?;
        let Some(condition) = condition else { return Ok(name) };
        let bracketed = bracketed(condition)?;
        let known = experiments(session).await?;
        let fits = match known.contains(&name) {
            true => format!("experiment = {}", quoted(&name)),
            false if name.contains(['%', '_']) => format!("experiment LIKE {}", quoted(&name)),
            false => return Err(StoreError::ExperimentNotFound { experiment: name }.into()),
        };
        let scope = format!("SELECT run_id FROM runs WHERE {fits} AND {bracketed}");
        if collect(session, &format!("{scope} LIMIT 1")).await?.iter().all(|rows| rows.num_rows() == 0) {
            return Err(Failure::new(format!("no run of '{name}' fits the condition: {condition}")).hint(
                "`runlake runs` lists the latest runs, `runlake sql -c 'DESCRIBE runs'` what a condition may name",
            ));
        }
        Ok(scope)
    }
}

/// A condition that a user gave, in brackets that it cannot leave.
pub fn bracketed(condition: &str) -> Result<String, Failure> {
    runlake::check_condition(condition).map_err(|e| {
        Failure::usage(format!("--where takes one condition, as between brackets: {e}"))
            .hint("for example --where \"params.model = 'gbm' AND metrics.auc > 0.9\"")
    })?;
    // A comment ends with its line.
    let end = if condition.contains("--") { "\n" } else { "" };
    Ok(format!("({condition}{end})"))
}

/// What tells blocks apart, for people: digests are wide and say nothing that the name of a version does not.
const BLOCK: [&str; 3] = ["experiment", "dataset", "data_version"];

/// The columns of a block: those that differ within a scope, and those that do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockColumns {
    pub told: Vec<&'static str>,
    pub alike: Vec<&'static str>,
}

impl BlockColumns {
    /// Of the runs of a scope, as table functions take it, that have a metric. On a terminal what was asked for is to be
    /// seen before what is the same in every row.
    pub async fn of(session: &Session, scope: &str, metric: Option<&str>) -> Result<BlockColumns, Failure> {
        let condition = condition_of(session, scope).await?;
        // Without a metric there may be runs that only hold others together, and say nothing of data.
        let distinct = |name: &str| match metric {
            Some(_) => format!("count(DISTINCT coalesce({name}, '')) > 1 AS {name}"),
            None => format!("count(DISTINCT {name}) > 1 AS {name}"),
        };
        let scored = match metric {
            Some(metric) => {
                format!(" AND runs.run_id IN (SELECT run_id FROM metric_stats WHERE key = {})", quoted(metric))
            }
            None => String::new(),
        };
        let columns = BLOCK.map(distinct).join(", ");
        let rows = collect(
            session,
            &format!(
                "SELECT {columns} FROM runs LEFT JOIN (SELECT run_id, dataset, data_version FROM data_versions \
                 WHERE role = 'training') AS data USING (run_id) WHERE status = 'FINISHED' AND {condition}{scored}"
            ),
        )
        .await?;
        let varies = |column: usize| texts(&rows, column).first().cloned().flatten().as_deref() == Some("true");
        let (mut told, mut alike) = (Vec::new(), Vec::new());
        for (i, name) in BLOCK.into_iter().enumerate() {
            if varies(i) { told.push(name) } else { alike.push(name) }
        }
        Ok(BlockColumns { told, alike })
    }
}

/// A scope, as table functions take it, as a condition over `runs`.
pub async fn condition_of(session: &Session, scope: &str) -> Result<String, Failure> {
    let known = experiments(session).await?;
    Ok(match scope.trim_start().get(..6) {
        _ if known.iter().any(|name| name == scope) => format!("runs.experiment = {}", quoted(scope)),
        Some(word) if word.eq_ignore_ascii_case("select") => format!("runs.run_id IN ({scope})"),
        _ => format!("runs.experiment LIKE {}", quoted(scope)),
    })
}

/// Columns of a table function in this order, then all others of it, save some.
pub fn ordered(first: &[&str], last: &[&str], without: &[&str]) -> String {
    let named: Vec<&str> = [first, last, without].concat();
    let rest = format!("* EXCLUDE ({})", named.join(", "));
    first.iter().copied().chain([rest.as_str()]).chain(last.iter().copied()).collect::<Vec<_>>().join(", ")
}

/// The experiments that a name or a pattern means.
pub async fn matching_experiments(session: &Session, named: &str) -> Result<Vec<String>, Failure> {
    let all = experiments(session).await?;
    if all.iter().any(|name| name == named) {
        return Ok(vec![named.to_string()]);
    }
    if named.contains(['%', '_']) {
        let sql =
            format!("SELECT experiment FROM experiments WHERE experiment LIKE {} ORDER BY experiment", quoted(named));
        let fitting: Vec<String> = texts(&collect(session, &sql).await?, 0).into_iter().flatten().collect();
        if !fitting.is_empty() {
            return Ok(fitting);
        }
    }
    Err(StoreError::ExperimentNotFound { experiment: named.to_string() }.into())
}

/// The experiment that was named, else the only one.
pub async fn experiment(session: &Session, named: Option<&str>) -> Result<String, Failure> {
    const LISTED: usize = 20;
    if let Some(name) = named {
        return Ok(name.to_string());
    }
    let names = experiments(session).await?;
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new("the store has no experiments yet")
            .hint("`runlake log` appends runs, `runlake demo` makes a store with some")),
        several => {
            let listed: Vec<_> = several.iter().take(LISTED).map(|name| format!("'{name}'")).collect();
            let more = match several.len() - listed.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let listed = listed.join(", ");
            Err(Failure::usage(format!("which experiment? there are {}: {listed}{more}", several.len()))
                .hint("`-e NAME` names one, `-e '%'` takes all of them"))
        }
    }
}

/// Names of all experiments.
pub async fn experiments(session: &Session) -> Result<Vec<String>, Failure> {
    let batches = collect(session, "SELECT experiment FROM experiments ORDER BY experiment").await?;
    Ok(texts(&batches, 0).into_iter().flatten().collect())
}

/// All rows of a query of ours.
pub async fn collect(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    Ok(session.sql(sql).await?.collect().await.map_err(QueryError::from)?)
}

/// A column of text, as it stands in the rows.
pub fn texts(batches: &[RecordBatch], column: usize) -> Vec<Option<String>> {
    // The engine has several types of text.
    let text =
        |batch: &RecordBatch| cast(batch.column(column), &DataType::Utf8).expect("every column is text, or can be");
    let owned = |text: ArrayRef| text.as_string::<i32>().iter().map(|t| t.map(str::to_string)).collect::<Vec<_>>();
    batches.iter().flat_map(|batch| owned(text(batch))).collect()
}

/// A text as a constant of SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A list of constants of SQL.
pub fn quoted_all<T: AsRef<str>>(texts: &[T]) -> String {
    texts.iter().map(|text| quoted(text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What was asked, ready to be answered.
pub struct Question<'a> {
    args: &'a AskArgs,
    pub store: Store,
    pub session: Arc<Session>,
}

impl<'a> Question<'a> {
    /// Opens the store in the state that is asked for.
    pub async fn open(place: &Place, args: &'a AskArgs) -> Result<Self, Failure> {
        let format = args.format();
        check_binary(format, args.file(), 1)?;
        let store = place.open()?;
        args.past.prepare(&store).await;
        let session = Arc::new(store.session_with(args.past.options()).await?);
        for warning in session.warnings() {
            eprintln!("warning: {}", escape(&warning));
        }
        Ok(Question { args, store, session })
    }

    /// Writes the rows of a query, or the query where that is asked for; gives the number of rows, `None` for no answer.
    pub async fn show(&self, sql: &str) -> Result<Option<usize>, Failure> {
        if self.args.sql {
            print_sql(sql)?;
            return Ok(None);
        }
        let mut target = Target::open(self.args.file(), self.args.format(), Some(0))?;
        let engine = Engine::new()?;
        let written = async {
            let answer = Answer::start(&engine, Arc::clone(&self.session), sql.to_string(), Vec::new()).await?;
            for note in &answer.notes {
                eprintln!("note: {}", escape(note));
            }
            target.write(answer, |_| ()).await
        };
        let written = match written.await {
            Ok(written) => written,
            Err(Stopped::Failed(failure)) => return Err(failure),
            // Nobody is left to be told.
            Err(Stopped::BrokenPipe | Stopped::Interrupted) => return Ok(None),
        };
        target.publish()?;
        if !written.hidden_columns.is_empty() {
            eprintln!("note: `--format line` shows all columns");
        }
        Ok(Some(written.rows))
    }

    /// The same for a comparison, which has no rows where there is nothing to compare.
    pub async fn compare(&self, sql: &str) -> Result<(), Failure> {
        if self.show(sql).await? == Some(0) {
            say("nothing to compare: that takes finished runs with finite scores, and differences among them");
            say("`runlake runs` shows what was logged, `runlake top` what has a score");
        }
        Ok(())
    }
}

impl AskArgs {
    /// The file to write to, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.out.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The format that was asked for, in so many words or by the ending of the file.
    pub fn asked_format(&self) -> Option<Format> {
        self.format.or_else(|| Format::of_path(self.file()?))
    }

    fn format(&self) -> Format {
        self.asked_format().unwrap_or(Format::Table)
    }
}

/// Prints a query such that it can be run.
fn print_sql(sql: &str) -> std::io::Result<()> {
    // As a format that is shown as it is, except for what would act on a terminal.
    let mut out = terminal::stdout(Format::Csv);
    out.write_all(sql.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Does work until Ctrl-C; dropping it ends its query and removes a half-written file.
pub async fn until_interrupted(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}
