//! One consistent state of the store for reading: a cut, and the records that are not sealed yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use super::checksum;
use super::cut::{Batch, Cut, OpenRun, Work};
use super::delta::{APP_ID, Place, Places, TableVersion, Tables};
use super::error::{Result, StoreError};
use super::io::{Entry, Io};
use super::layout;
use super::lease::Lease;
use super::live::{self, Found, Live, Reading};
use super::merge::{self, Overlay};
use super::past::AsOf;
use super::sealed;
use super::segment::Damage;
use crate::model::{RunId, Status};
use crate::schema::Table;
use crate::schema::wide::KeyCounts;

/// How often a reader starts again when segments vanish under it.
const ATTEMPTS: u32 = 50;

/// One consistent state of a store. Tables open at first use, at the versions of the cut.
#[derive(Debug)]
pub struct Snapshot {
    tables: Tables,
    cut: Cut,
    live: Live,
    segments: Vec<Found>,
    /// `None` for a state of the past, of which nobody knows who was alive.
    alive: Option<BTreeSet<String>>,
    lost: Vec<DamagedSegment>,
    show_deleted: bool,
    _lease: Option<Lease>,
    overlay: OnceCell<Overlay>,
    long_overlay: OnceCell<Overlay>,
    keys: OnceCell<KeyCounts>,
    opened: Mutex<HashMap<Table, Option<Arc<TableVersion>>>>,
}

/// A segment that could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSegment {
    /// The file, relative to the store.
    pub path: String,
    /// What is wrong with it, and where.
    pub damage: Damage,
}

impl Snapshot {
    /// Reads the newest state with what is live.
    pub(super) fn newest(tables: Tables) -> Result<Snapshot> {
        let io = Arc::clone(&tables.io);
        'again: for _ in 0..ATTEMPTS {
            // The segments are listed before the cut is read: one that is sealed in between is skipped by its mark, one
            // that is removed in between makes us start again. The other order would miss rows.
            let names = live::names(io.as_ref())?;
            let cut = Cut::newest(io.as_ref())?;
            let Some(lease) = hold(&io, &cut)? else { continue 'again };
            let mut segments = live::find(io.as_ref(), &cut, &names)?;
            let mut live = Reading::default();
            for found in &mut segments {
                if live::read(io.as_ref(), found, &mut live)?.is_none() {
                    continue 'again;
                }
            }
            let mut lost = Vec::new();
            for pair in segments.windows(2) {
                if let Some((path, damage)) = live::lost_between(io.as_ref(), &pair[0], &pair[1])? {
                    // A list may lack a segment that began while it was made.
                    if damage.offset == 0 && io.stat(&path).is_ok() {
                        continue 'again;
                    }
                    lost.push(DamagedSegment { path, damage });
                }
            }
            if let Some(problem) = lost_cut(io.as_ref(), &cut, &names)? {
                // An operation that ends just now looks the same for a moment.
                if Cut::newest(io.as_ref())?.n != cut.n {
                    continue 'again;
                }
                return Err(problem);
            }
            let live = cut.live_of(io.as_ref(), live)?;
            let alive = segments.iter().filter(|f| f.alive).map(|f| f.writer.to_string()).collect();
            let snapshot = Snapshot::of(tables, cut, live, segments, Some(alive));
            return Ok(Snapshot { lost, _lease: lease, ..snapshot });
        }
        Err(StoreError::Busy { attempts: ATTEMPTS })
    }

    /// Reads a state of the past: sealed rows only. Times are those that the cuts recorded.
    pub(super) fn at(tables: Tables, as_of: AsOf) -> Result<Snapshot> {
        for _ in 0..ATTEMPTS {
            let cut = Cut::at(tables.io.as_ref(), as_of)?;
            if let Some(lease) = hold(&tables.io, &cut)? {
                let snapshot = Snapshot::of(tables, cut, Live::default(), Vec::new(), None);
                return Ok(Snapshot { _lease: lease, ..snapshot });
            }
        }
        Err(StoreError::Busy { attempts: ATTEMPTS })
    }

    pub(super) fn of(
        tables: Tables,
        cut: Cut,
        live: Live,
        segments: Vec<Found>,
        alive: Option<BTreeSet<String>>,
    ) -> Snapshot {
        Snapshot {
            tables,
            cut,
            live,
            segments,
            alive,
            lost: Vec::new(),
            show_deleted: false,
            _lease: None,
            overlay: OnceCell::new(),
            long_overlay: OnceCell::new(),
            keys: OnceCell::new(),
            opened: Mutex::default(),
        }
    }

