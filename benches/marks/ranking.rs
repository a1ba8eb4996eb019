//! The leaderboard: two param filters, one metric, the best ten, five columns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::peer::Peer;
use super::timing::{Pair, pair, shown, time};
use super::{Bench, common};
use runlake::{Error, QueryError, Session, Store};

/// The question to the wide table. Columns of the flat file have the same names in quotes.
pub const OURS: &str = "SELECT name, params.lr, params.model, params.seed, metrics.auc FROM runs
    WHERE params.model = 'gbm' AND params.lr < 0.1 ORDER BY metrics.auc DESC LIMIT 10";
const THEIRS: &str = r#"SELECT name, "params.lr", "params.model", "params.seed", "metrics.auc" FROM flat
    WHERE "params.model" = 'gbm' AND "params.lr" < 0.1 ORDER BY "metrics.auc" DESC NULLS LAST LIMIT 10"#;
/// The same from the long tables: one join for each key.
const LONG: &str = "SELECT r.name, lr.num, model.value, seed.num, auc.last FROM runs AS r
    JOIN params AS lr ON lr.run_id = r.run_id AND lr.key = 'lr' AND lr.num < 0.1
    JOIN params AS model ON model.run_id = r.run_id AND model.key = 'model' AND model.value = 'gbm'
    JOIN params AS seed ON seed.run_id = r.run_id AND seed.key = 'seed'
    JOIN metric_stats AS auc ON auc.run_id = r.run_id AND auc.key = 'auc' AND auc.context IS NULL
    ORDER BY auc.last DESC LIMIT 10";

/// Params of a run.
pub const PARAMS: u64 = 21;

/// A sealed store of runs with 21 params and ten metrics.
pub fn store(bench: &Bench, runs: u64) -> Store {
    let place = bench.place(&format!("runs-{runs}"));
    if let Ok(store) = Store::open(&place) {
        return store;
    }
    let store = Store::create(&place).expect("the folder is empty");
    let begun = Instant::now();
    common::fill(&store, runs, PARAMS, 1);
    let logged = begun.elapsed();
    bench.runtime.block_on(store.seal()).expect("it can be sealed");
    let sealed = shown(begun.elapsed() - logged);
    bench.note(&format!("{runs} runs: logged in {}, sealed in {sealed}", shown(logged)));
    store
}

/// Writes what the wide table holds into one flat Parquet file of the peer's own making.
pub fn flat(bench: &Bench, session: &Session, runs: u64, duck: &mut Peer) -> String {
    let plain = bench.place(&format!("export-{runs}.parquet"));
    let flat = bench.place(&format!("flat-{runs}.parquet"));
    let options = (3..PARAMS).map(|i| format!(r#", params['option.{i}'] AS "params.option.{i}""#)).collect::<String>();
    let metrics = common::METRICS.map(|key| format!(r#", metrics.{key} AS "metrics.{key}""#)).concat();
    let sql = format!(
        r#"SELECT run_id, experiment, name, status, start_time, end_time, params.lr AS "params.lr",
           params.model AS "params.model", params.seed AS "params.seed"{options}{metrics} FROM runs"#
    );
    let write = async {
        let frame = session.sql(&sql).await?;
        frame.write_parquet(&plain, Default::default(), None).await.map_err(QueryError::from).map_err(Error::from)
    };
    bench.runtime.block_on(write).expect("the export can be written");
    duck.sql(&format!("COPY (SELECT * FROM read_parquet('{plain}')) TO '{flat}' (FORMAT parquet)"));
    duck.sql(&format!("CREATE OR REPLACE VIEW flat AS SELECT * FROM read_parquet('{flat}')"));
    flat
}

/// The leaderboard of a store against the peer on a flat file.
pub fn against_duckdb(bench: &Bench, store: &Store, runs: u64) -> Option<Pair> {
    let mut duck = Peer::start(bench.python.as_ref()?, "duck.py");
    let session = bench.session(store);
    flat(bench, &session, runs, &mut duck);
    assert_eq!(bench.ask(&session, OURS), duck.rows(THEIRS).as_array().map_or(0, Vec::len));
    Some(pair(41, || ask(bench, &session, OURS), || duck.sql(THEIRS)))
}

/// The time of a statement.
pub fn ask(bench: &Bench, session: &Arc<Session>, sql: &str) -> Duration {
    time(|| {
        bench.ask(session, sql);
    })
}

/// 100,000 runs.
pub fn hundred_thousand(bench: &mut Bench) {
    let store = store(bench, 100_000);
    if let Some(found) = against_duckdb(bench, &store, 100_000) {
        bench.mark("leaderboard of 100,000 runs / DuckDB, flat file", found.shown(), "<= 1.0", found.ratio <= 1.0);
    }
    let session = bench.session(&store);
    assert_eq!(bench.ask(&session, OURS), bench.ask(&session, LONG));
    let found = pair(5, || ask(bench, &session, OURS), || ask(bench, &session, LONG));
    bench.mark("the same / from the long tables", found.shown(), "<= 1/5", found.ratio <= 0.2);
}

/// Logging and ranking beside MLflow with its SQLite store.
pub fn mlflow(bench: &mut Bench) {
    const RUNS: u64 = 2_000;
    const STEPS: i64 = 200;
    let Some(python) = bench.python.clone() else { return };
    let mut peer = Peer::start(&python, "mlflow_peer.py");
    let place = bench.place("mlflow.db");
    // The peer logs a share of the runs: all of them would take it more than an hour.
    let share = 100;
    let (time, _) = peer.ask(json!({ "log": place, "runs": RUNS / share, "steps": STEPS }));
    let theirs = time * share as u32;
    let store = Store::create(bench.place("beside-mlflow")).expect("the folder is empty");
    let begun = Instant::now();
    let mut random = common::Random::new(7);
    for n in 0..RUNS {
        let run = common::start_with(&store, n, &mut random, 5);
        for step in 0..STEPS {
            run.log_metric_at("loss", random.unit(), step).expect("it can be logged");
        }
        run.end(runlake::Status::Finished, None, None).expect("it can be logged");
    }
    store.flush().expect("the disk takes it");
    let ours = begun.elapsed();
    let times = theirs.as_secs_f64() / ours.as_secs_f64();
    let what = format!("logging 2,000 runs x 200 points, beside MLflow (1/{share} of it)");
    let figure = format!("{} / {} = 1/{times:.0}", shown(ours), shown(theirs));
    bench.mark(&what, figure, "<= 1/50", times >= 50.0);

    let runs = 100_000;
    let store = self::store(bench, runs);
    let session = bench.session(&store);
    let place = bench.place("mlflow-ranking.db");
    peer.ask(json!({ "fill": place, "runs": runs }));
    let theirs = || peer.ask(json!({ "rank": place })).0;
    let found = pair(5, || ask(bench, &session, OURS), theirs);
    bench.mark("top ten of 100,000 runs / MLflow search_runs", found.shown(), "<= 1/50", found.ratio <= 0.02);
}
