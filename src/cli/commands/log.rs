//! `runlake log`.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use runlake::import::{LineOptions, Lines};
use runlake::{Store, WriterOptions};

use crate::cli::feed::{Ack, Feed, FeedOptions, Input};
use crate::cli::output::say;
use crate::cli::progress::Progress;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Append runs from JSON lines
///
/// Each line is an object with a `type` and a `run`: run, params, metrics, metric_goal, experiment, tags, note, comment, features,
/// data, packages, environment, link, text, histogram, file, series, table, artifact, finish, delete or restore. docs/log.md
/// lists the fields of each. Lines of many runs may be interleaved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake log runs.jsonl.gz
  python train.py | runlake log --ack
  runlake log runs.jsonl --rejects bad.jsonl     keep what is sound, set the rest aside
  runlake log runs.jsonl --strict                all lines or none
  echo '{\"type\":\"run\",\"run\":\"r1\",\"experiment\":\"churn\"}' | runlake log

Exits with 1 when a line was bad.")]
pub struct LogArgs {
    /// A file of lines, plain or gzip; - or nothing is stdin
    pub file: Option<PathBuf>,
    /// Print each line's number once a killed process cannot lose it; with =synced: once a power cut cannot
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "buffered")]
    pub ack: Option<Ack>,
    /// A file that bad lines are written to, as they are
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Log nothing when any line is bad
    #[arg(long)]
    pub strict: bool,
}

pub async fn run(place: &Place, args: LogArgs) -> Outcome {
    let began = Instant::now();
    // A line that cannot be written must not be acknowledged, so the writer says so at once.
    let store = place.open_with(WriterOptions { strict: true, ..WriterOptions::default() })?;
    let path = args.file.as_deref().filter(|path| *path != Path::new("-"));
    if path.is_none() && std::io::stdin().is_terminal() {
        say("reading lines from the terminal; Ctrl-D ends them");
    }
    let folder = match path {
        Some(path) => path.parent().unwrap_or(Path::new("")).to_path_buf(),
        None => PathBuf::new(),
    };
    let rejects = args.rejects.as_deref().map(rejects).transpose()?;
    let source = Source::open(path)?;
    if args.strict {
        strict(&store, source, folder, rejects, args.ack, began).await
    } else {
        let options = FeedOptions {
            lines: LineOptions { folder, check_only: false },
            ack: args.ack,
            rejects,
            progress: progress(path, "lines"),
        };
        let mut feed = Feed::new(&store, options);
        let whole = feed.run(&mut Input::start(move || source.lines())).await;
        end(&store, &mut feed, whole, began).await
    }
}

/// First all lines are checked, then all are applied.
async fn strict(
    store: &Store,
    source: Source,
    folder: PathBuf,
    rejects: Option<Box<dyn Write + Send>>,
    ack: Option<Ack>,
    began: Instant,
) -> Outcome {
    let file = source.spooled()?;
    let (source, again) = (Source::Whole(Arc::clone(&file)), Source::Whole(file));
    let lines = LineOptions { folder: folder.clone(), check_only: true };
    let mut check =
        Feed::new(store, FeedOptions { lines, ack: None, rejects, progress: Progress::counting("checking") });
    if !check.run(&mut Input::start(move || source.lines())).await? {
        say("interrupted; nothing was logged");
        return Ok(Exit::Interrupted);
    }
    if check.bad > 0 {
        check.finish(began, true)?;
        return Ok(Exit::Failed);
    }
    drop(check);
    let lines = LineOptions { folder, check_only: false };
    let mut feed = Feed::new(store, FeedOptions { lines, ack, rejects: None, progress: Progress::counting("logging") });
    let whole = feed.run(&mut Input::start(move || again.lines())).await;
    end(store, &mut feed, whole, began).await
}

async fn end(store: &Store, feed: &mut Feed, whole: Result<bool, Failure>, began: Instant) -> Outcome {
    // Also after an error: what was logged before it shall be as safe as anything.
    let closed = store.close_segment();
    let whole = whole?;
    closed?;
    feed.finish(began, false)?;
    if !whole {
        say("interrupted; what had been read is logged");
        return Ok(Exit::Interrupted);
    }
    store.seal_if_large().await?;
    Ok(if feed.bad > 0 { Exit::Failed } else { Exit::Done })
}

fn progress(path: Option<&Path>, what: &'static str) -> Progress {
    // A pipe's other end may have a bar of its own.
    if path.is_some() { Progress::counting(what) } else { Progress::none() }
}

fn rejects(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    match File::create(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(e) => Err(Failure::usage(format!("cannot write '{}': {e}", path.display()))),
    }
}

/// Where lines come from.
enum Source {
    Stdin,
    /// A file, or a pipe with a name.
    File(File),
    /// A file that can be read more than once.
    Whole(Arc<File>),
}

impl Source {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Source::Stdin) };
        let wrong = |e: std::io::Error| Failure::usage(format!("cannot read '{}': {e}", path.display()));
        let file = File::open(path).map_err(wrong)?;
        match file.metadata().map_err(wrong)?.is_dir() {
            true => Err(wrong(std::io::ErrorKind::IsADirectory.into())),
            false => Ok(Source::File(file)),
        }
    }

    fn lines(self) -> std::io::Result<Lines> {
        match self {
            Source::Stdin => Lines::new(Box::new(std::io::stdin())),
            Source::File(file) => Lines::new(Box::new(file)),
            Source::Whole(file) => Lines::new(Box::new(FromStart { file, offset: 0 })),
        }
    }

    /// A file that can be read twice; what cannot is put into one without a name.
    fn spooled(self) -> Result<Arc<File>, Failure> {
        let mut input: Box<dyn Read> = match self {
            Source::Whole(file) => return Ok(file),
            Source::File(file) if file.metadata()?.is_file() => return Ok(Arc::new(file)),
            Source::File(file) => Box::new(file),
            Source::Stdin => Box::new(std::io::stdin().lock()),
        };
        let dir = std::env::temp_dir();
        let path = dir.join(format!("runlake-log-{}", runlake::RunId::generate()));
        let failed = |e: std::io::Error| {
            Failure::new(format!("the input cannot be put aside in '{}': {e}", dir.display()))
                .hint("--strict reads it twice; TMPDIR names another folder")
        };
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        std::fs::remove_file(&path).map_err(failed)?;
        std::io::copy(&mut input, &mut file).map_err(failed)?;
        Ok(Arc::new(file))
    }
}

/// Reads a file from its beginning, with a position of its own.
struct FromStart {
    file: Arc<File>,
    offset: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(buffer, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}
