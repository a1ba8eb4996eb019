//! Truths that are planted in made-up runs, and what the functions about features and fronts make of them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::util::pretty::pretty_format_batches;

use crate::model::{DataVersion, Feature, Goal, Micros, RunId, Status};
use crate::store::{Metrics, RunOptions, Store};

/// Draws that are the same each time.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ self.0 >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((mixed ^ mixed >> 33) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// Mean 0, standard deviation 1: twelve draws less six.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A run to be logged.
#[derive(Clone, Default)]
struct Made {
    id: String,
    model: &'static str,
    seed: Option<i64>,
    option: i64,
    used: Vec<String>,
    unused: Vec<String>,
    data: Option<&'static str>,
    metrics: Vec<(&'static str, f64)>,
    folds: Vec<f64>,
    failed: bool,
}

fn names(prefix: &str, which: impl IntoIterator<Item = usize>) -> Vec<String> {
    which.into_iter().map(|i| format!("{prefix}{i}")).collect()
}

fn log(store: &Store, made: &Made) {
    let options = RunOptions::new("plan").id(RunId::parse(&made.id).unwrap()).start_time(Micros(1_790_000_000_000_000));
    let run = store.start_run(options).unwrap();
    run.log_param("model", made.model).unwrap();
    run.log_param("option", made.option).unwrap();
    made.seed.into_iter().for_each(|seed| run.log_param("seed", seed).unwrap());
    let feature = |used: bool| {
        move |name: &String| Feature {
            feature: name.clone(),
            position: None,
            dtype: None,
            used,
            importance: None,
            importance_kind: None,
            feature_tags: Vec::new(),
            description: None,
        }
    };
    let features: Vec<Feature> =
        made.used.iter().map(feature(true)).chain(made.unused.iter().map(feature(false))).collect();
    if !features.is_empty() {
        run.log_features(features).unwrap();
    }
    if let Some(digest) = made.data {
        let data = DataVersion {
            dataset: "people".to_string(),
            role: "training".to_string(),
            digest: Some(digest.to_string()),
            data_version: Some(digest.to_string()),
            source: None,
            n_rows: None,
            n_columns: None,
            bytes: None,
            data_schema: None,
        };
        run.log_data(data).unwrap();
    }
    for (key, value) in &made.metrics {
        run.log_metric(*key, *value).unwrap();
    }
    for (fold, value) in made.folds.iter().enumerate() {
        let context = serde_json::json!({ "fold": fold });
        run.log_metrics(Metrics::new().value("auc", *value).context(context.as_object().unwrap())).unwrap();
    }
    run.end(if made.failed { Status::Failed } else { Status::Finished }, None, None).unwrap();
}

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

fn fixture(runs: &[Made]) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    runs.iter().for_each(|made| log(&store, made));
    store.set_goal("plan", "auc", Goal::Max).unwrap();
    store.flush().unwrap();
    Fixture { _dir: dir, store }
}

async fn rows(store: &Store, sql: &str) -> RecordBatch {
    let frame = store.session().await.unwrap().sql(sql).await.unwrap();
    let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
    concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
}

async fn shown(store: &Store, sql: &str) -> String {
    match store.session().await.unwrap().sql(sql).await {
        Ok(frame) => pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string(),
        Err(e) => format!("error: {e}"),
    }
}

fn floats(rows: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    rows[column].as_primitive::<Float64Type>().iter().collect()
}

fn ints(rows: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    rows[column].as_primitive::<Int64Type>().iter().collect()
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    rows[column].as_string::<i32>().iter().map(|text| text.map(str::to_string)).collect()
}

fn lists(rows: &RecordBatch, column: &str) -> Vec<Option<Vec<String>>> {
    let list = |item: std::sync::Arc<dyn Array>| item.as_string::<i32>().iter().flatten().map(str::to_string).collect();
    rows[column].as_list::<i32>().iter().map(|item| item.map(list)).collect()
}

