//! `runlake check`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use runlake::Session;
use runlake::export::{Format, TableOptions, escape, render_table, sink};
use runlake::gate::stop::{Decision, StopAnswer, parse_rules};
use runlake::gate::{self, CheckOptions, CheckResult, FileReport, Flaw, Problem, Report, Verdict, parse_checks};

use crate::cli::answer::Engine;
use crate::cli::aside::Aside;
use crate::cli::output::{put, put_line, say};
use crate::cli::place::Past;
use crate::cli::{Exit, Failure, Outcome, Place, hints, select, terminal, values};

/// Puts named checks to the store and fails where one does not hold; says whether a run should stop
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A file holds checks, each a statement under comments that name it:

  -- check: the best model is good enough
  -- expect: value >= 0.95
  SELECT max(metrics.auc) FROM runs WHERE experiment = 'wine';

docs/ci.md lists what can be expected, what stop rules are, and has a workflow to copy.

Exit codes: 0 all hold (or: continue), 3 one failed (or: stop), 1 one could not be decided, 2 wrong usage.

Examples:
  runlake check sample_data/checks
  runlake check gates.sql --junit report.xml --summary report.md
  runlake check gates.sql --param candidate=gbm --format json
  runlake check --run 01a05c3b7 --stop-rules stop.sql")]
pub struct CheckArgs {
    /// Files of checks, and folders whose *.sql files are such
    #[arg(value_name = "FILE", required_unless_present = "run")]
    pub files: Vec<PathBuf>,
    /// Writes the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Writes the results as Markdown [default: added to the file that GITHUB_STEP_SUMMARY names]
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Writes annotations of GitHub Actions to stderr [default: where GITHUB_ACTIONS is true]
    #[arg(long)]
    pub annotations: bool,
    /// How results are written: text, or a row per check as table, csv, tsv, json, ndjson, markdown, html or line
    ///
    /// [default: text, and json with --run]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<CheckFormat>,
    /// A value for $NAME in the statements: a number, true, false, null, else text ('1' is text)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = values::param)]
    pub params: Vec<(String, ScalarValue)>,
    #[command(flatten)]
    pub past: Past,
    /// Seconds that one check may take; one that takes longer is undecided
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub timeout: Option<Duration>,
    /// Asks whether this run should stop: its id, or enough of its first characters
    #[arg(long, value_name = "RUN", requires = "stop_rules", conflicts_with_all = ["files", "junit", "summary", "annotations"])]
    pub run: Option<String>,
    /// A file of stop rules
    #[arg(long, value_name = "FILE", requires = "run")]
    pub stop_rules: Option<PathBuf>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// A row per check.
    Rows(Format),
}

impl FromStr for CheckFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("text") {
            return Ok(CheckFormat::Text);
        }
        match text.parse::<Format>().map_err(|e| e.to_string())? {
            format if format.is_binary() => Err(format!("{format} is not for results of checks")),
            format => Ok(CheckFormat::Rows(format)),
        }
    }
}

