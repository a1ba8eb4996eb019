//! The life of a store: logged, sealed, compacted, changed, reclaimed; what it shows stays the same throughout.

mod failing;
mod failing_run;
mod interleaved;
mod long_life;
mod model;
mod past;
mod power;
mod races;
mod reopened;
mod traps;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::ops::GcOptions;
use super::testing::{dump, log_everything, new_store};
use super::*;
use crate::model::Status;
use crate::schema::Table;

fn assert_same(before: &testing::Dump, after: &testing::Dump, what: &str) {
    for (table, rows) in before {
        let now = after.get(table).cloned().unwrap_or_default();
        assert_eq!(&now, rows, "{table} after {what}");
    }
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "tables after {what}");
}

#[tokio::test]
async fn what_is_logged_is_shown_the_same_live_sealed_and_compacted() {
    let (_dir, store) = new_store();
    let open = log_everything(&store, "wine", 1);
    let ended = log_everything(&store, "wine", 2);
    ended.finish(Status::Finished).unwrap();
    let live = dump(&store).await;
    assert_eq!(live["runs"].len(), 2);
    assert_eq!(live["metrics"].len(), 2 * (4 * 3 + 3));
    assert_eq!(live["frames.predictions"].len(), 4);

    let report = store.seal().await.unwrap();
    assert_eq!((report.operations, report.damaged.len()), (1, 0));
    assert!(store.snapshot().unwrap().live().records == 0);
    assert_same(&live, &dump(&store).await, "sealing");

    // More of the open run, an edit of the ended one, and a new run.
    open.log_metric_at("loss", 0.01, 9).unwrap();
    open.finish(Status::Failed).unwrap();
    store.attach(ended.id().clone()).unwrap().set_tag("late", "yes").unwrap();
    log_everything(&store, "digits", 3).finish(Status::Killed).unwrap();
    let more = dump(&store).await;
    assert_eq!(more["runs"].len(), 3);
    assert_eq!(more["tags"].iter().filter(|t| t.contains("late")).count(), 1);
    store.seal().await.unwrap();
    assert_same(&more, &dump(&store).await, "the second seal");

    let report = store.compact(2).await.unwrap();
    assert!(report.files_before > report.files_after, "{report:?}");
    assert_same(&more, &dump(&store).await, "compaction");
}

#[tokio::test]
async fn small_operations_give_what_a_large_one_gives() {
    use super::live::Load;
    use super::ops::{Limits, seal_within};
    let all = Load { points: usize::MAX, runs: usize::MAX, values: usize::MAX };
    for load in [Load { points: 4, ..all }, Load { runs: 1, ..all }, Load { values: 5, ..all }] {
        let (_dir, store) = new_store();
        for seed in 1..4 {
            log_everything(&store, "wine", seed).finish(Status::Finished).unwrap();
        }
        store.close_segment().unwrap();
        let live = dump(&store).await;
        let report = seal_within(store.tables(), Limits { load, bytes: usize::MAX }).await.unwrap();
        assert!(report.operations >= 3, "{load:?}: {report:?}");
        assert!(store.io().list(layout::LIVE).unwrap().iter().all(|e| !e.name.ends_with(".seg")), "{load:?}");
        assert_same(&live, &dump(&store).await, &format!("sealing within {load:?}"));
    }
}

#[tokio::test]
async fn a_late_tag_writes_only_what_it_changes() {
    let (_dir, store) = new_store();
    let tagged = log_everything(&store, "wine", 1);
    tagged.finish(Status::Finished).unwrap();
    log_everything(&store, "wine", 2).finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    let before = store.snapshot().unwrap().cut().tables.clone();
    store.attach(tagged.id().clone()).unwrap().set_tag("late", "yes").unwrap();
    let live = dump(&store).await;
    store.seal().await.unwrap();
    let after = store.snapshot().unwrap().cut().tables.clone();
    let written: Vec<_> = after.iter().filter(|(table, version)| before[*table] != **version).map(|(t, _)| t).collect();
    assert_eq!(written, ["runs", "tags"]);
    assert_same(&live, &dump(&store).await, "sealing a tag");

    // A run that is taken up again moves as a whole.
    let again = store.start_run(RunOptions::new("wine").id(tagged.id().clone())).unwrap();
    let live = dump(&store).await;
    store.seal().await.unwrap();
    assert_same(&live, &dump(&store).await, "sealing a run that goes on");
    again.finish(Status::Finished).unwrap();
    let live = dump(&store).await;
    store.seal().await.unwrap();
    assert_same(&live, &dump(&store).await, "sealing its end");
}

