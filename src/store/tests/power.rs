//! Power cuts: a seeded workload over a disk that forgets what was not synced, and the store opened again after every call.
//!
//! Processes log, seal, compact, delete, rename and reclaim, and some are killed on the way. Each change of the disk is
//! noted. Then the changes are done again one by one, and after each the power is cut: nothing of what was not synced is
//! left, or all of it, or any part. Every disk that was not there before counts as a state; in each the store opens, and
//! shows of every writer a prefix of what it logged, once, with all that was synced. The next life begins on one of them.

mod dead;
pub mod oracle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::testing::disk::{Dice, Disk, Event, Loss, Process};
use super::reopened::{EXPERIMENT, Files, Lines, Reader, open, shown};
use crate::store::ops::GcOptions;
use crate::store::*;
use oracle::{Op, World, id};

/// What the workload leaves among the noted changes.
#[derive(Debug, Clone, Copy)]
enum Note {
    /// The store exists from here on.
    Created,
    /// This operation may be on the disk from here on.
    Begun(usize),
    /// So many operations of a writer are durable.
    Synced { writer: usize, count: usize },
}

/// A process that logs.
struct Writer {
    number: usize,
    process: Process,
    store: Store,
    runs: BTreeMap<usize, Run>,
    logged: usize,
}

/// One time between two power cuts.
struct Life {
    disk: Disk,
    dice: Dice,
    world: World,
    notes: Vec<Note>,
    ops: Vec<(usize, Op)>,
    /// Who logs into a run.
    owners: BTreeMap<usize, usize>,
    /// The same of all that were begun in this life, those too that are gone for good by its end.
    starters: BTreeMap<usize, usize>,
    writers: Vec<Writer>,
    all_writers: usize,
}

fn options() -> WriterOptions {
    // Small segments, so that there are many; and the sync thread leaves it to the workload.
    WriterOptions { segment_bytes: 1500, sync_within: Duration::from_secs(3600), ..WriterOptions::default() }
}

impl Life {
    fn new(disk: Disk, dice: Dice, world: World, retired: &BTreeSet<usize>) -> Life {
        disk.record();
        let owners = world.runs().filter(|run| !retired.contains(run)).map(|run| (run, run % 2)).collect();
        let (notes, ops, writers) = (Vec::new(), Vec::new(), Vec::new());
        Life { disk, dice, world, notes, ops, owners, starters: BTreeMap::new(), writers, all_writers: 0 }
    }

    fn note(&mut self, note: Note) {
        self.disk.note(self.notes.len());
        self.notes.push(note);
    }

    fn begin_writer(&mut self) {
        let process = self.disk.process();
        let store = Store::open_at(process.io(), "s".into(), options()).unwrap();
        let number = self.all_writers;
        self.writers.push(Writer { number, process, store, runs: BTreeMap::new(), logged: 0 });
        self.all_writers += 1;
    }

    /// Logs a record; the writer may be killed over it.
    fn log(&mut self, writer: usize, n: usize) {
        let number = self.writers[writer].number;
        // Only one process renames, so that the name tells how far that one got.
        let op = if number == 0 && self.world.runs().next().is_some() && self.dice.one_in(25) {
            Op::Rename(n)
        } else {
            let owners = &self.owners;
            Op::any(&mut self.dice, &self.world, &|run| owners.get(&run) == Some(&number), n)
        };
        if let Op::Start(run) = op {
            self.owners.insert(run, number);
            self.starters.insert(run, number);
        }
        self.note(Note::Begun(self.ops.len()));
        self.ops.push((number, op.clone()));
        let w = &mut self.writers[writer];
        if matches!(op, Op::Rename(_)) {
            // Whether it was done would decide what the runs that others begin next belong to.
            w.process.lives_on();
        }
        let done = op.log(&w.store, &self.world, &mut w.runs);
        self.world.apply(&op);
        w.logged += 1;
        let count = w.logged;
        if w.process.is_dead() {
            self.writers.remove(writer);
            self.begin_writer();
            return;
        }
        done.unwrap();
        if op.syncs() {
            self.note(Note::Synced { writer: number, count });
        }
    }

    fn flush(&mut self, writer: usize) {
        let w = &self.writers[writer];
        let (number, count) = (w.number, w.logged);
        w.store.flush().unwrap();
        self.note(Note::Synced { writer: number, count });
    }

