use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::model::RunId;
use crate::store::io::LocalIo;
use crate::store::segment::{Content, SegmentRecord, scan};
use crate::store::testing::{Fate, HookedIo, StopOnDrop};

fn record(n: usize) -> Record {
    Record::Notes { run: RunId::parse("r").unwrap(), notes: Some(format!("note {n}")) }
}

fn number(record: &SegmentRecord) -> usize {
    let Record::Notes { notes: Some(text), .. } = &record.record else { panic!("only notes are logged here") };
    text.strip_prefix("note ").unwrap().parse().unwrap()
}

fn writer_of(io: Arc<dyn Io>, options: WriterOptions) -> SegmentWriter {
    SegmentWriter::new(io, options, Arc::new(|_, _| Ok(Some(0))))
}

fn writer(dir: &Path) -> SegmentWriter {
    writer_of(Arc::new(LocalIo::new(dir)), WriterOptions::default())
}

fn log(writer: &SegmentWriter, numbers: impl IntoIterator<Item = usize>) {
    for n in numbers {
        assert!(writer.log(&record(n), Durability::Buffered).unwrap());
    }
}

/// The segments of a store by name, as bytes.
fn segments(dir: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(dir.join(layout::LIVE)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn read_all(dir: &Path) -> Vec<SegmentRecord> {
    let mut records = Vec::new();
    for bytes in segments(dir) {
        let scan = scan(&Content::whole(bytes.clone()), 0, |record| records.push(record));
        assert_eq!((scan.damage, scan.end), (None, bytes.len() as u64));
    }
    records
}

fn numbers(dir: &Path) -> Vec<usize> {
    read_all(dir).iter().map(number).collect()
}

#[test]
fn records_come_back_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    log(&writer, 0..100);
    // Written through: no flush is needed to read them.
    let records = read_all(dir.path());
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(records.iter().enumerate().all(|(i, r)| r.version.sequence == i as u64));
    assert!(records.is_sorted_by_key(|r| r.version));
    assert_eq!(records[0].version.writer, writer.id().unwrap());
}

#[test]
fn a_segment_torn_at_any_byte_gives_the_whole_records_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    let mut ends = Vec::new();
    for n in 0..5 {
        log(&writer, [n]);
        ends.push(segments(dir.path())[0].len());
    }
    let bytes = &segments(dir.path())[0];
    let (_, first) = frame::decode_header(bytes).unwrap();
    for len in first..=bytes.len() {
        let mut found = 0;
        let scan = scan(&Content::whole(bytes[..len].to_vec()), 0, |_| found += 1);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!((found, scan.damage), (whole, None), "cut at {len}");
        // A power cut may leave zeros where the rest was to be.
        let mut zeros = bytes[..len].to_vec();
        zeros.resize(len + 50, 0);
        if len == ends.get(whole.wrapping_sub(1)).copied().unwrap_or(first) {
            let mut found = 0;
            assert_eq!(super::super::scan(&Content::whole(zeros.clone()), 0, |_| found += 1).damage, None);
            assert_eq!(found, whole);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_reported_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    let mut starts = Vec::new();
    for n in 0..3 {
        log(&writer, [n]);
        starts.push(segments(dir.path())[0].len());
    }
    let bytes = segments(dir.path()).remove(0);
    let (_, first) = frame::decode_header(&bytes).unwrap();
    let end = starts.pop().unwrap();
    starts.insert(0, first);
    for at in first..end {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let mut found = 0;
            let damage = scan(&Content::whole(bytes.clone()), 0, |_| found += 1)
                .damage
                .unwrap_or_else(|| panic!("bit {bit} of {at}"));
            let frame = starts.iter().rposition(|start| *start <= at).unwrap();
            assert_eq!((damage.offset, damage.intact, found), (starts[frame] as u64, frame as u64, frame));
        }
    }
    for at in 0..first {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert!(scan(&Content::whole(bytes.clone()), 0, |_| ()).damage.is_some(), "byte {at} of the header");
    }
}

#[test]
fn a_forked_child_logs_on_as_a_writer_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    log(&writer, 0..10);
    let stop = AtomicBool::new(false);
    let busy = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let _stopping = StopOnDrop(&stop);
        // Another thread keeps taking the lock, so that a fork is likely to happen while it is held.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                log(&writer, [1_000_000]);
                busy.fetch_add(1, Ordering::Relaxed);
            }
        });
        for child in 0..20 {
            // SAFETY: the child only logs, which takes no lock that a thread of the parent may hold, and then leaves.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let logged = (0..10).all(|n| {
                    writer.log(&record(10 * child + n + 100), Durability::Buffered).is_ok_and(|written| written)
                });
                let flushed = writer.flush().is_ok();
                unsafe { libc::_exit(i32::from(!(logged && flushed))) };
            }
            assert!(pid > 0);
            let begun = Instant::now();
            let mut status = 0;
            while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
                if begun.elapsed() > Duration::from_secs(20) {
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    panic!("the child hangs");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(status, 0, "child {child}");
        }
    });
    log(&writer, 10..20);
    let records = read_all(dir.path());
    let mut found: Vec<_> = records.iter().map(number).filter(|n| *n < 1_000_000).collect();
    found.sort_unstable();
    assert_eq!(found, (0..20).chain(100..300).collect::<Vec<_>>());
    assert_eq!(records.len() as u64, 220 + busy.load(Ordering::Relaxed));
    let writers: BTreeSet<_> = records.iter().map(|r| r.version.writer).collect();
    assert_eq!(writers.len(), 21);
}

