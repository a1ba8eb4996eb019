//! The value of one cell, and its text: plain, or as JSON.

use std::borrow::Cow;
use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};

use super::visible::is_unsafe;

/// How floats are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floats {
    /// The shortest text that reads back as the same number.
    Exact,
    /// Six significant digits.
    Readable,
}

/// The value of a cell.
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Float32(f32),
    /// A decimal, as digits.
    Decimal(String),
    /// Text, and whatever else has a text: times, dates, intervals, bytes.
    Text(Cow<'a, str>),
    List(ArrayRef),
    Struct(&'a StructArray, usize),
    /// Entries of two columns, key and value.
    Map(StructArray),
}

/// Whether a column of this type holds numbers, which stand to the right.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric(),
    }
}

/// The value of a cell.
pub(crate) fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if array.is_null(row) {
        return Value::Null;
    }
    macro_rules! int {
        ($t:ty) => {
            Value::Int(array.as_primitive::<$t>().value(row).into())
        };
    }
    macro_rules! uint {
        ($t:ty) => {
            Value::UInt(array.as_primitive::<$t>().value(row).into())
        };
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt8 => uint!(UInt8Type),
        DataType::UInt16 => uint!(UInt16Type),
        DataType::UInt32 => uint!(UInt32Type),
        DataType::UInt64 => uint!(UInt64Type),
        DataType::Float16 => Value::Float32(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => Value::Float32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Value::Text(array.as_string_view().value(row).into()),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(row)),
        DataType::Timestamp(unit, _) => timestamp(array, row, *unit),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Value::Decimal(other(array, row))
        }
        DataType::List(_) => Value::List(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Value::List(array.as_list::<i64>().value(row)),
        DataType::ListView(_) => Value::List(array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => Value::List(array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => Value::List(array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => Value::Struct(array.as_struct(), row),
        DataType::Map(..) => Value::Map(array.as_map().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            // Keys are normalized to positions here, one cell at a time.
            match value(dictionary.keys(), row) {
                Value::Int(key) => value(dictionary.values().as_ref(), key as usize),
                Value::UInt(key) => value(dictionary.values().as_ref(), key as usize),
                _ => Value::Null,
            }
        }
        _ => Value::Text(other(array, row).into()),
    }
}

/// What arrow makes of types that are rare here: dates, times of day, durations, intervals, decimals.
fn other(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::new();
    match ArrayFormatter::try_new(array, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(e) => e.to_string(),
    }
}

fn hex(bytes: &[u8]) -> Value<'static> {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    Value::Text(text.into())
}

/// RFC 3339; a time without a zone is UTC here as everywhere in a store.
fn timestamp(array: &dyn Array, row: usize, unit: TimeUnit) -> Value<'static> {
    let (ticks, per_second) = match unit {
        TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row), 1),
        TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(row), 1_000),
        TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().value(row), 1_000_000),
        TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().value(row), 1_000_000_000),
    };
    let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
    match DateTime::from_timestamp(ticks.div_euclid(per_second), nanos as u32) {
        Some(time) => Value::Text(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()),
        // Beyond the years that a calendar here reaches.
        None => Value::Text(format!("{ticks}/{per_second} s since 1970").into()),
    }
}

