//! States of the past: how one is named, and what each of them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::cut::Cut;
use super::delta::Tables;
use super::error::{Result, StoreError};
use super::io::Io;
use super::ops::runs_of;
use super::snapshot::Snapshot;
use super::{Store, layout};
use crate::model::{ExperimentState, Micros};
use crate::schema::Table;

/// A sealed state of a store: that of a time, or the one of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The newest state that is not younger than this.
    Time(Micros),
    /// The state of this number, as [`Store::history`] lists them.
    State(u64),
}

/// Text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a time, like 2026-11-23 or 2026-11-23T09:30:00Z, nor the number of a state, like 12")]
pub struct InvalidAsOf(pub String);

impl FromStr for AsOf {
    type Err = InvalidAsOf;
    fn from_str(text: &str) -> Result<Self, InvalidAsOf> {
        let text = text.trim();
        if let Ok(n) = text.parse() {
            return Ok(AsOf::State(n));
        }
        Micros::parse(text).map(AsOf::Time).map_err(|e| InvalidAsOf(e.0))
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsOf::Time(time) => write!(f, "{time}"),
            AsOf::State(n) => write!(f, "state {n}"),
        }
    }
}

impl From<Micros> for AsOf {
    fn from(time: Micros) -> Self {
        AsOf::Time(time)
    }
}

/// A sealed state, and what the operation that made it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateInfo {
    /// Its number.
    pub state: u64,
    /// When the operation was begun.
    pub time: Micros,
    /// `seal`, `compact` or `purge`.
    pub operation: String,
    /// Runs that a query as of it sees.
    pub runs: u64,
    /// What changed; `None` where the state before it is not kept any more.
    pub changes: Option<Changes>,
}

/// What one operation changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Runs that were new.
    pub added: u64,
    /// Runs that were deleted, alone or with their experiment, and are hidden since.
    pub deleted: u64,
    /// Deleted runs that came back, likewise.
    pub restored: u64,
    /// Deleted runs whose rows went for good.
    pub purged: u64,
    /// Points of metrics that were new.
    pub points: u64,
    /// Tables in which a seal changed something, sorted: rows of runs that had ended and were tagged, renamed or deleted,
    /// experiments, goals.
    pub edited: Vec<String>,
    /// Files of all tables that were replaced by fewer and larger ones.
    pub files_joined: u64,
}

impl Cut {
    /// The state that a time or a number names.
    pub(super) fn at(io: &dyn Io, as_of: AsOf) -> Result<Cut> {
        let n = match as_of {
            AsOf::Time(time) => return Cut::as_of(io, time),
            AsOf::State(n) => n,
        };
        match Cut::read(io, n) {
            Err(e) if e.is_not_found() => {
                let numbers = Cut::numbers(io)?;
                let kept = numbers.first().copied().zip(numbers.last().copied());
                match kept {
                    Some((first, last)) if first < n && n < last => {
                        Err(StoreError::damaged(layout::cut(n), "is missing"))
                    }
                    kept => Err(StoreError::NoState { state: n, kept }),
                }
            }
            other => other,
        }
    }
}

impl Store {
    /// The sealed state that a time or a number names.
    pub(crate) fn snapshot_at(&self, as_of: AsOf) -> Result<Snapshot> {
        Snapshot::at(self.inner.tables.clone(), as_of)
    }

    /// The newest states, newest first, at most so many.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when one of them cannot be read.
    pub async fn history(&self, most: usize) -> Result<Vec<StateInfo>> {
        let tables = &self.inner.tables;
        let io = tables.io.as_ref();
        let mut numbers = Cut::numbers(io)?;
        let begin = numbers.len().saturating_sub(most);
        let kept = numbers.split_off(begin);
        let mut before = match (numbers.last(), kept.first()) {
            (Some(n), _) => Some(Known::of(tables, Cut::read(io, *n)?).await?),
            (None, Some(1)) => Some(Known::of(tables, Cut::empty()).await?),
            _ => None,
        };
        let mut files = Files { tables, opened: BTreeMap::new() };
        let mut states = Vec::with_capacity(kept.len());
        for n in kept {
            let cut = match Cut::read(io, n) {
                Ok(cut) => cut,
                // A cleanup has come past; what was before it is gone too.
                Err(e) if e.is_not_found() && Cut::numbers(io)?.first().is_none_or(|first| n < *first) => {
                    before = None;
                    states.clear();
                    continue;
                }
                Err(e) => return Err(e),
            };
            let known = Known::of(tables, cut).await?;
            let changes = match &before {
                Some(before) => Some(changes(&mut files, before, &known).await?),
                None => None,
            };
            let (time, operation) = (known.cut.time, known.cut.operation.clone());
            let runs = files.rows(&Table::Runs, &known.cut).await?.saturating_sub(known.hidden.len() as u64);
            states.push(StateInfo { state: n, time, operation, runs, changes });
            before = Some(known);
        }
        states.reverse();
        Ok(states)
    }
}

