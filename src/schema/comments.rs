//! `comments`: one row per run and remark.

use super::rows;
use crate::model::Micros;

rows! {
    /// One row per run and comment.
    CommentRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// Names the comment within the run.
        comment_id: String,
        /// Who said it.
        author: Option<String>,
        /// When.
        time: Micros,
        /// What.
        comment: String,
    }
}
