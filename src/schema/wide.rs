//! The struct columns of `runs`: params, metrics, tags and data as leaves of Parquet structs, one leaf per key.
//!
//! Each struct has one leaf type in every file and a constant leaf [`CONSTANT`], so that structs of two files always
//! have a leaf in common. NaN never stands in a struct.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Builder, RecordBatch, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use serde::{Deserialize, Serialize};

use super::HIDDEN_STATE;
use super::table::shown_tags;
use crate::model::{NumberClass, ParamValue, RunState};

/// The leaf that every struct has. No key may have this name.
pub const CONSTANT: &str = "_";

/// A struct column that is stored in the files of `runs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named like the columns")]
pub enum StoredStruct {
    ParamsNum,
    ParamsText,
    Metrics,
    MetricsMin,
    MetricsMax,
    Tags,
    Data,
}

impl StoredStruct {
    /// All of them, in the order of the file.
    pub const ALL: [StoredStruct; 7] = [
        StoredStruct::ParamsNum,
        StoredStruct::ParamsText,
        StoredStruct::Metrics,
        StoredStruct::MetricsMin,
        StoredStruct::MetricsMax,
        StoredStruct::Tags,
        StoredStruct::Data,
    ];

    /// The column.
    pub fn name(self) -> &'static str {
        match self {
            StoredStruct::ParamsNum => "params_num",
            StoredStruct::ParamsText => "params_text",
            StoredStruct::Metrics => "metrics",
            StoredStruct::MetricsMin => "metrics_min",
            StoredStruct::MetricsMax => "metrics_max",
            StoredStruct::Tags => "tags",
            StoredStruct::Data => "data",
        }
    }

    /// The type of every leaf.
    pub fn leaf(self) -> DataType {
        match self {
            StoredStruct::ParamsText | StoredStruct::Tags | StoredStruct::Data => DataType::Utf8,
            _ => DataType::Float64,
        }
    }

    /// The keys that this struct has leaves for.
    pub fn keys(self, counts: &KeyCounts) -> Vec<&str> {
        fn names<V>(map: &BTreeMap<String, V>) -> Vec<&str> {
            map.keys().map(String::as_str).collect()
        }
        match self {
            StoredStruct::ParamsNum | StoredStruct::ParamsText => names(&counts.params),
            StoredStruct::Metrics | StoredStruct::MetricsMin | StoredStruct::MetricsMax => names(&counts.metrics),
            StoredStruct::Tags => names(&counts.tags),
            StoredStruct::Data => names(&counts.data),
        }
    }

    /// The struct type with leaves for the given keys.
    pub fn data_type<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> DataType {
        let mut fields = vec![Field::new(CONSTANT, DataType::Boolean, true)];
        fields.extend(keys.into_iter().map(|key| Field::new(key, self.leaf(), true)));
        DataType::Struct(fields.into())
    }
}

/// How many runs hold what kind of value under a param key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamCounts {
    /// Whole numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub int: i64,
    /// Of them, those beyond 2^53, which a double would round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub big: i64,
    /// Other numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub float: i64,
    /// True and false.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bool: i64,
    /// Everything else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub text: i64,
    /// NULL, `None`, `null` and empty.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub empty: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// The type that `params.<key>` reads as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamColumn {
    /// Whole numbers; `exact_text` when some are beyond 2^53 and have to be read from the text.
    BigInt {
        /// Read from `params_text`.
        exact_text: bool,
    },
    /// Doubles.
    Double,
    /// True and false.
    Boolean,
    /// Text, every value as logged.
    Text,
}

impl ParamCounts {
    /// Number of runs that hold the key.
    pub fn runs(&self) -> i64 {
        self.int + self.float + self.bool + self.text + self.empty
    }

    /// The type of the key: numeric when more than half of what is not empty is a number, boolean when all of it is
    /// true or false, else text.
    pub fn column(&self) -> ParamColumn {
        let numbers = self.int + self.float;
        let others = self.bool + self.text;
        if numbers > others {
            if self.float == 0 { ParamColumn::BigInt { exact_text: self.big > 0 } } else { ParamColumn::Double }
        } else if self.bool > 0 && numbers + self.text == 0 {
            ParamColumn::Boolean
        } else {
            ParamColumn::Text
        }
    }

    /// Number of runs whose value does not fit that type and reads as NULL.
    pub fn misfits(&self) -> i64 {
        match self.column() {
            ParamColumn::BigInt { .. } | ParamColumn::Double => self.bool + self.text,
            _ => 0,
        }
    }

