//! Many processes write into one store while others read and seal.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;

use runlake::io::{Append, Entry, Io, LocalIo, Stat};
use runlake::{RunId, RunOptions, Status, Store, WriterOptions};

use crate::ask::{now, one, rows};
use crate::program::{again, done, runlake};

const WRITERS: usize = 8;
const RUNS: usize = 50;
const STEPS: usize = 4;

/// The lines of one writer: its runs one after the other, as a sweep logs them.
fn lines(writer: usize) -> String {
    let mut out = String::new();
    for run in 0..RUNS {
        let id = format!("w{writer}-r{run}");
        out += &format!("{{\"type\":\"run\",\"run\":\"{id}\",\"experiment\":\"sweep\",\"name\":\"{id}\"}}\n");
        out += &format!(
            "{{\"type\":\"params\",\"run\":\"{id}\",\"values\":{{\"writer\":{writer},\"lr\":{}}}}}\n",
            run as f64 / 100.0
        );
        for step in 0..STEPS {
            out += &format!(
                "{{\"type\":\"metrics\",\"run\":\"{id}\",\"step\":{step},\"values\":{{\"loss\":{}}}}}\n",
                1.0 / (step + 1) as f64
            );
        }
        out += &format!("{{\"type\":\"finish\",\"run\":\"{id}\"}}\n");
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_log_fifty_runs_each_while_readers_ask_and_a_sealer_seals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let input = dir.path().join(format!("writer-{writer}.jsonl"));
            std::fs::write(&input, lines(writer)).unwrap();
            let child = runlake(&path)
                .args(["log", "--ack"])
                .stdin(std::fs::File::open(&input).unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            Some(child)
        })
        .collect();

    // What was seen once stays, and no row is ever seen twice, whatever the sealer does meanwhile.
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut rounds = 0;
    loop {
        let running = writers.iter_mut().flatten().map(|w| w.try_wait().unwrap()).filter(Option::is_none).count();
        let session = store.session().await.unwrap();
        let runs: Vec<String> =
            rows(&session, "SELECT run_id FROM runs").await.into_iter().map(|mut row| row.remove(0)).collect();
        let distinct: BTreeSet<String> = runs.iter().cloned().collect();
        assert_eq!(distinct.len(), runs.len(), "a run was seen twice");
        assert!(seen.is_subset(&distinct), "runs vanished: {:?}", seen.difference(&distinct));
        let doubled = "SELECT run_id, step, count(*) FROM metrics GROUP BY run_id, step HAVING count(*) > 1";
        assert_eq!(rows(&session, doubled).await, Vec::<Vec<String>>::new());
        // All tables show the same moment: a finished run has all its points and params.
        let torn = "SELECT r.run_id FROM runs r LEFT JOIN
                      (SELECT run_id, count(*) AS n FROM metrics GROUP BY run_id) m USING (run_id)
                    WHERE r.status = 'FINISHED' AND coalesce(m.n, 0) <> 4";
        assert_eq!(rows(&session, torn).await, Vec::<Vec<String>>::new());
        seen = distinct;
        rounds += 1;
        if running == 0 {
            break;
        }
        store.seal().await.unwrap();
    }
    for writer in &mut writers {
        let output = writer.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", crate::program::text(&output.stderr));
    }
    assert!(rounds > 1, "the reader was to read while others wrote");
    for sealed in [false, true] {
        if sealed {
            done(runlake(&path).arg("seal"));
        }
        assert_eq!(one(&store, "SELECT count(*) FROM runs").await, (WRITERS * RUNS).to_string());
        assert_eq!(one(&store, "SELECT count(DISTINCT run_id) FROM runs").await, (WRITERS * RUNS).to_string());
        assert_eq!(one(&store, "SELECT count(*) FROM metrics").await, (WRITERS * RUNS * STEPS).to_string());
        assert_eq!(one(&store, "SELECT count(*) FROM params").await, (WRITERS * RUNS * 2).to_string());
        let by_writer = now(&store, "SELECT params.writer, count(*) FROM runs GROUP BY 1 ORDER BY 1").await;
        assert_eq!(by_writer, (0..WRITERS).map(|w| vec![w.to_string(), RUNS.to_string()]).collect::<Vec<_>>());
        assert_eq!(one(&store, "SELECT count(*) FROM runs WHERE status <> 'FINISHED'").await, "0");
    }
}

const STORE: &str = "RUNLAKE_TEST_STORE";
const WRITER: &str = "RUNLAKE_TEST_WRITER";
const POINTS: i64 = 10_000;

/// The value of a point, so that a wrong one would show.
fn value(writer: usize, step: i64) -> f64 {
    ((step * 37 + writer as i64 * 11) % 1009) as f64
}

