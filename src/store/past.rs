//! States of the past: how one is named, and what each of them changed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::cut::Cut;
use super::delta::Tables;
use super::error::{Result, StoreError};
use super::io::Io;
use super::snapshot::Snapshot;
use super::{Store, layout};
use crate::model::Micros;
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
    /// Runs that it holds, deleted ones that are not reclaimed included.
    pub runs: u64,
    /// What changed; `None` where the state before it is not kept any more.
    pub changes: Option<Changes>,
}

/// What one operation changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Runs that were new.
    pub added: u64,
    /// Runs that were deleted, and are hidden since.
    pub deleted: u64,
    /// Deleted runs that came back.
    pub restored: u64,
    /// Deleted runs whose rows went for good.
    pub purged: u64,
    /// Points of metrics that were new.
    pub points: u64,
    /// Files of all tables that became fewer and larger ones.
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
            (Some(n), _) => Some(Cut::read(io, *n)?),
            (None, Some(1)) => Some(Cut::empty()),
            _ => None,
        };
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
            let runs = rows(tables, &Table::Runs, &cut).await?;
            let changes = match &before {
                Some(before) => Some(changes(tables, before, &cut).await?),
                None => None,
            };
            let (time, operation) = (cut.time, cut.operation.clone());
            states.push(StateInfo { state: n, time, operation, runs, changes });
            before = Some(cut);
        }
        states.reverse();
        Ok(states)
    }
}

/// Rows of a table in a state.
async fn rows(tables: &Tables, table: &Table, cut: &Cut) -> Result<u64> {
    let Some(version) = cut.tables.get(&table.to_string()) else { return Ok(0) };
    let found = tables.at(table, *version).await?;
    Ok(found.map_or(0, |table| table.files.iter().map(|file| file.rows).sum()))
}

async fn changes(tables: &Tables, before: &Cut, after: &Cut) -> Result<Changes> {
    let set = |cut: &Cut| cut.hidden_runs.iter().cloned().collect::<BTreeSet<String>>();
    let (hidden, still) = (set(before), set(after));
    let no_longer = hidden.difference(&still).count() as u64;
    let mut changes = Changes { deleted: still.difference(&hidden).count() as u64, ..Changes::default() };
    let (runs_before, runs) = (rows(tables, &Table::Runs, before).await?, rows(tables, &Table::Runs, after).await?);
    if after.operation == "purge" {
        changes.purged = runs_before.saturating_sub(runs);
        return Ok(changes);
    }
    changes.restored = no_longer;
    changes.added = runs.saturating_sub(runs_before);
    let points_before = rows(tables, &Table::Metrics, before).await?;
    changes.points = rows(tables, &Table::Metrics, after).await?.saturating_sub(points_before);
    if after.operation == "compact" {
        for (name, version) in &after.tables {
            let Some(old) = before.tables.get(name).filter(|old| *old != version) else { continue };
            let Some(table) = Table::parse(name) else { continue };
            let old = tables.at(&table, *old).await?.map_or(0, |table| table.files.len());
            let new = tables.at(&table, *version).await?;
            let kept = new.iter().flat_map(|table| &table.files).count();
            changes.files_joined += old.saturating_sub(kept) as u64;
        }
    }
    Ok(changes)
}
