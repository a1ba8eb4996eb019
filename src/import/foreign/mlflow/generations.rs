//! A database that was upgraded in place by one MLflow after another, from before 1.0 to 3.x, as their migrations do it: what each
//! could log comes along, and an upgrade brings nothing twice.

use std::path::Path;

use rusqlite::Connection;

use super::super::testing::{added, bring, lost, noted, nothing_is_missing, rows, write};
use crate::Store;

/// A version, what its migrations change, what a run then logs, and what of it is new here.
struct Generation {
    version: &'static str,
    migration: &'static str,
    logged: &'static str,
    new: &'static [(&'static str, u64)],
}

const GENERATIONS: [Generation; 7] = [
    Generation {
        version: "0.9: the first database, metrics without steps",
        migration: "
            CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
              lifecycle_stage VARCHAR(32), CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), UNIQUE (name),
              CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')));
            CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
              entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(20), start_time BIGINT, end_time BIGINT,
              source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,
              CONSTRAINT run_pk PRIMARY KEY (run_uuid), FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id));
            CREATE TABLE tags (key VARCHAR(250) NOT NULL, value VARCHAR(250), run_uuid VARCHAR(32) NOT NULL,
              CONSTRAINT tag_pk PRIMARY KEY (key, run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));
            CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
              run_uuid VARCHAR(32) NOT NULL, CONSTRAINT metric_pk PRIMARY KEY (key, timestamp, run_uuid),
              FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));
            CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(250) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
              CONSTRAINT param_pk PRIMARY KEY (key, run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));
            INSERT INTO experiments VALUES (0, 'Default', './mlruns/0', 'active'), (1, 'old', './mlruns/1', 'deleted');",
        logged: "
            INSERT INTO runs VALUES ('r0', '', 'LOCAL', 'main.py', 'main', 'ana', 'FINISHED', 1500000000000, 1500000001000, 'c0ffee',
              'active', './mlruns/0/r0/artifacts', 0);
            INSERT INTO tags VALUES ('mlflow.runName', 'first', 'r0');
            INSERT INTO params VALUES ('alpha', '0.50', 'r0');
            INSERT INTO metrics VALUES ('rmse', 0.5, 1500000000500, 'r0'), ('rmse', 0.25, 1500000000600, 'r0');",
        new: &[
            ("experiments", 2),
            ("runs", 1),
            ("facts of runs", 1),
            ("params", 1),
            ("metric points", 2),
            ("tags", 1),
            ("environment", 7),
            ("artifacts", 1),
        ],
    },
    Generation {
        version: "1.0: steps",
        migration: "
            ALTER TABLE metrics RENAME TO old;
            CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
              run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL,
              CONSTRAINT metric_pk PRIMARY KEY (key, timestamp, step, run_uuid, value));
            INSERT INTO metrics SELECT key, value, timestamp, run_uuid, 0 FROM old;
            DROP TABLE old;",
        logged: "
            INSERT INTO runs VALUES ('r1', '', 'PROJECT', 'git@host:a.git', 'main', 'ben', 'SCHEDULED', 1510000000000, NULL, '',
              'deleted', 's3://bucket/1/r1/artifacts', 1);
            INSERT INTO metrics VALUES ('loss', -1.7976931348623157e308, 1510000000100, 'r1', 7);",
        new: &[("runs", 1), ("facts of runs", 1), ("metric points", 1), ("environment", 6)],
    },
    Generation {
        version: "1.1 to 1.26: NaN, latest values, tags of experiments, the registry, killed runs",
        migration: "
            CREATE TABLE experiment_tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), experiment_id INTEGER NOT NULL,
              CONSTRAINT experiment_tag_pk PRIMARY KEY (key, experiment_id));
            ALTER TABLE metrics ADD COLUMN is_nan BOOLEAN DEFAULT '0' NOT NULL CHECK (is_nan IN (0, 1));
            CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
              is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, CONSTRAINT latest_metric_pk PRIMARY KEY (key, run_uuid),
              CHECK (is_nan IN (0, 1)));
            INSERT INTO latest_metrics VALUES ('rmse', 0.25, 1500000000600, 0, 0, 'r0'),
              ('loss', -1.7976931348623157e308, 1510000000100, 7, 0, 'r1');
            CREATE TABLE registered_models (name VARCHAR(256) NOT NULL, creation_time BIGINT, last_updated_time BIGINT,
              description VARCHAR(5000), CONSTRAINT registered_model_pk PRIMARY KEY (name));
            CREATE TABLE registered_model_tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), name VARCHAR(256) NOT NULL);
            INSERT INTO registered_models VALUES ('tree', 1520000000000, 1520000000000, '');
            INSERT INTO registered_model_tags VALUES ('a', 'b', 'tree');",
        logged: "
            INSERT INTO experiment_tags VALUES ('mlflow.note.content', 'what is asked', 0);
            INSERT INTO runs VALUES ('r2', '', 'UNKNOWN', '', '', 'ana', 'KILLED', 1520000000000, 1520000001000, '', 'active',
              './mlruns/0/r2/artifacts', 0);
            INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('loss', 0, 1520000000100, 'r2', 1, 1);
            INSERT INTO latest_metrics VALUES ('loss', 0, 1520000000100, 1, 1, 'r2'),
              ('auc', 0.75, 1520000000100, 3, 0, 'r2');",
        new: &[
            ("experiments", 1),
            ("runs", 1),
            ("facts of runs", 1),
            ("metric points", 2),
            ("environment", 4),
        ],
    },
    Generation {
        version: "1.27 to 1.30: times of experiments and deletions",
        migration: "
            ALTER TABLE runs ADD COLUMN deleted_time BIGINT;
            ALTER TABLE experiments ADD COLUMN creation_time BIGINT;
            ALTER TABLE experiments ADD COLUMN last_update_time BIGINT;",
        logged: "
            INSERT INTO experiments VALUES (2, 'churn/über', './mlruns/2', 'active', 1530000000000, 1530000000000);
            INSERT INTO runs VALUES ('r3', 'its own name', 'UNKNOWN', '', '', 'ana', 'FAILED', 1530000000000, 1530000001000, '',
              'deleted', './mlruns/2/r3/artifacts', 2, 1530000002000);
            INSERT INTO tags VALUES ('mlflow.runName', 'its own name', 'r3'), ('mlflow.parentRunId', 'r2', 'r3');",
        new: &[("experiments", 1), ("runs", 1), ("facts of runs", 1), ("tags", 2), ("environment", 5)],
    },
    Generation {
        version: "2.x: data sets",
        migration: "
            CREATE TABLE datasets (dataset_uuid VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
              digest VARCHAR(36) NOT NULL, dataset_source_type VARCHAR(36) NOT NULL, dataset_source TEXT NOT NULL,
              dataset_schema TEXT, dataset_profile TEXT, CONSTRAINT dataset_pk PRIMARY KEY (experiment_id, name, digest));
            CREATE TABLE inputs (input_uuid VARCHAR(36) NOT NULL, source_type VARCHAR(36) NOT NULL, source_id VARCHAR(36) NOT NULL,
              destination_type VARCHAR(36) NOT NULL, destination_id VARCHAR(36) NOT NULL,
              CONSTRAINT inputs_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id));
            CREATE TABLE input_tags (input_uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, value VARCHAR(500) NOT NULL,
              CONSTRAINT input_tags_pk PRIMARY KEY (input_uuid, name));
            CREATE TABLE registered_model_aliases (alias VARCHAR(256) NOT NULL, version INTEGER NOT NULL, name VARCHAR(256) NOT NULL);",
        logged: "
            INSERT INTO runs VALUES ('r4', 'with data', 'UNKNOWN', '', '', 'ana', 'FINISHED', 1690000000000, 1690000001000, '',
              'active', './mlruns/2/r4/artifacts', 2, NULL);
            INSERT INTO datasets VALUES ('u1', 2, 'data', 'd1', 'local', '{\"uri\": \"s3://x\"}', NULL, '{\"num_rows\": 7, \"mean\": NaN}'),
              ('u2', 2, 'data', 'd2', 'local', 'y', NULL, NULL);
            INSERT INTO inputs VALUES ('i1', 'DATASET', 'u1', 'RUN', 'r4'), ('i2', 'DATASET', 'u2', 'RUN', 'r4');
            INSERT INTO input_tags VALUES ('i1', 'mlflow.data.context', 'training');",
        new: &[
            ("runs", 1),
            ("facts of runs", 1),
            ("data versions", 2),
            ("environment", 4),
            ("table rows", 2),
        ],
    },
    Generation {
        version: "3.0: logged models, traces",
        migration: "
            CREATE TABLE logged_models (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
              artifact_location VARCHAR(1000) NOT NULL, creation_timestamp_ms BIGINT NOT NULL,
              last_updated_timestamp_ms BIGINT NOT NULL, status INTEGER NOT NULL, lifecycle_stage VARCHAR(32),
              model_type VARCHAR(500), source_run_id VARCHAR(32), status_message VARCHAR(1000),
              CONSTRAINT logged_models_pk PRIMARY KEY (model_id));
            CREATE TABLE logged_model_params (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
              param_key VARCHAR(255) NOT NULL, param_value TEXT NOT NULL,
              CONSTRAINT logged_model_params_pk PRIMARY KEY (model_id, param_key));
            CREATE TABLE logged_model_tags (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
              tag_key VARCHAR(255) NOT NULL, tag_value TEXT NOT NULL,
              CONSTRAINT logged_model_tags_pk PRIMARY KEY (model_id, tag_key));
            CREATE TABLE logged_model_metrics (model_id VARCHAR(36) NOT NULL, metric_name VARCHAR(500) NOT NULL,
              metric_timestamp_ms BIGINT NOT NULL, metric_step BIGINT NOT NULL, metric_value FLOAT, experiment_id INTEGER NOT NULL,
              run_id VARCHAR(32) NOT NULL, dataset_uuid VARCHAR(36), dataset_name VARCHAR(500), dataset_digest VARCHAR(36),
              CONSTRAINT logged_model_metrics_pk PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
            ALTER TABLE inputs ADD COLUMN step BIGINT DEFAULT '0' NOT NULL;
            CREATE TABLE trace_info (request_id VARCHAR(50) NOT NULL, experiment_id INTEGER NOT NULL, timestamp_ms BIGINT NOT NULL);
            CREATE TABLE trace_tags (key VARCHAR(250) NOT NULL, value TEXT, request_id VARCHAR(50) NOT NULL);
            INSERT INTO trace_info VALUES ('t1', 0, 1700000000000);
            INSERT INTO trace_tags VALUES ('k', 'v', 't1');",
        logged: "
            INSERT INTO runs VALUES ('r5', 'with a model', 'UNKNOWN', '', '', 'ana', 'FINISHED', 1750000000000, 1750000001000, '',
              'active', './mlruns/2/r5/artifacts', 2, NULL);
            INSERT INTO logged_models VALUES ('m-1', 2, 'tree', './mlruns/2/models/m-1/artifacts', 1750000000500, 1750000000600, 2,
              'active', 'tree', 'r5', NULL);
            INSERT INTO logged_model_params VALUES ('m-1', 2, 'depth', '3');
            INSERT INTO logged_model_tags VALUES ('m-1', 2, 't', '1');
            INSERT INTO logged_model_metrics VALUES ('m-1', 'auc', 1750000000700, 4, 0.9, 2, 'r5', 'u1', 'data', 'd1');
            INSERT INTO inputs VALUES ('o1', 'RUN_OUTPUT', 'r5', 'MODEL_OUTPUT', 'm-1', 4),
              ('i3', 'RUN_INPUT', 'r4', 'MODEL_INPUT', 'm-1', 0);",
        new: &[
            ("runs", 1),
            ("facts of runs", 1),
            ("environment", 4),
            ("table rows", 4),
        ],
    },
    Generation {
        version: "3.10 on: workspaces",
        migration: "
            CREATE TABLE workspaces (name VARCHAR(63) NOT NULL, description TEXT, default_artifact_root TEXT,
              CONSTRAINT workspaces_pk PRIMARY KEY (name));
            INSERT INTO workspaces VALUES ('default', NULL, NULL), ('risk', 'a team', NULL);
            ALTER TABLE experiments RENAME TO old;
            CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
              lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT,
              workspace VARCHAR(63) DEFAULT 'default' NOT NULL, CONSTRAINT experiment_pk PRIMARY KEY (experiment_id),
              CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name));
            INSERT INTO experiments SELECT *, 'default' FROM old;
            DROP TABLE old;
            CREATE TABLE review_queues (queue_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL);
            INSERT INTO review_queues VALUES ('q1', 0);",
        logged: "
            INSERT INTO experiments VALUES (3, 'Default', './mlruns/workspaces/risk/3', 'active', 1760000000000, 1760000000000, 'risk');
            INSERT INTO runs VALUES ('r6', 'elsewhere', 'UNKNOWN', '', '', 'eva', 'RUNNING', 1760000000000, NULL, '', 'active',
              './mlruns/workspaces/risk/3/r6/artifacts', 3, NULL);",
        new: &[("experiments", 1), ("runs", 1), ("facts of runs", 1), ("environment", 4)],
    },
];

