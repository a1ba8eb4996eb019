//! `runlake export`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runlake::export::{Format, LostFile, RunsError, RunsOptions, escape, write_runs};
use runlake::{RunId, SessionOptions, Store};

use crate::cli::answer::{Answer, Engine, Stopped};
use crate::cli::aside::AsideFolder;
use crate::cli::mirror::AskedArgs;
use crate::cli::output::{counted, say, size};
use crate::cli::progress::Progress;
use crate::cli::question::{bracketed, matching_experiments, quoted_all};
use crate::cli::target::{Target, check_binary};
use crate::cli::{Exit, Failure, Outcome, Place, select};

/// Write tables, answers or whole runs to files
///
/// What stands under the name that was asked for is whole: it is written aside and gets its name at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake export --sql 'SELECT name, metrics.auc FROM runs' --out auc.parquet
  runlake export runs metrics --out tables/      a Parquet file of each
  runlake export params --format csv --out -
  runlake export --runs --out backup             all runs, with their files, as lines for `runlake log`
  runlake export --runs --as-of 2026-11-23 --out yesterday
  runlake export --from ./mlruns --runs --out runs
  runlake export --runs -e churn --where \"status = 'FINISHED'\" --out churn
  runlake --store other log churn/runs.jsonl     and back in

Exits with 1 when a file of a run is damaged or gone; it is named, and the rest is exported.")]
pub struct ExportArgs {
    /// Tables to write as they are; frames.NAME is one that runs logged
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// A query whose answer is written
    #[arg(long, value_name = "SQL", conflicts_with = "tables")]
    pub sql: Option<String>,
    /// Whole runs, as lines for `runlake log` and their files; without ids all that the other options leave
    #[arg(long, value_name = "RUN", num_args = 0.., conflicts_with_all = ["tables", "sql", "format"])]
    pub runs: Option<Vec<String>>,
    /// Only runs of this experiment, or of those that a pattern fits: 'churn%'
    #[arg(short, long, value_name = "NAME", requires = "runs")]
    pub experiment: Option<String>,
    /// Only runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL", requires = "runs")]
    pub condition: Option<String>,
    #[command(flatten)]
    pub asked: AskedArgs,
    /// How rows are written: csv, tsv, json, ndjson, parquet, arrow, markdown, html, table or line
    ///
    /// [default: what the ending of --out says, else parquet]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A file, replaced once all is written; a folder for several tables, and for runs a new one; - is stdout
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
}

impl ExportArgs {
    fn session(&self) -> SessionOptions {
        self.asked.past.options()
    }
}

