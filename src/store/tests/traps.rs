//! The known traps of deltalake: each test fails without the guard that its comment names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::file::reader::{FileReader, SerializedFileReader};

use super::assert_same;
use crate::model::{Month, Status};
use crate::schema::{ParamRow, Row, Table};
use crate::store::delta::{Change, NewFile, write_file};
use crate::store::ops::GcOptions;
use crate::store::testing::disk::{Disk, Loss};
use crate::store::testing::{Fate, HookedIo, dump, dump_of, log_everything, new_store};
use crate::store::*;

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// A file of `params` with one row.
fn one_row(store: &Store, n: u64) -> NewFile {
    let row = ParamRow {
        run_id: format!("r{n}"),
        experiment_id: "e".into(),
        key: "k".into(),
        value: None,
        r#type: "null".into(),
        num: None,
    };
    let month = Some(Month::parse("2026-11").unwrap());
    write_file(store.io(), &Table::Params, month, n, false, &ParamRow::to_batch([row]), None).unwrap()
}

fn adding(file: NewFile) -> Change {
    Change { add: vec![file], data_change: true, ..Change::default() }
}

async fn paths(store: &Store) -> Vec<String> {
    let version = store.tables().open(&Table::Params, None).await.unwrap().unwrap();
    version.files.iter().map(|f| f.path.clone()).collect()
}

/// Guard: `LocalIo::publish` syncs the file, then its folder, before it returns; everything is written through it.
#[tokio::test]
async fn every_file_of_a_commit_is_durable_when_sealing_returns() {
    let disk = Disk::new();
    Store::create_at(disk.io(), "s".into()).unwrap();
    let store = Store::open_at(disk.io(), "s".into(), WriterOptions::default()).unwrap();
    log_everything(&store, "wine", 1).finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    let written = disk.files("");
    let durable: BTreeMap<_, _> = disk.after_power_cut(Loss::All).files("").into_iter().collect();
    assert!(written.iter().filter(|(path, _)| path.ends_with(".parquet")).count() > 10);
    for (path, content) in written.iter().filter(|(path, _)| !path.ends_with(".lock")) {
        assert_eq!(durable.get(path), Some(content), "{path}");
    }
}

/// Guard: `checksum::commit::check` in the object store that Delta reads through.
#[tokio::test]
async fn an_empty_commit_file_is_an_error_not_an_empty_commit() {
    let (dir, store) = new_store();
    let run = log_everything(&store, "wine", 1);
    store.seal().await.unwrap();
    run.log_metric("loss", 1.0).unwrap();
    store.seal().await.unwrap();
    std::fs::write(dir.path().join("s").join(layout::commit(&Table::Metrics, 1)), "").unwrap();
    let e = store.snapshot().unwrap().table(&Table::Metrics).await.unwrap_err();
    assert!(e.to_string().contains("the commit is empty"), "{e}");
}

/// Guard: `max_retries(0)`, and asking for the change again on what the table has become.
#[tokio::test]
async fn two_commits_that_remove_one_file_do_not_both_win() {
    let (_dir, store) = new_store();
    let tables = store.tables();
    let first = one_row(&store, 1);
    tables.commit(&Table::Params, 1, Micros(1), async |_| Ok(adding(first.clone()))).await.unwrap();
    let swap = |path: &str, n| Change { remove: vec![path.to_string()], ..adding(one_row(&store, n)) };
    let mut seen = Vec::new();
    let outer = tables.commit(&Table::Params, 3, Micros(3), async |base| {
        let path = base.unwrap().files[0].path.clone();
        seen.push(path.clone());
        if seen.len() == 1 {
            let inner = swap(&path, 2);
            tables.commit(&Table::Params, 2, Micros(2), async |_| Ok(inner.clone())).await.unwrap();
        }
        Ok(swap(&path, 3))
    });
    assert_eq!(outer.await.unwrap(), Some(2));
    assert_eq!(seen.len(), 2, "the change was made anew on the other's outcome");
    assert_ne!(seen[0], seen[1]);
    assert_eq!(paths(&store).await.len(), 1, "rows are not doubled");
}

