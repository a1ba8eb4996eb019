//! Appending records: written through on every call, synced by a plain thread, no async runtime.
//!
//! When `log` returns, the death of the process loses nothing. When `flush` returns, and at the latest one second after
//! `log`, a power cut loses nothing either.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::frame::{self, FORMAT, Header};
use super::process;
use crate::model::{Micros, Record, WriterId};
use crate::store::io::{Append, Io};
use crate::store::layout;

/// What `log` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The record is with the operating system: the death of the process loses nothing.
    #[default]
    Buffered,
    /// The record is on disk: a power cut loses nothing either.
    Synced,
}

/// Records that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFailure {
    /// The segment.
    pub path: String,
    /// What the system said.
    pub message: String,
    /// Kind of the error.
    pub kind: io::ErrorKind,
    /// Records dropped so far.
    pub dropped: u64,
    /// Records that runs begin with and that are not written yet: they are before the next one that can be.
    pub kept: u64,
}

impl fmt::Display for WriteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} records dropped", self.path, self.message, self.dropped)?;
        if self.kept > 0 {
            write!(f, ", {} kept until there is room", self.kept)?;
        }
        f.write_str(")")
    }
}

/// Called once per outage, from the logging call or the sync thread, which hold the writer's lock: it must not log or flush.
pub type FailureHook = Arc<dyn Fn(&WriteFailure) + Send + Sync>;

/// How a writer behaves.
#[derive(Clone)]
pub struct WriterOptions {
    /// Whether a failed write is an error of the logging call. By default it is counted, told to `on_failure` once, and
    /// reported by `flush` and `finish`, so that it never stops a training script.
    pub strict: bool,
    /// Told of the first failure of an outage.
    pub on_failure: Option<FailureHook>,
    /// Size at which a segment is closed and the next begun, in bytes.
    pub segment_bytes: u64,
    /// Longest time from `log` to the sync.
    pub sync_within: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            strict: false,
            on_failure: None,
            segment_bytes: 32 << 20,
            sync_within: Duration::from_millis(500),
        }
    }
}

impl fmt::Debug for WriterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterOptions")
            .field("strict", &self.strict)
            .field("segment_bytes", &self.segment_bytes)
            .field("sync_within", &self.sync_within)
            .finish_non_exhaustive()
    }
}

/// Says up to which byte a segment was sealed; asked when a writer finds that its file was taken from it.
pub type AbsorbedUpTo = Arc<dyn Fn(WriterId, u32) -> io::Result<Option<u64>> + Send + Sync>;

/// Appends records to segments of its own. Cheap to share; a forked child becomes a writer of its own.
pub struct SegmentWriter {
    root: Process,
    setup: Setup,
}

#[derive(Clone)]
struct Setup {
    io: Arc<dyn Io>,
    options: WriterOptions,
    absorbed: AbsorbedUpTo,
}

/// The writer of one process. A child finds that it is another and goes to `child`: it must not touch the parent's mutex,
/// which some thread of the parent may have held at the fork.
struct Process {
    number: u64,
    shared: Arc<Shared>,
    child: OnceLock<Box<Process>>,
}

struct Shared {
    setup: Setup,
    state: Mutex<State>,
    changed: Condvar,
    sync_ended: Condvar,
}

#[derive(Default)]
struct State {
    writer: Option<WriterId>,
    segment: Option<Segment>,
    next_number: u32,
    sequence: u64,
    last_time: Micros,
    buffer: Vec<u8>,
    /// What was not reported yet.
    failure: Option<WriteFailure>,
    /// Whether the last attempt to write or sync failed, which was told.
    outage: bool,
    failed_syncs: u64,
    /// Number of syncs so far, and those of them that are at work.
    begun_syncs: u64,
    syncs: BTreeSet<u64>,
    // Records that must not be lost to an outage.
    kept: VecDeque<Record>,
    // The file has lost its name, and what it holds could not be logged again yet.
    homeless: bool,
    sync_thread: bool,
    /// Whether the sync thread waits for something to sync: waking it costs a system call, and mostly it is awake.
    waiting: bool,
    closed: bool,
}

#[derive(Clone)]
struct Segment {
    path: String,
    number: u32,
    file: Arc<dyn Append>,
    len: u64,
    synced: u64,
}

