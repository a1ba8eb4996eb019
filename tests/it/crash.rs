//! kill -9 during logging, sealing and compaction: what was acknowledged is there, once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use runlake::Store;

use crate::ask::{Rows, now, one};
use crate::program::{kill, log, runlake};

/// Delays that differ from call to call and not from one test run to the next.
struct Delays(u64);

impl Delays {
    fn up_to(&mut self, milliseconds: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((self.0 >> 33) % (milliseconds * 1000))
    }
}

/// Feeds a logging process without end, kills it after a while, and gives the greatest line that it acknowledged.
fn log_until_killed(store: &Path, round: usize, delay: Duration) -> usize {
    let mut child = runlake(store)
        .args(["log", "--ack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        let begin = format!("{{\"type\":\"run\",\"run\":\"round-{round}\",\"experiment\":\"crash\"}}\n");
        let mut line = 1;
        let mut text = begin;
        // Ends when the pipe breaks.
        while stdin.write_all(text.as_bytes()).is_ok() && line < 1_000_000 {
            line += 1;
            text = format!(
                "{{\"type\":\"metrics\",\"run\":\"round-{round}\",\"step\":{line},\"values\":{{\"loss\":{line}}}}}\n"
            );
        }
    });
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let acknowledged = stdout.lines().map_while(Result::ok).filter_map(|line| line.trim().parse::<usize>().ok());
        acknowledged.max().unwrap_or(0)
    });
    std::thread::sleep(delay);
    kill(&mut child);
    feeder.join().unwrap();
    reader.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_line_survives_the_death_of_the_logging_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    Store::create(&path).unwrap();
    let mut delays = Delays(7);
    let mut acknowledged = 0;
    for round in 0..6 {
        let last = log_until_killed(&path, round, Duration::from_millis(150) + delays.up_to(300));
        acknowledged += last;
        let store = Store::open(&path).unwrap();
        // Sealed in some rounds, live in others: the torn end of the segment must not matter to either.
        if round % 2 == 1 {
            store.seal().await.unwrap();
        }
        if last < 2 {
            continue;
        }
        let steps = now(
            &store,
            &format!("SELECT min(step), count(*), count(DISTINCT step), max(step) FROM metrics WHERE run_id = 'round-{round}'"),
        )
        .await;
        let number = |cell: usize| steps[0][cell].parse::<usize>().unwrap();
        assert_eq!(number(0), 2);
        assert_eq!(number(1), number(2), "a line is there twice");
        assert_eq!(number(3) - 1, number(1), "there is a hole");
        assert!(number(3) >= last, "line {last} was acknowledged, the last one found is {}", number(3));
        let status = one(&store, &format!("SELECT status FROM runs WHERE run_id = 'round-{round}'")).await;
        assert_eq!(status, "CRASHED");
    }
    assert!(acknowledged > 100, "the rounds were too short to prove anything: {acknowledged} lines");
}

const QUESTIONS: [&str; 6] = [
    "SELECT count(*), count(DISTINCT run_id) FROM runs",
    "SELECT run_id, count(*), count(DISTINCT step), min(value), max(value) FROM metrics GROUP BY run_id ORDER BY run_id",
    "SELECT run_id, key, value FROM params ORDER BY run_id, key",
    "SELECT run_id, key, last, min, max, count FROM metric_stats ORDER BY run_id, key",
    "SELECT run_id, key, value FROM tags ORDER BY run_id, key",
    "SELECT run_id, params.lr, metrics.loss, tags.round FROM runs ORDER BY run_id",
];

async fn answers(store: &Store) -> Vec<Rows> {
    let session = store.session().await.unwrap();
    let mut answers = Vec::new();
    for question in QUESTIONS {
        answers.push(crate::ask::rows(&session, question).await);
    }
    answers
}

/// A few finished runs, one that goes on, and an edit of an earlier run.
fn more(store: &Path, round: usize) {
    let mut lines = String::new();
    for run in 0..5 {
        let id = format!("k{round}-{run}");
        lines += &format!("{{\"type\":\"run\",\"run\":\"{id}\",\"experiment\":\"crash\",\"name\":\"{id}\"}}\n");
        lines += &format!("{{\"type\":\"params\",\"run\":\"{id}\",\"values\":{{\"lr\":{run}}}}}\n");
        for step in 0..200 {
            let value = (step * 7 + run) % 13;
            lines +=
                &format!("{{\"type\":\"metrics\",\"run\":\"{id}\",\"step\":{step},\"values\":{{\"loss\":{value}}}}}\n");
        }
        if run != 4 {
            lines += &format!("{{\"type\":\"finish\",\"run\":\"{id}\"}}\n");
        }
    }
    // From the second round on this edits a run that is sealed.
    let id = format!("k{}-0", round.saturating_sub(1));
    lines += &format!("{{\"type\":\"tags\",\"run\":\"{id}\",\"values\":{{\"round\":\"{round}\"}}}}\n");
    log(store, &lines);
}

/// Kills a command at a random moment, several times, then lets it end.
fn kill_several_times(store: &Path, command: &[&str], delays: &mut Delays) {
    for _ in 0..4 {
        let mut child = runlake(store).args(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delays.up_to(120));
        kill(&mut child);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_sealers_and_compactors_neither_lose_nor_double_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    Store::create(&path).unwrap();
    let mut delays = Delays(11);
    for round in 0..5 {
        more(&path, round);
        let store = Store::open(&path).unwrap();
        let before = answers(&store).await;
        assert_eq!(before[0], vec![vec![((round + 1) * 5).to_string(); 2]]);
        kill_several_times(&path, &["seal"], &mut delays);
        assert_eq!(answers(&store).await, before, "after killed sealers, round {round}");
        crate::program::done(runlake(&path).arg("seal"));
        assert_eq!(answers(&store).await, before, "after sealing, round {round}");
        kill_several_times(&path, &["compact"], &mut delays);
        assert_eq!(answers(&store).await, before, "after killed compactors, round {round}");
        crate::program::done(runlake(&path).arg("compact"));
        assert_eq!(answers(&store).await, before, "after compaction, round {round}");
        crate::program::done(runlake(&path).arg("verify"));
    }
}