pub async fn run(place: &Place, args: ExportArgs) -> Outcome {
    tokio::select! {
        outcome = export(place, &args) => outcome,
        // Dropping the work above removes what is half-written.
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn export(place: &Place, args: &ExportArgs) -> Outcome {
    if let Some(ids) = &args.runs {
        return runs(place, args, ids).await;
    }
    let queries = match &args.sql {
        Some(sql) => vec![Query { name: None, sql: sql.clone() }],
        None => args.tables.iter().map(|table| Query::of(table)).collect(),
    };
    if queries.is_empty() {
        return Err(Failure::usage("there is nothing to export")
            .hint("name tables (`runlake export runs --out runs.parquet`), a query (--sql) or runs (--runs)"));
    }
    answers(place, args, &queries).await
}

/// Something whose rows are written to one place.
struct Query {
    /// The table, when it is one.
    name: Option<String>,
    sql: String,
}

impl Query {
    /// All rows of a table.
    fn of(table: &str) -> Query {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let relation = match table.strip_prefix("frames.") {
            Some(frame) => format!("frames.{}", quoted(frame.trim_matches('"'))),
            None => quoted(table),
        };
        Query { name: Some(table.to_string()), sql: format!("SELECT * FROM {relation}") }
    }
}

async fn answers(place: &Place, args: &ExportArgs, queries: &[Query]) -> Outcome {
    let out = Some(args.out.as_path()).filter(|path| *path != Path::new("-"));
    let is_folder = out.is_some_and(|path| path.is_dir() || path.to_string_lossy().ends_with('/') || queries.len() > 1);
    let by_ending = out.filter(|_| !is_folder).and_then(Format::of_path);
    let format = args.format.or(by_ending).unwrap_or(Format::Parquet);
    check_binary(format, out, if is_folder { 1 } else { queries.len() })?;
    let store = args.asked.open(place).await?;
    let mut targets = Vec::new();
    for query in queries {
        let path = match (out, &query.name) {
            (Some(folder), Some(table)) if is_folder => {
                std::fs::create_dir_all(folder)
                    .map_err(|e| Failure::new(format!("cannot make the folder '{}': {e}", folder.display())))?;
                Some(folder.join(file_name(table, format)))
            }
            (out, _) => out.map(Path::to_path_buf),
        };
        targets.push((Target::open(path.as_deref(), format, Some(0))?, path));
    }
    // One session, so that all tables are of one state.
    let session = Arc::new(store.session_with(args.session()).await?);
    for warning in session.warnings() {
        say(format_args!("warning: {warning}"));
    }
    let engine = Engine::new()?;
    for (i, (query, (target, path))) in queries.iter().zip(&mut targets).enumerate() {
        if i > 0 && out.is_none() && !format.is_self_delimiting() {
            target.blank_line()?;
        }
        let answer = Answer::start(&engine, Arc::clone(&session), query.sql.clone(), Vec::new()).await?;
        for note in &answer.notes {
            eprintln!("note: {}", escape(note));
        }
        let written = match target.write(answer, |_| ()).await {
            Ok(written) => written,
            Err(Stopped::BrokenPipe) => return Ok(Exit::Done),
            Err(Stopped::Interrupted) => return Ok(Exit::Interrupted),
            Err(Stopped::Failed(failure)) => return Err(failure),
        };
        if let Some(path) = path {
            say(format_args!("{}: {}", path.display(), counted(written.rows as u64, "row")));
        }
    }
    targets.into_iter().try_for_each(|(target, _)| target.publish())?;
    Ok(Exit::Done)
}

/// The file of a table in a folder. Names of logged tables may hold anything.
fn file_name(table: &str, format: Format) -> String {
    let safe: String = table.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let ending = match format {
        Format::Ndjson => "jsonl",
        Format::Markdown => "md",
        Format::Table | Format::Line => "txt",
        other => other.name(),
    };
    format!("{safe}.{ending}")
}

async fn runs(place: &Place, args: &ExportArgs, ids: &[String]) -> Outcome {
    if args.out == Path::new("-") {
        return Err(Failure::usage("runs are exported to a folder, since their files come along")
            .hint("`--out FOLDER`; the lines alone are FOLDER/runs.jsonl"));
    }
    // The place is checked before the store is read.
    let folder = AsideFolder::create(&args.out)?;
    let store = args.asked.open(place).await?;
    let whole = ids.is_empty() && args.experiment.is_none() && args.condition.is_none();
    let runs = chosen(&store, args, ids).await?;
    let progress = Progress::of(runs.len() as u64, "exporting runs");
    // The files of a mirrored source lie there, and nowhere else.
    let options = RunsOptions { whole, as_of: args.asked.past.as_of, fetch: args.asked.from.is_some() };
    let written = write_runs(&store, &runs, options, folder.path(), |_| progress.done(1)).await;
    drop(progress);
    let written = written.map_err(failed)?;
    folder.publish()?;
    say(format_args!(
        "exported {} to '{}': {}, {}, {} ({})",
        counted(written.runs, "run"),
        args.out.display(),
        counted(written.lines, "line"),
        counted(written.points, "metric point"),
        counted(written.artifacts, "file"),
        size(written.artifact_bytes),
    ));
    for LostFile { run, path, reason } in &written.lost {
        say(format_args!("not exported: file '{path}' of run '{run}': {reason}"));
    }
    Ok(if written.lost.is_empty() { Exit::Done } else { Exit::Failed })
}

/// The runs that were asked for, oldest first.
async fn chosen(store: &Store, args: &ExportArgs, ids: &[String]) -> Result<Vec<RunId>, Failure> {
    let session = store.session_with(args.session()).await?;
    let mut conditions = Vec::new();
    if let Some(experiment) = &args.experiment {
        let names = matching_experiments(&session, experiment).await?;
        conditions.push(format!("experiment IN ({})", quoted_all(&names)));
    }
    if let Some(condition) = &args.condition {
        conditions.push(bracketed(condition)?);
    }
    let mut named = Vec::new();
    for id in ids {
        named.push(select::resolve(&session, id).await?);
    }
    if conditions.is_empty() && !named.is_empty() {
        return Ok(named);
    }
    let condition = if conditions.is_empty() { "true".to_string() } else { conditions.join(" AND ") };
    let mut found = select::matching(&session, &condition).await?;
    found.retain(|run| named.is_empty() || named.contains(run));
    found.reverse();
    if found.is_empty() && args.experiment.is_some() {
        say("note: no run is in that experiment and fits the other options");
    }
    Ok(found)
}

fn failed(e: RunsError) -> Failure {
    match e {
        RunsError::Store(e) => e.into(),
        other => Failure::new(other),
    }
}
