//! What tables and columns there are, for `DESCRIBE`, completion and docs.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::error::QueryError;
use super::experiments::COUNTS;
use super::keys::Group;
use super::runs::{leaf_type, written};
use crate::schema::wide::KeyCounts;
use crate::schema::{Row, Table, rows, sql_type};
use crate::store::merge::Overlay;
use crate::store::snapshot::Snapshot;

/// A table, for lists of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// Its SQL name.
    pub name: String,
    /// What a row is.
    pub doc: String,
}

/// A column, or a key of a struct column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// As it is written in SQL.
    pub name: String,
    /// Its SQL type.
    pub data_type: String,
    /// For keys: the number of runs that hold it.
    pub runs: Option<i64>,
    /// What it means.
    pub doc: String,
}

rows! {
    /// A line of `DESCRIBE`.
    DescribeRow {
        /// As it is written in SQL.
        column_name: String,
        /// Its type.
        data_type: String,
        /// For keys: the number of runs that hold it.
        runs: Option<i64>,
        /// What it means.
        description: String,
    }
}

/// The answer to `DESCRIBE`.
pub fn batch(columns: &[ColumnInfo]) -> RecordBatch {
    DescribeRow::to_batch(columns.iter().map(|c| DescribeRow {
        column_name: c.name.clone(),
        data_type: c.data_type.clone(),
        runs: c.runs,
        description: c.doc.clone(),
    }))
}

rows! {
    /// A line of `SHOW TABLES`.
    TableRow {
        /// As it is written in SQL.
        table_name: String,
        /// What a row is.
        description: String,
    }
}

/// The answer to `SHOW TABLES`.
pub fn tables_batch(tables: Vec<TableSummary>) -> RecordBatch {
    TableRow::to_batch(tables.into_iter().map(|t| TableRow { table_name: t.name, description: t.doc }))
}

/// One line per table.
pub fn tables(snapshot: &Snapshot) -> Vec<TableSummary> {
    let fixed = Table::FIXED.iter().map(|table| TableSummary { name: table.to_string(), doc: doc(table).to_string() });
    let frames = snapshot.frames().into_iter().map(|name| TableSummary {
        name: frame_name(&name),
        doc: "logged by runs, one row per logged row".to_string(),
    });
    fixed.chain(frames).collect()
}

/// A frame as it is written in SQL.
fn frame_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { format!("frames.{name}") } else { format!("frames.\"{}\"", name.replace('"', "\"\"")) }
}

fn doc(table: &Table) -> &'static str {
    match table {
        Table::Runs => "one row per run, with its params, metrics, tags and data as structs",
        Table::Params => "one row per run and param",
        Table::Metrics => "one row per logged point",
        Table::MetricStats => "one row per run, metric and context",
        Table::Features => "one row per run and feature",
        Table::DataVersions => "one row per run, data set and role",
        Table::Tags => "one row per run and tag",
        Table::Artifacts => "one row per run and file",
        Table::Packages => "one row per run and package",
        Table::Environment => "one row per run and fact about where it ran",
        Table::Links => "one row per run, other run and kind of tie",
        Table::Comments => "one row per run and comment",
        Table::Series => "one row per point that is text, a histogram or a file",
        Table::Experiments => "one row per experiment, with counts of its runs",
        Table::MetricDefs => "one row per experiment and metric with a declared goal",
        Table::Frame(_) => "logged by runs",
    }
}

/// The columns of a table, by its SQL name.
pub async fn columns(snapshot: &Arc<Snapshot>, overlay: &Overlay, name: &str) -> Result<Vec<ColumnInfo>, QueryError> {
    let name = name.trim_start_matches("public.");
    let table = match Table::parse(name) {
        Some(Table::Frame(frame)) => {
            let all = snapshot.frames();
            all.iter().find(|f| **f == frame || f.to_lowercase() == frame).cloned().map(Table::Frame)
        }
        other => other,
    };
    let Some(table) = table else {
        let tables = tables(snapshot).into_iter().map(|t| t.name).collect();
        return Err(QueryError::UnknownTable { table: name.to_string(), tables });
    };
    let Some(fixed) = table.columns() else {
        let plan = super::scan::plan(snapshot, overlay, &table).await?;
        let fields = plan.schema().fields().iter();
        let column = |f: &arrow::datatypes::FieldRef| info(f.name(), sql_type(f.data_type()), "as logged");
        return Ok(fields.map(column).collect());
    };
    let mut columns: Vec<ColumnInfo> = fixed.iter().map(|c| info(c.name, sql_type(&c.data_type), c.doc)).collect();
    match table {
        Table::Runs => {
            let counts = snapshot.keys().await?;
            columns.retain(|c| c.name != "deleted");
            let at = columns.iter().position(|c| c.name == "experiment_id").map_or(0, |i| i + 1);
            columns.insert(at, info("experiment", "text".to_string(), "Name of its experiment."));
            for group in Group::ALL {
                columns.extend(keys(group, counts));
            }
        }
        Table::Experiments => columns.extend(COUNTS.iter().map(|(name, doc)| {
            let data_type = if name.starts_with("n_") { "bigint" } else { "timestamp" };
            info(name, data_type.to_string(), doc)
        })),
        _ => {}
    }
    Ok(columns)
}

fn info(name: &str, data_type: String, doc: &str) -> ColumnInfo {
    // A full stop goes, an ellipsis stays.
    let doc = if doc.ends_with("...") { doc } else { doc.trim_end_matches('.') };
    ColumnInfo { name: name.to_string(), data_type, runs: None, doc: doc.to_string() }
}

fn keys(group: Group, counts: &KeyCounts) -> Vec<ColumnInfo> {
    let runs = |key: &str| match group {
        Group::ParamsNum => counts.params.get(key).map(|c| c.int + c.float),
        Group::Params | Group::ParamsText => counts.params.get(key).map(|c| c.runs()),
        Group::Tags => counts.tags.get(key).copied(),
        Group::Data => counts.data.get(key).copied(),
        _ => counts.metrics.get(key).copied(),
    };
    let column = |key: &str| {
        let misfits = match group {
            Group::Params => counts.params.get(key).map_or(0, |c| c.misfits()),
            _ => 0,
        };
        let doc = match misfits {
            0 => group.doc().to_string(),
            n => format!("{n} of its values are text and read as NULL here; see {}", written(Group::ParamsText, key)),
        };
        ColumnInfo {
            name: written(group, key),
            data_type: leaf_type(group, key, counts).to_string(),
            runs: runs(key),
            doc,
        }
    };
    // A key that never held a number has nothing to show as one.
    group.keys(counts).into_iter().map(column).filter(|c| c.runs != Some(0)).collect()
}
