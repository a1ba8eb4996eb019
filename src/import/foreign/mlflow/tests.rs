//! Both forms, written by hand with everything that was ever found in one. `tests/import/compare_mlflow.py` has MLflow itself
//! write them, and compares.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::testing::{added, bring, noted, nothing_is_missing, rows, walk, write};
use super::super::{ImportReport, Item, Kind, Out};
use super::*;
use crate::Store;

const RUN: &str = "0a11223344556677889900aabbccddee";

fn run_meta(id: &str, status: &str, end: &str, stage: &str) -> String {
    format!(
        "artifact_uri: file:///gone/{id}/artifacts\nend_time: {end}\nentry_point_name: ''\nexperiment_id: '1'\n\
         lifecycle_stage: {stage}\nname: ''\nrun_id: {id}\nrun_uuid: {id}\nsource_name: ''\nsource_type: 4\n\
         source_version: ''\nstart_time: 1600000000000\nstatus: {status}\ntags: []\nuser_id: ana\n"
    )
}

fn experiment_meta(id: &str, name: &str, place: &str) -> String {
    format!("artifact_location: {place}\nexperiment_id: '{id}'\nlifecycle_stage: active\nname: {name}\n")
}

/// A tree with every trap that has been seen.
fn tree_in(root: &Path) {
    write(&root.join("1/meta.yaml"), experiment_meta("1", "churn", "file:///gone/1"));
    write(&root.join("1/tags/mlflow.note.content"), "about churn");
    write(&root.join(".DS_Store"), [0xff, 0]);
    write(&root.join("1/.DS_Store"), [0xff, 0]);
    let run = root.join("1").join(RUN);
    write(&run.join("meta.yaml"), run_meta(RUN, "3", "1600000009000", "active"));
    for (key, value) in [
        ("lr", "1e-05"),
        ("deep/er/key", "x"),
        ("empty", ""),
        ("none", "None"),
        ("flag", "True"),
        ("zip", "00501"),
        ("n", "12"),
    ] {
        write(&run.join("params").join(key), value);
    }
    for (key, value) in [
        ("mlflow.runName", "gbm-3"),
        ("mlflow.user", "ben"),
        ("mlflow.source.name", "train.py"),
        ("mlflow.source.git.commit", "abc123"),
        ("mlflow.parentRunId", "ffff"),
        ("mlflow.note.content", "good one"),
        ("team/owner", "ana"),
    ] {
        write(&run.join("tags").join(key), value);
    }
    write(&run.join("metrics/loss"), "1600000001000 0.5 0\n1600000002000 nan 1\n1600000003000 -inf 2\n");
    write(&run.join("metrics/old"), "1600000001000 0.25\n");
    write(&run.join("metrics/val/auc"), "1600000001000 0.9 1 my data set d1gest\n1600000001500 0.8 2 plain d2\n");
    write(&run.join("metrics/torn"), "1600000001000 1.0 1\n1600000002000 oops 2\n1600000003000 3.0 3");
    write(&run.join("artifacts/model/weights.bin"), [0, 1, 2, 255]);
    write(
        &run.join("inputs/i1/meta.yaml"),
        "source_type: DATASET\nsource_id: d1\ntags:\n  mlflow.data.context: training\n",
    );
    write(
        &run.join("inputs/i2/meta.yaml"),
        "source_type: DATASET\nsource_id: d2\ntags:\n  mlflow.data.context: training\n",
    );
    write(&run.join("inputs/i3/meta.yaml"), "source_type: MODEL\nsource_id: m-1\ntags: {}\n");
    for (id, digest) in [("d1", "aaa"), ("d2", "bbb")] {
        write(
            &root.join("1/datasets").join(id).join("meta.yaml"),
            format!(
                "digest: {digest}\nname: dataset\nprofile: '{{\"num_rows\": 7, \"mean\": NaN}}'\nschema: null\nsource: s\nsource_type: local\n"
            ),
        );
    }
    write(&run.join("outputs/m-1/meta.yaml"), "source_type: RUN_OUTPUT\nsource_id: m-1\nstep: 4\ntags: {}\n");
    let model = root.join("1/models/m-1");
    write(
        &model.join("meta.yaml"),
        format!("model_id: m-1\nname: tree\nstatus: 2\nsource_run_id: {RUN}\ncreation_timestamp: 1600000000000\n"),
    );
    write(&model.join("params/depth"), "3");
    write(
        &model.join("metrics/auc"),
        format!("1600000001000 0.9 1 {RUN} my data set d1gest\n1600000001000 0.7 1 {RUN}\n"),
    );
    write(
        &root.join("1/models/m-2/meta.yaml"),
        "model_id: m-2\nname: orphan\nstatus: 1\ncreation_timestamp: 1600000000000\n",
    );
    // Never ended; deleted; in the trash; unreadable; in a second root.
    write(&root.join("1/running/meta.yaml"), run_meta("running", "1", "null", "active"));
    write(&root.join("1/running/metrics/loss"), "1600000001000 0.5 0\n1600000002000 0.25 1");
    write(&root.join("1/gone/meta.yaml"), run_meta("gone", "5", "1600000001000", "deleted"));
    write(&root.join(".trash/7/meta.yaml"), experiment_meta("7", "dropped", "file:///gone/7"));
    write(&root.join(".trash/7/inside/meta.yaml"), run_meta("inside", "4", "1600000001000", "active"));
    write(&root.join("1/broken/meta.yaml"), "run_id: [1, 2");
    write(&root.join("2/mlruns/5/meta.yaml"), experiment_meta("5", "second", "file:///gone/5"));
    write(&root.join("2/mlruns/5/nested/meta.yaml"), run_meta("nested", "FINISHED", "1600000001000", "active"));
    write(&root.join("1/running/tags/bad"), [0xc3, 0x28]);
    std::os::unix::fs::symlink("/etc/hostname", run.join("artifacts/link")).unwrap();
}