#[test]
fn several_threads_share_a_writer() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    is_shared(&writer);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let writer = &writer;
            scope.spawn(move || log(writer, thread * 250..(thread + 1) * 250));
        }
    });
    let records = read_all(dir.path());
    let mut found: Vec<_> = records.iter().map(number).collect();
    found.sort_unstable();
    assert_eq!(found, (0..1000).collect::<Vec<_>>());
    assert!(records.iter().enumerate().all(|(i, r)| r.version.sequence == i as u64));
}

/// A writer whose writes or syncs fail while the switch is on, and how often it said so.
fn failing(dir: &Path, what: &'static str, strict: bool) -> (SegmentWriter, Arc<AtomicBool>, Arc<AtomicU64>) {
    let (on, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (switch, count) = (Arc::clone(&on), Arc::clone(&told));
    let io =
        HookedIo::new(
            dir,
            move |operation, _| {
                if operation == what && switch.load(Ordering::SeqCst) { Fate::Fails } else { Fate::Done }
            },
        );
    let hook = move |_: &WriteFailure| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let options = WriterOptions { strict, on_failure: Some(Arc::new(hook)), ..WriterOptions::default() };
    (writer_of(io, options), on, told)
}

#[test]
fn records_that_cannot_be_written_are_counted_and_logging_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, on, told) = failing(dir.path(), "write", false);
    log(&writer, 0..3);
    on.store(true, Ordering::SeqCst);
    for n in 3..6 {
        assert!(!writer.log(&record(n), Durability::Buffered).unwrap());
    }
    assert_eq!(told.load(Ordering::SeqCst), 1, "it says so once");
    on.store(false, Ordering::SeqCst);
    log(&writer, 6..9);
    let failure = writer.flush().unwrap_err();
    assert_eq!(failure.dropped, 3);
    assert!(failure.to_string().contains("3 records dropped"), "{failure}");
    writer.flush().unwrap();
    assert_eq!(numbers(dir.path()), [0, 1, 2, 6, 7, 8]);
    let sequences: Vec<_> = read_all(dir.path()).iter().map(|r| r.version.sequence).collect();
    assert_eq!(sequences, (0..6).collect::<Vec<_>>());
}

#[test]
fn a_flush_waits_for_a_sync_that_another_began() {
    let dir = tempfile::tempdir().unwrap();
    // The system tells the first who syncs of a failure, and the next that all is well.
    let begun = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&begun);
    let io = HookedIo::new(dir.path(), move |operation, _| match operation {
        "sync" if !first.swap(true, Ordering::SeqCst) => Fate::FailsAfter(Duration::from_millis(300)),
        _ => Fate::Done,
    });
    let options = WriterOptions { sync_within: Duration::from_millis(2), ..WriterOptions::default() };
    let writer = writer_of(io, options);
    log(&writer, 0..3);
    while !begun.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    writer.flush().expect_err("what it waited for may be lost");
    writer.flush().unwrap();
}

#[test]
fn what_must_not_be_lost_is_kept_until_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, on, told) = failing(dir.path(), "write", false);
    on.store(true, Ordering::SeqCst);
    writer.log_or_keep(record(0)).unwrap();
    assert!(!writer.log(&record(1), Durability::Buffered).unwrap(), "what comes after it waits for no room");
    let failure = writer.flush().unwrap_err();
    assert_eq!((failure.dropped, failure.kept), (1, 1));
    assert!(failure.to_string().contains("1 records dropped, 1 kept until there is room"), "{failure}");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(told.load(Ordering::SeqCst), 1, "it tries again, and says so once");
    on.store(false, Ordering::SeqCst);
    let written = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        numbers(dir.path()) == [0]
    });
    assert!(written, "without anything else that is logged");
    writer.flush().unwrap();

    on.store(true, Ordering::SeqCst);
    writer.log_or_keep(record(2)).unwrap();
    on.store(false, Ordering::SeqCst);
    writer.flush().expect("nothing is lost");
    log(&writer, 3..4);
    assert_eq!((numbers(dir.path()), told.load(Ordering::SeqCst)), (vec![0, 2, 3], 2));
}

