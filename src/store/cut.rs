//! Cuts and batches: the numbered states of the store, and what the operation that makes the next one is to do.
//!
//! A cut is the commit point of an operation. It is created once and never changed; readers pin every table to the
//! versions that it names, so that tables never disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::checksum::{self, json::signed};
use super::error::{Result, StoreError};
use super::io::Io;
use super::layout;
use super::live::{Live, Reading};
use crate::model::{ExperimentId, ExperimentState, GoalState, Micros, Month, RunId, Status, WriterId};

/// Version of the format of cuts and batches that this code writes.
pub const FORMAT: u32 = 1;

/// How far a writer's segments are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The last segment that was absorbed; those before it are absorbed as a whole.
    pub segment: u32,
    /// Up to which byte.
    pub offset: u64,
    /// Number of its records up to there, so that nobody has to read them to know how they are numbered; early stores
    /// do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// When it was.
    pub time: Micros,
}

/// A run that is sealed and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// The run.
    pub run: String,
    /// Its experiment.
    pub experiment_id: String,
    /// Its partition.
    pub month: Month,
    /// The status that its sealed row shows.
    pub status: Status,
    /// Who wrote to it, and by being alive or not decides its status; empty where nobody does.
    pub writers: Vec<String>,
}

/// A declared goal of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalEntry {
    /// The experiment.
    pub experiment_id: String,
    /// The metric, and what was declared of it.
    pub state: GoalState,
}

/// One consistent state of the whole store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Version of this format.
    pub format: u32,
    /// Its number; the next operation has the next.
    pub n: u64,
    /// When the operation was begun.
    pub time: Micros,
    /// What the operation was: `seal`, `compact` or `purge`.
    pub operation: String,
    /// Version of each table that exists.
    pub tables: BTreeMap<String, u64>,
    /// How far each writer is sealed; by writer.
    pub marks: BTreeMap<String, Mark>,
    /// Runs that have not ended.
    pub open_runs: Vec<OpenRun>,
    /// Runs that are deleted and not purged.
    pub hidden_runs: Vec<String>,
    /// Experiments that are deleted and not purged.
    pub hidden_experiments: Vec<String>,
    /// Runs that were purged are in the file of this operation; a late record does not bring them back.
    #[serde(default)]
    pub purged: Option<u64>,
    /// Experiments, by id. Few, and every query needs them.
    pub experiments: BTreeMap<String, ExperimentState>,
    /// Declared goals. Likewise.
    pub goals: Vec<GoalEntry>,
}

impl Cut {
    /// The state of a new store.
    pub fn empty() -> Self {
        Cut {
            format: FORMAT,
            n: 0,
            time: Micros(0),
            operation: "init".to_string(),
            tables: BTreeMap::new(),
            marks: BTreeMap::new(),
            open_runs: Vec::new(),
            hidden_runs: Vec::new(),
            hidden_experiments: Vec::new(),
            purged: None,
            experiments: BTreeMap::new(),
            goals: Vec::new(),
        }
    }

