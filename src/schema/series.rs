//! `series`: one row per logged point that is not a number. It only ever grows.

use super::rows;
use crate::model::Micros;

rows! {
    /// One row per point that is not a number.
    SeriesRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The series.
        key: String,
        /// The step, where it is a whole number.
        step: Option<i64>,
        /// The step, where it is not a whole number.
        x: Option<f64>,
        /// When it was logged.
        time: Micros,
        /// text, histogram or file.
        kind: String,
        /// The text; the histogram as JSON {"edges": [n+1], "counts": [n]}; the path of the artifact.
        payload: String,
    }
}
