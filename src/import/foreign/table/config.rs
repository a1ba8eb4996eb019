//! Params in a file beside a table: YAML or JSON.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::{json, tree};
use crate::model::ParamValue;

/// Longest file that is read.
const LONGEST: u64 = 4 << 20;

/// The params of a file, those within others as `a.b`.
pub fn read(path: &Path) -> Result<Vec<(String, ParamValue)>, String> {
    let text = tree::text_up_to(path, LONGEST).map_err(|e| e.to_string())?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let found = match is_json {
        true => json::parse(&text)?,
        false => parse(&text)?,
    };
    let mut params = Vec::new();
    match found {
        Value::Object(fields) => {
            fields.into_iter().for_each(|(key, value)| flatten(json::text(&key).to_string(), value, &mut params));
        }
        Value::Null => {}
        _ => return Err("it holds no names with values".to_string()),
    }
    params.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(params)
}

fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let read: Result<Tree, _> = serde_saphyr::from_str_with_options(text, options);
    read.map(|tree| tree.0).map_err(|e| format!("it cannot be read as YAML: {e}"))
}

/// Whatever stands in a file, as JSON.
struct Tree(Value);

fn flatten(key: String, value: Value, params: &mut Vec<(String, ParamValue)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let inner = |name: &str| format!("{key}.{}", json::text(name));
            fields.into_iter().for_each(|(name, value)| flatten(inner(&name), value, params));
        }
        leaf => params.push((key, json::param(&leaf))),
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or names with values")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Tree, E> {
        Ok(Tree(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Tree, E> {
        Ok(Tree(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Tree, E> {
        Ok(Tree(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Tree, E> {
        Ok(Tree(json::from_double(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Tree, E> {
        Ok(Tree(json::from_text(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(tree) = seq.next_element::<Tree>()? {
            list.push(tree.0);
        }
        Ok(Tree(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Map::new();
        while let Some((key, tree)) = map.next_entry::<Key, Tree>()? {
            fields.insert(key.0, tree.0);
        }
        Ok(Tree(Value::Object(fields)))
    }
}

/// A name; numbers and truth values may be one.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        match Tree::deserialize(deserializer)?.0 {
            Value::Array(_) | Value::Object(_) => {
                Err(serde::de::Error::custom("a list or names with values cannot be a name"))
            }
            // Text is marked as any other.
            Value::String(text) if json::number(&text).is_none() => Ok(Key(text)),
            value => Ok(Key(json::param(&value).text().unwrap_or_else(|| "null".to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str, name: &str) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let params = read(&path)?;
        Ok(params
            .into_iter()
            .map(|(key, v)| format!("{key} {} {}", v.type_name(), v.text().unwrap_or_default()))
            .collect())
    }

    #[test]
    fn yaml_and_json_are_flattened_and_typed() {
        let yaml = "lr: 1e-3\nopt: {name: adam, betas: [0.9, 0.999], none: null}\nflag: true\n1: one\nempty: {}\nq: '7'\nbig: .inf\n\
                    day: 2024-01-02\nlist:\n- a: 1\n- b\n- '3'\n- .inf\n";
        assert_eq!(
            params(yaml, "config.yaml").unwrap(),
            [
                "1 text one",
                "big float Infinity",
                "day text 2024-01-02",
                "empty dict {}",
                "flag bool true",
                "list list [{\"a\": 1}, \"b\", \"3\", Infinity]",
                "lr float 0.001",
                "opt.betas list [0.9, 0.999]",
                "opt.name text adam",
                "opt.none null ",
                "q int 7"
            ]
        );
        assert_eq!(params(r#"{"a": {"b": NaN}, "c": [1]}"#, "c.json").unwrap(), ["a.b float NaN", "c list [1]"]);
        assert_eq!(
            params(
                r#"{"a": ["NaN", NaN, 170141183460469231731], "b": "\u0000NaN", "c": 170141183460469231731}"#,
                "d.json"
            )
            .unwrap(),
            [r#"a list ["NaN", NaN, 170141183460469231731]"#, "b text \0NaN", "c int 170141183460469231731"]
        );
        let merged = "base: &base {a: 1, b: 2}\nrun:\n  <<: *base\n  b: 3\n";
        assert_eq!(params(merged, "m.yaml").unwrap(), ["base.a int 1", "base.b int 2", "run.a int 1", "run.b int 3"]);
        let python =
            "!!python/object:argparse.Namespace\nlr: 0.5\nshape: !!python/tuple [1, 2]\nname: !!python/unicode 'x'\n";
        assert_eq!(params(python, "p.yaml").unwrap(), ["lr float 0.5", "name text x", "shape list [1, 2]"]);
        assert!(params("a: 1\na: 2\n", "twice.yaml").unwrap_err().contains("duplicate mapping key: a"));
        assert_eq!(params("", "empty.yaml").unwrap(), [""; 0]);
        assert_eq!(params("- 1\n", "list.yaml").unwrap_err(), "it holds no names with values");
    }

    #[test]
    fn bombs_and_deep_nesting_are_errors() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let before = format!("*a{}, ", i - 1).repeat(9);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", ")));
        }
        assert!(params(&bomb, "bomb.yaml").unwrap_err().starts_with("it cannot be read as YAML"));
        assert!(params(&format!("a: {}", "[".repeat(100_000)), "deep.yaml").is_err());
        assert!(params(&"[".repeat(100_000), "deep.json").is_err());
    }
}
