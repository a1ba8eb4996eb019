//! `data_versions`: one row per run, data set and role.

use super::rows;

rows! {
    /// One row per run, data set and role.
    DataVersionRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// Name of the data set.
        dataset: String,
        /// What it was used for: training, validation, test, ...
        role: String,
        /// Digest of the content.
        digest: Option<String>,
        /// Name of the version.
        data_version: Option<String>,
        /// Where it came from.
        source: Option<String>,
        /// Number of rows.
        n_rows: Option<i64>,
        /// Number of columns.
        n_columns: Option<i64>,
        /// Size in bytes.
        bytes: Option<i64>,
        /// Names and types of the columns, as logged.
        data_schema: Option<String>,
    }
}
