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

#[test]
fn goals_go_to_the_experiments_of_a_pattern_and_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    for experiment in ["churn-a", "churn-b", "churn-c", "wine"] {
        let run = store.start_run(RunOptions::new(experiment)).unwrap();
        let metric = if experiment == "churn-c" { "loss" } else { "auc" };
        run.log_metric(metric, 0.5).unwrap();
        run.finish(Status::Finished).unwrap();
    }
    drop(store);
    let ask = |args: &[&str]| {
        let out = goal(dir.path(), args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    };
    let (code, said, _) = ask(&["auc", "max", "-e", "churn%"]);
    // A pattern means those that have logged the metric.
    assert_eq!((code, said.as_str()), (0, "goal of 'auc' in 'churn-a': max\ngoal of 'auc' in 'churn-b': max\n"));
    let (code, said, _) = ask(&["auc", "--remove", "-e", "churn-a"]);
    assert_eq!((code, said.as_str()), (0, "goal of 'auc' in 'churn-a': removed\n"));
    for sealed in [false, true] {
        if sealed {
            let seal = Command::new(env!("CARGO_BIN_EXE_runlake"))
                .arg("--store")
                .arg(dir.path().join("store"))
                .arg("seal")
                .output()
                .unwrap();
            assert!(seal.status.success());
        }
        let (_, goals, _) = ask(&["--format", "csv", "-e", "%"]);
        assert_eq!(goals, "experiment,metric,goal,unit,description,source\nchurn-b,auc,max,,,declared\n", "{sealed}");
        let (code, _, wrong) = ask(&["auc", "--remove", "-e", "churn-a"]);
        assert_eq!(code, 1);
        assert!(wrong.starts_with("error: metric 'auc' has no goal in 'churn-a'"), "{wrong}");
    }
    // What was removed may be set again.
    let (code, said, _) = ask(&["auc", "min", "-e", "churn-a"]);
    assert_eq!((code, said.as_str()), (0, "goal of 'auc' in 'churn-a': min\n"));
    let (code, _, wrong) = ask(&["f1", "max", "-e", "churn%"]);
    assert_eq!(code, 1);
    assert!(wrong.contains("has logged a metric 'f1'"), "{wrong}");
    let (code, _, wrong) = ask(&["auc", "max"]);
    assert_eq!(code, 2);
    assert!(wrong.contains("`-e '%'` takes all of them"), "{wrong}");
}
