//! Rows of a logged table as one line, with the types of their columns.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::line::{Line, number};
use crate::model::{Micros, RunId};
use crate::schema::sql_type;

/// The line of some rows.
pub(super) fn line(run: &RunId, name: &str, rows: &RecordBatch) -> Line {
    let schema = rows.schema();
    let named = |json: &dyn Fn(usize) -> String| {
        let fields = schema.fields().iter().enumerate();
        let entries: Vec<_> = fields.map(|(i, f)| format!("{}:{}", Value::from(f.name().as_str()), json(i))).collect();
        format!("{{{}}}", entries.join(","))
    };
    let types = named(&|i| Value::from(sql_type(schema.field(i).data_type())).to_string());
    let columns = named(&|i| list(rows.column(i).as_ref()));
    Line::of("table", run).with("name", name).raw("types", &types).raw("columns", &columns)
}

fn list(array: &dyn Array) -> String {
    let cells: Vec<_> = (0..array.len()).map(|row| cell(array, row)).collect();
    format!("[{}]", cells.join(","))
}

/// A cell; tables of runs have no other types than these.
fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_string();
    }
    let text = |text: &str| Value::from(text).to_string();
    match array.data_type() {
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Binary => text(&BASE64_STANDARD.encode(array.as_binary::<i32>().value(row))),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            // Those beyond the years that have four digits are numbers.
            match Date32Type::to_naive_date_opt(days).map(|day| day.to_string()) {
                Some(day) if day.len() == 10 => text(&day),
                _ => days.to_string(),
            }
        }
        DataType::Timestamp(..) => {
            let time = Micros(array.as_primitive::<TimestampMicrosecondType>().value(row));
            match Micros::parse(&time.to_string()) == Ok(time) {
                true => text(&time.to_string()),
                false => time.0.to_string(),
            }
        }
        DataType::Decimal128(..) => text(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        other => unreachable!("tables of runs have no column of type {other}"),
    }
}
