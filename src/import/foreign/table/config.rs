//! Params in a file beside a table: YAML or JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::{json, tree};
use crate::model::ParamValue;

/// Longest file that is read.
const LONGEST: u64 = 4 << 20;

/// The params of a file, those within others as `a.b`.
pub fn read(path: &Path) -> Result<Vec<(String, ParamValue)>, String> {
    let text = tree::text_up_to(path, LONGEST).map_err(|e| e.to_string())?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let tree = match is_json {
        true => of_json(json::parse(&text).map_err(|e| format!("it cannot be read as JSON: {e}"))?),
        false => parse(&text)?,
    };
    let mut params = Vec::new();
    match tree {
        Tree::Map(map) => map.into_iter().for_each(|(key, tree)| flatten(key, tree, &mut params)),
        Tree::Leaf(ParamValue::Null) => {}
        _ => return Err("it holds no names with values".to_string()),
    }
    Ok(params)
}

fn parse(text: &str) -> Result<Tree, String> {
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
    serde_saphyr::from_str_with_options(text, options).map_err(|e| format!("it cannot be read as YAML: {e}"))
}

/// Whatever stands in a file.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Leaf(ParamValue),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

fn of_json(value: serde_json::Value) -> Tree {
    match value {
        serde_json::Value::Array(list) => Tree::List(list.into_iter().map(of_json).collect()),
        serde_json::Value::Object(map) => {
            Tree::Map(map.into_iter().map(|(key, value)| (key, of_json(value))).collect())
        }
        leaf => Tree::Leaf(json::param(&leaf)),
    }
}

fn flatten(key: String, tree: Tree, params: &mut Vec<(String, ParamValue)>) {
    match tree {
        Tree::Map(map) if !map.is_empty() => {
            map.into_iter().for_each(|(inner, tree)| flatten(format!("{key}.{inner}"), tree, params));
        }
        Tree::Map(_) => params.push((key, ParamValue::Dict("{}".to_string()))),
        Tree::List(_) => params.push((key, ParamValue::List(as_json(&tree).to_string()))),
        Tree::Leaf(value) => params.push((key, value)),
    }
}

fn as_json(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::List(list) => list.iter().map(as_json).collect(),
        Tree::Map(map) => map.iter().map(|(key, tree)| (key.clone(), as_json(tree))).collect(),
        Tree::Leaf(ParamValue::Null) => serde_json::Value::Null,
        Tree::Leaf(ParamValue::Bool(b)) => (*b).into(),
        Tree::Leaf(ParamValue::Int(i)) if i64::try_from(*i).is_ok() => (*i as i64).into(),
        Tree::Leaf(ParamValue::Float(x)) if x.is_finite() => (*x).into(),
        Tree::Leaf(value) => value.text().into(),
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
        Ok(Tree::Leaf(ParamValue::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(ParamValue::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(ParamValue::from_spelling(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(tree) = seq.next_element()? {
            list.push(tree);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((key, tree)) = map.next_entry::<Key, Tree>()? {
            fields.insert(key.0, tree);
        }
        Ok(Tree::Map(fields))
    }
}

/// A name; numbers and truth values may be one.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        match Tree::deserialize(deserializer)? {
            Tree::Leaf(value) => Ok(Key(value.text().unwrap_or_else(|| "null".to_string()))),
            _ => Err(serde::de::Error::custom("a list or names with values cannot be a name")),
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
                    day: 2024-01-02\nlist:\n- a: 1\n- b\n";
        assert_eq!(
            params(yaml, "config.yaml").unwrap(),
            [
                "1 text one",
                "big float Infinity",
                "day text 2024-01-02",
                "empty dict {}",
                "flag bool true",
                "list list [{\"a\":1},\"b\"]",
                "lr float 0.001",
                "opt.betas list [0.9,0.999]",
                "opt.name text adam",
                "opt.none null ",
                "q int 7"
            ]
        );
        assert_eq!(params(r#"{"a": {"b": NaN}, "c": [1]}"#, "c.json").unwrap(), ["a.b float NaN", "c list [1]"]);
        let merged = "base: &base {a: 1, b: 2}\nrun:\n  <<: *base\n  b: 3\n";
        assert_eq!(params(merged, "m.yaml").unwrap(), ["base.a int 1", "base.b int 2", "run.a int 1", "run.b int 3"]);
        let python =
            "!!python/object:argparse.Namespace\nlr: 0.5\nshape: !!python/tuple [1, 2]\nname: !!python/unicode 'x'\n";
        assert_eq!(params(python, "p.yaml").unwrap(), ["lr float 0.5", "name text x", "shape list [1,2]"]);
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
