//! `features`: one row per run and input column.

use super::rows;

rows! {
    /// One row per run and feature that was available to it, used or not.
    FeatureRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// Name of the input column.
        feature: String,
        /// Place among the columns, from 0.
        position: Option<i64>,
        /// Type of the column, as logged.
        dtype: Option<String>,
        /// Whether the model saw it.
        used: bool,
        /// What it was worth; its scale depends on the kind.
        importance: Option<f64>,
        /// How the importance was measured: gini, permutation, coefficient, shap, ...
        importance_kind: Option<String>,
        /// Labels.
        feature_tags: Option<Vec<String>>,
        /// Free text.
        description: Option<String>,
    }
}