#[test]
fn a_strict_writer_fails_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, on, _) = failing(dir.path(), "write", true);
    log(&writer, 0..1);
    on.store(true, Ordering::SeqCst);
    writer.log(&record(1), Durability::Buffered).unwrap_err();
    writer.log_or_keep(record(1)).unwrap_err();
    on.store(false, Ordering::SeqCst);
    log(&writer, 2..3);
    assert_eq!(numbers(dir.path()), [0, 2]);
}

#[test]
fn after_a_failed_sync_nothing_more_goes_into_that_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, on, _) = failing(dir.path(), "sync", false);
    on.store(true, Ordering::SeqCst);
    assert!(writer.log(&record(0), Durability::Synced).is_err(), "it was to survive a power cut");
    on.store(false, Ordering::SeqCst);
    assert!(writer.log(&record(1), Durability::Synced).unwrap());
    writer.flush().unwrap_err();
    writer.flush().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    assert_eq!(numbers(dir.path()), [0, 1]);
}

#[test]
fn a_segment_that_was_taken_away_is_healed_without_loss_or_doubling() {
    let dir = tempfile::tempdir().unwrap();
    let covered = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&covered);
    let absorbed: AbsorbedUpTo = Arc::new(move |_, _| Ok(Some(asked.load(Ordering::SeqCst))));
    let writer = SegmentWriter::new(Arc::new(LocalIo::new(dir.path())), WriterOptions::default(), absorbed);
    log(&writer, 0..3);
    // A sealer on another host took the writer for dead: what is there so far is sealed, then the file is removed.
    covered.store(segments(dir.path())[0].len() as u64, Ordering::SeqCst);
    let sealed = numbers(dir.path());
    log(&writer, 3..5);
    std::fs::remove_file(dir.path().join(layout::segment(writer.id().unwrap(), 0))).unwrap();
    log(&writer, 5..7);
    writer.flush().unwrap();
    log(&writer, 7..9);
    let records = read_all(dir.path());
    assert_eq!(sealed, [0, 1, 2]);
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
    assert!(records.iter().all(|r| r.version.sequence == number(r) as u64), "they keep their place in the order");
}

#[test]
fn a_store_that_was_removed_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s");
    let writer = writer(&root);
    log(&writer, 0..3);
    std::fs::remove_dir_all(&root).unwrap();
    writer.flush().unwrap_err();
    assert!(!writer.log(&record(3), Durability::Buffered).unwrap(), "it would go nowhere");
    drop(writer);
    assert!(!root.exists());
}

#[test]
fn a_full_segment_is_followed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let options = WriterOptions { segment_bytes: 500, ..WriterOptions::default() };
    let writer = writer_of(Arc::new(LocalIo::new(dir.path())), options);
    log(&writer, 0..100);
    assert!(segments(dir.path()).len() > 5);
    assert!(segments(dir.path()).iter().all(|bytes| bytes.len() < 600));
    assert!(read_all(dir.path()).iter().enumerate().all(|(i, r)| r.version.sequence == i as u64));
    assert_eq!(numbers(dir.path()), (0..100).collect::<Vec<_>>());
    let before = segments(dir.path()).len();
    writer.rotate().unwrap();
    log(&writer, 100..101);
    assert_eq!(segments(dir.path()).len(), before + 1);
}

