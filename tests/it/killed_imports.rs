//! Imports that are killed at any moment, from a source of each kind: with the next one they add up to one clean import.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use prost::Message;
use runlake::Store;
use rusqlite::Connection;

use crate::ask::{Rows, rows};
use crate::program::{done, kill, runlake};

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// An MLflow folder.
pub fn mlflow(root: &Path, runs: u32) {
    let meta = format!("artifact_location: file://{}\nexperiment_id: '1'\nname: many\n", root.display());
    write(&root.join("1/meta.yaml"), meta);
    for n in 0..runs {
        let run = root.join(format!("1/run{n:05}"));
        let meta = format!(
            "run_id: run{n:05}\nlifecycle_stage: active\nstatus: 3\nstart_time: {}\nend_time: {}\nuser_id: ana\n",
            1_700_000_000_000_i64 + i64::from(n),
            1_700_000_100_000_i64 + i64::from(n)
        );
        write(&run.join("meta.yaml"), meta);
        for (key, value) in [("lr", format!("1e-0{}", n % 9 + 1)), ("n", n.to_string()), ("model", "gbm".to_string())] {
            write(&run.join("params").join(key), value);
        }
        write(&run.join("tags/mlflow.runName"), format!("run {n}"));
        write(&run.join("tags/stage"), "dev");
        write(&run.join("artifacts/out.txt"), format!("output of {n}"));
        for key in ["loss", "auc"] {
            let line = |i: i64| format!("{} {} {i}\n", 1_700_000_000_000 + i, f64::from(n) + i as f64 / 7.0);
            write(&run.join("metrics").join(key), (0..20).map(line).collect::<String>());
        }
    }
}

