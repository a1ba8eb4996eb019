//! `runlake demo`.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::AsArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use runlake::export::render_table;
use runlake::import::{LineOptions, Lines};
use runlake::{ExperimentEdit, Session, SessionOptions, Store, StoreError, WriterOptions};

use super::runs::rows;
use crate::cli::feed::{Feed, FeedOptions, Input};
use crate::cli::output::{put, put_line, say};
use crate::cli::progress::Progress;
use crate::cli::{Exit, Failure, Outcome, Place, terminal};

/// Make a store of real sample runs and show what can be asked of it
///
/// The 2,756 runs are trained scikit-learn models (sample_data/README.md); they go through the same path as your own.
/// Where the folder holds the demo already, only the tour is shown again. A folder with anything else is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake demo
  runlake demo /tmp/try-it
  runlake demo --force     make it anew")]
pub struct DemoArgs {
    /// The folder
    #[arg(default_value = "./runlake-demo")]
    pub dir: PathBuf,
    /// Make the demo anew where one is; changes made to it are lost
    #[arg(long)]
    pub force: bool,
}

static RUNS: &[u8] = include_bytes!("../../../sample_data/runs.jsonl.gz");
/// Files that lines refer to.
const FILES: [(&str, &[u8]); 3] = [
    ("files/weights-01.png", include_bytes!("../../../sample_data/files/weights-01.png")),
    ("files/weights-05.png", include_bytes!("../../../sample_data/files/weights-05.png")),
    ("files/weights-20.png", include_bytes!("../../../sample_data/files/weights-20.png")),
];
/// Experiments of the sample. Each gets a tag with the id of the store that was made for it, which is how a demo is known
/// again: copies of its runs in another store carry the tag too, with an id that is not theirs.
const EXPERIMENTS: [&str; 4] = ["breast-cancer", "wine", "digits", "diabetes"];
const TAG: &str = "runlake.demo";
const LOADING: &str = "loading";
const LOADED: &str = "loaded";

pub async fn run(_place: &Place, args: DemoArgs) -> Outcome {
    let dir = &args.dir;
    let there = match Store::open(dir) {
        Ok(store) => state(&store).await?,
        Err(StoreError::NotAStore { .. }) => There::Nothing,
        Err(e) => return Err(e.into()),
    };
    let store = match (there, args.force) {
        (There::Foreign(why), _) => {
            return Err(Failure::usage(format!("'{}' is a store of yours: {why}", dir.display()))
                .hint("`runlake demo DIR` makes the demo in another folder"));
        }
        (There::Half, false) => {
            return Err(Failure::usage(format!("'{}' holds a demo that was interrupted", dir.display()))
                .hint("`runlake demo --force` makes it anew"));
        }
        (There::Loaded, false) => {
            say(format!("the demo is in {} already; --force makes it anew", dir.display()));
            Store::open(dir)?
        }
        (There::Nothing, _) => load(dir).await?,
        (There::Loaded | There::Half, true) => {
            std::fs::remove_dir_all(dir)?;
            load(dir).await?
        }
    };
    tour(&store, dir).await?;
    Ok(Exit::Done)
}

enum There {
    Nothing,
    /// A demo whose loading was interrupted.
    Half,
    Loaded,
    /// Something that must not be touched, and why.
    Foreign(String),
}

async fn state(store: &Store) -> Result<There, Failure> {
    // Also what is deleted may be somebody's.
    let session = store.session_with(SessionOptions { deleted: true, ..SessionOptions::default() }).await?;
    let batches = rows(&session, "SELECT experiment, tags FROM experiments").await?;
    let (loading, loaded) = (value(store, LOADING), value(store, LOADED));
    let mut complete = Vec::new();
    for batch in &batches {
        let texts = |column: usize| {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(batch.column(column).as_ref(), &options).map_err(Failure::new)?;
            Ok::<_, Failure>((0..batch.num_rows()).map(|row| formatter.value(row).to_string()).collect::<Vec<_>>())
        };
        for (experiment, tags) in texts(0)?.into_iter().zip(texts(1)?) {
            if !tags.contains(&loading) && !tags.contains(&loaded) {
                return Ok(There::Foreign(format!("the experiment '{experiment}' is not of this demo")));
            }
            complete.push(tags.contains(&loaded));
        }
    }
    Ok(match complete.is_empty() {
        true => There::Foreign("it has no demo in it".to_string()),
        false if complete.len() == EXPERIMENTS.len() && complete.into_iter().all(|c| c) => There::Loaded,
        false => There::Half,
    })
}

