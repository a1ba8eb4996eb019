//! `runlake effects`.

use crate::cli::question::{
    AskArgs, BlockColumns, Question, ScopeArgs, collect, matching_experiments, ordered, quoted, texts,
    until_interrupted,
};
use crate::cli::{Exit, Failure, Outcome, Place, select};

/// Show what params, versions of the data, or single changes do to a metric
///
/// Without another option: one row per param, its effect within blocks (an experiment and the data trained on).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake effects auc -e churn
  runlake effects auc -e churn --data
  runlake effects auc --run 0192f0c4
  runlake effects auc --run 0192f0c4 --ignore selector,left_out
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
    /// With --run: params that do not count, such as those that only say how features were chosen
    #[arg(long, value_name = "PARAM", requires = "run", value_delimiter = ',')]
    pub ignore: Vec<String>,
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
    let columns;
    let call = if let Some(run) = &args.run {
        let run = select::resolve(session, run).await?.to_string();
        let sql = format!("SELECT experiment FROM runs WHERE run_id = {}", quoted(&run));
        let own = texts(&collect(session, &sql).await?, 0).pop().flatten();
        match (&args.scope.experiment, own) {
            // The run says where to look.
            (None, own) => args.scope.experiment = own,
            (Some(named), Some(own)) if !matching_experiments(session, named).await?.contains(&own) => {
                return Err(Failure::usage(format!("run '{run}' is of experiment '{own}', not of '{named}'"))
                    .hint("without -e the experiment of the run is taken"));
            }
            _ => {}
        }
        let scope = quoted(&args.scope.scope(session).await?);
        let ignore = match args.ignore.as_slice() {
            [] => String::new(),
            ignored => format!(", ignore => {}", quoted(&ignored.join(", "))),
        };
        columns = ordered(&["kind", "name", "given_value", "other_value", "difference", "q_value", "better"], &[], &[]);
        format!("ablations({scope}, {metric}, {}{ignore})", quoted(&run))
    } else if let Some(other) = &args.against {
        let these = quoted(&args.scope.scope(session).await?);
        let those = quoted(&args.scope.narrowed(session, Some(other)).await?);
        columns =
            ordered(&["difference", "low", "high", "better", "p_value", "paired_by", "n_pairs", "wins"], &[], &[]);
        format!("compare_groups({these}, {those}, {metric})")
    } else {
        let scope = args.scope.scope(session).await?;
        if args.data {
            let blocks = BlockColumns::of(session, &scope, Some(&args.metric)).await?;
            let dataset = blocks.told.into_iter().filter(|name| *name == "dataset");
            let figures = ["from_version", "to_version", "difference", "q_value", "better", "low", "high", "n_pairs"];
            let first: Vec<&str> = dataset.chain(figures).collect();
            columns = ordered(&first, &[], &["from_digest", "to_digest"]);
            format!("data_version_effects({}, {metric})", quoted(&scope))
        } else {
            columns = ordered(&["param", "effect", "q_value", "better", "best_value", "measure"], &[], &[]);
            format!("param_effects({}, {metric})", quoted(&scope))
        }
    };
    let limit = args.number.map(|n| format!("\nLIMIT {n}")).unwrap_or_default();
    question.compare(&format!("SELECT {columns}\nFROM {call}{limit}")).await?;
    Ok(Exit::Done)
}
