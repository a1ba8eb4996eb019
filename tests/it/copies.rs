//! Copying runs into another store, with their artifacts, as often as one likes.

use runlake::{RunOptions, Status, Store};

use crate::ask::{now, one};
use crate::program::{done, runlake};

const QUESTIONS: [&str; 6] = [
    "SELECT run_id, experiment, name, status, start_time, end_time, config_id, feature_set, notes FROM runs ORDER BY 1",
    "SELECT run_id, key, value, type, num FROM params ORDER BY 1, 2",
    "SELECT run_id, key, context, step, x, time, value FROM metrics ORDER BY 1, 2, 3, 4, 6",
    "SELECT run_id, key, value FROM tags ORDER BY 1, 2",
    "SELECT run_id, path, size, digest FROM artifacts ORDER BY 1, 2",
    "SELECT run_id, key, step, time, kind, payload FROM series ORDER BY 1, 2, 3",
];

#[tokio::test]
async fn a_run_is_copied_with_its_artifacts_and_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let (source, target) = (Store::create(&from).unwrap(), Store::create(&to).unwrap());
    let run = source.start_run(RunOptions::new("e").name("best").notes("keep it")).unwrap();
    run.log_params([("lr", 0.1), ("C", f64::NAN)]).unwrap();
    for step in [3, 1, 1, 2] {
        run.log_metric_at("loss", if step == 2 { f64::NAN } else { step as f64 }, step).unwrap();
    }
    run.set_tag("owner", "ana").unwrap();
    run.log_text("log", 7, "text").unwrap();
    run.log_artifact_bytes("a/model.bin", b"one").unwrap();
    run.log_artifact_bytes("b/model.bin", b"").unwrap();
    run.finish(Status::Finished).unwrap();
    source.start_run(RunOptions::new("e").name("other")).unwrap().finish(Status::Finished).unwrap();
    source.seal().await.unwrap();

    for _ in 0..2 {
        done(runlake(&from).arg("copy").arg(run.id().as_str()).arg(&to));
        assert_eq!(one(&target, "SELECT count(*) FROM runs").await, "1");
        for question in QUESTIONS {
            let only = format!("SELECT * FROM ({question}) WHERE run_id = '{}'", run.id());
            assert_eq!(now(&target, &only).await, now(&source, &only).await, "{question}");
        }
        let copied = to.join("artifacts").join(run.id().as_str());
        assert_eq!(std::fs::read(copied.join("a/model.bin")).unwrap(), b"one");
        assert_eq!(std::fs::read(copied.join("b/model.bin")).unwrap(), b"");
        target.seal().await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_brings_a_deleted_run_back_once_and_leaves_edits_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) =
        (Store::create(dir.path().join("from")).unwrap(), Store::create(dir.path().join("to")).unwrap());
    let run = source.start_run(RunOptions::new("e").name("best").notes("theirs")).unwrap();
    run.log_metric_at("loss", 0.5, 1).unwrap();
    run.log_text("log", 1, "text").unwrap();
    run.set_tag("stage", "old").unwrap();
    run.finish(Status::Finished).unwrap();
    source.copy_runs(&[run.id().clone()], &target).await.unwrap();

    let there = target.attach(run.id().clone()).unwrap();
    there.set_tag("stage", "prod").unwrap();
    there.set_notes(Some("mine".into())).unwrap();
    target.delete_run(run.id()).unwrap();
    target.seal().await.unwrap();
    source.copy_runs(&[run.id().clone()], &target).await.unwrap();

    assert_eq!(one(&target, "SELECT count(*) FROM runs WHERE notes = 'mine' AND tags.stage = 'prod'").await, "1");
    assert_eq!(one(&target, "SELECT count(*) FROM metrics").await, "1");
    assert_eq!(one(&target, "SELECT count(*) FROM series").await, "1");
    assert_eq!(one(&target, "SELECT count FROM metric_stats").await, "1");
}