/// Guard: the number of the last operation is read on the very snapshot that is committed on.
#[tokio::test]
async fn an_operation_that_another_finished_meanwhile_is_not_repeated() {
    let (_dir, store) = new_store();
    let tables = store.tables();
    tables.commit(&Table::Params, 1, Micros(1), async |_| Ok(adding(one_row(&store, 1)))).await.unwrap();
    let mut calls = 0;
    let outer = tables.commit(&Table::Params, 2, Micros(2), async |_| {
        calls += 1;
        tables.commit(&Table::Params, 2, Micros(2), async |_| Ok(adding(one_row(&store, 2)))).await.unwrap();
        Ok(adding(one_row(&store, 2)))
    });
    assert_eq!(outer.await.unwrap(), Some(1));
    assert_eq!((calls, paths(&store).await.len()), (1, 2));
}

/// Guard: `TableVersion::new` refuses the property.
#[tokio::test]
async fn a_table_that_forgets_transactions_is_refused() {
    let (dir, store) = new_store();
    store.tables().commit(&Table::Params, 1, Micros(1), async |_| Ok(adding(one_row(&store, 1)))).await.unwrap();
    let path = dir.path().join("s").join(layout::commit(&Table::Params, 0));
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("\"runlake.digest\":\"").unwrap();
    let foreign = text[..at].to_string() + text[at..].split_once(',').unwrap().1;
    let forgetful = foreign.replace(
        "\"configuration\":{}",
        "\"configuration\":{\"delta.setTransactionRetentionDuration\":\"interval 1 day\"}",
    );
    assert_ne!(foreign, forgetful);
    std::fs::write(&path, forgetful).unwrap();
    let e = store.tables().open(&Table::Params, None).await.unwrap_err();
    assert!(matches!(e, StoreError::UnsafeProperty { .. }), "{e}");
}

/// Guard: `Tables::commit` looks for the operation after every error, and so does every step of a seal.
#[tokio::test]
async fn an_error_from_a_commit_that_happened_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s");
    Store::create(&root).unwrap();
    static ARMED: AtomicBool = AtomicBool::new(false);
    let io = HookedIo::new(&root, |operation, path| {
        let commit = operation == "create" && path.contains("metrics/_delta_log/");
        if commit && ARMED.swap(false, Ordering::SeqCst) { Fate::DoneAndFails } else { Fate::Done }
    });
    let store = Store::open_at(io, "s".into(), WriterOptions::default()).unwrap();
    let run = log_everything(&store, "wine", 1);
    for version in [0, 1] {
        run.log_metric_at("loss", 1.0, version).unwrap();
        let before = dump(&store).await;
        ARMED.store(true, Ordering::SeqCst);
        store.seal().await.unwrap();
        assert!(!ARMED.load(Ordering::SeqCst), "the commit was made to fail");
        assert_same(&before, &dump(&store).await, "a commit whose answer was lost");
        let table = store.tables().open(&Table::Metrics, None).await.unwrap().unwrap();
        assert_eq!(table.version, version as u64);
    }
}

/// Guard: `ops::checkpoint`, a step of its own after the cut; and `gc`, which cleans the log by what cuts need.
#[tokio::test]
async fn a_long_log_is_checkpointed_and_its_beginning_can_go() {
    let (dir, store) = new_store();
    let run = store.start_run(RunOptions::new("wine")).unwrap();
    for step in 0..27 {
        run.log_metric_at("loss", 1.0 / (step + 1) as f64, step).unwrap();
        store.seal().await.unwrap();
    }
    let log = dir.path().join("s/metrics/_delta_log");
    let names = || std::fs::read_dir(&log).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names().filter(|n| n.contains(".checkpoint.parquet")).count(), 1);
    let before = dump(&store).await;
    let report = store.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    assert!(report.files > 25, "{report:?}");
    assert!(!names().any(|n| n == "00000000000000000000.json"), "the log before the checkpoint is gone");
    assert_same(&before, &dump(&store).await, "cleaning the log");
    run.log_metric_at("loss", 0.0, 100).unwrap();
    let more = dump(&store).await;
    store.seal().await.unwrap();
    assert_same(&more, &dump(&Store::open(dir.path().join("s")).unwrap()).await, "sealing on a cleaned log");
    let report = store.verify(false).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// Guard: `ops::lacks_hint`, and `verify`, which takes that state for what it is.
