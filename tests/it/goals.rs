//! Somebody is asked which way metrics get better.

use std::path::Path;
use std::process::Command;

use rexpect::session::spawn_command;
use runlake::{Metrics, RunOptions, Status, Store};

fn goal(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
    command.arg("--store").arg(dir.join("store")).arg("goal").args(args);
    command.env("NO_COLOR", "1").env_remove("RUNLAKE_STORE");
    command
}

#[test]
fn only_what_is_confirmed_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let run = store.start_run(RunOptions::new("churn")).unwrap();
    let names = ["accuracy", "auc", "loss", "rmse", "mine"];
    run.log_metrics(names.iter().fold(Metrics::new(), |values, name| values.value(*name, 0.5))).unwrap();
    run.finish(Status::Finished).unwrap();

    let mut asked = spawn_command(goal(dir.path(), &["--suggest"]), Some(60_000)).unwrap();
    for (question, answer) in
        [("accuracy in churn: max?", "y"), ("auc in churn: max?", ""), ("loss in churn: min?", "yes")]
    {
        asked.exp_string(question).unwrap();
        asked.send_line(answer).unwrap();
    }
    asked.exp_string("rmse in churn: min?").unwrap();
    asked.send_line("q").unwrap();
    asked.exp_string("2 goals set").unwrap();
    asked.exp_eof().unwrap();

    let out = goal(dir.path(), &["--format", "csv"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(
        text,
        "experiment,metric,goal,unit,description,source\nchurn,accuracy,max,,,declared\nchurn,loss,min,,,declared\n"
    );
}
