//! Two writers, sealing, compaction, deletes: whatever the order, a plain model in memory gives the same answers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::{Position, RunId, SeriesStats, Status, Step};
use crate::schema::{MetricRow, MetricStatRow, ParamRow, RunRow, SeriesRow, Table, TagRow};
use crate::store::shown::rows;
use crate::store::*;

#[derive(Debug, Clone)]
enum Op {
    Start(usize),
    Point(usize, usize, Option<i64>, f64),
    Param(usize, usize, i64),
    Tag(usize, usize, Option<i8>),
    Text(usize, i64),
    Finish(usize),
    Delete(usize),
    Restore(usize),
    Seal,
    Compact,
}

const RUNS: usize = 3;

fn keys() -> [String; 4] {
    ["loss".into(), "größe 'ü' 😀.x".into(), "k".repeat(10_000), "Loss".into()]
}

fn op() -> impl Strategy<Value = Op> {
    let run = 0..RUNS;
    let value = prop_oneof![
        4 => -10.0f64..10.0,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(-0.0),
        1 => any::<f64>(),
    ];
    let step = prop_oneof![1 => Just(None), 4 => (-2i64..4).prop_map(Some)];
    prop_oneof![
        1 => run.clone().prop_map(Op::Start),
        6 => (run.clone(), 0..4usize, step, value).prop_map(|(r, k, s, v)| Op::Point(r, k, s, v)),
        2 => (run.clone(), 0..4usize, 0i64..3).prop_map(|(r, k, v)| Op::Param(r, k, v)),
        2 => (run.clone(), 0..4usize, any::<Option<i8>>()).prop_map(|(r, k, v)| Op::Tag(r, k, v)),
        1 => (run.clone(), 0i64..3).prop_map(|(r, s)| Op::Text(r, s)),
        1 => run.clone().prop_map(Op::Finish),
        1 => run.clone().prop_map(Op::Delete),
        1 => run.prop_map(Op::Restore),
        3 => Just(Op::Seal),
        1 => Just(Op::Compact),
    ]
}

#[derive(Debug, Default, Clone)]
struct Model {
    touched: bool,
    started: bool,
    status: Option<Status>,
    deleted: bool,
    points: Vec<(usize, Option<i64>, Micros, f64)>,
    params: BTreeMap<usize, i64>,
    tags: BTreeMap<usize, i8>,
    conflicts: BTreeMap<usize, i64>,
    texts: Vec<i64>,
}

/// Rows as text, by table, sorted.
type Answers = BTreeMap<&'static str, Vec<String>>;

fn expected(models: &[Model]) -> Answers {
    let mut answers = Answers::new();
    let keys = keys();
    let mut add = |table, line| answers.entry(table).or_default().push(line);
    for (run, m) in models.iter().enumerate().filter(|(_, m)| m.touched && !m.deleted) {
        add("runs", format!("r{run} {}", m.status.unwrap_or(Status::Running)));
        let mut series: BTreeMap<usize, SeriesStats> = BTreeMap::new();
        for &(key, step, time, value) in &m.points {
            add("metrics", format!("r{run} {} {step:?} {value:?}", keys[key]));
            let step = step.map_or(Step::None, Step::At);
            let point = Position { step, time, value };
            series.entry(key).and_modify(|s| s.add(point)).or_insert_with(|| SeriesStats::new(point));
        }
        for (key, s) in series {
            let numbers = (s.last(), s.first(), s.min(), s.max(), s.mean(), s.variance());
            let counts = (s.count(), s.nan_count(), s.last_step(), s.min_step(), s.max_step());
            add("metric_stats", format!("r{run} {} {numbers:?} {counts:?}", keys[key]));
        }
        for (key, value) in &m.params {
            add("params", format!("r{run} {} {value}", keys[*key]));
        }
        for (key, value) in &m.tags {
            add("tags", format!("r{run} {} {value}", keys[*key]));
        }
        for (key, value) in m.conflicts.iter().filter(|(key, value)| m.params[*key] != **value) {
            add("tags", format!("r{run} runlake.param_conflict.{} {value}", keys[*key]));
        }
        for step in &m.texts {
            add("series", format!("r{run} {step}"));
        }
    }
    answers.values_mut().for_each(|lines| lines.sort());
    answers
}