pub async fn run(place: &Place, args: CheckArgs) -> Outcome {
    tokio::select! {
        outcome = answer(place, args) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn answer(place: &Place, args: CheckArgs) -> Outcome {
    match (args.run.clone(), args.stop_rules.clone()) {
        (Some(run), Some(rules)) => stop(place, args, &run, &rules).await,
        _ => check(place, args).await,
    }
}

async fn check(place: &Place, args: CheckArgs) -> Outcome {
    let mut texts = Vec::new();
    for path in files(&args.files)? {
        let text = read(&path)?;
        texts.push((path.display().to_string(), text));
    }
    // A path that cannot be written is known before any work is done.
    let junit = args.junit.as_deref().map(Aside::create).transpose()?;
    let summary = Summary::open(args.summary.as_deref())?;
    let session = session(place, &args).await?;
    let engine = Engine::new()?;
    let options = Arc::new(CheckOptions { params: args.params.clone(), timeout: args.timeout });
    let mut report = Report::default();
    for (file, text) in texts {
        let mut results = Vec::new();
        let items = match text {
            Some(text) => parse_checks(&text),
            None => vec![Err(not_text())],
        };
        for item in items {
            let mut result = match item {
                Err(flaw) => CheckResult::of_flaw(flaw),
                Ok(check) => {
                    let check = Arc::new(check);
                    let (at_work, session, options) = (Arc::clone(&check), Arc::clone(&session), Arc::clone(&options));
                    let work = async move { at_work.evaluate(&session, &options).await };
                    engine.run(work).await.unwrap_or_else(|why| check.not_run(&why))
                }
            };
            if let Some(e) = result.doubt.as_ref().and_then(|doubt| doubt.error()) {
                result.hints.extend(hints::of(e));
            }
            results.push(result);
        }
        report.files.push(FileReport { file, results });
    }
    if let Some(mut file) = junit {
        file.write_all(gate::junit(&report).as_bytes())?;
        file.publish()?;
    }
    if let Some(summary) = summary {
        summary.write(&gate::markdown(&report))?;
    }
    if args.annotations || std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true") {
        gate::annotations(&report).into_iter().for_each(say);
    }
    match args.format.unwrap_or(CheckFormat::Text) {
        CheckFormat::Text => put(text(&report))?,
        CheckFormat::Rows(format) => rows(&report, format)?,
    }
    if report.results().next().is_none() {
        return Err(no_checks(&args.files));
    }
    Ok(match report.verdict() {
        Verdict::Passed | Verdict::Warned => Exit::Done,
        Verdict::Failed => Exit::Gate,
        Verdict::Undecided => Exit::Failed,
    })
}

fn no_checks(files: &[PathBuf]) -> Failure {
    let files = files.iter().map(|file| format!("'{}'", file.display())).collect::<Vec<_>>().join(", ");
    Failure::new(format!("there is no check in {files}"))
        .hint("a check is a statement under the comments `-- check: NAME` and `-- expect: no rows`")
}

async fn stop(place: &Place, args: CheckArgs, run: &str, rules: &Path) -> Outcome {
    let format = args.format.unwrap_or(CheckFormat::Rows(Format::Json));
    if !matches!(format, CheckFormat::Text | CheckFormat::Rows(Format::Json)) {
        return Err(Failure::usage("with --run the format is json or text"));
    }
    let file = rules.display().to_string();
    let rules = match read(rules)?.map_or_else(|| Err(vec![not_text()]), |text| parse_rules(&text)) {
        Ok(rules) => rules,
        Err(flaws) => {
            let lines = flaws.iter().map(|flaw| match &flaw.name {
                Some(name) => format!("{file}:{}: {name}: {flaw}", flaw.line),
                None => format!("{file}:{}: {flaw}", flaw.line),
            });
            return Err(Failure::new(lines.collect::<Vec<_>>().join("\n")));
        }
    };
    if rules.is_empty() {
        let hint = "a rule is `-- rule: NAME` with `-- metric: loss` and `-- stop when: not a number` below it";
        return Err(Failure::new(format!("there is no stop rule in '{file}'")).hint(hint));
    }
    let session = session(place, &args).await?;
    let run = select::resolve(&session, run).await?;
    let engine = Engine::new()?;
    let (params, timeout) = (args.params.clone(), args.timeout);
    let work = async move { StopAnswer::ask(&session, &run, &rules, &params, timeout).await };
    let answer = engine.run(work).await.map_err(Failure::new)??;
    match format {
        CheckFormat::Text => {
            let why = answer.deciding().map(|rule| format!(": {}: {}", rule.name, rule.reason));
            put_line(format!("{}{}", answer.decision().as_str(), why.unwrap_or_default()))?;
        }
        CheckFormat::Rows(_) => put_line(answer.json())?,
    }
    Ok(match answer.decision() {
        Decision::Continue => Exit::Done,
        Decision::Stop => Exit::Gate,
        Decision::Undecided => Exit::Failed,
    })
}

async fn session(place: &Place, args: &CheckArgs) -> Result<Arc<Session>, Failure> {
    let session = place.open()?.session_with(args.past.options()).await?;
    for warning in session.warnings() {
        eprintln!("warning: {}", escape(&warning));
    }
    Ok(Arc::new(session))
}

/// The files that are named, and those within folders that are, by name.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found).map_err(|e| Failure::usage(format!("cannot read '{}': {e}", path.display())))?;
            if found.len() == before {
                return Err(Failure::new(format!("there is no *.sql file in '{}'", path.display())));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("sql")) {
            found.push(path);
        }
    }
    Ok(())
}

