//! `runlake report`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use runlake::Error;
use runlake::export::escape;
use runlake::gate::Verdict;
use runlake::report::{Form, Rendered, Report, ReportOptions};

use crate::cli::answer::Engine;
use crate::cli::aside::Aside;
use crate::cli::output::{put, say};
use crate::cli::place::Past;
use crate::cli::shell::word;
use crate::cli::{Exit, Failure, Outcome, Place, hints, values};

/// Turn a Markdown page with SQL in it into a finished report, with tables and charts
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A page is Markdown whose fenced sql blocks are asked:

  # Learning rates
  The best AUC is {{ value(\"SELECT max(metrics.cv_auc) FROM runs\") }}.
  ```sql chart=scatter log=x
  SELECT params.learning_rate, metrics.cv_auc FROM runs WHERE experiment = $experiment
  ```

docs/reports.md lists what a page can say.

Exit codes: 0 written, 1 a block failed, 2 wrong usage; where the page has checks 3 when one failed and 1 when one could not be
decided.

Examples:
  runlake report --init weekly.md
  runlake report weekly.md                            writes weekly.html
  runlake report weekly.md --out pages/weekly.md      Markdown, its pictures in pages/weekly_files
  runlake report weekly.md --param experiment=churn --as-of 2026-11-23
  runlake report weekly.md --watch")]
pub struct ReportArgs {
    /// The page
    #[arg(value_name = "FILE", default_value = "report.md")]
    pub file: PathBuf,
    /// The file to write: .html is one file that needs nothing else, .md has its pictures beside it; - is stdout
    ///
    /// [default: FILE with the ending .html]
    #[arg(long, value_name = "PAGE")]
    pub out: Option<PathBuf>,
    /// A value for a name in the page and for $NAME in its queries: a number, true, false, null, else text ('1' is text)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = values::param)]
    pub params: Vec<(String, ScalarValue)>,
    #[command(flatten)]
    pub past: Past,
    /// Puts the error of a block in its place, goes on, and exits with 1
    #[arg(long)]
    pub keep_going: bool,
    /// Writes a page to begin with, and renders nothing
    #[arg(long, conflicts_with_all = ["out", "params", "as_of", "keep_going", "watch"])]
    pub init: bool,
    /// Renders again when the page or the store changes, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

const STARTER: &str = include_str!("report/starter.md");
/// Between two looks at the page and the store.
const PACE: Duration = Duration::from_millis(500);

pub async fn run(place: &Place, args: ReportArgs) -> Outcome {
    if args.init {
        return init(&args.file);
    }
    tokio::select! {
        outcome = answer(place, &args) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(if args.watch { Exit::Done } else { Exit::Interrupted }),
    }
}

fn init(file: &Path) -> Outcome {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let made = folder.and_then(|()| std::fs::File::create_new(file)?.write_all(STARTER.as_bytes()));
    made.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("'{}' exists already", file.display())).hint("name another file")
        }
        _ => Failure::new(format!("cannot write '{}': {e}", file.display())),
    })?;
    let shown = file.display().to_string();
    say(format!("wrote {shown}; `runlake report {}` renders it", word(&shown)));
    Ok(Exit::Done)
}

/// Where a report goes.
struct Target {
    form: Form,
    /// `None` is stdout.
    page: Option<PathBuf>,
    /// Name of the folder beside it.
    folder: String,
}

impl Target {
    fn of(args: &ReportArgs) -> Result<Target, Failure> {
        let page = match &args.out {
            Some(out) if out == Path::new("-") => {
                return Ok(Target { form: Form::Html, page: None, folder: "files".to_string() });
            }
            Some(out) => out.clone(),
            None => args.file.with_extension("html"),
        };
        let ending = page.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let form = match ending.as_deref() {
            Some("html" | "htm") => Form::Html,
            Some("md" | "markdown") => Form::Markdown,
            _ => {
                return Err(Failure::usage(format!("what is '{}' to become?", page.display()))
                    .hint("a name that ends in .html gives HTML, one in .md Markdown"));
            }
        };
        let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if page == args.file || same(&page, &args.file) {
            return Err(
                Failure::usage(format!("'{}' is the page itself", page.display())).hint("`--out` names another file")
            );
        }
        let stem = page.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Target { form, page: Some(page), folder: stem + "_files" })
    }

    fn write(&self, rendered: &Rendered) -> Result<(), Failure> {
        let Some(page) = &self.page else {
            put(&rendered.page)?;
            if !rendered.files.is_empty() {
                say("note: rows beside the page are written with --out FILE only");
            }
            return Ok(());
        };
        let beside = page.parent().unwrap_or(Path::new(""));
        make(beside)?;
        for file in &rendered.files {
            let path = beside.join(&file.name);
            make(path.parent().unwrap_or(beside))?;
            write(&path, &file.content)?;
        }
        write(page, rendered.page.as_bytes())
    }
}

