//! `runlake goal`.

use std::io::{BufRead, IsTerminal, stdin};

use runlake::export::{escape, render_table};
use runlake::{Goal, MetricGoal};

use crate::cli::output::{counted, put, put_line, say};
use crate::cli::question::{AskArgs, Question, collect, experiment, experiments, quoted, quoted_all, texts};
use crate::cli::{Exit, Failure, Outcome, Place, terminal};

mod known;

/// Show and set which way metrics get better
///
/// Rankings and comparisons go by the goal of a metric, which belongs to an experiment and is never guessed. A goal is changed by
/// setting it anew; it cannot be taken away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake goal                         all goals
  runlake goal auc                     those of one metric
  runlake goal auc max -e churn        sets one
  runlake goal fit_time min -e churn --unit s
  runlake goal --suggest               asks for each metric with a well-known name and no goal
  runlake goal --suggest -e churn --yes")]
pub struct GoalArgs {
    /// The metric
    #[arg(value_name = "METRIC")]
    pub metric: Option<String>,
    /// max: greater is better, min: smaller is better
    #[arg(value_name = "GOAL", value_parser = |text: &str| text.parse::<Goal>())]
    pub goal: Option<Goal>,
    /// The experiment [default to set a goal: the only one; else all]
    #[arg(long, short, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Unit of the values, such as s or bytes
    #[arg(long, requires = "goal")]
    pub unit: Option<String>,
    /// What the metric is
    #[arg(long, value_name = "TEXT", requires = "goal")]
    pub description: Option<String>,
    /// Proposes goals for metrics with well-known names, and sets those that are confirmed
    #[arg(long, conflicts_with_all = ["metric", "format", "out", "as_of"])]
    pub suggest: bool,
    /// With --suggest: sets all that is proposed
    #[arg(long, requires = "suggest")]
    pub yes: bool,
    #[command(flatten)]
    pub ask: AskArgs,
}

pub async fn run(place: &Place, args: GoalArgs) -> Outcome {
    match (args.suggest, &args.metric, args.goal) {
        (true, ..) => suggest(place, &args).await,
        (false, Some(metric), Some(goal)) => set(place, &args, metric, goal).await,
        _ => show(place, &args).await,
    }
}

async fn show(place: &Place, args: &GoalArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let mut conditions = Vec::new();
    conditions.extend(args.metric.iter().map(|metric| format!("key = {}", quoted(metric))));
    if let Some(name) = &args.experiment {
        check(&question, name).await?;
        conditions.push(format!("experiment = {}", quoted(name)));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("\nWHERE {}", conditions.join(" AND ")) };
    let sql = format!(
        "SELECT experiment, key AS metric, goal, unit, description, source\n\
         FROM metric_defs JOIN experiments USING (experiment_id){filter}\nORDER BY experiment, metric"
    );
    if question.show(&sql).await? == Some(0) {
        let metric = args.metric.as_ref().map_or("METRIC".to_string(), |metric| escape(metric).into_owned());
        say("no goals are set");
        say(format!(" hint: `runlake goal {metric} max -e NAME` sets one, `runlake goal --suggest` proposes some"));
    }
    Ok(Exit::Done)
}

async fn check(question: &Question<'_>, name: &str) -> Result<(), Failure> {
    match experiments(&question.session).await?.iter().any(|known| known == name) {
        true => Ok(()),
        false => Err(runlake::StoreError::ExperimentNotFound { experiment: name.to_string() }.into()),
    }
}

async fn set(place: &Place, args: &GoalArgs, metric: &str, goal: Goal) -> Outcome {
    if args.ask.past.as_of.is_some() {
        return Err(Failure::usage("a goal is set now, not in the past").hint("leave --as-of away"));
    }
    let question = Question::open(place, &args.ask).await?;
    let name = experiment(&question.session, args.experiment.as_deref()).await?;
    check(&question, &name).await?;
    let (key, of) = (quoted(metric), quoted(&name));
    let before = collect(
        &question.session,
        &format!(
            "SELECT unit, description FROM metric_defs JOIN experiments USING (experiment_id) \
             WHERE key = {key} AND experiment = {of}"
        ),
    )
    .await?;
    // What was said before of the metric stays.
    let unit = args.unit.clone().or_else(|| texts(&before, 0).pop().flatten());
    let description = args.description.clone().or_else(|| texts(&before, 1).pop().flatten());
    let logged = collect(
        &question.session,
        &format!(
            "SELECT 1 FROM metric_stats JOIN experiments USING (experiment_id) \
             WHERE key = {key} AND experiment = {of} LIMIT 1"
        ),
    )
    .await?;
    question.store.declare_goal(MetricGoal {
        experiment: name.clone(),
        key: metric.to_string(),
        goal,
        source: "declared".to_string(),
        unit,
        description,
    })?;
    question.store.close_segment()?;
    put_line(format!("goal of '{metric}' in '{name}': {}", goal.as_str()))?;
    if logged.iter().all(|rows| rows.num_rows() == 0) {
        say(format!("note: no run of '{name}' has logged a metric '{metric}' yet"));
    }
    Ok(Exit::Done)
}

