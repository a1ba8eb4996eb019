//! `links`: one row per run, other run and kind of tie.

use super::rows;

rows! {
    /// One row per run, target and kind.
    LinkRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The other run.
        target_run_id: String,
        /// parent, fork, member, base_model, retry, ...
        kind: String,
        /// Place among the links of this kind.
        position: Option<i64>,
        /// Weight of a member in an ensemble.
        weight: Option<f64>,
        /// Step of the target that was taken over.
        step: Option<i64>,
    }
}
