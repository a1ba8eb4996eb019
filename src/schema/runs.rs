//! `runs`: one row per run, the fixed columns. The structs beside them are in `wide.rs`.

use super::rows;
use crate::model::Micros;

/// Column of the files of `runs` and of the small tables that SQL does not show: what a later merge needs to know.
pub const HIDDEN_STATE: &str = "_state";

rows! {
    /// One row per run.
    RunRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// A name for people, not unique.
        name: Option<String>,
        /// RUNNING, FINISHED, FAILED, KILLED, SCHEDULED or CRASHED.
        status: String,
        /// What ended a failed run.
        error: Option<String>,
        /// When it began.
        start_time: Micros,
        /// When it ended; NULL while it has not.
        end_time: Option<Micros>,
        /// Seconds from start to end.
        duration_s: Option<f64>,
        /// Who ran it.
        user: Option<String>,
        /// On which machine.
        host: Option<String>,
        /// By which command.
        command: Option<String>,
        /// Commit of the code.
        git_commit: Option<String>,
        /// Branch of the code.
        git_branch: Option<String>,
        /// Whether there were changes beyond the commit.
        git_dirty: Option<bool>,
        /// Where the code lives.
        git_remote: Option<String>,
        /// The run that this one is part of.
        parent_run_id: Option<String>,
        /// What repeats share: digest of the typed params without repeat keys, and of the feature set.
        config_id: String,
        /// The param seed, where it is a whole number.
        seed: Option<i64>,
        /// The param fold, where it is a whole number.
        fold: Option<i64>,
        /// Digest of the sorted names of the features used; NULL when none were logged.
        feature_set: Option<String>,
        /// Number of features used; NULL when none were logged.
        n_features: Option<i64>,
        /// Names of the features used, by position.
        features: Option<Vec<String>>,
        /// Free text.
        notes: Option<String>,
        /// Whether it is deleted, hidden until it is restored or purged.
        deleted: bool,
    }
}
