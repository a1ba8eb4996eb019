//! `runlake repl`.

use crate::cli::{Outcome, Place};

/// Opens the SQL shell.
#[derive(Debug, Default, clap::Args)]
pub struct ReplArgs {}

pub async fn run(_place: &Place, _args: ReplArgs) -> Outcome {
    unimplemented!()
}
