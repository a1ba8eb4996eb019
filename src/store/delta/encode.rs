//! Rows as the bytes of a Parquet file, its columns encoded on several threads.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;

use crate::store::points::SortedPoints;
use crate::store::{checksum, parallel};

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

/// Columns that are encoded at a time: a writer has a zstd context of 160 KB from its making on, and `runs` may have tens of
/// thousands of leaves.
const MOST_WRITERS: usize = 512;

/// Files of fewer rows have one page in each column, unless the values are long.
pub const ROWS_OF_A_PAGE: usize = 4096;

/// A column of the file, or some leaves of a struct.
struct Piece {
    column: usize,
    /// With just these leaves.
    field: Field,
    /// `None` for a flat column, which is made stride by stride.
    leaves: Option<Vec<ArrowLeafColumn>>,
}

impl Piece {
    fn writers(&self) -> usize {
        self.leaves.as_ref().map_or(1, Vec::len)
    }
}

/// What one thread encodes.
struct Task {
    column: usize,
    /// `None` for a flat column.
    leaf: Option<ArrowLeafColumn>,
    writer: ArrowColumnWriter,
}

/// A Parquet file with these rows, and with checksums of its pages.
pub fn encode(rows: &dyn Columns, properties: WriterProperties) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let schema = declared(rows);
    let per_group = properties.max_row_group_row_count().unwrap_or(usize::MAX);
    let (mut file, _) = ArrowWriter::try_new(&mut out, schema.clone(), Some(properties))?.into_serialized_writer()?;
    let properties = Arc::clone(file.properties());
    let mut begin = 0;
    for group in 0.. {
        if begin == rows.rows() {
            break;
        }
        // A rest of less than half a group goes into the last one: each group costs a reader of every column.
        let mut end = rows.rows().min(begin.saturating_add(per_group));
        if rows.rows() - end < per_group / 2 {
            end = rows.rows();
        }
        let mut row_group = file.next_row_group()?;
        let mut pieces = pieces(rows, &schema, begin..end)?.into_iter().peekable();
        while pieces.peek().is_some() {
            let mut some = Vec::new();
            let mut writers = 0;
            while let Some(piece) = pieces.next_if(|piece| some.is_empty() || writers + piece.writers() <= MOST_WRITERS)
            {
                writers += piece.writers();
                some.push(piece);
            }
            let tasks = tasks(some, &properties, group)?;
            let tasks: Vec<_> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
            let chunks = parallel::each(tasks.len(), |i| {
                let task = tasks[i].lock().unwrap_or_else(|e| e.into_inner()).take().expect("each task is done once");
                run(task, rows, &schema, begin..end)
            });
            for chunk in chunks {
                chunk?.append_to_row_group(&mut row_group)?;
            }
        }
        row_group.close()?;
        begin = end;
    }
    let footer = file.close()?;
    checksum::parquet::add(&mut out, &bounds(&footer));
    Ok(out)
}

/// Where the pieces of a file begin that readers fetch, and where the last one ends: its pages, or its column chunks where there is
/// no index of pages.
fn bounds(footer: &ParquetMetaData) -> Vec<u64> {
    let mut bounds = Vec::new();
    let mut end = 4;
    for (group, columns) in footer.row_groups().iter().enumerate() {
        for (column, chunk) in columns.columns().iter().enumerate() {
            let (begin, len) = chunk.byte_range();
            bounds.push(begin);
            if let Some(index) = footer.offset_index() {
                let pages = index[group][column].page_locations().iter().map(|page| page.offset as u64);
                // Before the first page there may be a dictionary.
                bounds.extend(pages.filter(|offset| *offset > begin));
            }
            end = begin + len;
        }
    }
    bounds.push(end);
    bounds
}

/// The columns of the file. A struct that no row lacks is declared so: then what a reader unpacks of a leaf beside its values is
/// one bit a row, and not a level of two bytes.
fn declared(rows: &dyn Columns) -> SchemaRef {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate().map(|(column, field)| {
        let is_struct = matches!(field.data_type(), DataType::Struct(_));
        if !is_struct || rows.column(column, 0..rows.rows()).null_count() > 0 {
            return Arc::clone(field);
        }
        Arc::new(field.as_ref().clone().with_nullable(false))
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()))
}

