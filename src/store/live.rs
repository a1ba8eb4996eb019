//! What lies in segments: the changes of each run, and the rows that only add up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cut::Cut;
use super::error::{Result, StoreError};
use super::io::{Entry, Io};
use super::layout;
use super::segment::{self, Damage, SegmentRecord};
use crate::model::{
    ExperimentEdit, MetricGoal, Micros, Record, RunId, RunState, SeriesPoint, Step, TableRows, Version, WriterId,
};

/// One logged value, with its names as numbers into [`Live`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LivePoint {
    /// Index into `runs`.
    pub run: u32,
    /// Index into `names`.
    pub key: u32,
    /// Index into `names`; `u32::MAX` for none.
    pub context: u32,
    /// Where on the axis.
    pub step: Step,
    /// When.
    pub time: Micros,
    /// The value.
    pub value: f64,
}

/// Everything that a set of segments holds, ready to be merged with what is sealed.
#[derive(Debug, Default)]
pub struct Live {
    /// What the records say of each run, without what was sealed before.
    pub states: BTreeMap<RunId, RunState>,
    /// Runs by number.
    pub runs: Vec<RunId>,
    /// Metric keys and contexts by number.
    pub names: Vec<String>,
    /// Points of metrics.
    pub points: Vec<LivePoint>,
    /// Points that are not numbers.
    pub series: Vec<(RunId, SeriesPoint)>,
    /// Rows of tables that runs logged.
    pub frames: Vec<(RunId, TableRows)>,
    /// Facts about experiments.
    pub experiments: Vec<(Version, ExperimentEdit)>,
    /// Declared goals.
    pub goals: Vec<(Version, MetricGoal)>,
    /// Number of records.
    pub records: u64,
    run_numbers: HashMap<RunId, u32>,
    name_numbers: HashMap<String, u32>,
}

/// A segment as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The writer.
    pub writer: WriterId,
    /// Its number.
    pub number: u32,
    /// The file.
    pub path: String,
    /// Byte from which on it is live; `u64::MAX` when all of it is sealed.
    pub from: u64,
    /// Byte after the last whole record.
    pub end: u64,
    /// Size of the file.
    pub len: u64,
    /// Whether its writer is alive.
    pub alive: bool,
    /// Sequence of the record after the last one that was read; `None` before it is read.
    pub next_sequence: Option<u64>,
    /// What stopped the reading, other than a torn tail.
    pub damage: Option<Damage>,
}

impl Live {
    /// Adds one record.
    pub fn add(&mut self, SegmentRecord { version, record }: SegmentRecord) {
        self.records += 1;
        let record = match record {
            Record::Experiment(edit) => return self.experiments.push((version, edit)),
            Record::Goal(goal) => return self.goals.push((version, goal)),
            record => record,
        };
        let Some(run) = record.run().cloned() else { return };
        match &record {
            Record::Metrics(points) => {
                let number = self.run_number(&run);
                let context = points.context.as_ref().map_or(u32::MAX, |c| self.name_number(c));
                for (key, value) in &points.values {
                    let key = self.name_number(key);
                    let (step, time, value) = (points.step, points.time, *value);
                    self.points.push(LivePoint { run: number, key, context, step, time, value });
                }
            }
            Record::Series { point, .. } => self.series.push((run.clone(), point.clone())),
            Record::Table { table, .. } => self.frames.push((run.clone(), table.clone())),
            _ => {}
        }
        let state = match self.states.get_mut(&run) {
            Some(state) => state,
            None => self.states.entry(run.clone()).or_insert_with(|| RunState::new(run)),
        };
        state.apply(version, record);
    }

    fn run_number(&mut self, run: &RunId) -> u32 {
        if let Some(&n) = self.run_numbers.get(run) {
            return n;
        }
        let n = self.runs.len() as u32;
        self.runs.push(run.clone());
        self.run_numbers.insert(run.clone(), n);
        n
    }

    fn name_number(&mut self, name: &str) -> u32 {
        if let Some(&n) = self.name_numbers.get(name) {
            return n;
        }
        let n = self.names.len() as u32;
        self.names.push(name.to_string());
        self.name_numbers.insert(name.to_string(), n);
        n
    }

    /// The context of a point.
    pub fn context(&self, point: &LivePoint) -> Option<&str> {
        self.names.get(point.context as usize).map(String::as_str)
    }

