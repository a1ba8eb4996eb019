//! JSON as Python writes it: with bare `NaN` and `Infinity`, and whole numbers of any length, none of which JSON has.
//!
//! Such numbers are turned into text that begins with a NUL before the text is parsed, and back when it is rendered.
//! Text of the source that begins with a NUL gets a second one, so that neither can be taken for the other.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::ParamValue;

/// What text begins with that is a number.
const MARK: char = '\0';
/// Digits that always fit a 64-bit integer.
const SAFE_DIGITS: usize = 18;

/// Reads JSON as Python writes it.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(&standard(text)).map_err(|e| format!("it is no JSON: {e}"))
}

/// Plain JSON of the same content.
fn standard(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut plain = String::new();
    // What stands before this is in `plain` already.
    let (mut copied, mut at) = (0, 0);
    let mut replace = |from: usize, to: usize, new: &str| {
        plain.push_str(&text[copied..from]);
        plain.push_str(new);
        copied = to;
    };
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let end = match bytes[at] {
            b'"' => {
                if rest[1..].starts_with(br"\u0000") {
                    replace(at + 1, at + 1, r"\u0000");
                }
                at + string_length(rest)
            }
            b'N' if rest.starts_with(b"NaN") => at + 3,
            b'I' if rest.starts_with(b"Infinity") => at + 8,
            b'-' if rest.starts_with(b"-Infinity") => at + 9,
            b'-' | b'0'..=b'9' => {
                at + rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count()
            }
            _ => {
                at += 1;
                continue;
            }
        };
        if bytes[at] != b'"' {
            let number = &text[at..end];
            if let Some(word) = beyond(number) {
                replace(at, end, &format!("\"\\u0000{word}\""));
            }
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    plain.push_str(&text[copied..]);
    Cow::Owned(plain)
}

/// Bytes of a string with its quotes; to the end of the text if it has none.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The number in a word of ours if it is one that JSON, or its reader, does not have.
fn beyond(number: &str) -> Option<&str> {
    if number.ends_with(['N', 'y']) {
        return Some(number);
    }
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return (digits.len() > SAFE_DIGITS && !digits.starts_with('0')).then_some(number);
    }
    match number.parse::<f64>() {
        Ok(x) if x == f64::INFINITY => Some("Infinity"),
        Ok(x) if x == f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// The number that a parsed text stands for: `NaN`, `Infinity`, `-Infinity`, or digits.
pub fn number(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|rest| !rest.starts_with(MARK))
}

/// A double, also one that JSON does not have.
pub fn from_double(x: f64) -> Value {
    let word = match x {
        x if x.is_finite() => return Value::from(x),
        x if x.is_nan() => "NaN",
        x if x > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    Value::String(format!("{MARK}{word}"))
}

/// Text, so that it is taken for no number.
pub fn from_text(text: &str) -> Value {
    match text.starts_with(MARK) {
        true => Value::String(format!("{MARK}{text}")),
        false => Value::from(text),
    }
}

/// The double in a word of [`number`] if it is not a finite one.
pub fn not_finite(word: &str) -> Option<f64> {
    match word {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A value as that of a param; text is typed as the number or truth value that it spells.
pub fn param(value: &Value) -> ParamValue {
    match value {
        Value::Null => ParamValue::Null,
        Value::Bool(b) => ParamValue::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => ParamValue::Int(i.into()),
            (None, Some(u)) => ParamValue::Int(u.into()),
            (None, None) => ParamValue::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(s) => match number(s) {
            Some(word) => match word.parse::<i128>() {
                Ok(int) => ParamValue::Int(int),
                Err(_) => not_finite(word).map_or_else(|| ParamValue::Text(word.to_string()), ParamValue::Float),
            },
            None => ParamValue::from_spelling(text(s)),
        },
        Value::Array(_) => ParamValue::List(render(value)),
        Value::Object(_) => ParamValue::Dict(render(value)),
    }
}

/// A parsed text as it stood there.
pub fn text(text: &str) -> &str {
    match text.strip_prefix(MARK) {
        Some(rest) if rest.starts_with(MARK) => rest,
        _ => text,
    }
}

/// The text of a value, if it is one.
pub fn as_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|t| number(t).is_none()).map(text)
}

/// JSON as Python writes it. Keys are sorted: the order in which they are parsed depends on how the parser was built.
pub fn render(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::String(s) => match number(s) {
            Some(word) => out.push_str(word),
            None => out.push_str(&Value::from(text(s)).to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                out.push_str(&Value::from(text(key)).to_string());
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_json_lacks_survive_and_text_stays_text() {
        let python = r#"{"a": [NaN, Infinity, -Infinity, 340282366920938463463374607431768211457, -7, 1e-05], "b": "NaN \" Infinity, -Infinity", "c\\": "-Infinity"}"#;
        let value = parse(python).unwrap();
        assert_eq!(number(value["a"][0].as_str().unwrap()), Some("NaN"));
        assert_eq!(number(value["a"][3].as_str().unwrap()), Some("340282366920938463463374607431768211457"));
        assert_eq!(as_text(&value["b"]), Some("NaN \" Infinity, -Infinity"));
        assert_eq!(render(&value), python.replace("1e-05", "0.00001"));
        assert_eq!(render(&parse("[1e999, -1e999, 0.5]").unwrap()), "[Infinity, -Infinity, 0.5]");
    }

    #[test]
    fn text_with_the_mark_is_no_number() {
        for text in [r#""\u0000NaN""#, r#""\u0000\u000012""#, r#"{"\u0000NaN": "\u0000"}"#] {
            let value = parse(text).unwrap();
            assert!(value.as_str().is_none_or(|s| number(s).is_none()));
            assert_eq!(render(&value), text);
        }
    }

    #[test]
    fn what_is_made_here_is_read_as_what_is_parsed() {
        for (made, python) in [
            (from_double(f64::NEG_INFINITY), "-Infinity"),
            (from_double(f64::NAN), "NaN"),
            (from_double(0.5), "0.5"),
            (from_text("\0NaN"), r#""\u0000NaN""#),
        ] {
            assert_eq!(made, parse(python).unwrap());
            assert_eq!(render(&made), python);
        }
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in ["", "{", "NaN NaN", "-NaN", "Infinit", "[1,]", "\"", "\"\\", "00000000000000000000000", "--1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().contains("recursion"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[\[\]{}",:\\0-9NaInfinity\-+.eEu ]{0,40}"#) {
            if let Ok(value) = parse(&text) {
                prop_assert_eq!(render(&parse(&render(&value)).unwrap()), render(&value));
            }
        }
    }
}
