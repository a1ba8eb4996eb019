//! One file per command, or per few that belong together.

pub mod check;
pub mod completions;
pub mod copy;
pub mod curve;
pub mod delete;
pub mod demo;
pub mod diff;
pub mod edit;
pub mod effects;
pub mod export;
pub mod features;
pub mod goal;
pub mod history;
pub mod import;
pub mod info;
pub mod init;
pub mod log;
pub mod pareto;
pub mod repl;
pub mod report;
pub mod reproduce;
pub mod restore;
pub mod runs;
pub mod show;
pub mod sql;
pub mod top;
pub mod upkeep;
pub mod verify;
pub mod watch;

use std::io::IsTerminal;

use clap::CommandFactory;

use super::args::{Args, Command};
use super::{Exit, Outcome, Place};

/// Runs a command; none at all is the shell on a terminal, and the help elsewhere.
pub async fn run(place: &Place, command: Option<Command>) -> Outcome {
    match command {
        Some(Command::Demo(args)) => demo::run(place, args).await,
        Some(Command::Init(args)) => init::run(place, args).await,
        Some(Command::Info(args)) => info::run(place, args).await,
        Some(Command::Log(args)) => log::run(place, args).await,
        Some(Command::Import(args)) => import::run(place, args).await,
        Some(Command::Export(args)) => export::run(place, args).await,
        Some(Command::Sql(args)) => sql::run(place, args).await,
        Some(Command::Repl(args)) => repl::run(place, args).await,
        Some(Command::Check(args)) => check::run(place, args).await,
        Some(Command::Runs(args)) => runs::run(place, args).await,
        Some(Command::Show(args)) => show::run(place, args).await,
        Some(Command::Top(args)) => top::run(place, args).await,
        Some(Command::Diff(args)) => diff::run(place, args).await,
        Some(Command::Curve(args)) => curve::run(place, args).await,
        Some(Command::Features(args)) => features::run(place, args).await,
        Some(Command::Effects(args)) => effects::run(place, args).await,
        Some(Command::Pareto(args)) => pareto::run(place, args).await,
        Some(Command::Goal(args)) => goal::run(place, args).await,
        Some(Command::Report(args)) => report::run(place, args).await,
        Some(Command::Watch(args)) => watch::run(place, args).await,
        Some(Command::Reproduce(args)) => reproduce::run(place, args).await,
        Some(Command::History(args)) => history::run(place, args).await,
        Some(Command::Delete(args)) => delete::run(place, args).await,
        Some(Command::Restore(args)) => restore::run(place, args).await,
        Some(Command::Rename(args)) => edit::rename(place, args).await,
        Some(Command::Tag(args)) => edit::tag(place, args).await,
        Some(Command::Note(args)) => edit::note(place, args).await,
        Some(Command::Comment(args)) => edit::comment(place, args).await,
        Some(Command::Copy(args)) => copy::run(place, args).await,
        Some(Command::Seal(args)) => upkeep::seal(place, args).await,
        Some(Command::Compact(args)) => upkeep::compact(place, args).await,
        Some(Command::Gc(args)) => upkeep::gc(place, args).await,
        Some(Command::Verify(args)) => verify::run(place, args).await,
        Some(Command::Completions(args)) => completions::run(args),
        None if std::io::stdin().is_terminal() => repl::run(place, repl::ReplArgs::default()).await,
        None => {
            super::output::say(Args::command().render_help());
            Ok(Exit::Usage)
        }
    }
}