const TRUE: usize = 6;
const NOISE: usize = 6;
const WORTH: f64 = 0.02;

/// Subsets where large ones hold more of everything, so that noise is found where the features are that help. Two versions
/// of the data and two models with levels of their own.
fn planted(seed: u64) -> Vec<Made> {
    let mut random = Random(seed);
    let mut runs = Vec::new();
    for i in 0..240 {
        let kept = random.below(TRUE + 1);
        let mut order: Vec<usize> = (0..TRUE).collect();
        (1..TRUE).rev().for_each(|at| order.swap(at, random.below(at + 1)));
        let presence = 0.1 + 0.8 * kept as f64 / TRUE as f64;
        let mut used = names("helps_", order[..kept].iter().copied());
        used.extend(names("noise_", (0..NOISE).filter(|_| random.unit() < presence).collect::<Vec<_>>()));
        if used.is_empty() {
            // A run without features says nothing about them.
            used = names("noise_", [random.below(NOISE)]);
        }
        let (easy, boosted) = (i % 2 == 0, random.unit() < 0.3);
        let level = 0.6 + if easy { 0.1 } else { 0.0 } + if boosted { 0.05 } else { 0.0 };
        made_up(&mut runs, i, easy, boosted, used, level + WORTH * kept as f64, &mut random);
    }
    runs
}

fn made_up(
    runs: &mut Vec<Made>,
    i: i64,
    easy: bool,
    boosted: bool,
    used: Vec<String>,
    level: f64,
    random: &mut Random,
) {
    let base = Made {
        model: if boosted { "boosted" } else { "linear" },
        option: i,
        used,
        data: Some(if easy { "easy" } else { "hard" }),
        ..Made::default()
    };
    for repeat in 0..2 {
        let metrics = vec![("auc", level + 0.01 * random.normal())];
        runs.push(Made { id: format!("run-{i:03}-{repeat}"), seed: Some(repeat), metrics, ..base.clone() });
    }
}

/// Welch's t over all configs, which is what one gets by comparing runs with a feature and runs without.
fn welch(runs: &[Made], feature: &str) -> f64 {
    let (with, without): (Vec<&Made>, Vec<&Made>) = runs.iter().partition(|run| run.used.iter().any(|f| f == feature));
    let moments = |runs: &[&Made]| {
        let sample = crate::stats::Summary::of(&runs.iter().map(|run| run.metrics[0].1).collect::<Vec<_>>()).unwrap();
        (sample.mean, sample.std_error().unwrap().powi(2))
    };
    let ((a, var_a), (b, var_b)) = (moments(&with), moments(&without));
    (a - b) / (var_a + var_b).sqrt()
}

#[tokio::test]
async fn noise_that_tracks_the_size_of_subsets_is_seen_through() {
    let runs = planted(3);
    let Fixture { store, _dir } = fixture(&runs);
    let found = rows(&store, "SELECT * FROM feature_effects('plan', 'auc') ORDER BY feature").await;
    let (effects, q, raw) = (floats(&found, "effect"), floats(&found, "q_value"), floats(&found, "raw_diff"));
    let (low, high) = (floats(&found, "low"), floats(&found, "high"));
    let mut covered = 0;
    for (i, feature) in texts(&found, "feature").into_iter().flatten().enumerate() {
        assert_eq!(texts(&found, "method")[i].as_deref(), Some("least squares"));
        // Each of them looks as if it helped.
        assert!(welch(&runs, &feature) > 3.0 && raw[i].unwrap() > 0.005, "{feature}: {}", welch(&runs, &feature));
        let truth = if feature.starts_with("noise") { 0.0 } else { WORTH };
        assert!((effects[i].unwrap() - truth).abs() < 0.005, "{feature}: {:?}", effects[i]);
        assert_eq!(q[i].unwrap() > 0.05, truth == 0.0, "{feature}: {:?}", q[i]);
        covered += usize::from((low[i].unwrap()..high[i].unwrap()).contains(&truth));
    }
    assert!(covered >= 11, "{covered} of 12 intervals hold the truth");
    assert_eq!(ints(&found, "n_configs"), vec![Some(240); 12]);
    assert_eq!(ints(&found, "n_runs"), vec![Some(480); 12]);
    assert_eq!(ints(&found, "n_blocks"), vec![Some(2); 12]);
}

