//! `runlake features`.

use crate::cli::question::{AskArgs, BlockColumns, Question, ScopeArgs, ordered, quoted, until_interrupted};
use crate::cli::{Exit, Outcome, Place};

/// Show what each feature is worth, rank feature sets, or choose one
///
/// Without --sets or --select: one row per feature, with its effect on the metric beside other features, and what its presence
/// alone would suggest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake features auc -e churn
  runlake features auc -e churn --sets -n 20
  runlake features auc -e churn --select
  runlake features auc -e churn --select --max-features 8 --tolerance 0.002 --confirm test_auc")]
pub struct FeaturesArgs {
    /// The metric; `runlake goal` says which way it gets better
    #[arg(value_name = "METRIC")]
    pub metric: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// One row per distinct set of features instead
    #[arg(long)]
    pub sets: bool,
    /// The smallest set whose score is within a tolerance of the best
    #[arg(long, conflicts_with = "sets")]
    pub select: bool,
    /// With --select: at most so many features
    #[arg(long, value_name = "COUNT", requires = "select")]
    pub max_features: Option<u32>,
    /// With --select: what a smaller set may cost [default: one standard error of the paired difference]
    #[arg(long, value_name = "SCORE", requires = "select")]
    pub tolerance: Option<f64>,
    /// With --select: a held-out metric that is asked about the winner
    #[arg(long, value_name = "METRIC", requires = "select")]
    pub confirm: Option<String>,
    /// Number of rows [default: all]
    #[arg(short, long, value_name = "ROWS")]
    pub number: Option<u64>,
    #[command(flatten)]
    pub ask: AskArgs,
}

pub async fn run(place: &Place, args: FeaturesArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: FeaturesArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let scope = args.scope.scope(&question.session).await?;
    let blocks = match args.select || args.sets {
        true => BlockColumns::of(&question.session, &scope, Some(&args.metric)).await?,
        false => BlockColumns::default(),
    };
    let scope = quoted(&scope);
    let metric = quoted(&args.metric);
    let call = if args.select {
        let mut call = format!("select_features({scope}, {metric}");
        if let Some(count) = args.max_features {
            call += &format!(", max_features => {count}");
        }
        if let Some(tolerance) = args.tolerance {
            call += &format!(", tolerance => {tolerance}");
        }
        if let Some(metric) = &args.confirm {
            call += &format!(", confirm => {}", quoted(metric));
        }
        call + ")"
    } else if args.sets {
        format!("feature_sets({scope}, {metric})")
    } else {
        format!("feature_effects({scope}, {metric})")
    };
    let limit = args.number.map(|n| format!("\nLIMIT {n}")).unwrap_or_default();
    let mut first = blocks.told;
    let columns = if args.select {
        match args.confirm {
            Some(_) => {
                first.extend(["size", "score", "confirm_score", "best_size", "best_score", "best_confirm_score"])
            }
            None => first.extend(["size", "score", "best_size", "best_score"]),
        }
        first.push("tolerance");
        ordered(&first, &blocks.alike, &["digest"])
    } else if args.sets {
        first.extend(["rank", "score", "size", "n_configs", "n_runs", "features"]);
        ordered(&first, &blocks.alike, &["digest"])
    } else {
        ordered(&["feature", "effect", "q_value", "low", "high", "better", "raw_diff"], &[], &[])
    };
    question.compare(&format!("SELECT {columns}\nFROM {call}{limit}")).await?;
    Ok(Exit::Done)
}
