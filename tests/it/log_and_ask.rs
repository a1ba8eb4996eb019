//! A user logs a run and asks about it, from this process and from another one.

use runlake::{
    DataVersion, Feature, Goal, Link, Metrics, Micros, ParamValue, RunId, RunOptions, Status, Store, StoreError,
};
use serde_json::json;

use crate::ask::{now, one, table};
use crate::program::{done, runlake};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    (dir, store)
}

fn feature(name: &str, used: bool) -> Feature {
    Feature {
        feature: name.to_string(),
        position: None,
        dtype: Some("float64".to_string()),
        used,
        importance: used.then_some(0.5),
        importance_kind: used.then(|| "gini".to_string()),
        feature_tags: vec!["lab".to_string()],
        description: None,
    }
}

#[tokio::test]
async fn everything_a_run_holds_can_be_asked_for() {
    let (_dir, store) = store();
    let member = store.start_run(RunOptions::new("churn").name("member")).unwrap();
    member.finish(Status::Finished).unwrap();
    let run = store
        .start_run(
            RunOptions::new("churn")
                .name("gbm-3")
                .user("ana")
                .host("lab-1")
                .command("python train.py")
                .git("abc123", Some("main".into()), Some(true))
                .notes("first try"),
        )
        .unwrap();
    run.log_params([("lr", ParamValue::from(0.1)), ("model", "gbm".into()), ("depth", 6.into())]).unwrap();
    store.set_goal("churn", "auc", Goal::Max).unwrap();
    for (step, auc) in [0.6, 0.9, 0.8].into_iter().enumerate() {
        run.log_metrics(Metrics::new().value("auc", auc).value("loss", 1.0 - auc).step(step as i64)).unwrap();
    }
    let fold = json!({"split": "test", "fold": 1});
    run.log_metrics(Metrics::new().value("auc", 0.7).context(fold.as_object().unwrap())).unwrap();
    run.set_tag("owner", "ana").unwrap();
    run.set_bare_tag("keep").unwrap();
    run.set_tag("gone", "x").unwrap();
    run.remove_tag("gone").unwrap();
    run.add_comment(Some("ben".into()), "looks good").unwrap();
    run.log_features(vec![feature("age", true), feature("noise", false), feature("income", true)]).unwrap();
    run.log_data(DataVersion {
        dataset: "customers".into(),
        role: "training".into(),
        digest: Some("d1".into()),
        data_version: Some("v3".into()),
        source: None,
        n_rows: Some(1000),
        n_columns: Some(3),
        bytes: None,
        data_schema: None,
    })
    .unwrap();
    run.log_packages(vec![("numpy".into(), "2.0".into())]).unwrap();
    run.log_environment(vec![("python".into(), "3.12".into())]).unwrap();
    run.log_link(Link {
        target: member.id().clone(),
        kind: "member".into(),
        position: Some(0),
        weight: Some(0.5),
        step: None,
    })
    .unwrap();
    run.log_text("note", 1, "hello").unwrap();
    run.log_histogram("weights", 2, &[0.0, 0.5, 1.0], &[3.0, 4.0]).unwrap();
    run.log_artifact_bytes("a/empty.bin", b"").unwrap();
    run.log_artifact_bytes("b/empty.bin", b"\x00\x01").unwrap();
    run.finish(Status::Finished).unwrap();

    // The same answers while it is live and after sealing.
    for sealed in [false, true] {
        if sealed {
            store.seal().await.unwrap();
        }
        let ask = async |sql: &str| now(&store, sql).await;
        let wide =
            "SELECT experiment, name, status, user, git_commit, git_dirty, params.lr, params.model, params.depth,
                           metrics.auc, metrics_max.auc, best.auc, tags.owner, data.training, n_features, notes
                    FROM runs WHERE name = 'gbm-3'";
        assert_eq!(
            ask(wide).await,
            table(&["churn|gbm-3|FINISHED|ana|abc123|true|0.1|gbm|6|0.8|0.9|0.9|ana|d1|2|first try"])
        );
        assert_eq!(
            ask("SELECT key, value, type, num FROM params ORDER BY key").await,
            table(&["depth|6|int|6.0", "lr|0.1|float|0.1", "model|gbm|text|NULL"])
        );
        assert_eq!(
            ask("SELECT context, step, value FROM metrics WHERE key = 'auc' ORDER BY context NULLS FIRST, step").await,
            table(&[r#"NULL|0|0.6"#, "NULL|1|0.9", "NULL|2|0.8", r#"{"fold":1,"split":"test"}|NULL|0.7"#])
        );
        assert_eq!(
            ask(
                "SELECT last, first, min, max, count, max_step FROM metric_stats WHERE key = 'auc' AND context IS NULL"
            )
            .await,
            table(&["0.8|0.6|0.6|0.9|3|1"])
        );
        assert_eq!(ask("SELECT key, value FROM tags ORDER BY key").await, table(&["keep|NULL", "owner|ana"]));
        assert_eq!(ask("SELECT author, comment FROM comments").await, table(&["ben|looks good"]));
        assert_eq!(
            ask("SELECT feature, position, used, importance FROM features ORDER BY position").await.len(),
            3,
            "used or not, every feature has a row"
        );
        assert_eq!(
            ask("SELECT dataset, role, data_version FROM data_versions").await,
            table(&["customers|training|v3"])
        );
        assert_eq!(ask("SELECT package, package_version FROM packages").await, table(&["numpy|2.0"]));
        assert_eq!(ask("SELECT key, value FROM environment").await, table(&["python|3.12"]));
        assert_eq!(
            ask("SELECT m.name, l.kind, l.weight FROM links l JOIN runs m ON m.run_id = l.target_run_id").await,
            table(&["member|member|0.5"])
        );
        assert_eq!(
            ask("SELECT key, step, kind FROM series ORDER BY key").await,
            table(&["note|1|text", "weights|2|histogram"])
        );
        assert_eq!(
            ask("SELECT path, size FROM artifacts ORDER BY path").await,
            table(&["a/empty.bin|0", "b/empty.bin|2"])
        );
        assert_eq!(ask("SELECT experiment, lifecycle FROM experiments").await, table(&["churn|active"]));
        assert_eq!(ask("SELECT key, goal, source FROM metric_defs").await, table(&["auc|max|declared"]));
    }
}

#[tokio::test]
async fn a_param_is_set_once() {
    let (_dir, store) = store();
    let run = store.start_run(RunOptions::new("e")).unwrap();
    run.log_param("lr", 0.1).unwrap();
    run.log_param("lr", 0.1).unwrap();
    let error = run.log_param("lr", 0.2).unwrap_err();
    assert!(matches!(error, StoreError::ParamConflict { .. }));
    let text = error.to_string();
    assert!(text.contains("0.1") && text.contains("0.2") && text.contains("lr"), "{text}");
    assert_eq!(one(&store, "SELECT params.lr FROM runs").await, "0.1");
}

#[tokio::test]
async fn a_logged_table_is_read_over_all_runs() {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    let (_dir, store) = store();
    for name in ["a", "b"] {
        let run = store.start_run(RunOptions::new("e").name(name)).unwrap();
        let schema = Schema::new(vec![
            Field::new("row_id", DataType::Int64, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("prediction", DataType::Float64, true),
        ]);
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from(vec![1, 2])),
                Arc::new(StringArray::from(vec!["test", "test"])),
                Arc::new(Float64Array::from(vec![Some(0.25), None])),
            ],
        )
        .unwrap();
        run.log_table("predictions", &batch).unwrap();
        run.finish(Status::Finished).unwrap();
    }
    let sql =
        "SELECT r.name, p.row_id, p.prediction FROM frames.predictions p JOIN runs r USING (run_id) ORDER BY 1, 2";
    let expected = table(&["a|1|0.25", "a|2|NULL", "b|1|0.25", "b|2|NULL"]);
    assert_eq!(now(&store, sql).await, expected);
    store.seal().await.unwrap();
    assert_eq!(now(&store, sql).await, expected);
}

