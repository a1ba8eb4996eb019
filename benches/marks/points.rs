//! Points by the million: sealing them, and finding one curve among them.

use std::time::Instant;

use super::timing::{pair, shown, time};
use super::{Bench, child, common};
use runlake::Store;

fn logged(bench: &Bench, name: &str, runs: u64, steps: i64) -> String {
    let place = bench.place(name);
    let store = Store::create(&place).expect("the folder is empty");
    let begun = Instant::now();
    common::fill(&store, runs, 12, steps);
    bench.note(&format!("logged {} points in {:.1} s", runs * steps as u64 * 10, begun.elapsed().as_secs_f64()));
    place
}

fn seal(bench: &mut Bench, place: &str, points: u64, most_mb: u64) {
    let report = child::seal(place);
    let rate = points as f64 / report.seconds;
    let millions = points / 1_000_000;
    let what = format!("seal: points a second, of {millions} million");
    bench.mark(&what, format!("{:.2} million", rate / 1e6), ">= 1 million", rate >= 1e6);
    let what = format!("seal: memory, {millions} million points");
    bench.mark(&what, format!("{} MB", report.peak_mb), &format!("<= {most_mb} MB"), report.peak_mb <= most_mb);
}

/// Ten million points of a thousand runs, from segments to committed files.
pub fn rate(bench: &mut Bench) {
    let place = logged(bench, "ten-million", 1_000, 1_000);
    seal(bench, &place, 10_000_000, 1_000);
    let store = Store::open(&place).expect("it was just made");
    let session = bench.session(&store);
    assert_eq!(bench.ask(&session, "SELECT 1 FROM metrics WHERE run_id = 'run-0000500' AND key = 'loss'"), 1_000);
}

/// A hundred million points: memory, and one curve out of them.
pub fn hundred_million(bench: &mut Bench) {
    let place = logged(bench, "hundred-million", 5_000, 2_000);
    seal(bench, &place, 100_000_000, 1_000);
    let store = Store::open(&place).expect("it was just made");
    let session = bench.session(&store);
    let curve = "SELECT step, value FROM metrics WHERE run_id = 'run-0002500' AND key = 'loss' ORDER BY step";
    assert_eq!(bench.ask(&session, curve), 2_000);
    let column = "SELECT count(*), min(value), max(value) FROM metrics WHERE key = 'loss'";
    let ask = |sql: &str| {
        time(|| {
            bench.ask(&session, sql);
        })
    };
    let found = pair(7, || ask(curve), || ask(column));
    bench.note(&format!("one curve {}, the column {}", shown(found.ours), shown(found.theirs)));
    bench.mark(
        "one curve of 100 million points / its key's column",
        format!("1/{:.0}", 1.0 / found.ratio),
        "<= 1/50",
        found.ratio <= 0.02,
    );
}
