//! Values of parameters and metrics: what the JSON says, with the types that rubicon-ml writes as `{"_type": ...}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::super::json;
use crate::model::{Micros, ParamValue};

/// Dimensions that an array may have: as many as numpy allows.
const DIMENSIONS: usize = 64;

/// The value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// A number; whether it is exactly the one that stands there.
    Number(f64, bool),
    /// Anything else, as text: text itself, or JSON.
    Other(String),
}

/// The value of a parameter. Text is read as the number or truth value that it spells.
pub fn param(value: &Value) -> ParamValue {
    match typed(value) {
        Typed::Time(time) => ParamValue::Time(time),
        Typed::Date(day) => ParamValue::Date(day),
        Typed::Plain(plain) => json::param(&plain),
        Typed::No => json::param(value),
    }
}

/// The value of a metric.
pub fn metric(value: &Value) -> Measured {
    let plain = match typed(value) {
        Typed::Time(time) => return Measured::Other(time.to_string()),
        Typed::Date(day) => return Measured::Other(day),
        Typed::Plain(plain) => plain,
        Typed::No => value.clone(),
    };
    match &plain {
        Value::Number(n) => {
            let x = n.as_f64().unwrap_or(f64::NAN);
            let exact = n.is_f64()
                || n.as_i64().is_some_and(|i| x as i128 == i128::from(i))
                || n.as_u64().is_some_and(|u| x as i128 == i128::from(u));
            Measured::Number(x, exact)
        }
        Value::String(s) => match json::number(s) {
            Some(word) => match json::not_finite(word) {
                Some(x) => Measured::Number(x, true),
                None => Measured::Number(word.parse().unwrap_or(f64::NAN), false),
            },
            None => Measured::Other(json::text(s).to_string()),
        },
        other => Measured::Other(json::render(other)),
    }
}

/// Whether a value is one that rubicon-ml writes with its type.
pub fn is_typed(value: &Value) -> bool {
    !matches!(typed(value), Typed::No)
}

/// The importance of a feature: a number, plain or of numpy.
pub fn number(value: &Value) -> Option<f64> {
    match metric(value) {
        Measured::Number(x, _) => Some(x),
        Measured::Other(_) => None,
    }
}

/// A value with its type.
enum Typed {
    Time(Micros),
    Date(String),
    /// JSON that says the same.
    Plain(Value),
    /// It has none, or one that cannot be read; then it stays as it stands.
    No,
}

fn typed(value: &Value) -> Typed {
    let Some(object) = value.as_object() else { return Typed::No };
    let inner = object.get("value");
    let text = inner.and_then(json::as_text);
    match object.get("_type").and_then(Value::as_str) {
        Some("datetime") => text.and_then(time).map_or(Typed::No, Typed::Time),
        Some("date") => {
            let day = text.filter(|t| chrono::NaiveDate::parse_from_str(t, "%Y-%m-%d").is_ok());
            day.map_or(Typed::No, |day| Typed::Date(day.to_string()))
        }
        Some("set") => inner.filter(|v| v.is_array()).map_or(Typed::No, |v| Typed::Plain(v.clone())),
        Some("numpy") => numpy(object).map_or(Typed::No, Typed::Plain),
        _ => Typed::No,
    }
}

/// A time in one of the forms that were ever written: ISO 8601 with a zone, or without one, which is UTC then.
pub fn time(text: &str) -> Option<Micros> {
    // Years 1 to 9999: what Python has, and every reader of a table can show.
    const YEARS: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;
    Micros::parse(text).ok().filter(|t| YEARS.contains(&t.0))
}

/// The time in a value `{"_type": "datetime", ...}`.
pub fn time_of(value: &Value) -> Option<Micros> {
    match typed(value) {
        Typed::Time(time) => Some(time),
        _ => None,
    }
}

