//! How the rows of an operation get into a table: added, replaced by run, or replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;

use super::decode::decode_columns;
use crate::model::{Micros, Month, RunId};
use crate::schema::Table;
use crate::schema::wide::KeyCounts;
use crate::store::cut::Batch;
use crate::store::delta::{Change, DataFile, TableVersion, Tables, write_file, write_sorted};
use crate::store::error::{Result, StoreError};
use crate::store::merge::Merged;
use crate::store::points::SortedPoints;
use crate::store::snapshot::Snapshot;
use crate::store::{frame, sealed};

/// Fewer new rows than these share a file with the rest of one that an edited run lay in.
const SMALL_ROWS: usize = 8 * 1024;

/// Rows with the file that they belong into.
pub struct Placed {
    /// Partition.
    pub month: Month,
    /// Whether it is the small file of runs that have not ended.
    pub open: bool,
    /// The rows.
    pub rows: RecordBatch,
    /// Keys of their structs, for `runs`.
    pub counts: Option<KeyCounts>,
}

/// Adds points to `metrics`, one file per month.
pub async fn append_points(
    tables: &Tables,
    n: u64,
    time: Micros,
    months: &BTreeMap<Month, SortedPoints<'_>>,
) -> Result<Option<u64>> {
    let table = Table::Metrics;
    let commit = tables.commit(&table, n, time, async |_| {
        let mut change = Change { data_change: true, ..Change::default() };
        for (month, points) in months {
            change.add.push(write_sorted(tables.io.as_ref(), &table, Some(*month), n, false, points, None)?);
        }
        Ok(change)
    });
    commit.await
}

/// Adds rows to a table that only grows.
pub async fn append(
    tables: &Tables,
    table: &Table,
    n: u64,
    time: Micros,
    months: &BTreeMap<Month, Vec<RecordBatch>>,
) -> Result<Option<u64>> {
    if !matches!(table, Table::Frame(_)) {
        return tables.commit(table, n, time, async |_| super::seal::add_files(tables, table, n, months).await).await;
    }
    tables
        .commit(table, n, time, async |base| {
            let mut columns = base.map(|b| Arc::clone(&b.columns));
            for rows in months.values().flatten() {
                columns = Some(match columns {
                    Some(columns) => frame::union(&columns, &rows.schema()),
                    None => rows.schema(),
                });
            }
            let Some(columns) = columns else { return Ok(Change::default()) };
            let mut files = BTreeMap::new();
            for (month, batches) in months {
                let conformed: Vec<_> = batches
                    .iter()
                    .map(|rows| frame::conform(rows, &columns))
                    .collect::<Result<_, _>>()
                    .map_err(StoreError::arrow(table))?;
                let rows = concat_batches(&columns, &conformed).map_err(StoreError::arrow(table))?;
                files.insert(*month, vec![rows]);
            }
            let mut change = Change { data_change: true, ..Change::default() };
            // Delta cannot change the type of a column under its files: those that hold the old type are written anew.
            if let Some(base) = base
                && retyped(base, &columns)
            {
                for file in &base.files {
                    let old = read_file(tables, base, file)?;
                    let rows = frame::conform(&old, &columns).map_err(StoreError::arrow(table))?;
                    change.remove.push(file.path.clone());
                    change.add.push(write_file(tables.io.as_ref(), table, file.month, n, false, &rows, None)?);
                }
            }
            change.add.extend(super::seal::add_files(tables, table, n, &files).await?.add);
            if base.is_none_or(|b| b.columns != columns) {
                change.columns = Some(columns);
            }
            Ok(change)
        })
        .await
}

fn retyped(base: &TableVersion, columns: &SchemaRef) -> bool {
    base.columns
        .fields()
        .iter()
        .any(|old| columns.field_with_name(old.name()).is_ok_and(|new| new.data_type() != old.data_type()))
}

/// Puts these rows in the place of all there are.
pub async fn replace_all(
    tables: &Tables,
    table: &Table,
    n: u64,
    time: Micros,
    rows: &RecordBatch,
) -> Result<Option<u64>> {
    tables
        .commit(table, n, time, async |base| {
            let remove = base.map(|b| b.files.iter().map(|f| f.path.clone()).collect()).unwrap_or_default();
            let file = write_file(tables.io.as_ref(), table, None, n, false, rows, None)?;
            Ok(Change { remove, add: vec![file], columns: None, data_change: true })
        })
        .await
}

