//! The tables: one file each, with the Arrow schema, what each column means, and the way from run states to rows.

mod artifacts;
mod cell;
mod comments;
mod data_versions;
mod environment;
mod experiments;
mod features;
mod links;
mod metric_defs;
mod metric_stats;
mod metrics;
mod packages;
mod params;
mod rows;
mod runs;
mod series;
mod sql_type;
mod table;
mod tags;
pub mod wide;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use artifacts::ArtifactRow;
pub use cell::{Cell, timestamp};
pub use comments::CommentRow;
pub use data_versions::DataVersionRow;
pub use environment::EnvironmentRow;
pub use experiments::ExperimentRow;
pub use features::FeatureRow;
pub use links::LinkRow;
pub use metric_defs::MetricDefRow;
pub use metric_stats::MetricStatRow;
pub use metrics::MetricRow;
pub use packages::PackageRow;
pub use params::ParamRow;
pub(crate) use rows::rows;
pub use runs::{HIDDEN_STATE, RunRow};
pub use series::SeriesRow;
pub use sql_type::{parse_sql_type, sql_type};
pub use table::{RunContext, RunTables, Table, same_rows, shown_tags};
pub use tags::TagRow;

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its SQL name.
    pub name: &'static str,
    /// Its Arrow type.
    pub data_type: DataType,
    /// What it means.
    pub doc: &'static str,
}

/// A row of a table, as a Rust struct.
pub trait Row: Sized {
    /// Collects rows column by column.
    type Builder: Default;
    /// The columns, in order.
    fn columns() -> &'static [Column];
    /// Adds a row.
    fn push(builder: &mut Self::Builder, row: Self);
    /// The rows as a batch with `schema()`.
    fn finish(builder: Self::Builder) -> RecordBatch;
    /// Reads rows back; columns are found by name, others are ignored.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, SchemaMismatch>;

    /// Rows as a batch with `schema()`.
    fn to_batch(rows: impl IntoIterator<Item = Self>) -> RecordBatch {
        let mut builder = Self::Builder::default();
        rows.into_iter().for_each(|row| Self::push(&mut builder, row));
        Self::finish(builder)
    }

    /// The columns as an Arrow schema.
    fn schema() -> SchemaRef {
        arrow_schema(Self::columns())
    }
}

/// Columns as an Arrow schema.
fn arrow_schema(columns: &[Column]) -> SchemaRef {
    // Nullable in the file whatever the row struct says: an engine that rewrites a table may not keep the difference.
    let fields = columns.iter().map(|c| Field::new(c.name, c.data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A file whose columns are not those of its table.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SchemaMismatch {
    /// A column is not there.
    #[error("column '{0}' is missing")]
    Missing(String),
    /// A column has a type that does not convert.
    #[error("column '{name}' has type {found}, not {expected}")]
    Type {
        /// Its name.
        name: String,
        /// The type in the file.
        found: DataType,
        /// The type of the table.
        expected: DataType,
    },
}

/// Finds a column by name and gives it the wanted type: files that another engine rewrote may hold another string type.
pub fn column(batch: &RecordBatch, name: &str, expected: &DataType) -> Result<ArrayRef, SchemaMismatch> {
    let found = batch.column_by_name(name).ok_or_else(|| SchemaMismatch::Missing(name.to_string()))?;
    if found.data_type() == expected {
        return Ok(Arc::clone(found));
    }
    cast(found, expected).map_err(|_| SchemaMismatch::Type {
        name: name.to_string(),
        found: found.data_type().clone(),
        expected: expected.clone(),
    })
}

#[cfg(test)]
mod tests;
