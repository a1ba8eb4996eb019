//! Deleting hides, restoring shows again, gc takes for good.

use runlake::{GcOptions, Micros, RunOptions, Status, Store};

use crate::ask::{now, one, table};

/// A run with something in every table that a delete has to hide.
fn run(store: &Store, name: &str) -> runlake::Run {
    let run = store.start_run(RunOptions::new("e").name(name)).unwrap();
    run.log_param("lr", 0.1).unwrap();
    run.log_metric_at("loss", 0.5, 1).unwrap();
    run.set_tag("owner", "ana").unwrap();
    run.log_text("log", 0, "hello").unwrap();
    run.log_artifact_bytes("model.bin", b"weights").unwrap();
    run.finish(Status::Finished).unwrap();
    run
}

const TABLES: [&str; 7] = ["runs", "params", "metrics", "metric_stats", "tags", "series", "artifacts"];

async fn count_in_all_tables(store: &Store) -> Vec<String> {
    let session = store.session().await.unwrap();
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push(crate::ask::rows(&session, &format!("SELECT count(*) FROM {table}")).await[0][0].clone());
    }
    counts
}

#[tokio::test]
async fn a_deleted_run_is_hidden_in_every_table_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("s")).unwrap();
    let keep = run(&store, "keep");
    let gone = run(&store, "gone");
    assert_eq!(count_in_all_tables(&store).await, vec!["2"; 7]);
    store.delete_run(gone.id()).unwrap();
    assert_eq!(count_in_all_tables(&store).await, vec!["1"; 7]);
    store.seal().await.unwrap();
    assert_eq!(count_in_all_tables(&store).await, vec!["1"; 7]);
    store.restore_run(gone.id()).unwrap();
    assert_eq!(count_in_all_tables(&store).await, vec!["2"; 7]);
    store.seal().await.unwrap();
    assert_eq!(count_in_all_tables(&store).await, vec!["2"; 7]);
    store.delete_run(keep.id()).unwrap();
    assert_eq!(now(&store, "SELECT name FROM runs").await, table(&["gone"]));
}

#[tokio::test]
async fn a_deleted_experiment_takes_its_runs_along_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("s")).unwrap();
    run(&store, "a");
    store.start_run(RunOptions::new("other").name("b")).unwrap().finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    store.delete_experiment("e").unwrap();
    assert_eq!(now(&store, "SELECT name FROM runs").await, table(&["b"]));
    store.seal().await.unwrap();
    assert_eq!(now(&store, "SELECT name FROM runs").await, table(&["b"]));
    store.restore_experiment("e").unwrap();
    assert_eq!(now(&store, "SELECT name FROM runs ORDER BY name").await, table(&["a", "b"]));
}

#[tokio::test]
async fn gc_takes_deleted_runs_and_their_files_and_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::create(&path).unwrap();
    let keep = run(&store, "keep");
    let gone = run(&store, "gone");
    store.seal().await.unwrap();
    store.delete_run(gone.id()).unwrap();
    let report = store.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    assert_eq!(report.runs, 1);
    assert_eq!(count_in_all_tables(&store).await, vec!["1"; 7]);
    assert!(path.join("artifacts").join(keep.id().as_str()).join("model.bin").is_file());
    assert!(!path.join("artifacts").join(gone.id().as_str()).join("model.bin").exists());
    // It does not come back: neither by restoring it nor by a late record.
    store.restore_run(gone.id()).unwrap();
    store.attach(gone.id().clone()).unwrap().log_metric("loss", 9.0).unwrap();
    assert_eq!(one(&store, "SELECT count(*) FROM runs").await, "1");
    store.seal().await.unwrap();
    assert_eq!(count_in_all_tables(&store).await, vec!["1"; 7]);
}
