//! kill -9 of a real process, at random and at every point where it changes a file: what it said was logged is there, once,
//! and the store needs no help.
//!
//! The process is this test binary, started again for [`child`] alone. `cargo xtask crash --rounds N` does it N times.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runlake::io::{Append, Entry, Io, LocalIo, Stat};
use runlake::{GcOptions, Micros, RunId, RunOptions, Status, Store, StoreResult, WriterOptions};

use crate::ask::now;
use crate::program::again;

/// What becomes of the process at the point where it is to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Before,
    /// Over a write, with half of it done; elsewhere as `Before`.
    Within,
    After,
}

/// The files of a store for a process that dies over the n-th change.
#[derive(Debug)]
struct Fused {
    inner: LocalIo,
    fuse: Arc<Fuse>,
}

#[derive(Debug)]
struct Fuse {
    changes: AtomicU64,
    at: u64,
    death: Death,
}

fn die() -> ! {
    // SAFETY: sends a signal to this very process; there is nothing after it.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::thread::park();
    }
}

impl Fuse {
    fn change<T>(&self, half: impl FnOnce(), change: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        if self.changes.fetch_add(1, Ordering::SeqCst) != self.at {
            return change();
        }
        match self.death {
            Death::Before => {}
            Death::Within => half(),
            Death::After => drop(change()),
        }
        die()
    }

    fn whole<T>(&self, change: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        self.change(|| (), change)
    }
}

impl Io for Fused {
    fn read(&self, path: &str) -> std::io::Result<bytes::Bytes> {
        self.inner.read(path)
    }
    fn read_range(&self, path: &str, range: Range<u64>) -> std::io::Result<bytes::Bytes> {
        self.inner.read_range(path, range)
    }
    fn open(&self, path: &str) -> std::io::Result<Box<dyn Read + Send>> {
        self.inner.open(path)
    }
    fn stat(&self, path: &str) -> std::io::Result<Stat> {
        self.inner.stat(path)
    }
    fn list(&self, dir: &str) -> std::io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }
    fn create(&self, path: &str, content: &[&[u8]]) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.create(path, content))
    }
    fn create_from(&self, path: &str, content: &mut dyn Read) -> std::io::Result<u64> {
        self.fuse.whole(|| self.inner.create_from(path, content))
    }
    fn replace(&self, path: &str, content: &[u8]) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.replace(path, content))
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.rename(from, to))
    }
    fn sync(&self, path: &str) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.sync(path))
    }
    fn remove(&self, path: &str) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.remove(path))
    }
    fn remove_dir(&self, path: &str) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.remove_dir(path))
    }
    fn append(&self, path: &str, head: &[u8]) -> std::io::Result<Box<dyn Append>> {
        let inner = self.fuse.whole(|| self.inner.append(path, head))?;
        Ok(Box::new(FusedAppend { inner, fuse: Arc::clone(&self.fuse) }))
    }
    fn is_locked(&self, path: &str) -> std::io::Result<bool> {
        self.inner.is_locked(path)
    }
    fn lock(&self, path: &str, wait: bool) -> std::io::Result<Option<Box<dyn std::fmt::Debug + Send + Sync>>> {
        self.inner.lock(path, wait)
    }
}

#[derive(Debug)]
struct FusedAppend {
    inner: Box<dyn Append>,
    fuse: Arc<Fuse>,
}

impl Append for FusedAppend {
    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.fuse.change(|| drop(self.inner.write(&bytes[..bytes.len() / 2])), || self.inner.write(bytes))
    }
    fn sync(&self) -> std::io::Result<()> {
        self.fuse.whole(|| self.inner.sync())
    }
    fn is_linked(&self) -> std::io::Result<bool> {
        self.inner.is_linked()
    }
    fn read_from(&self, offset: u64) -> std::io::Result<Vec<u8>> {
        self.inner.read_from(offset)
    }
    fn touch(&self) -> std::io::Result<()> {
        self.inner.touch()
    }
}

const STORE: &str = "RUNLAKE_TEST_STORE";
const ROUND: &str = "RUNLAKE_TEST_ROUND";
const FUSE: &str = "RUNLAKE_TEST_FUSE";
const STEPS: i64 = 15;

