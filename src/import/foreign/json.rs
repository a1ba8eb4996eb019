//! JSON as Python writes it: `NaN` and infinities stand there bare.

use serde_json::Value;

use crate::model::ParamValue;

/// Stands before a number that JSON cannot spell, which is kept as text.
const MARK: char = '\u{0}';
/// The same, as JSON spells it.
const ESCAPED_MARK: &str = "\\u0000";

/// Reads JSON. Numbers that it cannot spell are text that [`number`] and [`param`] know.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    match serde_json::from_str(text) {
        Err(_) if text.contains("NaN") || text.contains("Infinity") => serde_json::from_str(&quoted(text)),
        other => other,
    }
}

/// The text with bare numbers that are none put into quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let (mut rest, mut inside) = (text, false);
    while let Some(c) = rest.chars().next() {
        let bare = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !inside && rest.starts_with(word));
        if let Some(word) = bare {
            out.push_str(&format!("\"{ESCAPED_MARK}{word}\""));
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = c.len_utf8();
        match c {
            '"' => inside = !inside,
            // What follows is part of the text, a quote too.
            '\\' if inside => taken += rest[taken..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// The number that a value is.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.strip_prefix(MARK)?.replace("Infinity", "inf").parse().ok(),
        _ => None,
    }
}

/// A value as that of a param; text is typed as the number or truth value that it spells.
pub fn param(value: &Value) -> ParamValue {
    match value {
        Value::Null => ParamValue::Null,
        Value::Bool(b) => ParamValue::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(int), _) => int.into(),
            (_, Some(int)) => int.into(),
            _ => n.as_f64().map_or_else(|| n.to_string().into(), ParamValue::Float),
        },
        Value::String(text) => ParamValue::from_spelling(text.strip_prefix(MARK).unwrap_or(text)),
        Value::Array(_) => ParamValue::List(self::text(value)),
        Value::Object(_) => ParamValue::Dict(self::text(value)),
    }
}

/// A list or an object as JSON text again.
pub fn text(value: &Value) -> String {
    value.to_string().replace(ESCAPED_MARK, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bare_numbers_are_read_outside_of_text() {
        let value = parse(r#"{"a": NaN, "b": [-Infinity, "NaN \" Infinity"], "c": 1}"#).unwrap();
        assert!(number(&value["a"]).unwrap().is_nan());
        assert_eq!(number(&value["b"][0]), Some(f64::NEG_INFINITY));
        assert_eq!(value["b"][1], "NaN \" Infinity");
        assert_eq!(param(&value["a"]).type_name(), "float");
        assert_eq!(text(&value["b"]), r#"["-Infinity","NaN \" Infinity"]"#);
        assert!(parse("{NaN}").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_a_value(text in "[\\[\\]{}\",:NaInfity0-9 \\\\-]{0,60}") {
            if let Ok(value) = parse(&text) {
                param(&value);
            }
            quoted(&text);
        }
    }
}
