//! The n-th call to the disk fails, for every n: nothing panics or hangs, what was acknowledged is there once, and what was
//! dropped is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::reopened::{Lines, shown};
use crate::model::{Record, RunId, Status};
use crate::store::ops::GcOptions;
use crate::store::segment::{Content, SegmentWriter, scan};
use crate::store::testing::disk::{Disk, Fault, Loss, Process};
use crate::store::*;

const FAULTS: [Fault; 3] = [Fault::Error, Fault::NoSpace, Fault::Short];

fn record(n: usize) -> Record {
    Record::Notes { run: RunId::parse("r").unwrap(), notes: Some(format!("{n} {}", "x".repeat(n % 40))) }
}

/// The numbers of all records in segments, in the order of their files; none is damaged.
fn numbers(disk: &Disk) -> Vec<usize> {
    let io = disk.io();
    let mut numbers = Vec::new();
    for entry in live::names(io.as_ref()).unwrap() {
        numbers.extend(numbers_in(io.read(&format!("{}/{}", layout::LIVE, entry.name)).unwrap()));
    }
    numbers
}

fn numbers_in(segment: bytes::Bytes) -> Vec<usize> {
    let mut numbers = Vec::new();
    let scan = scan(&Content::whole(segment), 0, |found| {
        let Record::Notes { notes: Some(text), .. } = found.record else { panic!("only notes are logged here") };
        numbers.push(text.split(' ').next().unwrap().parse().unwrap());
    });
    assert_eq!(scan.damage, None);
    numbers
}

/// What a writer was told.
#[derive(Debug, Default)]
struct Told {
    written: Vec<usize>,
    dropped: u64,
    reported: u64,
    /// How many of the written ones a power cut must leave, from which on.
    durable: (usize, usize),
}

impl Told {
    fn flush(&mut self, writer: &SegmentWriter) {
        match writer.flush() {
            Ok(()) => self.durable.1 = self.written.len(),
            Err(failure) => {
                self.reported += failure.dropped;
                // Of those before it is told that they may be gone.
                self.durable = (self.written.len(), self.written.len());
            }
        }
    }

    fn log(&mut self, writer: &SegmentWriter, n: usize) {
        if n % 13 == 5 {
            // Sooner or later it is written.
            writer.log_or_keep(record(n)).unwrap();
            self.written.push(n);
            return;
        }
        let durability = if n % 10 == 9 { Durability::Synced } else { Durability::Buffered };
        match writer.log(&record(n), durability) {
            Ok(true) => self.written.push(n),
            Ok(false) => self.dropped += 1,
            // Dropped, or written and not synced: the report tells.
            Err(_) => {
                let unreported = self.dropped - self.reported;
                let before = self.reported;
                self.written.push(n);
                self.flush(writer);
                if self.reported - before > unreported {
                    self.written.pop();
                    self.dropped += 1;
                }
            }
        }
    }
}

/// How far the segments of a writer are sealed, by number.
type Sealed = Arc<Mutex<BTreeMap<u32, u64>>>;

/// A writer that logs sixty records at this process; before each something may happen.
fn log(process: &Process, sealed: &Sealed, each: impl Fn(usize)) -> Told {
    let outages = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&outages);
    let hook = move |_: &WriteFailure| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let options = WriterOptions {
        segment_bytes: 900,
        sync_within: Duration::from_secs(3600),
        on_failure: Some(Arc::new(hook)),
        ..WriterOptions::default()
    };
    let sealed = Arc::clone(sealed);
    let absorbed = move |_, number| Ok(Some(sealed.lock().unwrap().get(&number).copied().unwrap_or(0)));
    let writer = SegmentWriter::new(process.io(), options, Arc::new(absorbed));
    let mut told = Told::default();
    for n in 0..60 {
        each(n);
        told.log(&writer, n);
        if n % 15 == 14 {
            told.flush(&writer);
        }
    }
    if let Err(failure) = writer.rotate() {
        told.reported += failure.dropped;
    }
    told.log(&writer, 60);
    told.flush(&writer);
    told.flush(&writer);
    assert_eq!(told.durable.1, told.written.len(), "there is nothing left to fail");
    assert_eq!(told.reported, told.dropped);
    assert!(told.dropped == 0 || outages.load(Ordering::SeqCst) > 0, "it says so");
    told
}