#[tokio::test]
async fn a_folder_comes_along_whole_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (root, home) = (dir.path().join("mlruns"), dir.path().join("store"));
    tree_in(&root);
    let store = Store::create(&home).unwrap();
    let report = bring(&root, &store).await;
    let lost: Vec<&str> = report.skipped.iter().filter(|s| s.is_loss).map(|s| s.place.as_str()).collect();
    assert_eq!(report.losses(), 4, "{lost:#?}");
    for part in ["artifacts/link", "metrics/torn line 2", "broken/meta.yaml", "running/tags/bad"] {
        assert!(lost.iter().any(|place| place.ends_with(part)), "{part} in {lost:#?}");
    }
    let check = async || {
        for (sql, expected) in [
            (
                "SELECT run_id, experiment, name, status, user, command, git_commit, parent_run_id, notes, n FROM \
                 (SELECT *, params.n AS n FROM runs) WHERE name = 'gbm-3'",
                vec!["0a11223344556677889900aabbccddee|churn|gbm-3|FINISHED|ben|train.py|abc123|ffff|good one|12"],
            ),
            (
                "SELECT run_id, status, end_time IS NULL FROM runs WHERE run_id <> '0a11223344556677889900aabbccddee' \
                 AND name IS NULL ORDER BY 1",
                vec!["nested|FINISHED|false", "running|RUNNING|true"],
            ),
            (
                "SELECT key, value, type, num FROM params ORDER BY key",
                vec![
                    "deep/er/key|x|text|NULL",
                    "empty||text|NULL",
                    "flag|True|bool|NULL",
                    "lr|1e-05|float|0.00001",
                    "n|12|int|12.0",
                    "none|None|text|NULL",
                    "zip|00501|text|NULL",
                ],
            ),
            (
                "SELECT key, step, value FROM metrics WHERE run_id LIKE '0a%' ORDER BY 1, 2",
                vec![
                    "loss|0|0.5",
                    "loss|1|NaN",
                    "loss|2|-inf",
                    "old|0|0.25",
                    "torn|1|1.0",
                    "torn|3|3.0",
                    "val/auc|1|0.9",
                    "val/auc|2|0.8",
                ],
            ),
            ("SELECT step, value FROM metrics WHERE run_id = 'running'", vec!["0|0.5"]),
            ("SELECT params.lr, params.flag FROM runs WHERE params.lr IS NOT NULL", vec!["0.00001|true"]),
            (
                "SELECT dataset, role, digest, n_rows FROM data_versions ORDER BY 1",
                vec!["dataset|training|aaa|7", "dataset@bbb|training|bbb|7"],
            ),
            (
                "SELECT key, step, dataset, digest FROM frames.mlflow_metric_datasets ORDER BY step",
                vec!["val/auc|1|my data set|d1gest", "val/auc|2|plain|d2"],
            ),
            (
                "SELECT model_id, direction, step FROM frames.mlflow_model_uses ORDER BY 2",
                vec!["m-1|input|NULL", "m-1|output|4"],
            ),
            (
                "SELECT model_id, name, status, params FROM frames.mlflow_models ORDER BY 1",
                vec!["m-1|tree|READY|{\"depth\":\"3\"}", "m-2|orphan|PENDING|{}"],
            ),
            (
                "SELECT key, value, dataset, digest FROM frames.mlflow_model_metrics ORDER BY value",
                vec!["auc|0.7|NULL|NULL", "auc|0.9|my data set|d1gest"],
            ),
            ("SELECT path, size FROM artifacts", vec!["model/weights.bin|4"]),
            ("SELECT experiment FROM experiments ORDER BY 1", vec!["churn", "second"]),
        ] {
            assert_eq!(rows(&store, sql).await, expected, "{sql}");
        }
    };
    check().await;
    let deleted: Vec<String> = store.deleted_runs().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(deleted, ["gone"]);

    // Again, live and sealed: nothing doubles.
    assert_eq!(added(&bring(&root, &store).await), []);
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    assert_eq!(added(&bring(&root, &store).await), []);
    check().await;
    let findings = store.verify(false).await.unwrap().findings;
    assert!(findings.is_empty(), "{findings:?}");
}

