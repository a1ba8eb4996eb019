//! Bringing in what MLflow wrote, and asking it where it stands.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::Bench;
use super::oneshot::run;
use super::peer::Peer;
use super::timing::{pair, shown};
use runlake::Store;

const RUNS: u64 = 5_000;
const STEPS: u64 = 20;
const QUESTION: &str = "SELECT run_id, params.lr, metrics.auc FROM runs ORDER BY metrics.auc DESC LIMIT 10";

/// 5,000 runs of three metrics with 20 points: as a folder against MLflow's own migration, as a database against reading
/// it through MLflow's client, and a question to the folder against one to a store.
pub fn mlflow(bench: &mut Bench) {
    let Some(python) = bench.python.clone() else { return };
    let mut peer = Peer::start(&python, "mlflow_peer.py");
    let (tree, database) = (bench.place("mlruns"), bench.place("mlruns.db"));
    peer.ask(json!({ "tree": tree, "runs": RUNS, "steps": STEPS }));

    let (from_tree, from_database) = (bench.place("from-tree"), bench.place("from-database"));
    for place in [&from_tree, &from_database] {
        Store::create(place).expect("the folder is empty");
    }
    let ours = runlake(&from_tree, &["import", &tree]);
    let theirs = peer.ask(json!({ "migrate": tree, "to": database })).0;
    mark(bench, "import of 5,000 runs in mlruns/ / mlflow migrate-filestore", ours, theirs, 10.0);
    let again = runlake(&from_tree, &["import", &tree]);
    bench.note(&format!("the same import again, nothing new: {}", shown(again)));

    let ours = runlake(&from_database, &["import", &database]);
    let theirs = peer.ask(json!({ "read": database })).0;
    mark(bench, "import of the same in SQLite / reading it with MlflowClient", ours, theirs, 20.0);

    for (what, source) in [("folder", &tree), ("database", &database)] {
        let foreign = || run(command().args(["sql", "--from", source, "-c", QUESTION]));
        let own = || run(command().args(["--store", &from_tree, "sql", "-c", QUESTION]));
        let found = pair(9, foreign, own);
        let what = format!("`sql --from` an unchanged {what} / `sql` on a store");
        bench.mark(&what, found.shown(), "<= 1.1", found.ratio <= 1.1);
    }
}

fn mark(bench: &mut Bench, what: &str, ours: Duration, theirs: Duration, times: f64) {
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let figure = format!("{} / {} = 1/{ratio:.0}", shown(ours), shown(theirs));
    bench.mark(what, figure, &format!("<= 1/{times}"), ratio >= times);
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_runlake"))
}

fn runlake(store: &str, args: &[&str]) -> Duration {
    run(command().args(["--store", store]).args(args))
}