#[test]
fn a_writer_gets_over_any_failing_call_and_counts_what_it_drops() {
    let mut drops = 0;
    for fault in FAULTS {
        // The next ones fail too: what was to mend the first failure.
        for more in 0..3 {
            for n in 0.. {
                let disk = Disk::new();
                let process = disk.process();
                (n..=n + more).for_each(|n| process.fail(n, fault));
                let told = log(&process, &Sealed::default(), |_| ());
                let unused = process.heal();
                let mut found = numbers(&disk);
                found.sort_unstable();
                assert_eq!(found, told.written, "{fault:?} of call {n} and {more} more");
                let durable = numbers(&disk.after_power_cut(Loss::All));
                for n in &told.written[told.durable.0..told.durable.1] {
                    assert!(durable.contains(n), "{fault:?} of call {n} and {more} more: {n} is not durable");
                }
                drops += told.dropped;
                if unused as u64 == more + 1 {
                    assert_eq!(told.dropped, 0);
                    break;
                }
            }
        }
    }
    assert!(drops > 100, "the failures were to hurt");
}

#[test]
fn a_writer_whose_segment_was_taken_logs_the_rest_again_whatever_fails() {
    for fault in FAULTS {
        for n in 0.. {
            let disk = Disk::new();
            let process = disk.process();
            process.fail(n, fault);
            let (sealed, rows) = (Sealed::default(), Mutex::new(Vec::new()));
            let told = log(&process, &sealed, |n| {
                if n == 6 {
                    *rows.lock().unwrap() = take(&disk, &sealed);
                }
            });
            let unused = process.heal();
            let mut found = numbers(&disk);
            found.append(&mut rows.lock().unwrap());
            found.sort_unstable();
            assert_eq!(found, told.written, "{fault:?} of call {n}");
            if unused == 1 {
                break;
            }
        }
    }
}

/// Seals what is there and removes the files, as from a writer that looks dead; gives what was sealed.
fn take(disk: &Disk, sealed: &Sealed) -> Vec<usize> {
    let mut rows = Vec::new();
    for entry in live::names(disk.io().as_ref()).unwrap() {
        let path = format!("{}/{}", layout::LIVE, entry.name);
        let (_, number) = layout::segment_name(&entry.name).unwrap();
        // The writer's own thread may add to it at any moment.
        let bytes = disk.io().read(&path).unwrap();
        sealed.lock().unwrap().insert(number, bytes.len() as u64);
        rows.extend(numbers_in(bytes));
        disk.io().remove(&path).unwrap();
    }
    rows
}

#[test]
fn a_writer_that_finds_no_place_for_the_rest_drops_what_nobody_would_read_and_keeps_the_rest() {
    let disk = Disk::new();
    let process = disk.process();
    let (sealed, rows) = (Sealed::default(), Mutex::new(Vec::new()));
    let told = log(&process, &sealed, |n| {
        if n == 6 {
            *rows.lock().unwrap() = take(&disk, &sealed);
        }
        process.no_new_files((6..50).contains(&n));
    });
    // It notices with the first record that is to be synced, the tenth; three in between are kept.
    assert_eq!(told.written, (0..10).chain([18, 31, 44]).chain(50..=60).collect::<Vec<_>>());
    let mut found = numbers(&disk);
    found.append(&mut rows.lock().unwrap());
    found.sort_unstable();
    assert_eq!(found, told.written);
}

#[test]
fn a_writer_whose_segment_fills_up_after_it_was_taken_logs_the_rest_again() {
    let dir = tempfile::tempdir().unwrap();
    let io: Arc<dyn Io> = Arc::new(LocalIo::new(dir.path()));
    let options = WriterOptions {
        segment_bytes: 900,
        // Nobody looks before it is full.
        sync_within: Duration::from_secs(3600),
        ..WriterOptions::default()
    };
    let writer = SegmentWriter::new(Arc::clone(&io), options, Arc::new(|_, _| Ok(Some(0))));
    for n in 0..60 {
        assert!(writer.log(&record(n), Durability::Buffered).unwrap());
        if n == 5 {
            // The thread that syncs looks once when it begins.
            std::thread::sleep(Duration::from_millis(100));
            for entry in live::names(io.as_ref()).unwrap() {
                io.remove(&format!("{}/{}", layout::LIVE, entry.name)).unwrap();
            }
        }
    }
    writer.flush().unwrap();
    let mut found = Vec::new();
    for entry in live::names(io.as_ref()).unwrap() {
        let bytes = io.read(&format!("{}/{}", layout::LIVE, entry.name)).unwrap();
        scan(&Content::whole(bytes.clone()), 0, |record| {
            let Record::Notes { notes: Some(text), .. } = record.record else { panic!("only notes are logged here") };
            found.push(text.split(' ').next().unwrap().parse::<usize>().unwrap());
        });
    }
    assert_eq!(found, (0..60).collect::<Vec<_>>());
}

