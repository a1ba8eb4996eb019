//! What is in a store: counts, sizes and versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::cut::Cut;
use super::error::Result;
use super::past::AsOf;
use super::snapshot::Snapshot;
use super::{Manifest, Store, ops, shown};
use crate::model::{Micros, Status};
use crate::schema::Table;

/// What is in a store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Where it is, as it was given.
    pub place: String,
    /// The id that it got when it was made.
    pub id: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Number of runs by status, deleted ones left out.
    pub runs: BTreeMap<Status, u64>,
    /// Number of runs that are deleted and not reclaimed.
    pub deleted_runs: u64,
    /// Number of experiments, deleted ones left out.
    pub experiments: u64,
    /// Number of experiments that are deleted and not reclaimed.
    pub deleted_experiments: u64,
    /// The tables, those of runs first, frames last.
    pub tables: Vec<TableInfo>,
    /// What is not sealed.
    pub live: LiveInfo,
    /// Number of the newest cut; 0 before the first seal.
    pub cut: u64,
    /// When its operation was begun; `None` before the first seal.
    pub cut_time: Option<Micros>,
    /// Number of states of the past that can be read.
    pub states: u64,
    /// Number of logged files.
    pub artifacts: u64,
    /// Their size in bytes, as they were logged.
    pub artifact_bytes: u64,
}

impl StoreInfo {
    /// Number of runs, deleted ones left out.
    pub fn all_runs(&self) -> u64 {
        self.runs.values().sum()
    }

    /// Size of the data files of all tables, in bytes.
    pub fn table_bytes(&self) -> u64 {
        self.tables.iter().map(|t| t.bytes).sum()
    }

    /// Tables that have enough small files for compaction to be worth its while.
    pub fn wants_compaction(&self) -> impl Iterator<Item = &TableInfo> {
        self.tables.iter().filter(|t| t.small_files > 0)
    }
}

/// A table, sealed and live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its SQL name.
    pub name: String,
    /// Version of the Delta table; `None` while nothing of it is sealed.
    pub version: Option<u64>,
    /// Number of data files.
    pub files: u64,
    /// Of them, those that [`Store::compact`] with [`ops::SMALL_FILES`] would join.
    pub small_files: u64,
    /// Size of the data files in bytes.
    pub bytes: u64,
    /// Rows in data files.
    pub rows_sealed: u64,
    /// Rows that stand beside them. All rows of a run with live records are here, in the place of its sealed ones.
    pub rows_live: u64,
}

/// What is not sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveInfo {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of them that are not sealed.
    pub bytes: u64,
    /// Records that are not sealed.
    pub records: u64,
    /// Writers that are alive.
    pub writers: u64,
    /// Segments that cannot be read to their end.
    pub damaged: u64,
}

impl Store {
    /// Counts, sizes and versions. Cost: the live records, and two small columns of the sealed runs and artifacts.
    ///
    /// # Errors
    /// [`crate::StoreError::Damaged`], or an I/O error.
    pub async fn info(&self) -> Result<StoreInfo> {
        self.info_of(self.snapshot()?).await
    }

    /// The same of a sealed state of the past, which has nothing live.
    ///
    /// # Errors
    /// [`crate::StoreError::BeforeHistory`] or [`crate::StoreError::NoState`] when there is no such state, and those of
    /// [`Store::info`].
    pub async fn info_as_of(&self, as_of: AsOf) -> Result<StoreInfo> {
        self.info_of(self.snapshot_at(as_of)?).await
    }

    async fn info_of(&self, snapshot: Snapshot) -> Result<StoreInfo> {
        let manifest = Manifest::read(self.io(), self.place())?;
        let overlay = snapshot.overlay().await?;
        let cut = snapshot.cut();
        let (artifacts, artifact_bytes) = artifacts(&snapshot).await?;
        let writers: std::collections::BTreeSet<_> =
            snapshot.segments().iter().filter(|f| f.alive).map(|f| f.writer).collect();
        Ok(StoreInfo {
            place: self.place().to_string(),
            id: manifest.id,
            created: manifest.created,
            runs: statuses(&snapshot).await?,
            deleted_runs: overlay.hidden_runs.len() as u64,
            experiments: overlay.experiments.values().filter(|e| !e.is_deleted()).count() as u64,
            deleted_experiments: overlay.hidden_experiments.len() as u64,
            tables: tables(&snapshot).await?,
            live: LiveInfo {
                segments: snapshot.segments().len() as u64,
                bytes: snapshot.segments().iter().map(|f| f.end.saturating_sub(f.from)).sum(),
                records: snapshot.live().records,
                writers: writers.len() as u64,
                damaged: snapshot.damaged().len() as u64,
            },
            cut: cut.n,
            cut_time: (cut.n > 0).then_some(cut.time),
            states: Cut::numbers(self.io())?.len() as u64,
            artifacts,
            artifact_bytes,
        })
    }
}

async fn tables(snapshot: &Snapshot) -> Result<Vec<TableInfo>> {
    let overlay = snapshot.overlay().await?;
    let mut all = Table::FIXED.to_vec();
    all.extend(snapshot.frames().into_iter().map(Table::Frame));
    let mut infos = Vec::new();
    for table in all {
        let mut info = TableInfo { name: table.to_string(), ..TableInfo::default() };
        if let Some(version) = snapshot.table(&table).await? {
            info.version = Some(version.version);
            info.files = version.files.len() as u64;
            info.bytes = version.files.iter().map(|f| f.size).sum();
            info.rows_sealed = version.files.iter().map(|f| f.rows).sum();
            if table.by_month() {
                let joins = ops::joins(&table, &version.files, ops::Join::AtLeast(ops::SMALL_FILES));
                info.small_files = joins.iter().map(|files| files.len() as u64).sum();
            }
        }
        info.rows_live = overlay.batches.get(&table).into_iter().flatten().map(|b| b.num_rows() as u64).sum();
        infos.push(info);
    }
    Ok(infos)
}

async fn statuses(snapshot: &Snapshot) -> Result<BTreeMap<Status, u64>> {
    let schema = Arc::new(Schema::new(vec![Field::new("status", DataType::Utf8, true)]));
    let mut counts = BTreeMap::new();
    for rows in shown::batches(snapshot, &Table::Runs, &schema, None).await? {
        for status in rows.column(0).as_string::<i32>().iter().flatten() {
            if let Ok(status) = status.parse() {
                *counts.entry(status).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

async fn artifacts(snapshot: &Snapshot) -> Result<(u64, u64)> {
    let schema = Arc::new(Schema::new(vec![Field::new("size", DataType::Int64, true)]));
    let (mut files, mut bytes) = (0, 0);
    for rows in shown::batches(snapshot, &Table::Artifacts, &schema, None).await? {
        files += rows.num_rows() as u64;
        bytes += rows.column(0).as_primitive::<Int64Type>().iter().flatten().map(|n| n.max(0) as u64).sum::<u64>();
    }
    Ok((files, bytes))
}
