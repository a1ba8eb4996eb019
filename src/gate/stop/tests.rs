//! Rules put to live and sealed runs.

use super::{Decision, StopAnswer, parse_rules};
use crate::Store;
use crate::gate::tests::{curve, empty, run};
use crate::model::{Goal, Status};
use crate::store::{Metrics, Run};

async fn ask(store: &Store, run: &Run, rule: &str) -> (Decision, String) {
    let session = store.session().await.unwrap();
    let rules = parse_rules(&format!("-- rule: r\n{rule}")).unwrap();
    let answer = StopAnswer::ask(&session, run.id(), &rules, &[], None).await.unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&answer.json()).unwrap();
    assert_eq!(parsed["decision"], answer.decision().as_str());
    (answer.decision(), answer.rules[0].reason.clone())
}

#[tokio::test]
async fn a_run_behind_the_median_stops_live_and_sealed() {
    let fixture = empty();
    let store = &fixture.store;
    let median = "-- metric: loss\n-- stop when: median of others at this step min runs 3";
    // Averages up to step 1: 0.9, 0.7, 0.5; the fourth has not come so far.
    let mut others: Vec<Run> = [[1.0, 0.8, 0.1], [0.8, 0.6, 0.1], [0.6, 0.4, 0.1]]
        .iter()
        .enumerate()
        .map(|(i, values)| curve(store, &format!("other {i}"), "loss", values))
        .collect();
    others.push(curve(store, "short", "loss", &[0.01]));
    let run = curve(store, "mine", "loss", &[0.75, 0.72]);
    let goalless = ask(store, &run, median).await;
    assert_eq!(goalless.0, Decision::Undecided);
    assert!(goalless.1.contains("no declared goal"), "{}", goalless.1);
    store.set_goal("churn", "loss", Goal::Min).unwrap();
    for sealed in [false, true] {
        if sealed {
            others.drain(..).for_each(|run| run.finish(Status::Finished).unwrap());
            store.seal().await.unwrap();
        }
        let (decision, reason) = ask(store, &run, median).await;
        assert_eq!(decision, Decision::Stop, "{reason}");
        assert_eq!(reason, "best 'loss' 0.72 is worse than the median 0.7 of 3 other runs at step 1");
        let (decision, reason) = ask(store, &run, &format!("{median} after step 1")).await;
        assert_eq!((decision, reason.as_str()), (Decision::Continue, "at step 1, asked after step 1"));
        let (decision, reason) = ask(store, &run, &median.replace("min runs 3", "min runs 4")).await;
        assert_eq!(
            (decision, reason.as_str()),
            (Decision::Continue, "3 other runs have 'loss' up to step 1; 4 are needed")
        );
        let (decision, _) = ask(store, &run, &format!("-- goal: max\n{median}")).await;
        assert_eq!(decision, Decision::Continue, "were greater better, 0.75 would be");
    }
}

#[tokio::test]
async fn other_rules_look_at_the_run_alone() {
    let fixture = empty();
    let store = &fixture.store;
    store.set_goal("churn", "loss", Goal::Min).unwrap();
    let silent = run(store, "silent");
    let run = curve(store, "mine", "loss", &[0.9, 0.5, 0.6, 0.55, 0.7]);
    let broken = curve(store, "broken", "loss", &[0.9, f64::NAN]);
    for (run, rule, decision, says) in [
        (&run, "no improvement in 3 steps", Decision::Stop, "best at step 1 (0.5), 3 steps ago; 3 are allowed"),
        (&run, "no improvement in 4 steps", Decision::Continue, "3 steps ago; 4 are allowed"),
        (&run, "no improvement in 4 steps min delta 0.4", Decision::Stop, "best at step 0"),
        (&run, "no improvement in 3 steps after step 4", Decision::Continue, "asked after step 4"),
        (&run, "not a number", Decision::Continue, "0.7"),
        (&broken, "not a number", Decision::Stop, "'loss' is NaN at step 1"),
        (&broken, "value > 5", Decision::Undecided, "NaN"),
        (&broken, "no improvement in 1 steps", Decision::Stop, "1 steps ago"),
        (&run, "value > 0.65", Decision::Stop, "'loss' is 0.7 at step 4, > 0.65"),
        (&run, "value > 0.7", Decision::Continue, "not > 0.7"),
        (&run, "median of others at this step", Decision::Continue, "0 other runs"),
        (&silent, "not a number", Decision::Continue, "no value of 'loss' yet"),
    ] {
        let (found, reason) = ask(store, run, &format!("-- metric: loss\n-- stop when: {rule}")).await;
        assert_eq!(found, decision, "{rule}: {reason}");
        assert!(reason.contains(says), "{rule}: {reason}");
    }
    let (found, reason) = ask(store, &run, "-- metric: los\n-- stop when: not a number").await;
    assert_eq!(found, Decision::Undecided);
    assert_eq!(reason, "no run of experiment 'churn' has a metric 'los'; closest: 'loss'");
}

