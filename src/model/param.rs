//! Values of params, exactly as they were logged.

use serde::{Deserialize, Serialize};

use super::Micros;

/// The value of one param.
///
/// `text()` is what stands in `params.value`: numbers in their shortest form that reads back to the same number, floats
/// always with a point or an exponent, so that `1` and `1.0` stay apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ParamValue {
    /// Nothing was chosen.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A floating point number, NaN and infinities included.
    Float(f64),
    /// Any text.
    Text(String),
    /// A calendar day, `2026-11-23`.
    Date(String),
    /// A point in time.
    Time(Micros),
    /// A list, as JSON text.
    List(String),
    /// An object, as JSON text.
    Dict(String),
    /// A floating point number or a truth value in another spelling than ours, which stays: `1e-05`, `True`.
    /// Made by [`ParamValue::from_spelling`] only.
    #[doc(hidden)]
    Spelt(String),
}

/// How a value counts when the type of `params.<key>` is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NumberClass {
    /// NULL, `None`, `null` or empty: says nothing about the type.
    Empty,
    /// A whole number that a 64-bit integer holds.
    Int,
    /// Any other number.
    Float,
    /// True or false.
    Bool,
    /// Everything else.
    Text,
}

impl ParamValue {
    /// The value as text; `None` for null.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            ParamValue::Null => return None,
            ParamValue::Bool(b) => b.to_string(),
            ParamValue::Int(i) => i.to_string(),
            ParamValue::Float(x) => float_text(*x),
            ParamValue::Text(t)
            | ParamValue::Date(t)
            | ParamValue::List(t)
            | ParamValue::Dict(t)
            | ParamValue::Spelt(t) => t.clone(),
            ParamValue::Time(t) => t.to_string(),
        })
    }

    /// Reads the value of a param from a store that keeps all of them as text: what is written like a number or a truth
    /// value is one, and its spelling stays in `text()`.
    ///
    /// Text that only looks like a number to a lenient reader stays text: a leading zero or plus (`007`, `+1`), a number
    /// too large for its type, a comma, an underscore. `None` and empty text stay as they are and count as no value.
    pub fn from_spelling(text: &str) -> ParamValue {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let first = digits.bytes().next().unwrap_or(b' ');
        let led_by_zero = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let value = match text {
            "true" | "True" | "TRUE" => ParamValue::Bool(true),
            "false" | "False" | "FALSE" => ParamValue::Bool(false),
            "nan" | "NaN" => ParamValue::Float(f64::NAN),
            "inf" | "Infinity" => ParamValue::Float(f64::INFINITY),
            "-inf" | "-Infinity" => ParamValue::Float(f64::NEG_INFINITY),
            _ if led_by_zero || !(first.is_ascii_digit() || first == b'.') => return text.into(),
            _ if digits.bytes().all(|b| b.is_ascii_digit()) => match text.parse::<i128>() {
                Ok(int) => ParamValue::Int(int),
                Err(_) => return text.into(),
            },
            _ => match text.parse::<f64>() {
                Ok(x) if x.is_finite() => ParamValue::Float(x),
                _ => return text.into(),
            },
        };
        // `-0` is a whole number that loses its sign.
        if value.text().as_deref() == Some(text) { value } else { ParamValue::Spelt(text.to_string()) }
    }

    /// The value without its spelling.
    fn plain(&self) -> Option<ParamValue> {
        let ParamValue::Spelt(text) = self else { return None };
        Some(match text.to_ascii_lowercase().as_str() {
            "true" => ParamValue::Bool(true),
            "false" => ParamValue::Bool(false),
            "nan" => ParamValue::Float(f64::NAN),
            "inf" | "infinity" => ParamValue::Float(f64::INFINITY),
            "-inf" | "-infinity" => ParamValue::Float(f64::NEG_INFINITY),
            number => number.parse().map_or_else(|_| ParamValue::Text(text.clone()), ParamValue::Float),
        })
    }

    /// Text that is the same for equal values, however they were spelt.
    pub(crate) fn canonical_text(&self) -> Option<String> {
        self.plain().as_ref().unwrap_or(self).text()
    }

    /// The name of the type, as in `params.type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            ParamValue::Null => "null",
            ParamValue::Bool(_) => "bool",
            ParamValue::Int(_) => "int",
            ParamValue::Float(_) => "float",
            ParamValue::Text(_) => "text",
            ParamValue::Date(_) => "date",
            ParamValue::Time(_) => "datetime",
            ParamValue::List(_) => "list",
            ParamValue::Dict(_) => "dict",
            ParamValue::Spelt(_) => self.plain().map_or("text", |plain| plain.type_name()),
        }
    }

    /// Reads back what `type_name` and `text` gave.
    pub fn from_stored(type_name: &str, text: Option<&str>) -> ParamValue {
        let Some(text) = text else { return ParamValue::Null };
        let parsed = match type_name {
            // In whatever spelling: ours reads back as the same value.
            "bool" | "float" => Some(ParamValue::from_spelling(text)),
            "int" => text.parse().ok().map(ParamValue::Int),
            "date" => Some(ParamValue::Date(text.to_string())),
            "datetime" => Micros::parse(text).ok().map(ParamValue::Time),
            "list" => Some(ParamValue::List(text.to_string())),
            "dict" => Some(ParamValue::Dict(text.to_string())),
            _ => None,
        };
        parsed.unwrap_or_else(|| ParamValue::Text(text.to_string()))
    }

    /// The value as a double; `None` when it is not a number (NaN is not one).
    pub fn number(&self) -> Option<f64> {
        match self {
            ParamValue::Int(i) => Some(*i as f64),
            ParamValue::Float(x) if !x.is_nan() => Some(*x),
            ParamValue::Spelt(_) => self.plain()?.number(),
            _ => None,
        }
    }

    /// How this value counts when the type of its key is chosen.
    pub fn class(&self) -> NumberClass {
        match self {
            ParamValue::Null => NumberClass::Empty,
            ParamValue::Bool(_) => NumberClass::Bool,
            ParamValue::Int(i) if i64::try_from(*i).is_ok() => NumberClass::Int,
            ParamValue::Int(_) | ParamValue::Float(_) => NumberClass::Float,
            ParamValue::Text(t) if matches!(t.as_str(), "" | "None" | "null") => NumberClass::Empty,
            ParamValue::Text(t) if matches!(t.as_str(), "true" | "false") => NumberClass::Bool,
            ParamValue::Spelt(_) => self.plain().map_or(NumberClass::Text, |plain| plain.class()),
            _ => NumberClass::Text,
        }
    }
}

