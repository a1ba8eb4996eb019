//! Values of params as a line spells them.

use serde_json::Value;

use crate::model::{Micros, ParamValue};

/// The value as JSON that reads back as the same value, of the same type, in the same spelling.
pub(super) fn json(value: &ParamValue) -> String {
    match value {
        ParamValue::Null => "null".to_string(),
        ParamValue::Bool(b) => b.to_string(),
        ParamValue::Int(i) => i.to_string(),
        // With a point or an exponent, so that it stays a float.
        ParamValue::Float(x) if x.is_finite() => format!("{x:?}"),
        ParamValue::Float(x) => format!("{{\"$float\":{}}}", super::line::number(*x)),
        ParamValue::Text(text) => text_json(text),
        ParamValue::Date(day)
            if chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok_and(|d| d.to_string() == *day) =>
        {
            format!("{{\"$date\":{}}}", text_json(day))
        }
        ParamValue::Time(time) if Micros::parse(&time.to_string()) == Ok(*time) => {
            format!("{{\"$datetime\":{}}}", text_json(&time.to_string()))
        }
        ParamValue::List(json) if json.starts_with('[') && reads_back(json) => json.clone(),
        ParamValue::Dict(json) if json.starts_with('{') && reads_back(json) => json.clone(),
        other => {
            let text = other.text().unwrap_or_default();
            format!("{{\"$param\":{{\"type\":\"{}\",\"value\":{}}}}}", other.type_name(), text_json(&text))
        }
    }
}

fn text_json(text: &str) -> String {
    Value::from(text).to_string()
}

/// Whether the reader of lines would make the same text of it. It takes objects of one key with a `$` for marks, and those who
/// logged the text may have spelt it in another way.
fn reads_back(json: &str) -> bool {
    let is_marked = |value: &Value| match value {
        Value::Object(object) => object.len() == 1 && object.keys().all(|key| key.starts_with('$')),
        _ => false,
    };
    let written = serde_json::from_str::<Value>(json).map(|value| (is_marked(&value), value.to_string()));
    !json.contains("$runlake.") && written.is_ok_and(|(marked, text)| !marked && text == json)
}