#[tokio::test]
async fn a_death_between_a_checkpoint_and_its_hint_is_mended_by_the_next_seal() {
    let (dir, store) = new_store();
    let run = store.start_run(RunOptions::new("wine")).unwrap();
    let hint = dir.path().join("s/metrics/_delta_log/_last_checkpoint");
    let mut step = 0;
    let point = |step| run.log_metric_at("loss", 1.0 / (step + 1) as f64, step).unwrap();
    while !hint.exists() {
        assert!(step < 100, "there is no checkpoint after {step} seals");
        point(step);
        store.seal().await.unwrap();
        step += 1;
    }
    let first = std::fs::read(&hint).unwrap();
    std::fs::remove_file(&hint).unwrap();
    let report = store.verify(false).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(dump(&store).await["metrics"].len(), step as usize);

    point(step);
    store.seal().await.unwrap();
    assert_ne!(std::fs::read(&hint).unwrap(), first, "it names the checkpoint that this seal made");
    std::fs::remove_file(&hint).unwrap();
    let report = store.verify(false).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(dump(&Store::open(dir.path().join("s")).unwrap()).await["metrics"].len(), step as usize + 1);
}

/// Guard: `float_columns` in the writer properties, which compaction shares.
#[tokio::test]
async fn columns_of_doubles_have_no_statistics_after_compaction_either() {
    let (dir, store) = new_store();
    for n in 0..3 {
        log_everything(&store, "wine", n).finish(Status::Finished).unwrap();
        store.seal().await.unwrap();
    }
    let before = dump(&store).await;
    assert!(store.compact(2).await.unwrap().files_after > 0);
    let after = dump(&store).await;
    // The structs are extra columns that the log does not know; a rewrite must carry them along.
    assert!(after["runs"][0].contains("params_num.lr=") && after["runs"][0].contains("metrics.loss="));
    assert_same(&before, &after, "compaction");
    let mut doubles = 0;
    for path in files_below(&dir.path().join("s")).iter().filter(|p| p.extension().is_some_and(|e| e == "parquet")) {
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
            if column.column_type() == parquet::basic::Type::DOUBLE {
                doubles += 1;
                let statistics = column.statistics().is_some() || column.column_index_offset().is_some();
                assert!(!statistics, "{} of {}", column.column_path(), path.display());
            }
        }
    }
    assert!(doubles > 50);
}

/// Guard: `Cut::as_of` goes by the time that the cut recorded, never by the times of files.
#[tokio::test]
async fn time_travel_in_a_copied_store_goes_by_recorded_times() {
    let (dir, store) = new_store();
    let run = store.start_run(RunOptions::new("wine")).unwrap();
    run.log_metric_at("loss", 1.0, 1).unwrap();
    store.seal().await.unwrap();
    let then = Micros::now();
    std::thread::sleep(std::time::Duration::from_millis(5));
    run.log_metric_at("loss", 2.0, 2).unwrap();
    store.seal().await.unwrap();
    let (from, to) = (dir.path().join("s"), dir.path().join("copy"));
    // Newest first: by the times of files the history would run backwards.
    let mut files = files_below(&from);
    files.sort();
    for path in files.iter().rev() {
        let target = to.join(path.strip_prefix(&from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, &target).unwrap();
    }
    let copy = Store::open(&to).unwrap();
    assert_eq!(dump_of(&copy.snapshot_at(then.into()).unwrap()).await["metrics"].len(), 1);
    assert_eq!(dump_of(&copy.snapshot_at(Micros::now().into()).unwrap()).await["metrics"].len(), 2);
    let e = copy.snapshot_at(Micros(0).into()).unwrap_err();
    assert!(matches!(e, StoreError::BeforeHistory { earliest: Some(_), .. }), "{e}");
}
