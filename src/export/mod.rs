//! Result rows written as text or files: one trait, one file per format.
//!
//! Data formats (CSV, TSV, JSON, NDJSON, Parquet, Arrow) keep values exact: floats have as many digits as it takes to
//! read the same number back, times are RFC 3339 in UTC, NULL and empty text differ. Formats for people (table, line,
//! Markdown, HTML) show what would disturb a terminal or a page as an escape; only the table rounds floats.
//!
//! All but the table write as rows come, so memory stays flat.

mod arrow_file;
mod csv;
mod html;
mod json;
mod line;
mod markdown;
mod parquet_file;
mod runs;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod value;
mod visible;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::errors::ParquetError;

pub(crate) use html::escape_html;
pub(crate) use markdown::{escape_markdown, markdown_table};
pub use runs::{FILES, LINES, LostFile, RunsError, RunsOptions, RunsWritten, write_runs};
pub use table::{TableOptions, render_table};
pub(crate) use visible::is_unsafe;
pub use visible::{clip, display_width, escape};

/// A form that rows can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// Comma-separated values with a header; NULL is empty, empty text is `""`.
    Csv,
    /// Like CSV, with tabs.
    Tsv,
    /// One array of objects.
    Json,
    /// One object per line.
    Ndjson,
    /// A Markdown table.
    Markdown,
    /// An HTML page with a table.
    Html,
    /// One line per value, for wide rows.
    Line,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

impl Format {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Format; 10] = [
        Format::Table,
        Format::Csv,
        Format::Tsv,
        Format::Json,
        Format::Ndjson,
        Format::Markdown,
        Format::Html,
        Format::Line,
        Format::Parquet,
        Format::Arrow,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Markdown => "markdown",
            Format::Html => "html",
            Format::Line => "line",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        }
    }

    /// The format that the ending of a file name asks for.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "json" => Some(Format::Json),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "md" | "markdown" => Some(Format::Markdown),
            "html" | "htm" => Some(Format::Html),
            "parquet" | "pq" => Some(Format::Parquet),
            "arrow" | "feather" | "ipc" => Some(Format::Arrow),
            _ => None,
        }
    }

    /// Whether it is bytes that no terminal should see, and holds the rows of one statement only.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }

    /// Whether several results one after the other need no blank line between them.
    pub fn is_self_delimiting(self) -> bool {
        matches!(self, Format::Json | Format::Ndjson | Format::Html) || self.is_binary()
    }

    /// Whether text in it is already safe to show on a terminal.
    pub fn is_terminal_safe(self) -> bool {
        !matches!(self, Format::Csv | Format::Tsv) && !self.is_binary()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format '{0}'; there are {list}", list = Format::ALL.map(Format::name).join(", "))]
pub struct InvalidFormat(pub String);

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        match text.to_ascii_lowercase().as_str() {
            "jsonl" => Ok(Format::Ndjson),
            "md" => Ok(Format::Markdown),
            name => Format::ALL
                .into_iter()
                .find(|f| f.name() == name)
                .ok_or_else(|| InvalidFormat(escape(text).into_owned())),
        }
    }
}

/// What can go wrong while rows are written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The writer failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The rows do not fit the format.
    #[error("these rows cannot be written as {format}: {message}")]
    Unfit {
        /// The format.
        format: Format,
        /// What it refused.
        message: String,
    },
}

impl ExportError {
    /// Whether whoever read the output has gone away.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, ExportError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    fn arrow(e: ArrowError) -> Self {
        match e {
            ArrowError::IoError(_, e) => ExportError::Io(e),
            e => ExportError::Unfit { format: Format::Arrow, message: e.to_string() },
        }
    }

    fn parquet(e: ParquetError) -> Self {
        match e {
            ParquetError::External(e) => match e.downcast::<io::Error>() {
                Ok(e) => ExportError::Io(*e),
                Err(e) => ExportError::Unfit { format: Format::Parquet, message: e.to_string() },
            },
            e => ExportError::Unfit { format: Format::Parquet, message: e.to_string() },
        }
    }
}

/// What writing rows gives.
pub type Result<T, E = ExportError> = std::result::Result<T, E>;

/// What was written, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Rows that came in.
    pub rows: usize,
    /// Rows among them that are not shown.
    pub hidden_rows: usize,
    /// Columns that are not shown.
    pub hidden_columns: Vec<String>,
}

/// A writer of rows in one format: one call of `schema`, any number of `batch`, then `finish`.
pub trait Sink: Send {
    /// Takes the columns, before any row.
    fn schema(&mut self, schema: &Schema) -> Result<()>;

    /// Takes rows.
    fn batch(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what is left.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// Where a sink writes.
pub type Output<'w> = &'w mut (dyn Write + Send);

/// The sink of a format; `table` matters to [`Format::Table`] alone.
pub fn sink<'w>(format: Format, out: Output<'w>, table: &TableOptions) -> Box<dyn Sink + 'w> {
    match format {
        Format::Table => Box::new(table::TableSink::new(out, table.clone())),
        Format::Csv => Box::new(csv::CsvSink::new(out, b',')),
        Format::Tsv => Box::new(csv::CsvSink::new(out, b'\t')),
        Format::Json => Box::new(json::JsonSink::array(out)),
        Format::Ndjson => Box::new(json::JsonSink::lines(out)),
        Format::Markdown => Box::new(markdown::MarkdownSink::new(out)),
        Format::Html => Box::new(html::HtmlSink::new(out)),
        Format::Line => Box::new(line::LineSink::new(out)),
        Format::Parquet => Box::new(parquet_file::ParquetSink::new(out)),
        Format::Arrow => Box::new(arrow_file::ArrowSink::new(out)),
    }
}

/// Column names, each once: a join may give two columns one name, where an object or a file can hold only one.
fn unique_names(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = field.name();
        // A later column may own the name that a number makes.
        let owned = |name: &String| schema.fields().iter().any(|field| field.name() == name);
        let mut unique = name.clone();
        let mut number = 2;
        while names.contains(&unique) || number > 2 && owned(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

/// The schema that a file gets: unique names, everything nullable (the engine's word on that is not always right).
fn file_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = std::iter::zip(schema.fields(), unique_names(schema))
        .map(|(field, name)| field.as_ref().clone().with_name(name).with_nullable(true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The same rows under the schema of the file.
fn with_schema(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
}
