use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::model::{Goal, ParamValue, Status};
use crate::store::{Metrics, Run, RunOptions};

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

fn run(store: &Store, name: &str) -> Run {
    store.start_run(RunOptions::new("churn").name(name).start_time(Micros(1_790_000_000_000_000))).unwrap()
}

/// Four runs that make the leaderboard hard: no score, NaN as a score, text in a numeric key, keys in capitals.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let values: [(&str, ParamValue, Option<f64>); 5] = [
        ("good", 0.01.into(), Some(0.9)),
        ("best", 0.05.into(), Some(0.95)),
        ("no score", 0.02.into(), None),
        ("diverged", 0.5.into(), Some(f64::NAN)),
        ("text", "auto".into(), Some(0.99)),
    ];
    for (i, (name, lr, auc)) in values.into_iter().enumerate() {
        let run = run(&store, name);
        run.log_param("optimizer.LR", lr).unwrap();
        run.log_param("model", "gbm").unwrap();
        run.log_param("seed", i as i64).unwrap();
        if let Some(auc) = auc {
            run.log_metric_at("AUC", 0.1, 0).unwrap();
            run.log_metric_at("AUC", auc, 1).unwrap();
        }
        run.set_tag("owner", "ana").unwrap();
        run.end(Status::Finished, None, None).unwrap();
    }
    store.set_goal("churn", "AUC", Goal::Max).unwrap();
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

const LEADERBOARD: &str = "SELECT name, params.optimizer.lr, metrics.auc FROM runs \
    WHERE experiment = 'churn' AND params.model = 'gbm' AND params.optimizer.lr < 0.1 \
    ORDER BY metrics.auc DESC LIMIT 10";