#[tokio::test]
async fn another_handle_attaches_to_a_run() {
    let (dir, store) = store();
    let run = store.start_run(RunOptions::new("e").name("shared")).unwrap();
    run.log_metric_at("loss", 1.0, 0).unwrap();
    let other = Store::open(dir.path().join("store")).unwrap();
    let attached = other.attach(run.id().clone()).unwrap();
    attached.log_metric_at("loss", 0.5, 1).unwrap();
    attached.set_tag("seen", "yes").unwrap();
    run.finish(Status::Finished).unwrap();
    assert_eq!(
        now(&store, "SELECT name, status, metrics.loss, tags.seen FROM runs").await,
        table(&["shared|FINISHED|0.5|yes"])
    );
    assert_eq!(one(&store, "SELECT count(*) FROM metrics").await, "2");
}

#[tokio::test]
async fn an_experiment_is_renamed_and_its_runs_follow() {
    let (_dir, store) = store();
    store.start_run(RunOptions::new("old")).unwrap().finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    store.rename_experiment("old", "new").unwrap();
    assert_eq!(one(&store, "SELECT experiment FROM runs").await, "new");
    store.seal().await.unwrap();
    assert_eq!(one(&store, "SELECT experiment FROM runs").await, "new");
    assert_eq!(one(&store, "SELECT experiment FROM experiments").await, "new");
    assert!(matches!(store.rename_experiment("old", "x"), Err(StoreError::ExperimentNotFound { .. })));
}