#[tokio::test]
async fn what_changes_in_the_source_is_followed_and_what_was_added_here_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (root, home) = (dir.path().join("mlruns"), dir.path().join("store"));
    tree_in(&root);
    let store = Store::create(&home).unwrap();
    bring(&root, &store).await;
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    let (run, running) = (root.join("1").join(RUN), root.join("1/running"));
    let here = store.attach(RUN.parse_id()).unwrap();
    here.set_tag("mine", "1").unwrap();

    write(&running.join("metrics/loss"), "1600000001000 0.5 0\n1600000002000 0.25 1\n1600000002000 0.25 1\n");
    write(&running.join("meta.yaml"), run_meta("running", "3", "1600000004000", "active"));
    write(&run.join("tags/mlflow.runName"), "gbm-3b");
    write(&run.join("tags/team/owner"), "eva");
    write(&run.join("artifacts/model/weights.bin"), [0, 1, 2, 254]);
    // An ended run that goes on.
    write(&root.join("2/mlruns/5/nested/meta.yaml"), run_meta("nested", "1", "null", "active"));
    let report = bring(&root, &store).await;
    assert_eq!(
        added(&report),
        [("facts of runs", 3), ("metric points", 2), ("tags", 2), ("artifacts", 1)],
        "{:?}",
        report.skipped
    );
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    assert_eq!(added(&bring(&root, &store).await), []);
    let tags = "SELECT name, tags.mine, tags['team/owner'] FROM runs WHERE run_id LIKE '0a%'";
    assert_eq!(rows(&store, tags).await, ["gbm-3b|1|eva"]);
    let running = "SELECT run_id, status, end_time FROM runs WHERE run_id IN ('running', 'nested') ORDER BY 1";
    assert_eq!(rows(&store, running).await, ["nested|RUNNING|NULL", "running|FINISHED|2020-09-13T12:26:44Z"]);
    assert_eq!(rows(&store, "SELECT count(*) FROM metrics WHERE run_id = 'running'").await, ["3"]);
}

trait ParseId {
    fn parse_id(&self) -> crate::RunId;
}

impl ParseId for str {
    fn parse_id(&self) -> crate::RunId {
        crate::RunId::parse(self).unwrap()
    }
}

