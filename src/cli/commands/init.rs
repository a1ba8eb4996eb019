//! `runlake init`.

use std::path::PathBuf;

use runlake::Store;

use crate::cli::output::put_line;
use crate::cli::place::FOLDER;
use crate::cli::{Exit, Outcome, Place};

/// Make a store
///
/// Without a folder it becomes `.runlake` in the working folder, where commands in it and below find it by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake init
  runlake init /data/team-store")]
pub struct InitArgs {
    /// The folder: empty or not there yet [default: --store, else .runlake]
    pub dir: Option<PathBuf>,
}

pub async fn run(place: &Place, args: InitArgs) -> Outcome {
    let dir = args.dir.or_else(|| place.asked().map(PathBuf::from)).unwrap_or_else(|| FOLDER.into());
    let store = Store::create(&dir)?;
    put_line(format!("made a store in {}", store.place()))?;
    Ok(Exit::Done)
}