/// Puts rows of runs in the place of their old ones: the small file is replaced as a whole, the others are written anew
/// without these runs where they hold one. The rows of the runs in `stay` are left where they are.
pub async fn replace_runs(
    snapshot: &Snapshot,
    table: &Table,
    batch: &Batch,
    rows: &[Placed],
    merged: &Merged,
    stay: &BTreeSet<RunId>,
) -> Result<Option<u64>> {
    let tables = snapshot.tables();
    // Runs that had not ended lie in the small file, unless another engine has moved them.
    let open: BTreeSet<&str> = snapshot.cut().open_runs.iter().map(|o| o.run.as_str()).collect();
    let moved = merged.runs.iter().filter(|(id, run)| run.sealed.is_some() && !stay.contains(*id));
    let sealed: BTreeSet<RunId> = moved.map(|(id, _)| id.clone()).collect();
    let ended: BTreeSet<RunId> = sealed.iter().filter(|id| !open.contains(id.as_str())).cloned().collect();
    tables
        .commit(table, batch.n, batch.time, async |base| {
            let mut change = Change { data_change: true, ..Change::default() };
            // What is left of files that lose a run.
            let mut rest: BTreeMap<Month, Vec<(RecordBatch, Option<KeyCounts>)>> = BTreeMap::new();
            for file in base.map(|b| b.files.as_slice()).unwrap_or_default() {
                let base = base.expect("its files were just looked at");
                let moved = if file.ours { &ended } else { &sealed };
                if file.open {
                    change.remove.push(file.path.clone());
                } else if file.may_hold_any(moved) {
                    // Ranges of ids overlap, so most files that may hold one of the runs do not.
                    let ids = read_columns(tables, base, file, Some(&["run_id"]))?;
                    if !holds_any(&ids, moved) {
                        continue;
                    }
                    let old = read_file(tables, base, file)?;
                    let kept = without(&old, |id| moved.contains(id)).map_err(StoreError::arrow(table))?;
                    change.remove.push(file.path.clone());
                    if kept.num_rows() > 0 {
                        let counts = match table {
                            Table::Runs => Some(kept_counts(snapshot, base, file, &old, merged).await?),
                            _ => None,
                        };
                        let month = file.month.ok_or_else(|| StoreError::damaged(&file.path, "has no month"))?;
                        rest.entry(month).or_default().push((kept, counts));
                    }
                }
            }
            for placed in rows {
                let mut parts = vec![(placed.rows.clone(), placed.counts.clone())];
                // A few edited runs go back to those that they lay among; each file else keeps its own.
                if !placed.open
                    && placed.rows.num_rows() < SMALL_ROWS
                    && let Some(file) = rest.get_mut(&placed.month).and_then(Vec::pop)
                {
                    parts.push(file);
                }
                change.add.push(write_parts(tables, table, placed.month, batch.n, placed.open, parts)?);
            }
            for (month, files) in rest {
                for file in files {
                    change.add.push(write_parts(tables, table, month, batch.n, false, vec![file])?);
                }
            }
            Ok(change)
        })
        .await
}

pub(super) fn write_parts(
    tables: &Tables,
    table: &Table,
    month: Month,
    n: u64,
    open: bool,
    parts: Vec<(RecordBatch, Option<KeyCounts>)>,
) -> Result<crate::store::delta::NewFile> {
    let mut counts: Option<KeyCounts> = None;
    for part in parts.iter().filter_map(|(_, c)| c.as_ref()) {
        counts.get_or_insert_default().merge(part);
    }
    if let Some(counts) = &mut counts {
        counts.prune();
    }
    let rows: Vec<_> = parts.into_iter().map(|(rows, _)| rows).collect();
    let rows = unite(&rows).map_err(StoreError::arrow(table))?;
    write_file(tables.io.as_ref(), table, Some(month), n, open, &rows, counts.as_ref())
}

/// Rows of files one after the other; structs get the leaves of both.
pub fn unite(parts: &[RecordBatch]) -> Result<RecordBatch, arrow::error::ArrowError> {
    if let [only] = parts {
        return Ok(only.clone());
    }
    let schema = parts.iter().skip(1).fold(parts[0].schema(), |schema, part| union_leaves(&schema, &part.schema()));
    let conformed: Vec<_> = parts.iter().map(|part| conform(part, &schema)).collect::<Result<_, _>>()?;
    concat_batches(&schema, &conformed)
}

