//! What lies in segments: the changes of each run, and the rows that only add up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::cut::Cut;
use super::error::{Result, StoreError};
use super::io::{Entry, Io};
use super::layout;
use super::points::{NO_CONTEXT, Points, PointsBuilder};
use super::segment::{self, Damage, RawRecord, SegmentRecord};
use crate::model::{
    ExperimentEdit, ExperimentOrigin, InvalidRunId, MetricGoal, Micros, Record, RunId, RunState, SeriesPoint, Step,
    TableRows, Version, WriterId,
};

/// Everything that a set of segments holds, ready to be merged with what is sealed.
#[derive(Debug, Default)]
pub struct Live {
    /// What the records say of each run, without what was sealed before.
    pub states: BTreeMap<RunId, RunState>,
    /// Runs by number, as `points` names them.
    pub runs: Vec<RunId>,
    /// Points of metrics.
    pub points: Points,
    /// Points that are not numbers.
    pub series: Vec<(RunId, SeriesPoint)>,
    /// Rows of tables that runs logged.
    pub frames: Vec<(RunId, TableRows)>,
    /// Facts about experiments.
    pub experiments: Vec<(Version, ExperimentEdit)>,
    /// Where experiments come from.
    pub origins: Vec<(Version, ExperimentOrigin)>,
    /// Declared goals.
    pub goals: Vec<(Version, MetricGoal)>,
    /// Number of records.
    pub records: u64,
}

/// Collects the records of segments.
#[derive(Debug, Default)]
pub struct Reading {
    live: Live,
    runs: Vec<RunReading>,
    numbers: HashMap<RunId, u32>,
    points: PointsBuilder,
    /// The run of the record before: mostly that of the next one too.
    last: Option<u32>,
    values: usize,
}

/// What takes memory of what was read.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Points of metrics.
    pub points: usize,
    /// Runs.
    pub runs: usize,
    /// Params, series and whatever else becomes a row of its own.
    pub values: usize,
}

#[derive(Debug)]
struct RunReading {
    state: RunState,
    /// The series of its latest record of metrics, in the order of the record.
    series: Vec<u32>,
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
    /// Number of records before that byte, where it is known.
    pub before: Option<u64>,
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

impl Reading {
    /// Adds a record.
    pub fn add(&mut self, SegmentRecord { version, record }: SegmentRecord) {
        self.live.records += 1;
        let record = match record {
            Record::Experiment(edit) => return self.live.experiments.push((version, edit)),
            Record::Origin(origin) => return self.live.origins.push((version, origin)),
            Record::Goal(goal) => return self.live.goals.push((version, goal)),
            record => record,
        };
        let Some(run) = record.run() else { return };
        match &record {
            Record::Series { point, .. } => self.live.series.push((run.clone(), point.clone())),
            Record::Table { table, .. } => self.live.frames.push((run.clone(), table.clone())),
            _ => {}
        }
        let number = self.number(run);
        self.values += match &record {
            Record::Params { values, .. } => values.len(),
            Record::Packages { values, .. } | Record::Environment { values, .. } => values.len(),
            Record::Features { features, .. } => features.len(),
            _ => 1,
        };
        if let Record::Metrics(points) = &record {
            let context = points.context.as_deref();
            let values = points.values.iter().map(|(key, value)| (key.as_str(), *value));
            self.add_points(number, version, context, points.step, points.time, values);
        } else {
            self.runs[number as usize].state.apply(version, record);
        }
    }

    /// Adds a record as it lies in its segment.
    pub fn add_raw(&mut self, version: Version, record: RawRecord<'_>) -> std::result::Result<(), InvalidRunId> {
        match record {
            RawRecord::Other(record) => self.add(SegmentRecord { version, record }),
            RawRecord::Metrics(points) => {
                let number = match self.known(points.run) {
                    Some(number) => number,
                    None => self.number(&RunId::parse(points.run)?),
                };
                self.live.records += 1;
                let values = points.values.iter().copied();
                self.add_points(number, version, points.context, points.step, points.time, values);
            }
        }
        Ok(())
    }

    fn add_points<'a>(
        &mut self,
        number: u32,
        version: Version,
        context: Option<&str>,
        step: Step,
        time: Micros,
        values: impl Iterator<Item = (&'a str, f64)>,
    ) {
        let run = &mut self.runs[number as usize];
        run.state.touch(version);
        let context = context.map_or(NO_CONTEXT, |context| self.points.name(context));
        for (i, (key, value)) in values.enumerate() {
            let series = self.points.series(number, context, key, run.series.get(i).copied());
            match run.series.get_mut(i) {
                Some(place) => *place = series,
                None => run.series.push(series),
            }
            self.points.push(series, step, time, value);
        }
    }

    fn known(&mut self, run: &str) -> Option<u32> {
        if let Some(last) = self.last
            && self.live.runs[last as usize].as_str() == run
        {
            return Some(last);
        }
        self.last = self.numbers.get(run).copied();
        self.last
    }

    fn number(&mut self, run: &RunId) -> u32 {
        if let Some(number) = self.known(run.as_str()) {
            return number;
        }
        let number = self.runs.len() as u32;
        self.live.runs.push(run.clone());
        self.runs.push(RunReading { state: RunState::new(run.clone()), series: Vec::new() });
        self.numbers.insert(run.clone(), number);
        self.last = Some(number);
        number
    }

    /// Number of records so far.
    pub fn records(&self) -> u64 {
        self.live.records
    }

    /// How much there is so far.
    pub fn load(&self) -> Load {
        Load { points: self.points.len(), runs: self.runs.len(), values: self.values + self.points.series_len() }
    }

    /// What the records add up to, without these runs, which are gone for good.
    pub fn finish(self, gone: &BTreeSet<RunId>) -> Live {
        let Reading { mut live, mut runs, points, .. } = self;
        live.points = points.finish();
        for (series, stats) in live.points.stats() {
            let context = live.points.name(series.context);
            let key = live.points.name(series.key).expect("a series has a key");
            runs[series.run as usize].state.put_series(key, context, stats);
        }
        live.states = live.runs.iter().cloned().zip(runs.into_iter().map(|run| run.state)).collect();
        if !gone.is_empty() {
            // Their points find no state to be filed under.
            live.states.retain(|run, _| !gone.contains(run));
            live.series.retain(|(run, _)| !gone.contains(run));
            live.frames.retain(|(run, _)| !gone.contains(run));
        }
        live
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
        let (from, before) = cut.live_from(writer, number).unwrap_or((u64::MAX, None));
        let (end, next_sequence, damage) = (from, None, None);
        found.push(Found { writer, number, path, from, before, end, len, alive, next_sequence, damage });
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
pub fn read(io: &dyn Io, found: &mut Found, live: &mut Reading) -> Result<Option<()>> {
    if found.from == u64::MAX {
        return Ok(Some(()));
    }
    let content = match segment::Content::read(io, &found.path, found.from, found.before) {
        Ok(content) => content,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&found.path)(e)),
    };
    let scan = segment::scan_raw(&content, found.from, |version, record, _| {
        live.add_raw(version, record).map(ControlFlow::Continue)
    });
    found.len = content.len();
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
