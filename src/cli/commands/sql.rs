//! `runlake sql`.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use runlake::export::{Format, escape};
use runlake::{Session, SessionOptions, within};

use crate::cli::answer::{Answer, Engine, Stopped};
use crate::cli::mirror::AskedArgs;
use crate::cli::statements::{Statement, split};
use crate::cli::target::{Target, check_binary};
use crate::cli::{Exit, Failure, Outcome, Place, values};

/// Answers SQL
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = "\
Statements end with `;`. All of them read one state of the store; the first that fails ends the command.

Examples:
  runlake sql -c 'SELECT name, params.lr, metrics.auc FROM runs ORDER BY metrics.auc DESC LIMIT 10'
  runlake sql -c 'SELECT * FROM runs WHERE experiment = $e' --param e=churn --format json
  runlake sql -f report.sql --out report.md
  runlake sql --from ./mlruns -c 'SELECT experiment, count(*) FROM runs GROUP BY 1'
  runlake sql --from results.csv --mapping results.json -c 'SELECT * FROM runs'
  echo 'DESCRIBE runs' | runlake sql")]
pub struct SqlArgs {
    /// Statements to answer; may be given several times
    #[arg(short, long = "command", value_name = "SQL")]
    pub command: Vec<String>,
    /// A file of statements, answered after those of -c; - is stdin, which is also read when neither is given
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How rows are written: table, csv, tsv, json, ndjson, markdown, html, line, parquet or arrow
    ///
    /// [default: what the ending of --out says, else table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A file to write to, replaced once all is written; - is stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A value for $NAME in the statements: a number, true, false, null, else text ('1' is text)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = values::param)]
    pub params: Vec<(String, ScalarValue)>,
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Seconds that a statement may take
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub timeout: Option<Duration>,
    /// Memory that a statement may use before it spills to disk or fails: 512MB, 2GiB; half as much again, at least 256 MiB, may
    /// go into what is not counted [default: half of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub memory: Option<usize>,
    /// Rows of a table that are shown; 0 shows all [default: 100 on a terminal, else all]
    #[arg(long, value_name = "ROWS")]
    pub max_rows: Option<usize>,
}

pub async fn run(place: &Place, args: SqlArgs) -> Outcome {
    // Before Ctrl-C is watched: whoever waits for input can be stopped as any program.
    let texts = texts(&args)?;
    tokio::select! {
        outcome = answer_all(place, &args, &texts) => outcome,
        // Dropping the work above ends the query and removes a half-written file.
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn answer_all(place: &Place, args: &SqlArgs, texts: &[String]) -> Outcome {
    let statements: Vec<Statement> = texts.iter().flat_map(|text| split(text).all()).collect();
    if statements.is_empty() {
        return Err(
            Failure::usage("there is no statement").hint("`runlake sql -c 'SELECT ...'`, or statements on stdin")
        );
    }
    let out = args.out.as_deref().filter(|path| *path != Path::new("-"));
    let format = args.format.or_else(|| Format::of_path(out?)).unwrap_or(Format::Table);
    check_binary(format, out, statements.len())?;
    let mut target = Target::open(out, format, args.max_rows)?;

    let options = args.asked.past.options();
    let options = SessionOptions { memory_bytes: args.memory.or(options.memory_bytes), ..options };
    let store = args.asked.open(place).await?;
    args.asked.past.prepare(&store).await;
    let session = Arc::new(store.session_with(options).await?);
    for warning in session.warnings() {
        eprintln!("warning: {}", escape(&warning));
    }
    let engine = Engine::new()?;
    for (i, statement) in statements.iter().enumerate() {
        match answer(&engine, &session, statement.text, args, format, &mut target, i > 0).await {
            Ok(()) => {}
            Err(Stopped::BrokenPipe) => return Ok(Exit::Done),
            Err(Stopped::Interrupted) => return Ok(Exit::Interrupted),
            Err(Stopped::Failed(mut failure)) => {
                if statements.len() > 1 {
                    let of = statements.len();
                    failure.message =
                        format!("statement {} of {of}, line {}: {}", i + 1, statement.line, failure.message);
                }
                return Err(failure);
            }
        }
    }
    target.publish()?;
    Ok(Exit::Done)
}

async fn answer(
    engine: &Engine,
    session: &Arc<Session>,
    sql: &str,
    args: &SqlArgs,
    format: Format,
    target: &mut Target,
    separate: bool,
) -> Result<(), Stopped> {
    let (sql, params) = (sql.to_string(), args.params.clone());
    let written = within(args.timeout, async {
        let answer = Answer::start(engine, Arc::clone(session), sql, params).await?;
        for note in &answer.notes {
            eprintln!("note: {}", escape(note));
        }
        if separate && !format.is_self_delimiting() {
            target.blank_line()?;
        }
        let written = target.write(answer, |_| ()).await?;
        Ok::<_, Stopped>(written)
    })
    .await??;
    if written.hidden_rows > 0 {
        eprintln!("note: `--max-rows 0` shows all rows");
    }
    if !written.hidden_columns.is_empty() {
        eprintln!("note: `--format line` shows all columns");
    }
    Ok(())
}

/// What was given with -c, then the file or stdin.
fn texts(args: &SqlArgs) -> Result<Vec<String>, Failure> {
    let mut texts = args.command.clone();
    let stdin = args.file.as_deref() == Some(Path::new("-"));
    match &args.file {
        Some(path) if !stdin => {
            let text = std::fs::read_to_string(path);
            texts.push(text.map_err(|e| Failure::usage(format!("cannot read '{}': {e}", path.display())))?);
        }
        None if !texts.is_empty() => {}
        _ => {
            if io::stdin().is_terminal() {
                eprintln!("note: reading statements from the terminal; Ctrl-D ends them (`runlake repl` is the shell)");
            }
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|e| Failure::new(format!("cannot read stdin: {e}")))?;
            texts.push(text);
        }
    }
    Ok(texts)
}
