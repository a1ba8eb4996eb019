//! Live = sealed = compacted: sealing and compaction never change an answer.

mod questions;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use runlake::{Metrics, Micros, RunId, RunOptions, Status, Store};

use crate::ask::{Rows, rows};
use crate::program::{done, runlake, sample_runs};

async fn answers(store: &Store) -> Vec<(String, Rows)> {
    let session = store.session().await.unwrap();
    let mut answers = Vec::new();
    for question in questions::QUESTIONS {
        answers.push((question.to_string(), rows(&session, question).await));
    }
    answers
}

#[track_caller]
fn assert_same(before: &[(String, Rows)], after: &[(String, Rows)], when: &str) {
    for ((question, a), (_, b)) in before.iter().zip(after) {
        assert_eq!(a, b, "{when} the answer differs:\n{question}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_runs_give_the_same_answers_live_sealed_and_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    done(runlake(&path).arg("log").arg(sample_runs()));
    let live = answers(&store).await;
    assert_eq!(live[0].1, vec![vec!["2756".to_string(), "4".to_string()]]);
    for (question, rows) in &live {
        assert!(!rows.is_empty(), "an answer without rows proves nothing:\n{question}");
    }
    store.seal().await.unwrap();
    assert_same(&live, &answers(&store).await, "after sealing");

    // More of the same in small pieces: every seal adds files.
    for round in 0..3 {
        edit(&store, round).await;
    }
    let edited = answers(&store).await;
    store.seal().await.unwrap();
    assert_same(&edited, &answers(&store).await, "after sealing edits");
    let report = store.compact(2).await.unwrap();
    assert!(report.files_before > report.files_after, "there was something to join: {report:?}");
    assert_same(&edited, &answers(&store).await, "after compaction");
    let reopened = Store::open(&path).unwrap();
    assert_same(&edited, &answers(&reopened).await, "after opening again");
}

/// Adds a run, goes on with an old one, tags another, hides a third, and seals.
async fn edit(store: &Store, round: i64) {
    let session = store.session().await.unwrap();
    let ids = rows(&session, "SELECT run_id FROM runs WHERE status = 'FINISHED' ORDER BY run_id LIMIT 30").await;
    let id = |n: i64| RunId::parse(&ids[n as usize][0]).unwrap();
    let run = store.start_run(RunOptions::new("wine").name(format!("late-{round}"))).unwrap();
    run.log_params([("lr", 0.5), ("C", round as f64)]).unwrap();
    run.log_metrics(Metrics::new().value("auc", 0.9).value("loss", f64::NAN).step(round)).unwrap();
    run.finish(Status::Finished).unwrap();
    let old = store.attach(id(round * 3 + 1)).unwrap();
    old.log_metric_at("late", round as f64, round).unwrap();
    store.attach(id(round * 3 + 2)).unwrap().set_tag("late", "yes").unwrap();
    store.delete_run(&id(round * 3 + 3)).unwrap();
    store.seal().await.unwrap();
}

/// What can be done to a store.
#[derive(Debug, Clone)]
enum Step {
    Metric { run: usize, key: usize, step: i64, value: f64 },
    Param { run: usize, key: usize, value: f64 },
    Tag { run: usize, key: usize, value: Option<String> },
    Finish { run: usize },
    Delete { run: usize },
    Restore { run: usize },
    Seal,
    Compact,
    Reopen,
}

const RUNS: usize = 3;

/// Names that a careless layout would stumble over.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> =
        ["loss", "LOSS", "train loss (v2)", "a.b.c", "späße/😀\n", "'; --", "\"q\""].map(str::to_string).into();
    keys.push("k".repeat(10_000));
    keys
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000i32..1000).prop_map(|v| f64::from(v) / 8.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(-0.0),
        1 => any::<f64>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let run = 0..RUNS;
    let key = 0..keys().len();
    prop_oneof![
        // Few steps, so that some come twice and some come back.
        8 => (run.clone(), key.clone(), -2i64..6, value())
            .prop_map(|(run, key, step, value)| Step::Metric { run, key, step, value }),
        3 => (run.clone(), key.clone(), value()).prop_map(|(run, key, value)| Step::Param { run, key, value }),
        2 => (run.clone(), key, proptest::option::of("[a-z☃]{0,3}"))
            .prop_map(|(run, key, value)| Step::Tag { run, key, value }),
        1 => run.clone().prop_map(|run| Step::Finish { run }),
        1 => run.clone().prop_map(|run| Step::Delete { run }),
        1 => run.prop_map(|run| Step::Restore { run }),
        2 => Just(Step::Seal),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

/// A run as plain data.
#[derive(Debug, Clone, Default)]
struct ModelRun {
    finished: bool,
    deleted: bool,
    params: BTreeMap<String, f64>,
    // In the order of logging, which is the order of time.
    points: BTreeMap<String, Vec<(i64, f64)>>,
    tags: BTreeMap<String, Option<String>>,
}

fn shown(value: f64) -> String {
    if value.is_nan() { "NaN".to_string() } else { format!("{:016x}", value.to_bits()) }
}

/// A cell that shows a double, in the spelling of [`shown`].
fn double(cell: &str) -> String {
    match cell {
        "NULL" => "NULL".to_string(),
        text => shown(text.parse().unwrap_or_else(|_| panic!("'{text}' is no double"))),
    }
}

impl ModelRun {
    fn last(&self, key: &str) -> Option<f64> {
        // Times rise, so of the points at the greatest step the one logged last counts.
        let points = self.points.get(key)?;
        points.iter().enumerate().max_by_key(|(n, (step, _))| (*step, *n)).map(|(_, (_, value))| *value)
    }

    fn extreme(&self, key: &str, better: fn(f64, f64) -> bool) -> Option<f64> {
        let values = self.points.get(key)?.iter().map(|(_, v)| *v).filter(|v| !v.is_nan());
        values.fold(None, |best, v| if best.is_none_or(|b| better(v, b)) { Some(v) } else { best })
    }
}

async fn check(store: &Store, model: &[ModelRun], when: &str) {
    let session = store.session().await.unwrap();
    let visible: Vec<_> = model.iter().enumerate().filter(|(_, run)| !run.deleted).collect();
    let mut expected: BTreeMap<&str, Rows> = BTreeMap::new();
    for table in ["runs", "params", "tags", "metrics", "stats"] {
        expected.insert(table, Rows::new());
    }
    for (n, run) in &visible {
        let id = format!("run-{n}");
        let mut add = |table: &str, cells: Vec<String>| {
            let mut row = vec![id.clone()];
            row.extend(cells);
            expected.get_mut(table).expect("it was put there").push(row);
        };
        add("runs", vec![if run.finished { "FINISHED" } else { "RUNNING" }.to_string()]);
        for (key, value) in &run.params {
            add("params", vec![key.clone(), if value.is_nan() { "NULL".to_string() } else { shown(*value) }]);
        }
        for (key, value) in &run.tags {
            add("tags", vec![key.clone(), value.clone().unwrap_or("NULL".to_string())]);
        }
        for (key, points) in &run.points {
            for (step, value) in points {
                add("metrics", vec![key.clone(), step.to_string(), shown(*value)]);
            }
            let or_null = |v: Option<f64>| v.filter(|v| !v.is_nan()).map_or("NULL".to_string(), shown);
            let nans = points.iter().filter(|(_, v)| v.is_nan()).count();
            add(
                "stats",
                vec![
                    key.clone(),
                    or_null(run.last(key)),
                    // 0.0 and -0.0 are equal: which of them is the extreme is not promised.
                    or_null(run.extreme(key, |a, b| a < b).map(|v| v + 0.0)),
                    or_null(run.extreme(key, |a, b| a > b).map(|v| v + 0.0)),
                    points.len().to_string(),
                    nans.to_string(),
                ],
            );
        }
    }
    let found = async |sql: &str, doubles: &[usize], unsigned_zero: bool| -> Rows {
        let mut rows = rows(&session, sql).await;
        for row in &mut rows {
            for &column in doubles {
                row[column] = match double(&row[column]) {
                    zero if unsigned_zero && column > 2 && zero == shown(-0.0) => shown(0.0),
                    other => other,
                };
            }
        }
        rows.sort();
        rows
    };
    let ask = [
        ("runs", "SELECT run_id, status FROM runs", &[][..]),
        ("params", "SELECT run_id, key, num FROM params", &[2]),
        ("tags", "SELECT run_id, key, value FROM tags", &[]),
        ("metrics", "SELECT run_id, key, step, value FROM metrics", &[3]),
        ("stats", "SELECT run_id, key, last, min, max, count, nan_count FROM metric_stats", &[2, 3, 4]),
    ];
    for (table, sql, doubles) in ask {
        let mut wanted = expected.remove(table).expect("it was put there");
        wanted.sort();
        assert_eq!(found(sql, doubles, table == "stats").await, wanted, "{table}, {when}");
    }
    // The wide columns say the same as the long tables.
    for key in ["loss", "train loss (v2)"] {
        if !visible.iter().any(|(_, run)| run.points.contains_key(key)) {
            continue;
        }
        let sql = format!("SELECT run_id, metrics['{key}'] FROM runs");
        let mut wanted: Rows = visible
            .iter()
            .map(|(n, run)| {
                let last = run.last(key).filter(|v| !v.is_nan());
                vec![format!("run-{n}"), last.map_or("NULL".to_string(), shown)]
            })
            .collect();
        wanted.sort();
        assert_eq!(found(&sql, &[1], false).await, wanted, "metrics['{key}'], {when}");
    }
}

async fn play(path: &Path, steps: &[Step]) {
    let mut store = Store::create(path).unwrap();
    let keys = keys();
    let mut model = vec![ModelRun::default(); RUNS];
    let start = |store: &Store| -> Vec<runlake::Run> {
        let attach = |n| store.attach(RunId::parse(&format!("run-{n}")).unwrap()).unwrap();
        (0..RUNS).map(attach).collect()
    };
    for n in 0..RUNS {
        store.start_run(RunOptions::new("model").id(RunId::parse(&format!("run-{n}")).unwrap())).unwrap();
    }
    let mut runs = start(&store);
    for (time, step) in steps.iter().enumerate() {
        match step.clone() {
            Step::Metric { run, key, step, value } => {
                let point = Metrics::new().value(&keys[key], value).step(step).time(Micros(time as i64));
                runs[run].log_metrics(point).unwrap();
                model[run].points.entry(keys[key].clone()).or_default().push((step, value));
            }
            Step::Param { run, key, value } => {
                // A param is set once.
                if !model[run].params.contains_key(&keys[key]) {
                    runs[run].log_param(&keys[key], value).unwrap();
                    model[run].params.insert(keys[key].clone(), value);
                }
            }
            Step::Tag { run, key, value } => {
                match &value {
                    Some(text) => runs[run].set_tag(&keys[key], text).unwrap(),
                    None => runs[run].remove_tag(&keys[key]).unwrap(),
                }
                match value {
                    Some(text) => drop(model[run].tags.insert(keys[key].clone(), Some(text))),
                    None => drop(model[run].tags.remove(&keys[key])),
                }
            }
            Step::Finish { run } => {
                runs[run].end(Status::Finished, None, None).unwrap();
                model[run].finished = true;
            }
            Step::Delete { run } => {
                store.delete_run(runs[run].id()).unwrap();
                model[run].deleted = true;
            }
            Step::Restore { run } => {
                store.restore_run(runs[run].id()).unwrap();
                model[run].deleted = false;
            }
            Step::Seal => drop(store.seal().await.unwrap()),
            Step::Compact => drop(store.compact(2).await.unwrap()),
            Step::Reopen => {
                drop(std::mem::take(&mut runs));
                drop(store);
                store = Store::open(path).unwrap();
                runs = start(&store);
            }
        }
        if matches!(step, Step::Seal | Step::Compact | Step::Reopen) {
            check(&store, &model, &format!("after step {time}")).await;
        }
    }
    check(&store, &model, "at the end, live").await;
    store.seal().await.unwrap();
    check(&store, &model, "at the end, sealed").await;
    store.compact(2).await.unwrap();
    check(&store, &model, "at the end, compacted").await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_store_agrees_with_a_model_in_memory(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(&dir.path().join("store"), &steps));
    }
}
