//! `runlake pareto`.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Float64Type};
use clap::ValueEnum;
use runlake::report::chart::{ChartKind, ChartOptions};

use crate::cli::question::{AskArgs, BlockColumns, Question, ScopeArgs, ordered, quoted, until_interrupted};
use crate::cli::svg::{self, SvgArgs};
use crate::cli::{Exit, Failure, Outcome, Place};

/// Show the runs that no other run beats in every objective
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake pareto 'auc max' 'fit_time_s min' -e churn
  runlake pareto auc fit_time_s -e churn             by the goals of the metrics
  runlake pareto 'auc max, model_bytes min' -e churn --rank 2
  runlake pareto auc n_features -e churn --by config --within scope")]
pub struct ParetoArgs {
    /// Metrics, each with max or min where that is not its goal
    #[arg(value_name = "OBJECTIVE", required = true)]
    pub objectives: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Fronts that are shown: 2 adds what is best once the first front is taken away
    #[arg(long, value_name = "FRONTS")]
    pub rank: Option<u32>,
    /// What is compared [default: run]
    #[arg(long, value_name = "WHAT")]
    pub by: Option<By>,
    /// Which of them are compared with each other [default: block, an experiment and the data trained on]
    #[arg(long, value_name = "RANGE")]
    pub within: Option<Within>,
    /// Number of rows [default: all]
    #[arg(short, long, value_name = "ROWS")]
    pub number: Option<u64>,
    #[command(flatten)]
    pub svg: SvgArgs,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Single runs.
    Run,
    /// Configs, by the means over their runs.
    Config,
}

/// What is compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Within {
    /// An experiment and the data trained on.
    Block,
    /// All runs that are asked about.
    Scope,
}

pub async fn run(place: &Place, args: ParetoArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: ParetoArgs) -> Outcome {
    if let Some(blank) = args.objectives.iter().find(|objective| objective.trim().is_empty()) {
        return Err(Failure::usage(format!("'{blank}' is no objective")).hint("write 'auc max' 'fit_time_s min'"));
    }
    let question = Question::open(place, &args.ask).await?;
    let scope = args.scope.scope(&question.session).await?;
    let BlockColumns { mut told, mut alike } = match args.within {
        // All is one block then, and the columns of it are NULL.
        Some(Within::Scope) => BlockColumns::default(),
        _ => BlockColumns::of(&question.session, &scope, None).await?,
    };
    let scope = quoted(&scope);
    let objectives = quoted(&args.objectives.join(", "));
    // A picture shows what is beaten too.
    let all = args.svg.svg.as_ref().map(|_| u32::from(u16::MAX));
    let rank = args.rank.or(all).map(|rank| format!(", {rank}")).unwrap_or_default();
    let by = args.by.map(|by| option("by", by)).unwrap_or_default();
    let within = args.within.map(|within| option("within", within)).unwrap_or_default();
    let limit = args.number.map(|n| format!("\nLIMIT {n}")).unwrap_or_default();
    // The objectives are what is left: they stand behind what tells rows apart.
    told.insert(0, "rank");
    match args.by {
        Some(By::Config) => alike.splice(0..0, ["config_id", "n_runs"]),
        _ => alike.splice(0..0, ["name", "run_id"]),
    };
    let mut without = vec!["digest"];
    match args.by {
        Some(By::Config) => without.extend(["run_id", "name"]),
        _ => alike.extend(["config_id", "n_runs"]),
    }
    if args.within == Some(Within::Scope) {
        without.extend(["experiment", "dataset", "data_version"]);
    }
    alike.extend(["n_compared", "n_left_out", "n_configs", "n_blocks", "score_of"]);
    let columns = ordered(&told, &alike, &without);
    let sql = format!("SELECT {columns}\nFROM pareto({scope}, {objectives}{rank}{by}{within}){limit}");
    if let Some(file) = &args.svg.svg {
        return svg::draw(&question, &sql, file, chart).await;
    }
    question.compare(&sql).await?;
    Ok(Exit::Done)
}

/// The first two objectives: the second one, mostly what it costs, along the horizontal axis.
fn chart(rows: &RecordBatch) -> ChartOptions {
    let counts = ["rank", "n_runs", "n_configs", "n_blocks", "n_compared", "n_left_out"];
    let schema = rows.schema();
    let mut objectives = schema
        .fields()
        .iter()
        .filter(|field| field.data_type().is_numeric() && !counts.contains(&field.name().as_str()))
        .map(|field| field.name().clone());
    let (first, second) = (objectives.next(), objectives.next());
    let several = objectives.next().is_some();
    let title = if several { "The first two objectives" } else { "What nothing beats in both" };
    ChartOptions {
        log_x: second.as_deref().is_some_and(|name| is_wide(rows, name)),
        x: second,
        y: first.into_iter().collect(),
        title: Some(title.to_string()),
        ..ChartOptions::new(ChartKind::Pareto)
    }
}

/// Whether a column reaches over more than two powers of ten, so that most of it would lie in the first hundredth of an axis.
fn is_wide(rows: &RecordBatch, name: &str) -> bool {
    let column = rows.column_by_name(name).and_then(|column| cast(column, &DataType::Float64).ok());
    let Some(values) = column else { return false };
    let values = values.as_primitive::<Float64Type>();
    match (min(values), max(values)) {
        (Some(least), Some(most)) => least > 0.0 && most / least > 100.0,
        _ => false,
    }
}

/// An argument by name.
fn option(name: &str, value: impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("none is skipped");
    format!(", {name} => {}", quoted(value.get_name()))
}
