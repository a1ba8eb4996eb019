//! `runlake effects`.

use crate::cli::question::{AskArgs, Question, ScopeArgs, collect, quoted, texts, until_interrupted};
use crate::cli::{Exit, Outcome, Place, select};

/// Show what params, versions of the data, or single changes do to a metric
///
/// Without another option: one row per param, its effect within blocks (an experiment and the data trained on).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake effects auc -e churn
  runlake effects auc -e churn --data
  runlake effects auc --run 0192f0c4
  runlake effects auc -e churn --where \"params.model = 'gbm'\" --against \"params.model = 'forest'\"")]
pub struct EffectsArgs {
    /// The metric; `runlake goal` says which way it gets better
    #[arg(value_name = "METRIC")]
    pub metric: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Versions of the data instead: each one against the one before, paired by config
    #[arg(long, group = "what")]
    pub data: bool,
    /// Runs that differ from this one in exactly one param or feature instead
    #[arg(long, value_name = "RUN", group = "what")]
    pub run: Option<String>,
    /// The runs of --where against those for which this condition holds, paired where they pair
    #[arg(long, value_name = "SQL", group = "what", requires = "condition")]
    pub against: Option<String>,
    /// Number of rows [default: all]
    #[arg(short, long, value_name = "ROWS")]
    pub number: Option<u64>,
    #[command(flatten)]
    pub ask: AskArgs,
}

pub async fn run(place: &Place, args: EffectsArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, mut args: EffectsArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let session = &question.session;
    let metric = quoted(&args.metric);
    let call = if let Some(run) = &args.run {
        let run = select::resolve(session, run).await?.to_string();
        if args.scope.experiment.is_none() {
            // The run says where to look.
            let sql = format!("SELECT experiment FROM runs WHERE run_id = {}", quoted(&run));
            args.scope.experiment = texts(&collect(session, &sql).await?, 0).pop().flatten();
        }
        let scope = quoted(&args.scope.scope(session).await?);
        format!("ablations({scope}, {metric}, {})", quoted(&run))
    } else if let Some(other) = &args.against {
        let these = quoted(&args.scope.scope(session).await?);
        let those = quoted(&args.scope.narrowed(session, Some(other)).await?);
        format!("compare_groups({these}, {those}, {metric})")
    } else {
        let function = if args.data { "data_version_effects" } else { "param_effects" };
        let scope = quoted(&args.scope.scope(session).await?);
        format!("{function}({scope}, {metric})")
    };
    let limit = args.number.map(|n| format!("\nLIMIT {n}")).unwrap_or_default();
    let columns = if call.starts_with("data_version_effects") { "* EXCLUDE (from_digest, to_digest)" } else { "*" };
    question.compare(&format!("SELECT {columns}\nFROM {call}{limit}")).await?;
    Ok(Exit::Done)
}
