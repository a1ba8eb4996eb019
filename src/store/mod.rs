//! The store: a folder of live segments, Delta tables and cuts. Writing needs no async runtime; reading and sealing do.

mod artifact;
pub(crate) mod checksum;
mod copy;

pub(crate) mod cut;
pub(crate) mod delta;
mod error;
pub(crate) mod frame;

mod info;
mod intake;
pub mod io;
mod known;
pub(crate) mod layout;
mod lease;
pub(crate) mod live;
pub(crate) mod merge;
mod missing;
mod object;
pub mod ops;
pub(crate) mod parallel;
mod past;
mod points;
mod run;
pub(crate) mod sealed;
pub(crate) mod segment;
pub(crate) mod shown;
pub(crate) mod snapshot;
pub(crate) mod takeout;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{ExperimentEdit, ExperimentOrigin, Goal, MetricGoal, Micros, Record, RunId, unique};
use cut::Cut;
use delta::Tables;
use io::{Io, LocalIo};
use segment::SegmentWriter;
use snapshot::Snapshot;

pub use artifact::ArtifactReader;
pub(crate) use artifact::check_artifact_path;
pub use copy::CopyReport;
pub use error::{Result, StoreError};
pub use info::{LiveInfo, StoreInfo, TableInfo};
pub use intake::{
    Counts, Files, ForeignExperiment, ForeignFile, ForeignPoint, ForeignRun, Intake, IntakeOptions, Kind, Scope,
};
pub use past::{AsOf, Changes, InvalidAsOf, StateInfo};
pub use run::{Metrics, Run, RunOptions};
pub(crate) use run::{check_experiment, check_key, check_table, shown as shown_param};
pub use segment::{Durability, WriteFailure, WriterOptions};
pub use verify::{Finding, VerifyReport};

/// Version of the layout of a store.
const FORMAT: u32 = 1;

/// A store of runs. Cheap to clone; the clones share one writer.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    place: String,
    id: String,
    tables: Tables,
    writer: SegmentWriter,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    id: String,
    created: String,
    /// blake3 of the other fields.
    digest: String,
}

impl Manifest {
    fn new() -> Manifest {
        let id = unique::name();
        let (format, created) = (FORMAT, Micros::now().to_string());
        let mut manifest = Manifest { format, id, created, digest: String::new() };
        manifest.digest = manifest.computed();
        manifest
    }

    fn computed(&self) -> String {
        let text = format!("{}\n{}\n{}\n", self.format, self.id, self.created);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// Reads it; `place` names the store in errors.
    fn read(io: &dyn Io, place: &str) -> Result<Manifest> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let bytes = match io.read(layout::MANIFEST) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(StoreError::NotAStore { path: place.to_string() });
            }
            Err(e) => return Err(StoreError::io(format!("{place}/{}", layout::MANIFEST))(e)),
        };
        let bad = |e: serde_json::Error| StoreError::damaged(layout::MANIFEST, format!("cannot be read: {e}"));
        let found = serde_json::from_slice::<Format>(&bytes).map_err(bad)?.format;
        if found > FORMAT {
            return Err(StoreError::NewerFormat { what: format!("the store '{place}'"), found, known: FORMAT });
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(bad)?;
        if manifest.digest != manifest.computed() {
            return Err(StoreError::damaged(layout::MANIFEST, "is damaged: its digest is not that of its content"));
        }
        Ok(manifest)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.inner.place).finish_non_exhaustive()
    }
}

/// What [`Store::generation`] gives; to be compared, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    state: Option<u64>,
    live: Vec<(String, u64)>,
}

impl Store {
    /// Makes a store in a folder that is empty or does not exist.
    ///
    /// # Errors
    /// [`StoreError::StoreExists`], [`StoreError::NotEmpty`], or an I/O error.
    pub fn create(path: impl AsRef<Path>) -> Result<Store> {
        let place = path.as_ref().display().to_string();
        Self::create_at(Arc::new(LocalIo::new(path.as_ref())), place)?;
        Self::open(path)
    }

