//! What qualifies a metric series.

use serde_json::{Map, Value};

/// Canonical JSON of what qualifies a series (split, fold, class, data set): keys sorted, no spaces.
///
/// Two spellings of one context are one context; an empty object is no context at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context(String);

impl Context {
    /// Makes the canonical form; `None` for an empty object.
    pub fn new(object: &Map<String, Value>) -> Option<Self> {
        if object.is_empty() {
            return None;
        }
        Some(Context(canonical(object).to_string()))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The JSON text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

// `serde_json::Map` keeps insertion order when some crate in the build turns `preserve_order` on, so order is made here.
fn canonical(object: &Map<String, Value>) -> Value {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    let sorted = entries.into_iter().map(|(key, value)| (key.clone(), canonical_value(value)));
    Value::Object(sorted.collect())
}

fn canonical_value(value: &Value) -> Value {
    // Beyond this not every whole number is a double.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value {
        Value::Object(inner) => canonical(inner),
        Value::Array(items) => Value::Array(items.iter().map(canonical_value).collect()),
        // `3.0` is what a writer says whose fold number came out of an array of doubles.
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(x) if x.fract() == 0.0 && x.abs() <= EXACT => Value::from(x as i64),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let parse = |text: &str| Context::new(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap());
        assert_eq!(parse(r#"{"split": "test", "fold": 3}"#), parse(r#"{"fold":3,"split":"test"}"#));
        assert_eq!(parse(r#"{"b":{"z":1,"a":2}}"#).unwrap().as_str(), r#"{"b":{"a":2,"z":1}}"#);
        assert_eq!(parse(r#"{"fold":3.0,"k":[1e2,0.5]}"#), parse(r#"{"fold":3,"k":[100,0.5]}"#));
        assert_eq!(parse("{}"), None);
    }
}
