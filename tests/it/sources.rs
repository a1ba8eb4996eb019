//! Bringing in what is no store of runs: studies of Optuna, logs of TensorBoard, tables, by the real command, the real files of others too.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use runlake::Store;
use rusqlite::Connection;

use crate::ask::{now, one};
use crate::program::{done, runlake, text};

/// A folder with real files of others, where there is one.
fn data(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("RUNLAKE_BENCH_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    let found = Some(root.join(folder)).filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: no {folder} in {} (RUNLAKE_BENCH_DATA names another folder)", root.display());
    }
    found
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Imports twice: what it says first, and that nothing is missing or new afterwards.
fn bring(store: &Path, words: &[&str]) -> String {
    let output = runlake(store).arg("import").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    for command in [["import", "--audit"].as_slice(), &["import"]] {
        let again = done(runlake(store).args(command).args(words));
        let is_new = |line: &&str| line.split_whitespace().last().is_some_and(|n| n != "0") && !line.contains("found");
        assert_eq!(again.lines().find(is_new), None, "{words:?} again: {again}");
    }
    text(&output.stderr).to_string()
}

#[tokio::test]
async fn the_studies_of_others_come_along_whole() {
    let Some(data) = data("optuna") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    Store::create(&store).unwrap();
    for (name, found) in
        [("eat_pytorch.db", "2,140 runs in 4 experiments"), ("proqsar.db", "1,590 runs in 3 experiments")]
    {
        let copy = dir.path().join(name);
        fs::copy(data.join(name), &copy).unwrap();
        // The same by its kind, by its address, and by what it is.
        let address = format!("sqlite:///{}", copy.display());
        for words in [vec!["optuna", &address], vec![&address], vec![copy.to_str().unwrap()]] {
            assert!(bring(&store, &words).contains(found), "{words:?}");
        }
        let theirs = Connection::open(&copy).unwrap();
        let count = |sql: &str| theirs.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string();
        let ours = Store::open(&store).unwrap();
        let mine =
            "JOIN experiments e USING (experiment_id) JOIN tags s ON s.run_id = r.run_id AND s.key = 'optuna.state'";
        let is_here = format!(
            "e.experiment IN ({})",
            theirs
                .prepare("SELECT study_name FROM studies")
                .unwrap()
                .query_map([], |row| Ok(format!("'{}'", row.get::<_, String>(0)?)))
                .unwrap()
                .collect::<Result<Vec<_>, _>>()
                .unwrap()
                .join(", ")
        );
        for (kind, sql) in [
            (format!("SELECT count(*) FROM params r {mine} WHERE {is_here}"), "SELECT count(*) FROM trial_params"),
            (
                format!("SELECT count(*) FROM metrics r {mine} WHERE {is_here}"),
                "SELECT (SELECT count(*) FROM trial_values) + (SELECT count(*) FROM trial_intermediate_values)",
            ),
            (
                format!(
                    "SELECT count(*) FROM tags r {mine} WHERE {is_here} AND s.value = 'PRUNED' AND r.key = 'optuna.state'"
                ),
                "SELECT count(*) FROM trials WHERE state = 'PRUNED'",
            ),
        ] {
            assert_eq!(one(&ours, &kind).await, count(sql), "{kind}");
        }
    }
    let goals = "SELECT DISTINCT key, goal, source FROM metric_defs ORDER BY 1";
    let goals = now(&Store::open(&store).unwrap(), goals).await;
    assert_eq!(goals, [["intermediate_value", "max", "imported"], ["value", "max", "imported"]]);
}

#[tokio::test]
async fn the_logs_of_others_come_along_as_tensorboard_reads_them() {
    let Some(data) = data("tensorboard") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (store, logs) = (dir.path().join("store"), dir.path().join("logs"));
    Store::create(&store).unwrap();
    let mut all = Vec::new();
    for entry in fs::read_dir(&data).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if let Some((run, file)) = name.rsplit_once("__").filter(|_| name.ends_with(".v2")) {
            fs::create_dir_all(logs.join(run)).unwrap();
            fs::copy(entry.path(), logs.join(run).join(file)).unwrap();
            let read = fs::File::open(data.join(format!("{name}.tensorboard-2.21.0.jsonl.gz"))).unwrap();
            let mut lines = String::new();
            flate2::read::GzDecoder::new(read).read_to_string(&mut lines).unwrap();
            for line in lines.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let value = line["value"].as_f64().unwrap_or(f64::NAN);
                all.push(format!("{run} {} {} {value:?}", line["tag"].as_str().unwrap(), line["step"]));
            }
        }
    }
    for words in [vec!["tensorboard", logs.to_str().unwrap()], vec![logs.to_str().unwrap()]] {
        assert!(bring(&store, &words).contains("found TensorBoard folder"));
    }
    let sql = "SELECT r.name, key, step, value FROM metrics JOIN runs r USING (run_id)";
    let rows = now(&Store::open(&store).unwrap(), sql).await;
    let mut ours: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {} {:?}", row[0], row[1], row[2], row[3].parse::<f64>().unwrap_or(f64::NAN)))
        .collect();
    ours.sort();
    all.sort();
    assert_eq!(ours.len(), 10_236);
    assert!(ours == all, "{:?}", ours.iter().zip(&all).find(|(ours, theirs)| ours != theirs));
}

