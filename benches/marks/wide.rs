//! Runs with very many params.

use std::time::Instant;

use super::{Bench, child};
use runlake::{ParamValue, RunOptions, Status, Store};

/// 800 runs, each with all of 18,000 params.
pub fn params(bench: &mut Bench) {
    const RUNS: usize = 800;
    const PARAMS: usize = 18_000;
    let place = bench.place("wide");
    let begun = Instant::now();
    {
        let store = Store::create(&place).expect("the folder is empty");
        for n in 0..RUNS {
            let run =
                store.start_run(RunOptions::new("wide").id(super::common::id(n as u64))).expect("it can be logged");
            let values: Vec<_> =
                (0..PARAMS).map(|i| (format!("p{i}"), ParamValue::from((n * 7 + i) as i64 % 97))).collect();
            run.log_params(values).expect("params are set once");
            run.end(Status::Finished, None, None).expect("it can be logged");
        }
        store.close_segment().expect("the disk takes it");
    }
    bench.note(&format!("logged in {:.1} s", begun.elapsed().as_secs_f64()));
    let sealed = child::seal(&place);
    bench.note(&format!("sealed in {:.1} s", sealed.seconds));
    bench.mark(
        "800 runs x 18,000 params: memory to seal",
        format!("{} MB", sealed.peak_mb),
        "< 1,000 MB",
        sealed.peak_mb < 1_000,
    );
    let sql =
        "SELECT name, params.p17, params.p4711 FROM runs WHERE params.p17999 > 50 ORDER BY params.p3 DESC LIMIT 10";
    let asked = child::sql(&place, sql);
    bench.mark(
        "the same: open and ask for four of them",
        format!("{:.2} s, {} MB", asked.seconds, asked.peak_mb),
        "< 0.5 s, 500 MB",
        asked.seconds < 0.5 && asked.peak_mb < 500,
    );
}
