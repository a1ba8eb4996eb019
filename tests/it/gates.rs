//! A build is failed by a gate, and a training loop asks whether to go on.

use std::path::Path;
use std::process::{Command, Stdio};

use runlake::{Goal, Metrics, RunOptions, Status, Store};

use crate::program::{runlake, text, with_input};

/// A store with two runs, and the folder that it is in.
fn store() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    for (name, auc) in [("good", 0.9), ("<bad> & \"worse\"\u{1b}[31m", 0.6)] {
        let run = store.start_run(RunOptions::new("churn").name(name)).unwrap();
        run.log_metrics(Metrics::new().value("auc", auc)).unwrap();
        run.finish(Status::Finished).unwrap();
    }
    (dir, path)
}

fn check(store: &Path) -> Command {
    let mut command = runlake(store);
    command.arg("check").env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
    command
}

const HOSTILE: &str = "-- check: a <b> & \"c\" 'd' ]]> \u{7}\u{1b}[31m 学习 </testsuite>\n-- expect: no rows\n\
    -- message: {name} ]]> &amp; \u{b}\nSELECT name FROM runs WHERE metrics.auc < 0.7;\n\
    -- check: fine\n-- expect: some rows\nSELECT 1;\n\
    -- check: told\n-- expect: no rows\n-- severity: warn\nSELECT 1;\n\
    -- check: doubtful\n-- expect: value > 1\nSELECT NULL;\n";

/// Reads a file as CI servers do, and prints what it says.
const READER: &str = r#"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(root.tag, root.get("tests"), root.get("failures"), root.get("errors"))
for suite in root:
    for case in suite:
        print(case.get("name"), "|", case.get("line"), "|", *(f"{part.tag}: {part.get('message')}" for part in case))
"#;

#[test]
fn junit_with_hostile_names_is_read_by_python() {
    let (dir, store) = store();
    let (file, report) = (dir.path().join("gates & <others>.sql"), dir.path().join("report.xml"));
    std::fs::write(&file, HOSTILE).unwrap();
    let output = check(&store).arg(&file).arg("--junit").arg(&report).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let python = Command::new("python3").arg("-c").arg(READER).arg(&report).stderr(Stdio::piped()).output();
    let Ok(python) = python else {
        assert!(std::env::var_os("CI").is_none(), "CI has python3");
        return eprintln!("skipped: there is no python3");
    };
    assert!(python.status.success(), "{}\n{}", text(&python.stderr), std::fs::read_to_string(&report).unwrap());
    let read = text(&python.stdout);
    assert_eq!(
        read.lines().collect::<Vec<_>>(),
        [
            "testsuites 4 1 1",
            "a <b> & \"c\" 'd' ]]> \\u{7}\\u{1b}[31m 学习 </testsuite> | 1 | failure: 1 row where none are expected",
            "fine | 5 |",
            "told | 8 | system-out: None",
            "doubtful | 12 | error: the statement returned NULL: it may have looked at nothing; `WHERE ... IS NOT NULL` leaves such rows out",
        ]
    );
}

#[test]
fn nothing_from_a_gate_reaches_the_terminal() {
    let (dir, store) = store();
    let file = dir.path().join("gates.sql");
    std::fs::write(&file, HOSTILE).unwrap();
    for format in ["text", "table", "json", "markdown"] {
        let output = check(&store).arg(&file).args(["--format", format, "--annotations"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{b}']), "{format}: {all:?}");
    }
}

#[test]
fn github_gets_annotations_and_a_summary_beside_others() {
    let (dir, store) = store();
    let (file, summary) = (dir.path().join("gates.sql"), dir.path().join("summary.md"));
    std::fs::write(&file, "-- check: good\n-- expect: value > 0.95\nSELECT max(metrics.auc) FROM runs").unwrap();
    std::fs::write(&summary, "# Said before\n").unwrap();
    let mut command = check(&store);
    command.arg(&file).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let place = file.display().to_string();
    let line = format!("::error file={place},line=1,title=failed%3A good::0.9 is not > 0.95\n");
    assert_eq!(text(&output.stderr), line);
    let page = std::fs::read_to_string(&summary).unwrap();
    assert!(page.starts_with("# Said before\n## Checks: failed\n"), "{page}");
    assert!(page.contains("| ❌ failed | good | value &gt; 0.95 | 0.9 is not &gt; 0.95 |"), "{page}");
    // A file that is asked for is replaced.
    let mut command = check(&store);
    let output = command.arg(&file).arg("--summary").arg(&summary).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(3), String::new()));
    assert!(std::fs::read_to_string(&summary).unwrap().starts_with("## Checks: failed\n"));
}

#[test]
fn a_training_loop_asks_about_its_live_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    store.set_goal("sweep", "loss", Goal::Min).unwrap();
    let curve = |name: &str, values: &[f64]| {
        let run = store.start_run(RunOptions::new("sweep").name(name)).unwrap();
        for (step, value) in values.iter().enumerate() {
            run.log_metrics(Metrics::new().value("loss", *value).step(step as i64)).unwrap();
        }
        run
    };
    for i in 0..5 {
        curve(&format!("other {i}"), &[0.9, 0.5, 0.3]).finish(Status::Finished).unwrap();
    }
    let rules = dir.path().join("stop.sql");
    let text_of_rules = "-- rule: behind\n-- metric: loss\n-- stop when: median of others at this step";
    std::fs::write(&rules, text_of_rules).unwrap();
    let run = curve("mine", &[0.95]);
    let ask = || {
        let output = check(&path).args(["--run", run.id().as_str(), "--stop-rules"]).arg(&rules).output().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {} {}", text(&output.stdout), text(&output.stderr)));
        (output.status.code(), answer)
    };
    let (code, answer) = ask();
    assert_eq!((code, answer["decision"].as_str()), (Some(3), Some("stop")), "{answer}");
    assert_eq!(answer["reason"], "best 'loss' 0.95 is worse than the median 0.9 of 5 other runs at step 0");
    run.log_metrics(Metrics::new().value("loss", 0.1).step(1)).unwrap();
    let (code, answer) = ask();
    assert_eq!((code, answer["decision"].as_str()), (Some(0), Some("continue")), "{answer}");
    assert_eq!((answer["rules"][0]["step"].as_i64(), answer["rule"].is_null()), (Some(1), true));
}

#[test]
fn a_gate_passes_its_params_on_and_reads_the_past() {
    let (dir, store) = store();
    let file = dir.path().join("gates.sql");
    std::fs::write(&file, "-- check: c\n-- expect: value = $x\nSELECT 1").unwrap();
    let output = check(&store).arg(&file).output().unwrap();
    // The number of an expectation is written out; values from outside come in by a statement.
    assert_eq!(output.status.code(), Some(1));
    std::fs::write(&file, "-- check: c\n-- expect: value = (SELECT $x)\nSELECT count(*) FROM runs").unwrap();
    let output = check(&store).arg(&file).args(["--param", "x=2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let output = check(&store).arg(&file).args(["--param", "x=2", "--as-of", "2020-01-01"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error: "), "{}", text(&output.stderr));
    // A file that is read from a pipe is one too.
    let output = with_input(check(&store).arg("/dev/stdin"), "-- check: c\n-- expect: some rows\nSELECT 1");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