async fn answers(store: &Store) -> Answers {
    let snapshot = store.snapshot().unwrap();
    let mut answers = Answers::new();
    let mut add = |table, line| answers.entry(table).or_default().push(line);
    for r in rows::<RunRow>(&snapshot, &Table::Runs, None).await.unwrap() {
        add("runs", format!("{} {}", r.run_id, r.status));
    }
    for r in rows::<MetricRow>(&snapshot, &Table::Metrics, None).await.unwrap() {
        add("metrics", format!("{} {} {:?} {:?}", r.run_id, r.key, r.step, r.value));
    }
    for r in rows::<MetricStatRow>(&snapshot, &Table::MetricStats, None).await.unwrap() {
        let numbers = (r.last, r.first, r.min, r.max, r.mean, r.variance);
        let counts = (r.count, r.nan_count, r.last_step, r.min_step, r.max_step);
        add("metric_stats", format!("{} {} {numbers:?} {counts:?}", r.run_id, r.key));
    }
    for r in rows::<ParamRow>(&snapshot, &Table::Params, None).await.unwrap() {
        add("params", format!("{} {} {}", r.run_id, r.key, r.value.unwrap()));
    }
    for r in rows::<TagRow>(&snapshot, &Table::Tags, None).await.unwrap() {
        add("tags", format!("{} {} {}", r.run_id, r.key, r.value.unwrap()));
    }
    for r in rows::<SeriesRow>(&snapshot, &Table::Series, None).await.unwrap() {
        add("series", format!("{} {}", r.run_id, r.step.unwrap()));
    }
    answers.values_mut().for_each(|lines| lines.sort());
    answers
}

/// Applies one step to the store, by one of two writers, and to the model.
async fn apply(op: &Op, writers: &[Store; 2], by: usize, models: &mut [Model]) {
    let store = &writers[by];
    let keys = keys();
    let id = |run: &usize| RunId::parse(&format!("r{run}")).unwrap();
    // The first record of a run comes from its start, else it would show as taken part in by nobody yet.
    match op {
        Op::Seal => {
            store.seal().await.unwrap();
            return;
        }
        Op::Compact => {
            store.compact(2).await.unwrap();
            return;
        }
        Op::Start(run) => {
            store.start_run(RunOptions::new("e").id(id(run))).unwrap();
            let m = &mut models[*run];
            (m.touched, m.started, m.status) = (true, true, None);
            return;
        }
        _ => {}
    }
    let (Op::Point(run, ..)
    | Op::Param(run, ..)
    | Op::Tag(run, ..)
    | Op::Text(run, ..)
    | Op::Finish(run)
    | Op::Delete(run)
    | Op::Restore(run)) = op
    else {
        unreachable!("the others were done above")
    };
    let handle = store.attach(id(run)).unwrap();
    let m = &mut models[*run];
    m.touched = true;
    match op {
        Op::Point(_, key, step, value) => {
            let time = Micros::now();
            let metrics = Metrics::new().value(&keys[*key], *value).time(time);
            let metrics = step.map_or(metrics.clone(), |step| metrics.step(step));
            handle.log_metrics(metrics).unwrap();
            m.points.push((*key, *step, time, *value));
        }
        Op::Param(_, key, value) => {
            // Another handle cannot know of the first value: it stays, and the later one shows as a tag.
            handle.log_param(&keys[*key], *value).unwrap();
            if m.params.contains_key(key) {
                m.conflicts.insert(*key, *value);
            } else {
                m.params.insert(*key, *value);
            }
        }
        Op::Tag(_, key, Some(value)) => {
            handle.set_tag(&keys[*key], value.to_string()).unwrap();
            m.tags.insert(*key, *value);
        }
        Op::Tag(_, key, None) => {
            handle.remove_tag(&keys[*key]).unwrap();
            m.tags.remove(key);
        }
        Op::Text(_, step) => {
            handle.log_text("t", *step, "text").unwrap();
            m.texts.push(*step);
        }
        Op::Finish(_) => {
            handle.finish(Status::Finished).unwrap();
            m.status = Some(Status::Finished);
        }
        Op::Delete(_) => {
            store.delete_run(&id(run)).unwrap();
            m.deleted = true;
        }
        Op::Restore(_) => {
            store.restore_run(&id(run)).unwrap();
            m.deleted = false;
        }
        _ => unreachable!("done above"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_interleaving_gives_the_answers_of_the_model(ops in prop::collection::vec((op(), 0..2usize), 10..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let first = Store::create(dir.path().join("s")).unwrap();
            let writers = [first, Store::open(dir.path().join("s")).unwrap()];
            let mut models = vec![Model::default(); RUNS];
            for (i, (op, by)) in ops.iter().enumerate() {
                apply(op, &writers, *by, &mut models).await;
                if matches!(op, Op::Seal | Op::Compact) || i % 10 == 9 {
                    prop_assert_eq!(answers(&writers[1 - by]).await, expected(&models), "after step {} ({:?})", i, op);
                }
            }
            for what in ["at the end", "after the last seal", "after the last compaction"] {
                prop_assert_eq!(answers(&writers[0]).await, expected(&models), "{}", what);
                if what == "at the end" { writers[0].seal().await.unwrap(); } else { writers[1].compact(2).await.unwrap(); }
            }
            let report = writers[0].verify(false).await.unwrap();
            prop_assert!(report.findings.is_empty(), "{:?}", report.findings);
            Ok(())
        })?;
    }
}
