//! One file per command.

pub mod repl;
pub mod sql;

use std::io::IsTerminal;

use clap::CommandFactory;

use super::args::{Args, Command};
use super::{Exit, Outcome, Place};

/// Runs a command; none at all is the shell on a terminal, and the help elsewhere.
pub async fn run(place: &Place, command: Option<Command>) -> Outcome {
    match command {
        Some(Command::Sql(args)) => sql::run(place, args).await,
        Some(Command::Repl(args)) => repl::run(place, args).await,
        None if std::io::stdin().is_terminal() => repl::run(place, repl::ReplArgs::default()).await,
        None => {
            let help = Args::command().render_help();
            eprint!("{help}");
            Ok(Exit::Usage)
        }
    }
}
