//! Databases of several generations, made by hand. `tests/import/compare_optuna.py` has Optuna itself write them, and compares.

use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::testing::{added, bring, only_source, told, walked};
use super::super::{IntakeOptions, Kind, Out, import, open};
use crate::Store;
use crate::store::{ForeignExperiment, ForeignRun};

/// The tables of 3.2 and later.
const NEW: &str = "
    CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR);
    CREATE TABLE version_info (version_info_id INTEGER, schema_version INTEGER, library_version VARCHAR);
    CREATE TABLE study_directions (study_id INTEGER, direction VARCHAR, objective INTEGER);
    CREATE TABLE study_user_attributes (study_id INTEGER, key VARCHAR, value_json TEXT);
    CREATE TABLE study_system_attributes (study_id INTEGER, key VARCHAR, value_json TEXT);
    CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR,
        datetime_start DATETIME, datetime_complete DATETIME);
    CREATE TABLE trial_user_attributes (trial_id INTEGER, key VARCHAR, value_json TEXT);
    CREATE TABLE trial_system_attributes (trial_id INTEGER, key VARCHAR, value_json TEXT);
    CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR, param_value FLOAT, distribution_json TEXT);
    CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value FLOAT, value_type VARCHAR);
    CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER, intermediate_value FLOAT,
        intermediate_value_type VARCHAR);
    CREATE TABLE trial_heartbeats (trial_id INTEGER, heartbeat DATETIME);
";

const FLOAT: &str =
    r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": false}}"#;
const CHOICE: &str = r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["gbm", "None", "7", null]}}"#;

fn new_database(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(NEW).unwrap();
    db.execute_batch(&format!(
        "INSERT INTO version_info VALUES (1, 12, '4.5.0');
         INSERT INTO studies VALUES (1, 'tune'), (2, 'two'), (3, 'empty'), (4, 'not begun');
         INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 0), (2, 'MINIMIZE', 0), (2, 'NOT_SET', 1), (3, 'MINIMIZE', 0),
             (4, 'MINIMIZE', 0);
         INSERT INTO study_user_attributes VALUES (1, 'team', '\"a\"'), (1, 'n', '[1, 2]');
         INSERT INTO study_system_attributes VALUES (2, 'study:metric_names', '[\"loss\", \"loss\"]');
         INSERT INTO trials VALUES
             (1, 0, 1, 'COMPLETE', '2025-05-26 19:24:30.952513', '2025-05-26 19:25:05.5'),
             (2, 1, 1, 'PRUNED', '2025-05-26 19:24:31', '2025-05-26 19:24:40'),
             (3, 2, 1, 'FAIL', '2025-05-26 19:24:32', '2025-05-26 19:24:41'),
             (4, 3, 1, 'RUNNING', '2025-05-26 19:24:33', NULL),
             (5, 4, 1, 'WAITING', NULL, NULL),
             (6, 0, 2, 'COMPLETE', '2025-05-26 20:00:00', '2025-05-26 20:00:01'),
             (7, 0, 4, 'WAITING', NULL, NULL);
         INSERT INTO trial_params VALUES (1, 'lr', 0.5, '{FLOAT}'), (1, 'model', 0, '{CHOICE}'), (2, 'model', 1, '{CHOICE}'),
             (3, 'model', 2, '{CHOICE}'), (4, 'model', 3, '{CHOICE}');
         INSERT INTO trial_values VALUES (1, 0, 0.9, 'FINITE'), (2, 0, NULL, 'INF_NEG'), (6, 0, NULL, 'INF_POS'), (6, 1, 2.0, 'FINITE');
         INSERT INTO trial_intermediate_values VALUES (1, 0, 0.1, 'FINITE'), (1, 5, NULL, 'NAN'), (2, 3, NULL, 'INF_POS');
         INSERT INTO trial_user_attributes VALUES (1, 'note', '\"good\"'), (1, 'deep', '{{\"a\": NaN}}');
         INSERT INTO trial_system_attributes VALUES (3, 'fail_reason', '\"out of memory\"'), (4, 'failed_trial', '2'),
             (4, 'retry_history', '[2]');
         INSERT INTO trial_heartbeats VALUES (4, '2025-05-26 19:25:00');"
    ))
    .unwrap();
    db
}

fn points(run: &ForeignRun) -> Vec<(&str, Option<i64>, String)> {
    run.points.iter().map(|p| (&*p.key, p.step.whole(), p.value.to_string())).collect()
}

