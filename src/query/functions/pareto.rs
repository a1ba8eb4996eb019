//! `pareto(scope, objectives [, rank, by, within])`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::{Block, Data, training_data};
use super::error::FunctionError;
use super::objectives::{COLUMNS, Objective, Source, parse};
use super::rows::{Columns, float, text};
use super::scope::{Scope, quoted};
use super::scores::scores_towards;
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::stats::{fronts, mean};

/// Names of the columns of the answer beside the objectives.
const FIXED: [&str; 14] = [
    "rank",
    "experiment",
    "dataset",
    "data_version",
    "digest",
    "run_id",
    "name",
    "config_id",
    "n_runs",
    "n_compared",
    "n_left_out",
    "n_configs",
    "n_blocks",
    "score_of",
];

/// A finished run.
#[derive(Clone)]
struct Point {
    run_id: Option<String>,
    name: Option<String>,
    config_id: String,
    values: Vec<f64>,
    runs: usize,
}

/// The runs or configs that are compared with each other.
#[derive(Default)]
struct Group {
    points: Vec<Point>,
    configs: usize,
    left_out: usize,
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let given = call.args.text("objectives")?;
    let last = call.args.count("rank")?.unwrap_or(1);
    let by_config = choice(&mut call, "by", ["run", "config"])?;
    let in_scope = choice(&mut call, "within", ["block", "scope"])?;
    let mut objectives = parse(&given).map_err(|problem| call.args.wrong(problem))?;
    call.args.end()?;
    let mut values: Vec<HashMap<String, f64>> = Vec::new();
    let mut goals: Vec<Goal> = Vec::new();
    let mut score_of: Vec<String> = Vec::new();
    for objective in &mut objectives {
        let Asked { values: of_run, goal, of } = asked(&call, &scope, objective).await?;
        if !of.is_empty() {
            score_of.push(format!("{}: {}", objective.name(), of.into_iter().collect::<Vec<_>>().join(" or ")));
        }
        values.push(of_run);
        goals.push(goal);
    }
    let score_of = (!score_of.is_empty()).then(|| score_of.join(", "));
    let mut groups = groups(&call, &scope, &values, in_scope).await?;
    if groups.values().all(|group| group.points.is_empty()) {
        let names: Vec<String> = objectives.iter().map(|objective| format!("'{}'", objective.name())).collect();
        return Err(FunctionError::NothingToCompare { scope: scope.text, objectives: names.join(", ") }.into());
    }
    for group in groups.values_mut() {
        group.configs = group.points.iter().map(|point| &point.config_id).collect::<HashSet<_>>().len();
    }
    if by_config {
        groups.values_mut().for_each(|group| group.points = configs(std::mem::take(&mut group.points)));
    }
    groups.retain(|_, group| !group.points.is_empty());
    let mut rows: Vec<(usize, &Block, &Group, &Point)> = Vec::new();
    for (block, group) in &groups {
        let coordinates: Vec<f64> =
            group.points.iter().flat_map(|point| better_is_greater(&point.values, &goals)).collect();
        let of_points = fronts(&coordinates, goals.len(), last).into_iter().zip(&group.points);
        let mut of_block: Vec<_> = of_points.filter_map(|(rank, point)| Some((rank?, block, group, point))).collect();
        of_block.sort_by(|a, b| {
            let along = better_is_greater(&b.3.values, &goals).partial_cmp(better_is_greater(&a.3.values, &goals));
            let names = (&a.3.config_id, &a.3.run_id).cmp(&(&b.3.config_id, &b.3.run_id));
            a.0.cmp(&b.0).then(along.unwrap_or(std::cmp::Ordering::Equal)).then(names)
        });
        rows.append(&mut of_block);
    }
    let block = |name: fn(&Block) -> Option<&String>| rows.iter().map(move |row| name(row.1)).collect::<Vec<_>>();
    let mut columns = Columns::new()
        .count("rank", rows.iter().map(|row| row.0))
        .text("experiment", block(|block| Some(&block.experiment).filter(|name| !name.is_empty())))
        .text("dataset", block(|block| block.dataset.as_ref()))
        .text("data_version", block(|block| block.data_version.as_ref()))
        .text("digest", block(|block| block.digest.as_ref()))
        .text("run_id", rows.iter().map(|row| row.3.run_id.as_ref()))
        .text("name", rows.iter().map(|row| row.3.name.as_ref()))
        .text("config_id", rows.iter().map(|row| Some(&row.3.config_id)));
    for (i, objective) in objectives.iter().enumerate() {
        let name = objective.name();
        let name = if FIXED.contains(&name.as_str()) { format!("metrics.{name}") } else { name };
        columns = columns.float(name, rows.iter().map(|row| Some(row.3.values[i])));
    }
    columns
        .count("n_runs", rows.iter().map(|row| row.3.runs))
        .count("n_compared", rows.iter().map(|row| row.2.points.len()))
        .count("n_left_out", rows.iter().map(|row| row.2.left_out))
        .count("n_configs", rows.iter().map(|row| row.2.configs))
        .count("n_blocks", rows.iter().map(|_| groups.len()))
        .text("score_of", rows.iter().map(|_| score_of.as_deref()))
        .finish()
}

/// Whether an argument is the second of two words; the first one where it is left out.
fn choice(call: &mut Call<'_>, name: &str, words: [&str; 2]) -> Result<bool, QueryError> {
    let given = call.args.optional_text(name)?;
    match given.as_deref().map(|given| words.iter().position(|word| given.eq_ignore_ascii_case(word))) {
        None => Ok(false),
        Some(Some(place)) => Ok(place == 1),
        Some(None) => Err(call.args.wrong(format!("{name} is '{}' or '{}'", words[0], words[1])).into()),
    }
}