fn value(store: &Store, state: &str) -> String {
    format!("{state} in {}", store.id())
}

fn mark(store: &Store, state: &str) -> Result<(), Failure> {
    for experiment in EXPERIMENTS {
        store.edit_experiment(ExperimentEdit {
            experiment: experiment.to_string(),
            set: vec![(TAG.to_string(), Some(value(store, state)))],
            remove: Vec::new(),
            repeat_keys: None,
            deleted: None,
            rename: None,
        })?;
    }
    Ok(())
}

async fn load(dir: &Path) -> Result<Store, Failure> {
    let began = Instant::now();
    Store::create(dir)?;
    let store = Store::open_with(dir, WriterOptions { strict: true, ..WriterOptions::default() })?;
    mark(&store, LOADING)?;
    let files = Unpacked::new()?;
    let lines = LineOptions { folder: files.folder.clone(), check_only: false };
    let progress = Progress::of(line_count()?, "loading");
    let mut feed = Feed::new(&store, FeedOptions { lines, ack: None, rejects: None, progress });
    let whole = feed.run(&mut Input::start(|| Lines::new(Box::new(Cursor::new(RUNS))))).await?;
    if !whole {
        return Err(Failure { exit: Exit::Interrupted, ..Failure::new("interrupted; the demo is not complete") });
    }
    if feed.bad > 0 {
        return Err(Failure::new("the sample data does not fit this runlake"));
    }
    mark(&store, LOADED)?;
    store.close_segment()?;
    feed.finish(began, false)?;
    drop(feed);
    let began = Instant::now();
    let progress = Progress::waiting("sealing");
    let report = store.seal().await?;
    drop(progress);
    say(format!(
        "sealed {} into tables in {}",
        crate::cli::output::counted(report.records, "record"),
        crate::cli::output::span(began.elapsed())
    ));
    Ok(store)
}

fn line_count() -> Result<u64, Failure> {
    let mut lines = Lines::new(Box::new(Cursor::new(RUNS)))?;
    let mut n = 0;
    while lines.next_line()?.is_some() {
        n += 1;
    }
    Ok(n)
}

/// The files of the sample, in a folder that goes away.
struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("runlake-demo-{}", runlake::RunId::generate()));
        let unpacked = Unpacked { folder };
        for (name, bytes) in FILES {
            let path = unpacked.folder.join(name);
            std::fs::create_dir_all(path.parent().expect("the name has a folder"))?;
            std::fs::write(path, bytes)?;
        }
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A question, and the SQL that answers it.
struct Stop {
    question: &'static str,
    sql: &'static str,
    remark: &'static str,
}

const TOUR: [Stop; 4] = [
    Stop {
        question: "What is in the store?",
        sql: "\
SELECT experiment, count(*) AS runs, sum(CASE WHEN status = 'FAILED' THEN 1 ELSE 0 END) AS failed,
       sum(CASE WHEN status = 'KILLED' THEN 1 ELSE 0 END) AS killed, count(DISTINCT config_id) AS configs
FROM runs GROUP BY experiment ORDER BY runs DESC",
        remark: "",
    },
    Stop {
        question: "Leaderboard: which runs on breast-cancer score best in cross-validation?",
        sql: "\
SELECT run_id, name, params.model, n_features, metrics.cv_auc, metrics.auc
FROM runs WHERE experiment = 'breast-cancer' AND status = 'FINISHED'
ORDER BY metrics.cv_auc DESC, run_id LIMIT 5",
        remark: "",
    },
    Stop {
        question: "Best feature subsets: the fewest columns that score within one standard error of the best",
        sql: "\
WITH subsets AS (
  SELECT params.selector AS selector, n_features, avg(metrics.cv_auc) AS mean_cv_auc,
         avg(metrics.cv_auc_std) / sqrt(5.0) AS standard_error, count(*) AS runs
  FROM runs
  WHERE experiment = 'breast-cancer' AND tags.sweep = 'subsets-logistic' AND params.selector IS NOT NULL
  GROUP BY 1, 2),
best AS (SELECT mean_cv_auc - standard_error AS floor FROM subsets ORDER BY mean_cv_auc DESC LIMIT 1)
SELECT subsets.* FROM subsets CROSS JOIN best WHERE mean_cv_auc >= floor
ORDER BY n_features, mean_cv_auc DESC LIMIT 5",
        remark: "The first row is the smallest subset that is, within the error of the scores, as good as the best.",
    },
    Stop {
        question: "Data versions: what did cleaning, noise and balancing do to the same config and seed?",
        sql: "\
WITH scored AS (
  SELECT r.config_id, r.seed, d.data_version AS version, r.metrics.cv_auc AS score
  FROM runs r JOIN data_versions d USING (run_id)
  WHERE r.experiment = 'breast-cancer' AND r.tags.sweep = 'configs' AND d.role = 'training')