/// A goal that a name suggests.
struct Proposal {
    experiment: String,
    metric: String,
    goal: Goal,
}

async fn suggest(place: &Place, args: &GoalArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let mut only = String::new();
    if let Some(name) = &args.experiment {
        check(&question, name).await?;
        only = format!("\nAND experiment = {}", quoted(name));
    }
    let sql = format!(
        "SELECT DISTINCT experiment, key AS metric\n\
         FROM metric_stats AS stats JOIN experiments USING (experiment_id)\n\
         WHERE NOT EXISTS (SELECT 1 FROM metric_defs AS defs \
         WHERE defs.experiment_id = stats.experiment_id AND defs.key = stats.key){only}\nORDER BY experiment, metric"
    );
    if args.ask.sql {
        question.show(&sql).await?;
        return Ok(Exit::Done);
    }
    let rows = collect(&question.session, &sql).await?;
    let mut proposals = Vec::new();
    let mut unknown = 0;
    for (experiment, metric) in texts(&rows, 0).into_iter().flatten().zip(texts(&rows, 1).into_iter().flatten()) {
        match known::goal(&metric) {
            Some(goal) => proposals.push(Proposal { experiment, metric, goal }),
            None => unknown += 1,
        }
    }
    if unknown > 0 {
        say(format!("{} without a goal and without a well-known name", counted(unknown, "metric")));
    }
    if proposals.is_empty() {
        say("nothing to suggest");
        return Ok(Exit::Done);
    }
    put(render_table(&table(&question, &proposals).await?, &terminal::table_options(None)))?;
    let confirmed = match (args.yes, stdin().is_terminal()) {
        (true, _) => proposals,
        (false, true) => confirm(proposals)?,
        (false, false) => {
            say("nothing was set; `--yes` sets all of them, `runlake goal METRIC max|min -e NAME` a single one");
            return Ok(Exit::Done);
        }
    };
    for proposal in &confirmed {
        question.store.set_goal(&proposal.experiment, &proposal.metric, proposal.goal)?;
    }
    question.store.close_segment()?;
    put_line(format!("{} set", counted(confirmed.len() as u64, "goal")))?;
    Ok(Exit::Done)
}

/// The proposals as rows.
async fn table(question: &Question<'_>, proposals: &[Proposal]) -> Result<Vec<arrow::array::RecordBatch>, Failure> {
    let row = |p: &Proposal| format!("({})", quoted_all(&[&p.experiment, &p.metric, p.goal.as_str()]));
    let rows = proposals.iter().map(row).collect::<Vec<_>>().join(", ");
    collect(&question.session, &format!("SELECT * FROM (VALUES {rows}) AS proposed (experiment, metric, goal)")).await
}

/// Asks for each one: yes, no, all that follow, or no more.
fn confirm(proposals: Vec<Proposal>) -> Result<Vec<Proposal>, Failure> {
    let mut lines = stdin().lock().lines();
    let mut confirmed = Vec::new();
    let mut all = false;
    for proposal in proposals {
        if !all {
            let (metric, experiment) = (escape(&proposal.metric), escape(&proposal.experiment));
            eprint!("{metric} in {experiment}: {}? [y]es, [n]o, [a]ll, [q]uit: ", proposal.goal.as_str());
            let answer = lines.next().transpose()?.unwrap_or_else(|| "q".to_string());
            match answer.trim().to_lowercase().as_str() {
                "y" | "yes" => {}
                "a" | "all" => all = true,
                "q" | "quit" => break,
                // Silence is no confirmation.
                _ => continue,
            }
        }
        confirmed.push(proposal);
    }
    Ok(confirmed)
}
