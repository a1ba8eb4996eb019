//! Which way a metric gets better: what was declared, never a guess.

use std::collections::{BTreeMap, BTreeSet};

use super::call::Call;
use super::error::FunctionError;
use super::scope::quoted;
use crate::model::Goal;
use crate::query::error::QueryError;

/// The goal of a metric in experiments, by their ids, which must agree.
pub async fn goal(call: &Call<'_>, metric: &str, experiments: &BTreeSet<&str>) -> Result<Goal, QueryError> {
    let rows = call.ask(&format!("SELECT experiment_id, goal FROM metric_defs WHERE key = {}", quoted(metric))).await?;
    let (ids, goals) = (rows.texts("experiment_id")?, rows.texts("goal")?);
    let declared: BTreeMap<&str, Goal> =
        (0..rows.len()).filter_map(|i| Some((ids.value(i), goals.value(i).parse().ok()?))).collect();
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for experiment in experiments {
        match declared.get(experiment) {
            Some(goal) => {
                first.entry(goal.as_str()).or_insert(experiment);
            }
            None => {
                let experiment = name(call, experiment).await?;
                return Err(FunctionError::NoGoal { metric: metric.to_string(), experiment }.into());
            }
        }
    }
    match (first.get("max"), first.get("min")) {
        (Some(max), Some(min)) => Err(FunctionError::GoalsDiffer {
            metric: metric.to_string(),
            max: name(call, max).await?,
            min: name(call, min).await?,
        }
        .into()),
        (Some(_), None) => Ok(Goal::Max),
        _ => Ok(Goal::Min),
    }
}

async fn name(call: &Call<'_>, id: &str) -> Result<String, QueryError> {
    let sql = format!("SELECT experiment FROM experiments WHERE experiment_id = {}", quoted(id));
    let names = call.ask(&sql).await?.texts("experiment")?;
    Ok(names.iter().flatten().next().unwrap_or(id).to_string())
}