    /// The same state with deleted runs and experiments shown.
    pub fn with_deleted(mut self) -> Snapshot {
        self.show_deleted = true;
        self
    }

    /// The sealed state.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The records that are not sealed.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The segments they came from.
    pub fn segments(&self) -> &[Found] {
        &self.segments
    }

    /// The tables of the store, at any version.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Segments that are missing or could not be read to their end; what is before the damage counts.
    pub fn damaged(&self) -> Vec<DamagedSegment> {
        let damaged = self.segments.iter().filter_map(|f| Some((f.path.clone(), f.damage.clone()?)));
        damaged.map(|(path, damage)| DamagedSegment { path, damage }).chain(self.lost.iter().cloned()).collect()
    }

    /// A table at the version of the cut; `None` when it did not exist then.
    pub async fn table(&self, table: &Table) -> Result<Option<Arc<TableVersion>>> {
        let mut opened = self.opened.lock().await;
        if let Some(found) = opened.get(table) {
            return Ok(found.clone());
        }
        let version = match self.cut.tables.get(&table.to_string()) {
            Some(&version) => self.tables.at(table, version).await?,
            None => None,
        };
        opened.insert(table.clone(), version.clone());
        Ok(version)
    }

    /// Names of all experiments, deleted ones too.
    pub fn experiment_names(&self) -> Vec<String> {
        merge::experiments(&self.cut, &self.live, &self.live.states).0.values().map(|e| e.name().to_string()).collect()
    }

    /// Names of the frames that there are.
    pub fn frames(&self) -> BTreeSet<String> {
        let sealed = self.cut.tables.keys().filter_map(|name| match Table::parse(name) {
            Some(Table::Frame(name)) => Some(name),
            _ => None,
        });
        sealed.chain(self.live.frames.iter().map(|(_, rows)| rows.name.clone())).collect()
    }

    /// The live rows, merged with what is sealed of the same runs.
    pub async fn overlay(&self) -> Result<&Overlay> {
        let foreign = self.foreign_runs().await?;
        if foreign.is_empty() {
            return self.overlay_of_long_tables().await;
        }
        self.overlay.get_or_try_init(async || self.make_overlay(foreign).await).await
    }

    /// Like [`Snapshot::overlay`], for a reader that does not look at `runs`, which is then not opened.
    pub async fn overlay_of_long_tables(&self) -> Result<&Overlay> {
        self.long_overlay.get_or_try_init(async || self.make_overlay(BTreeSet::new()).await).await
    }

    async fn make_overlay(&self, mut extra: BTreeSet<RunId>) -> Result<Overlay> {
        extra.extend(self.changed_without_record());
        let none = BTreeSet::new();
        merge::overlay(self, &extra, self.alive.as_ref().unwrap_or(&none), self.show_deleted).await
    }

    /// Counts of the keys of `runs`, sealed and live, each run once.
    pub async fn keys(&self) -> Result<&KeyCounts> {
        let make = async || {
            let mut keys = sealed::keys(self).await?;
            keys.merge(&self.overlay().await?.keys);
            keys.prune();
            Ok(keys)
        };
        self.keys.get_or_try_init(make).await
    }

    /// Runs whose sealed rows do not say what is true now though no record touches them: their writer died or came back.
    fn changed_without_record(&self) -> BTreeSet<RunId> {
        let Some(alive) = &self.alive else { return BTreeSet::new() };
        let changed = self.cut.open_runs.iter().filter(|open| shown_status(open, alive) != open.status);
        changed.filter_map(|open| RunId::parse(&open.run).ok()).collect()
    }

    /// Runs whose row lies in a file that another engine wrote, without the structs.
    pub(super) async fn foreign_runs(&self) -> Result<BTreeSet<RunId>> {
        let mut runs = BTreeSet::new();
        if let Some(table) = self.table(&Table::Runs).await? {
            for file in table.files.iter().filter(|f| !f.ours) {
                runs.extend(sealed::file_runs(self, &table, file).await?);
            }
        }
        Ok(runs)
    }
}