/// The columns of the file in its order, structs of many leaves in several pieces.
fn pieces(rows: &dyn Columns, schema: &SchemaRef, range: Range<usize>) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for (column, field) in schema.fields().iter().enumerate() {
        let piece = |field, leaves| Piece { column, field, leaves };
        if !field.data_type().is_nested() {
            pieces.push(piece(field.as_ref().clone(), None));
            continue;
        }
        let mut leaves = compute_leaves(field, &rows.column(column, range.clone()))?;
        match field.data_type() {
            // Leaves of the structs that we write are flat, so there is one column for each.
            DataType::Struct(fields) if fields.len() == leaves.len() => {
                for fields in fields.chunks(MOST_WRITERS) {
                    let rest = leaves.split_off(fields.len());
                    let some = field.as_ref().clone().with_data_type(DataType::Struct(fields.into()));
                    pieces.push(piece(some, Some(std::mem::replace(&mut leaves, rest))));
                }
            }
            _ => pieces.push(piece(field.as_ref().clone(), Some(leaves))),
        }
    }
    Ok(pieces)
}

/// A writer for each column of the pieces.
fn tasks(pieces: Vec<Piece>, properties: &WriterPropertiesPtr, group: usize) -> Result<Vec<Task>> {
    let schema = Arc::new(Schema::new(pieces.iter().map(|piece| piece.field.clone()).collect::<Vec<_>>()));
    let columns = ArrowSchemaConverter::new().convert(&schema)?;
    let file = SerializedFileWriter::new(std::io::sink(), columns.root_schema_ptr(), Arc::clone(properties))?;
    let mut writers = ArrowRowGroupWriterFactory::new(&file, schema).create_column_writers(group)?.into_iter();
    let mut tasks = Vec::new();
    for Piece { column, leaves, .. } in pieces {
        match leaves {
            None => tasks.extend(writers.next().map(|writer| Task { column, leaf: None, writer })),
            Some(leaves) => tasks.extend(leaves.into_iter().zip(writers.by_ref()).map(|(leaf, writer)| Task {
                column,
                leaf: Some(leaf),
                writer,
            })),
        }
    }
    Ok(tasks)
}

fn run(task: Task, rows: &dyn Columns, schema: &SchemaRef, range: Range<usize>) -> Result<ArrowColumnChunk> {
    let Task { column, leaf, mut writer } = task;
    if let Some(leaf) = leaf {
        writer.write(&leaf)?;
        return writer.close();
    }
    for begin in range.clone().step_by(STRIDE) {
        let part = rows.column(column, begin..range.end.min(begin + STRIDE));
        for leaf in compute_leaves(schema.field(column), &part)? {
            writer.write(&leaf)?;
        }
    }
    writer.close()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray, StructArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn a_struct_of_more_leaves_than_are_written_at_a_time_comes_back() {
        let leaves = MOST_WRITERS * 2 + 7;
        let leaf = |i: usize| {
            let values: ArrayRef =
                Arc::new(Float64Array::from_iter((0..10).map(|row| (row != i % 10).then_some(i as f64))));
            (Arc::new(Field::new(format!("p{i}"), DataType::Float64, true)), values)
        };
        let wide: ArrayRef = Arc::new(StructArray::from((0..leaves).map(leaf).collect::<Vec<_>>()));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..10).map(|row| format!("run-{row}"))));
        let after = Arc::clone(&names);
        let rows = RecordBatch::try_from_iter([("name", names), ("wide", wide), ("after", after)]).unwrap();
        for (most, groups) in [(4, vec![4, 4, 2]), (8, vec![10])] {
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(most)).build();
            let bytes = encode(&rows, properties).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
            let found: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
            assert_eq!(found, groups);
            let back: Vec<_> = reader.build().unwrap().map(|rows| rows.unwrap()).collect();
            let schema = declared(&rows);
            assert!(!schema.field_with_name("wide").unwrap().is_nullable(), "no row lacks it");
            let back = arrow::compute::concat_batches(&back[0].schema(), &back).unwrap();
            assert_eq!(back, RecordBatch::try_new(schema, rows.columns().to_vec()).unwrap());
        }
    }
}