/// The values with the sign that makes greater better. Minus nothing is nothing.
fn better_is_greater<'a>(values: &'a [f64], goals: &'a [Goal]) -> impl Iterator<Item = f64> + 'a {
    values.iter().zip(goals).map(|(value, goal)| match goal {
        Goal::Max => value + 0.0,
        Goal::Min => 0.0 - value,
    })
}

/// An objective.
struct Asked {
    /// Its finite values by run.
    values: HashMap<String, f64>,
    /// Which way they get better.
    goal: Goal,
    /// What they were taken from; nothing where it is no metric.
    of: BTreeSet<&'static str>,
}

async fn asked(call: &Call<'_>, scope: &Scope, objective: &mut Objective) -> Result<Asked, QueryError> {
    if let Source::Metric(key) = &objective.source {
        match scores_towards(call, scope, key, objective.goal).await {
            Ok(scores) => {
                let (goal, mut runs) = (scores.goal, scores.runs);
                runs.retain(|run| run.value.is_some_and(f64::is_finite));
                let of = runs.iter().map(|run| run.of.as_str()).collect();
                let values = runs.into_iter().filter_map(|run| Some((run.run_id, run.value?))).collect();
                return Ok(Asked { values, goal, of });
            }
            Err(QueryError::Function(e @ FunctionError::UnknownMetric { .. })) => {
                let column = COLUMNS.into_iter().find(|column| column == key);
                objective.source = Source::Column(column.ok_or(e)?);
            }
            Err(e) => return Err(e),
        }
    }
    let (name, expression) = match &objective.source {
        Source::Param(key) => (objective.name(), format!("params_num[{}]", quoted(key))),
        _ => (objective.name(), objective.name()),
    };
    let Some(goal) = objective.goal else {
        return Err(call.args.wrong(format!("'{name}' is no metric with a goal: say min or max after it")).into());
    };
    if let Source::Param(key) = &objective.source {
        let sql = format!(
            "SELECT count(*) AS n, count(num) AS numbers FROM params WHERE key = {} AND {}",
            quoted(key),
            scope.condition()
        );
        let counts = call.ask_in(scope, &sql).await?;
        if counts.ints("n")?.value(0) > 0 && counts.ints("numbers")?.value(0) == 0 {
            return Err(FunctionError::TextObjective { param: key.clone(), scope: scope.text.clone() }.into());
        }
    }
    let sql = format!("SELECT run_id, {expression} AS value FROM runs WHERE {}", scope.condition());
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, values) = (rows.texts("run_id")?, rows.floats("value")?);
    let found = (0..rows.len()).filter_map(|row| Some((ids.value(row), float(&values, row)?)));
    let finite = found.filter(|(_, value)| value.is_finite());
    let values = finite.map(|(run, value)| (run.to_string(), value)).collect();
    Ok(Asked { values, goal, of: BTreeSet::new() })
}

/// The finished runs by block, or all together. Runs that have not finished, and those without one of the values, are
/// counted only.
async fn groups(
    call: &Call<'_>,
    scope: &Scope,
    values: &[HashMap<String, f64>],
    in_scope: bool,
) -> Result<BTreeMap<Block, Group>, QueryError> {
    let sql = format!(
        "SELECT run_id, name, experiment_id, experiment, config_id, status FROM runs WHERE {} ORDER BY run_id",
        scope.condition()
    );
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, names, configs) = (rows.texts("run_id")?, rows.texts("name")?, rows.texts("config_id")?);
    let (experiment_ids, experiments) = (rows.texts("experiment_id")?, rows.texts("experiment")?);
    let statuses = rows.texts("status")?;
    let mut data: HashMap<String, Arc<Data>> = match in_scope {
        true => HashMap::new(),
        false => training_data(call, scope).await?,
    };
    let mut groups: BTreeMap<Block, Group> = BTreeMap::new();
    for row in 0..rows.len() {
        let run = ids.value(row);
        let Data { dataset, version, digest } = data.remove(run).map(Arc::unwrap_or_clone).unwrap_or_default();
        let experiment = |names: &arrow::array::StringArray| match in_scope {
            true => String::new(),
            false => names.value(row).to_string(),
        };
        let block = Block {
            experiment_id: experiment(&experiment_ids),
            experiment: experiment(&experiments),
            dataset,
            data_version: version,
            digest,
        };
        let group = groups.entry(block).or_default();
        let of_run: Option<Vec<f64>> = values.iter().map(|of_run| of_run.get(run).copied()).collect();
        let of_run = of_run.filter(|_| statuses.value(row) == "FINISHED");
        match of_run {
            None => group.left_out += 1,
            Some(values) => group.points.push(Point {
                run_id: Some(run.to_string()),
                name: text(&names, row).map(str::to_string),
                config_id: configs.value(row).to_string(),
                values,
                runs: 1,
            }),
        }
    }
    Ok(groups)
}

/// The means of the runs of each config, by its id.
fn configs(mut runs: Vec<Point>) -> Vec<Point> {
    runs.sort_by(|a, b| (&a.config_id, &a.run_id).cmp(&(&b.config_id, &b.run_id)));
    let means = runs.chunk_by(|a, b| a.config_id == b.config_id).map(|repeats| {
        let mean = |i: usize| mean(repeats.iter().map(|run| run.values[i]));
        let values = (0..repeats[0].values.len()).map(mean).collect();
        Point { run_id: None, name: None, config_id: repeats[0].config_id.clone(), values, runs: repeats.len() }
    });
    means.collect()
}