#[tokio::test]
async fn series_with_a_context_are_not_looked_at_and_told() {
    let fixture = empty();
    let store = &fixture.store;
    let mine = run(store, "mine");
    let context = serde_json::json!({"split": "val"});
    mine.log_metrics(Metrics::new().value("loss", 0.5).context(context.as_object().unwrap())).unwrap();
    store.flush().unwrap();
    let (found, reason) = ask(store, &mine, "-- metric: loss\n-- stop when: not a number").await;
    assert_eq!(found, Decision::Undecided);
    assert!(reason.contains(r#"'loss' has only series with a context, such as {"split":"val"}"#), "{reason}");
}

#[tokio::test]
async fn any_statement_may_be_a_rule() {
    let fixture = empty();
    let store = &fixture.store;
    let run = curve(store, "mine", "loss", &[0.9, 0.5]);
    let of_run = "FROM metrics WHERE run_id = $run";
    for (rule, decision, says) in [
        (format!("-- stop when: some rows\nSELECT 1 {of_run} AND value < 0.6"), Decision::Stop, "1 row"),
        (format!("-- stop when: no rows\nSELECT 1 {of_run} AND value < 0.6"), Decision::Continue, "1 row"),
        (format!("-- stop when: value >= 2\nSELECT count(*) {of_run}"), Decision::Stop, "2 is >= 2"),
        (
            format!(
                "-- stop when: value >= 2\n-- message: {{n}} points, {{value}}\nSELECT count(*) AS value, 'two' AS n {of_run}"
            ),
            Decision::Stop,
            "two points, 2",
        ),
        (format!("-- stop when: value > 2\nSELECT value {of_run}"), Decision::Undecided, "2 rows where one value"),
        ("-- stop when: value > 2\nSELECT nothing FROM runs".to_string(), Decision::Undecided, "no column 'nothing'"),
        (
            format!("-- stop when: some rows\nSELECT 1 {of_run} AND key = 'lss'"),
            Decision::Undecided,
            "no run has a key 'lss'",
        ),
    ] {
        let (found, reason) = ask(store, &run, &rule).await;
        assert_eq!(found, decision, "{rule}: {reason}");
        assert!(reason.contains(says), "{rule}: {reason}");
    }
}

#[tokio::test]
async fn others_may_be_chosen() {
    let fixture = empty();
    let store = &fixture.store;
    store.set_goal("churn", "auc", Goal::Max).unwrap();
    for (name, value) in [("a", 0.9), ("b", 0.9), ("c", 0.1)] {
        curve(store, name, "auc", &[value]);
    }
    let run = curve(store, "mine", "auc", &[0.5]);
    let rule = |others: &str| format!("-- metric: auc\n-- stop when: median of others min runs 1\n{others}");
    assert_eq!(ask(store, &run, &rule("")).await.0, Decision::Stop);
    let (decision, reason) =
        ask(store, &run, &rule("-- others: SELECT run_id FROM runs WHERE name = 'c' OR run_id = $run")).await;
    assert_eq!(decision, Decision::Continue, "{reason}");
    assert!(reason.contains("median 0.1 of 1 other"), "{reason}");
    let (decision, reason) =
        ask(store, &run, &rule("-- others: SELECT run_id FROM runs WHERE experiment = 'churm'")).await;
    assert_eq!(decision, Decision::Undecided, "{reason}");
    assert!(reason.contains("no experiment 'churm'"), "{reason}");
    let (decision, reason) = ask(store, &run, &rule("-- others: SELECT name FROM runs")).await;
    assert_eq!(
        (decision, reason.as_str()),
        (Decision::Undecided, "`-- others:` returns 'name' where a column run_id is expected")
    );
}
