//! Somebody watches a query while runs come in.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rexpect::session::{PtySession, spawn_command};
use runlake::{Metrics, RunOptions, Status, Store};
use tempfile::TempDir;

const PATIENCE_MS: u64 = 60_000;

fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Store::create(dir.path().join("store")).unwrap();
    log(dir.path(), "evil\u{1b}[2J\u{202e}");
    dir
}

fn log(dir: &Path, name: &str) {
    let store = Store::open(dir.join("store")).unwrap();
    let run = store.start_run(RunOptions::new("churn").name(name)).unwrap();
    run.log_metrics(Metrics::new().value("auc", 0.9)).unwrap();
    run.finish(Status::Finished).unwrap();
    store.close_segment().unwrap();
}

fn watch(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
    command.arg("--store").arg(dir.join("store")).arg("watch").args(args);
    command.env("NO_COLOR", "1").env("TERM", "xterm-256color").env_remove("RUNLAKE_STORE").current_dir(dir);
    command
}

fn on_a_terminal(dir: &Path, args: &[&str]) -> PtySession {
    spawn_command(watch(dir, args), Some(PATIENCE_MS)).unwrap()
}

#[test]
fn new_runs_appear_in_place_until_ctrl_c() {
    let dir = store();
    let mut watched = on_a_terminal(dir.path(), &["SELECT name FROM runs ORDER BY start_time", "--every", "0.2"]);
    // A name acts on nothing.
    watched.exp_string(r"evil\u{1b}[2J\u{202e}").unwrap();
    log(dir.path(), "gbm-1");
    watched.exp_string("gbm-1").unwrap();
    watched.send_control('c').unwrap();
    watched.exp_eof().unwrap();
    let ended = format!("{:?}", watched.process().wait());
    assert!(ended.contains("Exited") && ended.contains(" 0)"), "{ended}");
}

#[test]
fn a_query_that_fails_is_told_and_asked_again() {
    let dir = store();
    let mut watched = on_a_terminal(dir.path(), &["SELECT params.lr FROM runs", "--every", "0.2"]);
    watched.exp_string("error: no key 'params.lr'").unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let run = store.start_run(RunOptions::new("churn")).unwrap();
    run.log_param("lr", 0.125).unwrap();
    run.finish(Status::Finished).unwrap();
    watched.exp_string("0.125").unwrap();
    watched.send_control('c').unwrap();
    watched.exp_eof().unwrap();
}

#[test]
fn elsewhere_answers_follow_each_other_without_escapes() {
    let dir = store();
    let out =
        watch(dir.path(), &["SELECT count(*) AS n FROM runs", "--every", "0.05", "--times", "3"]).output().unwrap();
    assert!(out.status.success());
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("n\n─\n1\n").count(), 3, "{text}");

    let args = ["SELECT count(*) AS n FROM runs", "--every", "0.05", "--times", "2", "--format", "ndjson"];
    let out = watch(dir.path(), &args).output().unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "{\"n\":1}\n{\"n\":1}\n");

    let out = watch(dir.path(), &["SELECT nope", "--every", "0.05", "--times", "2"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(String::from_utf8(out.stderr).unwrap().matches("error: ").count(), 2);
}

#[test]
fn an_interrupt_ends_it_at_once_and_well() {
    let dir = store();
    // This join would hold its thread for hours.
    let slow = "SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x*y=7";
    for sql in ["SELECT 1", slow] {
        let mut child = watch(dir.path(), &[sql, "--every", "60"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let began = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn no_store_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let out = watch(dir.path(), &["SELECT 1"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
}