fn rubicon(root: &Path, runs: u32) {
    let part = |name: &str, id: String, more: &str| {
        format!(
            r#"{{"name": "{name}", "id": "{id}", {more} "comments": ["seen"], "tags": ["t"], "description": null,
                "created_at": {{"_type": "datetime", "value": "2026-11-22T22:03:07.5+00:00"}}}}"#
        )
    };
    let project = root.join("churn");
    write(&project.join("metadata.json"), part("Churn!", "project".to_string(), ""));
    for n in 0..runs {
        let id = format!("{n:08}-11ed-4881-9030-33aac14862e0");
        let run = project.join("experiments").join(&id);
        let data = r#""training_metadata": {"_type": "training_metadata", "value": [["s3://b/w.parquet", "v1"]]},"#;
        write(
            &run.join("metadata.json"),
            part(&format!("run {n}"), id.clone(), &format!(r#""project_name": "Churn!", {data}"#)),
        );
        write(
            &run.join("parameters/depth/metadata.json"),
            part("depth", format!("p{n}"), &format!(r#""value": {n},"#)),
        );
        write(
            &run.join("metrics/auc/metadata.json"),
            part("auc", format!("m{n}"), r#""value": 0.5, "directionality": "score","#),
        );
        write(&run.join("features/age/metadata.json"), part("age", format!("f{n}"), r#""importance": 0.25,"#));
        write(&run.join("artifacts/a/metadata.json"), part("a.bin", format!("a{n}"), ""));
        write(&run.join("artifacts/a/data"), format!("content of {n}"));
    }
}

/// What an export says of an attribute; the rest is empty.
#[derive(Default)]
struct Cell {
    path: &'static str,
    kind: &'static str,
    step: Option<i128>,
    float: Option<f64>,
    text: Option<String>,
    set: Option<Vec<&'static str>>,
    file: Option<String>,
}

fn neptune(export: &Path, runs: u32) {
    let folder = "ws_p-355f88928f91a3e8";
    for n in 0..runs {
        let run = format!("run-{n}");
        let text = |path, value: &str| Cell { path, kind: "string", text: Some(value.to_string()), ..Cell::default() };
        let mut cells = vec![
            text("sys/name", &format!("run {n}")),
            text("sys/owner", "ana"),
            text("model", "gbm"),
            Cell { path: "lr", kind: "float", float: Some(0.1), ..Cell::default() },
            Cell { path: "sys/tags", kind: "string_set", set: Some(vec!["a", "b"]), ..Cell::default() },
            Cell { path: "note", kind: "file", file: Some(format!("{folder}/{run}/note.txt")), ..Cell::default() },
        ];
        for step in 0..20 {
            let step = Some(step * 500_000);
            cells.push(Cell { path: "loss", kind: "float_series", step, float: Some(0.5), ..Cell::default() });
            cells.push(Cell {
                path: "log",
                kind: "string_series",
                step,
                text: Some("line".to_string()),
                ..Cell::default()
            });
        }
        write(&export.join("files").join(folder).join(&run).join("note.txt"), format!("note of {n}"));
        save(&export.join(format!("data/{folder}/{run}-8a4618099434c5a0_part_0.parquet")), &run, &cells);
    }
}

fn save(path: &Path, run: &str, cells: &[Cell]) {
    let texts =
        |get: &dyn Fn(&Cell) -> Option<String>| Arc::new(cells.iter().map(get).collect::<StringArray>()) as ArrayRef;
    let steps = cells.iter().map(|c| c.step).collect::<Decimal128Array>().with_precision_and_scale(18, 6).unwrap();
    let times = |has: bool| {
        let times = cells.iter().map(|c| (has && c.step.is_some()).then_some(1_761_991_200_000));
        Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let mut sets = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    cells.iter().for_each(|c| sets.append_option(c.set.as_ref().map(|set| set.iter().map(Some))));
    let paths = Fields::from(vec![Field::new("path", DataType::Utf8, true)]);
    let valid: Vec<bool> = cells.iter().map(|c| c.file.is_some()).collect();
    let files = arrow::array::StructArray::new(paths, vec![texts(&|c| c.file.clone())], Some(valid.into()));
    let none = |_: &Cell| None::<i64>;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("project_id", texts(&|_| Some("ws/p".to_string())), true),
        ("run_id", texts(&|_| Some(run.to_string())), true),
        ("attribute_path", texts(&|c| Some(c.path.to_string())), true),
        ("attribute_type", texts(&|c| Some(c.kind.to_string())), true),
        ("step", Arc::new(steps), true),
        ("timestamp", times(true), true),
        ("int_value", Arc::new(cells.iter().map(none).collect::<Int64Array>()), true),
        ("float_value", Arc::new(cells.iter().map(|c| c.float).collect::<Float64Array>()), true),
        ("string_value", texts(&|c| c.text.clone()), true),
        ("bool_value", Arc::new(cells.iter().map(|_| None::<bool>).collect::<BooleanArray>()), true),
        ("datetime_value", times(false), true),
        ("string_set_value", Arc::new(sets.finish()), true),
        ("file_value", Arc::new(files), true),
    ])
    .unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn optuna(file: &Path, trials: u32) {
    let mut db = Connection::open(file).unwrap();
    db.execute_batch(
        "CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR);
         CREATE TABLE study_directions (study_id INTEGER, direction VARCHAR, objective INTEGER);
         CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR,
           datetime_start DATETIME, datetime_complete DATETIME);
         CREATE TABLE trial_user_attributes (trial_id INTEGER, key VARCHAR, value_json TEXT);
         CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR, param_value FLOAT, distribution_json TEXT);
         CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value FLOAT, value_type VARCHAR);
         CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER, intermediate_value FLOAT,
           intermediate_value_type VARCHAR);
         INSERT INTO studies VALUES (1, 'tune');
         INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 0);",
    )
    .unwrap();
    let all = db.transaction().unwrap();
    let float = r#"{"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0}}"#;
    for n in 0..trials {
        let run = |sql: &str| all.execute_batch(sql).unwrap();
        run(&format!(
            "INSERT INTO trials VALUES ({n}, {n}, 1, 'COMPLETE', '2025-05-26 19:24:30', '2025-05-26 19:25:05')"
        ));
        run(&format!("INSERT INTO trial_params VALUES ({n}, 'lr', 0.5, '{float}'), ({n}, 'decay', 0.25, '{float}')"));
        run(&format!("INSERT INTO trial_values VALUES ({n}, 0, 0.5, 'FINITE')"));
        run(&format!("INSERT INTO trial_user_attributes VALUES ({n}, 'note', '\"good\"')"));
        for step in 0..20 {
            run(&format!("INSERT INTO trial_intermediate_values VALUES ({n}, {step}, {step}.5, 'FINITE')"));
        }
    }
    all.commit().unwrap();
}

/// An event of TensorBoard with one scalar.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

fn tensorboard(root: &Path, runs: u32) {
    let crc = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    for n in 0..runs {
        let mut bytes = Vec::new();
        for step in 0..40 {
            let value = vec![Scalar { tag: "loss".to_string(), simple_value: step as f32 / 7.0 }];
            let wall_time = 1_700_000_000.0 + f64::from(n) + step as f64;
            let content = Event { wall_time, step, summary: Some(Summary { value }) }.encode_to_vec();
            let length = (content.len() as u64).to_le_bytes();
            bytes.extend([&length[..], &crc(&length), &content, &crc(&content)].concat());
        }
        write(&root.join(format!("run{n}/events.out.tfevents.1700000000.host.1.0.v2")), bytes);
    }
}

fn tables(root: &Path, runs: u32) {
    for n in 0..runs {
        let rows: String =
            (0..30).map(|step| format!("{step},{},{}\n", 1.0 / f64::from(step + 1), f64::from(n))).collect();
        write(&root.join(format!("run{n}/metrics.csv")), format!("step,loss,auc\n{rows}"));
        write(&root.join(format!("run{n}/config.yaml")), format!("lr: 1e-0{}\nmodel: gbm\n", n % 9 + 1));
    }
}

/// All that a store holds, save what an import has of its own: when it made an experiment, and where bytes lie.
async fn everything(store: &Path) -> Vec<Rows> {
    let store = Store::open(store).unwrap();
    // One for all of them: each would read what is live again.
    let session = store.session().await.unwrap();
    let mut all = Vec::new();
    for sql in [
        "SELECT run_id, experiment, name, status, start_time, end_time, \"user\", config_id, notes FROM runs ORDER BY 1",
        "SELECT run_id, key, value, type, num FROM params ORDER BY 1, 2",
        "SELECT run_id, key, step, x, time, value FROM metrics ORDER BY 1, 2, 3, 4, 5",
        "SELECT run_id, key, step, x, time, kind, payload FROM series ORDER BY 1, 2, 3, 4, 5",
        "SELECT run_id, key, value FROM tags ORDER BY 1, 2",
        "SELECT run_id, key, value FROM environment ORDER BY 1, 2",
        "SELECT run_id, feature, importance FROM features ORDER BY 1, 2",
        "SELECT run_id, dataset, role, data_version, source FROM data_versions ORDER BY 1, 2",
        "SELECT run_id, time, comment FROM comments ORDER BY 1, 2, 3",
        "SELECT run_id, path, size, digest FROM artifacts ORDER BY 1, 2",
        "SELECT run_id, key, count, mean, last FROM metric_stats ORDER BY 1, 2",
        "SELECT experiment, tags FROM experiments ORDER BY 1",
        "SELECT key, goal, source FROM metric_defs ORDER BY 1",
    ] {
        all.push(rows(&session, sql).await);
    }
    all
}

/// Kills imports of what `make` makes, at four moments, and compares what they and the next one add up to with a clean one.
///
/// One test for each kind, so that they share the cores with others; `later` shifts the moments, so that together they hit more.
async fn kill_and_compare(name: &str, make: fn(&Path, u32), runs: u32, words: &[&str], later: f64) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(name);
    make(&place, runs);
    let place = if name == "out" { place.join("*/metrics.csv") } else { place };
    let [clean, torn] = ["clean", "torn"].map(|name| dir.path().join(name));
    let import = |store: &Path| {
        let mut command = runlake(store);
        command.args(words).arg(&place).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    Store::create(&clean).unwrap();
    let begun = Instant::now();
    assert!(import(&clean).status().unwrap().success(), "{name}");
    let takes = begun.elapsed();
    Store::create(&torn).unwrap();
    let mut killed = 0;
    // Right away, while an import takes as long as it did.
    for share in [0.3, 0.5, 0.65, 0.8].map(|share| share + later) {
        let mut child = import(&torn).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(takes.as_secs_f64() * share));
        killed += u32::from(child.try_wait().unwrap().is_none());
        kill(&mut child);
        if killed == 2 {
            done(runlake(&torn).arg("seal"));
        }
    }
    assert!(killed > 0, "{name}: every import ended before it was killed");
    done(runlake(&torn).args(words).arg(&place));
    let (found, wanted) = (everything(&torn).await, everything(&clean).await);
    assert_eq!(wanted[0].len(), runs as usize, "{name}");
    for (found, wanted) in found.iter().zip(&wanted) {
        let differs = found.iter().zip(wanted).find(|(found, wanted)| found != wanted);
        assert!(found == wanted, "{name}: {} rows, {} wanted; {differs:?}", found.len(), wanted.len());
    }
    let audit: Vec<&str> = words.iter().copied().chain(["--audit"]).collect();
    done(runlake(&torn).args(audit).arg(&place));
}