/// Says that something is done; the parent counts on it.
fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// What the process does: logs, seals, edits, compacts, deletes, reclaims.
async fn story(store: &Store, round: &str) -> StoreResult<()> {
    let id = |n: usize| RunId::parse(&format!("k{round}-{n}")).expect("it is an id");
    for n in 0..5 {
        let run = store.start_run(RunOptions::new("killed").id(id(n)))?;
        say(format_args!("run {n}"));
        run.log_param("n", n as i64)?;
        say(format_args!("param {n}"));
        for step in 0..STEPS {
            run.log_metric_at("loss", step as f64, step)?;
            say(format_args!("point {n} {step}"));
        }
        if n != 3 {
            run.finish(Status::Finished)?;
            say(format_args!("finished {n}"));
        }
        match n {
            1 => {
                store.seal().await?;
            }
            2 => {
                // An edit of a run that is sealed.
                store.attach(id(0))?.set_tag("late", "yes")?;
                say(format_args!("tag 0"));
                store.seal().await?;
            }
            3 => {
                store.compact(2).await?;
            }
            4 => {
                say(format_args!("deleting 1"));
                store.delete_run(&id(1))?;
                say(format_args!("deleted 1"));
                store.gc(GcOptions { keep: Micros(0) }).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
#[ignore = "the process that the tests here kill"]
fn child() {
    let var = |name| std::env::var(name).ok();
    let (Some(path), Some(round), Some(fuse)) = (var(STORE), var(ROUND), var(FUSE)) else { return };
    let (at, death) = fuse.split_once(' ').expect("two words");
    let death = match death {
        "before" => Death::Before,
        "within" => Death::Within,
        _ => Death::After,
    };
    let fuse = Arc::new(Fuse { changes: AtomicU64::new(0), at: at.parse().expect("a number"), death });
    let io = Arc::new(Fused { inner: LocalIo::new(&path), fuse: Arc::clone(&fuse) });
    let store = Store::open_at(io, path, WriterOptions::default()).expect("the store opens without help");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(story(&store, &round)).expect("nothing stops it but its death");
    say(format_args!("changes {}", fuse.changes.load(Ordering::SeqCst)));
}

/// What the process said before it died, by word and number of the run; of points the count.
type Said = BTreeMap<(String, usize), usize>;

/// Runs the process, and kills it after a while where that is said.
fn run(store: &Path, round: usize, fuse: &str, delay: Option<Duration>) -> Said {
    let mut command = again("killed::child");
    command.env(STORE, store).env(ROUND, round.to_string()).env(FUSE, fuse);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let listener = std::thread::spawn(move || {
        let mut said = Said::new();
        for line in stdout.lines().map_while(Result::ok) {
            // The harness writes into the same line before the test begins.
            let Some((_, line)) = line.rsplit_once('@') else { continue };
            let mut words = line.split(' ');
            if let (Some(word), Some(Ok(n))) = (words.next(), words.next().map(str::parse)) {
                *said.entry((word.to_string(), n)).or_default() += 1;
            }
        }
        said
    });
    if let Some(delay) = delay {
        std::thread::sleep(delay);
        child.kill().expect("it can be killed");
    }
    let status = child.wait().expect("it ends");
    let said = listener.join().expect("listening does not panic");
    let finished = said.keys().any(|(word, _)| word == "changes");
    assert!(
        finished || std::os::unix::process::ExitStatusExt::signal(&status) == Some(libc::SIGKILL),
        "{status}: {said:?}"
    );
    said
}

/// One store, and what the processes at it said.
struct Rounds {
    _dir: tempfile::TempDir,
    path: PathBuf,
    store: Store,
    said: BTreeMap<usize, Said>,
}

impl Rounds {
    fn new() -> Rounds {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store");
        let store = Store::create(&path).expect("a store");
        // So that there is something by the names that are asked for.
        let named = || -> StoreResult<()> {
            let run = store.start_run(RunOptions::new("names"))?;
            run.log_param("n", -1)?;
            run.set_tag("late", "no")?;
            run.finish(Status::Finished)
        };
        named().expect("it is logged");
        Rounds { _dir: dir, path, store, said: BTreeMap::new() }
    }

    /// Holds what is shown against what was said in each round.
    async fn check(&self, place: &str) {
        let points: BTreeMap<String, Vec<i64>> = now(
            &self.store,
            "SELECT run_id, count(*), count(DISTINCT step), min(step), max(step) FROM metrics GROUP BY run_id",
        )
        .await
        .into_iter()
        .map(|row| (row[0].clone(), row[1..].iter().map(|cell| cell.parse().expect("a number")).collect()))
        .collect();
        let runs: BTreeMap<String, (String, String, String)> =
            now(&self.store, "SELECT run_id, status, params.n, tags.late FROM runs")
                .await
                .into_iter()
                .map(|row| (row[0].clone(), (row[1].clone(), row[2].clone(), row[3].clone())))
                .collect();
        let count = now(&self.store, "SELECT count(*), count(DISTINCT run_id) FROM runs").await;
        assert_eq!(count[0][0], count[0][1], "{place}: a run is there twice");
        for (round, said) in &self.said {
            let told = |word: &str, n| said.get(&(word.to_string(), n)).copied().unwrap_or(0);
            for n in 0..5 {
                let id = format!("k{round}-{n}");
                let place = format!("{place}, run {id}");
                if told("deleting", n) > 0 {
                    // Deleted, or on the way there.
                    assert!(told("deleted", n) == 0 || !runs.contains_key(&id), "{place} is deleted");
                    assert!(runs.contains_key(&id) || !points.contains_key(&id), "{place}: points without their run");
                    continue;
                }
                let none = vec![0, 0, 0, -1];
                let found = points.get(&id).unwrap_or(&none);
                let logged = told("point", n) as i64;
                assert_eq!(found[0], found[1], "{place}: a point is there twice");
                assert!(found[0] == found[3] + 1 && found[2] == 0, "{place}: there is a hole in {found:?}");
                assert!(found[0] >= logged, "{place}: {logged} points were acknowledged, {} are there", found[0]);
                assert!(found[0] <= logged + 1, "{place}: {logged} points were acknowledged, {} are there", found[0]);
                let Some((status, param, tag)) = runs.get(&id) else {
                    assert_eq!(told("run", n), 0, "{place} is lost");
                    continue;
                };
                assert!(told("param", n) == 0 || *param == n.to_string(), "{place}: its param is lost");
                assert!(told("tag", n) == 0 || tag == "yes", "{place}: its tag is lost");
                assert!(told("finished", n) == 0 || status == "FINISHED", "{place} is {status}");
                assert!(status == "FINISHED" || status == "CRASHED", "{place} is {status}, and nobody is alive");
            }
        }
    }
}

/// Kills processes at a store, one after the other; gives how many met their end.
async fn kill(rounds: impl Iterator<Item = (usize, String, Option<Duration>)>) -> usize {
    let mut killed = 0;
    let mut at = Rounds::new();
    for (round, fuse, delay) in rounds {
        // A store of its own for each few rounds: what is slow in a large one is not the point.
        if at.said.len() == 12 {
            at = Rounds::new();
        }
        let said = run(&at.path, round, &fuse, delay);
        killed += usize::from(!said.keys().any(|(word, _)| word == "changes"));
        at.said.insert(round, said);
        let place = format!("round {round} (change {fuse}, {delay:?})");
        at.check(&place).await;
        if at.said.len() == 12 {
            at.store.seal().await.unwrap_or_else(|e| panic!("{place}: sealing: {e}"));
            at.check(&format!("{place}, sealed")).await;
            let report = at.store.verify(false).await.expect("it can be read");
            assert!(report.findings.is_empty(), "{place}: {:?}", report.findings);
        }
    }
    killed
}

fn rounds() -> usize {
    match std::env::var("RUNLAKE_CRASH_ROUNDS") {
        Ok(text) => text.parse().expect("RUNLAKE_CRASH_ROUNDS is a number"),
        Err(_) => 150,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_random_loses_nothing_that_it_acknowledged() {
    let rounds = rounds() / 2;
    let mut dice = 7u64;
    let mut delays = move || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((dice >> 33) % 1_200_000)
    };
    let killed = kill((0..rounds).map(|round| (round, format!("{} after", u64::MAX), Some(delays())))).await;
    println!("killed at random: {killed} of {rounds}");
    assert!(killed * 2 > rounds, "only {killed} of {rounds} processes were killed before their end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_change_loses_nothing_that_it_acknowledged() {
    let rounds = rounds() - rounds() / 2;
    // How many changes there are to die over.
    let whole = run(&Rounds::new().path, 0, &format!("{} after", u64::MAX), None);
    let changes = whole.keys().find(|(word, _)| word == "changes").expect("it came to its end").1;
    let points: Vec<String> =
        (0..changes).flat_map(|n| ["before", "within", "after"].map(|death| format!("{n} {death}"))).collect();
    // Spread over all of them; more rounds than points begin again, with another state of the store.
    let spread = rounds.min(points.len());
    let chosen = (0..rounds).map(|round| (round, points[round % spread * points.len() / spread].clone(), None));
    let killed = kill(chosen).await;
    println!("killed over a change: {killed} of {rounds}; one process makes {changes} changes");
    assert!(killed * 10 > rounds * 9, "only {killed} of {rounds} processes died over their change");
}