#[test]
fn everything_is_synced_soon_without_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let synced = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&synced);
    let io = HookedIo::new(dir.path(), move |operation, _| {
        count.fetch_add(u64::from(operation == "sync"), Ordering::SeqCst);
        Fate::Done
    });
    let writer = writer_of(io, WriterOptions::default());
    log(&writer, 0..1);
    std::thread::sleep(Duration::from_millis(300));
    let before = synced.load(Ordering::SeqCst);
    log(&writer, 1..2);
    let begun = Instant::now();
    while synced.load(Ordering::SeqCst) == before {
        assert!(begun.elapsed() < Duration::from_secs(1), "a second is the promise");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A segment of 64 KiB and a little more, with the offsets where its records begin, and its end.
fn large_segment() -> (Vec<u8>, Vec<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    let (mut len, mut n) = (0, 0);
    let mut starts = Vec::new();
    while len < 64 * 1024 {
        // Some longer than others, one longer than a page of zeros is.
        let text = "x".repeat([0, 40, 130, 700, 5000][if n == 77 { 4 } else { n % 4 }]);
        let record = Record::Notes { run: RunId::parse("r").unwrap(), notes: Some(format!("note {n} {text}")) };
        assert!(writer.log(&record, Durability::Buffered).unwrap());
        len = segments(dir.path())[0].len() as u64;
        starts.push(len);
        n += 1;
    }
    let bytes = segments(dir.path()).remove(0);
    starts.insert(0, frame::decode_header(&bytes).unwrap().1 as u64);
    (bytes, starts)
}

fn note(found: &SegmentRecord) -> usize {
    let Record::Notes { notes: Some(text), .. } = &found.record else { panic!("only notes are logged here") };
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Scans from the last record before `intact`, and checks that it and nothing after it is found.
fn ends_at(bytes: &[u8], starts: &[u64], intact: usize, originals: &[SegmentRecord]) -> crate::store::segment::Scan {
    let mut found = Vec::new();
    let from = starts[intact.saturating_sub(1)];
    let scan = scan(&Content::whole(bytes.to_vec()), from, |record| found.push(record));
    assert_eq!(scan.end, starts[intact]);
    assert_eq!(found, originals[intact.saturating_sub(1)..intact]);
    scan
}

#[test]
fn a_large_segment_torn_at_any_byte_keeps_exactly_the_whole_records_before_it() {
    let (bytes, starts) = large_segment();
    let mut originals = Vec::new();
    assert_eq!(scan(&Content::whole(bytes.clone()), 0, |record| originals.push(record)).damage, None);
    assert!(originals.iter().map(note).eq(0..starts.len() - 1));
    for len in starts[0]..=bytes.len() as u64 {
        let intact = starts.iter().rposition(|start| *start <= len).unwrap();
        let scan = ends_at(&bytes[..len as usize], &starts, intact, &originals);
        assert_eq!(scan.damage, None, "cut at {len}");
    }
    for len in 0..starts[0] {
        // Its header was durable before it got its name.
        let damage = scan(&Content::whole(bytes[..len as usize].to_vec()), 0, |_| panic!("there is nothing to find"))
            .damage
            .unwrap();
        assert_eq!((damage.offset, damage.intact), (0, 0), "cut at {len}");
    }
}

#[test]
fn any_flipped_bit_of_a_large_segment_is_found_and_what_is_before_it_stays() {
    let (mut bytes, starts) = large_segment();
    let mut originals = Vec::new();
    scan(&Content::whole(bytes.clone()), 0, |record| originals.push(record));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            if (at as u64) < starts[0] {
                let damage =
                    scan(&Content::whole(bytes.clone()), 0, |_| panic!("nothing of it can be trusted")).damage.unwrap();
                assert_eq!((damage.offset, damage.intact), (0, 0), "bit {bit} of {at}");
            } else {
                let intact = starts.iter().rposition(|start| *start <= at as u64).unwrap();
                let damage = ends_at(&bytes, &starts, intact, &originals).damage;
                let damage = damage.unwrap_or_else(|| panic!("bit {bit} of {at}"));
                assert_eq!((damage.offset, damage.intact), (starts[intact], intact as u64), "bit {bit} of {at}");
            }
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn eight_forked_children_log_at_once_a_hundred_times() {
    const CHILDREN: usize = 8;
    const ROUNDS: usize = 100;
    const EACH: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    log(&writer, 0..1);
    let (stop, busy) = (AtomicBool::new(false), AtomicU64::new(0));
    let first = |round: usize, child: usize| 1 + (round * CHILDREN + child) * EACH;
    std::thread::scope(|scope| {
        let _stopping = StopOnDrop(&stop);
        // Keeps taking the lock, so that most forks happen while it is held.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                log(&writer, [1_000_000]);
                busy.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        for round in 0..ROUNDS {
            let mut children = Vec::new();
            for child in 0..CHILDREN {
                // SAFETY: the child only logs, which takes no lock that a thread of the parent may hold, and then leaves.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    let logged = (0..EACH).all(|n| {
                        let record = record(first(round, child) + n);
                        writer.log(&record, Durability::Buffered).is_ok_and(|written| written)
                    });
                    unsafe { libc::_exit(i32::from(!logged)) };
                }
                assert!(pid > 0);
                children.push(pid);
            }
            let begun = Instant::now();
            for pid in children {
                let mut status = 0;
                while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
                    if begun.elapsed() > Duration::from_secs(60) {
                        unsafe { libc::kill(pid, libc::SIGKILL) };
                        panic!("a child of round {round} hangs");
                    }
                    std::thread::sleep(Duration::from_micros(200));
                }
                assert_eq!(status, 0, "a child of round {round}");
            }
        }
    });
    let records = read_all(dir.path());
    let mut found: Vec<_> = records.iter().map(number).filter(|n| *n < 1_000_000).collect();
    found.sort_unstable();
    assert_eq!(found, (0..1 + ROUNDS * CHILDREN * EACH).collect::<Vec<_>>());
    assert_eq!((records.len() - found.len()) as u64, busy.load(Ordering::Relaxed));
}