#[test]
fn a_study_is_an_experiment_and_a_trial_is_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.db");
    new_database(&path);
    let all = walked(&*only_source(&path), told);
    assert_eq!(all.losses, [""; 0]);
    assert_eq!(
        all.notes,
        [
            "study 'two': it has several metrics 'loss'; one of them is called 'loss_2' here",
            "study 'not begun': none of its 1 trials has begun; they come once the first one has"
        ]
    );
    let [tune, two, empty, _] = all.experiments.as_slice() else { panic!("{:?}", all.experiments) };
    let goals = |e: &ForeignExperiment| e.goals.iter().map(|(k, g)| format!("{k} {}", g.as_str())).collect::<Vec<_>>();
    assert_eq!(goals(tune), ["value max", "intermediate_value max"]);
    assert_eq!(goals(two), ["loss min"]);
    assert_eq!(empty.name, "empty");
    assert!(tune.tags.contains(&("team".to_string(), Some("a".to_string()))));
    assert!(tune.tags.contains(&("n".to_string(), Some("[1, 2]".to_string()))));
    assert!(two.tags.contains(&("optuna.directions".to_string(), Some("MINIMIZE,NOT_SET".to_string()))));

    let [complete, pruned, failed, running, waiting, other] = all.runs.as_slice() else { panic!("{:?}", all.runs) };
    let statuses: Vec<_> = all.runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(statuses, ["FINISHED", "KILLED", "FAILED", "RUNNING", "SCHEDULED", "FINISHED"]);
    assert_eq!(complete.start.name.as_deref(), Some("trial 0"));
    assert_eq!(complete.start.start_time.to_string(), "2025-05-26T19:24:30.952513Z");
    assert_eq!(complete.end_time.unwrap().to_string(), "2025-05-26T19:25:05.500Z");
    assert_eq!(
        points(complete),
        [
            ("value", None, "0.9".to_string()),
            ("intermediate_value", Some(0), "0.1".to_string()),
            ("intermediate_value", Some(5), "NaN".to_string())
        ]
    );
    assert_eq!(
        points(pruned),
        [("value", None, "-inf".to_string()), ("intermediate_value", Some(3), "inf".to_string())]
    );
    assert_eq!(points(other), [("loss", None, "inf".to_string()), ("loss_2", None, "2".to_string())]);
    let model = |run: &ForeignRun| {
        let value = &run.params.iter().find(|(key, _)| key == "model").unwrap().1;
        (value.type_name(), value.text())
    };
    assert_eq!(model(complete), ("text", Some("gbm".to_string())));
    assert_eq!(model(pruned), ("text", Some("None".to_string())));
    assert_eq!(model(failed), ("int", Some("7".to_string())));
    assert_eq!(model(running), ("null", None));
    assert_eq!(failed.error.as_deref(), Some("out of memory"));
    assert!(complete.tags.contains(&("note".to_string(), Some("good".to_string()))));
    assert!(complete.tags.contains(&("deep".to_string(), Some("{\"a\": NaN}".to_string()))));
    assert!(pruned.tags.contains(&("optuna.state".to_string(), Some("PRUNED".to_string()))));
    assert!(running.tags.contains(&("optuna.system.failed_trial".to_string(), Some("2".to_string()))));
    assert_eq!(running.links[0].target, failed.start.run);
    assert!(waiting.points.is_empty() && waiting.end_time.is_none());
}

