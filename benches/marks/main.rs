//! Every figure of docs/performance.md in one run: what it is, how it compares, and whether it meets its mark.
//!
//! Times are medians. Where two things are compared they run in turn, so that whatever else the machine does meets both.
//! `cargo xtask bench` calls this with the Python of the peers; without it the comparisons with them are left out.
//! Words after `--` pick questions by name; `--full` asks those too that take minutes; `--folder=DIR` keeps the stores.

#[path = "../common/mod.rs"]
mod common;

mod child;
mod curves;
mod effects;
mod growth;
mod import;
mod log;
mod oneshot;
mod peer;
mod points;
mod ranking;
mod report;
mod small;
mod stopping;
mod timing;
mod wide;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use runlake::{Error, QueryError};
use tokio::runtime::Runtime;

/// One line of the table.
pub struct Mark {
    what: String,
    figure: String,
    limit: String,
    met: bool,
}

/// What a question needs.
pub struct Bench {
    runtime: Runtime,
    folder: PathBuf,
    python: Option<PathBuf>,
    marks: Vec<Mark>,
}

impl Bench {
    /// Notes a figure with its mark.
    pub fn mark(&mut self, what: &str, figure: String, limit: &str, met: bool) {
        let mark = Mark { what: what.to_string(), figure, limit: limit.to_string(), met };
        println!("  {}", line(&mark));
        self.marks.push(mark);
    }

    /// Says something that is no mark.
    pub fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// A folder for a store.
    pub fn place(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Opens a session over a store.
    pub fn session(&self, store: &runlake::Store) -> Arc<runlake::Session> {
        Arc::new(self.runtime.block_on(store.session()).expect("the store was just made"))
    }

    /// Runs a statement to its end, on a thread of the engine, as the command does; gives the number of rows.
    pub fn ask(&self, session: &Arc<runlake::Session>, sql: &str) -> usize {
        let (session, statement) = (Arc::clone(session), sql.to_string());
        let rows = self.runtime.spawn(async move {
            let frame = session.sql(&statement).await?;
            frame.collect().await.map_err(QueryError::from).map_err(Error::from)
        });
        let batches = self.runtime.block_on(rows).expect("nothing panics").unwrap_or_else(|e| panic!("{sql}: {e}"));
        batches.iter().map(|batch| batch.num_rows()).sum()
    }
}

fn line(mark: &Mark) -> String {
    let verdict = if mark.met { "met" } else { "MISSED" };
    format!("{:<58} {:>26}   {:<34} {verdict}", mark.what, mark.figure, mark.limit)
}

type Question = (&'static str, bool, fn(&mut Bench));

/// By name: whether it takes minutes, and what asks it.
const QUESTIONS: [Question; 15] = [
    ("log", false, log::latency),
    ("seal", false, points::rate),
    ("oneshot", false, oneshot::start),
    ("small", false, small::size),
    ("ranking", false, ranking::hundred_thousand),
    ("wide", false, wide::params),
    ("curves", false, curves::real),
    ("effects", false, effects::features),
    ("report", false, report::hundred_thousand),
    ("stopping", false, stopping::replay),
    ("asking", false, stopping::ask),
    ("import", true, import::mlflow),
    ("mlflow", true, ranking::mlflow),
    ("growth", true, growth::million),
    ("points", true, points::hundred_million),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "child") {
        return child::main(&args[1..]);
    }
    let full = args.iter().any(|arg| arg == "--full");
    let named: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let kept = args.iter().find_map(|arg| arg.strip_prefix("--folder=")).map(PathBuf::from);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let python = std::env::var_os("RUNLAKE_BENCH_PYTHON").map(PathBuf::from);
    let runtime = Runtime::new().expect("threads can be started");
    let mut bench =
        Bench { runtime, folder: kept.unwrap_or_else(|| dir.path().to_path_buf()), python, marks: Vec::new() };
    for (name, long, ask) in QUESTIONS {
        let wanted = if named.is_empty() { full || !long } else { named.iter().any(|n| *n == name) };
        if wanted {
            println!("{name}");
            let begun = Instant::now();
            ask(&mut bench);
            println!("  ({:.0} s)", begun.elapsed().as_secs_f64());
        }
    }
    println!("\n{:<58} {:>26}   {:<34}", "what", "figure", "mark");
    bench.marks.iter().for_each(|mark| println!("{}", line(mark)));
}