#[tokio::test]
async fn the_past_can_be_asked() {
    let (_dir, store) = store();
    store.start_run(RunOptions::new("e").name("first")).unwrap().finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    let then = Micros::now();
    let late = store.start_run(RunOptions::new("e").name("second")).unwrap();
    late.finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    let options = runlake::SessionOptions { as_of: Some(then.into()), ..Default::default() };
    let session = store.session_with(options).await.unwrap();
    assert_eq!(crate::ask::rows(&session, "SELECT name FROM runs").await, table(&["first"]));
    assert_eq!(one(&store, "SELECT count(*) FROM runs").await, "2");
}

#[test]
fn writing_needs_no_async_runtime_and_is_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Store>();
    shared::<runlake::Run>();
    let (_dir, store) = store();
    let run = store.start_run(RunOptions::new("e").id(RunId::parse("imported-1").unwrap())).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let run = run.clone();
            std::thread::spawn(move || {
                for step in 0..100 {
                    run.log_metric_at(format!("m{t}"), step as f64, step).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    run.finish(Status::Finished).unwrap();
    let rows = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(now(&store, "SELECT key, count(*), max(value) FROM metrics GROUP BY key ORDER BY key"));
    assert_eq!(rows, table(&["m0|100|99.0", "m1|100|99.0", "m2|100|99.0", "m3|100|99.0"]));
}

/// A running script never seals, so whoever asks does, where much has piled up.
#[test]
fn what_has_piled_up_is_sealed_by_whoever_reads_it() {
    let (dir, store) = store();
    let root = dir.path().join("store");
    let run = store.start_run(RunOptions::new("e")).unwrap();
    let live = || {
        let files = std::fs::read_dir(root.join("live")).unwrap().map(|entry| entry.unwrap().path());
        let segments = files.filter(|path| path.extension().is_some_and(|ending| ending == "seg"));
        segments.map(|path| std::fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    let points = "SELECT count(*) AS points FROM metrics";
    let ask = |options: &[&str]| done(runlake(&root).args(["sql", "--format", "csv", "-c", points]).args(options));
    let step = |step: i64| run.log_metric_at("loss", 0.5, step).unwrap();
    (0..1_000).for_each(step);
    assert_eq!(ask(&[]), "points\n1000\n");
    assert!(!root.join("cuts").exists(), "little is read as it is");
    (1_000..150_000).for_each(step);
    store.flush().unwrap();
    assert!(live() > 4 << 20);
    assert_eq!(ask(&[]), "points\n150000\n");
    assert_eq!(ask(&["--as-of", "1"]), "points\n150000\n");
    step(150_000);
    assert_eq!(ask(&[]), "points\n150001\n");
    run.finish(Status::Finished).unwrap();
    assert_eq!(ask(&[]), "points\n150001\n");
}
