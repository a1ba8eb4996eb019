use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::model::{Goal, ParamValue, Status};
use crate::store::{Run, RunOptions};

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
    insta::assert_snapshot!(live, @"");
    store.seal().await.unwrap();
    let mut sealed = String::new();
    for sql in questions {
        sealed += &ask(&store, sql).await;
        sealed += "\n";
    }
    assert_eq!(sealed, live);
}

#[tokio::test]
async fn errors_name_what_is_near() {
    let Fixture { store, _dir } = fixture();
    insta::assert_snapshot!(ask(&store, "SELECT metrics.acu FROM runs").await, @"");
    insta::assert_snapshot!(ask(&store, "SELECT * FROM rnus").await, @"");
    insta::assert_snapshot!(ask(&store, "SELECT nme FROM runs").await, @"");
    insta::assert_snapshot!(ask(&store, "SELEC 1").await, @"");
    insta::assert_snapshot!(ask(&store, "DROP TABLE runs").await, @"");
}

#[tokio::test]
async fn a_condition_on_the_experiment_becomes_one_on_its_id() {
    let Fixture { store, _dir } = fixture();
    store.seal().await.unwrap();
    let plan = ask(&store, "EXPLAIN SELECT name FROM runs WHERE experiment = 'churn' AND experiment NOT LIKE 'x%'").await;
    assert!(plan.contains("predicate=experiment_id"), "{plan}");
    assert!(!plan.contains("experiment_name("), "{plan}");
    let plan = ask(&store, "EXPLAIN SELECT params.model FROM runs WHERE metrics.auc > 0.5 ORDER BY metrics.auc LIMIT 1").await;
    insta::assert_snapshot!(plan, @"");
}

#[tokio::test]
async fn select_star_shows_structs_and_describe_shows_keys() {
    let Fixture { store, _dir } = fixture();
    insta::assert_snapshot!(ask(&store, "SELECT * FROM runs WHERE name = 'text'").await, @"");
    insta::assert_snapshot!(ask(&store, "DESCRIBE runs").await, @"");
    insta::assert_snapshot!(ask(&store, "SHOW TABLES").await, @"");
}
