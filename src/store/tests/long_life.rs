//! A store that is sealed thousands of times stays as small and as fast as one that was sealed a few times, and cleaning
//! up leaves readers alone.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::store::ops::{GcOptions, Upkeep};
use crate::store::testing::{dump_of, lines_of, new_store};

fn files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// A retention that is over at once, so that a test lives through many of them.
const SHORT: Upkeep = Upkeep { keep: Micros(0), states: 8, most_states: 256, compact_every: 8, expire_every: 16 };

fn log_a_little(store: &Store, n: u64) {
    let run = store.start_run(RunOptions::new("wine")).unwrap();
    run.log_param("lr", n as i64).unwrap();
    run.log_metric_at("loss", 1.0 / n as f64, 1).unwrap();
    run.log_metric_at("loss", 0.5 / n as f64, 2).unwrap();
    run.finish(Status::Finished).unwrap();
    // As if each run had a process of its own: the segment of one that goes on is read from its beginning.
    store.close_segment().unwrap();
}

/// Time to open a session and to answer a question.
async fn ask(store: &Store, runs: u64) -> (Duration, Duration) {
    let began = Instant::now();
    let session = store.session().await.unwrap();
    let opened = began.elapsed();
    let sql = "SELECT count(*) AS n, max(params.lr) AS lr, max(metrics.loss) AS loss FROM runs";
    let rows = session.sql(sql).await.unwrap().collect().await.unwrap();
    let asked = began.elapsed() - opened;
    assert_eq!(lines_of(&rows), [format!("loss=0.5 lr={runs} n={runs}")]);
    (opened, asked)
}

/// Seals `seals` times; gives the number of files and the times of the best of a few questions, at a quarter and at the
/// end.
async fn live(seals: u64, upkeep: Upkeep) -> Vec<(usize, Duration, Duration)> {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let mut seen = Vec::new();
    for n in 1..=seals {
        log_a_little(&store, n);
        let report = store.seal_with(upkeep).await.unwrap();
        assert_eq!(report.upkeep_failed, None);
        if n % (seals / 4) == 0 {
            let mut times = Vec::new();
            for _ in 0..5 {
                times.push(ask(&store, n).await);
            }
            let opened = times.iter().map(|t| t.0).min().unwrap();
            let asked = times.iter().map(|t| t.1).min().unwrap();
            seen.push((files(&root), opened, asked));
        }
    }
    let clean = store.verify(false).await.unwrap();
    assert!(clean.findings.is_empty(), "{:?}", clean.findings);
    seen
}

/// States, commits and small files come and go in waves, of which any may be seen. `noise` is what other work beside may add.
fn assert_flat(seen: &[(usize, Duration, Duration)], most_files: usize, noise: Duration) {
    assert!(seen.iter().all(|(files, ..)| *files < most_files), "{seen:?}");
    let opened = seen.iter().map(|s| s.1);
    assert!(opened.clone().max() <= opened.min().map(|least| least * 3 + noise), "{seen:?}");
    let asked = seen.iter().map(|s| s.2);
    assert!(asked.clone().max() <= asked.min().map(|least| least * 4 + noise), "{seen:?}");
}

#[tokio::test]
async fn many_small_seals_leave_as_few_files_as_some_and_the_same_times() {
    // Without compaction it is 1,800 files, without the removal of states more.
    assert_flat(&live(192, SHORT).await, 450, Duration::from_millis(200));
}

/// A part of `cargo xtask crash`.
#[tokio::test]
#[ignore = "takes minutes"]
async fn two_thousand_seals_change_neither_files_nor_times() {
    let seen = live(2000, Upkeep::default()).await;
    for (i, (files, opened, asked)) in seen.iter().enumerate() {
        println!("{} seals: {files} files, {opened:?} to open, {asked:?} to ask", (i + 1) * 500);
    }
    // Twelve for each of 256 to 320 states; without a bound it is 24,000.
    assert_flat(&seen, 5_000, Duration::from_millis(2));
}

#[tokio::test]
async fn small_files_are_joined_as_they_pile_up_and_old_states_go() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let mut joined = 0;
    for n in 1..=33 {
        log_a_little(&store, n);
        joined += store.seal_with(SHORT).await.unwrap().joined.files_before;
    }
    assert!(joined >= 4 * 8, "{joined}");
    let info = store.info().await.unwrap();
    let metrics = info.tables.iter().find(|t| t.name == "metrics").unwrap();
    assert!(metrics.files < 16, "{metrics:?}");
    // Each sixteen operations eight states stay.
    assert!(info.states <= 24, "{}", info.states);
    assert!(root.join(layout::batch(info.cut)).exists());
    ask(&store, 33).await;
}

#[tokio::test]
async fn cleaning_up_leaves_the_files_of_a_reader_alone() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    for n in 1..=10 {
        log_a_little(&store, n);
        store.seal_with(Upkeep::never()).await.unwrap();
    }
    let reader = store.snapshot().unwrap();
    let other = Store::open(&root).unwrap();
    let at = reader.cut().n;
    store.compact(2).await.unwrap();
    for n in 11..=13 {
        log_a_little(&other, n);
        other.seal_with(SHORT).await.unwrap();
    }
    other.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    assert_eq!(Cut::numbers(store.io()).unwrap()[0], at, "what is older than the reader's state went");
    // It opens its tables only now, at versions that are long gone by.
    let seen = dump_of(&reader).await;
    assert_eq!((seen["runs"].len(), seen["metrics"].len()), (10, 20));
    drop(reader);
    let before = files(&root);
    let report = other.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    assert!(report.states >= 4 && report.files > 10, "{report:?}");
    assert!(files(&root) < before);
    assert!(store.verify(false).await.unwrap().findings.is_empty());
    ask(&store, 13).await;
}
