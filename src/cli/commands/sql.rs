//! `runlake sql`.

use crate::cli::{Outcome, Place};

/// Answers SQL.
#[derive(Debug, clap::Args)]
pub struct SqlArgs {}

pub async fn run(_place: &Place, _args: SqlArgs) -> Outcome {
    unimplemented!()
}
