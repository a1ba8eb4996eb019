//! What the command line takes.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::commands;

/// Keep machine-learning runs as rows and answer SQL over them
#[derive(Debug, Parser)]
#[command(
    name = "runlake",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  runlake demo                                   a store with sample runs, and what can be asked of it
  runlake init && python train.py | runlake log  a store of your own
  runlake sql -c 'SELECT name, params.lr, metrics.auc FROM runs ORDER BY metrics.auc DESC LIMIT 10'
  runlake                                        the SQL shell

Exit codes: 0 done, 1 failed (SQL, data, disk), 2 wrong usage or no store, 3 a gate failed, 130 interrupted."
)]
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
    Demo(commands::demo::DemoArgs),
    Init(commands::init::InitArgs),
    Info(commands::info::InfoArgs),
    Log(commands::log::LogArgs),
    Import(commands::import::ImportArgs),
    Export(commands::export::ExportArgs),
    Sql(commands::sql::SqlArgs),
    Repl(commands::repl::ReplArgs),
    Check(commands::check::CheckArgs),
    Runs(commands::runs::RunsArgs),
    Show(commands::show::ShowArgs),
    Top(commands::top::TopArgs),
    Diff(commands::diff::DiffArgs),
    Curve(commands::curve::CurveArgs),
    Features(commands::features::FeaturesArgs),
    Effects(commands::effects::EffectsArgs),
    Pareto(commands::pareto::ParetoArgs),
    Goal(commands::goal::GoalArgs),
    Report(commands::report::ReportArgs),
    Watch(commands::watch::WatchArgs),
    Reproduce(commands::reproduce::ReproduceArgs),
    History(commands::history::HistoryArgs),
    Delete(commands::delete::DeleteArgs),
    Restore(commands::restore::RestoreArgs),
    Rename(commands::edit::RenameArgs),
    Tag(commands::edit::TagArgs),
    Note(commands::edit::NoteArgs),
    Comment(commands::edit::CommentArgs),
    Copy(commands::copy::CopyArgs),
    Seal(commands::upkeep::SealArgs),
    Compact(commands::upkeep::CompactArgs),
    Gc(commands::upkeep::GcArgs),
    Verify(commands::verify::VerifyArgs),
    Completions(commands::completions::CompletionsArgs),
}
