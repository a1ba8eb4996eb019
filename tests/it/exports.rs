//! Taking runs out, and back in: exports through the real binary.

use std::path::Path;

use runlake::{Metrics, Micros, ParamValue, RunOptions, Status, Store};

use crate::ask::{now, one};
use crate::program::{done, kill, runlake, text};

/// All tables of a store as SQL shows them, save where bytes lie.
const QUESTIONS: [&str; 15] = [
    "SELECT * EXCEPT (params, params_num, params_text, metrics, metrics_min, metrics_max, best, tags, data) FROM runs ORDER BY run_id",
    "SELECT * FROM params ORDER BY run_id, key",
    "SELECT * FROM metrics ORDER BY run_id, key, context, step, x, time, value",
    "SELECT * FROM metric_stats ORDER BY run_id, key, context",
    "SELECT * FROM features ORDER BY run_id, feature",
    "SELECT * FROM data_versions ORDER BY run_id, role, dataset",
    "SELECT * FROM tags ORDER BY run_id, key",
    "SELECT * EXCEPT (uri) FROM artifacts ORDER BY run_id, path",
    "SELECT * FROM packages ORDER BY run_id, package",
    "SELECT * FROM environment ORDER BY run_id, key",
    "SELECT * FROM links ORDER BY run_id, target_run_id, kind",
    "SELECT * FROM comments ORDER BY run_id, comment_id",
    "SELECT * FROM series ORDER BY run_id, key, step, time",
    "SELECT * FROM experiments ORDER BY experiment",
    "SELECT * FROM metric_defs ORDER BY experiment_id, key",
];

fn stores(dir: &Path) -> (Store, Store) {
    (Store::create(dir.join("from")).unwrap(), Store::create(dir.join("to")).unwrap())
}

#[tokio::test]
async fn runs_that_were_exported_and_logged_are_the_same_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = stores(dir.path());
    done(
        runlake(&dir.path().join("from"))
            .args(["log", "sample_data/runs.jsonl.gz"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let run = source.start_run(RunOptions::new("odd")).unwrap();
    run.log_params([("big", ParamValue::Int(i128::MAX)), ("nan", f64::NAN.into()), ("spelt", "1e-05".into())]).unwrap();
    run.log_metrics(Metrics::new().value("inf", f64::INFINITY).value("nan", f64::NAN).step(3)).unwrap();
    run.log_artifact_bytes("a/b.bin", b"content").unwrap();
    run.finish(Status::Failed).unwrap();
    source.seal().await.unwrap();

    let out = dir.path().join("out");
    done(runlake(&dir.path().join("from")).args(["export", "--runs", "--out"]).arg(&out));
    done(runlake(&dir.path().join("to")).arg("log").arg(out.join("runs.jsonl")));
    for question in QUESTIONS {
        assert_eq!(now(&target, question).await, now(&source, question).await, "{question}");
    }
    let copied = dir.path().join("to/artifacts").join(run.id().as_str());
    assert_eq!(std::fs::read(copied.join("a/b.bin")).unwrap(), b"content");
}

#[tokio::test]
async fn some_runs_are_exported_by_id_experiment_and_condition() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = stores(dir.path());
    for (experiment, lr) in [("a", 0.1), ("a", 0.2), ("b", 0.1)] {
        let run = source.start_run(RunOptions::new(experiment)).unwrap();
        run.log_param("lr", lr).unwrap();
        run.finish(Status::Finished).unwrap();
    }
    let id = one(&source, "SELECT run_id FROM runs WHERE experiment = 'b'").await;
    let options: [&[&str]; 2] = [&["--runs", "-e", "a", "--where", "params.lr < 0.15"], &["--runs", &id]];
    for (n, options) in options.into_iter().enumerate() {
        let out = dir.path().join(n.to_string());
        done(runlake(&dir.path().join("from")).arg("export").args(options).arg("--out").arg(&out));
        done(runlake(&dir.path().join("to")).arg("log").arg(out.join("runs.jsonl")));
        assert_eq!(one(&target, "SELECT count(*) FROM runs").await, (n + 1).to_string());
    }
    assert_eq!(one(&target, "SELECT count(*) FROM runs WHERE params.lr > 0.15").await, "0");
}

#[tokio::test]
async fn tables_and_answers_go_to_files_of_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _) = stores(dir.path());
    let run = source.start_run(RunOptions::new("e")).unwrap();
    run.log_param("lr", 0.1).unwrap();
    run.log_metric("auc", 0.5).unwrap();
    run.finish(Status::Finished).unwrap();
    let export = |args: &[&str]| {
        let mut command = runlake(&dir.path().join("from"));
        command.arg("export").args(args).current_dir(dir.path()).output().unwrap()
    };
    assert!(export(&["runs", "params", "metrics", "--out", "tables/"]).status.success());
    for file in ["runs.parquet", "params.parquet", "metrics.parquet"] {
        assert_eq!(std::fs::read(dir.path().join("tables").join(file)).unwrap()[..4], *b"PAR1", "{file}");
    }
    let sql = "SELECT params.lr, metrics.auc FROM runs";
    for (file, begins) in
        [("a.csv", "params.lr,metrics.auc\n0.1,0.5"), ("a.jsonl", "{\"params.lr\":0.1"), ("a.arrow", "ARROW1")]
    {
        let output = export(&["--sql", sql, "--out", file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let content = std::fs::read(dir.path().join(file)).unwrap();
        assert!(content.starts_with(begins.as_bytes()), "{}", text(&content));
    }
    let output = export(&["params", "--format", "csv", "--out", "-"]);
    assert!(text(&output.stdout).contains(",lr,0.1,float,0.1"), "{}", text(&output.stdout));
}

#[tokio::test]
async fn a_failed_export_leaves_no_half_file() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _) = stores(dir.path());
    let run = source.start_run(RunOptions::new("e")).unwrap();
    run.finish(Status::Finished).unwrap();
    let failed = |args: &[&str]| {
        let mut command = runlake(&dir.path().join("from"));
        let output = command.arg("export").args(args).current_dir(dir.path()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        text(&output.stderr)
    };
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    // The second row cannot be computed, when the first one may be written already.
    let sql = "SELECT 1 / (2 - value) FROM generate_series(1, 2)";
    assert!(failed(&["--sql", sql, "--out", "a.csv"]).contains("ivide by zero"));
    assert!(failed(&["runs", "no_such_table", "--out", "b.csv"]).contains("no_such_table"));
    assert!(failed(&["--runs", "--out", "from"]).contains("there are files in it already"));
    assert!(failed(&["--runs", "nobody", "--out", "out"]).contains("nobody"));
    assert!(failed(&["--out", "out"]).contains("there is nothing to export"));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.iter().filter(|name| *name != "b.csv").count(), before, "{left:?}");
    if let Ok(folder) = std::fs::read_dir(dir.path().join("b.csv")) {
        assert_eq!(folder.count(), 0, "a folder that was made for tables is empty");
    }
}