impl Value<'_> {
    /// Appends it as plain text, lists and structs as JSON; `false` when it is NULL, which has no text.
    pub(crate) fn write_text(&self, floats: Floats, out: &mut String) -> bool {
        match self {
            Value::Null => return false,
            Value::Float(x) => out.push_str(&float(*x, floats)),
            Value::Float32(x) => out.push_str(&float32(*x, floats)),
            Value::Text(text) => out.push_str(text),
            other => other.write_json(floats, out),
        }
        true
    }

    /// Appends it as JSON. NaN and infinities, which JSON lacks, become text.
    pub(super) fn write_json(&self, floats: Floats, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(i) => write!(out, "{i}").expect("a string takes all"),
            Value::UInt(u) => write!(out, "{u}").expect("a string takes all"),
            Value::Decimal(digits) => out.push_str(digits),
            Value::Float(x) if x.is_finite() => out.push_str(&float(*x, floats)),
            Value::Float32(x) if x.is_finite() => out.push_str(&float32(*x, floats)),
            Value::Float(x) => write!(out, "\"{}\"", float(*x, floats)).expect("a string takes all"),
            Value::Float32(x) => write!(out, "\"{}\"", float32(*x, floats)).expect("a string takes all"),
            Value::Text(text) => write_json_text(text, out),
            Value::List(items) => {
                out.push('[');
                for i in 0..items.len() {
                    if i > 0 {
                        out.push(',');
                    }
                    value(items.as_ref(), i).write_json(floats, out);
                }
                out.push(']');
            }
            Value::Struct(fields, row) => {
                let members = std::iter::zip(fields.fields(), fields.columns());
                write_members(members.map(|(f, c)| (f.name().as_str(), value(c.as_ref(), *row))), floats, out);
            }
            Value::Map(entries) => {
                let (keys, values) = (entries.column(0), entries.column(1));
                let mut names = Vec::with_capacity(entries.len());
                for i in 0..entries.len() {
                    let mut name = String::new();
                    value(keys.as_ref(), i).write_text(floats, &mut name);
                    names.push(name);
                }
                let members = names.iter().enumerate().map(|(i, name)| (name.as_str(), value(values.as_ref(), i)));
                write_members(members, floats, out);
            }
        }
    }
}

fn write_members<'a>(members: impl Iterator<Item = (&'a str, Value<'a>)>, floats: Floats, out: &mut String) {
    out.push('{');
    for (i, (name, value)) in members.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json_text(name, out);
        out.push(':');
        value.write_json(floats, out);
    }
    out.push('}');
}

/// Appends a JSON string. What is unsafe to show is escaped, which changes nothing for whoever parses it.
pub(super) fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a string takes all");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn float32(x: f32, floats: Floats) -> String {
    match floats {
        Floats::Exact if x.is_finite() => format!("{x:?}"),
        _ => float(x.into(), floats),
    }
}

/// A float; NaN and infinities as JavaScript and Python's JSON spell them.
pub(crate) fn float(x: f64, floats: Floats) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    match floats {
        Floats::Exact => format!("{x:?}"),
        Floats::Readable => readable(x),
    }
}

/// Six significant digits; whole numbers keep all of theirs as long as they read better so.
fn readable(x: f64) -> String {
    const DIGITS: i32 = 6;
    if x == 0.0 {
        return "0.0".into();
    }
    let scientific = format!("{x:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if !(-5..15).contains(&exponent) {
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{mantissa}e{exponent}");
    }
    if x.fract() == 0.0 {
        return format!("{x:.1}");
    }
    let decimals = (DIGITS - 1 - exponent).max(0) as usize;
    let text = format!("{x:.decimals$}");
    if decimals == 0 {
        return text;
    }
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_floats_have_six_digits() {
        let text = |x| float(x, Floats::Readable);
        assert_eq!(text(0.1 + 0.2), "0.3");
        assert_eq!(text(-0.0), "0.0");
        assert_eq!(text(2.0), "2.0");
        assert_eq!(text(0.9999999), "1.0");
        assert_eq!(text(0.98765432), "0.987654");
        assert_eq!(text(-1234567.89), "-1234568");
        assert_eq!(text(123456789.0), "123456789.0");
        assert_eq!(text(0.0000123456789), "0.0000123457");
        assert_eq!(text(0.00000123456789), "1.23457e-6");
        assert_eq!(text(1e300), "1e300");
        assert_eq!(text(f64::NEG_INFINITY), "-Infinity");
    }

    proptest! {
        #[test]
        fn exact_floats_read_back(bits: u64) {
            let x = f64::from_bits(bits);
            let back: f64 = float(x, Floats::Exact).parse().unwrap();
            prop_assert!(back.to_bits() == bits || x.is_nan() && back.is_nan());
        }

        #[test]
        fn json_text_reads_back(text: String) {
            let mut json = String::new();
            write_json_text(&text, &mut json);
            prop_assert!(!json.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
