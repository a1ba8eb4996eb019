//! What a question costs: opening, the leaderboard, one curve; each over a sealed store.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use runlake::Store;

fn read(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = common::filled(20_000, 1);
    runtime.block_on(bench.store.seal()).unwrap();
    let place = bench.store.place().to_string();
    c.bench_function("open, 20,000 runs", |b| {
        b.iter(|| {
            let store = Store::open(&place).unwrap();
            runtime.block_on(store.session()).unwrap()
        })
    });
    let session = runtime.block_on(bench.store.session()).unwrap();
    let ask = |sql: &str| {
        runtime.block_on(async {
            session.sql(sql).await.unwrap().collect().await.unwrap().iter().map(|b| b.num_rows()).sum::<usize>()
        })
    };
    let leaderboard = "SELECT name, params.lr, metrics.auc FROM runs
        WHERE experiment = 'experiment-7' AND params.model = 'gbm' AND params.lr < 0.5
        ORDER BY metrics.auc DESC LIMIT 10";
    assert_eq!(ask(leaderboard), 10);
    c.bench_function("leaderboard of one experiment, 20,000 runs", |b| b.iter(|| ask(leaderboard)));
    let all = "SELECT name, params.lr, metrics.auc FROM runs WHERE params.lr < 0.5 ORDER BY metrics.auc DESC LIMIT 10";
    assert_eq!(ask(all), 10);
    c.bench_function("leaderboard of all, 20,000 runs", |b| b.iter(|| ask(all)));

    let curves = common::filled(1_000, 200);
    runtime.block_on(curves.store.seal()).unwrap();
    let session = runtime.block_on(curves.store.session()).unwrap();
    let curve =
        format!("SELECT step, value FROM metrics WHERE run_id = '{}' AND key = 'loss' ORDER BY step", common::id(500));
    c.bench_function("one curve of 2,000,000 points", |b| {
        b.iter(|| {
            let batches = runtime.block_on(async { session.sql(&curve).await.unwrap().collect().await.unwrap() });
            assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 200);
        })
    });
}

criterion_group!(benches, read);
criterion_main!(benches);