    /// Forgets runs that are gone for good.
    pub fn drop_runs(&mut self, gone: &BTreeSet<RunId>) {
        if gone.is_empty() {
            return;
        }
        self.states.retain(|run, _| !gone.contains(run));
        self.series.retain(|(run, _)| !gone.contains(run));
        self.frames.retain(|(run, _)| !gone.contains(run));
        let runs = &self.runs;
        self.points.retain(|point| !gone.contains(&runs[point.run as usize]));
    }
}

/// Names of the segments there are; to be taken before the cut is read.
pub fn names(io: &dyn Io) -> Result<Vec<Entry>> {
    let mut entries = io.list(layout::LIVE).map_err(StoreError::io(layout::LIVE))?;
    entries.retain(|entry| layout::segment_name(&entry.name).is_some());
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Says which part of each segment is live under a cut, and whose writer is alive; none is read.
pub fn find(io: &dyn Io, cut: &Cut, names: &[Entry]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in names {
        let Some((writer, number)) = layout::segment_name(&entry.name) else { continue };
        let path = layout::segment(writer, number);
        let len = entry.stat.len;
        let alive = is_alive(io, &path, entry.stat.modified)?;
        // One that is sealed as a whole is listed too, with nothing in it: it may be waiting to be removed.
        let from = cut.live_from(writer, number).unwrap_or(u64::MAX);
        found.push(Found { writer, number, path, from, end: from, len, alive, next_sequence: None, damage: None });
    }
    Ok(found)
}

/// A writer on another host counts as dead when its segment is this old; it touches it every 30 seconds.
const STALE: Micros = Micros(10 * 60 * 1_000_000);

fn is_alive(io: &dyn Io, path: &str, modified: Micros) -> Result<bool> {
    let locked = match io.is_locked(path) {
        Ok(locked) => locked,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    let header = match segment::read_header(io, path) {
        Ok(Ok((header, _))) => header,
        Ok(Err(_)) => return Ok(false),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    if header.host == segment::host() {
        // A forked child keeps the lock of a parent that is gone, so the pid is asked as well.
        let pid = rustix::process::Pid::from_raw(header.pid as i32);
        let exists =
            pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)));
        return Ok(locked && exists);
    }
    Ok(locked || Micros::now().0 - modified.0 < STALE.0)
}

/// Reads the live part of a segment. `Ok(None)`: the file is gone.
pub fn read(io: &dyn Io, found: &mut Found, live: &mut Live) -> Result<Option<()>> {
    if found.from == u64::MAX {
        return Ok(Some(()));
    }
    let bytes = match io.read(&found.path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&found.path)(e)),
    };
    let scan = segment::scan(&bytes, found.from, |record| live.add(record));
    found.len = bytes.len() as u64;
    found.end = scan.end.max(found.from);
    found.next_sequence = Some(scan.next_sequence);
    found.damage = scan.damage;
    Ok(Some(()))
}

/// What is lost between a live segment and the next one of its writer: the file that lacks it, and what is wrong.
///
/// Losses that a repair has dealt with are known, and not told of again.
pub fn lost_between(io: &dyn Io, segment: &Found, next: &Found) -> Result<Option<(String, Damage)>> {
    let Some(sequence) = segment.next_sequence.filter(|_| segment.writer == next.writer && segment.damage.is_none())
    else {
        return Ok(None);
    };
    let first = match segment::read_header(io, &next.path) {
        Ok(Ok((header, _))) => header.first_sequence,
        // What is wrong with that one is told of there.
        Ok(Err(_)) => return Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&next.path)(e)),
    };
    if first <= sequence {
        return Ok(None);
    }
    let is_missing = next.number > segment.number + 1;
    let number = if is_missing { segment.number + 1 } else { segment.number };
    let path = layout::segment(segment.writer, number);
    let set_aside = io.list(layout::DAMAGED).map_err(StoreError::io(layout::DAMAGED))?;
    if set_aside.iter().any(|e| layout::is_copy_of(&e.name, &path)) {
        return Ok(None);
    }
    let lost = first - sequence;
    let (offset, problem) = match is_missing {
        true => (0, format!("the file is missing, and with it {lost} records")),
        false => (segment.end, format!("{lost} records before the next segment of its writer are missing")),
    };
    Ok(Some((path, Damage { offset, intact: sequence, problem, newer: false })))
}
