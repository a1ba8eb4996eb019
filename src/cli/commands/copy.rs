//! `runlake copy`.

use std::path::PathBuf;

use runlake::Store;

use crate::cli::output::{counted, put_line, size};
use crate::cli::progress::Progress;
use crate::cli::select::Selection;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Copy runs, with their files, into another store
///
/// Ids are kept, and what the other store holds already is left alone: a copy may be repeated.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake copy 0192f0c4 0192f0d1 ../team-store
  runlake copy --where \"tags.stage = 'candidate'\" ../team-store")]
pub struct CopyArgs {
    /// Ids of runs, or enough of their first characters; and the store to copy to, last
    #[arg(value_name = "RUN... STORE", required = true)]
    pub words: Vec<String>,
    /// All runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Only say which runs it would be
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(place: &Place, args: CopyArgs) -> Outcome {
    let mut runs = args.words;
    let target = PathBuf::from(runs.pop().expect("clap wants one"));
    if args.condition.is_some() && !runs.is_empty() {
        return Err(Failure::usage(format!("'{}' names a run beside --where", runs[0])).hint("give one of both"));
    }
    let selection = Selection { runs, condition: args.condition };
    if selection.is_empty() {
        return Err(Failure::usage(format!("which runs? only the store '{}' is named", target.display()))
            .hint("`runlake copy RUN... STORE` copies runs, `runlake copy --where true STORE` all of them"));
    }
    let store = place.open()?;
    let session = store.session().await?;
    let runs = selection.resolve(&session).await?;
    if args.dry_run {
        return super::delete::would("copy", &runs);
    }
    let there = Store::open(&target)?;
    let progress = Progress::waiting("copying");
    let report = store.copy_runs(&runs, &there).await?;
    there.close_segment()?;
    there.seal_if_large().await?;
    drop(progress);
    put_line(format!(
        "copied {} ({} new there): {}, {} ({})",
        counted(report.runs, "run"),
        crate::cli::output::count(report.new_runs),
        counted(report.points, "metric point"),
        counted(report.artifacts, "file"),
        size(report.artifact_bytes)
    ))?;
    Ok(Exit::Done)
}