/// A file's text; `None` where it is none, which is a flaw of this file, and keeps others from nothing.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(e) => Err(Failure::usage(format!("cannot read '{}': {e}", path.display()))),
    }
}

fn not_text() -> Flaw {
    Flaw { line: 1, name: None, problem: Problem::NotText }
}

/// Where the Markdown goes.
enum Summary {
    File(Aside),
    /// The file of the build: whatever other steps have said there stays.
    Added(std::fs::File),
}

impl Summary {
    fn open(asked: Option<&Path>) -> Result<Option<Summary>, Failure> {
        let build = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from);
        match (asked, build) {
            (Some(path), build) if build.as_deref() != Some(path) => Ok(Some(Summary::File(Aside::create(path)?))),
            (_, Some(path)) => {
                let file = std::fs::File::options().append(true).create(true).open(&path);
                let file = file.map_err(|e| Failure::new(format!("cannot write '{}': {e}", path.display())))?;
                Ok(Some(Summary::Added(file)))
            }
            _ => Ok(None),
        }
    }

    fn write(self, page: &str) -> Result<(), Failure> {
        match self {
            Summary::File(mut file) => {
                file.write_all(page.as_bytes())?;
                Ok(file.publish()?)
            }
            Summary::Added(mut file) => Ok(file.write_all(format!("{page}\n").as_bytes())?),
        }
    }
}

fn rows(report: &Report, format: Format) -> Result<(), Failure> {
    let batch = report.batch();
    let mut out = terminal::stdout(format);
    {
        let mut sink = sink(format, &mut out, &terminal::table_options(None));
        let written = sink.schema(&batch.schema()).and_then(|()| sink.batch(&batch)).and_then(|()| sink.finish());
        written.map_err(|e| {
            if e.is_broken_pipe() {
                Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
            } else {
                Failure::new(e)
            }
        })?;
    }
    Ok(out.flush()?)
}

/// Rows of a failed check that people see.
const ROWS: usize = 10;

/// The report for people.
fn text(report: &Report) -> String {
    let table = terminal::table_options(Some(ROWS));
    let mut text = String::new();
    for (file, result) in report.results() {
        let verdict = format!("{:<9}", result.verdict.as_str());
        let verdict = if table.color { format!("\x1b[{}m{verdict}\x1b[0m", color(result.verdict)) } else { verdict };
        let (name, detail) = (escape(&result.name), escape(&result.detail));
        text.push_str(&format!("{verdict}  {name}: {detail}\n"));
        if result.verdict != Verdict::Passed {
            text.push_str(&format!("           {}:{}\n", escape(file), result.line));
            explain(&mut text, result, &table);
        }
    }
    text.push_str(&report.counts());
    text.push('\n');
    text
}

fn explain(text: &mut String, result: &CheckResult, table: &TableOptions) {
    let messages = result.messages.iter().take(ROWS);
    for message in messages {
        text.push_str(&format!("           {}\n", escape(message)));
    }
    if result.messages.is_empty()
        && let Some(rows) = &result.rows
    {
        let width = table.width.map(|width| width.saturating_sub(11).max(20));
        let shown = render_table(std::slice::from_ref(rows), &TableOptions { width, ..table.clone() });
        for line in shown.lines() {
            text.push_str(format!("           {line}").trim_end());
            text.push('\n');
        }
    }
    if let Some(n) = result.n_rows
        && result.messages.len() > 1
        && n > ROWS
    {
        text.push_str(&format!("           and {} more rows\n", n - ROWS.min(result.messages.len())));
    }
    for hint in &result.hints {
        text.push_str(&format!("     hint: {}\n", escape(hint)));
    }
}

fn color(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "32",
        Verdict::Warned => "33",
        Verdict::Failed | Verdict::Undecided => "31",
    }
}