/// A store with something for every operation to do: small files to join, live records, a deleted run.
async fn prepared() -> Disk {
    let disk = Disk::new();
    Store::create_at(disk.io(), "s".into()).unwrap();
    let process = disk.process();
    let store = Store::open_at(process.io(), "s".into(), WriterOptions::default()).unwrap();
    for n in 0..4 {
        let run = store.start_run(RunOptions::new("e").id(RunId::parse(&format!("r{n}")).unwrap())).unwrap();
        run.log_param("p", n as i64).unwrap();
        for step in 0..3 {
            run.log_metric_at("loss", step as f64, step).unwrap();
        }
        match n {
            3 => {}
            _ => run.finish(Status::Finished).unwrap(),
        }
        if n < 2 {
            store.seal().await.unwrap();
        }
    }
    store.delete_run(&RunId::parse("r0").unwrap()).unwrap();
    store.flush().unwrap();
    process.kill();
    disk
}

#[derive(Debug, Clone, Copy)]
enum Upkeep {
    Seal,
    Compact,
    Gc,
}

async fn upkeep(process: &Process, what: Upkeep) -> Result<()> {
    let store = Store::open_at(process.io(), "s".into(), WriterOptions::default())?;
    match what {
        Upkeep::Seal => store.seal().await.map(|_| ()),
        Upkeep::Compact => store.compact(2).await.map(|_| ()),
        Upkeep::Gc => store.gc(GcOptions { keep: Micros(0) }).await.map(|_| ()),
    }
}

/// Every call fails, in each of the ways, where somebody asked for many rounds; else every fifth, in one of them. Another
/// process ends what was begun.
async fn any_call_fails(what: Upkeep) {
    let stride = if std::env::var_os("RUNLAKE_CRASH_ROUNDS").is_some() { 1 } else { 5 };
    let disk = prepared().await;
    let before: Arc<Lines> = shown(&disk).await;
    assert_eq!(before.len(), 4, "three runs and the experiment");
    let ways = if stride == 1 { FAULTS.len() } else { 1 };
    let mut calls =
        (0..).step_by(stride).flat_map(|n| (0..ways).map(move |way| (n, FAULTS[(n / stride + way) % FAULTS.len()])));
    loop {
        let (n, fault) = calls.next().expect("there is no last number");
        let place = format!("{what:?}, {fault:?} of call {n}");
        let disk = disk.branch();
        let process = disk.process();
        process.fail(n as u64, fault);
        let done = tokio::time::timeout(Duration::from_secs(60), upkeep(&process, what)).await;
        let done = done.unwrap_or_else(|_| panic!("{place}: it hangs"));
        let unused = process.heal();
        assert_eq!(*shown(&disk).await, *before, "{place} ({done:?})");
        upkeep(&process, what).await.unwrap_or_else(|e| panic!("{place}: once more: {e}"));
        assert_eq!(*shown(&disk).await, *before, "{place}, once more");
        if unused == 1 {
            done.unwrap_or_else(|e| panic!("{place}: nothing failed, and yet: {e}"));
            println!("{what:?} makes {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_seal_during_which_any_call_fails_is_ended_later() {
    any_call_fails(Upkeep::Seal).await;
}

#[tokio::test]
async fn a_compaction_during_which_any_call_fails_is_ended_later() {
    any_call_fails(Upkeep::Compact).await;
}

#[tokio::test]
async fn a_cleanup_during_which_any_call_fails_is_ended_later() {
    any_call_fails(Upkeep::Gc).await;
}
