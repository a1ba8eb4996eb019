use std::collections::BTreeMap;

use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;

use crate::model::{Goal, Micros, RunId, Status};
use crate::query::{QueryError, SessionOptions};
use crate::store::{Metrics, Run, RunOptions, Store};

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

fn run(store: &Store, id: &str, experiment: &str) -> Run {
    let options = RunOptions::new(experiment).name(id).id(RunId::parse(id).unwrap());
    store.start_run(options.start_time(Micros(1_790_000_000_000_000))).unwrap()
}

fn end(run: &Run) {
    run.end(Status::Finished, None, None).unwrap();
}

/// Three configs: two repeats each of lr 0.1 and 0.2 in folds, one run of lr 0.3 with a curve; one that diverged, one that
/// failed.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    for (id, lr, seed, folds) in [
        ("a1", 0.1, 1, [0.80, 0.84]),
        ("a2", 0.1, 2, [0.82, 0.86]),
        ("b1", 0.2, 1, [0.90, 0.88]),
        ("b2", 0.2, 2, [0.86, 0.90]),
        ("d1", 0.4, 1, [0.99, f64::NAN]),
    ] {
        let run = run(&store, id, "churn");
        run.log_param("lr", lr).unwrap();
        run.log_param("seed", seed).unwrap();
        for (fold, value) in folds.into_iter().enumerate() {
            let object = serde_json::json!({ "fold": fold });
            let context = object.as_object().unwrap();
            run.log_metrics(Metrics::new().value("auc", value).context(context)).unwrap();
        }
        // The test score, which is no fold.
        run.log_metric("auc", 0.5).unwrap();
        end(&run);
    }
    let curve = run(&store, "c1", "churn");
    curve.log_param("lr", 0.3).unwrap();
    for (step, auc) in [0.6, 0.95, 0.7].into_iter().enumerate() {
        curve.log_metric_at("auc", auc, step as i64).unwrap();
        curve.log_metric_at("loss", 1.0 - auc, step as i64).unwrap();
    }
    curve.log_metric_at("test_auc", 0.93, 1).unwrap();
    end(&curve);
    let failed = run(&store, "e1", "churn");
    failed.log_param("lr", 0.1).unwrap();
    failed.end(Status::Failed, None, Some("out of memory".to_string())).unwrap();
    store.set_goal("churn", "auc", Goal::Max).unwrap();
    let other = run(&store, "x1", "wine");
    other.log_metric("auc", 0.1).unwrap();
    end(&other);
    store.flush().unwrap();
    Fixture { _dir: dir, store }
}

async fn ask(store: &Store, sql: &str) -> String {
    let session = store.session().await.unwrap();
    match session.sql(sql).await {
        Ok(frame) => match frame.collect().await {
            Ok(batches) => pretty_format_batches(&batches).unwrap().to_string(),
            Err(e) => format!("error: {}", QueryError::from(e)),
        },
        Err(e) => format!("error: {e}"),
    }
}