SELECT b.version, count(*) AS pairs, avg(b.score - a.score) AS difference_to_v1_raw,
       sum(CASE WHEN b.score > a.score THEN 1 ELSE 0 END) AS better
FROM scored a JOIN scored b USING (config_id, seed)
WHERE a.version = 'v1-raw' AND b.version <> 'v1-raw'
GROUP BY b.version ORDER BY difference_to_v1_raw DESC",
        remark: "",
    },
];

async fn tour(store: &Store, dir: &Path) -> Result<(), Failure> {
    let session = store.session().await?;
    for stop in &TOUR {
        show(&session, stop).await?;
    }
    let best = rows(&session, TOUR[1].sql).await?;
    let run = best.first().filter(|b| b.num_rows() > 0).map_or("RUN", |b| b.column(0).as_string::<i32>().value(0));
    let dir = dir.display();
    put_line("Where to go from here")?;
    for (command, does) in [
        (format!("export RUNLAKE_STORE={dir}"), "then `--store` is not needed"),
        ("runlake".to_string(), "the SQL shell on it"),
        ("runlake runs -e digits".to_string(), "its latest runs"),
        (format!("runlake show {}", &run[..run.len().min(16)]), "one run in full"),
        ("runlake sql -c 'DESCRIBE runs'".to_string(), "every param, metric and tag that can be asked for"),
        ("runlake info".to_string(), "sizes, live and sealed rows"),
        ("runlake init".to_string(), "a store of your own, in ./.runlake"),
    ] {
        put_line(format!("  {command:<40} {does}"))?;
    }
    Ok(())
}

async fn show(session: &Session, stop: &Stop) -> Result<(), Failure> {
    put_line(stop.question)?;
    put("\n")?;
    for line in stop.sql.lines() {
        put_line(format!("    {line}"))?;
    }
    put("\n")?;
    put(render_table(&rows(session, stop.sql).await?, &terminal::table_options(None)))?;
    if !stop.remark.is_empty() {
        put_line(stop.remark)?;
    }
    put("\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_demo_of_its_own_is_known_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let demo = Store::create(dir.path().join("demo")).unwrap();
        assert!(matches!(state(&demo).await.unwrap(), There::Foreign(_)));
        mark(&demo, LOADING).unwrap();
        assert!(matches!(state(&demo).await.unwrap(), There::Half));
        mark(&demo, LOADED).unwrap();
        assert!(matches!(state(&demo).await.unwrap(), There::Loaded));

        // A copy of its runs takes the tags of the experiment along.
        let run = demo.start_run(runlake::RunOptions::new("wine")).unwrap();
        let copy = Store::create(dir.path().join("copy")).unwrap();
        demo.copy_runs(&[run.id().clone()], &copy).await.unwrap();
        assert!(matches!(state(&copy).await.unwrap(), There::Foreign(_)));

        demo.start_run(runlake::RunOptions::new("mine")).unwrap();
        assert!(matches!(state(&demo).await.unwrap(), There::Foreign(_)));
        demo.delete_experiment("mine").unwrap();
        assert!(matches!(state(&demo).await.unwrap(), There::Foreign(_)));
    }
}
