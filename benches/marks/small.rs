//! What a small store takes on disk.

use std::path::Path;

use super::{Bench, common};
use runlake::{Metrics, Micros, ParamValue, RunOptions, Status, Store};

/// A thousand runs of 20 params and 20 metrics, sealed.
pub fn size(bench: &mut Bench) {
    for (name, digits) in [("sweep", Digits::Float32), ("worst", Digits::All)] {
        let place = bench.place(name);
        let store = Store::create(&place).expect("the folder is empty");
        fill(&store, digits);
        bench.runtime.block_on(store.seal()).expect("it can be sealed");
        drop(store);
        let (files, bytes) = measure(Path::new(&place));
        let what = match digits {
            Digits::Float32 => "1,000 runs x 40 values, metrics of a float32 model",
            Digits::All => "the same, 20 random doubles each as params and metrics",
        };
        bench.mark(what, format!("{:.2} MB, {files} files", bytes as f64 / 1e6), "<= 1 MB, 20 files", {
            bytes <= 1_000_000 && files <= 20
        });
    }
}

#[derive(Clone, Copy)]
enum Digits {
    /// Metrics as a model in single precision gives them; params from a grid, four of them random.
    Float32,
    /// Nothing that a compressor could find.
    All,
}

fn fill(store: &Store, digits: Digits) {
    let mut random = common::Random::new(3);
    for n in 0..1_000 {
        let time = Micros(1_780_000_000_000_000 + n as i64 * 60_000_000);
        let run =
            store.start_run(RunOptions::new("sweep").id(common::id(n)).start_time(time)).expect("it can be logged");
        let mut number = |i: u64| match digits {
            Digits::Float32 if i < 4 => ParamValue::from((random.unit() * 1e4).round() / 1e4),
            Digits::Float32 => ParamValue::from(random.below(i + 1)),
            Digits::All => ParamValue::from(random.unit()),
        };
        let params: Vec<_> = (0..20).map(|i| (format!("p{i}"), number(i))).collect();
        run.log_params(params).expect("params are set once");
        let metrics = (0..20).fold(Metrics::new().step(1), |metrics, i| {
            let value = match digits {
                Digits::Float32 => f64::from(random.unit() as f32),
                Digits::All => random.unit(),
            };
            metrics.value(format!("m{i}"), value)
        });
        run.log_metrics(metrics).expect("it can be logged");
        run.end(Status::Finished, Some(Micros(time.0 + 1_000_000)), None).expect("it can be logged");
    }
    store.close_segment().expect("the disk takes it");
}

/// Number and size of the files in a folder.
pub fn measure(folder: &Path) -> (u64, u64) {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
        let below = match entry.metadata().expect("it is there") {
            meta if meta.is_dir() => measure(&entry.path()),
            meta => (1, meta.len()),
        };
        found = (found.0 + below.0, found.1 + below.1);
    }
    found
}