#[tokio::test]
async fn the_leaderboard_is_right_live_and_sealed() {
    let Fixture { store, _dir } = fixture();
    let live = ask(&store, LEADERBOARD).await;
    insta::assert_snapshot!(live, @r"
    +----------+---------------------+-------------+
    | name     | params.optimizer.LR | metrics.AUC |
    +----------+---------------------+-------------+
    | best     | 0.05                | 0.95        |
    | good     | 0.01                | 0.9         |
    | no score | 0.02                |             |
    +----------+---------------------+-------------+
    ");
    store.seal().await.unwrap();
    assert_eq!(ask(&store, LEADERBOARD).await, live);
    let session = store.session().await.unwrap();
    assert_eq!(
        session.query(LEADERBOARD).await.unwrap().notes,
        ["params.optimizer.LR: 1 of 5 runs holds text; see params_text.optimizer.LR"]
    );
}

#[tokio::test]
async fn tables_join_and_structs_pass_through_subqueries() {
    let Fixture { store, _dir } = fixture();
    let questions = [
        "WITH r AS (SELECT * FROM runs) SELECT r.name, p.value, r.params.seed, best.auc \
            FROM r JOIN params p USING (run_id) WHERE p.key = 'optimizer.LR' ORDER BY best.auc DESC, r.name",
        "SELECT experiment, n_runs, n_finished, n_configs FROM experiments",
        "SELECT params.model, count(*) AS n, max(metrics.AUC) FROM runs GROUP BY params.model",
        "SELECT DISTINCT params.model FROM runs ORDER BY params.model",
        "SELECT a.params.seed, b.params.seed FROM runs a JOIN runs b ON a.params.seed = b.params.seed + 1 ORDER BY 1",
    ];
    let mut live = String::new();
    for sql in questions {
        live += &ask(&store, sql).await;
        live += "\n";
    }
    insta::assert_snapshot!(live, @r#"
    +----------+-------+-------------+----------+
    | name     | value | params.seed | best.AUC |
    +----------+-------+-------------+----------+
    | text     | auto  | 4           | 0.99     |
    | best     | 0.05  | 1           | 0.95     |
    | good     | 0.01  | 0           | 0.9      |
    | diverged | 0.5   | 3           | 0.1      |
    | no score | 0.02  | 2           |          |
    +----------+-------+-------------+----------+
    +------------+--------+------------+-----------+
    | experiment | n_runs | n_finished | n_configs |
    +------------+--------+------------+-----------+
    | churn      | 5      | 5          | 5         |
    +------------+--------+------------+-----------+
    +--------------+---+------------------+
    | params.model | n | max(metrics.AUC) |
    +--------------+---+------------------+
    | gbm          | 5 | 0.99             |
    +--------------+---+------------------+
    +--------------+
    | params.model |
    +--------------+
    | gbm          |
    +--------------+
    +---------------+---------------+
    | a.params.seed | b.params.seed |
    +---------------+---------------+
    | 1             | 0             |
    | 2             | 1             |
    | 3             | 2             |
    | 4             | 3             |
    +---------------+---------------+
    "#);
    store.seal().await.unwrap();
    let mut sealed = String::new();
    for sql in questions {
        sealed += &ask(&store, sql).await;
        sealed += "\n";
    }
    assert_eq!(sealed, live);
}

/// Sums of doubles depend on the order in which they are made.
#[tokio::test]
async fn a_state_of_the_past_is_asked_on_one_thread() {
    let Fixture { store, _dir } = fixture();
    store.seal().await.unwrap();
    let threads = async |as_of, threads| {
        let session = store.session_with(SessionOptions { as_of, threads, ..SessionOptions::default() }).await.unwrap();
        session.engine.state().config().target_partitions()
    };
    assert_eq!(threads(Some(AsOf::State(1)), None).await, 1);
    assert_eq!(threads(Some(AsOf::State(1)), Some(3)).await, 3);
    assert_eq!(threads(None, Some(3)).await, 3);
}

#[tokio::test]
async fn errors_name_what_is_near() {
    let Fixture { store, _dir } = fixture();
    insta::assert_snapshot!(ask(&store, "SELECT metrics.acu FROM runs").await, @r#"error: no key 'metrics.acu' in table 'runs'"#);
    insta::assert_snapshot!(ask(&store, "SELECT * FROM rnus").await, @r#"error: no table 'rnus'"#);
    insta::assert_snapshot!(ask(&store, "SELECT nme FROM runs").await, @r#"error: no column 'nme'"#);
    insta::assert_snapshot!(ask(&store, "SELEC 1").await, @r#"error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1"#);
    insta::assert_snapshot!(ask(&store, "DROP TABLE runs").await, @r#"error: DROP is not allowed: this session only reads"#);
}

#[tokio::test]
async fn a_condition_on_the_experiment_becomes_one_on_its_id() {
    let Fixture { store, _dir } = fixture();
    store.seal().await.unwrap();
    let plan =
        ask(&store, "EXPLAIN SELECT name FROM runs WHERE experiment = 'churn' AND experiment NOT LIKE 'x%'").await;
    assert!(plan.contains("predicate=experiment_id"), "{plan}");
    assert!(!plan.contains("experiment_name("), "{plan}");
    let plan = ask(&store, "EXPLAIN SELECT params.model FROM runs WHERE metrics.auc > 0.5 ORDER BY metrics.auc").await;
    assert!(plan.contains("predicate=get_field(metrics"), "the scan knows the condition: {plan}");
    assert!(!plan.contains("FilterExec"), "the scan filters: {plan}");
}

#[tokio::test]
async fn select_star_shows_structs_and_describe_shows_keys() {
    let Fixture { store, _dir } = fixture();
    let all = ask(&store, "SELECT * FROM runs WHERE name = 'text' AND params.optimizer.lr IS NULL").await;
    assert!(all.contains("{model: gbm, optimizer.LR: , seed: 4}"), "{all}");
    assert!(all.contains("{AUC: 0.99}"), "{all}");
    insta::assert_snapshot!(ask(&store, "DESCRIBE runs").await, @r#"
    +--------------------------+-----------+------+--------------------------------------------------------------------------------------------+
    | column_name              | data_type | runs | description                                                                                |
    +--------------------------+-----------+------+--------------------------------------------------------------------------------------------+
    | run_id                   | text      |      | The run                                                                                    |
    | experiment_id            | text      |      | Its experiment                                                                             |
    | experiment               | text      |      | Name of its experiment                                                                     |
    | name                     | text      |      | A name for people, not unique                                                              |
    | status                   | text      |      | RUNNING, FINISHED, FAILED, KILLED, SCHEDULED or CRASHED                                    |
    | error                    | text      |      | What ended a failed run                                                                    |
    | start_time               | timestamp |      | When it began                                                                              |
    | end_time                 | timestamp |      | When it ended; NULL while it has not                                                       |
    | duration_s               | double    |      | Seconds from start to end                                                                  |
    | user                     | text      |      | Who ran it                                                                                 |
    | host                     | text      |      | On which machine                                                                           |
    | command                  | text      |      | By which command                                                                           |
    | git_commit               | text      |      | Commit of the code                                                                         |
    | git_branch               | text      |      | Branch of the code                                                                         |
    | git_dirty                | boolean   |      | Whether there were changes beyond the commit                                               |
    | git_remote               | text      |      | Where the code lives                                                                       |
    | parent_run_id            | text      |      | The run that this one is part of                                                           |
    | config_id                | text      |      | What repeats share: digest of the typed params without repeat keys, and of the feature set |
    | seed                     | bigint    |      | The param seed, where it is a whole number                                                 |
    | fold                     | bigint    |      | The param fold, where it is a whole number                                                 |
    | feature_set              | text      |      | Digest of the sorted names of the features used; NULL when none were logged                |
    | n_features               | bigint    |      | Number of features used; NULL when none were logged                                        |
    | features                 | text[]    |      | Names of the features used, by position                                                    |
    | notes                    | text      |      | Free text                                                                                  |
    | params.model             | text      | 5    | params, each in the type that most runs log                                                |
    | params.optimizer.LR      | double    | 5    | 1 of its values are text and read as NULL here; see params_text.optimizer.LR               |
    | params.seed              | bigint    | 5    | params, each in the type that most runs log                                                |
    | params_num.optimizer.LR  | double    | 4    | params that are numbers, as doubles                                                        |
    | params_num.seed          | double    | 5    | params that are numbers, as doubles                                                        |
    | params_text.model        | text      | 5    | params as text, as logged                                                                  |
    | params_text.optimizer.LR | text      | 5    | params as text, as logged                                                                  |
    | params_text.seed         | text      | 5    | params as text, as logged                                                                  |
    | metrics.AUC              | double    | 4    | last value of each metric without a context; NULL where that is NaN                        |
    | metrics_min.AUC          | double    | 4    | smallest value of each metric without a context                                            |
    | metrics_max.AUC          | double    | 4    | greatest value of each metric without a context                                            |
    | best.AUC                 | double    | 4    | metrics_min or metrics_max, by the declared goal; NULL without one                         |
    | tags.owner               | text      | 5    | tags; empty text for a bare one                                                            |
    +--------------------------+-----------+------+--------------------------------------------------------------------------------------------+
    "#);
    insta::assert_snapshot!(ask(&store, "SHOW TABLES").await, @r#"
    +---------------+---------------------------------------------------------------------+
    | table_name    | description                                                         |
    +---------------+---------------------------------------------------------------------+
    | runs          | one row per run, with its params, metrics, tags and data as structs |
    | params        | one row per run and param                                           |
    | metrics       | one row per logged point                                            |
    | metric_stats  | one row per run, metric and context                                 |
    | features      | one row per run and feature                                         |
    | data_versions | one row per run, data set and role                                  |
    | tags          | one row per run and tag                                             |
    | artifacts     | one row per run and file                                            |
    | packages      | one row per run and package                                         |
    | environment   | one row per run and fact about where it ran                         |
    | links         | one row per run, other run and kind of tie                          |
    | comments      | one row per run and comment                                         |
    | series        | one row per point that is text, a histogram or a file               |
    | experiments   | one row per experiment, with counts of its runs                     |
    | metric_defs   | one row per experiment and metric with a declared goal              |
    +---------------+---------------------------------------------------------------------+
    "#);
}

#[tokio::test]
async fn runs_named_by_their_ids_are_looked_for_in_their_experiments_and_months_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    // Ids of all experiments lie between each other, so that only the experiment tells their pages apart.
    for n in 0..12 {
        let start = Micros(1_790_000_000_000_000 + n % 2 * 40 * 24 * 3600 * 1_000_000);
        let options = RunOptions::new(format!("e{}", n % 4)).id(RunId::parse(&format!("r{n:02}")).unwrap());
        let run = store.start_run(options.start_time(start)).unwrap();
        run.log_metric_at("loss", n as f64, 1).unwrap();
        if n != 7 {
            run.end(Status::Finished, None, None).unwrap();
        }
    }
    store.flush().unwrap();
    store.seal().await.unwrap();
    let id_of = |name: &str| crate::model::ExperimentId::derive(name, 0).to_string();
    let plan = async |condition: &str| {
        let plan = ask(&store, &format!("EXPLAIN SELECT value FROM metrics WHERE {condition}")).await;
        let experiments: Vec<_> = (0..4).filter(|n| plan.contains(&id_of(&format!("e{n}")))).collect();
        (experiments, plan.matches("month=2026-09").count() > 0, plan.matches("month=2026-10").count() > 0)
    };
    assert_eq!(plan("run_id = 'r02'").await, (vec![2], true, false));
    assert_eq!(plan("'r03' = run_id AND key = 'loss'").await, (vec![3], false, true));
    assert_eq!(plan("run_id IN ('r02', 'r03', 'r06')").await, (vec![2, 3], true, true));
    // One that has not ended lies elsewhere in `runs`, and in the same place in `metrics`.
    assert_eq!(plan("run_id = 'r07'").await, (vec![3], false, true));
    // Nobody knows where these lie, or they say nothing.
    for condition in ["run_id IN ('r01', 'r99')", "run_id <> 'r01'", "run_id > 'r01'"] {
        assert_eq!(plan(condition).await, (vec![], true, true), "{condition}");
    }
    // Files whose ranges of ids do not reach it are left out.
    assert_eq!(plan("run_id = 'r99'").await, (vec![], false, false));
    assert_eq!(plan("run_id = 'r11' OR run_id = 'r99'").await, (vec![], false, true));
    let values = |condition: &str| format!("SELECT value FROM metrics WHERE {condition} ORDER BY value");
    for (condition, expected) in [
        ("run_id = 'r02'", "2.0"),
        ("run_id = 'r07'", "7.0"),
        ("run_id IN ('r02', 'r03', 'r06')", "2.0 3.0 6.0"),
        ("run_id IN ('r01', 'r99') OR value = 11", "1.0 11.0"),
        ("run_id = 'r99'", ""),
    ] {
        let shown = ask(&store, &values(condition)).await;
        let found: Vec<_> = shown.split(|c: char| !c.is_ascii_digit() && c != '.').filter(|w| !w.is_empty()).collect();
        assert_eq!(found.join(" "), expected, "{condition}");
    }
}

#[tokio::test]
async fn whole_structs_of_many_keys_cost_one_pass_and_conditions_on_a_key_reach_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    for n in 0..3 {
        let run = run(&store, &format!("r{n}"));
        run.log_params((0..3_000).map(|key| (format!("p{key}"), key * n))).unwrap();
        run.log_metrics((0..3_000).fold(Metrics::new(), |m, key| m.value(format!("m{key}"), n as f64))).unwrap();
        run.end(Status::Finished, None, None).unwrap();
    }
    store.set_goal("churn", "m7", Goal::Max).unwrap();
    store.flush().unwrap();
    store.seal().await.unwrap();
    let begun = std::time::Instant::now();
    let shown = ask(&store, "SELECT count(*) FROM (SELECT * FROM runs) WHERE params.p5 > 0 AND best.m7 >= 1").await;
    assert!(shown.contains("| 2        |"), "{shown}");
    // Texts of a file with so many columns are not read as views.
    let shown = ask(&store, "SELECT run_id, params_text.p6 FROM runs WHERE params_text.p5 = '10'").await;
    assert!(shown.contains("12"), "{shown}");
    let session = store.session().await.unwrap();
    let rows = session.sql("SELECT * FROM runs WHERE params.p5 = 10").await.unwrap().collect().await.unwrap();
    assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 1);
    let params = rows[0].column_by_name("params").unwrap().as_struct();
    assert_eq!(params.num_columns(), 3_000);
    let p7 = params.column_by_name("p7").unwrap();
    assert_eq!(p7.as_primitive::<arrow::datatypes::Int64Type>().value(0), 14);
    // Put together leaf by leaf this took minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let plan = ask(&store, "EXPLAIN SELECT * FROM runs WHERE params.p5 = 10").await;
    assert!(plan.contains("predicate=") && plan.contains("get_field(params_num"), "{plan}");
}

#[tokio::test]
async fn groups_without_keys_are_there_and_keys_meet_only_constants_of_their_type() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    run(&store, "young").log_params([("lr", ParamValue::from(0.1)), ("mix", "a".into())]).unwrap();
    let shown = ask(&store, "SELECT name, tags, best FROM runs").await;
    assert!(shown.contains("| young |      |      |"), "{shown}");
    let errors = [
        ("params.mix < 2", "error: 'params.mix' is text and is compared with 2"),
        ("-2 = params.mix", "error: 'params.mix' is text and is compared with -2"),
        ("params.lr = 'auto'", "error: 'params.lr' is double and is compared with 'auto'"),
        ("params.lr IN (1, 'x')", "error: 'params.lr' is double and is compared with 'x'"),
    ];
    for (condition, error) in errors {
        assert_eq!(ask(&store, &format!("SELECT name FROM runs WHERE {condition}")).await, error);
    }
    for condition in ["params.lr = '0.1'", "params.mix > '2'", "params_num.mix IS NULL OR params_num.mix < 2"] {
        let shown = ask(&store, &format!("SELECT name FROM runs WHERE {condition}")).await;
        assert!(shown.contains("young"), "{condition}: {shown}");
    }
}