// Bitwise for floats: logging NaN twice is no conflict, and 0.0 against -0.0 is one.
impl PartialEq for ParamValue {
    fn eq(&self, other: &Self) -> bool {
        self.type_name() == other.type_name() && self.text() == other.text()
    }
}

impl Eq for ParamValue {}

fn float_text(x: f64) -> String {
    if x.is_nan() {
        "NaN".to_string()
    } else if x.is_infinite() {
        if x > 0.0 { "Infinity" } else { "-Infinity" }.to_string()
    } else {
        // Debug writes the shortest text that reads back, with `.0` or an exponent.
        format!("{x:?}")
    }
}

macro_rules! from_value {
    ($($from:ty => |$v:ident| $make:expr),* $(,)?) => {
        $(impl From<$from> for ParamValue {
            fn from($v: $from) -> Self {
                $make
            }
        })*
    };
}

from_value! {
    bool => |v| ParamValue::Bool(v),
    i32 => |v| ParamValue::Int(v.into()),
    i64 => |v| ParamValue::Int(v.into()),
    u32 => |v| ParamValue::Int(v.into()),
    u64 => |v| ParamValue::Int(v.into()),
    usize => |v| ParamValue::Int(v as i128),
    f32 => |v| ParamValue::Float(v.into()),
    f64 => |v| ParamValue::Float(v),
    &str => |v| ParamValue::Text(v.to_string()),
    String => |v| ParamValue::Text(v),
}

impl<T: Into<ParamValue>> From<Option<T>> for ParamValue {
    fn from(v: Option<T>) -> Self {
        v.map_or(ParamValue::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_reads_back() {
        let values = [
            ParamValue::Null,
            true.into(),
            i64::MIN.into(),
            u64::MAX.into(),
            0.1.into(),
            1.0.into(),
            (-0.0).into(),
            f64::NAN.into(),
            f64::NEG_INFINITY.into(),
            1e300.into(),
            5e-324.into(),
            "".into(),
            "007".into(),
            "ünï😀\n".into(),
            ParamValue::Date("2026-11-23".into()),
            ParamValue::Time(Micros(1_763_890_200_000_001)),
            ParamValue::List("[1,\"a\",null]".into()),
            ParamValue::Dict("{\"a\":{}}".into()),
        ];
        for value in values {
            let back = ParamValue::from_stored(value.type_name(), value.text().as_deref());
            assert_eq!(back, value);
            assert_eq!(back.number().map(f64::to_bits), value.number().map(f64::to_bits));
        }
        assert_eq!(ParamValue::from(1.0).text().unwrap(), "1.0");
        assert_ne!(ParamValue::from(1.0), ParamValue::from(1));
    }

    #[test]
    fn a_spelling_stays_and_counts_as_its_value() {
        let (float, bool, int) = (NumberClass::Float, NumberClass::Bool, NumberClass::Int);
        for (text, class, number) in [
            ("1e-05", float, Some(1e-5)),
            ("0.10", float, Some(0.1)),
            ("-1.5E3", float, Some(-1500.0)),
            (".5", float, Some(0.5)),
            ("5.", float, Some(5.0)),
            ("-0", float, Some(-0.0)),
            ("nan", float, None),
            ("-inf", float, Some(f64::NEG_INFINITY)),
            ("1.0", float, Some(1.0)),
            ("-12", int, Some(-12.0)),
            ("0", int, Some(0.0)),
            ("99999999999999999999", float, Some(1e20)),
            ("True", bool, None),
            ("false", bool, None),
        ] {
            let value = ParamValue::from_spelling(text);
            assert_eq!((value.class(), value.number()), (class, number), "{text}");
            assert_eq!(value.text().as_deref(), Some(text));
            assert_eq!(ParamValue::from_stored(value.type_name(), Some(text)), value, "{text}");
            let again: ParamValue = postcard::from_bytes(&postcard::to_allocvec(&value).unwrap()).unwrap();
            assert_eq!(again, value);
        }
        for text in
            ["007", "-01.5", "+1", "1,5", "1_000", "12e5678", "0x10", "1e", "-", ".", "infinity war", "1 ", "e5"]
        {
            assert!(matches!(ParamValue::from_spelling(text), ParamValue::Text(_)), "{text}");
        }
        for text in ["", "None", "null"] {
            assert_eq!(ParamValue::from_spelling(text).class(), NumberClass::Empty);
        }
        assert_eq!(ParamValue::from_spelling("1e-05").canonical_text(), ParamValue::from(1e-5).text());
    }

    #[test]
    fn text_that_looks_like_a_number_stays_text() {
        assert_eq!(ParamValue::from("007").number(), None);
        assert_eq!(ParamValue::from("007").class(), NumberClass::Text);
        assert_eq!(ParamValue::from("None").class(), NumberClass::Empty);
    }
}