#[tokio::test]
async fn deleted_runs_are_hidden_come_back_and_are_reclaimed() {
    let (dir, store) = new_store();
    let kept = log_everything(&store, "wine", 1);
    kept.finish(Status::Finished).unwrap();
    let gone = log_everything(&store, "wine", 2);
    gone.finish(Status::Finished).unwrap();
    log_everything(&store, "old", 3).finish(Status::Finished).unwrap();
    let all = dump(&store).await;

    store.delete_run(gone.id()).unwrap();
    let without = dump(&store).await;
    assert_eq!((without["runs"].len(), without["artifacts"].len()), (2, 4));
    store.seal().await.unwrap();
    assert_same(&without, &dump(&store).await, "sealing a deletion");
    store.restore_run(gone.id()).unwrap();
    assert_same(&all, &dump(&store).await, "restoring");
    store.seal().await.unwrap();
    assert_same(&all, &dump(&store).await, "sealing a restoration");

    store.delete_run(gone.id()).unwrap();
    store.delete_experiment("old").unwrap();
    let left = dump(&store).await;
    assert_eq!(left["runs"].len(), 1);
    let report = store.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    assert_eq!(report.runs, 2);
    let mut purged = dump(&store).await;
    // The experiment itself and the keys of its runs go at last.
    assert_eq!(purged["experiments"].len(), 1);
    assert!(!purged["keys"][0].contains("\"params\":{\"C\":{\"text\":2}"), "{:?}", purged["keys"]);
    for table in ["experiments", "metric_defs", "keys"] {
        purged.insert(table.into(), left[table].clone());
    }
    assert_same(&left, &purged, "reclaiming");
    let artifacts = dir.path().join("s/artifacts");
    assert_eq!(std::fs::read_dir(&artifacts).unwrap().count(), 1);
    // A late record of a purged run does not bring it back.
    gone.set_tag("late", "1").unwrap();
    store.seal().await.unwrap();
    assert_eq!(dump(&store).await["runs"].len(), 1);
}

#[tokio::test]
async fn what_is_sealed_of_a_live_segment_is_not_read_again() {
    let (dir, store) = new_store();
    let run = store.start_run(RunOptions::new("wine")).unwrap();
    let log = |step: i64| run.log_metric_at("loss", step as f64, step).unwrap();
    (0..10).for_each(log);
    store.seal().await.unwrap();
    (10..15).for_each(log);
    let before = store.snapshot().unwrap();
    let [found] = before.segments() else { panic!("one segment is live") };
    let whole = std::fs::read(dir.path().join("s").join(&found.path)).unwrap();
    let (from, sealed) = (found.from as usize, found.before.unwrap());
    // The ten points and the start.
    assert_eq!((sealed, found.next_sequence), (11, Some(16)));

    let mut harmed = whole.clone();
    harmed[from - 3] ^= 1;
    std::fs::write(dir.path().join("s").join(&found.path), &harmed).unwrap();
    assert_eq!(dump(&store).await["metrics"].len(), 15);
    assert!(store.snapshot().unwrap().damaged().is_empty());
    assert_eq!(store.seal().await.unwrap().records, 5);
    assert_eq!(dump(&store).await["metrics"].len(), 15);
    assert_eq!(store.verify(false).await.unwrap().findings.len(), 1, "it is told of all the same");
}

#[tokio::test]
async fn an_ended_run_is_taken_up_again() {
    let (_dir, store) = new_store();
    let first = log_everything(&store, "wine", 1);
    first.finish(Status::Failed).unwrap();
    store.seal().await.unwrap();
    let again = store.start_run(RunOptions::new("wine").id(first.id().clone())).unwrap();
    again.log_metric_at("loss", 7.0, 100).unwrap();
    let running = dump(&store).await;
    assert!(running["runs"][0].contains("status=RUNNING"), "{:?}", running["runs"]);
    assert!(running["runs"][0].contains("metrics.loss=7.0"));
    store.seal().await.unwrap();
    assert_same(&running, &dump(&store).await, "sealing");
    again.finish(Status::Finished).unwrap();
    let ended = dump(&store).await;
    assert!(ended["runs"][0].contains("status=FINISHED"));
    store.seal().await.unwrap();
    assert_same(&ended, &dump(&store).await, "the second seal");
}