    /// An operation on the whole store, by a process of its own that may be killed over it.
    async fn upkeep(&mut self, what: usize, retired: &mut BTreeSet<usize>) {
        let process = self.disk.process();
        if self.dice.one_in(3) {
            process.dies_after(self.dice.below(250) as u64);
        }
        let done = async {
            let store = Store::open_at(process.io(), "s".into(), options())?;
            match what {
                0 => store.compact(2).await.map(|_| ()),
                1 => store.gc(GcOptions { keep: Micros(0) }).await.map(|_| ()),
                _ => store.seal().await.map(|_| ()),
            }
        };
        if what == 1 {
            // Half-made files are old enough to go, and what is deleted may be gone for good.
            self.disk.pass(Duration::from_secs(2 * 3600));
            let deleted: BTreeSet<usize> = self.world.runs().filter(|run| self.world.lines(*run).is_empty()).collect();
            self.owners.retain(|run, _| !deleted.contains(run));
            retired.extend(deleted);
        }
        let done = done.await;
        if !process.is_dead() {
            done.unwrap();
        }
    }

    /// Does all sorts of things.
    async fn pass(&mut self, steps: usize, numbers: &mut usize, retired: &mut BTreeSet<usize>) {
        if !self.disk.has(layout::MANIFEST) {
            Store::create_at(self.disk.io(), "s".into()).unwrap();
        }
        self.note(Note::Created);
        self.begin_writer();
        self.begin_writer();
        for _ in 0..steps {
            let writer = self.dice.below(self.writers.len());
            match self.dice.below(20) {
                0 | 1 => self.flush(writer),
                2 | 3 => self.upkeep(2, retired).await,
                4 => {
                    let what = self.dice.below(2);
                    self.upkeep(what, retired).await;
                }
                5 => self.writers[writer].process.dies_after(self.dice.below(12) as u64),
                _ => {
                    *numbers += 1;
                    self.log(writer, *numbers);
                }
            }
        }
    }
}

/// How far the writers got as a disk tells it.
struct Progress<'a> {
    life: &'a Life,
    owners: BTreeMap<usize, usize>,
    /// By writer and number of its operations that count: what is there then.
    worlds: Vec<Vec<World>>,
    begun: Vec<usize>,
    synced: Vec<usize>,
    // By answer and writer: the numbers of operations that make it.
    found: HashMap<(usize, usize), Vec<usize>>,
}

