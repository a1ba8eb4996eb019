//! `runlake repl`.

use crate::cli::{Outcome, Place, repl};

/// Opens the SQL shell
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = "\
Without a terminal on stdin it runs what it reads there, statements and commands of the shell alike.

Examples:
  runlake repl
  runlake --store ./runlake-demo repl
  echo '.tables' | runlake repl")]
pub struct ReplArgs {}

pub async fn run(place: &Place, _args: ReplArgs) -> Outcome {
    repl::run(place.open()?, &place.path()?).await
}
