//! Many at once, without any lock: every row is there once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::reopened::shown;
use crate::model::{RunId, Status};
use crate::store::ops::GcOptions;
use crate::store::testing::StopOnDrop;
use crate::store::testing::disk::Disk;
use crate::store::*;

fn id(n: usize) -> RunId {
    RunId::parse(&format!("r{n:03}")).unwrap()
}

fn store_on(disk: &Disk) -> Store {
    let options = WriterOptions { sync_within: Duration::from_secs(3600), ..WriterOptions::default() };
    Store::open_at(disk.io(), "s".into(), options).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A finished run with three points.
fn log_run(store: &Store, n: usize) {
    let run = store.start_run(RunOptions::new("e").id(id(n))).unwrap();
    run.log_param("n", n as i64).unwrap();
    for step in 0..3 {
        run.log_metric_at("loss", n as f64 + 0.5, step).unwrap();
    }
    run.finish(Status::Finished).unwrap();
}

/// What is to be shown of such a run.
fn lines(n: usize) -> Vec<String> {
    let value = n as f64 + 0.5;
    let mut lines =
        vec!["runs FINISHED".to_string(), format!("params n {n}"), format!("metric_stats loss 3 {value:?} {value:?}")];
    lines.extend((0..3).map(|step| format!("metrics loss {step} {value:?}")));
    lines.sort();
    lines
}

async fn assert_shown(disk: &Disk, runs: impl IntoIterator<Item = usize>) {
    let shown = shown(disk).await;
    let runs: BTreeSet<usize> = runs.into_iter().collect();
    for n in &runs {
        assert_eq!(shown.get(id(*n).as_str()), Some(&lines(*n)), "run {n}");
    }
    assert_eq!(shown.len(), runs.len() + 1, "{:?}", shown.keys());
}

#[test]
fn eight_sealers_without_a_lock_seal_two_hundred_segments_once() {
    const SEGMENTS: usize = 200;
    const WAVES: usize = 8;
    let disk = Disk::new();
    Store::create_at(disk.io(), "s".into()).unwrap();
    let (stop, operations) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let stopping = StopOnDrop(&stop);
        for _ in 0..8 {
            scope.spawn(|| {
                let store = store_on(&disk);
                runtime().block_on(async {
                    loop {
                        let last = stop.load(Ordering::SeqCst);
                        let report = ops::seal(store.tables()).await.unwrap();
                        operations.fetch_add(report.operations as usize, Ordering::SeqCst);
                        if last {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
            });
        }
        let writers: Vec<Store> = (0..5).map(|_| store_on(&disk)).collect();
        for wave in 0..WAVES {
            for n in wave * SEGMENTS / WAVES..(wave + 1) * SEGMENTS / WAVES {
                let writer = &writers[n % writers.len()];
                log_run(writer, n);
                writer.close_segment().unwrap();
            }
            let begun = Instant::now();
            while !live::names(disk.io().as_ref()).unwrap().is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(120), "nobody seals");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        drop(stopping);
    });
    let store = store_on(&disk);
    let cut = cut::Cut::newest(store.io()).unwrap();
    println!("{} seals that found work, {} states", operations.load(Ordering::SeqCst), cut.n);
    assert!(cut.n >= WAVES as u64);
    runtime().block_on(async {
        assert_shown(&disk, 0..SEGMENTS).await;
        let report = store.verify(false).await.unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    });
}

#[test]
fn compactors_a_deleter_and_an_appender_leave_every_row_once() {
    const ROUNDS: usize = 200;
    let disk = Disk::new();
    Store::create_at(disk.io(), "s".into()).unwrap();
    let (logged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (joined, purged) = (AtomicU64::new(0), AtomicU64::new(0));
    let deleted = |n: usize| n % 5 == 2;
    std::thread::scope(|scope| {
        let stopping = StopOnDrop(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                let store = store_on(&disk);
                runtime().block_on(async {
                    while !stop.load(Ordering::SeqCst) {
                        let report = store.compact(2).await.unwrap();
                        joined.fetch_add(report.files_before, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                });
            });
        }
        scope.spawn(|| {
            let store = store_on(&disk);
            runtime().block_on(async {
                let mut next = 0;
                loop {
                    let last = stop.load(Ordering::SeqCst);
                    for n in (next..logged.load(Ordering::SeqCst)).filter(|n| deleted(*n)) {
                        store.delete_run(&id(n)).unwrap();
                        next = n + 1;
                    }
                    if last {
                        return;
                    }
                    // An hour of states stays, as is due while others read.
                    let hour = Micros(3600 * 1_000_000);
                    let report = ops::gc(store.tables(), GcOptions { keep: hour }).await.unwrap();
                    purged.fetch_add(report.runs, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
        });
        let store = store_on(&disk);
        runtime().block_on(async {
            for n in 0..ROUNDS {
                log_run(&store, n);
                logged.fetch_add(1, Ordering::SeqCst);
                if n % 8 == 7 {
                    ops::seal(store.tables()).await.unwrap();
                }
                // On a busy machine all could be logged before the others get to work: half of it waits for them.
                let begun = Instant::now();
                while n == ROUNDS / 2 && [&joined, &purged].iter().any(|count| count.load(Ordering::SeqCst) == 0) {
                    assert!(begun.elapsed() < Duration::from_secs(120), "nobody compacts or purges");
                    ops::seal(store.tables()).await.unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        drop(stopping);
    });
    println!("{} files joined, {} runs purged meanwhile", joined.into_inner(), purged.into_inner());
    let store = store_on(&disk);
    runtime().block_on(async {
        let kept = || (0..ROUNDS).filter(|n| !deleted(*n));
        assert_shown(&disk, kept()).await;
        store.gc(GcOptions { keep: Micros(0) }).await.unwrap();
        store.compact(2).await.unwrap();
        assert_shown(&disk, kept()).await;
        let report = store.verify(false).await.unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    });
}
