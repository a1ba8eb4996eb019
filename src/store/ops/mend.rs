//! Making the newest cut again when its file is lost or damaged.
//!
//! A cut is created after every table holds its operation, so where it is known to have been there, the tables say all
//! that the batch does not:
//!
//! | what a cut holds | where it is found |
//! | --- | --- |
//! | versions of tables | the newest of each: no later operation can have begun |
//! | marks, purged runs | the cut before it, and the batch |
//! | runs that have not ended | the small open file of `runs`, with their hidden states |
//! | deleted runs | the column `deleted` of `runs` |
//! | experiments and goals | the hidden columns of their tables |
//!
//! Nothing is written here.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::col;

use super::rows::read_file;
use super::{Tables, frames_on_disk, next_cut, purge, seal, small, versions_after};
use crate::schema::{HIDDEN_STATE, Row, RunRow, Table};
use crate::store::cut::{Batch, Cut, OpenRun, Work};
use crate::store::delta::{FilesTable, TableVersion};
use crate::store::error::{Result, StoreError};
use crate::store::layout;
use crate::store::live::Live;
use crate::store::sealed;
use crate::store::snapshot::Snapshot;

/// Cut `n`, which was the newest and cannot be read any more.
///
/// # Errors
/// [`StoreError::Damaged`] when its batch or the cut before it is gone too, or when a table is not at operation `n`.
pub async fn again(tables: &Tables, n: u64) -> Result<Cut> {
    let io = tables.io.as_ref();
    let before = Cut::before(io, n)?;
    let lost = || StoreError::damaged(layout::batch(n), "is missing");
    let batch = Batch::read(io, n)?.ok_or_else(lost)?;
    let mut next = next_cut(&before, &batch);
    next.tables = newest(tables, &before, n).await?;
    match &batch.work {
        Work::Compact { .. } => {}
        Work::Purge { runs, experiments } => {
            purge::forget(&mut next, runs, experiments);
            next.purged_runs(io)?;
        }
        Work::Seal { segments, forget, .. } => {
            seal::mark(&mut next, &batch, segments, forget);
            (next.experiments, next.goals) = small::read_back(tables).await?;
            let hidden = next.experiments.values().filter(|e| e.is_deleted());
            next.hidden_experiments = hidden.map(|e| e.id.to_string()).collect();
            if let Some(runs) = tables.open(&Table::Runs, None).await? {
                next.open_runs = open_runs(tables, &runs)?;
                next.hidden_runs = deleted_runs(tables, &next, &runs).await?;
            }
        }
    }
    Ok(next)
}

/// The newest version of every table, none of which may be beyond operation `n`.
async fn newest(tables: &Tables, before: &Cut, n: u64) -> Result<std::collections::BTreeMap<String, u64>> {
    let mut all = Table::FIXED.to_vec();
    all.extend(frames_on_disk(tables)?);
    for table in &all {
        if let Some(version) = tables.open(table, None).await? {
            let operation = version.operation().await?;
            if operation > n {
                let problem = format!("holds operation {operation}, and the newest cut is {n}");
                return Err(StoreError::damaged(layout::table(table), problem));
            }
        } else if before.tables.contains_key(&table.to_string()) {
            return Err(StoreError::damaged(layout::table(table), "is missing"));
        }
    }
    versions_after(tables, before, &all).await
}

fn open_runs(tables: &Tables, runs: &TableVersion) -> Result<Vec<OpenRun>> {
    let mut open = Vec::new();
    for file in runs.files.iter().filter(|f| f.open) {
        let lost = || StoreError::damaged(runs.full_path(file), "does not say which of its runs have not ended");
        let month = file.month.ok_or_else(lost)?;
        let rows = read_file(tables, runs, file)?;
        let hidden = rows.column_by_name(HIDDEN_STATE).and_then(|c| c.as_binary_opt::<i32>()).ok_or_else(lost)?;
        for (i, row) in RunRow::from_batch(&rows).map_err(StoreError::schema(Table::Runs))?.into_iter().enumerate() {
            let writers = sealed::open_writers(hidden.value(i)).ok_or_else(lost)?;
            open.push(OpenRun {
                run: row.run_id,
                experiment_id: row.experiment_id,
                month,
                status: row.status.parse().map_err(|_| lost())?,
                writers: writers.iter().map(|w| w.to_string()).collect(),
            });
        }
    }
    open.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(open)
}

async fn deleted_runs(tables: &Tables, cut: &Cut, runs: &TableVersion) -> Result<Vec<String>> {
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), Live::default(), Vec::new(), None);
    let columns = [("run_id", DataType::Utf8), ("deleted", DataType::Boolean)];
    let schema = Schema::new(columns.map(|(name, kind)| Field::new(name, kind, true)).to_vec());
    let scan = FilesTable::new(runs, &runs.files, Arc::new(schema));
    let mut deleted = Vec::new();
    for rows in sealed::collect(&snapshot, &Table::Runs, scan, Some(col("deleted"))).await? {
        deleted.extend(rows.column(0).as_string::<i32>().iter().flatten().map(str::to_string));
    }
    deleted.sort();
    Ok(deleted)
}
