//! The groups of keys that `runs` shows as struct columns, and which key a written name means.

use std::collections::BTreeSet;

use datafusion::common::utils::datafusion_strsim::levenshtein;

use super::error::QueryError;
use crate::schema::wide::{KeyCounts, StoredStruct};

/// A struct column of `runs` as SQL shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    Params,
    ParamsNum,
    ParamsText,
    Metrics,
    MetricsMin,
    MetricsMax,
    Best,
    Tags,
    Data,
}

impl Group {
    /// All groups, in the order in which `SELECT *` shows them.
    pub const ALL: [Group; 9] = [
        Group::Params,
        Group::ParamsNum,
        Group::ParamsText,
        Group::Metrics,
        Group::MetricsMin,
        Group::MetricsMax,
        Group::Best,
        Group::Tags,
        Group::Data,
    ];

    /// The column.
    pub fn name(self) -> &'static str {
        match self {
            Group::Params => "params",
            Group::ParamsNum => "params_num",
            Group::ParamsText => "params_text",
            Group::Metrics => "metrics",
            Group::MetricsMin => "metrics_min",
            Group::MetricsMax => "metrics_max",
            Group::Best => "best",
            Group::Tags => "tags",
            Group::Data => "data",
        }
    }

    /// What its leaves hold.
    pub fn doc(self) -> &'static str {
        match self {
            Group::Params => "params, each in the type that most runs log",
            Group::ParamsNum => "params that are numbers, as doubles",
            Group::ParamsText => "params as text, as logged",
            Group::Metrics => "last value of each metric without a context; NULL where that is NaN",
            Group::MetricsMin => "smallest value of each metric without a context",
            Group::MetricsMax => "greatest value of each metric without a context",
            Group::Best => "metrics_min or metrics_max, by the declared goal; NULL without one",
            Group::Tags => "tags; empty text for a bare one",
            Group::Data => "digest of the data by role",
        }
    }

    /// The group of this name, in any case.
    pub fn parse(name: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|g| g.name().eq_ignore_ascii_case(name))
    }

    /// The stored structs that its values come from.
    pub fn stored(self) -> &'static [StoredStruct] {
        match self {
            Group::Params => &[StoredStruct::ParamsNum, StoredStruct::ParamsText],
            Group::ParamsNum => &[StoredStruct::ParamsNum],
            Group::ParamsText => &[StoredStruct::ParamsText],
            Group::Metrics => &[StoredStruct::Metrics],
            // An extreme that is the last value too is stored as that alone.
            Group::MetricsMin => &[StoredStruct::MetricsMin, StoredStruct::Metrics],
            Group::MetricsMax => &[StoredStruct::MetricsMax, StoredStruct::Metrics],
            Group::Best => &[StoredStruct::MetricsMin, StoredStruct::MetricsMax, StoredStruct::Metrics],
            Group::Tags => &[StoredStruct::Tags],
            Group::Data => &[StoredStruct::Data],
        }
    }

    /// Its keys.
    pub fn keys(self, counts: &KeyCounts) -> Vec<&str> {
        self.stored()[0].keys(counts)
    }

    fn has(self, counts: &KeyCounts, key: &str) -> bool {
        match self {
            Group::Params | Group::ParamsNum | Group::ParamsText => counts.params.contains_key(key),
            Group::Metrics | Group::MetricsMin | Group::MetricsMax | Group::Best => counts.metrics.contains_key(key),
            Group::Tags => counts.tags.contains_key(key),
            Group::Data => counts.data.contains_key(key),
        }
    }

    /// The key that `name` means: the one spelt so, else the only one spelt so save for case.
    pub fn resolve(self, counts: &KeyCounts, name: &str, exact: bool) -> Result<String, QueryError> {
        if self.has(counts, name) {
            return Ok(name.to_string());
        }
        let keys = self.keys(counts);
        let lower = name.to_lowercase();
        let fits: Vec<_> = keys.iter().filter(|k| !exact && k.to_lowercase() == lower).collect();
        match fits.as_slice() {
            [only] => Ok(only.to_string()),
            [] => Err(QueryError::UnknownKey {
                group: self.name().to_string(),
                key: name.to_string(),
                near: near(&keys, name),
                keys: keys.len(),
            }),
            several => Err(QueryError::AmbiguousKey {
                group: self.name().to_string(),
                key: name.to_string(),
                fits: several.iter().map(|k| k.to_string()).collect(),
            }),
        }
    }
}

/// The few keys nearest to a name, best first.
pub fn near(keys: &[&str], name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let mut scored: Vec<_> = keys
        .iter()
        // A name of 10,000 letters is nobody's typing error.
        .filter(|key| key.len() <= 100)
        .filter_map(|key| {
            let lower = key.to_lowercase();
            let distance = levenshtein(&lower, &name);
            let part = lower.len() >= 2 && (lower.contains(&name) || name.contains(&lower));
            let limit = (name.chars().count().max(3) / 3).max(1);
            (part || distance <= limit).then_some((distance, *key))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, key)| key.to_string()).collect()
}

/// The keys that a statement needs, by group, and the columns beside them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct NamedKeys {
    /// Words, among which are the names of the columns beside the keys that it needs. `None`: it may need all of them.
    pub columns: Option<BTreeSet<String>>,
    /// Whether `runs` shows them as structs; else each is a column `params.lr` of its own.
    pub as_structs: bool,
    keys: BTreeSet<(Group, String)>,
    whole: BTreeSet<Group>,
}

impl NamedKeys {
    /// Adds a key.
    pub fn add(&mut self, group: Group, key: String) {
        self.keys.insert((group, key));
    }

    /// Adds all keys of a group.
    pub fn add_all(&mut self, group: Group, counts: &KeyCounts) {
        self.whole.insert(group);
        self.keys.extend(group.keys(counts).into_iter().map(|key| (group, key.to_string())));
    }

    /// Whether a column beside the keys may be needed.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(name))
    }

    /// Whether all keys of a group are wanted.
    pub fn is_whole(&self, group: Group) -> bool {
        self.whole.contains(&group)
    }

    /// The keys of a group.
    pub fn of(&self, group: Group) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |(g, _)| *g == group).map(|(_, key)| key.as_str())
    }

    /// The leaves to read of a stored struct.
    pub fn leaves(&self, stored: StoredStruct) -> BTreeSet<&str> {
        self.keys.iter().filter(|(g, _)| g.stored().contains(&stored)).map(|(_, key)| key.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(keys: &[&str]) -> KeyCounts {
        let mut counts = KeyCounts::default();
        for key in keys {
            counts.metrics.insert(key.to_string(), 1);
        }
        counts
    }

    #[test]
    fn a_name_means_the_key_spelt_so_else_the_only_one_save_for_case() {
        let counts = counts(&["AUC", "loss", "Loss", "val.F1"]);
        let resolve = |name, exact| Group::Metrics.resolve(&counts, name, exact);
        assert_eq!(resolve("auc", false).unwrap(), "AUC");
        assert_eq!(resolve("loss", false).unwrap(), "loss");
        assert_eq!(resolve("VAL.f1", false).unwrap(), "val.F1");
        assert!(matches!(resolve("LOSS", false), Err(QueryError::AmbiguousKey { .. })));
        assert!(matches!(resolve("auc", true), Err(QueryError::UnknownKey { .. })));
        let Err(QueryError::UnknownKey { near, keys, .. }) = resolve("lss", false) else { panic!() };
        assert_eq!((near, keys), (vec!["Loss".to_string(), "loss".to_string()], 4));
    }
}