#[tokio::test]
async fn killed_imports_of_mlflow_and_the_next_one_add_up_to_a_clean_one() {
    kill_and_compare("mlruns", mlflow, 300, &["import", "mlflow"], 0.0).await;
}

#[tokio::test]
async fn killed_imports_of_rubicon_and_the_next_one_add_up_to_a_clean_one() {
    kill_and_compare("root", rubicon, 120, &["import", "rubicon"], 0.03).await;
}

#[tokio::test]
async fn killed_imports_of_neptune_and_the_next_one_add_up_to_a_clean_one() {
    kill_and_compare("export", neptune, 120, &["import", "neptune"], 0.06).await;
}

#[tokio::test]
async fn killed_imports_of_optuna_and_the_next_one_add_up_to_a_clean_one() {
    kill_and_compare("study.db", optuna, 500, &["import", "optuna"], 0.09).await;
}

#[tokio::test]
async fn killed_imports_of_tensorboard_and_the_next_one_add_up_to_a_clean_one() {
    kill_and_compare("logs", tensorboard, 300, &["import", "tensorboard"], 0.12).await;
}

#[tokio::test]
async fn killed_imports_of_tables_and_the_next_one_add_up_to_a_clean_one() {
    let words = ["import", "--params-file", "config.yaml", "--run-from-path", "table"];
    kill_and_compare("out", tables, 250, &words, 0.15).await;
}
