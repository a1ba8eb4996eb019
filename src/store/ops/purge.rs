//! Purging: the rows of deleted runs are removed for good.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::{col, lit};

use super::rows::{read_file, without};
use super::{Tables, frames_on_disk, next_cut, small, versions_after};
use crate::model::RunId;
use crate::schema::{SchemaMismatch, Table, column};
use crate::store::cut::{Batch, Cut, Work, run_ids};
use crate::store::delta::{Change, FilesTable, write_file};
use crate::store::error::{Result, StoreError};
use crate::store::layout;
use crate::store::live::Live;
use crate::store::sealed;
use crate::store::snapshot::Snapshot;

/// Purges what is deleted; gives the number of runs.
pub async fn purge(tables: &Tables) -> Result<u64> {
    let mut purged = 0;
    super::run(tables, async |cut| {
        if cut.hidden_runs.is_empty() && cut.hidden_experiments.is_empty() {
            return Ok(None);
        }
        let mut runs: BTreeSet<String> = cut.hidden_runs.iter().cloned().collect();
        runs.extend(runs_of(tables, cut, &cut.hidden_experiments).await?);
        purged = runs.len() as u64;
        let experiments = cut.hidden_experiments.clone();
        Ok(Some(Work::Purge { runs: runs.into_iter().collect(), experiments }.into()))
    })
    .await?;
    Ok(purged)
}

/// Ids of the sealed runs of experiments, by the ids of these.
pub async fn runs_of(tables: &Tables, cut: &Cut, experiments: &[String]) -> Result<Vec<String>> {
    if experiments.is_empty() {
        return Ok(Vec::new());
    }
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), Live::default(), Vec::new(), None);
    let Some(runs) = snapshot.table(&Table::Runs).await? else { return Ok(Vec::new()) };
    let columns = ["run_id", "experiment_id"].map(|name| Field::new(name, DataType::Utf8, true));
    let scan = FilesTable::new(&runs, &runs.files, Schema::new(columns.to_vec()).into());
    let ids = experiments.iter().map(|id| lit(id.as_str())).collect();
    let filter = col("experiment_id").in_list(ids, false);
    let batches = sealed::collect(&snapshot, &Table::Runs, scan, Some(filter)).await?;
    Ok(batches.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten().map(str::to_string)).collect())
}

/// Does the operation.
pub(super) async fn apply(
    tables: &Tables,
    cut: &Cut,
    batch: &Batch,
    runs: &[String],
    experiments: &[String],
) -> Result<Cut> {
    let mut next = next_cut(cut, batch);
    let gone: BTreeSet<RunId> = run_ids(runs).into_iter().collect();
    cut.note_purged(tables.io.as_ref(), batch.n, runs)?;
    forget(&mut next, runs, experiments);

    let mut all: Vec<Table> = Table::FIXED.into_iter().filter(|t| t.by_month() && *t != Table::Runs).collect();
    all.extend(frames_on_disk(tables)?);
    all.push(Table::Runs);
    if let Some(table) = tables.open(&Table::Runs, None).await?
        && table.operation().await? >= batch.n
    {
        all.extend([Table::Experiments, Table::MetricDefs]);
        next.tables = versions_after(tables, cut, &all).await?;
        return Ok(next);
    }
    small::write(tables, &mut next, cut, batch).await?;
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), Live::default(), Vec::new(), None);
    for table in all {
        let version = remove_rows(&snapshot, &table, batch, &gone).await?;
        next.tables.extend(version.map(|v| (table.to_string(), v)));
    }
    Ok(next)
}

/// Takes the runs and experiments out of what the cut knows.
pub(super) fn forget(next: &mut Cut, runs: &[String], experiments: &[String]) {
    let names: BTreeSet<&String> = runs.iter().collect();
    next.hidden_runs.retain(|run| !names.contains(run));
    next.open_runs.retain(|open| !names.contains(&open.run));
    next.hidden_experiments.retain(|id| !experiments.contains(id));
    next.experiments.retain(|id, _| !experiments.contains(id));
    next.goals.retain(|goal| !experiments.contains(&goal.experiment_id));
    next.purged = Some(next.n);
}

async fn remove_rows(snapshot: &Snapshot, table: &Table, batch: &Batch, gone: &BTreeSet<RunId>) -> Result<Option<u64>> {
    let tables = snapshot.tables();
    tables
        .commit(table, batch.n, batch.time, async |base| {
            let mut change = Change { data_change: true, ..Change::default() };
            let Some(base) = base else { return Ok(change) };
            for file in base.files.iter().filter(|f| f.may_hold_any(gone)) {
                let old = read_file(tables, base, file)?;
                let kept = without(&old, |id| gone.contains(id)).map_err(StoreError::arrow(table))?;
                if kept.num_rows() == old.num_rows() {
                    continue;
                }
                change.remove.push(file.path.clone());
                if kept.num_rows() > 0 {
                    let in_file = gone_of(&old, gone).map_err(StoreError::schema(table))?;
                    let removed: Vec<_> = match table {
                        Table::Runs => sealed::states(snapshot, &in_file).await?.into_values().collect(),
                        _ => Vec::new(),
                    };
                    let counts = match table {
                        Table::Runs => {
                            let mut counts = sealed::file_keys(snapshot, base, file).await?;
                            // Runs that go with their experiment still count; those that were deleted do not.
                            removed.iter().for_each(|state| counts.remove_run(state));
                            counts.prune();
                            Some(counts)
                        }
                        _ => None,
                    };
                    let io = tables.io.as_ref();
                    change.add.push(write_file(io, table, file.month, batch.n, file.open, &kept, counts.as_ref())?);
                }
            }
            Ok(change)
        })
        .await
}

/// Those of these runs that have rows in a batch.
fn gone_of(rows: &RecordBatch, gone: &BTreeSet<RunId>) -> std::result::Result<BTreeSet<RunId>, SchemaMismatch> {
    let ids = column(rows, "run_id", &DataType::Utf8)?;
    let ids = ids.as_string::<i32>().iter().flatten();
    Ok(ids.filter_map(|id| RunId::parse(id).ok()).filter(|id| gone.contains(id)).collect())
}

/// Removes the files that purged runs had logged.
pub fn remove_artifacts(tables: &Tables, cut: &Cut) -> Result<()> {
    let entries = tables.io.list(layout::ARTIFACTS).map_err(StoreError::io(layout::ARTIFACTS))?;
    let purged = if entries.is_empty() { BTreeSet::new() } else { cut.purged_runs(tables.io.as_ref())? };
    for run in entries.iter().filter_map(|e| RunId::parse(&e.name).ok()).filter(|run| purged.contains(run)) {
        let folder = format!("{}/{run}", layout::ARTIFACTS);
        match tables.io.remove_dir(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io(folder)(e)),
            _ => {}
        }
    }
    Ok(())
}