    /// Opens the store in a folder.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::NewerFormat`], [`StoreError::Damaged`], or an I/O error.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Self::open_with(path, WriterOptions::default())
    }

    /// Opens the store in a folder, with a writer that behaves as told.
    pub fn open_with(path: impl AsRef<Path>, options: WriterOptions) -> Result<Store> {
        let place = path.as_ref().display().to_string();
        Self::open_at(Arc::new(LocalIo::new(path.as_ref())), place, options)
    }

    /// Makes a store behind any file operations; `place` names it in errors.
    pub fn create_at(io: Arc<dyn Io>, place: String) -> Result<()> {
        let entries = io.list("").map_err(StoreError::io(&place))?;
        if entries.iter().any(|e| e.name == layout::MANIFEST) {
            return Err(StoreError::StoreExists { path: place });
        }
        if !entries.is_empty() {
            return Err(StoreError::NotEmpty { path: place });
        }
        let manifest = Manifest::new();
        let text = serde_json::to_string_pretty(&manifest).expect("plain data is JSON");
        match io.create(layout::MANIFEST, &[text.as_bytes(), b"\n"]) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(StoreError::StoreExists { path: place }),
            other => other.map_err(StoreError::io(layout::MANIFEST)),
        }
    }

    /// Opens a store behind any file operations; `place` names it in errors.
    pub fn open_at(io: Arc<dyn Io>, place: String, options: WriterOptions) -> Result<Store> {
        let manifest = Manifest::read(io.as_ref(), &place)?;
        let asked = Arc::clone(&io);
        let absorbed = move |writer, number| match Cut::newest(asked.as_ref()) {
            Ok(cut) => Ok(cut.live_from(writer, number).map(|(from, _)| from)),
            Err(StoreError::Io { source, .. }) => Err(source),
            Err(e) => Err(std::io::Error::other(e.to_string())),
        };
        let writer = SegmentWriter::new(Arc::clone(&io), options, Arc::new(absorbed));
        Ok(Store { inner: Arc::new(Inner { place, id: manifest.id, tables: Tables::new(io), writer }) })
    }

    /// Where the store is, as it was given.
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    /// The id that the store got when it was made.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.inner.tables
    }

    pub(crate) fn io(&self) -> &dyn Io {
        self.inner.tables.io.as_ref()
    }

    /// One consistent state, sealed and live.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::newest(self.inner.tables.clone())
    }

    /// Tells states apart, at the price of a look into two folders: while it is equal, so are the answers of new sessions,
    /// save that a run whose process died shows as such after a while.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn generation(&self) -> Result<Generation> {
        let live = live::names(self.io())?.into_iter().map(|entry| (entry.name, entry.stat.len)).collect();
        Ok(Generation { state: Cut::numbers(self.io())?.last().copied(), live })
    }

    /// Begins a run. On return the death of this process does not lose it.
    pub fn start_run(&self, options: RunOptions) -> Result<Run> {
        Run::start(self.clone(), options)
    }

    /// Takes part in a run that another process began, or one that has ended (to add tags, say). It does not start
    /// again: for that, call [`Store::start_run`] with its id.
    ///
    /// Whether the run exists is not looked up here, since that may need the sealed tables: see
    /// [`crate::Session::resolve_run`]. Records of a run that nobody began are kept, in the experiment `default`.
    pub fn attach(&self, run: RunId) -> Result<Run> {
        Run::attach(self.clone(), run)
    }

    /// Appends a record; `false` when it was dropped. An error for a strict writer, and for a record that was to be synced.
    pub(crate) fn log(&self, record: &Record, durability: Durability) -> Result<bool> {
        let written = self.inner.writer.log(record, durability);
        written.map_err(StoreError::io(layout::LIVE))
    }

    /// Like [`Store::log`], of a record that is kept where it cannot be written, until it can.
    fn log_or_keep(&self, record: Record) -> Result<()> {
        self.inner.writer.log_or_keep(record).map_err(StoreError::io(layout::LIVE))
    }

    /// The writer of this process; `None` before its first record.
    #[cfg(test)]
    pub(crate) fn writer_id(&self) -> Option<crate::model::WriterId> {
        self.inner.writer.id()
    }

    /// Waits until everything this process logged survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Write`] with the number of records dropped since the last report.
    pub fn flush(&self) -> Result<()> {
        Ok(self.inner.writer.flush()?)
    }

    /// Like [`Store::flush`], and ends the present segment, so that sealing can remove it.
    pub fn close_segment(&self) -> Result<()> {
        Ok(self.inner.writer.rotate()?)
    }

    /// Declares which way a metric of an experiment gets better.
    pub fn set_goal(&self, experiment: &str, key: &str, goal: Goal) -> Result<()> {
        self.declare_goal(MetricGoal {
            experiment: experiment.to_string(),
            key: key.to_string(),
            goal,
            source: "declared".to_string(),
            unit: None,
            description: None,
        })
    }

    /// Declares everything that is known of a metric's goal.
    pub fn declare_goal(&self, goal: MetricGoal) -> Result<()> {
        run::check_experiment(&goal.experiment)?;
        run::check_key("metric", &goal.key)?;
        self.log(&Record::Goal(goal), Durability::Buffered).map(|_| ())
    }

    /// Takes away the goal of a metric in an experiment; without one nothing happens.
    pub fn remove_goal(&self, experiment: &str, key: &str) -> Result<()> {
        self.declare_goal(MetricGoal {
            experiment: experiment.to_string(),
            key: key.to_string(),
            // It stands for none.
            goal: Goal::Max,
            source: MetricGoal::REMOVED.to_string(),
            unit: None,
            description: None,
        })
    }

    /// Changes facts about an experiment; a new one is made.
    pub fn edit_experiment(&self, edit: ExperimentEdit) -> Result<()> {
        run::check_experiment(&edit.experiment)?;
        if let Some(name) = &edit.rename {
            run::check_experiment(name)?;
        }
        self.log(&Record::Experiment(edit), Durability::Buffered).map(|_| ())
    }

    /// Says where an experiment comes from: an experiment of that name is made if there is none.
    pub(crate) fn log_origin(&self, origin: ExperimentOrigin) -> Result<()> {
        run::check_experiment(&origin.experiment)?;
        self.log(&Record::Origin(origin), Durability::Buffered).map(|_| ())
    }

    fn existing_experiment(&self, name: &str) -> Result<()> {
        match self.snapshot()?.experiment_names().iter().any(|e| e == name) {
            true => Ok(()),
            false => Err(StoreError::ExperimentNotFound { experiment: name.to_string() }),
        }
    }

    fn edit_existing(&self, name: &str, change: impl FnOnce(&mut ExperimentEdit)) -> Result<()> {
        self.existing_experiment(name)?;
        let mut edit = ExperimentEdit {
            experiment: name.to_string(),
            set: Vec::new(),
            remove: Vec::new(),
            repeat_keys: None,
            deleted: None,
            rename: None,
        };
        change(&mut edit);
        self.edit_experiment(edit)?;
        self.flush()
    }

    /// Gives an experiment another name; its runs follow.
    ///
    /// # Errors
    /// [`StoreError::ExperimentNotFound`], [`StoreError::ExperimentExists`].
    pub fn rename_experiment(&self, from: &str, to: &str) -> Result<()> {
        if self.existing_experiment(to).is_ok() {
            return Err(StoreError::ExperimentExists { experiment: to.to_string() });
        }
        self.edit_existing(from, |edit| edit.rename = Some(to.to_string()))
    }

    /// Hides an experiment with all its runs, until it is restored or [`Store::gc`] reclaims it.
    pub fn delete_experiment(&self, name: &str) -> Result<()> {
        self.edit_existing(name, |edit| edit.deleted = Some(true))
    }

    /// Shows a deleted experiment again.
    pub fn restore_experiment(&self, name: &str) -> Result<()> {
        self.edit_existing(name, |edit| edit.deleted = Some(false))
    }

    /// Hides a run, until it is restored or [`Store::gc`] reclaims it.
    pub fn delete_run(&self, run: &RunId) -> Result<()> {
        self.log(&Record::Delete { run: run.clone() }, Durability::Synced).map(|_| ())
    }

    /// Shows a deleted run again.
    pub fn restore_run(&self, run: &RunId) -> Result<()> {
        self.log(&Record::Restore { run: run.clone() }, Durability::Synced).map(|_| ())
    }

    /// Like [`Store::delete_run`], without waiting for the disk; [`Store::flush`] waits for many at once.
    pub fn delete_run_soon(&self, run: &RunId) -> Result<()> {
        self.log(&Record::Delete { run: run.clone() }, Durability::Buffered).map(|_| ())
    }

    /// Like [`Store::restore_run`], without waiting for the disk.
    pub fn restore_run_soon(&self, run: &RunId) -> Result<()> {
        self.log(&Record::Restore { run: run.clone() }, Durability::Buffered).map(|_| ())
    }

    /// Moves everything that is live into the tables.
    ///
    /// Now and then what keeps the store fast is done after it: small files are joined where they pile up, and states of
    /// the past go that are older than seven days, save the newest hundred, or beyond the newest 256.
    pub async fn seal(&self) -> Result<ops::SealReport> {
        self.seal_with(ops::Upkeep::default()).await
    }

    pub(crate) async fn seal_with(&self, upkeep: ops::Upkeep) -> Result<ops::SealReport> {
        let lock = self.io().lock(layout::SEAL_LOCK, true).map_err(StoreError::io(layout::SEAL_LOCK))?;
        self.seal_locked(lock, upkeep).await
    }

    /// Seals when much is live (4 MiB) and nobody else does; readers decode what is live each time, a MiB in 35 ms.
    pub async fn seal_if_large(&self) -> Result<Option<ops::SealReport>> {
        const LARGE: u64 = 4 << 20;
        let cut = Cut::newest(self.io())?;
        let found = live::find(self.io(), &cut, &live::names(self.io())?)?;
        let live: u64 = found.iter().map(|f| f.len.saturating_sub(f.from)).sum();
        if live < LARGE {
            return Ok(None);
        }
        let lock = self.io().lock(layout::SEAL_LOCK, false).map_err(StoreError::io(layout::SEAL_LOCK))?;
        match lock {
            None => Ok(None),
            lock => self.seal_locked(lock, ops::Upkeep::default()).await.map(Some),
        }
    }

    async fn seal_locked(
        &self,
        lock: Option<Box<dyn std::fmt::Debug + Send + Sync>>,
        upkeep: ops::Upkeep,
    ) -> Result<ops::SealReport> {
        let before = Cut::newest(self.io())?.n;
        let sealed = ops::seal(self.tables()).await;
        drop(lock);
        let mut report = sealed?;
        let after = Cut::newest(self.io())?.n;
        // What was asked for is done. What is due beside it will be due again.
        match ops::upkeep(self.tables(), upkeep, before, after).await {
            Ok(joined) => report.joined = joined,
            Err(e) => report.upkeep_failed = Some(e.to_string()),
        }
        Ok(report)
    }

    /// Joins small files, where at least this many lie in one partition of a table (2: wherever possible).
    pub async fn compact(&self, at_least: usize) -> Result<ops::CompactReport> {
        ops::compact(self.tables(), ops::Join::AtLeast(at_least)).await
    }

    /// Removes deleted runs for good, and states of the past that are older than the retention.
    pub async fn gc(&self, options: ops::GcOptions) -> Result<ops::GcReport> {
        ops::gc(self.tables(), options).await
    }
}
