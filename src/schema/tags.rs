//! `tags`: one row per run and tag.

use super::rows;

rows! {
    /// One row per run and tag.
    TagRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The tag.
        key: String,
        /// Its value; NULL for a bare tag.
        value: Option<String>,
    }
}