impl<'a> Progress<'a> {
    fn new(life: &'a Life, base: &World, owners: BTreeMap<usize, usize>) -> Self {
        let worlds = (0..life.all_writers).map(|writer| {
            let mut worlds = vec![base.clone()];
            for (_, op) in life.ops.iter().filter(|(w, _)| *w == writer) {
                let mut next = worlds.last().unwrap().clone();
                next.apply(op);
                worlds.push(next);
            }
            worlds
        });
        let (begun, synced) = (vec![0; life.all_writers], vec![0; life.all_writers]);
        Progress { life, owners, worlds: worlds.collect(), begun, synced, found: HashMap::new() }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Created => {}
            Note::Begun(op) => self.begun[self.life.ops[op].0] += 1,
            Note::Synced { writer, count } => self.synced[writer] = count,
        }
    }

    fn owned(&self, writer: usize) -> impl Iterator<Item = usize> {
        self.owners.iter().filter(move |(_, owner)| **owner == writer).map(|(run, _)| *run)
    }

    fn fits(&self, lines: &Lines, writer: usize, count: usize) -> bool {
        let world = &self.worlds[writer][count];
        let none = Vec::new();
        let same = |run| *lines.get(id(run).as_str()).unwrap_or(&none) == world.lines(run);
        // The first writer renames.
        let named = writer != 0 || lines.get(EXPERIMENT).is_none_or(|names| *names == [world.experiment()]);
        named && self.owned(writer).all(same)
    }

    /// Checks an answer; gives the number of operations of each writer that it shows.
    fn check(&mut self, lines: &Arc<Lines>, files: &Files, place: &str) -> Vec<usize> {
        let mut counts = Vec::new();
        for writer in 0..self.begun.len() {
            let key = (Arc::as_ptr(lines) as usize, writer);
            let (from, to) = (self.synced[writer], self.begun[writer]);
            if !self.found.contains_key(&key) {
                let found = (from..=to).filter(|count| self.fits(lines, writer, *count)).collect();
                self.found.insert(key, found);
            }
            let Some(count) = self.found[&key].iter().rev().find(|count| (from..=to).contains(count)) else {
                panic!("{place}: {}", self.difference(lines, writer));
            };
            let world = &self.worlds[writer][*count];
            let mine: BTreeSet<String> = self.owned(writer).map(|run| format!("artifacts/{}/", id(run))).collect();
            for (path, len) in world.files().filter(|(path, _)| mine.iter().any(|folder| path.starts_with(folder))) {
                let found = files.get(&path);
                assert!(found.is_some_and(|id| id.is_whole(len)), "{place}: {path} of {len} bytes is {found:?}");
            }
            counts.push(*count);
        }
        let known: BTreeSet<String> = self.owners.keys().map(|run| id(*run).to_string()).collect();
        for run in lines.keys().filter(|run| *run != EXPERIMENT) {
            assert!(known.contains(run), "{place}: {run} is shown, and was deleted or never begun");
        }
        counts
    }

    /// What is wrong with the runs of a writer.
    fn difference(&self, lines: &Lines, writer: usize) -> String {
        let (from, to) = (self.synced[writer], self.begun[writer]);
        let mut text = format!("of writer {writer} between {from} and {to} operations are to be there\n");
        for count in from..=to {
            for run in self.owned(writer) {
                let expected = self.worlds[writer][count].lines(run);
                let found = lines.get(id(run).as_str()).cloned().unwrap_or_default();
                if found != expected {
                    text += &format!("with {count}, {} would be {expected:#?}\nand is {found:#?}\n", id(run));
                }
            }
        }
        text
    }

    /// What is there after so many operations of each writer.
    fn world(&self, base: &World, counts: &[usize]) -> World {
        let mut world = base.clone();
        let mut done = vec![0; counts.len()];
        for (writer, op) in &self.life.ops {
            if done[*writer] < counts[*writer] {
                world.apply(op);
            }
            done[*writer] += 1;
        }
        world
    }
}

/// What a test of power cuts did.
#[derive(Debug, Default)]
struct Tally {
    changes: usize,
    states: usize,
    sealed: usize,
    working: Duration,
    cutting: Duration,
    reading: Duration,
    sealing: Duration,
}

/// Power cuts in several lives of one store.
struct Cuts {
    seed: u64,
    dice: Dice,
    seen: BTreeSet<[u8; 32]>,
    tally: Tally,
    /// How many partial losses are tried after each change.
    losses: usize,
    /// One of so many states is sealed and verified.
    sealed_one_in: usize,
}

impl Cuts {
    fn new(seed: u64, losses: usize, sealed_one_in: usize) -> Cuts {
        let (seen, tally) = (BTreeSet::new(), Tally::default());
        Cuts { seed, dice: Dice::new(seed), seen, tally, losses, sealed_one_in }
    }

    async fn lives(&mut self, lives: usize, steps: usize) {
        let (mut disk, mut world, mut retired) = (Disk::new(), World::default(), BTreeSet::new());
        let mut numbers = 0;
        for n in 0..lives {
            let base = disk.copy();
            let before = world.clone();
            let mut life = Life::new(disk, Dice::new(self.seed * 1000 + n as u64), world, &retired);
            let owners = life.owners.clone();
            let begun = Instant::now();
            life.pass(steps, &mut numbers, &mut retired).await;
            self.tally.working += begun.elapsed();
            let events = life.disk.recorded();
            let owners = owners.into_iter().chain(life.starters.clone()).collect();
            let progress = Progress::new(&life, &before, owners);
            let place = format!("seed {}, life {n}", self.seed);
            (disk, world) = self.replay(&place, base, &before, &events, progress).await;
        }
    }