/// A database as MLflow 1.0 made it: no NaN, no run names of its own, no data sets.
fn database_of_1_0(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT, lifecycle_stage TEXT);
         CREATE TABLE runs (run_uuid TEXT, name TEXT, source_type TEXT, source_name TEXT, entry_point_name TEXT,
           user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT, source_version TEXT, lifecycle_stage TEXT,
           artifact_uri TEXT, experiment_id INTEGER);
         CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
         CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT);
         CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
         INSERT INTO experiments VALUES (0, 'Default', './mlruns/0', 'active'), (1, 'old', './mlruns/1', 'deleted');
         INSERT INTO runs VALUES ('r1', '', 'LOCAL', 'main.py', 'main', 'ana', 'FINISHED', 1500000000000, 1500000001000,
           'c0ffee', 'active', './mlruns/0/r1/artifacts', 0);
         INSERT INTO runs VALUES ('r2', '', 'LOCAL', '', '', 'ana', 'RUNNING', 1500000000000, NULL, '', 'deleted', '/etc', 1);
         INSERT INTO tags VALUES ('mlflow.runName', 'first', 'r1');
         INSERT INTO params VALUES ('alpha', '0.50', 'r1');
         INSERT INTO metrics VALUES ('rmse', 0.5, 1500000000500, 'r1', 0), ('rmse', 1.7976931348623157e308, 1500000000600, 'r1', 1);
         INSERT INTO metrics VALUES ('rmse', 'text', 1500000000700, 'r1', 2);",
    )
    .unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_generation_comes_along() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    database_of_1_0(&file);
    write(&dir.path().join("mlruns/0/r1/artifacts/a.txt"), "hello");
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&file, &store).await;
    assert_eq!(report.losses(), 1, "{:?}", report.skipped);
    assert_eq!(
        rows(
            &store,
            "SELECT run_id, name, user, command, git_commit, status, params_text.alpha, params.alpha FROM runs"
        )
        .await,
        ["r1|first|ana|main.py|c0ffee|FINISHED|0.50|0.5"]
    );
    assert_eq!(rows(&store, "SELECT step, value FROM metrics ORDER BY 1").await, ["0|0.5", "1|inf"]);
    assert_eq!(rows(&store, "SELECT run_id, path FROM artifacts").await, ["r1|a.txt"], "and nothing of /etc");
    assert_eq!(added(&bring(&file, &store).await), []);
}

#[tokio::test]
async fn a_database_is_read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    database_of_1_0(&file);
    let writer = rusqlite::Connection::open(&file).unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO params VALUES ('late', '1', 'r1')").unwrap();
    bring(&file, &store).await;
    assert_eq!(rows(&store, "SELECT key FROM params ORDER BY 1").await, ["alpha"]);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(added(&bring(&file, &store).await), [("params", 1)]);
}

#[tokio::test]
async fn roots_within_roots_come_along_and_what_lies_too_deep_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mlruns");
    let experiment = |place: &str, name: &str, run: &str| {
        write(&root.join(place).join("meta.yaml"), experiment_meta("1", name, &format!("file:///gone/{name}")));
        write(&root.join(place).join(run).join("meta.yaml"), run_meta(run, "3", "1600000001000", "active"));
        write(&root.join(place).join(run).join("params/lr"), "0.1");
    };
    experiment("1", "outer", "r1");
    experiment("1/mlruns/2", "in an experiment", "r2");
    experiment("1/mlruns/2/mlruns/3", "in one of that", "r3");
    experiment("notes/old/mlruns/4", "in a folder", "r4");
    experiment("notes/old/mlruns/.trash/5", "in its trash", "r5");
    // What a run keeps is a file of it, whatever it looks like.
    experiment("1/r1/artifacts/mlruns/6", "in a run", "r6");
    experiment("a/b/c/d/e/f/mlruns/7", "too deep", "r7");
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&root, &store).await;
    assert_eq!(report.losses(), 0, "{:?}", report.skipped);
    let notes = noted(&report);
    for said in [
        "1/mlruns: it is a second",
        "2/mlruns: it is a second",
        "old/mlruns: it is a second",
        "mlruns/a: it is no experiment",
    ] {
        assert!(notes.iter().any(|note| note.contains(said)), "{said} in {notes:#?}");
    }
    assert_eq!(
        rows(&store, "SELECT run_id, experiment, params.lr FROM runs ORDER BY 1").await,
        ["r1|outer|0.1", "r2|in an experiment|0.1", "r3|in one of that|0.1", "r4|in a folder|0.1"]
    );
    // The one in the trash is hidden with its experiment.
    assert_eq!(report.added[Kind::Runs], 5);
    assert_eq!(rows(&store, "SELECT count(*) FROM artifacts WHERE run_id = 'r1'").await, ["3"]);
    nothing_is_missing(&root, &store).await;
}

