//! `metric_defs`: one row per experiment and metric that somebody declared a goal for.

use super::rows;

rows! {
    /// One row per experiment and metric with a declared goal.
    MetricDefRow {
        /// The experiment.
        experiment_id: String,
        /// The metric.
        key: String,
        /// min or max.
        goal: String,
        /// declared or imported.
        source: String,
        /// Unit of the values.
        unit: Option<String>,
        /// Free text.
        description: Option<String>,
    }
}