#[tokio::test]
async fn a_killed_export_leaves_no_half_file_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    stores(dir.path());
    std::fs::write(dir.path().join("big.csv"), "old").unwrap();
    let mut child = runlake(&dir.path().join("from"))
        .args(["export", "--sql", "SELECT * FROM generate_series(1, 1000000000)", "--out", "big.csv"])
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    let is_under_way = || {
        let mut files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        files.any(|f| f.file_name().to_string_lossy().ends_with(".part") && f.metadata().unwrap().len() > 0)
    };
    for _ in 0..600 {
        if is_under_way() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(is_under_way());
    kill(&mut child);
    assert_eq!(std::fs::read_to_string(dir.path().join("big.csv")).unwrap(), "old");
}

#[tokio::test]
async fn an_earlier_state_and_the_store_of_another_tool_are_exported_too() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = stores(dir.path());
    let mut then = String::new();
    for name in ["early", "late"] {
        then = Micros::now().to_string();
        source.start_run(RunOptions::new("e").name(name)).unwrap().finish(Status::Finished).unwrap();
        source.close_segment().unwrap();
        source.seal().await.unwrap();
    }
    let export = |out: &Path, args: &[&str]| {
        let mut command = runlake(&dir.path().join("from"));
        command.env("XDG_CACHE_HOME", dir.path().join("cache")).arg("export").args(args).arg("--out").arg(out);
        command
    };
    let out = |name: &str| dir.path().join(name);
    done(&mut export(&out("then"), &["--runs", "--as-of", &then]));
    done(runlake(&dir.path().join("to")).arg("log").arg(out("then").join("runs.jsonl")));
    assert_eq!(now(&target, "SELECT name FROM runs").await, [["early"]]);
    done(&mut export(&out("then.csv"), &["--sql", "SELECT name FROM runs", "--as-of", &then]));
    assert_eq!(std::fs::read_to_string(out("then.csv")).unwrap(), "name\nearly\n");
    let before = export(&out("before"), &["--runs", "--as-of", "2020-01-01"]).output().unwrap();
    assert!(!before.status.success() && !out("before").exists(), "{}", text(&before.stderr));

    std::fs::write(out("sweep.csv"), "trial,lr,auc\nt1,0.1,0.9\nt2,0.2,0.8\n").unwrap();
    std::fs::write(out("sweep.json"), r#"{"run_id": "trial", "params": ["lr"], "metrics": ["auc"]}"#).unwrap();
    let (table, mapping) = (out("sweep.csv").display().to_string(), out("sweep.json").display().to_string());
    done(&mut export(&out("foreign"), &["--runs", "--from", &table, "--mapping", &mapping]));
    done(runlake(&dir.path().join("to")).arg("log").arg(out("foreign").join("runs.jsonl")));
    let found =
        now(&target, "SELECT run_id, params.lr, metrics.auc FROM runs WHERE experiment = 'sweep' ORDER BY 1").await;
    assert_eq!(found, [["t1", "0.1", "0.9"], ["t2", "0.2", "0.8"]]);
    for (args, says) in [
        (vec!["--from", &table, "--as-of", &then], "cannot be used with"),
        (vec!["--mapping", &mapping, "--as-of", &then], "cannot be used with"),
        (vec!["--mapping", &mapping], "--from <PATH>"),
    ] {
        let output = export(&out("wrong"), &["--runs"]).args(&args).output().unwrap();
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_the_rest_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = stores(dir.path());
    let run = source.start_run(RunOptions::new("e")).unwrap();
    run.log_artifact_bytes("good.bin", b"content").unwrap();
    run.log_artifact_bytes("bad.bin", b"content").unwrap();
    let file = dir.path().join("from/artifacts").join(run.id().as_str()).join("bad.bin");
    run.finish(Status::Finished).unwrap();
    std::fs::write(file, "other").unwrap();
    let out = dir.path().join("out");
    let output = runlake(&dir.path().join("from")).args(["export", "--runs", "--out"]).arg(&out).output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("not exported: file 'bad.bin' of run") && err.contains("is damaged"), "{err}");
    done(runlake(&dir.path().join("to")).arg("log").arg(out.join("runs.jsonl")));
    assert_eq!(now(&target, "SELECT path FROM artifacts").await, [["good.bin"]]);
}
