//! `runlake goal`.

use std::io::{BufRead, IsTerminal, stdin};

use runlake::export::{escape, render_table};
use runlake::{Goal, MetricGoal};

use crate::cli::output::{counted, put, put_line, say};
use crate::cli::question::{AskArgs, Question, collect, experiment, matching_experiments, quoted, quoted_all, texts};
use crate::cli::shell::word;
use crate::cli::{Exit, Failure, Outcome, Place, terminal};

mod known;

/// Show and set which way metrics get better
///
/// Rankings and comparisons go by the goal of a metric, which belongs to an experiment and is never guessed. A goal is changed by
/// setting it anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake goal                         all goals
  runlake goal auc                     those of one metric
  runlake goal auc max -e churn        sets one
  runlake goal fit_time min -e churn --unit s
  runlake goal loss min -e 'churn%'    in all experiments that the pattern fits
  runlake goal auc --remove -e churn   takes it away
  runlake goal --suggest               asks for each metric with a well-known name and no goal
  runlake goal --suggest -e churn --yes")]
pub struct GoalArgs {
    /// The metric
    #[arg(value_name = "METRIC")]
    pub metric: Option<String>,
    /// max: greater is better, min: smaller is better
    #[arg(value_name = "GOAL", value_parser = |text: &str| text.parse::<Goal>())]
    pub goal: Option<Goal>,
    /// The experiment, or those that a pattern fits: 'churn%', '%' for all [default to set or remove a goal: the only one; else all]
    #[arg(long, short, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Unit of the values, such as s or bytes
    #[arg(long, requires = "goal")]
    pub unit: Option<String>,
    /// What the metric is
    #[arg(long, value_name = "TEXT", requires = "goal")]
    pub description: Option<String>,
    /// Takes the goal of the metric away; an import that knows one brings it back
    #[arg(long, requires = "metric", conflicts_with_all = ["goal", "suggest", "format", "out"])]
    pub remove: bool,
    /// Proposes goals for metrics with well-known names, and sets those that are confirmed
    #[arg(long, conflicts_with_all = ["metric", "format", "out", "as_of", "sql"])]
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
        (false, Some(metric), None) if args.remove => remove(place, &args, metric).await,
        _ => show(place, &args).await,
    }
}

async fn show(place: &Place, args: &GoalArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let mut conditions = Vec::new();
    conditions.extend(args.metric.iter().map(|metric| format!("key = {}", quoted(metric))));
    if let Some(name) = &args.experiment {
        let names = matching_experiments(&question.session, name).await?;
        conditions.push(format!("experiment IN ({})", quoted_all(&names)));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("\nWHERE {}", conditions.join(" AND ")) };
    let sql = format!(
        "SELECT experiment, key AS metric, goal, unit, description, source\n\
         FROM metric_defs JOIN experiments USING (experiment_id){filter}\nORDER BY experiment, metric"
    );
    if question.show(&sql).await? == Some(0) {
        let metric = args.metric.as_deref().map_or("METRIC".to_string(), word);
        say("no goals are set");
        say(format!(" hint: `runlake goal {metric} max -e NAME` sets one, `runlake goal --suggest` proposes some"));
    }
    Ok(Exit::Done)
}

/// The experiments that a goal is set or removed in: those that were named, else the only one.
async fn meant(question: &Question<'_>, args: &GoalArgs) -> Result<Vec<String>, Failure> {
    if args.ask.past.as_of.is_some() {
        return Err(Failure::usage("a goal is set now, not in the past").hint("leave --as-of away"));
    }
    if args.ask.sql {
        return Err(Failure::usage("nothing is asked where a goal is set").hint("leave --sql away"));
    }
    if args.ask.format.is_some() || args.ask.out.is_some() {
        let metric = args.metric.as_deref().map(word).unwrap_or_default();
        return Err(Failure::usage("no rows are written where a goal is set")
            .hint(format!("leave --format and --out away; `runlake goal {metric} --format json` writes what is set")));
    }
    let name = experiment(&question.session, args.experiment.as_deref()).await?;
    matching_experiments(&question.session, &name).await
}

async fn set(place: &Place, args: &GoalArgs, metric: &str, goal: Goal) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let experiments = meant(&question, args).await?;
    let key = quoted(metric);
    let (mut set, mut silent) = (0, Vec::new());
    for name in &experiments {
        let of = quoted(name);
        let before = collect(
            &question.session,
            &format!(
                "SELECT unit, description FROM metric_defs JOIN experiments USING (experiment_id) \
                 WHERE key = {key} AND experiment = {of}"
            ),
        )
        .await?;
        let logged = collect(
            &question.session,
            &format!(
                "SELECT 1 FROM metric_stats JOIN experiments USING (experiment_id) \
                 WHERE key = {key} AND experiment = {of} LIMIT 1"
            ),
        )
        .await?;
        let logged = logged.iter().any(|rows| rows.num_rows() > 0);
        // A pattern means the experiments that know the metric.
        if !logged && experiments.len() > 1 {
            continue;
        }
        // What was said before of the metric stays.
        let unit = args.unit.clone().or_else(|| texts(&before, 0).pop().flatten());
        let description = args.description.clone().or_else(|| texts(&before, 1).pop().flatten());
        question.store.declare_goal(MetricGoal {
            experiment: name.clone(),
            key: metric.to_string(),
            goal,
            source: "declared".to_string(),
            unit,
            description,
        })?;
        put_line(format!("goal of '{metric}' in '{name}': {}", goal.as_str()))?;
        set += 1;
        if !logged {
            silent.push(name);
        }
    }
    if set == 0 {
        return Err(Failure::new(format!("no run of '{}' has logged a metric '{metric}'", experiments.join("', '")))
            .hint("`-e NAME` with a name alone sets the goal of a metric that is yet to come"));
    }
    question.store.close_segment()?;
    for name in silent {
        say(format!("note: no run of '{name}' has logged a metric '{metric}' yet"));
    }
    Ok(Exit::Done)
}

async fn remove(place: &Place, args: &GoalArgs, metric: &str) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let experiments = meant(&question, args).await?;
    let sql = format!(
        "SELECT experiment FROM metric_defs JOIN experiments USING (experiment_id) \
         WHERE key = {} AND experiment IN ({}) ORDER BY experiment",
        quoted(metric),
        quoted_all(&experiments)
    );
    let set: Vec<String> = texts(&collect(&question.session, &sql).await?, 0).into_iter().flatten().collect();
    if set.is_empty() {
        return Err(Failure::new(format!("metric '{metric}' has no goal in '{}'", experiments.join("', '")))
            .hint("`runlake goal` lists all goals"));
    }
    for name in &set {
        question.store.remove_goal(name, metric)?;
        put_line(format!("goal of '{metric}' in '{name}': removed"))?;
    }
    question.store.close_segment()?;
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
        let names = matching_experiments(&question.session, name).await?;
        only = format!("\nAND experiment IN ({})", quoted_all(&names));
    }
    let sql = format!(
        "SELECT DISTINCT experiment, key AS metric\n\
         FROM metric_stats AS stats JOIN experiments USING (experiment_id)\n\
         WHERE NOT EXISTS (SELECT 1 FROM metric_defs AS defs \
         WHERE defs.experiment_id = stats.experiment_id AND defs.key = stats.key){only}\nORDER BY experiment, metric"
    );
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