#[tokio::test]
async fn answers_do_not_depend_on_the_order_of_runs_or_on_sealing() {
    let questions = [
        "SELECT * FROM feature_effects('plan', 'auc')",
        "SELECT * FROM feature_sets('plan', 'auc')",
        "SELECT * FROM select_features('plan', 'auc', tolerance => 0.01)",
        "SELECT * FROM pareto('plan', 'auc, n_features min, params.option max', 3)",
        "SELECT * FROM pareto('plan', 'auc, n_features min', by => 'config', within => 'scope')",
    ];
    let mut runs = planted(5);
    runs.truncate(120);
    let mut random = Random(11);
    let mut answers: Vec<Vec<String>> = Vec::new();
    for _ in 0..3 {
        let Fixture { store, _dir } = fixture(&runs);
        for sealed in [false, true] {
            if sealed {
                store.seal().await.unwrap();
            }
            let mut answer = Vec::new();
            for question in questions {
                answer.push(shown(&store, question).await);
            }
            answers.push(answer);
        }
        (1..runs.len()).rev().for_each(|at| runs.swap(at, random.below(at + 1)));
    }
    assert!(answers[0].iter().all(|answer| answer.lines().count() > 4), "{:?}", answers[0]);
    answers.iter().for_each(|answer| assert_eq!(*answer, answers[0]));
}

