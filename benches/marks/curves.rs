//! Questions over 7.4 million real points: learning curves of 4,582 runs.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Bench;
use super::peer::Peer;
use super::ranking::ask;
use super::timing::pair;
use runlake::{Run, RunId, RunOptions, Status, Store};

/// Best values from `metric_stats`, a history, a window.
pub fn real(bench: &mut Bench) {
    let data = std::env::var_os("RUNLAKE_BENCH_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let source = data.join("learning_curves/metrics.parquet");
    if !source.is_file() {
        return bench.note("skipped: there is no learning_curves/metrics.parquet in RUNLAKE_BENCH_DATA");
    }
    let store = Store::create(bench.place("curves")).expect("the folder is empty");
    let begun = Instant::now();
    let points = load(&store, &source);
    let logged = begun.elapsed();
    bench.runtime.block_on(store.seal()).expect("it can be sealed");
    let sealed = begun.elapsed() - logged;
    let rate = points as f64 / sealed.as_secs_f64();
    bench.note(&format!(
        "{points} points: logged in {:.1} s, sealed in {:.1} s, {:.2} million a second",
        logged.as_secs_f64(),
        sealed.as_secs_f64(),
        rate / 1e6
    ));
    let Some(python) = bench.python.clone() else { return };
    let mut duck = Peer::start(&python, "duck.py");
    let view = |table: &str| {
        let files = format!("{}/{table}/**/*.parquet", store.place());
        format!("CREATE VIEW {table} AS SELECT * FROM read_parquet('{files}')")
    };
    for table in ["metrics", "runs"] {
        duck.sql(&view(table));
    }
    let session = bench.session(&store);

    let ours = "SELECT run_id, key, max FROM metric_stats";
    let theirs = "SELECT run_id, key, max(value) AS max FROM metrics GROUP BY run_id, key";
    assert_eq!(bench.ask(&session, ours), duck.rows(theirs).as_array().map_or(0, Vec::len));
    let best = pair(7, || ask(bench, &session, ours), || duck.sql(theirs));
    bench.mark("best value per run and key / DuckDB over metrics", best.shown(), "<= 1/5", best.ratio <= 0.2);

    let history = "SELECT run_id, step, value FROM metrics WHERE key = 'validation/loss'";
    let found = pair(9, || ask(bench, &session, history), || duck.sql(history));
    bench.mark("history of one key / DuckDB", found.shown(), "<= 1.2", found.ratio <= 1.2);

    let window = "SELECT experiment_id, count(*), max(mean) FROM (
            SELECT r.experiment_id, avg(m.value) OVER (PARTITION BY m.run_id ORDER BY m.step
                ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS mean
            FROM metrics AS m JOIN runs AS r ON m.run_id = r.run_id
            WHERE m.key = 'validation/loss' AND m.value < 1e30) AS rolled
        GROUP BY experiment_id ORDER BY experiment_id";
    assert_eq!(bench.ask(&session, window), duck.rows(window).as_array().map_or(0, Vec::len));
    let found = pair(7, || ask(bench, &session, window), || duck.sql(window));
    bench.mark("join, window and rolling mean / DuckDB", found.shown(), "<= 1.2", found.ratio <= 1.2);
}

/// Logs every point in the order of the file.
fn load(store: &Store, source: &std::path::Path) -> u64 {
    let file = File::open(source).expect("it is a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).expect("it is Parquet");
    let mut runs: HashMap<String, Run> = HashMap::new();
    let mut points = 0;
    for batch in reader {
        let batch = batch.expect("it can be read");
        let column = |name: &str, to: &DataType| {
            let found = batch.column_by_name(name).unwrap_or_else(|| panic!("it has a column {name}"));
            cast(found, to).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let (ids, keys) = (column("run_id", &DataType::Utf8), column("metric", &DataType::Utf8));
        let (steps, values) = (column("step", &DataType::Int64), column("value", &DataType::Float64));
        let (ids, keys) = (ids.as_string::<i32>(), keys.as_string::<i32>());
        let (steps, values) = (steps.as_primitive::<Int64Type>(), values.as_primitive::<Float64Type>());
        for i in 0..ids.len() {
            if !runs.contains_key(ids.value(i)) {
                let id = RunId::parse(&ids.value(i).replace('/', ".")).expect("a valid id");
                let options = RunOptions::new(format!("workload-{}", runs.len() % 8)).id(id);
                runs.insert(ids.value(i).to_string(), store.start_run(options).expect("it can be logged"));
            }
            let run = &runs[ids.value(i)];
            run.log_metric_at(keys.value(i), values.value(i), steps.value(i)).expect("it can be logged");
            points += 1;
        }
    }
    for run in runs.values() {
        run.end(Status::Finished, None, None).expect("it can be logged");
    }
    store.close_segment().expect("the disk takes it");
    points
}