    fn add(&mut self, value: &ParamValue, n: i64) {
        match value.class() {
            NumberClass::Int => {
                self.int += n;
                if let ParamValue::Int(i) = value
                    && i.unsigned_abs() > 1 << 53
                {
                    self.big += n;
                }
            }
            NumberClass::Float => self.float += n,
            NumberClass::Bool => self.bool += n,
            NumberClass::Text => self.text += n,
            NumberClass::Empty => self.empty += n,
        }
    }
}

/// The keys of the structs, with the number of runs that hold each: what names and types are resolved by.
///
/// Kept beside every file of `runs`, so that planning reads no footer. Deleted runs do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// Keys of `params`, `params_num` and `params_text`.
    pub params: BTreeMap<String, ParamCounts>,
    /// Keys of `metrics`, `metrics_min`, `metrics_max` and `best`.
    pub metrics: BTreeMap<String, i64>,
    /// Keys of `tags`.
    pub tags: BTreeMap<String, i64>,
    /// Keys (roles) of `data`.
    pub data: BTreeMap<String, i64>,
}

impl KeyCounts {
    /// Adds the keys of a run.
    pub fn add_run(&mut self, state: &RunState) {
        self.count(state, 1);
    }

    /// Takes the keys of a run away again.
    pub fn remove_run(&mut self, state: &RunState) {
        self.count(state, -1);
    }

    fn count(&mut self, state: &RunState, n: i64) {
        if state.is_deleted() {
            return;
        }
        for (key, value) in state.params() {
            self.params.entry(key.to_string()).or_default().add(value, n);
        }
        for (key, context, _) in state.metrics() {
            if context.is_none() {
                *self.metrics.entry(key.to_string()).or_default() += n;
            }
        }
        for (key, _) in shown_tags(state) {
            *self.tags.entry(key).or_default() += n;
        }
        for role in data_by_role(state).into_keys() {
            *self.data.entry(role).or_default() += n;
        }
    }

    /// Adds the keys of another set of runs.
    pub fn merge(&mut self, other: &KeyCounts) {
        for (key, c) in &other.params {
            let mine = self.params.entry(key.clone()).or_default();
            mine.int += c.int;
            mine.big += c.big;
            mine.float += c.float;
            mine.bool += c.bool;
            mine.text += c.text;
            mine.empty += c.empty;
        }
        let groups =
            [(&mut self.metrics, &other.metrics), (&mut self.tags, &other.tags), (&mut self.data, &other.data)];
        for (mine, other) in groups {
            for (key, n) in other {
                *mine.entry(key.clone()).or_default() += n;
            }
        }
    }

    /// Drops keys that no run holds any more.
    pub fn prune(&mut self) {
        self.params.retain(|_, c| c.runs() > 0);
        for group in [&mut self.metrics, &mut self.tags, &mut self.data] {
            group.retain(|_, n| *n > 0);
        }
    }
}

/// Role to digest; where several data sets share a role their digests are joined by `+`, by name of the data set.
fn data_by_role(state: &RunState) -> BTreeMap<String, Option<String>> {
    let mut by_role: BTreeMap<String, Option<String>> = BTreeMap::new();
    for data in state.data() {
        let digest = by_role.entry(data.role.clone()).or_default();
        if let Some(new) = &data.digest {
            *digest = Some(match digest.take() {
                Some(old) => format!("{old}+{new}"),
                None => new.clone(),
            });
        }
    }
    by_role
}

/// One column per leaf, filled up with NULL where a run does not hold the key.
struct Leaves<B>(BTreeMap<String, B>);

// Derived `Default` would ask it of the builder.
impl<B> Default for Leaves<B> {
    fn default() -> Self {
        Leaves(BTreeMap::new())
    }
}

trait LeafBuilder {
    /// One that takes no room yet: there may be tens of thousands of leaves.
    fn empty() -> Self;
    fn rows(&self) -> usize;
    fn null(&mut self);
    fn array(self) -> ArrayRef;
}

