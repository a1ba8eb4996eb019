//! The SQL names of the types that columns have.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::timestamp;

/// The name of a type, such as `bigint` or `double[]`.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_string(),
        DataType::Int64 => "bigint".to_string(),
        DataType::Float64 => "double".to_string(),
        DataType::Boolean => "boolean".to_string(),
        DataType::Timestamp(..) => "timestamp".to_string(),
        DataType::Date32 => "date".to_string(),
        DataType::Binary => "binary".to_string(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(item) => format!("{}[]", sql_type(item.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

/// The type of a column of a logged table by its name; the other way of [`sql_type`].
pub fn parse_sql_type(name: &str) -> Option<DataType> {
    // Deeper ones are no table of anybody, and each level is a call.
    const DEEPEST: usize = 8;
    let brackets = (name.len() - name.trim_end_matches("[]").len()) / 2;
    if brackets > DEEPEST {
        return None;
    }
    if let Some(item) = name.strip_suffix("[]") {
        return Some(DataType::List(Arc::new(Field::new("item", parse_sql_type(item)?, true))));
    }
    if let Some(inside) = name.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, scale) = inside.split_once(',')?;
        let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        let fits = (1..=38).contains(&precision) && scale >= 0 && scale as u8 <= precision;
        return fits.then_some(DataType::Decimal128(precision, scale));
    }
    Some(match name {
        "text" => DataType::Utf8,
        "bigint" => DataType::Int64,
        "double" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "timestamp" => timestamp(),
        "date" => DataType::Date32,
        "binary" => DataType::Binary,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_types() {
        for name in ["text", "bigint", "double[]", "boolean", "timestamp", "date", "binary[][]", "decimal(10,2)"] {
            assert_eq!(sql_type(&parse_sql_type(name).unwrap()), name);
        }
        for name in ["", "int", "[]", "decimal(39,0)", "decimal(2,3)", "decimal", &format!("text{}", "[]".repeat(9))] {
            assert_eq!(parse_sql_type(name), None, "{name}");
        }
    }
}