#[tokio::test]
async fn a_run_whose_writer_is_gone_has_crashed() {
    let (dir, store) = new_store();
    let path = dir.path().join("s");
    let run = {
        let other = Store::open(&path).unwrap();
        let run = log_everything(&other, "wine", 1);
        other.seal().await.unwrap();
        assert!(dump(&store).await["runs"][0].contains("status=RUNNING"));
        run.id().clone()
    };
    // Its sync thread lets go of the file a moment after the last handle is gone.
    let crashed = async || dump(&store).await["runs"][0].contains("status=CRASHED");
    let mut tries = 0;
    while !crashed().await {
        tries += 1;
        assert!(tries < 100, "it still shows as running");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let before = dump(&store).await;
    store.seal().await.unwrap();
    assert_same(&before, &dump(&store).await, "sealing");
    assert_eq!(live::names(store.io()).unwrap().len(), 0, "the segment is gone");
    store.start_run(RunOptions::new("wine").id(run)).unwrap();
    assert!(dump(&store).await["runs"][0].contains("status=RUNNING"));
}

#[tokio::test]
async fn tables_of_runs_keep_their_types_from_seal_to_seal() {
    let (_dir, store) = new_store();
    let run = log_everything(&store, "wine", 1);
    store.seal().await.unwrap();
    let table = Table::Frame("predictions".into());
    let first = store.tables().open(&table, None).await.unwrap().unwrap();
    run.log_table("predictions", &testing::predictions(7)).unwrap();
    store.seal().await.unwrap();
    let second = store.tables().open(&table, None).await.unwrap().unwrap();
    assert_eq!(second.columns, first.columns);
    assert_eq!(second.files.len(), 2, "no file is written anew when the columns stay");
    assert!(second.files.iter().all(|f| f.ours && f.digest.is_some() && !f.ranges.is_empty()));
    let wider = arrow::array::RecordBatch::try_from_iter([
        ("row_id", Arc::new(arrow::array::StringArray::from(vec!["x"])) as arrow::array::ArrayRef),
        ("new", Arc::new(arrow::array::BooleanArray::from(vec![true]))),
    ]);
    run.log_table("predictions", &wider.unwrap()).unwrap();
    let live = dump(&store).await;
    store.seal().await.unwrap();
    assert_same(&live, &dump(&store).await, "widening");
}

#[tokio::test]
async fn info_counts_what_is_there() {
    let (_dir, store) = new_store();
    let open = log_everything(&store, "wine", 1);
    log_everything(&store, "wine", 2).finish(Status::Finished).unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((info.all_runs(), info.runs[&Status::Finished], info.experiments, info.cut), (2, 1, 1, 0));
    assert_eq!((info.live.segments, info.live.writers, info.artifacts, info.artifact_bytes), (1, 1, 4, 18));
    assert!(info.live.bytes > 1000 && info.live.records > 50);
    let metrics = |info: &StoreInfo| info.tables.iter().find(|t| t.name == "metrics").unwrap().clone();
    assert_eq!((metrics(&info).version, metrics(&info).rows_live), (None, 30));
    store.seal().await.unwrap();
    open.log_metric("loss", 1.0).unwrap();
    store.seal().await.unwrap();
    let info = store.info().await.unwrap();
    let sealed = metrics(&info);
    assert_eq!((sealed.version, sealed.files, sealed.small_files), (Some(1), 2, 0));
    assert_eq!((sealed.rows_sealed, sealed.rows_live, info.live.records, info.live.bytes), (31, 0, 0, 0));
    assert_eq!((info.cut, info.states, info.artifacts, info.all_runs()), (2, 2, 4, 2));
    assert!(info.tables.iter().any(|t| t.name == "frames.predictions" && t.rows_sealed == 4));
    assert!(store.info().await.unwrap().wants_compaction().next().is_none());
    store.delete_run(open.id()).unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((info.all_runs(), info.deleted_runs, info.artifacts), (1, 1, 2));
}

/// A dump without what differs between a run and its copy: where its files lie is the same, experiments are made anew.
fn comparable(mut dump: testing::Dump) -> testing::Dump {
    dump.remove("experiments");
    dump
}

#[tokio::test]
async fn copied_runs_are_the_same_and_a_second_copy_adds_nothing() {
    let (_a, source) = new_store();
    let (b, target) = new_store();
    let first = log_everything(&source, "wine", 1);
    first.finish(Status::Finished).unwrap();
    source.seal().await.unwrap();
    let second = log_everything(&source, "wine", 2);
    second.finish_with(Status::Failed, None, Some("boom".into())).unwrap();
    let ids = [first.id().clone(), second.id().clone()];

    let report = source.copy_runs(&ids, &target).await.unwrap();
    assert_eq!((report.runs, report.new_runs, report.points, report.series), (2, 2, 30, 4));
    assert_eq!((report.rows, report.artifacts, report.artifact_bytes), (4, 4, 18));
    assert_same(&comparable(dump(&source).await), &comparable(dump(&target).await), "copying");
    for sealed in [false, true] {
        let again = source.copy_runs(&ids, &target).await.unwrap();
        assert_eq!((again.records, again.new_runs), (0, 0), "sealed: {sealed}");
        target.seal().await.unwrap();
    }
    // More of one run, and a file that got lost in the target.
    let more = source.attach(first.id().clone()).unwrap();
    more.log_metric_at("loss", 0.5, 7).unwrap();
    more.log_metric_at("loss", 0.5, 7).unwrap();
    more.set_tag("late", "yes").unwrap();
    more.log_table("predictions", &testing::predictions(5)).unwrap();
    std::fs::remove_file(b.path().join("s").join(layout::artifact(first.id(), "model/weights.bin"))).unwrap();
    let report = source.copy_runs(&ids, &target).await.unwrap();
    assert_eq!((report.points, report.rows, report.artifacts, report.new_runs), (2, 2, 1, 0));
    assert_same(&comparable(dump(&source).await), &comparable(dump(&target).await), "copying the rest");

    let missing = RunId::parse("nobody").unwrap();
    let e = source.copy_runs(&[missing], &target).await.unwrap_err();
    assert_eq!(e.to_string(), "run 'nobody' does not exist");
    let run = target.attach(second.id().clone()).unwrap();
    run.log_param("only-there", 1).unwrap();
    source.attach(second.id().clone()).unwrap().log_param("only-there", 2).unwrap();
    let e = source.copy_runs(&ids, &target).await.unwrap_err();
    assert!(e.to_string().contains("is 1 already and cannot become 2"), "{e}");
    source.copy_runs(&ids, &source).await.unwrap_err();
}

#[tokio::test]
async fn an_operation_that_ended_just_before_its_cut_is_ended_by_the_next() {
    let (dir, store) = new_store();
    let run = log_everything(&store, "wine", 1);
    store.seal().await.unwrap();
    run.log_metric("loss", 2.0).unwrap();
    store.attach(run.id().clone()).unwrap().set_tag("late", "1").unwrap();
    let before = dump(&store).await;
    store.seal().await.unwrap();
    let cut = dir.path().join("s").join(layout::cut(2));
    let bytes = std::fs::read(&cut).unwrap();
    // Dead between the commits and the cut: readers are still at the state before, with the live records.
    std::fs::remove_file(&cut).unwrap();
    assert_same(&before, &dump(&store).await, "losing the cut");
    assert!(store.verify(false).await.unwrap().findings.is_empty());
    store.seal().await.unwrap();
    assert_eq!(std::fs::read(&cut).unwrap(), bytes, "whoever ends it ends it the same way");
    assert_same(&before, &dump(&store).await, "ending the operation");
}

#[tokio::test]
async fn names_of_files_and_columns_of_tables_need_not_fit_each_other() {
    let (_dir, store) = new_store();
    let run = store.start_run(RunOptions::new("e")).unwrap();
    // A file under the name of a folder, and a folder under that of a file.
    let mut logged = Vec::new();
    for path in ["a", "a/b", "c/d", "c", "a/b/c"] {
        logged.push(run.log_artifact_bytes(path, path.as_bytes()).unwrap());
    }
    for entry in &logged {
        let mut content = String::new();
        std::io::Read::read_to_string(&mut store.open_artifact(&entry.uri).unwrap(), &mut content).unwrap();
        assert_eq!(content, entry.path);
    }
    // Delta folds the case of all letters.
    for (name, value) in [("É", 1), ("é", 2)] {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
        run.log_table("t", &RecordBatch::try_from_iter([(name, column)]).unwrap()).unwrap();
        store.seal().await.unwrap();
    }
    run.finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    store.compact(2).await.unwrap();
    assert_eq!(dump(&store).await["frames.t"].len(), 2);
    assert_eq!(store.verify(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn a_run_that_begins_in_a_deleted_experiment_brings_it_back() {
    let (_dir, store) = new_store();
    let old = store.start_run(RunOptions::new("e").name("old")).unwrap();
    old.finish(Status::Finished).unwrap();
    for sealed in [false, true] {
        store.delete_experiment("e").unwrap();
        old.set_tag("late", "1").unwrap();
        if sealed {
            store.seal().await.unwrap();
        }
        assert!(!dump(&store).await.contains_key("runs"), "an edit of a run brings nothing back");
        store.start_run(RunOptions::new("e").name("new")).unwrap().finish(Status::Finished).unwrap();
        let shown = dump(&store).await;
        assert_eq!(shown["runs"].len(), if sealed { 3 } else { 2 });
        store.seal().await.unwrap();
        assert_eq!(dump(&store).await, shown);
    }
    store.gc(GcOptions::default()).await.unwrap();
    assert_eq!(dump(&store).await["runs"].len(), 3);
}