/// A state, and the runs that are deleted in it, alone or with their experiment.
struct Known {
    cut: Cut,
    hidden: BTreeSet<String>,
}

impl Known {
    async fn of(tables: &Tables, cut: Cut) -> Result<Known> {
        let mut hidden: BTreeSet<String> = cut.hidden_runs.iter().cloned().collect();
        hidden.extend(runs_of(tables, &cut, &cut.hidden_experiments).await?);
        Ok(Known { cut, hidden })
    }
}

/// The files of a table by path: rows, and whether their runs have not ended.
type Listed = Arc<BTreeMap<String, (u64, bool)>>;

/// The files of tables. A version that two states have in common is opened once.
struct Files<'a> {
    tables: &'a Tables,
    opened: BTreeMap<(Table, u64), Listed>,
}

impl Files<'_> {
    async fn of(&mut self, table: &Table, cut: &Cut) -> Result<Listed> {
        let Some(version) = cut.tables.get(&table.to_string()) else { return Ok(Arc::default()) };
        if let Some(found) = self.opened.get(&(table.clone(), *version)) {
            return Ok(Arc::clone(found));
        }
        let found = self.tables.at(table, *version).await?;
        let files = found.iter().flat_map(|found| &found.files);
        let files = files.map(|file| (file.path.clone(), (file.rows, file.open)));
        let files: Listed = Arc::new(files.collect());
        // States are looked at in their order: an older version is not asked for again.
        self.opened.retain(|(other, old), _| other != table || *old + 1 >= *version);
        self.opened.insert((table.clone(), *version), Arc::clone(&files));
        Ok(files)
    }

    async fn rows(&mut self, table: &Table, cut: &Cut) -> Result<u64> {
        Ok(self.of(table, cut).await?.values().map(|(rows, _)| rows).sum())
    }
}

async fn changes(files: &mut Files<'_>, before: &Known, after: &Known) -> Result<Changes> {
    let gone = |a: &Known, b: &Known| a.hidden.difference(&b.hidden).count() as u64;
    let mut changes = Changes { deleted: gone(after, before), ..Changes::default() };
    let runs_before = files.rows(&Table::Runs, &before.cut).await?;
    let runs = files.rows(&Table::Runs, &after.cut).await?;
    if after.cut.operation == "purge" {
        changes.purged = runs_before.saturating_sub(runs);
        return Ok(changes);
    }
    changes.restored = gone(before, after);
    changes.added = runs.saturating_sub(runs_before);
    let points_before = files.rows(&Table::Metrics, &before.cut).await?;
    changes.points = files.rows(&Table::Metrics, &after.cut).await?.saturating_sub(points_before);
    for (name, version) in &after.cut.tables {
        let Some(table) = Table::parse(name).filter(|t| !matches!(t, Table::Experiments | Table::MetricDefs)) else {
            continue;
        };
        if before.cut.tables.get(name).is_none_or(|old| old == version) {
            continue;
        }
        let (old, new) = (files.of(&table, &before.cut).await?, files.of(&table, &after.cut).await?);
        let mut replaced = old.iter().filter(|(path, _)| !new.contains_key(*path));
        match after.cut.operation.as_str() {
            "compact" => changes.files_joined += replaced.count() as u64,
            // What is new comes in files of its own, and runs that go on are written anew each time.
            _ if replaced.any(|(_, (_, open))| !open) => changes.edited.push(name.clone()),
            _ => {}
        }
    }
    // These are written anew as a whole, and are few.
    let other = |(id, now): (&String, &ExperimentState)| before.cut.experiments.get(id).is_some_and(|old| old != now);
    if after.cut.experiments.iter().any(other) {
        changes.edited.push(Table::Experiments.to_string());
    }
    if before.cut.goals != after.cut.goals {
        changes.edited.push(Table::MetricDefs.to_string());
    }
    changes.edited.sort();
    Ok(changes)
}