#[test]
fn tables_of_before_2_4_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR, direction VARCHAR(8));
         CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, study_id INTEGER, state VARCHAR, value FLOAT,
             datetime_start DATETIME, datetime_complete DATETIME);
         CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR, param_value FLOAT, distribution_json TEXT);
         CREATE TABLE trial_values (trial_value_id INTEGER, trial_id INTEGER, step INTEGER, value FLOAT);
         CREATE TABLE trial_system_attributes (trial_id INTEGER, key VARCHAR, value_json TEXT);
         INSERT INTO studies VALUES (1, 'old', 'MINIMIZE');
         INSERT INTO trials VALUES (9, 1, 'COMPLETE', 0.25, '2019-01-01 10:00:00', '2019-01-01 10:00:09');
         INSERT INTO trial_values VALUES (1, 9, 1, 0.5), (2, 9, 2, 0.25), (3, 9, 3, NULL), (4, 9, 4, 'x');
         INSERT INTO trial_params VALUES (9, 'n', 3.0, '{\"name\": \"IntUniformDistribution\", \"attributes\": {}}'),
             (9, 'odd', 2.5, '{\"name\": \"Zipf\"}');
         INSERT INTO trial_system_attributes VALUES (9, '_number', '4');",
    )
    .unwrap();
    let all = walked(&*only_source(&path), told);
    let [run] = all.runs.as_slice() else { panic!("{:?}", all.runs) };
    assert_eq!(run.start.name.as_deref(), Some("trial 4"));
    let values: Vec<_> = points(run).into_iter().map(|(key, step, value)| format!("{key} {step:?} {value}")).collect();
    assert_eq!(
        values,
        [
            "value None 0.25",
            "intermediate_value Some(1) 0.5",
            "intermediate_value Some(2) 0.25",
            "intermediate_value Some(3) NaN"
        ]
    );
    assert_eq!(
        run.params.iter().map(|(k, v)| (k.as_str(), v.type_name())).collect::<Vec<_>>(),
        [("n", "int"), ("odd", "float")]
    );
    assert_eq!(
        all.losses,
        [
            "table trial_values, trial 9: the value 'x' is no number",
            "study 'old', trial 4, param 'odd': 'Zipf' is no distribution known here"
        ]
    );
    assert_eq!(all.experiments[0].goals.len(), 2);
}

#[tokio::test]
async fn a_broken_database_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    new_database(&dir.path().join("study.db"));
    let torn = std::fs::read(dir.path().join("study.db")).unwrap();
    std::fs::write(dir.path().join("broken.db"), &torn[..5000]).unwrap();
    let found = open(dir.path().to_str().unwrap(), None).unwrap();
    let mut kinds: Vec<_> = found.iter().map(|source| source.kind().to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["Optuna database", "unreadable file"]);
    let store = Store::create(dir.path().join("store")).unwrap();
    let (mut runs, mut losses) = (0, 0);
    for source in &found {
        let report = import(source, &store, IntakeOptions::default(), |_| ()).await.unwrap();
        (runs, losses) = (runs + report.added[Kind::Runs], losses + report.losses());
    }
    assert_eq!((runs, losses), (6, 1));
}

#[tokio::test]
async fn a_study_that_goes_on_is_followed_and_ids_stay_when_it_is_moved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.db");
    let db = new_database(&path);
    let store = Store::create(dir.path().join("store")).unwrap();
    let first = bring(&path, &store).await;
    assert_eq!((first.found[Kind::Runs], first.added[Kind::Runs], first.losses()), (6, 6, 0));
    assert_eq!((first.added[Kind::Experiments], first.added[Kind::Goals], first.added[Kind::Links]), (4, 7, 1));
    let again = bring(&path, &store).await;
    assert_eq!(added(&again), []);

    db.execute_batch(
        "UPDATE trials SET state = 'RUNNING', datetime_start = '2025-05-27 10:00:00' WHERE trial_id IN (5, 7);
         UPDATE trials SET state = 'COMPLETE', datetime_complete = '2025-05-27 10:00:00' WHERE trial_id = 4;
         INSERT INTO trial_values VALUES (4, 0, 0.95, 'FINITE');",
    )
    .unwrap();
    let moved = dir.path().join("moved.db");
    drop(db);
    std::fs::rename(&path, &moved).unwrap();
    let later = bring(&moved, &store).await;
    assert_eq!((later.added[Kind::Runs], later.added[Kind::RunFacts]), (1, 3));
    assert_eq!((later.added[Kind::Points], later.added[Kind::Params]), (1, 0));
    store.seal().await.unwrap();
    let audit = IntakeOptions { dry_run: true, ..IntakeOptions::default() };
    let audit = import(&only_source(&moved), &store, audit, |_| ()).await.unwrap();
    assert_eq!(added(&audit), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_database_is_an_error_or_told(at in 0.0..1.0_f64, byte in any::<u8>(), cut in proptest::option::of(0.0..1.0_f64)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("study.db");
        drop(new_database(&path));
        let mut bytes = std::fs::read(&path).unwrap();
        let place = (at * bytes.len() as f64) as usize;
        bytes[place] = byte;
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut take = |_| true;
        for source in open(path.to_str().unwrap(), None).unwrap_or_default() {
            let _ = source.holdings();
            let _ = source.walk(&mut Out::new(&mut take));
        }
    }
}
