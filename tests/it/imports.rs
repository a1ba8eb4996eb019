//! Bringing runs in from other tools with the real command: refused wholes, reports, a foreign store in place.

use std::fs;
use std::path::Path;

use runlake::Store;

use crate::ask::{now, one};
use crate::killed_imports::mlflow;
use crate::program::{done, runlake, text};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_strict_imports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (root, store, report) = (dir.path().join("mlruns"), dir.path().join("store"), dir.path().join("report.jsonl"));
    mlflow(&root, 3);
    write(&root.join("1/run00001/metrics/loss"), "1700000000000 0.5 0\n1700000000001 nonsense 1\n");
    Store::create(&store).unwrap();

    let strict = runlake(&store).arg("import").arg("--strict").arg(&root).output().unwrap();
    assert_eq!(strict.status.code(), Some(1));
    assert!(text(&strict.stderr).contains("1 thing cannot be read; nothing was imported"), "{}", text(&strict.stderr));
    assert_eq!(one(&Store::open(&store).unwrap(), "SELECT count(*) FROM runs").await, "0");

    let audit = runlake(&store).arg("import").arg("--audit").arg(&root).output().unwrap();
    assert_eq!(audit.status.code(), Some(1));
    assert!(text(&audit.stdout).contains("missing: the source has changed"), "{}", text(&audit.stdout));

    let output = runlake(&store).arg("import").arg(&root).arg("--report").arg(&report).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("line 2: 'nonsense' is no number"), "{}", text(&output.stderr));
    assert_eq!(one(&Store::open(&store).unwrap(), "SELECT count(*) FROM metrics").await, "101");
    let lines: Vec<serde_json::Value> =
        fs::read_to_string(&report).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["type"] == "skipped").count(), 1);
    let params = lines.iter().find(|line| line["kind"] == "params").unwrap();
    assert_eq!((params["found"].as_i64(), params["added"].as_i64()), (Some(9), Some(9)));
}

#[tokio::test]
async fn a_foreign_store_is_asked_in_place_and_read_again_once_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, cache) = (dir.path().join("mlruns"), dir.path().join("cache"));
    mlflow(&root, 4);
    let ask = |sql: &str| {
        let mut command = runlake(Path::new("/nowhere"));
        let command = command.env("XDG_CACHE_HOME", &cache).arg("sql").arg("--from").arg(&root);
        done(command.args(["--format", "csv", "-c", sql])).lines().nth(1).unwrap_or_default().to_string()
    };
    assert_eq!(ask("SELECT count(*), sum(params.n) FROM runs"), "4,6");
    assert!(ask("SELECT uri FROM artifacts LIMIT 1").starts_with("file:///"));
    let stores = || {
        fs::read_dir(cache.join("runlake/mirrors"))
            .unwrap()
            .map(|e| fs::read_dir(e.unwrap().path()).unwrap().count())
            .sum::<usize>()
    };
    assert_eq!(ask("SELECT count(*) FROM metrics"), "160");
    assert_eq!(stores(), 1);
    write(&root.join("1/run00001/metrics/loss"), "1700000000000 0.5 0\n");
    assert_eq!(ask("SELECT count(*) FROM metrics"), "141");
    for n in 0..3 {
        write(&root.join("1/run00001/params/more"), &"x".repeat(n + 2));
        assert_eq!(ask("SELECT value FROM params WHERE key = 'more'"), "x".repeat(n + 2));
    }
    assert_eq!(stores(), 2, "earlier states are forgotten, save the last one");

    // Where the files lie is said whole, also where the source was named from a folder above it.
    let (near, out) = (dir.path().join("near"), dir.path().join("out"));
    let command = |args: &[&str]| {
        let mut command = runlake(Path::new("/nowhere"));
        command.env("XDG_CACHE_HOME", &near).current_dir(dir.path()).args(args);
        done(&mut command)
    };
    let uri = command(&["sql", "--from", "mlruns", "--format", "csv", "-c", "SELECT uri FROM artifacts LIMIT 1"]);
    assert!(uri.lines().nth(1).unwrap().starts_with("file:///"), "{uri}");
    command(&["export", "--from", "mlruns", "--runs", "--out", out.to_str().unwrap()]);
    // An export is whole: the files come along.
    let lines = fs::read_to_string(out.join("runs.jsonl")).unwrap();
    assert!(lines.contains(r#""path":"out.txt","source":"artifacts/run00002/out.txt","digest":""#), "{lines}");
    assert_eq!(fs::read_to_string(out.join("artifacts/run00002/out.txt")).unwrap(), "output of 2");
    let to = dir.path().join("to");
    Store::create(&to).unwrap();
    done(runlake(&to).arg("log").arg(out.join("runs.jsonl")));
    done(runlake(&to).arg("verify"));
    assert_eq!(now(&Store::open(&to).unwrap(), "SELECT sum(size) FROM artifacts").await, [["44"]]);
}

#[test]
fn what_is_no_store_of_anybody_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    Store::create(&store).unwrap();
    for (args, says) in [
        (vec![dir.path().join("gone").display().to_string()], "cannot be read: No such file"),
        (vec!["mlflow".to_string()], "no path is given"),
        (vec![dir.path().display().to_string()], "holds nothing that can be imported"),
    ] {
        let output = runlake(&store).arg("import").args(&args).output().unwrap();
        let err = text(&output.stderr);
        assert!(output.status.code() != Some(0) && err.contains(says), "{args:?}: {err}");
    }
}

#[test]
fn which_of_several_stores_is_asked_has_to_be_said() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("project");
    mlflow(&place.join("mlruns"), 1);
    let db = rusqlite::Connection::open(place.join("mlflow.db")).unwrap();
    db.execute_batch("CREATE TABLE runs (run_uuid TEXT); CREATE TABLE experiments (experiment_id INTEGER)").unwrap();
    let mut command = runlake(Path::new("/nowhere"));
    command.env("XDG_CACHE_HOME", dir.path().join("cache")).args(["sql", "-c", "SELECT 1", "--from"]).arg(&place);
    let output = command.output().unwrap();
    let (place, err) = (place.display(), text(&output.stderr));
    for said in [
        "holds several stores, and one can be asked at a time".to_string(),
        format!("MLflow database '{place}/mlflow.db'"),
        format!("MLflow folder '{place}/mlruns'"),
        format!("`--from '{place}/mlflow.db'`"),
    ] {
        assert!(err.contains(&said) && output.status.code() == Some(2), "{said} in {err}");
    }
}
