//! `environment`: one row per run and fact about where it ran.

use super::rows;

rows! {
    /// One row per run and fact (python, os, cpu, gpu, container image, variables asked for).
    EnvironmentRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The fact.
        key: String,
        /// Its value.
        value: String,
    }
}