/// An array or a single value of numpy as JSON; `None` for types that JSON has nothing for.
fn numpy(object: &Map<String, Value>) -> Option<Value> {
    let dtype = object.get("_dtype")?.as_str()?;
    let bytes = BASE64.decode(object.get("value")?.as_str()?).ok()?;
    let shape: Vec<usize> =
        object.get("_shape")?.as_array()?.iter().map(|n| n.as_u64().map(|n| n as usize)).collect::<Option<_>>()?;
    let items = items(dtype, &bytes)?;
    if shape.len() > DIMENSIONS {
        return None;
    }
    // A shape with a zero in it may claim any number of empty lists.
    let count = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side))?;
    if count != items.len() || (count == 0 && shape.len() > 1) {
        return None;
    }
    let mut items = items.into_iter();
    Some(nested(&shape, &mut items))
}

fn nested(shape: &[usize], items: &mut impl Iterator<Item = Value>) -> Value {
    match shape {
        [] => items.next().unwrap_or(Value::Null),
        [side, rest @ ..] => Value::Array((0..*side).map(|_| nested(rest, items)).collect()),
    }
}

/// The items in the bytes of an array, by the name of their type: byte order, kind, bytes or characters per item.
fn items(dtype: &str, bytes: &[u8]) -> Option<Vec<Value>> {
    let mut chars = dtype.chars();
    let order = chars.next()?;
    let kind = chars.next()?;
    let size: usize = chars.as_str().parse().ok()?;
    let width = if kind == 'U' { size.checked_mul(4)? } else { size };
    if width == 0 || !bytes.len().is_multiple_of(width) || !matches!(order, '<' | '>' | '|' | '=') {
        return None;
    }
    let big = order == '>';
    bytes.chunks_exact(width).map(|item| one(kind, item, big)).collect()
}

