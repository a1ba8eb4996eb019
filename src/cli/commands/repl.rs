//! `runlake repl`.

use crate::cli::place::Past;
use crate::cli::{Outcome, Place, repl};

/// Opens the SQL shell
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = "\
Without a terminal on stdin it runs what it reads there, statements and commands of the shell alike.

Examples:
  runlake repl
  runlake --store ./runlake-demo repl
  echo '.tables' | runlake repl")]
pub struct ReplArgs {
    #[command(flatten)]
    pub past: Past,
}

pub async fn run(place: &Place, args: ReplArgs) -> Outcome {
    repl::run(place.open()?, &place.path()?, args.past).await
}
