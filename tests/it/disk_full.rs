//! A disk that is really full: the training script goes on, what it drops is counted, and logging resumes when there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use runlake::{RunId, RunOptions, Status, Store, StoreError, WriterOptions};

use crate::ask::{now, one};
use crate::program::again;

const DISK: &str = "RUNLAKE_TEST_SMALL_DISK";
/// The shell says so when it could not mount.
const NOT_ALLOWED: i32 = 77;

#[tokio::test]
#[ignore = "runs on a disk of 3 MB, which the test beside it makes"]
async fn story() {
    let Some(disk) = std::env::var_os(DISK).map(std::path::PathBuf::from) else { return };
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let hook = move |_: &runlake::WriteFailure| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let options = WriterOptions { on_failure: Some(Arc::new(hook)), ..WriterOptions::default() };
    Store::create(disk.join("s")).unwrap();
    let store = Store::open_with(disk.join("s"), options).unwrap();
    let ballast = |n: usize| disk.join(format!("ballast-{n}"));
    for n in 0..2 {
        std::fs::write(ballast(n), vec![1; 1 << 20]).unwrap();
    }
    let run = store.start_run(RunOptions::new("full").id(RunId::parse("full").unwrap())).unwrap();
    let mut logged = 0;
    let mut log = |n: i64| {
        for _ in 0..n {
            // The script never sees an error.
            run.log_metric_at("loss", 0.5, logged).unwrap();
            logged += 1;
        }
        logged
    };
    while told.load(Ordering::SeqCst) == 0 {
        assert!(log(1) < 1_000_000, "the disk was to be full by now");
    }
    let during = log(1000);
    assert_eq!(told.load(Ordering::SeqCst), 1, "it says so once");
    // What a run begins with waits for room; the rest is dropped like everything else.
    let late = store.start_run(RunOptions::new("later").id(RunId::parse("late").unwrap()).name("second")).unwrap();
    late.log_param("lr", 1).unwrap();
    // Sealing finds no room either, and takes nothing away.
    let failed = store.seal().await.unwrap_err();
    assert!(failed.to_string().contains("No space left"), "{failed}");
    std::fs::remove_file(ballast(0)).unwrap();
    let all = log(500);
    let dropped = match run.finish(Status::Finished) {
        Err(StoreError::Write(failure)) if failure.kept == 0 => failure.dropped as i64 - 1,
        other => panic!("it is to report what it dropped: {other:?}"),
    };
    late.log_param("lr", 1).unwrap();
    late.finish(Status::Finished).unwrap();
    assert!(dropped >= 1000, "{dropped}");
    store.flush().unwrap();
    for sealed in [false, true] {
        if sealed {
            std::fs::remove_file(ballast(1)).unwrap();
            store.seal().await.unwrap();
        }
        let counts = now(&store, "SELECT count(*), count(DISTINCT step) FROM metrics").await;
        assert_eq!(counts, [vec![(all - dropped).to_string(); 2]], "of {all}");
        let after = one(&store, &format!("SELECT count(*) FROM metrics WHERE step >= {during}")).await;
        assert_eq!(after, "500", "logging resumed when there was room");
        let runs = now(&store, "SELECT run_id, experiment, name, status, params.lr FROM runs ORDER BY 1").await;
        let row = |cells: [&str; 5]| cells.map(str::to_string).to_vec();
        let first = row(["full", "full", "NULL", "FINISHED", "NULL"]);
        assert_eq!(runs, [first, row(["late", "later", "second", "FINISHED", "1"])]);
    }
}

#[test]
fn a_script_goes_on_when_the_disk_is_full_and_logs_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    // Within namespaces of its own, the mount ends with the process; with one for users, it needs no rights either.
    for namespaces in [vec!["--mount"], vec!["--user", "--map-root-user", "--mount"]] {
        let test = again("disk_full::story");
        let mut command = std::process::Command::new("unshare");
        command.args(namespaces).args(["sh", "-c"]);
        command.arg(format!("mount -t tmpfs -o size=3m tmpfs \"$0\" || exit {NOT_ALLOWED}; exec \"$@\""));
        command.arg(dir.path()).arg(test.get_program()).args(test.get_args());
        let output = match command.env(DISK, dir.path()).output() {
            Ok(output) => output,
            Err(e) => {
                println!("skipped: unshare cannot be started: {e}");
                return;
            }
        };
        let text = crate::program::text(&output.stdout) + &crate::program::text(&output.stderr);
        match output.status.code() {
            Some(0) => {
                assert!(text.contains("1 passed"), "{text}");
                return;
            }
            // `unshare` itself ends with 1 where it may not.
            Some(NOT_ALLOWED) | Some(1) if !text.contains("running 1 test") => {}
            _ => panic!("{text}"),
        }
    }
    println!("skipped: no disk of 3 MB can be mounted here");
}