impl LeafBuilder for Float64Builder {
    fn empty() -> Self {
        Float64Builder::with_capacity(0)
    }
    fn rows(&self) -> usize {
        arrow::array::ArrayBuilder::len(self)
    }
    fn null(&mut self) {
        self.append_null();
    }
    fn array(mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl LeafBuilder for StringBuilder {
    fn empty() -> Self {
        StringBuilder::with_capacity(0, 0)
    }
    fn rows(&self) -> usize {
        arrow::array::ArrayBuilder::len(self)
    }
    fn null(&mut self) {
        self.append_null();
    }
    fn array(mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl<B: LeafBuilder> Leaves<B> {
    /// The leaf of a key, filled up to `row`.
    fn at(&mut self, key: &str, row: usize) -> &mut B {
        if !self.0.contains_key(key) {
            self.0.insert(key.to_string(), B::empty());
        }
        let leaf = self.0.get_mut(key).expect("it was just put there");
        while leaf.rows() < row {
            leaf.null();
        }
        leaf
    }

    fn finish(self, rows: usize) -> StructArray {
        let constant: ArrayRef = Arc::new(BooleanArray::from(vec![true; rows]));
        let mut columns: Vec<(FieldRef, ArrayRef)> =
            vec![(Arc::new(Field::new(CONSTANT, DataType::Boolean, true)), constant)];
        for (key, mut leaf) in self.0 {
            while leaf.rows() < rows {
                leaf.null();
            }
            let array = leaf.array();
            columns.push((Arc::new(Field::new(key, array.data_type().clone(), true)), array));
        }
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        StructArray::try_new_with_length(Fields::from(fields), arrays, None, rows)
            .expect("every leaf was filled up to the same length")
    }
}

/// Builds the struct columns run by run.
#[derive(Default)]
pub struct WideBuilder {
    rows: usize,
    counts: KeyCounts,
    params_num: Leaves<Float64Builder>,
    params_text: Leaves<StringBuilder>,
    metrics: Leaves<Float64Builder>,
    metrics_min: Leaves<Float64Builder>,
    metrics_max: Leaves<Float64Builder>,
    tags: Leaves<StringBuilder>,
    data: Leaves<StringBuilder>,
}

impl WideBuilder {
    /// Adds the row of a run.
    pub fn push(&mut self, state: &RunState) {
        let row = self.rows;
        for (key, value) in state.params() {
            self.params_num.at(key, row).append_option(value.number());
            self.params_text.at(key, row).append_option(value.text());
        }
        for (key, context, stats) in state.metrics() {
            if context.is_none() {
                // Most runs have one value of most metrics: it is stored once. Where the last value is NULL and an extreme
                // is NULL too, all values are NaN, so that NULL never has to be told from "the same".
                let last = stats.last();
                let differs = |x: &f64| last.is_none_or(|last| last.to_bits() != x.to_bits());
                self.metrics.at(key, row).append_option(last);
                self.metrics_min.at(key, row).append_option(stats.min().filter(differs));
                self.metrics_max.at(key, row).append_option(stats.max().filter(differs));
            }
        }
        for (key, value) in shown_tags(state) {
            // A bare tag is there, which NULL would not say.
            self.tags.at(&key, row).append_value(value.as_deref().unwrap_or(""));
        }
        for (role, digest) in data_by_role(state) {
            self.data.at(&role, row).append_option(digest);
        }
        self.counts.add_run(state);
        self.rows += 1;
    }

    /// The struct columns in the order of [`StoredStruct::ALL`], and the keys they hold.
    pub fn finish(self) -> (Vec<StructArray>, KeyCounts) {
        let rows = self.rows;
        let structs = vec![
            self.params_num.finish(rows),
            self.params_text.finish(rows),
            self.metrics.finish(rows),
            self.metrics_min.finish(rows),
            self.metrics_max.finish(rows),
            self.tags.finish(rows),
            self.data.finish(rows),
        ];
        (structs, self.counts)
    }
}

/// The fixed columns of `runs`, its structs, and the hidden column, as one batch.
pub fn with_structs(runs: RecordBatch, structs: Vec<StructArray>, hidden: Vec<Vec<u8>>) -> RecordBatch {
    let mut fields: Vec<FieldRef> = runs.schema().fields().iter().cloned().collect();
    let mut columns = runs.columns().to_vec();
    for (kind, array) in StoredStruct::ALL.into_iter().zip(structs) {
        fields.push(Arc::new(Field::new(kind.name(), array.data_type().clone(), true)));
        columns.push(Arc::new(array));
    }
    fields.push(Arc::new(Field::new(HIDDEN_STATE, DataType::Binary, true)));
    columns.push(Arc::new(BinaryArray::from_iter_values(hidden)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("every column has a row per run")
}
