//! Any text as SQL: it is checked, its keys are resolved, and it is planned, or refused; never a panic, and nothing that
//! would change something gets past the check.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use runlake::{RunOptions, Session, Store};
use tokio::runtime::Runtime;

static ASKED: LazyLock<(Runtime, Session)> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("runlake-fuzz-{}", std::process::id()));
    let store = Store::create(dir).expect("the folder is new");
    let run = store.start_run(RunOptions::new("wine")).expect("it can be written");
    run.log_param("lr", 0.1).expect("it can be written");
    run.log_metric("loss", 1.0).expect("it can be written");
    let runtime = Runtime::new().expect("threads can be started");
    let session = runtime.block_on(store.session()).expect("it can be read");
    (runtime, session)
});

fuzz_target!(|sql: &str| {
    let (runtime, session) = &*ASKED;
    runtime.block_on(runlake::fuzzing::plan_sql(session, sql));
});
