//! The fields of each type of line, as they are spelt.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::values::{AtStep, Finite, Kind, Number, Pairs, Param, TextOrJson, Time};
use crate::model::{Goal, RunId, Status};

/// A field that may hold null and must be there.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A field for which null is something else than not being there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

macro_rules! line_types {
    ($($(#[$meta:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct $name {
                #[allow(dead_code)]
                r#type: IgnoredAny,
                $($(#[$attribute])* pub $field: $type,)*
            }
        )*
    };
}

line_types! {
    RunLine {
        run: RunId,
        experiment: String,
        name: Option<String>,
        parent: Option<RunId>,
        start_time: Option<Time>,
        user: Option<String>,
        host: Option<String>,
        command: Option<String>,
        git_commit: Option<String>,
        git_branch: Option<String>,
        git_dirty: Option<bool>,
        git_remote: Option<String>,
        notes: Option<String>,
    }
    ParamsLine { run: RunId, values: Pairs<Param> }
    MetricsLine {
        run: RunId,
        values: Pairs<Number>,
        step: Option<AtStep>,
        time: Option<Time>,
        context: Option<Pairs<Value>>,
    }
    GoalLine {
        experiment: String,
        key: String,
        goal: Goal,
        source: Option<String>,
        unit: Option<String>,
        description: Option<String>,
    }
    ExperimentLine {
        experiment: String,
        #[serde(default)]
        tags: Pairs<Option<String>>,
        #[serde(default)]
        remove: Vec<String>,
        repeat_keys: Option<Vec<String>>,
        id: Option<String>,
        created: Option<Time>,
    }
    TagsLine { run: RunId, #[serde(default)] values: Pairs<Option<String>>, #[serde(default)] remove: Vec<String> }
    NoteLine { run: RunId, #[serde(deserialize_with = "required")] notes: Option<String> }
    CommentLine {
        run: RunId,
        comment: Option<String>,
        author: Option<String>,
        time: Option<Time>,
        id: Option<String>,
        remove: Option<bool>,
    }
    FeaturesLine { run: RunId, features: Vec<FeatureItem> }
    DataLine {
        run: RunId,
        dataset: String,
        role: String,
        digest: Option<String>,
        data_version: Option<String>,
        source: Option<String>,
        n_rows: Option<i64>,
        n_columns: Option<i64>,
        bytes: Option<i64>,
        data_schema: Option<TextOrJson>,
    }
    TextsLine { run: RunId, values: Pairs<String> }
    LinkLine {
        run: RunId,
        target: RunId,
        kind: String,
        position: Option<i64>,
        weight: Option<Number>,
        step: Option<i64>,
    }
    TextLine { run: RunId, key: String, text: String, step: Option<AtStep>, time: Option<Time> }
    HistogramLine {
        run: RunId,
        key: String,
        edges: Vec<Finite>,
        counts: Vec<Finite>,
        step: Option<AtStep>,
        time: Option<Time>,
    }
    FileLine { run: RunId, key: String, source: String, step: Option<AtStep>, time: Option<Time> }
    SeriesLine {
        run: RunId,
        key: String,
        kind: Kind,
        payload: String,
        step: Option<AtStep>,
        time: Option<Time>,
    }
    TableLine { run: RunId, name: String, columns: Pairs<Vec<Value>>, #[serde(default)] types: Pairs<String> }
    ArtifactLine {
        run: RunId,
        path: String,
        source: Option<String>,
        text: Option<String>,
        base64: Option<String>,
        uri: Option<String>,
        size: Option<i64>,
        digest: Option<String>,
        #[serde(default, deserialize_with = "given")]
        mime: Option<Option<String>>,
    }
    FinishLine { run: RunId, status: Option<Status>, end_time: Option<Time>, error: Option<String> }
    RunOnly { run: RunId }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureItem {
    pub feature: String,
    #[serde(default, deserialize_with = "given")]
    pub position: Option<Option<i64>>,
    pub dtype: Option<String>,
    pub used: Option<bool>,
    pub importance: Option<Number>,
    pub importance_kind: Option<String>,
    pub feature_tags: Option<Vec<String>>,
    pub description: Option<String>,
}