#[tokio::test]
async fn a_table_is_read_as_its_mapping_says_and_the_mapping_may_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (store, table, mapping) =
        (dir.path().join("store"), dir.path().join("sweep.csv"), dir.path().join("mapping.json"));
    Store::create(&store).unwrap();
    write(&table, "trial,hp_lr,hp_model,val_auc,note\nt1,0.1,gbm,0.9,x\nt2,1e-3,None,0.8,\nt3,0.1,gbm,,y\n");
    let (table, mapping) = (table.to_str().unwrap(), mapping.to_str().unwrap());
    // Without a mapping the columns are something else; both may be asked in place.
    let ask = |words: &[&str], sql: &str| {
        let mut command = runlake(Path::new("/nowhere"));
        let command =
            command.env("XDG_CACHE_HOME", dir.path().join("cache")).args(["sql", "--from", table]).args(words);
        done(command.args(["--format", "csv", "-c", sql])).lines().nth(1).unwrap_or_default().to_string()
    };
    let options = ["--run-id", "trial", "--param", "hp_*", "--metric", "val_auc", "--tag", "note"];
    let told = bring(&store, &[&["table", table, "--save-mapping", mapping], options.as_slice()].concat());
    assert!(told.contains("found table") && told.contains("3 runs in 1 experiment"), "{told}");
    assert!(told.contains("runs by column 'trial'; params: hp_lr, hp_model; metrics: val_auc; tags: note"), "{told}");
    // The mapping alone says the same.
    bring(&store, &[table, "--mapping", mapping]);
    for _ in 0..2 {
        assert_eq!(ask(&["--mapping", mapping], "SELECT count(*) FROM tags WHERE key = 'note'"), "2");
        assert_eq!(ask(&[], "SELECT count(*) FROM tags WHERE key = 'note'"), "0");
    }
    let other = mapping.replace("mapping.json", "other.json");
    write(Path::new(&other), r#"{"run_id": "trial", "tags": ["note"], "experiment": "named"}"#);
    assert_eq!(ask(&["--mapping", &other], "SELECT DISTINCT experiment FROM runs"), "named");
    assert_eq!(ask(&["--mapping", mapping], "SELECT DISTINCT experiment FROM runs"), "sweep");
    let open = Store::open(&store).unwrap();
    let sql =
        "SELECT run_id, experiment, params.hp_lr, params.hp_model, metrics.val_auc, tags.note FROM runs ORDER BY 1";
    assert_eq!(
        now(&open, sql).await,
        [
            ["t1", "sweep", "0.1", "gbm", "0.9", "x"],
            ["t2", "sweep", "0.001", "None", "0.8", "NULL"],
            ["t3", "sweep", "0.1", "gbm", "NULL", "y"]
        ]
    );
    assert_eq!(one(&open, "SELECT value FROM params WHERE run_id = 't2' AND key = 'hp_lr'").await, "1e-3");
    for (args, says) in [
        (vec![table, "--metric", "auc"], "no column 'auc' in"),
        (vec![table, "--mapping", "/gone.json"], "'/gone.json' cannot be read"),
        (vec!["table", "/gone/*.csv"], "no file matches it"),
        (vec!["mlflow", table, "--metric", "val_auc"], "options that say what columns are go with tables only"),
        (vec![table, "--run-from-path", "--run-id", "trial"], "cannot be used with"),
    ] {
        let output = runlake(&store).arg("import").args(&args).output().unwrap();
        let err = text(&output.stderr);
        assert!(output.status.code() != Some(0) && err.contains(says), "{args:?}: {err}");
    }
}

#[tokio::test]
async fn each_kind_is_recognised_and_asked_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for run in ["a", "b"] {
        write(&out.join(run).join("metrics.csv"), "step,loss\n0,0.5\n1,0.25\n");
        write(&out.join(run).join("config.yaml"), "lr: 0.1\n");
    }
    let study = dir.path().join("study.db");
    Connection::open(&study)
        .unwrap()
        .execute_batch(
            "CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR);
             CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR, datetime_start DATETIME);
             CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR, param_value FLOAT, distribution_json TEXT);
             INSERT INTO studies VALUES (1, 'tune');
             INSERT INTO trials VALUES (1, 0, 1, 'RUNNING', '2024-01-01 00:00:00');",
        )
        .unwrap();
    let ask = |place: &str, sql: &str| {
        let mut command = runlake(Path::new("/nowhere"));
        let command = command.env("XDG_CACHE_HOME", dir.path().join("cache")).args(["sql", "--from", place]);
        done(command.args(["--format", "csv", "-c", sql])).lines().nth(1).unwrap_or_default().to_string()
    };
    let pattern = out.join("*/metrics.csv").display().to_string();
    let one_table = out.join("a/metrics.csv").display().to_string();
    for _ in 0..2 {
        assert_eq!(ask(&pattern, "SELECT count(*), count(DISTINCT run_id) FROM metrics"), "4,2");
        assert_eq!(ask(&one_table, "SELECT name, experiment FROM runs"), "a,out");
        assert_eq!(ask(study.to_str().unwrap(), "SELECT experiment, name, status FROM runs"), "tune,trial 0,RUNNING");
    }
    write(&out.join("b/metrics.csv"), "step,loss\n0,0.5\n1,0.25\n2,0.125\n");
    assert_eq!(ask(&pattern, "SELECT count(*) FROM metrics"), "5");
    let store = dir.path().join("store");
    Store::create(&store).unwrap();
    bring(&store, &["table", &pattern, "--run-from-path", "--params-file", "config.yaml", "--experiment", "mine"]);
    assert_eq!(
        one(&Store::open(&store).unwrap(), "SELECT count(params.lr) FROM runs WHERE experiment = 'mine'").await,
        "2"
    );
}