#[tokio::test]
async fn two_stores_with_an_experiment_of_one_name_do_not_fight() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let roots = ["a", "b"].map(|name| dir.path().join(name));
    for (root, run) in roots.iter().zip(["ra", "rb"]) {
        let place = format!("file://{}", root.display());
        write(&root.join("0/meta.yaml"), experiment_meta("0", "Default", &place));
        write(&root.join("0").join(run).join("meta.yaml"), run_meta(run, "3", "1600000001000", "active"));
        bring(root, &store).await;
    }
    for root in &roots {
        assert_eq!(added(&bring(root, &store).await), []);
    }
    assert_eq!(rows(&store, "SELECT experiment, count(*) FROM runs GROUP BY 1").await, ["Default|2"]);
}

#[tokio::test]
async fn a_deleted_experiment_does_not_hide_one_of_its_name_that_was_here_before() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mlruns");
    tree_in(&root);
    let store = Store::create(dir.path().join("store")).unwrap();
    store.start_run(crate::RunOptions::new("dropped").name("mine")).unwrap().finish(crate::Status::Finished).unwrap();
    for _ in 0..2 {
        bring(&root, &store).await;
        let sql = "SELECT name FROM runs WHERE experiment = 'dropped'";
        assert_eq!(rows(&store, sql).await, ["mine"], "and its own run is hidden");
        store.close_segment().unwrap();
        store.seal().await.unwrap();
    }
    assert_eq!(added(&bring(&root, &store).await), []);
}

#[tokio::test]
async fn what_the_store_cannot_take_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mlruns");
    for place in ["1", "2/mlruns/1"] {
        write(&root.join(place).join("meta.yaml"), experiment_meta("1", "churn", "file:///gone/1"));
        write(&root.join(place).join("r/meta.yaml"), run_meta("r", "3", "1600000001000", "active"));
        write(&root.join(place).join("r/params/_"), "the tables use that name");
        write(&root.join(place).join("r/params/lr"), "0.1");
    }
    let store = Store::create(dir.path().join("store")).unwrap();
    let told = |report: &ImportReport| {
        let lost = report.skipped.iter().filter(|s| s.is_loss);
        lost.map(|s| s.reason.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&bring(&root, &store).await),
        [
            "'_' cannot name a param: the tables use it themselves",
            "run 'r' stands in the source more than once; the first one was taken"
        ]
    );
    // A param is set once: what the source says later is told, and the first value stays.
    write(&root.join("1/r/params/lr"), "0.2");
    let report = bring(&root, &store).await;
    assert!(told(&report).iter().any(|reason| reason.contains("0.1") && reason.contains("0.2")), "{:?}", told(&report));
    assert_eq!(rows(&store, "SELECT key, value FROM params").await, ["lr|0.1"]);
    assert_eq!(added(&report), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_hide_nothing_else(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        tree_in(dir.path());
        let mut files = Vec::new();
        let mut nothing = |_| true;
        tree::files_below(dir.path(), &mut Out::new(&mut nothing), |key, path, size, _| {
            if size > 0 && !key.starts_with("1/meta") { files.push(path.to_path_buf()) }
        });
        let path = file.get(&files);
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        fs::write(path, bytes).unwrap();
        let items = walk(&files::Folder::new(dir.path()));
        let runs = items.iter().filter(|item| matches!(item, Item::Run(_))).count();
        // All of them but the one that was hit.
        prop_assert!(runs >= 5, "{runs} runs after damage to {}", path.display());
    }

    #[test]
    fn a_damaged_database_is_an_error_or_an_answer(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mlflow.db");
        database_of_1_0(&file);
        let mut bytes = fs::read(&file).unwrap();
        for (at, byte) in hits { let at = at.index(bytes.len()); bytes[at] = byte; }
        bytes.truncate(cut.index(bytes.len()).max(512));
        fs::write(&file, bytes).unwrap();
        if let Ok(Some(database)) = database::Database::recognise(&file) {
            walk(&database);
        }
    }
}

