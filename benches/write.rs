//! What logging costs a training script, and what sealing costs afterwards.

mod common;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use runlake::Metrics;

fn log(c: &mut Criterion) {
    let bench = common::empty();
    let run = common::start(&bench.store, 0, &mut common::Random::new(1));
    let mut step = 0;
    c.bench_function("log one metric", |b| {
        b.iter(|| {
            step += 1;
            run.log_metric_at("loss", 0.5, step).unwrap();
        })
    });
    c.bench_function("log ten metrics", |b| {
        b.iter(|| {
            step += 1;
            let values = (0..10).fold(Metrics::new().step(step), |m, i| m.value(format!("m{i}"), 0.5));
            run.log_metrics(values).unwrap();
        })
    });
}

fn seal(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut group = c.benchmark_group("seal");
    group.sample_size(10);
    group.bench_function("1,000 runs, 100,000 points", |b| {
        b.iter_batched(
            || common::filled(1_000, 10),
            |bench| {
                runtime.block_on(bench.store.seal()).unwrap();
                bench
            },
            BatchSize::PerIteration,
        )
    });
    group.finish();
}

criterion_group!(benches, log, seal);
criterion_main!(benches);
