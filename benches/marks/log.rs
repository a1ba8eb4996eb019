//! What a call of a logging method costs the training script.

use std::time::{Duration, Instant};

use super::timing::{resident_mb, shown};
use super::{Bench, common};
use runlake::Store;

/// A million calls from one thread, with the sync thread at work.
pub fn latency(bench: &mut Bench) {
    const CALLS: usize = 1_000_000;
    let store = Store::create(bench.place("log")).expect("the folder is empty");
    let run = common::start(&store, 0, &mut common::Random::new(1));
    let mut times = vec![Duration::ZERO; CALLS];
    for step in 0..10_000 {
        run.log_metric_at("loss", 0.5, step).expect("it can be logged");
    }
    let before = resident_mb();
    for (step, time) in times.iter_mut().enumerate() {
        let begun = Instant::now();
        run.log_metric_at("loss", 0.5, step as i64).expect("it can be logged");
        *time = begun.elapsed();
    }
    let grown = resident_mb().saturating_sub(before);
    times.sort_unstable();
    let at = |share: f64| times[(CALLS as f64 * share) as usize];
    bench.mark("log: median of 1,000,000 calls", shown(at(0.5)), "<= 1 us", at(0.5) <= Duration::from_micros(1));
    bench.mark("log: 99th percentile", shown(at(0.99)), "<= 10 us", at(0.99) <= Duration::from_micros(10));
    bench.mark("log: memory more than before", format!("{grown} MB"), "flat: <= 2 MB", grown <= 2);
    bench.note(&format!("99.9 %: {}, longest {}", shown(at(0.999)), shown(times[CALLS - 1])));
}