#[tokio::test]
async fn runs_rank_by_their_folds_where_they_have_some() {
    let Fixture { store, _dir } = fixture();
    let sql = "SELECT rank, run_id, score, score_of, n_folds, step FROM best_runs('churn', 'auc', 4)";
    let live = ask(&store, sql).await;
    insta::assert_snapshot!(live, @r"
    +------+--------+-------+----------+---------+------+
    | rank | run_id | score | score_of | n_folds | step |
    +------+--------+-------+----------+---------+------+
    | 1    | c1     | 0.95  | best     |         | 1    |
    | 2    | b1     | 0.89  | folds    | 2       |      |
    | 3    | b2     | 0.88  | folds    | 2       |      |
    | 4    | a2     | 0.84  | folds    | 2       |      |
    +------+--------+-------+----------+---------+------+
    ");
    store.seal().await.unwrap();
    assert_eq!(ask(&store, sql).await, live);
    let by_query = "SELECT rank, run_id, score, score_of, n_folds, step
        FROM best_runs('SELECT run_id FROM runs WHERE experiment = ''churn''', 'auc', k => 4)";
    assert_eq!(ask(&store, by_query).await, live);
    let joined =
        "SELECT b.run_id, params.lr FROM best_runs('chur%', 'auc') AS b JOIN runs USING (run_id) ORDER BY rank LIMIT 2";
    insta::assert_snapshot!(ask(&store, joined).await, @r"
    +--------+-----------+
    | run_id | params.lr |
    +--------+-----------+
    | c1     | 0.3       |
    | b1     | 0.2       |
    +--------+-----------+
    ");
}

#[tokio::test]
async fn repeats_of_a_config_count_once() {
    let Fixture { store, _dir } = fixture();
    let sql = "SELECT * EXCLUDE (config_id, experiment, dataset, data_version, digest, score_of, n_configs, n_blocks) FROM config_scores('churn', 'auc')";
    insta::assert_snapshot!(ask(&store, sql).await, @r"
    +------+-----------+------------+--------+----------+--------------------+----------------------+-----------------------+--------------------+--------------------+----------+--------------------+
    | rank | params.lr | n_features | n_runs | n_failed | mean               | std                  | std_error             | low                | high               | best_run | reason             |
    +------+-----------+------------+--------+----------+--------------------+----------------------+-----------------------+--------------------+--------------------+----------+--------------------+
    | 1    | 0.3       |            | 1      | 0        | 0.95               |                      |                       |                    |                    | c1       | one run: no spread |
    | 2    | 0.2       |            | 2      | 0        | 0.885              | 0.007071067811865481 | 0.0050000000000000044 | 0.8214689763191265 | 0.9485310236808735 | b1       |                    |
    | 3    | 0.1       |            | 2      | 1        | 0.8300000000000001 | 0.014142135623730885 | 0.009999999999999953  | 0.7029379526382538 | 0.9570620473617464 | a2       |                    |
    |      | 0.4       |            | 0      | 1        |                    |                      |                       |                    |                    |          | no run has a score |
    +------+-----------+------------+--------+----------+--------------------+----------------------+-----------------------+--------------------+--------------------+----------+--------------------+
    ");
}

/// What went in, and what a figure is made of, stands beside it.
#[tokio::test]
async fn answers_say_how_much_went_in() {
    let Fixture { store, _dir } = fixture();
    for (id, score) in [("m1", 0.5), ("m2", 0.7), ("h1", 1e308), ("h2", 1e308)] {
        let run = run(&store, id, "churn");
        run.log_param("lr", if score > 1.0 { 0.7 } else { 0.6 }).unwrap();
        run.log_param("seed", if id.ends_with('1') { 1 } else { 2 }).unwrap();
        run.log_metric_at("auc", score, 0).unwrap();
        if id == "m2" {
            run.log_metric_at("auc", 0.6, 1).unwrap();
        }
        end(&run);
    }
    let alive = run(&store, "r1", "churn");
    alive.log_metric("auc", 0.1).unwrap();
    let best = ask(&store, "SELECT run_id, n_runs, n_configs, n_blocks FROM best_runs('churn', 'auc', 3)").await;
    insta::assert_snapshot!(best, @r"
    +--------+--------+-----------+----------+
    | run_id | n_runs | n_configs | n_blocks |
    +--------+--------+-----------+----------+
    | h1     | 10     | 6         | 1        |
    | h2     | 10     | 6         | 1        |
    | c1     | 10     | 6         | 1        |
    +--------+--------+-----------+----------+
    ");
    // Two kinds of scores in one mean are told; squares of 1e308 are no numbers.
    let sql = "SELECT \"params.lr\", n_runs, n_failed, n_configs, n_blocks, mean, score_of, reason
        FROM config_scores('churn', 'auc') WHERE \"params.lr\" IN ('0.1', '0.6', '0.7')";
    insta::assert_snapshot!(ask(&store, sql).await, @r"
    +-----------+--------+----------+-----------+----------+--------------------+------------+-----------------------------------------------------+
    | params.lr | n_runs | n_failed | n_configs | n_blocks | mean               | score_of   | reason                                              |
    +-----------+--------+----------+-----------+----------+--------------------+------------+-----------------------------------------------------+
    | 0.1       | 2      | 1        | 4         | 1        | 0.8300000000000001 | folds      |                                                     |
    | 0.6       | 2      | 0        | 4         | 1        | 0.6                | best, last | scores of different kinds are averaged: best, last  |
    | 0.7       | 0      | 2        | 4         | 0        |                    |            | no run has a score; scores beyond 1e150 are none: 2 |
    +-----------+--------+----------+-----------+----------+--------------------+------------+-----------------------------------------------------+
    ");
    let sql = "SELECT run_id, n_runs, n_compared, n_left_out, n_configs, n_blocks, score_of
        FROM pareto('churn', 'auc max, params.lr min')";
    insta::assert_snapshot!(ask(&store, sql).await, @r"
    +--------+--------+------------+------------+-----------+----------+----------------------------+
    | run_id | n_runs | n_compared | n_left_out | n_configs | n_blocks | score_of                   |
    +--------+--------+------------+------------+-----------+----------+----------------------------+
    | h1     | 1      | 9          | 3          | 5         | 1        | auc: best or folds or last |
    | h2     | 1      | 9          | 3          | 5         | 1        | auc: best or folds or last |
    | c1     | 1      | 9          | 3          | 5         | 1        | auc: best or folds or last |
    | b1     | 1      | 9          | 3          | 5         | 1        | auc: best or folds or last |
    | a2     | 1      | 9          | 3          | 5         | 1        | auc: best or folds or last |
    +--------+--------+------------+------------+-----------+----------+----------------------------+
    ");
}

#[tokio::test]
async fn a_history_is_whole_or_thinned() {
    let Fixture { store, _dir } = fixture();
    insta::assert_snapshot!(ask(&store, "SELECT run_id, context, step, value FROM metric_history('c1', 'auc')").await, @r"
    +--------+---------+------+-------+
    | run_id | context | step | value |
    +--------+---------+------+-------+
    | c1     |         | 0    | 0.6   |
    | c1     |         | 1    | 0.95  |
    | c1     |         | 2    | 0.7   |
    +--------+---------+------+-------+
    ");
    let folds = ask(&store, "SELECT run_id, context, value FROM metric_history('a', 'auc')").await;
    assert!(folds.starts_with("error: 'a' fits"), "{folds}");
    let run = run(&store, "long", "churn");
    for step in 0..1_000 {
        run.log_metric_at("loss", if step == 321 { 9.0 } else { (step % 7) as f64 }, step).unwrap();
    }
    let sql = "SELECT count(*) AS n, max(value) AS max, min(value) AS min, min(step) AS first, max(step) AS last
        FROM metric_history('long', 'loss', 20)";
    insta::assert_snapshot!(ask(&store, sql).await, @r"
    +----+-----+-----+-------+------+
    | n  | max | min | first | last |
    +----+-----+-----+-------+------+
    | 20 | 9.0 | 0.0 | 0     | 999  |
    +----+-----+-----+-------+------+
    ");
    let few = ask(&store, "SELECT * FROM metric_history('long', 'loss', 3)").await;
    assert!(few.contains("points is 4 at least"), "{few}");
}

#[tokio::test]
async fn at_best_reads_everything_at_the_best_step() {
    let Fixture { store, _dir } = fixture();
    let sql = "SELECT * FROM at_best('SELECT run_id FROM runs WHERE run_id = ''c1''', 'auc')";
    let live = ask(&store, sql).await;
    insta::assert_snapshot!(live, @r"
    +--------+------+------+----------+---------+----------------------+
    | run_id | step | best | key      | context | value                |
    +--------+------+------+----------+---------+----------------------+
    | c1     | 1    | 0.95 | auc      |         | 0.95                 |
    | c1     | 1    | 0.95 | loss     |         | 0.050000000000000044 |
    | c1     | 1    | 0.95 | test_auc |         | 0.93                 |
    +--------+------+------+----------+---------+----------------------+
    ");
    store.seal().await.unwrap();
    assert_eq!(ask(&store, sql).await, live);
}

#[tokio::test]
async fn runs_are_compared_side_by_side() {
    let Fixture { store, _dir } = fixture();
    let sql = |a: &str, b: &str| {
        format!(
            "SELECT section, key, differs, a, b, difference FROM compare_runs('{a}', '{b}')
        WHERE section IN ('params', 'metrics') OR key = 'experiment'"
        )
    };
    insta::assert_snapshot!(ask(&store, &sql("a1", "c1")).await, @r#"
    +---------+----------------+---------+-------+---------------------+----------------------+
    | section | key            | differs | a     | b                   | difference           |
    +---------+----------------+---------+-------+---------------------+----------------------+
    | run     | experiment     | false   | churn | churn               |                      |
    | params  | lr             | true    | 0.1   | 0.3                 | -0.19999999999999998 |
    | params  | seed           | true    | 1     |                     |                      |
    | metrics | auc            | true    | 0.5   | 0.7                 | -0.19999999999999996 |
    | metrics | auc {"fold":0} | true    | 0.8   |                     |                      |
    | metrics | auc {"fold":1} | true    | 0.84  |                     |                      |
    | metrics | loss           | true    |       | 0.30000000000000004 |                      |
    | metrics | test_auc       | true    |       | 0.93                |                      |
    +---------+----------------+---------+-------+---------------------+----------------------+
    "#);
    let flipped =
        "SELECT section, key, differs, b AS a, a AS b, -difference AS difference FROM compare_runs('c1', 'a1')
        WHERE section IN ('params', 'metrics') OR key = 'experiment'";
    assert_eq!(ask(&store, &sql("a1", "c1")).await, ask(&store, flipped).await);
    let same = "SELECT count(*) AS n FROM compare_runs('a1', 'a1', 'a1') WHERE differs OR a <> c";
    assert!(ask(&store, same).await.contains("| 0 |"));
}

/// What a run of the property below says.
#[derive(Debug, Clone)]
struct Said {
    params: Vec<(usize, f64)>,
    metrics: Vec<(usize, f64)>,
    tags: Vec<(usize, u8)>,
}

fn said() -> impl Strategy<Value = Said> {
    let few = |most: usize| prop::collection::vec((0..4usize, -3..3i8), 0..most);
    // NaN, infinities and large values differ from others, and from themselves not at all.
    let value = prop_oneof![(-3..3i8).prop_map(f64::from), Just(f64::NAN), Just(f64::INFINITY), Just(1e308), Just(0.1)];
    (few(4), prop::collection::vec((0..4usize, value), 0..4), prop::collection::vec((0..3usize, 0..2u8), 0..3))
        .prop_map(|(params, metrics, tags)| Said {
            params: params.into_iter().map(|(key, value)| (key, f64::from(value))).collect(),
            metrics,
            tags,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Each run against each other: what differs is the same seen from either side, and the difference turns its sign.
    #[test]
    fn comparing_is_symmetric(runs in prop::collection::vec(said(), 2..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        for (i, said) in runs.iter().enumerate() {
            let run = run(&store, &format!("r{i}"), if i % 2 == 0 { "churn" } else { "wine" });
            // A param is logged once.
            let params: BTreeMap<_, _> = said.params.iter().map(|(key, value)| (format!("p{key}"), *value)).collect();
            run.log_params(params).unwrap();
            said.metrics.iter().for_each(|(key, value)| run.log_metric(format!("m{key}"), *value).unwrap());
            said.tags.iter().for_each(|(key, value)| run.set_tag(format!("t{key}"), value.to_string()).unwrap());
            end(&run);
        }
        store.flush().unwrap();
        for a in 0..runs.len() {
            for b in 0..=a {
                let sides = |a: usize, b: usize| format!("compare_runs('r{a}', 'r{b}') ORDER BY section, key");
                let there = format!("SELECT section, key, differs, a, b, difference FROM {}", sides(a, b));
                // 0 less a difference of 0 is 0, its negative is not.
                let back =
                    format!("SELECT section, key, differs, b AS a, a AS b, 0 - difference AS difference FROM {}", sides(b, a));
                let (there, back) = runtime.block_on(async { (ask(&store, &there).await, ask(&store, &back).await) });
                prop_assert!(!there.starts_with("error"), "{}", there);
                prop_assert_eq!(&there, &back);
                prop_assert!(a != b || !there.contains("| true "), "{}", there);
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let Fixture { store, _dir } = fixture();
    store.attach(RunId::parse("a1").unwrap()).unwrap().log_text("comment", 0, "fine").unwrap();
    let class = serde_json::json!({ "class": 1 });
    let by_class = Metrics::new().value("by_class", 0.5).context(class.as_object().unwrap());
    store.attach(RunId::parse("a1").unwrap()).unwrap().log_metrics(by_class).unwrap();
    for (sql, message) in [
        ("SELECT * FROM best_runs('chrun', 'auc')", "no experiment is called or like 'chrun'"),
        ("SELECT * FROM best_runs('churn', 'acu')", "no run in 'churn' has a metric 'acu'"),
        (
            "SELECT * FROM best_runs('churn', 'comment')",
            "metric 'comment' was logged as text in 'churn', not as numbers",
        ),
        ("SELECT * FROM best_runs('churn', 'loss')", "metric 'loss' has no goal in experiment 'churn': min or max"),
        (
            "SELECT * FROM best_runs('churn', 'by_class')",
            r#"every series of 'by_class' in 'churn' has a context, such as {"class":1}"#,
        ),
        ("SELECT * FROM best_runs('%', 'auc')", "metric 'auc' has no goal in experiment 'wine': min or max"),
        ("SELECT * FROM best_runs(churn, 'auc')", "argument 1 of best_runs is a name: churn"),
        ("SELECT * FROM best_runs('churn', 1 + 1)", "an argument of best_runs is no constant: 1 + 1"),
        ("SELECT * FROM best_runs('churn')", "best_runs(scope, metric [, k]): there is no metric"),
        ("SELECT * FROM best_runs('churn', 'auc', 0)", "best_runs(scope, metric [, k]): k is a whole number from 1 on"),
        (
            "SELECT * FROM best_runs('churn', 'auc', 1, 2)",
            "best_runs(scope, metric [, k]): there are too many arguments",
        ),
        (
            "SELECT * FROM best_runs('churn', 'auc', n => 2)",
            "best_runs(scope, metric [, k]): it has no argument 'n', or it was given before",
        ),
        (
            "SELECT * FROM best_runs('SELECT name FROM runs', 'auc')",
            "the query of a scope returns a column run_id, this one returns 'name'",
        ),
        (
            "SELECT * FROM best_runs('SELECT run_id FROM runs WHERE false', 'auc')",
            "there are no runs in 'SELECT run_id FROM runs WHERE false'",
        ),
        ("SELECT * FROM best_runs('DROP TABLE runs', 'auc')", "no experiment is called or like 'DROP TABLE runs'"),
        ("SELECT * FROM compare_runs('a1')", "compare_runs(run, run, ...): it compares 2 to 26 runs, not 1"),
        ("SELECT * FROM compare_runs('a1', 'zz')", "run 'zz' does not exist"),
    ] {
        let answer = ask(&store, sql).await;
        assert!(answer.starts_with(&format!("error: {message}")), "{sql}: {answer}");
    }
    store.set_goal("wine", "auc", Goal::Min).unwrap();
    let differ = ask(&store, "SELECT * FROM best_runs('%', 'auc')").await;
    assert_eq!(differ, "error: metric 'auc' has different goals: max in 'churn', min in 'wine'");
}

#[tokio::test]
async fn values_may_be_bound_to_arguments() {
    let Fixture { store, _dir } = fixture();
    let session = store.session_with(SessionOptions::default()).await.unwrap();
    let params =
        [("e".to_string(), "churn".into()), ("k".to_string(), 2i64.into()), ("low".to_string(), 0.9f64.into())];
    let sql = "SELECT run_id FROM best_runs($e, 'auc', $k) WHERE score > $low";
    let query = session.query_with(sql, &params).await.unwrap();
    let rows: usize = query.frame.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 1);
    // Inside a query of its own, a join, an EXPLAIN.
    for sql in [
        "WITH b AS (SELECT * FROM best_runs('churn', 'auc')) SELECT count(*) FROM b, best_runs('churn', 'auc', 1) AS c",
        "EXPLAIN SELECT * FROM best_runs('churn', 'auc')",
        "SELECT run_id FROM runs WHERE run_id IN (SELECT run_id FROM best_runs('churn', 'auc', 3))",
    ] {
        session.sql(sql).await.unwrap().collect().await.unwrap();
    }
}
