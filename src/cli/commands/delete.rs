//! `runlake delete`.

use runlake::RunId;

use crate::cli::output::{counted, put_line};
use crate::cli::question::quoted;
use crate::cli::select::Selection;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Hide runs, or an experiment with all its runs
///
/// They can be restored until `runlake gc` reclaims them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake delete 0192f0c4
  runlake delete --where \"status = 'FAILED'\" --dry-run
  runlake delete --experiment churn")]
pub struct DeleteArgs {
    #[command(flatten)]
    pub selection: Selection,
    /// The experiment of this name
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["runs", "condition"])]
    pub experiment: Option<String>,
    /// Only say which runs it would be
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(place: &Place, args: DeleteArgs) -> Outcome {
    let store = place.open()?;
    if let Some(name) = &args.experiment {
        if args.dry_run {
            let session = store.session().await?;
            let condition = format!("experiment = {}", quoted(name));
            let runs = crate::cli::select::matching(&session, &condition).await?;
            put_line(format!("would delete experiment '{name}' with {}", counted(runs.len() as u64, "run")))?;
            return Ok(Exit::Done);
        }
        store.delete_experiment(name)?;
        put_line(format!(
            "deleted experiment '{name}'; `runlake restore --experiment` brings it back until `runlake gc`"
        ))?;
        return Ok(Exit::Done);
    }
    args.selection.needed("delete")?;
    let session = store.session().await?;
    let runs = args.selection.resolve(&session).await?;
    if args.dry_run {
        return would("delete", &runs);
    }
    for run in &runs {
        store.delete_run_soon(run)?;
    }
    store.close_segment()?;
    put_line(format!("deleted {}", counted(runs.len() as u64, "run")))?;
    Ok(Exit::Done)
}

/// Names the runs that would be changed.
pub fn would(verb: &str, runs: &[RunId]) -> Outcome {
    put_line(format!("would {verb} {}", counted(runs.len() as u64, "run")))?;
    for run in runs {
        put_line(run).map_err(Failure::from)?;
    }
    Ok(Exit::Done)
}