    /// Numbers of the cuts there are, ascending.
    pub fn numbers(io: &dyn Io) -> Result<Vec<u64>> {
        let entries = io.list(layout::CUTS).map_err(StoreError::io(layout::CUTS))?;
        let mut numbers: Vec<u64> = entries.iter().filter_map(|e| layout::cut_number(&e.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads one cut.
    pub fn read(io: &dyn Io, n: u64) -> Result<Cut> {
        let cut: Cut = read_json(io, &layout::cut(n))?;
        if cut.n != n {
            return Err(StoreError::damaged(layout::cut(n), format!("holds cut {} under the name of cut {n}", cut.n)));
        }
        Ok(cut)
    }

    /// The newest state.
    pub fn newest(io: &dyn Io) -> Result<Cut> {
        match Cut::numbers(io)?.last() {
            Some(&n) => Cut::read(io, n),
            None => Ok(Cut::empty()),
        }
    }

    /// The state that operation `n` was done on. `gc` may have taken it from readers; it is kept all the same.
    pub fn before(io: &dyn Io, n: u64) -> Result<Cut> {
        if n <= 1 {
            return Ok(Cut::empty());
        }
        let cut: Cut = match Cut::read(io, n - 1) {
            Err(e) if e.is_not_found() => read_json(io, &layout::base(n - 1))?,
            other => other?,
        };
        match cut.n == n - 1 {
            true => Ok(cut),
            false => Err(StoreError::damaged(layout::base(n - 1), format!("holds cut {}", cut.n))),
        }
    }

    /// Puts this cut in the place of a damaged one of its number.
    pub fn replace(&self, io: &dyn Io) -> Result<()> {
        let path = layout::cut(self.n);
        io.replace(&path, &signed(self)).map_err(StoreError::io(path))
    }

    /// The newest state that is not younger than `time`.
    ///
    /// # Errors
    /// [`StoreError::BeforeHistory`] when there is none: nothing was sealed then, or it was forgotten since.
    pub fn as_of(io: &dyn Io, time: Micros) -> Result<Cut> {
        let mut earliest = None;
        // A state that cannot be read and may be the one asked for.
        let mut unsure: Option<StoreError> = None;
        let numbers = Cut::numbers(io)?;
        let (first, last) = (numbers.first().copied().unwrap_or(1), numbers.last().copied().unwrap_or(0));
        for n in (first..=last).rev() {
            match Cut::read(io, n) {
                Ok(cut) if cut.time <= time => return unsure.map_or(Ok(cut), Err),
                Ok(cut) => {
                    unsure = None;
                    earliest = Some(cut.time.to_string());
                }
                // A cleanup has come past.
                Err(e) if e.is_not_found() && Cut::numbers(io)?.first().is_none_or(|first| n < *first) => break,
                // The batch of an operation has its time too.
                Err(e) if e.is_not_found() || matches!(e, StoreError::Damaged { .. }) => match Batch::read(io, n) {
                    Ok(Some(batch)) if batch.time > time => unsure = None,
                    _ if e.is_not_found() => unsure = Some(StoreError::damaged(layout::cut(n), "is missing")),
                    _ => unsure = Some(e),
                },
                Err(e) => return Err(e),
            }
        }
        if let Some(e) = unsure {
            return Err(e);
        }
        Err(StoreError::BeforeHistory { time: time.to_string(), earliest })
    }

    /// Makes this the newest state; `false` when another process was first.
    pub fn create(&self, io: &dyn Io) -> Result<bool> {
        create_json(io, &layout::cut(self.n), self)
    }

    /// The runs that were purged, sorted.
    pub fn purged_runs(&self, io: &dyn Io) -> Result<BTreeSet<RunId>> {
        let Some(n) = self.purged else { return Ok(BTreeSet::new()) };
        let purged: Purged = read_json(io, &layout::purged(n))?;
        purged.runs.iter().map(|run| Ok(RunId::parse(run)?)).collect()
    }

    /// What live records add up to, without what was purged. Without records of runs nothing more is read.
    pub fn live_of(&self, io: &dyn Io, read: Reading) -> Result<Live> {
        let gone = if read.load().runs == 0 { BTreeSet::new() } else { self.purged_runs(io)? };
        Ok(read.finish(&gone))
    }

    /// Writes down, for operation `n`, that these runs are purged too.
    pub fn note_purged(&self, io: &dyn Io, n: u64, runs: &[String]) -> Result<()> {
        let mut all = self.purged_runs(io)?;
        all.extend(run_ids(runs));
        let purged = Purged { format: FORMAT, runs: all.iter().map(|run| run.to_string()).collect() };
        create_json(io, &layout::purged(n), &purged).map(|_| ())
    }

    /// Makes the file of purged runs again, from what of it can be read and what else there is; gives how many they are.
    pub fn mend_purged(&self, io: &dyn Io) -> Result<usize> {
        let Some(n) = self.purged else { return Ok(0) };
        let mut all = BTreeSet::new();
        // An id that was hit reads as another one, which no run has.
        let text = io.read(&layout::purged(n)).unwrap_or_default();
        let quoted = String::from_utf8_lossy(&text);
        all.extend(quoted.split('"').skip(1).step_by(2).filter_map(|id| RunId::parse(id).ok()));
        let entries = io.list(layout::CUTS).map_err(StoreError::io(layout::CUTS))?;
        let older = entries.iter().filter_map(|e| layout::purged_number(&e.name)).filter(|older| *older < n).max();
        if let Some(older) = older {
            all.extend(Cut { purged: Some(older), ..Cut::empty() }.purged_runs(io).unwrap_or_default());
        }
        if let Ok(Some(Batch { work: Work::Purge { runs, .. }, .. })) = Batch::read(io, n) {
            all.extend(run_ids(&runs));
        }
        // Names of fields stand in quotes too.
        let ids = all.iter().map(|run| run.to_string()).filter(|id| id != "format" && id != "runs");
        let purged = Purged { format: FORMAT, runs: ids.collect() };
        let path = layout::purged(n);
        io.replace(&path, &signed(&purged)).map_err(StoreError::io(path))?;
        Ok(purged.runs.len())
    }

    /// Byte from which on a segment is live, and the number of records before; `None` when all of it is sealed.
    pub fn live_from(&self, writer: WriterId, number: u32) -> Option<(u64, Option<u64>)> {
        match self.marks.get(&writer.to_string()) {
            Some(mark) if number < mark.segment => None,
            Some(mark) if number == mark.segment => Some((mark.offset, mark.records)),
            _ => Some((0, None)),
        }
    }
}

/// The runs that were purged: beside the cuts, so that they do not grow with it.
#[derive(Debug, Serialize, Deserialize)]
struct Purged {
    format: u32,
    runs: Vec<String>,
}

/// The id of the experiment of this name: of the one that has it now, or of a new one.
pub fn resolve_experiment(experiments: &BTreeMap<String, ExperimentState>, name: &str) -> ExperimentId {
    if let Some(state) = experiments.values().find(|e| e.name() == name) {
        return state.id.clone();
    }
    free_id(experiments, name)
}

/// The id of a new experiment of this name.
pub fn free_id(experiments: &BTreeMap<String, ExperimentState>, name: &str) -> ExperimentId {
    let mut candidates = (0..).map(|nth| ExperimentId::derive(name, nth));
    candidates.find(|id| !experiments.contains_key(id.as_str())).expect("ids do not run out")
}

/// What an operation is to do; the same file says it to whoever finishes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Version of this format.
    pub format: u32,
    /// Number of the operation and of the cut that it makes.
    pub n: u64,
    /// When it was begun.
    pub time: Micros,
    /// What is to be done.
    pub work: Work,
}

/// The kinds of operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Work {
    /// Moves records from segments to tables.
    Seal {
        /// The parts of segments to absorb.
        segments: Vec<BatchSegment>,
        /// Writers that were alive.
        alive: Vec<String>,
        /// Writers whose marks are needed no longer.
        forget: Vec<String>,
    },
    /// Puts prepared files in the place of others with the same rows.
    Compact {
        /// By table.
        swaps: BTreeMap<String, Vec<Swap>>,
    },
    /// Removes the rows of deleted runs for good.
    Purge {
        /// The runs.
        runs: Vec<String>,
        /// Experiments of which nothing is left.
        experiments: Vec<String>,
    },
}

impl Work {
    /// The name of the operation, as in the cut.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Seal { .. } => "seal",
            Work::Compact { .. } => "compact",
            Work::Purge { .. } => "purge",
        }
    }
}