const HEARTBEAT: Duration = Duration::from_secs(30);
/// So many records are kept in an outage.
const MOST_KEPT: usize = 1_000;

impl SegmentWriter {
    /// A writer into this store. No file is made before the first record.
    pub fn new(io: Arc<dyn Io>, options: WriterOptions, absorbed: AbsorbedUpTo) -> Self {
        let setup = Setup { io, options, absorbed };
        SegmentWriter { root: Process::new(&setup), setup }
    }

    fn shared(&self) -> &Arc<Shared> {
        let number = process::this();
        let mut process = &self.root;
        while process.number != number {
            process = process.child.get_or_init(|| Box::new(Process::new(&self.setup)));
        }
        &process.shared
    }

    /// Appends a record. `Ok(false)`: it could not be written and was counted as dropped.
    ///
    /// # Errors
    /// Of a strict writer any failure; of any writer that of a record that was to be synced.
    pub fn log(&self, record: &Record, durability: Durability) -> io::Result<bool> {
        let shared = self.shared();
        let mut state = shared.ready();
        let result = shared.append(&mut state, record);
        match result {
            Ok(()) => {
                shared.wake(&mut state);
                if durability == Durability::Synced {
                    let failed_syncs = state.failed_syncs;
                    shared.sync(state)?;
                    // The sync thread may have tried first, and given the segment up.
                    if shared.settled().failed_syncs > failed_syncs {
                        return Err(io::Error::other("the record is written and may not survive a power cut"));
                    }
                }
                Ok(true)
            }
            Err(e) => {
                shared.failed(&mut state, &e, 1);
                if self.setup.options.strict || durability == Durability::Synced { Err(e) } else { Ok(false) }
            }
        }
    }

    /// Appends a record that must not be lost to an outage: where it cannot be written it is kept, and comes before the next one.
    ///
    /// # Errors
    /// Of a strict writer any failure; then it is not kept.
    pub fn log_or_keep(&self, record: Record) -> io::Result<()> {
        let shared = self.shared();
        let mut state = shared.ready();
        match shared.append(&mut state, &record) {
            Ok(()) => {}
            Err(e) => {
                if self.setup.options.strict || state.kept.len() >= MOST_KEPT {
                    shared.failed(&mut state, &e, 1);
                    return if self.setup.options.strict { Err(e) } else { Ok(()) };
                }
                state.kept.push_back(record);
                shared.tell(&mut state, &e);
            }
        }
        shared.wake(&mut state);
        Ok(())
    }

    /// Waits until everything logged so far survives a power cut. Fails with what was dropped since the last report.
    pub fn flush(&self) -> Result<(), WriteFailure> {
        let shared = self.shared();
        let mut state = shared.lock();
        if let Err(e) = shared.catch_up(&mut state) {
            shared.failed(&mut state, &e, 0);
        }
        // What fails is in the report.
        let _ = shared.sync(state);
        shared.settled().report()
    }

    /// Syncs and ends the present segment, so that it may be sealed and removed; the next record begins another.
    pub fn rotate(&self) -> Result<(), WriteFailure> {
        let result = self.flush();
        let shared = self.shared();
        let mut state = shared.lock();
        // Another thread may have logged since the flush.
        if let Err(e) = shared.end_segment(&mut state) {
            shared.failed(&mut state, &e, result.err().map_or(0, |failure| failure.dropped));
            return state.report();
        }
        result
    }

    /// The id of this process's writer, once it has written.
    #[cfg(test)]
    pub fn id(&self) -> Option<WriterId> {
        self.shared().lock().writer
    }
}

impl Process {
    fn new(setup: &Setup) -> Self {
        let shared = Shared {
            setup: setup.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
            sync_ended: Condvar::new(),
        };
        Process { number: process::this(), shared: Arc::new(shared), child: OnceLock::new() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.number == process::this() {
            let mut state = self.shared.lock();
            state.closed = true;
            let _ = self.shared.catch_up(&mut state);
            // The last records need no other sync than the one every record gets; the thread ends after it.
            let _ = self.shared.sync(state);
            self.shared.changed.notify_all();
        }
    }
}

impl State {
    fn failure_of(&self, error: &io::Error) -> WriteFailure {
        let path = self.segment.as_ref().map_or_else(|| layout::LIVE.to_string(), |s| s.path.clone());
        WriteFailure { path, message: error.to_string(), kind: error.kind(), dropped: 0, kept: 0 }
    }

