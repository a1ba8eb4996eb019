//! Rows from the bytes of data files.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchReader, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::store::error::{Result, StoreError};

/// All rows in the bytes of a Parquet file; `path` names it in errors.
pub fn decode_file(path: &str, bytes: Bytes) -> Result<RecordBatch> {
    decode_columns(path, bytes, None)
}

/// Parquet columns that are read at a time: the reader of one has zstd contexts of 160 KB, and `runs` may have tens of
/// thousands of leaves.
const MOST_READERS: usize = 512;

/// Like [`decode_file`], with all columns or some.
pub fn decode_columns(path: &str, bytes: Bytes, columns: Option<&[&str]>) -> Result<RecordBatch> {
    let footer = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).map_err(StoreError::parquet(path))?;
    let leaves = footer.parquet_schema().num_columns();
    if columns.is_some() || leaves <= MOST_READERS {
        return collect(path, decode_batches(path, bytes, columns)?);
    }
    let mut parts = Vec::new();
    for begin in (0..leaves).step_by(MOST_READERS) {
        let mask = ProjectionMask::leaves(footer.parquet_schema(), begin..leaves.min(begin + MOST_READERS));
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), footer.clone());
        parts.push(collect(path, batches(path, builder.with_projection(mask))?)?);
    }
    beside(&parts).map_err(StoreError::arrow(path))
}

/// The columns of several batches with the same rows; a struct may go on from one batch to the next.
fn beside(parts: &[RecordBatch]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut columns: Vec<(Arc<Field>, ArrayRef)> = Vec::new();
    for part in parts {
        for (field, column) in part.schema().fields().iter().zip(part.columns()) {
            let Some((_, begun)) = columns.last_mut().filter(|(last, _)| last.name() == field.name()) else {
                columns.push((Arc::clone(field), Arc::clone(column)));
                continue;
            };
            let (first, more) = (begun.as_struct(), column.as_struct());
            let fields: Vec<_> = first.fields().iter().chain(more.fields()).cloned().collect();
            let arrays = first.columns().iter().chain(more.columns()).cloned().collect();
            *begun = Arc::new(StructArray::try_new(fields.into(), arrays, first.nulls().cloned())?);
        }
    }
    let fields: Vec<_> =
        columns.iter().map(|(f, c)| f.as_ref().clone().with_data_type(c.data_type().clone())).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
}

fn collect(
    path: &str,
    (schema, batches): (SchemaRef, impl Iterator<Item = Result<RecordBatch>>),
) -> Result<RecordBatch> {
    let batches = batches.collect::<Result<Vec<_>>>()?;
    concat_batches(&schema, &batches).map_err(StoreError::arrow(path))
}

/// The rows in the bytes of a Parquet file batch by batch, and their schema; with all columns or some.
pub fn decode_batches(
    path: &str,
    bytes: Bytes,
    columns: Option<&[&str]>,
) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch>> + use<>)> {
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(StoreError::parquet(path))?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    batches(path, builder)
}

fn batches(
    path: &str,
    builder: ParquetRecordBatchReaderBuilder<Bytes>,
) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch>> + use<>)> {
    let path = path.to_string();
    let reader = builder.with_batch_size(64 * 1024).build().map_err(StoreError::parquet(path.clone()))?;
    let empty = RecordBatch::new_empty(reader.schema());
    let schema = plain(&empty).map_err(StoreError::arrow(&path))?.schema();
    let batches = reader.map(move |rows| {
        let rows = rows.map_err(|e| StoreError::parquet(path.clone())(e.into()))?;
        plain(&rows).map_err(StoreError::arrow(&path))
    });
    Ok((schema, batches))
}

/// Rows with the string types of our own files.
fn plain(rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let target = match field.data_type() {
            DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        columns.push(arrow::compute::cast(column, &target)?);
        fields.push(Field::new(field.name(), target, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn a_file_of_more_columns_than_are_read_at_a_time_is_read_whole() {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let leaf = |i: usize| {
            let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(i as f64), None]));
            (Arc::new(Field::new(format!("p{i}"), DataType::Float64, true)), values)
        };
        let wide: ArrayRef = Arc::new(StructArray::from((0..MOST_READERS + 9).map(leaf).collect::<Vec<_>>()));
        let columns = [("name", names.clone(), true), ("wide", wide, true), ("after", names, true)];
        let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        assert_eq!(decode_file("a file", bytes.into()).unwrap(), rows);
    }
}
