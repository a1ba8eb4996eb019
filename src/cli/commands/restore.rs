//! `runlake restore`.

use std::collections::HashSet;

use runlake::{RunId, SessionOptions};

use super::delete::would;
use crate::cli::output::{counted, put_line};
use crate::cli::select::Selection;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Show deleted runs again, or a deleted experiment
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake restore 0192f0c4
  runlake restore --where \"experiment = 'churn'\"
  runlake restore --where true --dry-run       which runs are deleted?
  runlake restore --experiment churn")]
pub struct RestoreArgs {
    #[command(flatten)]
    pub selection: Selection,
    /// The experiment of this name
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["runs", "condition"])]
    pub experiment: Option<String>,
    /// Only say which runs it would be
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(place: &Place, args: RestoreArgs) -> Outcome {
    let store = place.open()?;
    if let Some(name) = &args.experiment {
        if args.dry_run {
            put_line(format!("would restore experiment '{name}'"))?;
            return Ok(Exit::Done);
        }
        store.restore_experiment(name)?;
        put_line(format!("restored experiment '{name}'"))?;
        return Ok(Exit::Done);
    }
    args.selection.needed("restore")?;
    let session = store.session_with(SessionOptions { deleted: true, ..SessionOptions::default() }).await?;
    let deleted: HashSet<RunId> = store.deleted_runs().await?.into_iter().collect();
    let mut runs = args.selection.resolve(&session).await?;
    if args.selection.condition.is_some() {
        runs.retain(|run| deleted.contains(run));
    } else if let Some(run) = runs.iter().find(|run| !deleted.contains(*run)) {
        return Err(Failure::new(format!("run '{run}' is not deleted"))
            .hint("`runlake restore --where true --dry-run` lists the runs that are"));
    }
    if args.dry_run {
        return would("restore", &runs);
    }
    for run in &runs {
        store.restore_run_soon(run)?;
    }
    store.close_segment()?;
    put_line(format!("restored {}", counted(runs.len() as u64, "run")))?;
    Ok(Exit::Done)
}