/// An empty database, in which a table may be replaced by another one of its name, as migrations do it.
fn database(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;").unwrap();
    db
}

#[tokio::test]
async fn every_generation_of_a_database_comes_along_and_upgrades_bring_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    write(&dir.path().join("mlruns/0/r0/artifacts/a.txt"), "hello");
    let store = Store::create(dir.path().join("store")).unwrap();
    let db = database(&file);
    let mut notes = Vec::new();
    for (n, Generation { version, migration, logged, new }) in GENERATIONS.iter().enumerate() {
        db.execute_batch(migration).unwrap_or_else(|e| panic!("{version}: {e}"));
        if n > 0 {
            let report = bring(&file, &store).await;
            assert_eq!(added(&report), [], "an upgrade to {version}");
        }
        db.execute_batch(logged).unwrap_or_else(|e| panic!("{version}: {e}"));
        let report = bring(&file, &store).await;
        assert_eq!((added(&report), lost(&report)), (new.to_vec(), Vec::<String>::new()), "{version}");
        notes = noted(&report);
    }
    for said in [
        "table registered_models: registered models (1) are no part of runs",
        "table review_queues: review queues (1) are no part of runs",
        "table trace_info: traces (1) are no part of runs",
        "experiment 'Default': of workspace 'risk' is called 'risk/Default' here",
        "artifacts: the artifacts of 1 run lie elsewhere than beside the database: not copied; \
         environment['mlflow.artifact_uri'] says where",
    ] {
        assert!(notes.iter().any(|note| note == said), "{said} in {notes:#?}");
    }
    assert_eq!(notes.len(), 5, "{notes:#?}");
    for (sql, expected) in [
        (
            "SELECT run_id, experiment, name, status, \"user\", command, git_commit FROM runs ORDER BY run_id",
            vec![
                "r0|Default|first|FINISHED|ana|main.py|c0ffee",
                "r2|Default|NULL|KILLED|ana|NULL|NULL",
                "r4|churn/über|with data|FINISHED|ana|NULL|NULL",
                "r5|churn/über|with a model|FINISHED|ana|NULL|NULL",
                "r6|risk/Default|elsewhere|RUNNING|eva|NULL|NULL",
            ],
        ),
        (
            "SELECT run_id, key, step, value FROM metrics ORDER BY run_id, key, step, time",
            vec!["r0|rmse|0|0.5", "r0|rmse|0|0.25", "r2|auc|3|0.75", "r2|loss|1|NaN"],
        ),
        (
            "SELECT run_id, dataset, role, digest, n_rows FROM data_versions ORDER BY digest",
            vec!["r4|data|training|d1|7", "r4|data|input|d2|NULL"],
        ),
        (
            "SELECT run_id, model_id, direction, step FROM frames.mlflow_model_uses ORDER BY 1",
            vec!["r4|m-1|input|NULL", "r5|m-1|output|4"],
        ),
        (
            "SELECT run_id, model_id, key, step, value, dataset FROM frames.mlflow_model_metrics",
            vec!["r5|m-1|auc|4|0.9|data"],
        ),
        (
            "SELECT run_id, model_id, status, params, tags FROM frames.mlflow_models",
            vec!["r5|m-1|READY|{\"depth\":\"3\"}|{\"t\":\"1\"}"],
        ),
        ("SELECT run_id, path FROM artifacts", vec!["r0|a.txt"]),
        (
            "SELECT experiment, tags LIKE '%\"mlflow.workspace\":\"risk\"%', tags LIKE '%what is asked%' FROM experiments ORDER BY 1",
            vec!["Default|false|true", "churn/über|false|false", "risk/Default|true|false"],
        ),
    ] {
        assert_eq!(rows(&store, sql).await, expected, "{sql}");
    }
    let mut deleted: Vec<String> = store.deleted_runs().await.unwrap().iter().map(ToString::to_string).collect();
    deleted.sort();
    assert_eq!(deleted, ["r1", "r3"], "r1 by its experiment too");
    nothing_is_missing(&file, &store).await;
}

#[tokio::test]
async fn an_experiment_that_is_called_as_one_of_a_workspace_would_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mlflow.db");
    let db = database(&file);
    GENERATIONS.iter().for_each(|generation| db.execute_batch(generation.migration).unwrap());
    db.execute_batch(
        "INSERT INTO experiments VALUES (4, 'risk/Default', './mlruns/4', 'active', 0, 0, 'default'),
           (5, 'Default', './mlruns/5', 'active', 0, 0, 'risk');
         INSERT INTO runs (run_uuid, status, start_time, lifecycle_stage, experiment_id) VALUES ('a', 'RUNNING', 0, 'active', 4),
           ('b', 'RUNNING', 0, 'active', 5);",
    )
    .unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let notes = noted(&bring(&file, &store).await);
    let told = notes.iter().any(|n| n.starts_with("experiment 'risk/Default': is there already, from elsewhere"));
    assert!(told, "{notes:#?}");
    let sql = "SELECT run_id, experiment FROM runs ORDER BY 1";
    assert_eq!(rows(&store, sql).await, ["a|risk/Default", "b|risk/Default"]);
    nothing_is_missing(&file, &store).await;
}
