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
            ParamValue::Text(t) | ParamValue::Date(t) | ParamValue::List(t) | ParamValue::Dict(t) => t.clone(),
            ParamValue::Time(t) => t.to_string(),
        })
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
        }
    }

    /// Reads back what `type_name` and `text` gave.
    pub fn from_stored(type_name: &str, text: Option<&str>) -> ParamValue {
        let Some(text) = text else { return ParamValue::Null };
        let parsed = match type_name {
            "bool" => text.parse().ok().map(ParamValue::Bool),
            "int" => text.parse().ok().map(ParamValue::Int),
            "float" => parse_float(text).map(ParamValue::Float),
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

fn parse_float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
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
    fn text_that_looks_like_a_number_stays_text() {
        assert_eq!(ParamValue::from("007").number(), None);
        assert_eq!(ParamValue::from("007").class(), NumberClass::Text);
        assert_eq!(ParamValue::from("None").class(), NumberClass::Empty);
    }
}