/// A part of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSegment {
    /// The writer.
    pub writer: String,
    /// Number of the segment.
    pub number: u32,
    /// First byte; 0 includes the header.
    pub from: u64,
    /// Byte after the last.
    pub to: u64,
    /// Number of records of the segment up to `from`, and up to `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<(u64, u64)>,
    /// blake3 of those bytes.
    pub digest: String,
    /// Whether the segment ends there for good, so that its file may go.
    pub closed: bool,
}

impl BatchSegment {
    /// Its file.
    pub fn path(&self) -> Result<String> {
        Ok(layout::segment(self.writer()?, self.number))
    }

    /// Its writer.
    pub fn writer(&self) -> Result<WriterId> {
        WriterId::parse(&self.writer)
            .ok_or_else(|| StoreError::damaged(layout::LIVE, format!("a batch names the writer '{}'", self.writer)))
    }
}

/// Files that take the place of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// Paths to remove, relative to the table.
    pub remove: Vec<String>,
    /// Files to add.
    pub add: Vec<super::delta::NewFile>,
}

impl Batch {
    /// Reads the batch of operation `n`; `None` when there is none.
    pub fn read(io: &dyn Io, n: u64) -> Result<Option<Batch>> {
        match read_json::<Batch>(io, &layout::batch(n)) {
            Ok(batch) => Ok(Some(batch)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Claims the number for this work; `false` when other work has it.
    pub fn create(&self, io: &dyn Io) -> Result<bool> {
        create_json(io, &layout::batch(self.n), self)
    }
}

/// The runs that a cut hides or forgets, as ids.
pub fn run_ids(ids: &[String]) -> Vec<RunId> {
    // They were valid when they were written; one that is not can match no run.
    ids.iter().filter_map(|id| RunId::parse(id).ok()).collect()
}

fn create_json<T: Serialize>(io: &dyn Io, path: &str, value: &T) -> Result<bool> {
    match io.create(path, &[&signed(value)]) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(StoreError::io(path)(e)),
    }
}

fn read_json<T: for<'a> Deserialize<'a>>(io: &dyn Io, path: &str) -> Result<T> {
    parse_json(path, &io.read(path).map_err(StoreError::io(path))?)
}

/// Whether bytes are a cut, and whether they are a batch.
pub fn parse_any(bytes: &[u8]) -> [bool; 2] {
    [parse_json::<Cut>("bytes", bytes).is_ok(), parse_json::<Batch>("bytes", bytes).is_ok()]
}

fn parse_json<T: for<'a> Deserialize<'a>>(path: &str, bytes: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let json = checksum::json::content(bytes).map_err(|e| StoreError::damaged(path, format!("is damaged: {e}")))?;
    let bad = |e: serde_json::Error| StoreError::damaged(path, format!("cannot be read: {e}"));
    let found = serde_json::from_slice::<Format>(json).map_err(bad)?.format;
    if found > FORMAT {
        return Err(StoreError::NewerFormat { what: path.to_string(), found, known: FORMAT });
    }
    serde_json::from_slice(json).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::io::LocalIo;

    #[test]
    fn a_cut_is_created_once_and_a_flipped_bit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let io = LocalIo::new(dir.path());
        let cut = Cut { n: 1, ..Cut::empty() };
        assert!(cut.create(&io).unwrap());
        assert!(!cut.create(&io).unwrap());
        assert_eq!(Cut::newest(&io).unwrap(), cut);
        let path = dir.path().join(layout::cut(1));
        let text = std::fs::read_to_string(&path).unwrap().replace("\"init\"", "\"inix\"");
        std::fs::write(&path, text).unwrap();
        assert!(Cut::newest(&io).unwrap_err().to_string().contains("digest"));
    }

    #[test]
    fn a_renamed_experiment_keeps_its_id_and_its_old_name_is_free() {
        let mut all = BTreeMap::new();
        let first = resolve_experiment(&all, "wine");
        all.insert(first.to_string(), ExperimentState::new(first.clone(), "wine-old", Micros(0)));
        assert_eq!(resolve_experiment(&all, "wine-old"), first);
        assert_ne!(resolve_experiment(&all, "wine"), first);
    }
}