    /// What failed since the last report.
    fn report(&mut self) -> Result<(), WriteFailure> {
        match self.failure.take() {
            Some(failure) => Err(WriteFailure { kept: self.kept.len() as u64, ..failure }),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left whole records behind: what is written is written.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The state of a process that begins to log.
    fn ready(self: &Arc<Self>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if !state.sync_thread
            && let Err(e) = self.start_sync_thread(&mut state)
        {
            // Every record still reaches the system, and the disk by `flush`.
            self.failed(&mut state, &e, 0);
        }
        state
    }

    /// Tells the sync thread that there is something to do.
    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.waiting) {
            self.changed.notify_one();
        }
    }

    fn append(&self, state: &mut State, record: &Record) -> io::Result<()> {
        self.catch_up(state)?;
        self.write(state, record)
    }

    /// Writes what was kept.
    fn catch_up(&self, state: &mut State) -> io::Result<()> {
        while let Some(record) = state.kept.pop_front() {
            if let Err(e) = self.write(state, &record) {
                state.kept.push_front(record);
                return Err(e);
            }
        }
        Ok(())
    }

    fn write(&self, state: &mut State, record: &Record) -> io::Result<()> {
        if state.homeless {
            // A record would go where nobody reads it.
            self.heal(state)?;
        }
        if state.segment.as_ref().is_some_and(|s| s.len >= self.setup.options.segment_bytes)
            && let Err(e) = self.end_segment(state)
        {
            // The record at hand goes to the next segment, or to this one where that is not known to be whole.
            self.failed(state, &e, 0);
        }
        if state.segment.is_none() {
            self.begin_segment(state, &[])?;
        }
        let time = Micros::now().max(state.last_time);
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.clear();
        frame::encode_record(&mut buffer, time, record);
        let segment = state.segment.as_mut().expect("one was begun above");
        let written = segment.file.write(&buffer);
        if written.is_ok() {
            state.outage = false;
            segment.len += buffer.len() as u64;
            state.sequence += 1;
            state.last_time = time;
        }
        // One huge record should not hold its memory for ever.
        if buffer.capacity() <= 1 << 20 {
            state.buffer = buffer;
        }
        written
    }

    /// Syncs the present segment and lets go of it; not before what was taken from it is logged again.
    fn end_segment(&self, state: &mut State) -> io::Result<()> {
        self.heal(state)?;
        match state.segment.take().filter(|s| s.synced < s.len) {
            Some(segment) => segment.file.sync().inspect_err(|_| state.failed_syncs += 1),
            None => Ok(()),
        }
    }

    /// Begins the next segment with these record frames already in it.
    fn begin_segment(&self, state: &mut State, frames: &[u8]) -> io::Result<()> {
        let writer = *state.writer.get_or_insert_with(WriterId::generate);
        let number = state.next_number;
        let first_sequence = match frames {
            [] => state.sequence,
            _ => state.sequence - count_frames(frames),
        };
        let mut head = frame::encode_header(&Header {
            format: FORMAT,
            writer,
            number,
            first_sequence,
            host: host(),
            pid: std::process::id(),
            started: Micros::now(),
        });
        head.extend_from_slice(frames);
        let path = layout::segment(writer, number);
        let file: Arc<dyn Append> = match self.setup.io.append(&path, &head) {
            Ok(file) => file.into(),
            Err(e) => {
                // An attempt that failed after the file got its name left an empty segment behind.
                state.next_number += u32::from(e.kind() == io::ErrorKind::AlreadyExists);
                return Err(e);
            }
        };
        let len = head.len() as u64;
        state.next_number += 1;
        state.segment = Some(Segment { path, number, file, len, synced: len });
        Ok(())
    }

    /// Looks whether the file was taken for abandoned and sealed; what the seal did not cover is logged again.
    fn heal(&self, state: &mut State) -> io::Result<()> {
        let Some(segment) = state.segment.clone() else { return Ok(()) };
        if segment.file.is_linked()? {
            return Ok(());
        }
        state.homeless = true;
        if !self.setup.io.list("")?.iter().any(|entry| entry.name == layout::LIVE) {
            // Somebody removed the whole store; it is not for a writer to make it again.
            return Err(io::Error::new(io::ErrorKind::NotFound, "the folder of the store is gone"));
        }
        let writer = state.writer.expect("a segment has a writer");
        // Where nothing is known of it the answer is 0: the file was removed by hand, and all of it is logged again.
        let covered = (self.setup.absorbed)(writer, segment.number)?.unwrap_or(u64::MAX);
        let bytes = segment.file.read_from(0)?;
        let (_, first) = frame::decode_header(&bytes).map_err(io::Error::other)?;
        let from = covered.max(first as u64).min(segment.len) as usize;
        self.begin_segment(state, &bytes[from..segment.len as usize])?;
        state.homeless = false;
        Ok(())
    }

