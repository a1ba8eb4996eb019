//! A column of a `table` line whose type is named.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::cast_utils::parse_decimal;
use arrow::datatypes::{DataType, Decimal128Type};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::NaiveDate;
use serde_json::Value;

use super::table::number;
use crate::model::Micros;

/// Reads values as a type that [`crate::schema::parse_sql_type`] gives.
pub fn column(values: &[Value], data_type: &DataType) -> Result<ArrayRef, String> {
    Ok(match data_type {
        DataType::Utf8 => Arc::new(StringArray::from(each(values, "a text", Value::as_str)?)),
        DataType::Int64 => Arc::new(Int64Array::from(each(values, "a whole number of 64 bits", Value::as_i64)?)),
        DataType::Float64 => Arc::new(Float64Array::from(each(values, "a number", number)?)),
        DataType::Boolean => Arc::new(BooleanArray::from(each(values, "true or false", Value::as_bool)?)),
        DataType::Date32 => {
            Arc::new(Date32Array::from(each(values, "a day like \"2026-11-23\", or days since 1970", day)?))
        }
        DataType::Timestamp(..) => {
            let times = each(values, "a time like \"2026-11-23T09:30:00Z\", or microseconds since 1970", time)?;
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
        }
        DataType::Binary => {
            let bytes = each(values, "bytes in base64", |v| BASE64_STANDARD.decode(v.as_str()?).ok())?;
            Arc::new(BinaryArray::from_iter(bytes))
        }
        DataType::Decimal128(precision, scale) => {
            let digits = |v: &Value| parse_decimal::<Decimal128Type>(v.as_str()?, *precision, *scale).ok();
            let what = format!("digits like \"1.25\" that fit decimal({precision},{scale})");
            let numbers = Decimal128Array::from(each(values, &what, digits)?);
            Arc::new(numbers.with_precision_and_scale(*precision, *scale).map_err(|e| e.to_string())?)
        }
        DataType::List(item) => {
            let lists = each(values, "a list", Value::as_array)?;
            let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
            let (offsets, nulls) =
                (OffsetBuffer::from_lengths(lengths), NullBuffer::from_iter(lists.iter().map(Option::is_some)));
            let items: Vec<Value> = lists.into_iter().flatten().flatten().cloned().collect();
            let items = column(&items, item.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, Some(nulls)).map_err(|e| e.to_string())?)
        }
        other => return Err(format!("no line can spell values of type {other}")),
    })
}

fn each<'v, T>(
    values: &'v [Value],
    what: &str,
    read: impl Fn(&'v Value) -> Option<T>,
) -> Result<Vec<Option<T>>, String> {
    let one = |value: &'v Value| match value {
        Value::Null => Ok(None),
        value => read(value).map(Some).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(100).collect();
            format!("{shown} is not {what}")
        }),
    };
    values.iter().map(one).collect()
}

fn day(value: &Value) -> Option<i32> {
    match value {
        Value::String(text) => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
        }
        other => i32::try_from(other.as_i64()?).ok(),
    }
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => Micros::parse(text).ok().map(|t| t.0),
        other => other.as_i64(),
    }
}
