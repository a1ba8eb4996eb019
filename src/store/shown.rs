//! Rows as a reader sees them, sealed and live, each once: for the store's own questions, without SQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::delta::FilesTable;
use super::error::{Result, StoreError};
use super::merge::Overlay;
use super::sealed;
use super::snapshot::Snapshot;
use crate::model::RunId;
use crate::schema::{Row, SchemaMismatch, Table, column};

/// The rows of a table: of all runs or of some, deleted ones left out. `schema` picks the columns.
pub async fn batches(
    snapshot: &Snapshot,
    table: &Table,
    schema: &SchemaRef,
    runs: Option<&BTreeSet<RunId>>,
) -> Result<Vec<RecordBatch>> {
    let mut shown = Vec::new();
    let keep = |rows| {
        shown.push(rows);
        Ok(())
    };
    match runs {
        Some(runs) => stream(snapshot, table, schema, runs, keep).await?,
        None => {
            let mut view = View { overlay: snapshot.overlay().await?, table, schema, each: keep };
            if let Some(version) = snapshot.table(table).await? {
                let scan = FilesTable::new(&version, &version.files, with_ids(schema));
                for rows in sealed::collect(snapshot, table, scan, None).await? {
                    view.sealed(&rows)?;
                }
            }
            view.live(|_| true)?;
        }
    }
    Ok(shown)
}

/// Like [`batches`] for some runs, handed out as they are read: memory does not grow with their number.
pub async fn stream(
    snapshot: &Snapshot,
    table: &Table,
    schema: &SchemaRef,
    runs: &BTreeSet<RunId>,
    each: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let mut view = View { overlay: snapshot.overlay().await?, table, schema, each };
    if let Some(version) = snapshot.table(table).await? {
        let wanted = with_ids(schema);
        sealed::stream_rows_of(snapshot, &version, &version.files, wanted, runs, |rows| view.sealed(&rows)).await?;
    }
    view.live(|run| RunId::parse(run).is_ok_and(|run| runs.contains(&run)))
}

/// Leaves out of a table's rows what is not shown.
struct View<'a, F> {
    overlay: &'a Overlay,
    table: &'a Table,
    schema: &'a SchemaRef,
    each: F,
}

impl<F: FnMut(RecordBatch) -> Result<()>> View<'_, F> {
    fn sealed(&mut self, rows: &RecordBatch) -> Result<()> {
        let (overlay, table) = (self.overlay, self.table);
        self.give(rows, |run| table.appends() || !RunId::parse(run).is_ok_and(|run| overlay.replaced.contains(&run)))
    }

    fn live(&mut self, asked: impl Fn(&str) -> bool) -> Result<()> {
        for rows in self.overlay.batches.get(self.table).into_iter().flatten() {
            self.give(rows, &asked)?;
        }
        Ok(())
    }

    fn give(&mut self, rows: &RecordBatch, counts: impl Fn(&str) -> bool) -> Result<()> {
        let overlay = self.overlay;
        let kept = keep(rows, |run, experiment| {
            counts(run) && !overlay.hidden_runs.contains(run) && !overlay.hidden_experiments.contains(experiment)
        });
        let kept = kept.map_err(StoreError::arrow(self.table))?;
        if kept.num_rows() == 0 {
            return Ok(());
        }
        (self.each)(pick(&kept, self.schema).map_err(StoreError::schema(self.table))?)
    }
}

/// The rows of a table with a fixed schema.
pub async fn rows<R: Row>(snapshot: &Snapshot, table: &Table, runs: Option<&BTreeSet<RunId>>) -> Result<Vec<R>> {
    let mut all = Vec::new();
    for rows in batches(snapshot, table, &R::schema(), runs).await? {
        all.extend(R::from_batch(&rows).map_err(StoreError::schema(table))?);
    }
    Ok(all)
}

const IDS: [&str; 2] = ["run_id", "experiment_id"];

fn with_ids(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    for id in IDS.iter().filter(|id| schema.field_with_name(id).is_err()) {
        fields.push(Arc::new(Field::new(*id, DataType::Utf8, true)));
    }
    Arc::new(Schema::new(fields))
}

fn keep(
    rows: &RecordBatch,
    mut keep: impl FnMut(&str, &str) -> bool,
) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let [runs, experiments] = IDS.map(|id| rows.column_by_name(id).expect("every table of runs has both ids"));
    let (runs, experiments) = (runs.as_string::<i32>(), experiments.as_string::<i32>());
    // Rows of a run follow each other, and whether it counts is looked up in trees.
    let mut last: Option<(&str, &str, bool)> = None;
    let mut kept = BooleanBufferBuilder::new(rows.num_rows());
    for i in 0..rows.num_rows() {
        let (run, experiment) = (runs.value(i), experiments.value(i));
        let is_kept = match last {
            Some((same, other, is_kept)) if same == run && other == experiment => is_kept,
            _ => keep(run, experiment),
        };
        last = Some((run, experiment, is_kept));
        kept.append(is_kept);
    }
    let kept = BooleanArray::new(kept.finish(), None);
    filter_record_batch(rows, &kept)
}

fn pick(rows: &RecordBatch, schema: &SchemaRef) -> std::result::Result<RecordBatch, SchemaMismatch> {
    let columns = schema.fields().iter().map(|f| match rows.column_by_name(f.name()) {
        Some(_) => column(rows, f.name(), f.data_type()),
        None => Ok(arrow::array::new_null_array(f.data_type(), rows.num_rows())),
    });
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).expect("the columns were made to fit the schema"))
}