    /// The state once all syncs have ended that are at work now. Of several who sync a file the system may tell one alone that it
    /// failed.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let begun = state.begun_syncs;
        while state.syncs.first().is_some_and(|number| *number < begun) {
            state = self.sync_ended.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state
    }

    /// Syncs what was written; the lock is not held meanwhile. A failure is noted.
    fn sync(&self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        // A file without a name survives nothing.
        if let Err(e) = self.heal(&mut state) {
            self.failed(&mut state, &e, 0);
            return Err(e);
        }
        let Some(segment) = state.segment.clone().filter(|s| s.synced < s.len) else { return Ok(()) };
        let number = state.begun_syncs;
        state.begun_syncs += 1;
        state.syncs.insert(number);
        drop(state);
        let result = segment.file.sync();
        let mut state = self.lock();
        state.syncs.remove(&number);
        self.sync_ended.notify_all();
        if let Err(e) = &result {
            // Under the lock that takes the segment away: a flush finds the one or the other.
            self.failed(&mut state, e, 0);
            state.failed_syncs += 1;
        }
        if let Some(present) = state.segment.as_mut().filter(|s| s.path == segment.path) {
            match &result {
                Ok(()) => present.synced = present.synced.max(segment.len),
                // What a failed sync left in the cache is unknown, and a second one may lie: nothing more goes there.
                Err(_) => state.segment = None,
            }
        }
        result
    }

    /// Notes a failure for the next report.
    fn failed(&self, state: &mut State, error: &io::Error, dropped: u64) {
        let is_first = state.failure.is_none();
        let failure = state.failure_of(error);
        state.failure.get_or_insert(failure).dropped += dropped;
        if is_first {
            self.tell(state, error);
        }
    }

    /// Says that something fails, once until something goes well again.
    fn tell(&self, state: &mut State, error: &io::Error) {
        if !std::mem::replace(&mut state.outage, true)
            && let Some(hook) = &self.setup.options.on_failure
        {
            let kept = state.kept.len() as u64;
            let failure = state.failure.clone().unwrap_or_else(|| state.failure_of(error));
            hook(&WriteFailure { kept, ..failure });
        }
    }

    fn start_sync_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let weak = Arc::downgrade(self);
        let pause = self.setup.options.sync_within;
        std::thread::Builder::new().name("runlake-sync".into()).spawn(move || {
            let mut beat = Instant::now();
            while let Some(shared) = weak.upgrade() {
                let mut state = shared.lock();
                if state.closed {
                    return;
                }
                let idle = state.kept.is_empty() && state.segment.as_ref().is_none_or(|s| s.synced >= s.len);
                if idle {
                    state.waiting = true;
                    let waited = shared.changed.wait_timeout(state, HEARTBEAT.min(Duration::from_secs(5)));
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0.waiting = false;
                } else {
                    drop(state);
                }
                shared.tick(&mut beat);
                drop(shared);
                std::thread::sleep(pause / 2);
            }
        })?;
        state.sync_thread = true;
        Ok(())
    }

    fn tick(&self, beat: &mut Instant) {
        let mut state = self.lock();
        if beat.elapsed() >= HEARTBEAT {
            *beat = Instant::now();
            if let Some(segment) = &state.segment {
                // A missed beat is no failure: only other hosts look at it.
                let _ = segment.file.touch();
            }
        }
        if let Err(e) = self.catch_up(&mut state) {
            self.tell(&mut state, &e);
        }
        // What fails is told of by the next flush.
        let _ = self.sync(state);
    }
}

fn count_frames(mut bytes: &[u8]) -> u64 {
    let mut n = 0;
    while let Ok(frame) = frame::decode(bytes) {
        bytes = &bytes[frame.len..];
        n += 1;
    }
    n
}

/// Name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
