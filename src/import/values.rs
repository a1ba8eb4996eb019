//! Values as the lines spell them.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::big::{MARK, unmark_integers};
use crate::model::{Micros, ParamValue, SeriesKind, Step};

/// A number, or the text of one that JSON cannot spell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

/// A number that is no NaN and no infinity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finite(pub f64);

/// A step: a finite number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtStep(pub Step);

/// A time: RFC 3339 text or seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Micros);

/// A value of a param.
#[derive(Debug, Clone, PartialEq)]
pub struct Param(pub ParamValue);

/// A kind of series by its name: in segments it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub SeriesKind);

/// Text as it is, any other JSON as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOrJson(pub String);

/// An object in the order of its keys, none of them twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs<V>(pub Vec<(String, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Pairs(Vec::new())
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a number, "NaN", "Infinity" or "-Infinity""#)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Number, E> {
        Ok(Number(v as f64))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Number, E> {
        Ok(Number(v as f64))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Number, E> {
        Ok(Number(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Number, E> {
        Ok(Number(match v {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return Err(E::invalid_value(serde::de::Unexpected::Str(v), &self)),
        }))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(x) = Number::deserialize(deserializer)?;
        if x.is_finite() {
            Ok(Finite(x))
        } else {
            Err(D::Error::custom(format!("{x} stands where a finite number is expected")))
        }
    }
}

struct StepVisitor;

impl Visitor<'_> for StepVisitor {
    type Value = AtStep;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number as step")
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<AtStep, E> {
        Ok(AtStep(Step::At(v)))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<AtStep, E> {
        let step = i64::try_from(v).map_err(|_| E::custom(format!("step {v} is greater than {}", i64::MAX)))?;
        Ok(AtStep(Step::At(step)))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<AtStep, E> {
        Step::from_number(v).map(AtStep).ok_or_else(|| E::custom(format!("{v} is not a step")))
    }
}

impl<'de> Deserialize<'de> for AtStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time, as RFC 3339 text or in seconds since 1970")
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Time, E> {
        let far = || E::custom(format!("{v} seconds are beyond the year 9999"));
        let micros = v.checked_mul(1_000_000).filter(|m| m.unsigned_abs() < 250_000_000_000_000_000).ok_or_else(far)?;
        Ok(Time(Micros(micros)))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Time, E> {
        self.visit_i64(i64::try_from(v).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Time, E> {
        Micros::from_seconds(v).map(Time).ok_or_else(|| E::custom(format!("{v} seconds are beyond the year 9999")))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Time, E> {
        Micros::parse(v).map(Time).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a param")
    }

    fn visit_unit<E: Error>(self) -> Result<Param, E> {
        Ok(Param(ParamValue::Null))
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Param, E> {
        Ok(Param(ParamValue::Bool(v)))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Param, E> {
        Ok(Param(v.into()))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Param, E> {
        Ok(Param(v.into()))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Param, E> {
        Ok(Param(v.into()))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Param, E> {
        Ok(Param(v.into()))
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Param, E> {
        Ok(Param(v.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Param, A::Error> {
        let mut items: Vec<Value> = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Param(ParamValue::List(json_text(&Value::Array(items)))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Param, A::Error> {
        let mut object = Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key '{key}' stands twice in one object")));
            }
            object.insert(key, value);
        }
        match object.iter().next() {
            Some((mark, value)) if object.len() == 1 && mark.starts_with('$') => marked(mark, value)
                .unwrap_or_else(|| Ok(ParamValue::Dict(json_text(&Value::Object(object.clone())))))
                .map(Param)
                .map_err(A::Error::custom),
            _ => Ok(Param(ParamValue::Dict(json_text(&Value::Object(object))))),
        }
    }
}

/// A list or dict as text, with every digit of its integers.
fn json_text(value: &Value) -> String {
    unmark_integers(value.to_string())
}

/// Values that JSON has no notation for. `None` for a mark that means nothing here.
fn marked(mark: &str, value: &Value) -> Option<Result<ParamValue, String>> {
    let wrong = |expected: &str| Err(format!("{{\"{mark}\": {value}}} is not {expected}"));
    Some(match mark {
        "$float" => match serde_json::from_value::<Number>(value.clone()) {
            Ok(Number(x)) => Ok(ParamValue::Float(x)),
            Err(_) => wrong(r#"a number, "NaN", "Infinity" or "-Infinity""#),
        },
        "$date" => match value.as_str() {
            Some(day) if chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok_and(|d| d.to_string() == day) => {
                Ok(ParamValue::Date(day.to_string()))
            }
            _ => wrong("a day like \"2026-11-23\""),
        },
        "$datetime" => match value.as_str().map(Micros::parse) {
            Some(Ok(time)) => Ok(ParamValue::Time(time)),
            _ => wrong("a time like \"2026-11-23T09:30:00Z\""),
        },
        "$param" => stored(value),
        MARK => match value.as_str().map(str::parse) {
            Some(Ok(int)) => Ok(ParamValue::Int(int)),
            _ => Err(format!(
                "{} does not fit an integer of 128 bits; log it as text",
                value.as_str().unwrap_or_default()
            )),
        },
        _ => return None,
    })
}

/// A value as the columns `type` and `value` of the table `params` hold it: the way to say those that JSON has no other
/// spelling for, such as a float that is written `1e-05`.
fn stored(value: &Value) -> Result<ParamValue, String> {
    let cell = |name: &str| value.get(name).and_then(Value::as_str);
    let wrong = || format!(r#"{{"$param": {value}}} is not like {{"$param": {{"type": "float", "value": "1e-05"}}}}"#);
    let (Some(type_name), Some(text)) = (cell("type"), cell("value")) else { return Err(wrong()) };
    if value.as_object().is_none_or(|object| object.len() != 2) {
        return Err(wrong());
    }
    let param = ParamValue::from_stored(type_name, Some(text));
    match param.type_name() == type_name {
        true => Ok(param),
        false => Err(format!("'{}' is no value of the type '{}'", text.escape_debug(), type_name.escape_debug())),
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamVisitor)
    }
}

impl<'de> Deserialize<'de> for TextOrJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(TextOrJson(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            json => json.to_string(),
        }))
    }
}

struct PairsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Pairs<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
        let mut pairs = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key '{key}' stands twice in one object")));
            }
            pairs.push((key, map.next_value()?));
        }
        Ok(Pairs(pairs))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = SeriesKind::parse(&name);
        let unknown = || D::Error::custom(format!("'{name}' is no kind of series; there are text, histogram and file"));
        kind.map(Kind).ok_or_else(unknown)
    }
}
