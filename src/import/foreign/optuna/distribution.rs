//! Params of trials: a database keeps a number, and beside it the distribution that says what the number stands for.

use serde_json::Value;

use super::super::json;
use crate::model::ParamValue;

/// What the number that stands for a param means.
pub fn decode(internal: f64, distribution: &str) -> Result<ParamValue, String> {
    let found = json::parse(distribution).map_err(|e| format!("its distribution cannot be read: {e}"))?;
    let name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    match name {
        "IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution" => {
            if !internal.is_finite() {
                return Err(format!("{internal} stands for a whole number"));
            }
            Ok(ParamValue::Int(internal.trunc() as i128))
        }
        "FloatDistribution" | "UniformDistribution" | "LogUniformDistribution" | "DiscreteUniformDistribution" => {
            Ok(ParamValue::Float(internal))
        }
        "CategoricalDistribution" => {
            let choices = found.pointer("/attributes/choices").and_then(Value::as_array);
            let choices = choices.ok_or("its distribution lists no choices")?;
            let is_index = internal >= 0.0 && internal.fract() == 0.0 && internal < choices.len() as f64;
            match is_index {
                true => Ok(json::param(&choices[internal as usize])),
                false => Err(format!("{internal} is none of {} choices", choices.len())),
            }
        }
        _ => Err(format!("'{name}' is no distribution known here")),
    }
}

/// An attribute as text: text as it is, anything else as its JSON.
pub fn attribute(found: String) -> String {
    let read = json::parse(&found);
    read.ok().as_ref().and_then(json::as_text).map_or(found, str::to_string)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_distribution_says_what_its_number_means() {
        let choices = r#"{"name": "CategoricalDistribution", "attributes": {"choices":
            ["Adam", null, true, 3, 0.5, "1e-3", [1,"a"], NaN, -Infinity, "say \"NaN\"", {"a": Infinity},
             "\u0000NaN", 340282366920938463463374607431, ["NaN", NaN]]}}"#;
        for (internal, distribution, type_name, text) in [
            (
                3.0,
                r#"{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 3, "step": 1}}"#,
                "int",
                Some("3"),
            ),
            (4.0, r#"{"name": "IntLogUniformDistribution", "attributes": {"low": 4, "high": 64}}"#, "int", Some("4")),
            (-2.0, r#"{"name": "IntDistribution", "attributes": {"log": false}}"#, "int", Some("-2")),
            (
                0.25,
                r#"{"name": "UniformDistribution", "attributes": {"low": 0.1, "high": 0.5}}"#,
                "float",
                Some("0.25"),
            ),
            (1.0, r#"{"name": "LogUniformDistribution", "attributes": {}}"#, "float", Some("1.0")),
            (0.1, r#"{"name": "DiscreteUniformDistribution", "attributes": {"q": 0.1}}"#, "float", Some("0.1")),
            (0.5, r#"{"name": "FloatDistribution", "attributes": {"step": null}}"#, "float", Some("0.5")),
            (0.0, choices, "text", Some("Adam")),
            (1.0, choices, "null", None),
            (2.0, choices, "bool", Some("true")),
            (3.0, choices, "int", Some("3")),
            (4.0, choices, "float", Some("0.5")),
            (5.0, choices, "float", Some("1e-3")),
            (6.0, choices, "list", Some("[1, \"a\"]")),
            (7.0, choices, "float", Some("NaN")),
            (8.0, choices, "float", Some("-Infinity")),
            (9.0, choices, "text", Some("say \"NaN\"")),
            (10.0, choices, "dict", Some("{\"a\": Infinity}")),
            (11.0, choices, "text", Some("\0NaN")),
            (12.0, choices, "int", Some("340282366920938463463374607431")),
            (13.0, choices, "list", Some("[\"NaN\", NaN]")),
        ] {
            let value = decode(internal, distribution).unwrap();
            assert_eq!((value.type_name(), value.text().as_deref()), (type_name, text), "{internal} in {distribution}");
        }
        for (internal, says) in [(14.0, "14 is none of 14 choices"), (0.5, "0.5 is none of"), (-1.0, "-1 is none of")] {
            assert!(decode(internal, choices).unwrap_err().starts_with(says));
        }
        assert!(decode(1.0, "{").unwrap_err().starts_with("its distribution cannot be read"));
        assert!(decode(1.0, &"[".repeat(100_000)).is_err());
        assert!(decode(f64::NAN, r#"{"name": "IntDistribution"}"#).is_err());
        assert_eq!(decode(1.0, r#"{"name": "Zipf"}"#).unwrap_err(), "'Zipf' is no distribution known here");
    }

    #[test]
    fn attributes_are_text_or_json() {
        for (json, text) in [
            ("\"a\\nb\"", "a\nb"),
            ("[1, 2]", "[1, 2]"),
            ("NaN", "NaN"),
            ("null", "null"),
            ("{", "{"),
            ("\"\\u0000NaN\"", "\0NaN"),
        ] {
            assert_eq!(attribute(json.to_string()), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_a_value(internal in any::<f64>(), text in "[\\[\\]{}\",:NaInfity0-9 \\\\-]{0,60}") {
            let _ = decode(internal, &text);
            let whole = format!(r#"{{"name": "CategoricalDistribution", "attributes": {{"choices": {text}}}}}"#);
            let _ = decode(internal, &whole);
        }
    }
}
