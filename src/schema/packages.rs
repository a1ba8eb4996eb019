//! `packages`: one row per run and installed package.

use super::rows;

rows! {
    /// One row per run and package.
    PackageRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// Name of the package.
        package: String,
        /// Its version.
        package_version: String,
    }
}