#[async_trait]
impl Places for Snapshot {
    async fn places(&self, runs: &BTreeSet<RunId>) -> Result<BTreeMap<RunId, Place>> {
        let mut places = BTreeMap::new();
        for open in &self.cut.open_runs {
            if let Some(run) = runs.iter().find(|run| run.as_str() == open.run) {
                let place = Place { experiment_id: open.experiment_id.clone(), month: Some(open.month) };
                places.insert(run.clone(), place);
            }
        }
        let wanted: BTreeSet<RunId> = runs.iter().filter(|run| !places.contains_key(*run)).cloned().collect();
        let Some(table) = self.table(&Table::Runs).await?.filter(|_| !wanted.is_empty()) else { return Ok(places) };
        for file in table.files.iter().filter(|file| file.may_hold_any(&wanted)) {
            for rows in self.tables.find_runs(&table, file, &wanted, &["run_id", "experiment_id"]).await? {
                let [run, experiment] = ["run_id", "experiment_id"].map(|name| rows.column_by_name(name));
                let (Some(run), Some(experiment)) = (run, experiment) else { continue };
                let text = |column| cast(column, &DataType::Utf8).map_err(StoreError::arrow(Table::Runs));
                let (run, experiment) = (text(run)?, text(experiment)?);
                for (run, experiment) in run.as_string::<i32>().iter().zip(experiment.as_string::<i32>()) {
                    if let (Some(run), Some(experiment)) = (run, experiment) {
                        // A row does not say its month, its file does.
                        let place = Place { experiment_id: experiment.to_string(), month: file.month };
                        places.insert(RunId::parse(run)?, place);
                    }
                }
            }
        }
        Ok(places)
    }
}

/// Takes a hold on a state, where that can be; `None` when it was cleaned up before.
fn hold(io: &Arc<dyn Io>, cut: &Cut) -> Result<Option<Option<Lease>>> {
    let lease = Lease::take(io, cut.n);
    let path = layout::cut(cut.n);
    match io.stat(&path) {
        Ok(_) => Ok(Some(lease)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((cut.n == 0).then_some(lease)),
        Err(e) => Err(StoreError::io(path)(e)),
    }
}

/// A cut that was there and is gone. What it knew of, and the segments that it absorbed held, would be missing from every
/// answer.
pub(super) fn lost_cut(io: &dyn Io, cut: &Cut, names: &[Entry]) -> Result<Option<StoreError>> {
    let n = cut.n + 1;
    let lost = |problem: String| Ok(Some(StoreError::damaged(layout::cut(n), problem)));
    match Batch::read(io, n) {
        // The operation was begun: it was done where segments that it absorbs as a whole are gone.
        Ok(Some(Batch { work: Work::Seal { segments, .. }, .. })) => {
            for segment in segments.iter().filter(|s| s.closed) {
                let path = segment.path()?;
                if !names.iter().any(|entry| path.ends_with(&entry.name)) {
                    return lost(format!(
                        "is missing: operation {n} was done, and the segments that it absorbed are gone"
                    ));
                }
            }
            Ok(None)
        }
        Ok(Some(_)) => Ok(None),
        // An operation that began since the batch was looked for has one now.
        Ok(None) if is_beyond(io, cut)? && Batch::read(io, n)?.is_none() => {
            lost(format!("is missing, and so is its batch: table runs holds operation {n} already"))
        }
        Ok(None) => Ok(None),
        // Nobody can end it, but as long as it did not come to table `runs`, its last one, all is as the cut says.
        Err(StoreError::Damaged { .. }) if !is_beyond(io, cut)? => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether table `runs` holds an operation that the cut does not know of.
pub(super) fn is_beyond(io: &dyn Io, cut: &Cut) -> Result<bool> {
    #[derive(serde::Deserialize)]
    struct Action {
        txn: Option<Transaction>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Transaction {
        app_id: String,
        version: u64,
    }
    let next = cut.tables.get(Table::Runs.name()).map_or(0, |version| version + 1);
    let path = layout::commit(&Table::Runs, next);
    let commit = match checksum::read_log(io, &path) {
        Ok(commit) => commit,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    let actions = commit.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice::<Action>(line).ok());
    let ours = actions.filter_map(|action| action.txn).find(|txn| txn.app_id == APP_ID);
    Ok(ours.is_some_and(|txn| txn.version > cut.n))
}

/// The status to show of a sealed run that has not ended.
fn shown_status(open: &OpenRun, alive: &BTreeSet<String>) -> Status {
    match open.status {
        Status::Running | Status::Crashed if !open.writers.is_empty() => {
            if open.writers.iter().any(|w| alive.contains(w)) { Status::Running } else { Status::Crashed }
        }
        other => other,
    }
}
