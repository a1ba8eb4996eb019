//! The wide `runs` table: a view over a plain Parquet scan and the live rows, with only the leaves that a query names.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::functions::core::expr_fn::{coalesce, get_field, named_struct};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, ident, lit, try_cast, when};

use super::error::QueryError;
use super::experiment::ExperimentNames;
use super::keys::{Group, NamedKeys};
use super::scan;
use crate::schema::wide::{KeyCounts, ParamColumn, ParamCounts, StoredStruct};
use crate::schema::{Row, RunRow, Table};
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
        shown.push(ident(column.name));
        if column.name == "experiment_id" {
            shown.push(names.call(ident("experiment_id")).alias("experiment"));
        }
    }
    for group in Group::ALL {
        if named.as_structs {
            let leaves: Vec<Expr> =
                named.of(group).flat_map(|key| [lit(key), leaf(group, key, overlay, keys)]).collect();
            if !leaves.is_empty() {
                shown.push(named_struct(leaves).alias(group.name()));
            }
        } else {
            shown.extend(
                named.of(group).map(|key| leaf(group, key, overlay, keys).alias(format!("{}.{key}", group.name()))),
            );
        }
    }
    Ok(LogicalPlanBuilder::from(rows).project(shown)?.build()?)
}

/// Fixed columns and the named leaves, as they lie in the files.
fn stored_schema(named: &NamedKeys) -> SchemaRef {
    let mut fields: Vec<_> = RunRow::schema().fields().iter().cloned().collect();
    for stored in StoredStruct::ALL {
        let leaves = named.leaves(stored);
        if !leaves.is_empty() {
            fields.push(Arc::new(Field::new(stored.name(), stored.data_type(leaves), true)));
        }
    }
    Arc::new(Schema::new(fields))
}

fn stored_leaf(stored: StoredStruct, key: &str) -> Expr {
    get_field(col(stored.name()), key)
}

/// The value of one key.
fn leaf(group: Group, key: &str, overlay: &Overlay, keys: &KeyCounts) -> Expr {
    match group {
        Group::Params => match keys.params.get(key).map(ParamCounts::column) {
            Some(ParamColumn::BigInt { exact_text: false }) => {
                cast(stored_leaf(StoredStruct::ParamsNum, key), DataType::Int64)
            }
            Some(ParamColumn::BigInt { exact_text: true }) => {
                try_cast(stored_leaf(StoredStruct::ParamsText, key), DataType::Int64)
            }
            Some(ParamColumn::Double) => stored_leaf(StoredStruct::ParamsNum, key),
            Some(ParamColumn::Boolean) => try_cast(stored_leaf(StoredStruct::ParamsText, key), DataType::Boolean),
            Some(ParamColumn::Text) | None => stored_leaf(StoredStruct::ParamsText, key),
        },
        Group::Best => best(key, overlay),
        Group::MetricsMin => extreme(StoredStruct::MetricsMin, key),
        Group::MetricsMax => extreme(StoredStruct::MetricsMax, key),
        other => stored_leaf(other.stored()[0], key),
    }
}

/// An extreme: where it is not stored it is the last value.
fn extreme(stored: StoredStruct, key: &str) -> Expr {
    coalesce(vec![stored_leaf(stored, key), stored_leaf(StoredStruct::Metrics, key)])
}

/// `metrics_min` or `metrics_max`, by the goal that the experiment of the run declares.
fn best(key: &str, overlay: &Overlay) -> Expr {
    let with_goal = |goal: crate::model::Goal| -> Vec<Expr> {
        let found = overlay.goals.iter().filter(|g| g.state.goal.key == key && g.state.goal.goal == goal);
        found.map(|g| lit(g.experiment_id.as_str())).collect()
    };
    let is_in = |ids: Vec<Expr>| ident("experiment_id").in_list(ids, false);
    when(is_in(with_goal(crate::model::Goal::Min)), extreme(StoredStruct::MetricsMin, key))
        .when(is_in(with_goal(crate::model::Goal::Max)), extreme(StoredStruct::MetricsMax, key))
        .end()
        .expect("both branches are doubles")
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
        false => format!("{}['{}']", group.name(), key.replace('\'', "''")),
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
            Some(array) => Arc::clone(array),
            None => new_null_array(leaf.data_type(), rows),
        });
        Ok(Arc::new(StructArray::try_new(leaves.clone(), arrays.collect(), found.nulls().cloned())?))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, arrow::error::ArrowError>>()?)
}
