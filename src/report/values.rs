//! Values of a template: out of answers, as text for people, and as constants of SQL.

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use minijinja::value::{Value, ValueKind};

use super::marks::MARKS;
use crate::export::value::{self as cell, Floats};
use crate::query::quoted;

/// A value as people read it.
pub fn text_of(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "NULL".to_string(),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(x) => cell::float(x, Floats::Readable),
            Err(_) => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// A value as a constant of SQL; a list as one for `IN`.
pub fn sql_of(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "NULL".to_string(),
        ValueKind::Bool => value.to_string(),
        ValueKind::Number => {
            let number = match f64::try_from(value.clone()) {
                _ if value.is_integer() => value.to_string(),
                Ok(x) if x.is_finite() => format!("{x:?}"),
                Ok(x) => return format!("CAST('{x}' AS DOUBLE)"),
                Err(_) => value.to_string(),
            };
            // `1-{{ x }}` would begin a comment.
            if number.starts_with('-') { format!("({number})") } else { number }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map(|items| items.map(|item| sql_of(&item)).collect::<Vec<_>>());
            match items.unwrap_or_default().as_slice() {
                // There is no empty list in SQL, only a query without rows.
                [] => "(SELECT NULL WHERE false)".to_string(),
                items => format!("({})", items.join(", ")),
            }
        }
        _ => quoted(&value.to_string()),
    }
}

/// A value that `--param` gives, or a caller.
pub fn of_scalar(scalar: &ScalarValue) -> Value {
    match scalar.to_array() {
        Ok(array) => of_cell(array.as_ref(), 0),
        Err(_) => Value::from(scalar.to_string()),
    }
}

/// A value for a `$name` of a query; `None` where it is none, such as a list.
pub fn to_scalar(value: &Value) -> Option<ScalarValue> {
    Some(match value.kind() {
        ValueKind::None => ScalarValue::Null,
        ValueKind::Bool => ScalarValue::from(value.is_true()),
        ValueKind::Number if value.is_integer() => match i64::try_from(value.clone()) {
            Ok(i) => ScalarValue::from(i),
            Err(_) => ScalarValue::from(value.to_string()),
        },
        ValueKind::Number => f64::try_from(value.clone()).map_or(ScalarValue::Null, ScalarValue::from),
        ValueKind::String => ScalarValue::from(value.to_string()),
        _ => return None,
    })
}

/// A cell of an answer.
pub fn of_cell(array: &dyn Array, row: usize) -> Value {
    use cell::Value as Cell;
    match cell::value(array, row) {
        Cell::Null => Value::from(()),
        Cell::Bool(b) => Value::from(b),
        Cell::Int(i) => Value::from(i),
        Cell::UInt(u) => Value::from(u),
        Cell::Float(x) => Value::from(x),
        Cell::Float32(x) => Value::from(f64::from(x)),
        // As a number as far as a double has all its digits, so that it can be rounded and compared.
        Cell::Decimal(digits) if digits.bytes().filter(u8::is_ascii_digit).count() <= 15 => {
            digits.parse::<f64>().map_or_else(|_| Value::from(digits), Value::from)
        }
        Cell::List(items) if !matches!(array.data_type(), DataType::Dictionary(..)) => {
            Value::from((0..items.len()).map(|i| of_cell(items.as_ref(), i)).collect::<Vec<_>>())
        }
        other => {
            let mut text = String::new();
            other.write_text(Floats::Exact, &mut text);
            // Nobody writes marks but we.
            Value::from(text.replace(MARKS, "\u{fffd}"))
        }
    }
}