#[test]
#[ignore = "the process of one writer"]
fn writer() {
    let var = |name| std::env::var(name).ok();
    let (Some(path), Some(number)) = (var(STORE), var(WRITER)) else { return };
    let number: usize = number.parse().unwrap();
    let store = Store::open(path).unwrap();
    let run = store.start_run(RunOptions::new("many").id(RunId::parse(&format!("w{number}")).unwrap())).unwrap();
    for step in 0..POINTS {
        run.log_metric_at("loss", value(number, step), step).unwrap();
    }
    run.finish(Status::Finished).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_processes_log_ten_thousand_points_each_while_one_seals() {
    const PROCESSES: usize = 32;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    let start = |n: usize| {
        let mut command = again("processes::writer");
        command.env(STORE, &path).env(WRITER, n.to_string()).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut writers: Vec<_> = (0..PROCESSES).map(start).collect();
    let mut seals = 0;
    while writers.iter_mut().any(|w| w.try_wait().unwrap().is_none()) {
        seals += store.seal().await.unwrap().operations;
        let doubled = "SELECT count(*) - count(DISTINCT step) FROM metrics GROUP BY run_id HAVING count(*) > count(DISTINCT step)";
        assert_eq!(now(&store, doubled).await, Vec::<Vec<String>>::new());
    }
    assert!(writers.iter_mut().all(|w| w.wait().unwrap().success()));
    println!("{seals} seals meanwhile");
    for sealed in [false, true] {
        if sealed {
            store.seal().await.unwrap();
        }
        let found = now(
            &store,
            "SELECT run_id, count(*), count(DISTINCT step), min(step), max(step), sum(value * (step + 1)) FROM metrics
             GROUP BY run_id ORDER BY length(run_id), run_id",
        )
        .await;
        let expected = |n: usize| {
            let sum: f64 = (0..POINTS).map(|step| value(n, step) * (step + 1) as f64).sum();
            let count = POINTS.to_string();
            vec![format!("w{n}"), count.clone(), count, "0".into(), (POINTS - 1).to_string(), format!("{sum:?}")]
        };
        assert_eq!(found, (0..PROCESSES).map(expected).collect::<Vec<_>>());
        assert_eq!(one(&store, "SELECT count(*) FROM runs WHERE status <> 'FINISHED'").await, "0");
    }
}

/// The files of a store for one who sees no locks, as on a network share without them: every writer looks dead.
#[derive(Debug)]
struct Blind(LocalIo);

impl Io for Blind {
    fn read(&self, path: &str) -> std::io::Result<bytes::Bytes> {
        self.0.read(path)
    }
    fn read_range(&self, path: &str, range: std::ops::Range<u64>) -> std::io::Result<bytes::Bytes> {
        self.0.read_range(path, range)
    }
    fn open(&self, path: &str) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        self.0.open(path)
    }
    fn stat(&self, path: &str) -> std::io::Result<Stat> {
        self.0.stat(path)
    }
    fn list(&self, dir: &str) -> std::io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn create(&self, path: &str, content: &[&[u8]]) -> std::io::Result<()> {
        self.0.create(path, content)
    }
    fn create_from(&self, path: &str, content: &mut dyn std::io::Read) -> std::io::Result<u64> {
        self.0.create_from(path, content)
    }
    fn replace(&self, path: &str, content: &[u8]) -> std::io::Result<()> {
        self.0.replace(path, content)
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync(&self, path: &str) -> std::io::Result<()> {
        self.0.sync(path)
    }
    fn remove(&self, path: &str) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn remove_dir(&self, path: &str) -> std::io::Result<()> {
        self.0.remove_dir(path)
    }
    fn append(&self, path: &str, head: &[u8]) -> std::io::Result<Box<dyn Append>> {
        self.0.append(path, head)
    }
    fn is_locked(&self, _: &str) -> std::io::Result<bool> {
        Ok(false)
    }
    fn lock(&self, path: &str, wait: bool) -> std::io::Result<Option<Box<dyn std::fmt::Debug + Send + Sync>>> {
        self.0.lock(path, wait)
    }
}

const STOPPED_POINTS: i64 = 3_000;

#[test]
#[ignore = "the process that is stopped"]
fn stopped_writer() {
    let Ok(path) = std::env::var(STORE) else { return };
    let store = Store::open(path).unwrap();
    let run = store.start_run(RunOptions::new("stopped").id(RunId::parse("stopped").unwrap())).unwrap();
    for step in 0..STOPPED_POINTS {
        run.log_metric_at("loss", value(0, step), step).unwrap();
        if step % 20 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    run.finish(Status::Finished).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_stopped_and_sealed_as_dead_goes_on_and_every_point_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    Store::create(&path).unwrap();
    let store = Store::open_at(Arc::new(Blind(LocalIo::new(&path))), "s".into(), WriterOptions::default()).unwrap();
    let mut child = again("processes::stopped_writer").env(STORE, &path).stdout(Stdio::null()).spawn().unwrap();
    let signal = |signal| assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    let segments = || {
        std::fs::read_dir(path.join("live")).map_or(0, |found| {
            found.filter(|e| e.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|e| e == "seg"))).count()
        })
    };
    let mut taken = 0;
    for round in 0..6u64 {
        // Different moments: within a write, between two of them, just before the sync thread looks.
        std::thread::sleep(std::time::Duration::from_millis(100 + round * 37));
        signal(libc::SIGSTOP);
        let report = store.seal().await.unwrap();
        taken += u64::from(report.records > 0 && segments() == 0);
        signal(libc::SIGCONT);
    }
    assert!(child.wait().unwrap().success());
    assert!(taken >= 2, "its segment was taken away {taken} times");
    let expected: Vec<Vec<String>> =
        (0..STOPPED_POINTS).map(|step| vec![step.to_string(), format!("{:?}", value(0, step))]).collect();
    for sealed in [false, true] {
        if sealed {
            store.seal().await.unwrap();
        }
        let points = now(&store, "SELECT step, value FROM metrics WHERE run_id = 'stopped' ORDER BY step, value").await;
        assert_eq!(points.len(), expected.len());
        assert_eq!(points, expected);
        assert_eq!(one(&store, "SELECT status FROM runs").await, "FINISHED");
    }
}
