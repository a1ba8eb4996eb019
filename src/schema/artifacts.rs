//! `artifacts`: one row per run and file.

use super::rows;

rows! {
    /// One row per run and file.
    ArtifactRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// Name of the file in the run, `/` for folders.
        path: String,
        /// Where the bytes are, relative to the store.
        uri: String,
        /// Size in bytes.
        size: i64,
        /// blake3 of the content, 64 hex digits.
        digest: String,
        /// Media type guessed from the name.
        mime: Option<String>,
    }
}