fn one(kind: char, item: &[u8], big: bool) -> Option<Value> {
    // In the order of this machine's arithmetic: the least first, up to 8 bytes.
    let raw = |item: &[u8]| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes.get_mut(..item.len())?.copy_from_slice(item);
        if big {
            bytes[..item.len()].reverse();
        }
        Some(u64::from_le_bytes(bytes))
    };
    Some(match (kind, item.len()) {
        ('b', 1) => Value::from(item[0] != 0),
        ('u', 1 | 2 | 4 | 8) => Value::from(raw(item)?),
        ('i', n @ (1 | 2 | 4 | 8)) => {
            let shift = 64 - 8 * n as u32;
            Value::from(((raw(item)? << shift) as i64) >> shift)
        }
        ('f', 2) => json::from_double(half(raw(item)? as u16)),
        ('f', 4) => json::from_double(f32::from_bits(raw(item)? as u32).into()),
        ('f', 8) => json::from_double(f64::from_bits(raw(item)?)),
        ('U', _) => {
            let chars = item.chunks_exact(4).map(|c| raw(c).and_then(|c| char::from_u32(c as u32)));
            let text: String = chars.collect::<Option<_>>()?;
            // Numpy fills up with NULs.
            json::from_text(text.trim_end_matches('\0'))
        }
        _ => return None,
    })
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        json::parse(text).unwrap()
    }

    fn numpy_of(dtype: &str, shape: &str, bytes: &[u8]) -> Value {
        parsed(&format!(
            r#"{{"_type": "numpy", "_dtype": "{dtype}", "_shape": {shape}, "value": "{}"}}"#,
            BASE64.encode(bytes)
        ))
    }

    #[test]
    fn params_keep_their_types_and_text_is_read() {
        for (text, value) in [
            ("null", ParamValue::Null),
            ("true", ParamValue::Bool(true)),
            ("12", ParamValue::Int(12)),
            ("18446744073709551615", ParamValue::Int(u64::MAX.into())),
            ("-170141183460469231731687303715884105728", ParamValue::Int(i128::MIN)),
            ("0.5", ParamValue::Float(0.5)),
            ("-Infinity", ParamValue::Float(f64::NEG_INFINITY)),
            (r#""sqrt""#, ParamValue::Text("sqrt".into())),
            (r#""12""#, ParamValue::Int(12)),
            (r#""None""#, ParamValue::Text("None".into())),
            (r#""""#, ParamValue::Text(String::new())),
            (r#"[1, NaN, "a"]"#, ParamValue::List(r#"[1, NaN, "a"]"#.into())),
            (r#"{"b": 1, "a": [null]}"#, ParamValue::Dict(r#"{"a": [null], "b": 1}"#.into())),
            (r#"{"_type": "set", "value": ["x"]}"#, ParamValue::List(r#"["x"]"#.into())),
            (r#"{"_type": "date", "value": "2026-01-02"}"#, ParamValue::Date("2026-01-02".into())),
            (
                r#"{"_type": "datetime", "value": "2020-07-13 15:03:21.377333"}"#,
                ParamValue::Time(Micros::parse("2020-07-13T15:03:21.377333Z").unwrap()),
            ),
            (
                r#"{"_type": "datetime", "value": "2026-01-02T04:04:05+01:00"}"#,
                ParamValue::Time(Micros::parse("2026-01-02T03:04:05Z").unwrap()),
            ),
            (r#"{"_type": "date", "value": "soon"}"#, {
                ParamValue::Dict(r#"{"_type": "date", "value": "soon"}"#.into())
            }),
        ] {
            assert_eq!(param(&parsed(text)), value, "{text}");
        }
        let spelt = param(&parsed(r#""1e-05""#));
        assert_eq!((spelt.text().as_deref(), spelt.number()), (Some("1e-05"), Some(1e-5)));
    }

    #[test]
    fn numpy_values_are_read() {
        for (dtype, shape, bytes, text) in [
            ("<f4", "[]", &0.5_f32.to_le_bytes()[..], "0.5"),
            (">f8", "[]", &f64::NAN.to_be_bytes()[..], "NaN"),
            ("<f2", "[2]", &[0x00, 0x3c, 0x00, 0xc0], "[1.0, -2.0]"),
            ("<i8", "[2, 1]", &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], "[[1], [-1]]"),
            (">i2", "[]", &[0xff, 0xfe], "-2"),
            ("|u1", "[3]", &[0, 7, 255], "[0, 7, 255]"),
            ("|b1", "[]", &[1], "true"),
            ("<U2", "[2]", &[97, 0, 0, 0, 98, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0], r#"["ab", "c"]"#),
        ] {
            let value = numpy_of(dtype, shape, bytes);
            assert!(is_typed(&value), "{dtype}");
            let Typed::Plain(plain) = typed(&value) else { panic!("{dtype}") };
            assert_eq!(json::render(&plain), text, "{dtype}");
        }
    }

    #[test]
    fn arrays_that_claim_too_much_stay_as_they_stand() {
        for (dtype, shape) in [
            ("<i8", "[1000000000000, 0]"),
            ("<i8", "[18446744073709551615, 18446744073709551615]"),
            ("<i8", "[2]"),
            ("<c16", "[]"),
            ("|O", "[1]"),
            ("<U99999999999999999999", "[]"),
            ("", "[]"),
            ("<i8", "[-1]"),
        ] {
            assert!(!is_typed(&numpy_of(dtype, shape, &[0; 8])), "{dtype} {shape}");
        }
        let deep = format!("[{}]", vec!["1"; 1000].join(","));
        assert!(!is_typed(&numpy_of("<i8", &deep, &[0; 8])));
    }

    #[test]
    fn metrics_are_numbers_or_text() {
        let number = |x, exact| Measured::Number(x, exact);
        for (text, value) in [
            ("1", number(1.0, true)),
            ("Infinity", number(f64::INFINITY, true)),
            ("9007199254740993", number(9007199254740992.0, false)),
            (r#""good""#, Measured::Other("good".into())),
            ("null", Measured::Other("null".into())),
            ("true", Measured::Other("true".into())),
            ("[0.9, 0.5]", Measured::Other("[0.9, 0.5]".into())),
            (r#"{"a": 1}"#, Measured::Other(r#"{"a": 1}"#.into())),
        ] {
            assert_eq!(metric(&parsed(text)), value, "{text}");
        }
        assert_eq!(metric(&numpy_of("<f4", "[]", &0.25_f32.to_le_bytes())), number(0.25, true));
    }
}
