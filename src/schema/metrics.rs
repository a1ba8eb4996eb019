//! `metrics`: one row per logged point. It only ever grows.

use super::rows;
use crate::model::Micros;

rows! {
    /// One row per logged point of a metric.
    MetricRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The metric.
        key: String,
        /// Canonical JSON of what qualifies the series (split, fold, class, ...); NULL for most.
        context: Option<String>,
        /// The step, where it is a whole number.
        step: Option<i64>,
        /// The step, where it is not a whole number.
        x: Option<f64>,
        /// When it was logged.
        time: Micros,
        /// The value; NaN and infinities as logged.
        value: f64,
    }
}
