//! Rows of a Parquet file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::super::json;
use super::cell::{Cell, Columns, Row};
use super::rows::Visit;
use crate::model::{Micros, ParamValue};

/// Rows that are read at once.
const BATCH: usize = 1024;

/// Reads the rows of a file.
pub fn rows(file: File, columns: &mut Columns, visit: Visit<'_>) -> Result<(), String> {
    // The reader checks much of what a file claims, not all of it: what trips it is a damaged file, not a reason to stop.
    catch_unwind(AssertUnwindSafe(|| read(file, columns, visit)))
        .unwrap_or_else(|_| Err("it is damaged: the Parquet reader gave up".to_string()))
}

fn read(file: File, columns: &mut Columns, visit: Visit<'_>) -> Result<(), String> {
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    // What Arrow keeps of its own types beside those of Parquet is not needed, and one more thing that can be damaged.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(|e| e.to_string())?;
    for chunk in builder.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        if start < 0 || chunk.compressed_size() < 0 || end.is_none_or(|end| end as u64 > size) {
            let (column, length) = (chunk.column_path(), chunk.compressed_size());
            return Err(format!("column '{column}' claims {length} bytes from byte {start} on in a file of {size}"));
        }
    }
    let reader = builder.with_batch_size(BATCH).build().map_err(|e| e.to_string())?;
    let mut number = 0;
    for batch in reader {
        let batch = batch.map_err(|e| format!("behind row {number}: {e}"))?;
        let mut rows: Vec<Row> =
            (1..=batch.num_rows() as u64).map(|n| Row { number: number + n, cells: Vec::new() }).collect();
        let mut nested = Vec::new();
        let mut flat = Vec::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            flatten(field.name().clone(), column, &mut flat).map_err(|e| e.to_string())?;
        }
        for (name, column) in flat {
            if is_nested(column.data_type()) {
                nested.push((name, column));
                continue;
            }
            let place = columns.place(&name)?;
            let cells = cells(&column).map_err(|e| format!("column '{name}': {e}"))?;
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.cells.extend(cell.map(|cell| (place, cell)));
            }
        }
        if !nested.is_empty() {
            let nested = nested.into_iter().map(|(name, column)| (name, column, true));
            let nested = RecordBatch::try_from_iter_with_nullable(nested).map_err(|e| e.to_string())?;
            self::nested(&nested, &mut rows, columns)?;
        }
        number += batch.num_rows() as u64;
        rows.into_iter().for_each(|row| visit(row, columns));
    }
    Ok(())
}

/// The fields of structures as columns of their own, `a.b`.
fn flatten(name: String, column: &ArrayRef, flat: &mut Vec<(String, ArrayRef)>) -> Result<(), ArrowError> {
    let Some(of) = column.as_struct_opt().filter(|of| of.num_columns() > 0) else {
        flat.push((name, Arc::clone(column)));
        return Ok(());
    };
    for (field, inner) in of.fields().iter().zip(of.columns()) {
        // A structure that is NULL may hold anything.
        let inner = match of.nulls() {
            Some(_) => nullif(inner, &is_null(of)?)?,
            None => Arc::clone(inner),
        };
        flatten(format!("{name}.{}", field.name()), &inner, flat)?;
    }
    Ok(())
}

fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_nested(value),
        other => other.is_nested(),
    }
}

/// The cells of a column of plain values, `None` where there is none.
fn cells(column: &ArrayRef) -> Result<Vec<Option<Cell>>, String> {
    let to = |data_type: DataType| cast(column, &data_type).map_err(|e| e.to_string());
    let typed = ParamValue::Float;
    Ok(match column.data_type() {
        DataType::Null => vec![None; column.len()],
        DataType::Boolean => column.as_boolean().iter().map(|b| b.map(|b| Cell::Typed(b.into()))).collect(),
        DataType::UInt64 => {
            column.as_primitive::<UInt64Type>().iter().map(|x| x.map(|x| Cell::Typed(x.into()))).collect()
        }
        data_type if data_type.is_integer() => {
            to(DataType::Int64)?.as_primitive::<Int64Type>().iter().map(|x| x.map(|x| Cell::Typed(x.into()))).collect()
        }
        data_type if data_type.is_numeric() => to(DataType::Float64)?
            .as_primitive::<Float64Type>()
            .iter()
            .map(|x| x.map(|x| Cell::Typed(typed(x))))
            .collect(),
        DataType::Timestamp(..) => {
            let times = to(DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            times.iter().map(|t| t.map(|t| Cell::Typed(ParamValue::Time(Micros(t))))).collect()
        }
        DataType::Date32 | DataType::Date64 => {
            let days = to(DataType::Date32).and_then(|days| cast(&days, &DataType::Utf8).map_err(|e| e.to_string()))?;
            days.as_string::<i32>().iter().map(|t| t.map(|t| Cell::Typed(ParamValue::Date(t.to_string())))).collect()
        }
        _ => to(DataType::Utf8)?.as_string::<i32>().iter().map(|t| t.map(|t| Cell::Text(t.to_string()))).collect(),
    })
}

/// Lists and maps, by way of JSON.
fn nested(batch: &RecordBatch, rows: &mut [Row], columns: &mut Columns) -> Result<(), String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).map_err(|e| e.to_string())?;
    let lines = String::from_utf8(writer.into_inner()).map_err(|e| e.to_string())?;
    for (row, line) in rows.iter_mut().zip(lines.lines()) {
        if let Ok(serde_json::Value::Object(fields)) = json::parse(line) {
            for (key, value) in fields {
                row.add(json::text(&key), value, columns)?;
            }
        }
    }
    Ok(())
}