#[tokio::test]
async fn features_that_always_go_together_are_compared_within_strata() {
    let mut runs = planted(7);
    for run in &mut runs {
        run.used.retain(|feature| feature != "noise_0");
        if run.used.iter().any(|feature| feature == "helps_0") {
            run.used.push("noise_0".to_string());
        }
        // One that only says which model it was.
        if run.model == "boosted" {
            run.used.push("only_boosted".to_string());
        }
    }
    let Fixture { store, _dir } = fixture(&runs);
    let sql = "SELECT * FROM feature_effects('plan', 'auc')
        WHERE feature IN ('helps_0', 'helps_1', 'noise_0', 'only_boosted') ORDER BY feature";
    let found = rows(&store, sql).await;
    let method = texts(&found, "method");
    let expected = [Some("stratified"), Some("least squares"), Some("stratified"), None];
    assert_eq!(method.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    let aliased = lists(&found, "aliased_with");
    assert_eq!(aliased[0], Some(vec!["noise_0".to_string()]));
    assert_eq!(aliased[1], None);
    assert_eq!(aliased[2], Some(vec!["helps_0".to_string()]));
    assert_eq!(aliased[3], Some(vec!["family linear".to_string()]));
    let effects = floats(&found, "effect");
    // The same figure, since they are always used together.
    assert!(effects[0].is_some() && effects[0] == effects[2], "{effects:?}");
    assert!((effects[1].unwrap() - WORTH).abs() < 0.005, "{effects:?}");
    assert_eq!(effects[3], None);
    assert!(texts(&found, "reason")[3].as_ref().unwrap().contains("no two configs"), "{:?}", texts(&found, "reason"));
}

#[tokio::test]
async fn without_means_available_and_not_used() {
    let run = |id: &str, data, used: &[&str], unused: &[&str], auc, option| Made {
        id: id.to_string(),
        model: "m",
        option,
        data: Some(data),
        used: used.iter().map(|f| f.to_string()).collect(),
        unused: unused.iter().map(|f| f.to_string()).collect(),
        metrics: vec![("auc", auc)],
        ..Made::default()
    };
    let runs = [
        run("a", "d1", &["x", "y"], &[], 0.9, 1),
        // Does not say that it left x out, but another run of the block used it.
        run("b", "d1", &["y"], &[], 0.8, 2),
        // x was there, and nobody used it.
        run("c", "d2", &["y"], &["x", "z"], 0.5, 3),
        // x was not there.
        run("d", "d3", &["y"], &[], 0.1, 4),
    ];
    let Fixture { store, _dir } = fixture(&runs);
    let found = rows(&store, "SELECT * FROM feature_effects('plan', 'auc') ORDER BY feature").await;
    assert_eq!(texts(&found, "feature"), [Some("x".into()), Some("y".into()), Some("z".into())]);
    assert_eq!(ints(&found, "n_with"), [Some(1), Some(4), Some(0)]);
    assert_eq!(ints(&found, "n_without"), [Some(2), Some(0), Some(1)]);
    assert_eq!(ints(&found, "n_blocks"), [Some(1), Some(0), Some(0)]);
    let raw = floats(&found, "raw_diff");
    assert!((raw[0].unwrap() - (0.9 - 0.65)).abs() < 1e-12 && raw[1].is_none() && raw[2].is_none(), "{raw:?}");
    let effects = floats(&found, "effect");
    assert!((effects[0].unwrap() - 0.1).abs() < 1e-12, "{effects:?}");
    let reasons = texts(&found, "reason");
    assert_eq!(reasons[0].as_deref(), Some("too few configs for an interval"));
    assert_eq!(reasons[1].as_deref(), Some("used by all configs or by none in every block"));
    assert_eq!(reasons[2].as_deref(), Some("no config uses it"));
}

/// Five folds of each subset; a feature that helps is worth much, noise costs a little.
fn subsets_with_folds(seed: u64) -> Vec<Made> {
    let mut random = Random(seed);
    let fold: Vec<f64> = (0..5).map(|_| 0.02 * random.normal()).collect();
    let mut runs = Vec::new();
    for (i, (helping, noise)) in (0..=TRUE).flat_map(|h| (0..=NOISE).map(move |n| (h, n))).skip(1).enumerate() {
        let mut used = names("helps_", 0..helping);
        used.extend(names("noise_", 0..noise));
        let level = 0.7 + WORTH * helping as f64 - 0.001 * noise as f64;
        let folds: Vec<f64> = fold.iter().map(|fold| level + fold + 0.001 * random.normal()).collect();
        let held_out = level + 0.01 + 0.001 * random.normal();
        let metrics = vec![("test_auc", held_out)];
        let id = format!("run-{helping}-{noise}");
        runs.push(Made { id, model: "m", option: i as i64, used, metrics, folds, ..Made::default() });
    }
    runs
}

#[tokio::test]
async fn the_planted_subset_is_found() {
    for seed in [1, 2, 3] {
        let runs = subsets_with_folds(seed);
        let Fixture { store, _dir } = fixture(&runs);
        let found = rows(&store, "SELECT * FROM select_features('plan', 'auc', confirm => 'test_auc')").await;
        let planted = runs.iter().find(|run| run.id == "run-6-0").unwrap();
        assert_eq!(found.num_rows(), 1);
        assert_eq!(lists(&found, "features"), [Some(names("helps_", 0..TRUE))]);
        assert_eq!(ints(&found, "n_pairs"), [Some(5)]);
        assert_eq!(texts(&found, "run_id"), [Some("run-6-0".to_string())]);
        assert_eq!(floats(&found, "confirm_score"), [Some(planted.metrics[0].1)]);
        let sets = rows(&store, "SELECT * FROM feature_sets('plan', 'auc') WHERE rank = 1").await;
        assert_eq!(floats(&sets, "score"), floats(&found, "best_score"));
        let all = rows(&store, "SELECT count(*) AS n FROM feature_sets('plan', 'auc')").await;
        assert_eq!(ints(&found, "n_subsets"), ints(&all, "n"));
    }
}

#[tokio::test]
async fn a_selection_says_what_it_lacks() {
    let run = |id: &str, used: &[&str], auc, option| Made {
        id: id.to_string(),
        model: "m",
        option,
        used: used.iter().map(|f| f.to_string()).collect(),
        metrics: vec![("auc", auc)],
        ..Made::default()
    };
    let mut runs = vec![
        run("a", &["x", "y", "z"], 0.95, 1),
        run("b", &["x", "y"], 0.94, 2),
        run("c", &["x"], 0.80, 3),
        run("d", &["y"], 0.80, 4),
        run("e", &[], 0.99, 5),
    ];
    runs[4].failed = true;
    let Fixture { store, _dir } = fixture(&runs);
    let ask = |arguments: &'static str| {
        let sql = format!(
            "SELECT size, features, score, difference, n_subsets, n_too_large, reason
             FROM select_features('plan', 'auc'{arguments})"
        );
        let store = &store;
        async move { shown(store, &sql).await }
    };
    insta::assert_snapshot!(ask("").await, @r"
    +------+----------+-------+------------+-----------+-------------+----------------------------------------------------------+
    | size | features | score | difference | n_subsets | n_too_large | reason                                                   |
    +------+----------+-------+------------+-----------+-------------+----------------------------------------------------------+
    |      |          |       |            | 4         | 0           | the best subset has one fold or repeat: give a tolerance |
    +------+----------+-------+------------+-----------+-------------+----------------------------------------------------------+
    ");
    // 0.95 - 0.94 is more than 0.01 by rounding alone.
    insta::assert_snapshot!(ask(", tolerance => 0.01").await, @r"
    +------+----------+-------+-----------------------+-----------+-------------+--------+
    | size | features | score | difference            | n_subsets | n_too_large | reason |
    +------+----------+-------+-----------------------+-----------+-------------+--------+
    | 2    | [x, y]   | 0.94  | -0.010000000000000009 | 4         | 0           |        |
    +------+----------+-------+-----------------------+-----------+-------------+--------+
    ");
    insta::assert_snapshot!(ask(", 1, 0").await, @r"
    +------+----------+-------+------------+-----------+-------------+--------+
    | size | features | score | difference | n_subsets | n_too_large | reason |
    +------+----------+-------+------------+-----------+-------------+--------+
    | 1    | [x]      | 0.8   | 0.0        | 4         | 2           |        |
    +------+----------+-------+------------+-----------+-------------+--------+
    ");
    insta::assert_snapshot!(ask(", tolerance => -1").await, @"error: select_features(scope, metric [, max_features, tolerance, confirm]): tolerance is a number from 0 on");
    insta::assert_snapshot!(ask(", tolerance => 0.01, confirm => 'tset'").await, @"error: no run in 'plan' has a metric 'tset'");
    let nothing =
        shown(&store, "SELECT * FROM feature_sets('SELECT run_id FROM runs WHERE n_features IS NULL', 'auc')").await;
    insta::assert_snapshot!(nothing, @"error: no run in 'SELECT run_id FROM runs WHERE n_features IS NULL' has a score in 'auc': of the runs that logged it 1 failed");
}

#[tokio::test]
async fn fronts_have_ties_and_runs_without_a_value() {
    let run = |id: &str, metrics: &[(&'static str, f64)], option, seed| Made {
        id: id.to_string(),
        model: "m",
        option,
        seed: Some(seed),
        metrics: metrics.to_vec(),
        ..Made::default()
    };
    let runs = [
        run("a", &[("auc", 0.9), ("loss, (v2)", 0.3)], 1, 1),
        run("b", &[("auc", 0.9), ("loss, (v2)", 0.3)], 1, 2),
        run("c", &[("auc", 0.8), ("loss, (v2)", 0.2)], 2, 1),
        run("d", &[("auc", 0.8), ("loss, (v2)", 0.4)], 2, 2),
        run("e", &[("auc", 0.99)], 3, 1),
        run("f", &[("auc", f64::NAN), ("loss, (v2)", 0.1)], 3, 2),
    ];
    let Fixture { store, _dir } = fixture(&runs);
    let ask = |arguments: &'static str| {
        let sql = format!("SELECT * FROM pareto('plan', {arguments})");
        let store = &store;
        async move { shown(store, &sql).await }
    };
    insta::assert_snapshot!(ask(r#"'auc, "loss, (v2)" min', 2"#).await, @r"
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    | rank | experiment | dataset | data_version | digest | run_id | name | config_id        | auc | loss, (v2) | n_runs | n_compared | n_left_out | n_configs | n_blocks | score_of                    |
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    | 1    | plan       |         |              |        | a      |      | 7daa6302fd1950bf | 0.9 | 0.3        | 1      | 4          | 2          | 2         | 1        | auc: last, loss, (v2): last |
    | 1    | plan       |         |              |        | b      |      | 7daa6302fd1950bf | 0.9 | 0.3        | 1      | 4          | 2          | 2         | 1        | auc: last, loss, (v2): last |
    | 1    | plan       |         |              |        | c      |      | 4999b686258b0525 | 0.8 | 0.2        | 1      | 4          | 2          | 2         | 1        | auc: last, loss, (v2): last |
    | 2    | plan       |         |              |        | d      |      | 4999b686258b0525 | 0.8 | 0.4        | 1      | 4          | 2          | 2         | 1        | auc: last, loss, (v2): last |
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    ");
    insta::assert_snapshot!(ask(r#"'auc, "loss, (v2)" min', by => 'config'"#).await, @r"
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    | rank | experiment | dataset | data_version | digest | run_id | name | config_id        | auc | loss, (v2) | n_runs | n_compared | n_left_out | n_configs | n_blocks | score_of                    |
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    | 1    | plan       |         |              |        |        |      | 7daa6302fd1950bf | 0.9 | 0.3        | 2      | 2          | 2          | 2         | 1        | auc: last, loss, (v2): last |
    +------+------------+---------+--------------+--------+--------+------+------------------+-----+------------+--------+------------+------------+-----------+----------+-----------------------------+
    ");
    insta::assert_snapshot!(ask("'auc, params.option min'").await, @r"
    +------+------------+---------+--------------+--------+--------+------+------------------+------+---------------+--------+------------+------------+-----------+----------+-----------+
    | rank | experiment | dataset | data_version | digest | run_id | name | config_id        | auc  | params.option | n_runs | n_compared | n_left_out | n_configs | n_blocks | score_of  |
    +------+------------+---------+--------------+--------+--------+------+------------------+------+---------------+--------+------------+------------+-----------+----------+-----------+
    | 1    | plan       |         |              |        | e      |      | 31f5525269e1d7a7 | 0.99 | 3.0           | 1      | 5          | 1          | 3         | 1        | auc: last |
    | 1    | plan       |         |              |        | a      |      | 7daa6302fd1950bf | 0.9  | 1.0           | 1      | 5          | 1          | 3         | 1        | auc: last |
    | 1    | plan       |         |              |        | b      |      | 7daa6302fd1950bf | 0.9  | 1.0           | 1      | 5          | 1          | 3         | 1        | auc: last |
    +------+------------+---------+--------------+--------+--------+------+------------------+------+---------------+--------+------------+------------+-----------+----------+-----------+
    ");
    insta::assert_snapshot!(ask(r#"'auc, "loss, (v2)"'"#).await, @"error: metric 'loss, (v2)' has no goal in experiment 'plan': min or max");
    insta::assert_snapshot!(ask("'auc, params.option'").await, @"error: pareto(scope, objectives [, rank, by, within]): 'params.option' is no metric with a goal: say min or max after it");
    insta::assert_snapshot!(ask("'auc, duration_s min, n_features min'").await, @"error: no finished run in 'plan' has all of 'auc', 'duration_s', 'n_features'");
    insta::assert_snapshot!(ask("'auc', by => 'block'").await, @"error: pareto(scope, objectives [, rank, by, within]): by is 'run' or 'config'");
}
