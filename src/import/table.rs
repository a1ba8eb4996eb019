//! The columns of a `table` line as a batch of rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, Schema};
use serde_json::Value;

use super::typed;
use super::values::Pairs;
use crate::schema::parse_sql_type;

/// Makes rows out of columns. A column of whole numbers becomes bigint, of any numbers double, of true and false
/// boolean, and all others text, where values that are no text are written as JSON; null fits everywhere. `types` names the
/// type of a column where it is to be another one.
pub fn rows(columns: &Pairs<Vec<Value>>, types: &Pairs<String>) -> Result<RecordBatch, String> {
    let mut asked = HashMap::new();
    for (name, type_name) in &types.0 {
        if !columns.0.iter().any(|(column, _)| column == name) {
            return Err(format!("'types' names the column '{name}', which the table does not have"));
        }
        let data_type = parse_sql_type(type_name)
            .ok_or_else(|| format!("column '{name}' cannot have the type '{}'", type_name.escape_debug()))?;
        asked.insert(name, data_type);
    }
    let Some((first, values)) = columns.0.first() else { return Err("a table needs a column".to_string()) };
    let n = values.len();
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (name, values) in &columns.0 {
        if values.len() != n {
            return Err(format!(
                "column '{first}' has {n} values and column '{name}' has {}; all columns of a table have one length",
                values.len()
            ));
        }
        let array = match asked.get(name) {
            Some(data_type) => typed::column(values, data_type).map_err(|e| format!("column '{name}': {e}"))?,
            None => column(values),
        };
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(n));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(|e| e.to_string())
}

fn column(values: &[Value]) -> ArrayRef {
    let all = |fits: fn(&Value) -> bool| values.iter().all(|v| v.is_null() || fits(v));
    let some = values.iter().any(|v| !v.is_null());
    if some && all(Value::is_i64) {
        Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>())
    } else if some && all(|v| number(v).is_some()) && values.iter().any(Value::is_number) {
        Arc::new(values.iter().map(number).collect::<Float64Array>())
    } else if some && all(Value::is_boolean) {
        Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>())
    } else {
        let text = |v: &Value| match v {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            json => Some(json.to_string()),
        };
        Arc::new(values.iter().map(text).collect::<StringArray>())
    }
}

/// A number; the spelt ones count only beside real ones, since a column of the text "NaN" alone is text.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(x) => x.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
