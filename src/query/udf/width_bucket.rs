//! `width_bucket(value, low, high, count)`: which of equal ranges a value lies in, as in PostgreSQL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// `width_bucket(value, low, high, count)`: from 1 to count; 0 below, count + 1 from the end on; the other way about where
/// high is below low.
pub fn width_bucket() -> ScalarUDF {
    let types = vec![DataType::Float64, DataType::Float64, DataType::Float64, DataType::Int64];
    create_udf("width_bucket", types, DataType::Int64, Volatility::Immutable, Arc::new(buckets))
}

fn buckets(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(args)?;
    let floats = |i: usize| arrays[i].as_primitive::<Float64Type>();
    let (values, low, high, counts) = (floats(0), floats(1), floats(2), arrays[3].as_primitive::<Int64Type>());
    let mut found = Int64Array::builder(values.len());
    for row in 0..values.len() {
        let value = values.value(row);
        if arrays.iter().any(|array| array.is_null(row)) || value.is_nan() {
            found.append_null();
            continue;
        }
        found.append_value(bucket(value, low.value(row), high.value(row), counts.value(row))?);
    }
    let found: ArrayRef = Arc::new(found.finish());
    Ok(ColumnarValue::Array(found))
}

fn bucket(value: f64, low: f64, high: f64, count: i64) -> Result<i64> {
    if count < 1 || count == i64::MAX {
        return exec_err!("width_bucket(value, low, high, count): count is 1 at least, not {count}");
    }
    if !low.is_finite() || !high.is_finite() || low == high {
        return exec_err!("width_bucket(value, low, high, count): low and high are two finite numbers");
    }
    let part = (value - low) / (high - low);
    Ok(match part {
        part if part < 0.0 => 0,
        part if part >= 1.0 => count + 1,
        part => (part * count as f64) as i64 + 1,
    })
}
