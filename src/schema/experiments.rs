//! `experiments`: one row per experiment, the only place besides `runs` that shows its name.

use super::rows;
use crate::model::{ExperimentState, Micros};

rows! {
    /// One row per experiment.
    ExperimentRow {
        /// Its id, for life.
        experiment_id: String,
        /// Its name.
        experiment: String,
        /// When it was first used.
        created: Micros,
        /// Its tags, as a JSON object.
        tags: Option<String>,
        /// active or deleted.
        lifecycle: String,
    }
}

impl ExperimentRow {
    /// The row of an experiment.
    pub fn new(state: &ExperimentState) -> Self {
        let tags: serde_json::Map<_, _> = state
            .tags()
            .map(|(key, value)| (key.to_string(), value.map_or(serde_json::Value::Null, Into::into)))
            .collect();
        ExperimentRow {
            experiment_id: state.id.to_string(),
            experiment: state.name().to_string(),
            created: state.created,
            tags: (!tags.is_empty()).then(|| serde_json::Value::Object(tags).to_string()),
            lifecycle: if state.is_deleted() { "deleted" } else { "active" }.to_string(),
        }
    }
}
