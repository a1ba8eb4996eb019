//! The command line: arguments in, a library call, results on stdout, everything else on stderr.

pub mod answer;
pub mod args;
pub mod aside;
pub mod chart;
pub mod columns;
mod commands;
#[cfg(test)]
mod docs;
pub mod failure;
pub mod feed;
pub mod hints;
pub mod mirror;
pub mod output;
pub mod place;
pub mod progress;
pub mod question;
pub mod repl;
pub mod select;
pub mod shell;
pub mod svg;
pub mod target;
pub mod terminal;
pub mod values;

use std::process::ExitCode;

use clap::Parser;

pub use failure::{Exit, Failure, Outcome};
pub use place::Place;
pub use runlake::statements;

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    let place = Place::new(args.store);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failure::report(&Failure::from(e)),
    };
    match runtime.block_on(commands::run(&place, args.command)) {
        Ok(exit) => exit.into(),
        Err(failure) => failure::report(&failure),
    }
}