#[test]
fn paths_that_lead_out_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mlruns");
    write(&root.join("1/meta.yaml"), experiment_meta("1", "churn", "file:///gone/1"));
    write(&dir.path().join("secret/meta.yaml"), "name: secret\ndigest: x\n");
    fs::create_dir_all(root.join("1/datasets")).unwrap();
    let run = root.join("1/r");
    write(&run.join("meta.yaml"), run_meta("../../../r", "3", "1600000001000", "active"));
    write(&run.join("inputs/i/meta.yaml"), "source_type: DATASET\nsource_id: ../../../secret\ntags: {}\n");
    let items = walk(&files::Folder::new(&root));
    let Some(Item::Run(run)) = items.iter().find(|item| matches!(item, Item::Run(_))) else { panic!("no run") };
    assert!(run.data.is_empty());
    assert_eq!(run.start.run.as_str().len(), 32, "an id that could be a path is derived anew");
    assert!(run.environment.contains(&("mlflow.run_id".to_string(), "../../../r".to_string())));
}

#[tokio::test]
async fn rows_that_no_database_of_mlflow_has_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    database_of_1_0(&file);
    let db = rusqlite::Connection::open(&file).unwrap();
    let run = |id: &str, start: &str, experiment: i64| {
        let values = format!("{id}, '', '', '', '', 'ana', 'FINISHED', {start}, NULL, '', 'active', '', {experiment}");
        db.execute_batch(&format!("INSERT INTO runs VALUES ({values})")).unwrap();
    };
    run("x'00ff01'", "1500000000000", 0);
    run("''", "1500000000000", 0);
    run("'r3'", "'hello'", 0);
    run("'r4'", "1500000000000", 9);
    // Wrong bytes that lie before r1 in the database and behind all others once they are replaced.
    run("CAST(x'c3' AS TEXT)", "1500000000000", 0);
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&file, &store).await;
    let told: Vec<String> = report.skipped.iter().map(|s| format!("{}: {}", s.place, s.reason)).collect();
    for part in [
        "table 'runs': 2 of its rows have no id, or one that is no text",
        "run 'r3': start_time 'hello' is no time in milliseconds",
        "run 'r4': there is no experiment 9",
    ] {
        assert!(told.iter().any(|told| told.starts_with(part)), "{part}: {told:?}");
    }
    assert_eq!(rows(&store, "SELECT experiment FROM runs WHERE run_id = 'r4'").await, ["9"]);
}

#[tokio::test]
async fn what_is_restored_in_the_source_is_told_and_stays_as_it_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    database_of_1_0(&file);
    let store = Store::create(dir.path().join("store")).unwrap();
    bring(&file, &store).await;
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("UPDATE runs SET lifecycle_stage = 'active'; UPDATE experiments SET lifecycle_stage = 'active'")
        .unwrap();
    let report = bring(&file, &store).await;
    let told: Vec<String> =
        report.skipped.iter().filter(|s| !s.is_loss).map(|s| format!("{}: {}", s.place, s.reason)).collect();
    for place in ["run 'r2'", "experiment 'old'"] {
        assert!(
            told.contains(&format!("{place}: is deleted here and not there; it shows once it is restored here")),
            "{told:?}"
        );
    }
    store.restore_experiment("old").unwrap();
    store.restore_run(&"r2".parse_id()).unwrap();
    assert_eq!(rows(&store, "SELECT run_id FROM runs ORDER BY 1").await, ["r1", "r2"]);
}
