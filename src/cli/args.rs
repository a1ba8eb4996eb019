//! What the command line takes.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::commands;

/// Keeps machine-learning runs as rows and answers SQL over them.
#[derive(Debug, Parser)]
#[command(name = "runlake", version)]
pub struct Args {
    /// The store [default: $RUNLAKE_STORE, else the nearest .runlake folder upwards]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    Sql(commands::sql::SqlArgs),
    Repl(commands::repl::ReplArgs),
}
