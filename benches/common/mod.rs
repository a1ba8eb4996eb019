//! Stores with made-up runs, the same ones each time.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use runlake::{Metrics, Micros, ParamValue, Run, RunId, RunOptions, Status, Store};

/// A small generator with a seed: benchmarks compare only where the data is equal.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

pub struct Bench {
    _dir: tempfile::TempDir,
    pub store: Store,
}

pub fn empty() -> Bench {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::create(dir.path().join("store")).expect("the folder is empty");
    Bench { _dir: dir, store }
}

pub fn id(n: u64) -> RunId {
    RunId::parse(&format!("run-{n:07}")).expect("a valid id")
}

/// Starts run `n` of a sweep over 50 experiments and five models, with as many params as asked for, at least three.
pub fn start_with(store: &Store, n: u64, random: &mut Random, params: u64) -> Run {
    let options = RunOptions::new(format!("experiment-{}", n % 50))
        .id(id(n))
        .name(format!("run-{n}"))
        .start_time(Micros(1_780_000_000_000_000 + n as i64 * 1_000_000));
    let run = store.start_run(options).expect("it can be logged");
    let models = ["gbm", "svm", "mlp", "forest", "linear"];
    let mut values: Vec<(String, ParamValue)> = vec![
        ("lr".into(), random.unit().into()),
        ("model".into(), models[random.below(5) as usize].into()),
        ("seed".into(), (n % 5).into()),
    ];
    values.extend((3..params).map(|i| (format!("option.{i}"), ParamValue::from(random.below(100)))));
    run.log_params(values).expect("params are set once");
    run
}

/// Starts a run with twelve params.
pub fn start(store: &Store, n: u64, random: &mut Random) -> Run {
    start_with(store, n, random, 12)
}

/// The metrics of a run.
pub const METRICS: [&str; 10] = ["auc", "loss", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"];

/// Logs runs with ten metrics, `steps` points each, and ends them.
pub fn fill(store: &Store, runs: u64, params: u64, steps: i64) {
    let mut random = Random::new(7);
    for n in 0..runs {
        let run = start_with(store, n, &mut random, params);
        for step in 0..steps {
            let metrics = METRICS.iter().fold(Metrics::new().step(step), |m, key| m.value(*key, random.unit()));
            run.log_metrics(metrics).expect("it can be logged");
        }
        run.end(Status::Finished, Some(Micros(1_790_000_000_000_000)), None).expect("it can be logged");
    }
    store.close_segment().expect("the disk takes it");
}

/// A store with runs of twelve params and ten metrics, `steps` points each.
pub fn filled(runs: u64, steps: i64) -> Bench {
    let bench = empty();
    fill(&bench.store, runs, 12, steps);
    bench
}
