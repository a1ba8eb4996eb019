//! Rows as the bytes of a Parquet file, its columns encoded on several threads.

use std::ops::Range;
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, compute_leaves};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;

use crate::store::parallel;
use crate::store::points::SortedPoints;

/// Rows that can be had column by column.
pub trait Columns: Sync {
    /// The columns of the file.
    fn schema(&self) -> SchemaRef;
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Some rows of one column; text may come as a dictionary.
    fn column(&self, column: usize, rows: Range<usize>) -> ArrayRef;
    /// The smallest and the greatest text in a column; `None` where it has none or is no text.
    fn range(&self, column: &str) -> Option<(String, String)>;
}

impl Columns for RecordBatch {
    fn schema(&self) -> SchemaRef {
        RecordBatch::schema(self)
    }

    fn rows(&self) -> usize {
        self.num_rows()
    }

    fn column(&self, column: usize, rows: Range<usize>) -> ArrayRef {
        RecordBatch::column(self, column).slice(rows.start, rows.len())
    }

    fn range(&self, column: &str) -> Option<(String, String)> {
        let values = self.column_by_name(column)?;
        if values.data_type() != &DataType::Utf8 || values.null_count() > 0 {
            return None;
        }
        let values = values.as_string::<i32>();
        let min = arrow::compute::min_string(values)?;
        let max = arrow::compute::max_string(values)?;
        Some((min.to_string(), max.to_string()))
    }
}

impl Columns for SortedPoints<'_> {
    fn schema(&self) -> SchemaRef {
        self.schema()
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn column(&self, column: usize, rows: Range<usize>) -> ArrayRef {
        self.column(column, rows)
    }

    fn range(&self, column: &str) -> Option<(String, String)> {
        self.range(column)
    }
}

/// Rows of a flat column that are made at a time.
const STRIDE: usize = 128 * 1024;

/// What one thread encodes: a flat column piece by piece, or one leaf of a struct.
enum Task {
    Column(usize, ArrowColumnWriter),
    Leaf(ArrowLeafColumn, ArrowColumnWriter),
}

/// Appends a Parquet file with these rows to `out`.
pub fn encode(rows: &dyn Columns, properties: WriterProperties, out: &mut Vec<u8>) -> Result<()> {
    let schema = rows.schema();
    let per_group = properties.max_row_group_row_count().unwrap_or(usize::MAX);
    let (mut file, factory) = ArrowWriter::try_new(out, schema.clone(), Some(properties))?.into_serialized_writer()?;
    let mut begin = 0;
    for group in 0.. {
        let end = rows.rows().min(begin + per_group);
        if begin == end {
            break;
        }
        let tasks = tasks(rows, &schema, begin..end, factory.create_column_writers(group)?)?;
        let tasks: Vec<_> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
        let chunks = parallel::each(tasks.len(), |i| {
            let task = tasks[i].lock().unwrap_or_else(|e| e.into_inner()).take().expect("each task is done once");
            run(task, rows, &schema, begin..end)
        });
        let mut row_group = file.next_row_group()?;
        for chunk in chunks {
            chunk?.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        begin = end;
    }
    file.close()?;
    Ok(())
}

fn tasks(
    rows: &dyn Columns,
    schema: &SchemaRef,
    range: Range<usize>,
    writers: Vec<ArrowColumnWriter>,
) -> Result<Vec<Task>> {
    let mut writers = writers.into_iter();
    let mut tasks = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        if is_flat(field) {
            tasks.extend(writers.next().map(|writer| Task::Column(i, writer)));
        } else {
            let leaves = compute_leaves(field, &rows.column(i, range.clone()))?;
            tasks.extend(leaves.into_iter().zip(writers.by_ref()).map(|(leaf, writer)| Task::Leaf(leaf, writer)));
        }
    }
    Ok(tasks)
}

fn is_flat(field: &Field) -> bool {
    !field.data_type().is_nested()
}

fn run(task: Task, rows: &dyn Columns, schema: &SchemaRef, range: Range<usize>) -> Result<ArrowColumnChunk> {
    match task {
        Task::Leaf(leaf, mut writer) => {
            writer.write(&leaf)?;
            writer.close()
        }
        Task::Column(i, mut writer) => {
            for begin in range.clone().step_by(STRIDE) {
                let part = rows.column(i, begin..range.end.min(begin + STRIDE));
                for leaf in compute_leaves(schema.field(i), &part)? {
                    writer.write(&leaf)?;
                }
            }
            writer.close()
        }
    }
}