fn make(folder: &Path) -> Result<(), Failure> {
    match folder.as_os_str().is_empty() {
        true => Ok(()),
        false => std::fs::create_dir_all(folder)
            .map_err(|e| Failure::new(format!("cannot make the folder '{}': {e}", folder.display()))),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = Aside::create(path)?;
    file.write_all(content)?;
    Ok(file.publish()?)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| {
        let failure = Failure::usage(format!("cannot read '{}': {e}", path.display()));
        match e.kind() {
            std::io::ErrorKind::NotFound => failure.hint("`runlake report --init FILE` writes a page to begin with"),
            _ => failure,
        }
    })
}

async fn answer(place: &Place, args: &ReportArgs) -> Outcome {
    let target = Target::of(args)?;
    let engine = Engine::new()?;
    if !args.watch {
        return render(place, args, &target, &engine, &read(&args.file)?).await;
    }
    let mut before: Option<Result<_, String>> = None;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Editors take a page away for a moment, and a store may be moved: both come back.
        let now = read(&args.file).and_then(|source| Ok((source, place.open()?.generation()?)));
        let state = now.as_ref().map(Clone::clone).map_err(|failure| failure.message.clone());
        if before.as_ref() == Some(&state) {
            continue;
        }
        before = Some(state);
        let done = match now {
            Ok((source, _)) => render(place, args, &target, &engine, &source).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(_) => say(format!("{} rendered", chrono::Local::now().format("%H:%M:%S"))),
            // A page that is being written is wrong now and then.
            Err(failure) => {
                crate::cli::failure::report(&failure);
            }
        }
    }
}

async fn render(place: &Place, args: &ReportArgs, target: &Target, engine: &Engine, source: &str) -> Outcome {
    let store = place.open()?;
    let report = Report::new(args.file.display().to_string(), source);
    let options = ReportOptions {
        form: target.form,
        params: args.params.clone(),
        as_of: args.past.as_of,
        keep_going: args.keep_going,
        folder: Some(target.folder.clone()),
    };
    let work = Arc::new((report, store, options));
    let done = engine.run(async move { work.0.render(&work.1, &work.2).await }).await.map_err(Failure::new)?;
    let rendered = done.map_err(failure)?;
    for warning in &rendered.warnings {
        say(format_args!("warning: {warning}"));
    }
    target.write(&rendered)?;
    for failed in &rendered.failures {
        say(format_args!("error: {failed}"));
    }
    for (_, check) in rendered.checks.iter().flat_map(|report| report.results()) {
        if check.verdict != Verdict::Passed {
            let (verdict, name) = (check.verdict.as_str(), escape(&check.name));
            say(format_args!("check '{name}' {verdict}: {}", escape(&check.detail)));
        }
    }
    Ok(match rendered.verdict {
        Some(Verdict::Failed) => Exit::Gate,
        _ if !rendered.failures.is_empty() => Exit::Failed,
        Some(Verdict::Undecided) => Exit::Failed,
        _ => Exit::Done,
    })
}

/// An error of a page: what the engine would hint at is told too.
fn failure(e: Error) -> Failure {
    let hinted: Vec<String> = match &e {
        Error::Report(report) => {
            report.hint.iter().cloned().chain(report.source.iter().flat_map(|e| hints::of(e))).collect()
        }
        _ => Vec::new(),
    };
    let mut failure = Failure::from(e);
    for hint in hinted {
        if !failure.hints.contains(&hint) {
            failure.hints.push(hint);
        }
    }
    failure
}
