//! The wide `runs` table: a view over a plain Parquet scan and the live rows, with only the leaves that a query names.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, ident, lit};

use super::error::QueryError;
use super::experiment::ExperimentNames;
use super::functions::quoted;
use super::keys::{Group, NamedKeys};
use super::scan;
use super::structs::{self, Leaf};
use crate::schema::wide::{KeyCounts, ParamColumn, ParamCounts, StoredStruct};
use crate::schema::{Row, RunRow, Table};
use crate::store::delta::text_views;
use crate::store::merge::Overlay;
use crate::store::snapshot::Snapshot;

/// Columns of the files that SQL does not show.
const HIDDEN: [&str; 1] = ["deleted"];

/// The plan of `runs` with the structs that a statement needs.
pub async fn plan(snapshot: &Arc<Snapshot>, overlay: &Overlay, named: &NamedKeys) -> Result<LogicalPlan, QueryError> {
    let keys = snapshot.keys().await?;
    let schema = stored_schema(named);
    let live = overlay.batches.get(&Table::Runs).map(Vec::as_slice).unwrap_or_default();
    let live = live.iter().map(|batch| narrow(batch, &schema)).collect::<Result<Vec<_>, _>>();
    let live = live.map_err(|e| QueryError::Engine(Box::new(e.into())))?;
    let rows = scan::union(snapshot, overlay, &Table::Runs, schema, live).await?;

    let names = Arc::new(ExperimentNames::new(overlay));
    let mut shown = Vec::new();
    for column in RunRow::columns().iter().filter(|c| !HIDDEN.contains(&c.name)) {
        if is_read(column.name, named) {
            shown.push(ident(column.name));
        }
        if column.name == "experiment_id" && named.has_column("experiment") {
            shown.push(names.call(ident("experiment_id")).alias("experiment"));
        }
    }
    for group in Group::ALL {
        let leaves = named.of(group).map(|key| (key.to_string(), Leaf::new(group, key, overlay, keys)));
        if !named.as_structs {
            shown.extend(leaves.map(|(key, leaf)| {
                let stored = |stored: StoredStruct| col(stored.name());
                leaf.expr(&key, stored, ident("experiment_id")).alias(format!("{}.{key}", group.name()))
            }));
        } else if named.is_whole(group) && named.of(group).next().is_none() {
            // Nobody has logged a key of the group so far; its column is there all the same.
            shown.push(lit(ScalarValue::Utf8(None)).alias(group.name()));
        } else if named.of(group).next().is_some() {
            shown.push(structs::whole(group, leaves).alias(group.name()));
        }
    }
    Ok(LogicalPlanBuilder::from(rows).project(shown)?.build()?)
}

/// Whether a fixed column is planned: that by which deleted and edited runs are left out always is.
fn is_read(column: &str, named: &NamedKeys) -> bool {
    matches!(column, "run_id" | "experiment_id") || named.has_column(column)
}

/// Fixed columns and the named leaves, as the files are read.
fn stored_schema(named: &NamedKeys) -> SchemaRef {
    let mut fields: Vec<_> = RunRow::schema().fields().iter().cloned().collect();
    fields.retain(|field| is_read(field.name(), named));
    for stored in StoredStruct::ALL {
        let leaves = named.leaves(stored);
        if !leaves.is_empty() {
            fields.push(Arc::new(Field::new(stored.name(), text_views(&stored.data_type(leaves)), true)));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The type that a key reads as.
pub fn leaf_type(group: Group, key: &str, counts: &KeyCounts) -> &'static str {
    match group {
        Group::Params => match counts.params.get(key).map(ParamCounts::column) {
            Some(ParamColumn::BigInt { .. }) => "bigint",
            Some(ParamColumn::Double) => "double",
            Some(ParamColumn::Boolean) => "boolean",
            Some(ParamColumn::Text) | None => "text",
        },
        Group::ParamsText | Group::Tags | Group::Data => "text",
        _ => "double",
    }
}

/// What a reader should know of the params that a statement names: how many values read as NULL.
pub fn notes(named: &NamedKeys, counts: &KeyCounts) -> Vec<String> {
    let misfits = named.of(Group::Params).filter_map(|key| {
        let count = counts.params.get(key)?;
        let n = count.misfits();
        (n > 0).then(|| {
            let runs = thousands(count.runs());
            let verb = if n == 1 { "holds" } else { "hold" };
            let access = written(Group::ParamsText, key);
            format!("{}: {} of {runs} runs {verb} text; see {access}", written(Group::Params, key), thousands(n))
        })
    });
    misfits.collect()
}

/// A key as it is written in SQL.
pub fn written(group: Group, key: &str) -> String {
    let plain = key.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    match plain {
        true => format!("{}.{key}", group.name()),
        false => format!("{}[{}]", group.name(), quoted(key)),
    }
}

fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Live rows with just the columns and leaves of `schema`.
fn narrow(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows = batch.num_rows();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, _> {
        let Some(found) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), rows));
        };
        let DataType::Struct(leaves) = field.data_type() else { return Ok(Arc::clone(found)) };
        let found = found.as_struct();
        let by_name: BTreeMap<_, _> = found.column_names().into_iter().zip(found.columns()).collect();
        let arrays = leaves.iter().map(|leaf| match by_name.get(leaf.name().as_str()) {
            Some(array) => cast(array, leaf.data_type()),
            None => Ok(new_null_array(leaf.data_type(), rows)),
        });
        Ok(Arc::new(StructArray::try_new(leaves.clone(), arrays.collect::<Result<_, _>>()?, found.nulls().cloned())?))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, arrow::error::ArrowError>>()?)
}
