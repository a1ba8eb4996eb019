//! One question from the shell: a process starts, answers and ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Bench;
use super::peer::Peer;
use super::ranking::{OURS, flat, store};
use super::timing::{median, pair, shown, time};

/// `runlake sql -c` on a store of 10,000 runs.
pub fn start(bench: &mut Bench) {
    let store = store(bench, 10_000);
    let place = store.place().to_string();
    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
        run(command.args(["--store", &place, "sql", "-c", OURS]))
    };
    ours();
    let alone = median((0..15).map(|_| ours()).collect());
    bench.mark(
        "`runlake sql -c` on 10,000 runs, the whole process",
        shown(alone),
        "<= 60 ms",
        alone <= Duration::from_millis(60),
    );
    let Some(python) = bench.python.clone() else { return };
    let Some(duckdb) = python.parent().map(|bin| bin.join("duckdb")).filter(|path| path.is_file()) else {
        return bench.note("there is no `duckdb` command beside the Python of the peers");
    };
    let mut duck = Peer::start(&python, "duck.py");
    let file = flat(bench, &bench.session(&store), 10_000, &mut duck);
    let sql = format!(
        r#"SELECT name, "params.lr", "params.model", "params.seed", "metrics.auc" FROM '{file}'
           WHERE "params.model" = 'gbm' AND "params.lr" < 0.1 ORDER BY "metrics.auc" DESC LIMIT 10"#
    );
    let found = pair(15, ours, || run(Command::new(Path::new(&duckdb)).args(["-c", &sql])));
    bench.mark("the same / the `duckdb` command, flat file", found.shown(), "<= 2", found.ratio <= 2.0);
}

/// How long a process takes that must succeed.
pub fn run(command: &mut Command) -> Duration {
    time(|| {
        let output = command.output().expect("it can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    })
}
