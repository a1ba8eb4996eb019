//! How the leaderboard grows from a thousand runs to a million, and what one late edit among a million costs.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::ranking::{OURS, against_duckdb, ask, store};
use super::timing::{median, shown};
use super::{Bench, common};

/// A thousand to a million runs.
pub fn million(bench: &mut Bench) {
    let mut times = Vec::new();
    for runs in [1_000, 10_000, 100_000, 1_000_000] {
        let store = store(bench, runs);
        let session = bench.session(&store);
        ask(bench, &session, OURS);
        let time = median((0..9).map(|_| ask(bench, &session, OURS)).collect());
        bench.note(&format!("{runs} runs: {}", shown(time)));
        times.push((runs, time));
    }
    let growth = times[3].1.as_secs_f64() / times[0].1.as_secs_f64();
    bench.mark("leaderboard of 1,000,000 runs / of 1,000", format!("{growth:.1}"), "<= 30", growth <= 30.0);
    let plot = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/growth.svg");
    std::fs::write(&plot, svg(&times)).expect("docs/ can be written");

    let store = store(bench, 1_000_000);
    if let Some(found) = against_duckdb(bench, &store, 1_000_000) {
        bench.mark("leaderboard of 1,000,000 runs / DuckDB, flat file", found.shown(), "<= 1.2", found.ratio <= 1.2);
    }
    let begun = Instant::now();
    store.attach(common::id(500_000)).and_then(|run| run.set_tag("stage", "production")).expect("it can be logged");
    store.close_segment().expect("the disk takes it");
    let session = bench.session(&store);
    let found = format!("SELECT tags.stage FROM runs WHERE run_id = '{}'", common::id(500_000));
    assert_eq!(bench.ask(&session, &found), 1);
    let seen = begun.elapsed();
    bench.runtime.block_on(store.seal()).expect("it can be sealed");
    let sealed = begun.elapsed();
    let limit = Duration::from_secs(1);
    bench.mark("tag one of 1,000,000 sealed runs and read it", shown(seen), "<= 1 s", seen <= limit);
    bench.mark("the same, sealed into the tables", shown(sealed), "<= 1 s", sealed <= limit);
}

/// Time over runs, both logarithmic, as a picture.
fn svg(times: &[(u64, Duration)]) -> String {
    let x = |runs: u64| 80.0 + ((runs as f64).log10() - 3.0) * 170.0;
    let y = |ms: f64| 280.0 - ms.log10() * 100.0;
    let mut out = String::from(concat!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="640" height="340" font-family="sans-serif" font-size="13">"##,
        r##"<rect width="640" height="340" fill="white"/>"##,
        "<text x=\"80\" y=\"24\" font-size=\"15\">Leaderboard: time (ms) over number of runs, both logarithmic</text>\n"
    ));
    for ms in [1.0, 10.0, 100.0] {
        let y = y(ms);
        let _ = writeln!(
            out,
            r##"<line x1="80" y1="{y:.0}" x2="600" y2="{y:.0}" stroke="#ddd"/><text x="70" y="{:.0}" text-anchor="end">{ms}</text>"##,
            y + 4.0
        );
    }
    let mut points = String::new();
    for &(runs, time) in times {
        let ms = time.as_secs_f64() * 1e3;
        let (x, y) = (x(runs), y(ms));
        let _ = write!(points, "{x:.0},{y:.0} ");
        let _ = writeln!(
            out,
            r##"<circle cx="{x:.0}" cy="{y:.0}" r="4" fill="#0a6"/><text x="{x:.0}" y="{:.0}" text-anchor="middle">{ms:.1}</text><text x="{x:.0}" y="310" text-anchor="middle">{runs}</text>"##,
            y - 10.0
        );
    }
    let _ = writeln!(out, r##"<polyline points="{points}" fill="none" stroke="#0a6" stroke-width="2"/>"##);
    out + "</svg>\n"
}
