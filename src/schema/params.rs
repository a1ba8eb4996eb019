//! `params`: one row per run and param.

use super::rows;

rows! {
    /// One row per run and param key.
    ParamRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The param.
        key: String,
        /// The value as text, as logged; NULL for a null.
        value: Option<String>,
        /// What was logged: int, float, bool, text, list, dict, date, datetime or null.
        r#type: String,
        /// The value as a double; NULL when it is not a number.
        num: Option<f64>,
    }
}
