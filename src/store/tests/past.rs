//! States of the past: what the history says of them, and that an answer as of one of them stays what it was.

use arrow::util::pretty::pretty_format_batches;

use super::super::ops::GcOptions;
use super::super::testing::new_store;
use super::super::*;
use crate::model::{Goal, Micros, RunId, Status};
use crate::query::SessionOptions;

fn log(store: &Store, id: &str, points: i64) {
    let run = store.start_run(RunOptions::new("churn").id(RunId::parse(id).unwrap())).unwrap();
    (0..points).for_each(|step| run.log_metric_at("auc", step as f64 / 10.0, step).unwrap());
    run.log_param("lr", 0.1).unwrap();
    run.finish(Status::Finished).unwrap();
}

async fn ask(store: &Store, as_of: Option<AsOf>) -> String {
    let session = store.session_with(SessionOptions { as_of, ..SessionOptions::default() }).await.unwrap();
    let mut text = String::new();
    for sql in [
        "SELECT run_id, params.lr, metrics.auc, tags FROM runs ORDER BY run_id",
        "SELECT run_id, step, value FROM metrics ORDER BY run_id, step",
        "SELECT experiment, n_runs FROM experiments",
    ] {
        let rows = session.sql(sql).await.unwrap().collect().await.unwrap();
        text += &pretty_format_batches(&rows).unwrap().to_string();
    }
    text
}

#[tokio::test]
async fn an_answer_as_of_a_state_stays_what_it_was() {
    let (_dir, store) = new_store();
    log(&store, "a", 3);
    log(&store, "b", 2);
    store.seal().await.unwrap();
    let mut told = vec![ask(&store, None).await];
    log(&store, "c", 4);
    store.attach(RunId::parse("a").unwrap()).unwrap().set_tag("owner", "ana").unwrap();
    store.seal().await.unwrap();
    told.push(ask(&store, None).await);
    store.delete_run(&RunId::parse("b").unwrap()).unwrap();
    store.seal().await.unwrap();
    told.push(ask(&store, None).await);
    store.restore_run(&RunId::parse("b").unwrap()).unwrap();
    store.delete_run(&RunId::parse("c").unwrap()).unwrap();
    store.seal().await.unwrap();
    told.push(ask(&store, None).await);
    let compacted = store.compact(2).await.unwrap();
    assert!(compacted.files_before > 0);
    told.push(ask(&store, None).await);
    // What is live does not show in the past.
    log(&store, "d", 1);

    let states = store.history(10).await.unwrap();
    assert_eq!(states.iter().map(|s| s.state).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    for (state, told) in states.iter().rev().zip(&told) {
        assert_eq!(&ask(&store, Some(AsOf::State(state.state))).await, told, "state {}", state.state);
        assert_eq!(&ask(&store, Some(AsOf::Time(state.time))).await, told, "state {} by its time", state.state);
    }
    let changes: Vec<Changes> = states.iter().rev().map(|state| state.changes.clone().unwrap()).collect();
    let none = Changes::default();
    let edited = |tables: &[&str]| tables.iter().map(|table| table.to_string()).collect::<Vec<_>>();
    assert_eq!(changes[0], Changes { added: 2, points: 5, ..none.clone() });
    assert_eq!(changes[1], Changes { added: 1, points: 4, edited: edited(&["runs"]), ..none.clone() });
    assert_eq!(changes[2], Changes { deleted: 1, edited: edited(&["runs"]), ..none.clone() });
    assert_eq!(changes[3], Changes { deleted: 1, restored: 1, edited: edited(&["runs"]), ..none.clone() });
    let joined = changes[4].files_joined;
    assert_eq!((changes[4].clone(), joined), (Changes { files_joined: joined, ..none }, compacted.files_before));
    assert_eq!(states.iter().map(|s| s.runs).collect::<Vec<_>>(), [2, 2, 2, 3, 2]);

    let e = store.snapshot_at(AsOf::State(9)).unwrap_err();
    assert_eq!(e.to_string(), "there is no state 9; the store keeps 1 to 5");
    let report = store.gc(GcOptions { keep: Micros(0) }).await.unwrap();
    let states = store.history(10).await.unwrap();
    assert_eq!(report.oldest, states.last().map(|s| (s.state, s.time)));
    assert_eq!(states.last().unwrap().changes, None, "what came before it is gone");
    assert!(matches!(store.snapshot_at(AsOf::State(1)), Err(StoreError::NoState { kept: Some(_), .. })));
    let purge = states.iter().find(|s| s.operation == "purge");
    assert!(purge.is_none_or(|s| s.changes.as_ref().is_none_or(|c| c.purged == 1)), "{states:?}");
}

#[tokio::test]
async fn what_happens_to_experiments_runs_and_goals_is_told() {
    let (_dir, store) = new_store();
    log(&store, "a", 1);
    log(&store, "b", 1);
    store.seal().await.unwrap();
    store.delete_experiment("churn").unwrap();
    store.seal().await.unwrap();
    store.restore_experiment("churn").unwrap();
    store.seal().await.unwrap();
    store.attach(RunId::parse("a").unwrap()).unwrap().set_name(Some("best".to_string())).unwrap();
    store.seal().await.unwrap();
    store.set_goal("churn", "auc", Goal::Max).unwrap();
    store.seal().await.unwrap();
    let states = store.history(5).await.unwrap();
    let told = |n: u64| {
        let state = states.iter().find(|state| state.state == n).unwrap();
        let changes = state.changes.as_ref().unwrap();
        (state.runs, changes.deleted, changes.restored, changes.edited.join(" "))
    };
    assert_eq!(told(2), (0, 2, 0, "experiments".to_string()));
    assert_eq!(told(3), (2, 0, 2, "experiments".to_string()));
    assert_eq!(told(4), (2, 0, 0, "runs".to_string()));
    assert_eq!(told(5), (2, 0, 0, "metric_defs".to_string()));
    for state in &states {
        let session =
            store.session_with(SessionOptions { as_of: Some(AsOf::State(state.state)), ..Default::default() });
        let rows = session.await.unwrap().sql("SELECT run_id FROM runs").await.unwrap().count().await.unwrap();
        assert_eq!(rows as u64, state.runs, "state {}", state.state);
    }
}

#[test]
fn a_state_is_named_by_its_number_or_by_a_time() {
    assert_eq!("12".parse(), Ok(AsOf::State(12)));
    assert_eq!("2026-11-23".parse(), Ok(AsOf::Time(Micros::parse("2026-11-23").unwrap())));
    for wrong in ["", "yesterday", "-3", "2026"] {
        // A year alone is a number: that there is no such state says what is meant.
        assert_eq!(wrong.parse::<AsOf>().is_ok(), wrong == "2026", "{wrong}");
    }
}