    /// Does the changes of a life again, and cuts the power after each; gives one of the disks, and what is there on it.
    async fn replay(
        &mut self,
        place: &str,
        disk: Disk,
        before: &World,
        events: &[Event],
        mut progress: Progress<'_>,
    ) -> (Disk, World) {
        let mut reader = Reader::default();
        let mut created = false;
        let next_life = events.len() / 2 + self.dice.below(events.len() / 2);
        let mut next = None;
        for (at, event) in events.iter().enumerate() {
            disk.replay(event);
            if let Event::Note(n) = event {
                let note = progress.life.notes[*n];
                created |= matches!(note, Note::Created);
                progress.take(note);
                continue;
            }
            self.tally.changes += 1;
            for variant in 0..2 + self.losses {
                let begun = Instant::now();
                let image = match variant {
                    0 if matches!(event, Event::Sync(_) | Event::SyncDir(_)) => disk.after_power_cut(Loss::All),
                    0 => continue,
                    1 => disk.after_power_cut(Loss::None),
                    _ => disk.after_power_cut(Loss::Some(&mut self.dice)),
                };
                let files: Files = image.files("").into_iter().collect();
                let new = self.seen.insert(fingerprint(&files));
                self.tally.cutting += begun.elapsed();
                if !new {
                    continue;
                }
                self.tally.states += 1;
                let place = format!("{place}, change {at} ({event:?}), variant {variant}");
                if !files.contains_key(layout::MANIFEST) {
                    assert!(!created, "{place}: the store is gone");
                    continue;
                }
                let begun = Instant::now();
                let lines = reader.read(&image, &files).await;
                self.tally.reading += begun.elapsed();
                let counts = progress.check(&lines, &files, &place);
                if at >= next_life && variant >= 2 && next.is_none() {
                    next = Some((image.branch(), progress.world(before, &counts)));
                }
                if self.dice.one_in(self.sealed_one_in) {
                    let begun = Instant::now();
                    self.tally.sealed += 1;
                    goes_on(&image, &lines, &place).await;
                    self.tally.sealing += begun.elapsed();
                }
            }
        }
        match next {
            Some(next) => next,
            None => (disk.after_power_cut(Loss::None), progress.world(before, &progress.begun)),
        }
    }
}

fn fingerprint(files: &Files) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    for (path, id) in files {
        hash.update(path.as_bytes());
        hash.update(&id.bytes());
    }
    *hash.finalize().as_bytes()
}

/// The store that a power cut left can be sealed and verified, and shows the same then.
async fn goes_on(image: &Disk, lines: &Lines, place: &str) {
    let store = open(image);
    let holes = store.snapshot().unwrap().damaged();
    store.seal().await.unwrap_or_else(|e| panic!("{place}: sealing: {e}"));
    assert_eq!(*shown(image).await, *lines, "{place}: after sealing");
    let report = store.verify(false).await.unwrap();
    let newest = cut::Cut::newest(store.io()).unwrap().n;
    let expected = |path: &str| {
        // What was removed of past states may be there again in part, which matters to nobody.
        let past =
            [layout::CUTS, layout::LIVE].iter().filter_map(|folder| path.strip_prefix(folder)?.strip_prefix('/'));
        let mut past = past.filter_map(|name| layout::cut_number(name).or(layout::batch_number(name)));
        holes.iter().any(|hole| hole.path == path) || past.any(|n| n < newest)
    };
    let unexpected: Vec<_> = report.findings.iter().filter(|finding| !expected(&finding.path)).collect();
    assert!(unexpected.is_empty(), "{place}: {unexpected:#?}");
}

fn power_cuts(seed: u64, lives: usize, steps: usize) -> Tally {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut cuts = Cuts::new(seed, 12, 400);
    runtime.block_on(cuts.lives(lives, steps));
    println!("seed {seed}: {:?} in {:.1} s", cuts.tally, begun.elapsed().as_secs_f64());
    cuts.tally
}

/// Whether somebody asked for more than fits into every run of the tests.
fn rounds_asked_for() -> bool {
    std::env::var_os("RUNLAKE_CRASH_ROUNDS").is_some()
}

/// Lives of each seed: more where somebody asked for many rounds.
fn lives() -> usize {
    if rounds_asked_for() { 12 } else { 3 }
}

#[test]
fn no_power_cut_takes_what_was_synced() {
    let tally = power_cuts(1, lives(), 60);
    assert!(tally.states > 8_000, "{tally:?}");
}

#[test]
fn no_power_cut_takes_what_was_synced_by_another_seed() {
    let tally = power_cuts(2, lives(), 60);
    assert!(tally.states > 12_000, "{tally:?}");
}
