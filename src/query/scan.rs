//! Sealed and live rows of a table as one plan, each row once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit};

use super::error::QueryError;
use crate::schema::Table;
use crate::store::delta::FilesTable;
use crate::store::merge::Overlay;
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, frame};

/// The rows of a table with these columns. `live` holds its live rows.
pub async fn union(
    snapshot: &Arc<Snapshot>,
    overlay: &Overlay,
    table: &Table,
    schema: SchemaRef,
    live: Vec<RecordBatch>,
) -> Result<LogicalPlan, QueryError> {
    let mut parts = Vec::new();
    if let Some(version) = snapshot.table(table).await? {
        // A file of `runs` that another engine wrote has no structs; its runs stand among the live rows.
        let files = version.files.iter().filter(|f| *table != Table::Runs || f.ours);
        let mut sealed = FilesTable::new(&version, files, Arc::clone(&schema));
        if *table != Table::Runs {
            sealed = sealed.with_places(Arc::clone(snapshot) as _);
        }
        let mut plan = LogicalPlanBuilder::scan(table.name(), provider_as_source(Arc::new(sealed)), None)?;
        if let Some(filter) = sealed_filter(overlay, table, &schema) {
            plan = plan.filter(filter)?;
        }
        parts.push(plan);
    }
    if !live.is_empty() || parts.is_empty() {
        let rows = MemTable::try_new(Arc::clone(&schema), vec![live])?;
        let mut plan = LogicalPlanBuilder::scan(table.name(), provider_as_source(Arc::new(rows)), None)?;
        if let Some(filter) = hidden_filter(overlay, &schema) {
            plan = plan.filter(filter)?;
        }
        parts.push(plan);
    }
    let first = parts.remove(0);
    let all = parts.into_iter().try_fold(first, |all, part| all.union(part.build()?))?;
    Ok(all.build()?)
}

fn not_in<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> Option<Expr> {
    let values: Vec<Expr> = values.map(lit).collect();
    (!values.is_empty()).then(|| ident(column).in_list(values, true))
}

fn both(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    }
}

/// Leaves deleted runs and experiments out.
fn hidden_filter(overlay: &Overlay, schema: &SchemaRef) -> Option<Expr> {
    let has = |column: &str| schema.field_with_name(column).is_ok();
    let runs = not_in("run_id", overlay.hidden_runs.iter().map(String::as_str)).filter(|_| has("run_id"));
    let experiments = not_in("experiment_id", overlay.hidden_experiments.iter().map(String::as_str));
    both(runs, experiments.filter(|_| has("experiment_id")))
}

/// Leaves out as well what stands among the live rows anew.
fn sealed_filter(overlay: &Overlay, table: &Table, schema: &SchemaRef) -> Option<Expr> {
    if table.appends() {
        return hidden_filter(overlay, schema);
    }
    let replaced = not_in("run_id", overlay.replaced.iter().map(|run| run.as_str()));
    both(replaced, hidden_filter(overlay, schema))
}

/// The plan of a table other than `runs` and the two of experiments.
pub async fn plan(snapshot: &Arc<Snapshot>, overlay: &Overlay, table: &Table) -> Result<LogicalPlan, QueryError> {
    let live = overlay.batches.get(table).cloned().unwrap_or_default();
    let (schema, live) = match table.schema() {
        Some(schema) => (schema, live),
        None => frame_rows(snapshot, table, live).await?,
    };
    union(snapshot, overlay, table, schema, live).await
}

/// The columns of a frame are what was logged, sealed or live.
async fn frame_rows(
    snapshot: &Arc<Snapshot>,
    table: &Table,
    live: Vec<RecordBatch>,
) -> Result<(SchemaRef, Vec<RecordBatch>), QueryError> {
    let sealed = snapshot.table(table).await?.map(|version| Arc::clone(&version.columns));
    let all = sealed.into_iter().chain(live.iter().map(RecordBatch::schema));
    let schema = all.reduce(|a, b| frame::union(&a, &b));
    let Some(schema) = schema else {
        return Err(QueryError::UnknownTable { table: table.to_string(), tables: Vec::new() });
    };
    let rows = live.iter().map(|batch| frame::conform(batch, &schema)).collect::<Result<Vec<_>, _>>();
    Ok((schema, rows.map_err(StoreError::arrow(table))?))
}