fn union_leaves(a: &SchemaRef, b: &SchemaRef) -> SchemaRef {
    use arrow::datatypes::{DataType, Field, Schema};
    let mut fields: Vec<Field> = a.fields().iter().map(|f| f.as_ref().clone()).collect();
    for new in b.fields() {
        let Some(old) = fields.iter_mut().find(|f| f.name() == new.name()) else {
            fields.push(new.as_ref().clone());
            continue;
        };
        if let (DataType::Struct(mine), DataType::Struct(others)) = (old.data_type(), new.data_type()) {
            let known: BTreeSet<_> = mine.iter().map(|f| f.name().clone()).collect();
            let mut leaves: Vec<_> = mine.iter().cloned().collect();
            leaves.extend(others.iter().filter(|f| !known.contains(f.name())).cloned());
            *old = Field::new(old.name(), DataType::Struct(leaves.into()), true);
        }
    }
    Arc::new(Schema::new(fields))
}

fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    use arrow::array::{ArrayRef, StructArray, new_null_array};
    use arrow::datatypes::DataType;
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, arrow::error::ArrowError> {
        let Some(found) = rows.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), rows.num_rows()));
        };
        match field.data_type() {
            DataType::Struct(leaves) => {
                let old = found.as_struct();
                let by_name: std::collections::HashMap<_, _> =
                    old.fields().iter().zip(old.columns()).map(|(f, c)| (f.name().as_str(), c)).collect();
                let arrays = leaves
                    .iter()
                    .map(|leaf| match by_name.get(leaf.name().as_str()) {
                        Some(array) => Arc::clone(array),
                        None => new_null_array(leaf.data_type(), rows.num_rows()),
                    })
                    .collect();
                let array = StructArray::try_new(leaves.clone(), arrays, old.nulls().cloned())?;
                Ok(Arc::new(array))
            }
            _ => Ok(Arc::clone(found)),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// All rows of a data file, with all its columns, hidden ones too.
pub fn read_file(tables: &Tables, version: &TableVersion, file: &DataFile) -> Result<RecordBatch> {
    read_columns(tables, version, file, None)
}

fn read_columns(
    tables: &Tables,
    version: &TableVersion,
    file: &DataFile,
    columns: Option<&[&str]>,
) -> Result<RecordBatch> {
    decode_columns(&version.full_path(file), tables.read_whole(version, file)?, columns)
}

/// Whether one of these runs has a row.
fn holds_any(rows: &RecordBatch, runs: &BTreeSet<RunId>) -> bool {
    let ids = rows.column_by_name("run_id").expect("every table of runs has the column").as_string::<i32>();
    let mut last = None;
    ids.iter().flatten().filter(|id| last.replace(*id) != Some(*id)).any(|id| runs.contains(id))
}

/// Rows of other runs than those that `gone` names.
pub fn without(rows: &RecordBatch, gone: impl Fn(&RunId) -> bool) -> Result<RecordBatch, arrow::error::ArrowError> {
    let ids = rows.column_by_name("run_id").expect("every table of runs has the column").as_string::<i32>();
    let mut last: Option<(&str, bool)> = None;
    let keep: BooleanArray = (0..ids.len())
        .map(|i| {
            let id = ids.value(i);
            // Rows of a run often follow each other.
            let keep = match last {
                Some((same, keep)) if same == id => keep,
                _ => !RunId::parse(id).is_ok_and(|id| gone(&id)),
            };
            last = Some((id, keep));
            Some(keep)
        })
        .collect();
    filter_record_batch(rows, &keep)
}

/// The counts of a file of `runs` without those of its runs that are merged.
async fn kept_counts(
    snapshot: &Snapshot,
    version: &TableVersion,
    file: &DataFile,
    old: &RecordBatch,
    merged: &Merged,
) -> Result<KeyCounts> {
    let mut counts = sealed::file_keys(snapshot, version, file).await?;
    let ids = old.column_by_name("run_id").expect("every table of runs has the column").as_string::<i32>();
    for id in ids.iter().flatten() {
        if let Some(state) = RunId::parse(id).ok().and_then(|id| merged.runs.get(&id)).and_then(|r| r.sealed.as_ref()) {
            counts.remove_run(state);
        }
    }
    counts.prune();
    Ok(counts)
}
