//! What a run scored in a metric.
//!
//! The mean over its folds where it has folds, else its best value by the goal where the series has several points, else
//! its only value. Folds are series whose context is `{"fold":...}` and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::call::Call;
use super::error::FunctionError;
use super::goal::goal;
use super::rows::{float, int, text};
use super::scope::{Scope, quoted};
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::query::keys::near;

/// What a score was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreOf {
    /// The mean over folds.
    Folds,
    /// The best point of a series.
    Best,
    /// The only point of a series.
    Last,
}

impl ScoreOf {
    /// As it stands in the column `score_of`.
    pub fn as_str(self) -> &'static str {
        match self {
            ScoreOf::Folds => "folds",
            ScoreOf::Best => "best",
            ScoreOf::Last => "last",
        }
    }
}

/// The score of one run.
#[derive(Debug, Clone)]
pub struct Score {
    /// The run.
    pub run_id: String,
    /// The score; `None` where a value that it needs is NaN.
    pub value: Option<f64>,
    /// What it was taken from.
    pub of: ScoreOf,
    /// The step where the best value was reached; none for folds.
    pub step: Option<i64>,
    /// Values by fold, the fold as it stands in the context.
    pub folds: BTreeMap<String, f64>,
}

/// The scores of a scope.
#[derive(Debug)]
pub struct Scores {
    /// Which way they get better.
    pub goal: Goal,
    /// By run id. Runs without the metric are not among them.
    pub runs: Vec<Score>,
}

impl Scores {
    /// Best first, runs without a score last; by run id where scores are equal.
    pub fn rank(&mut self) {
        let goal = self.goal;
        self.runs.sort_by(|a, b| better(goal, a.value, b.value).then_with(|| a.run_id.cmp(&b.run_id)));
    }
}

/// The order of two scores, the better one first and none last.
pub fn better(goal: Goal, a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) if goal == Goal::Max => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The scores of the runs of a scope.
pub async fn scores(call: &Call<'_>, scope: &Scope, metric: &str) -> Result<Scores, QueryError> {
    scores_towards(call, scope, metric, None).await
}

/// The same by a goal that the call itself gives; without one by what was declared.
pub async fn scores_towards(
    call: &Call<'_>,
    scope: &Scope,
    metric: &str,
    given: Option<Goal>,
) -> Result<Scores, QueryError> {
    let condition = scope.condition();
    let key = quoted(metric);
    let sql = format!(
        r#"SELECT run_id, experiment_id, context, min, max, min_step, max_step, count, nan_count FROM metric_stats
           WHERE key = {key} AND (context IS NULL OR context LIKE '{{"fold":%') AND {condition}"#
    );
    let rows = call.ask_in(scope, &sql).await?;
    if rows.len() == 0 {
        return Err(unknown(call, scope, metric).await?);
    }
    let (runs, experiments, contexts) = (rows.texts("run_id")?, rows.texts("experiment_id")?, rows.texts("context")?);
    let (least, most) = (rows.floats("min")?, rows.floats("max")?);
    let (least_at, most_at) = (rows.ints("min_step")?, rows.ints("max_step")?);
    let (counts, nans) = (rows.ints("count")?, rows.ints("nan_count")?);
    let goal = match given {
        Some(goal) => goal,
        None => goal(call, metric, &experiments.iter().flatten().collect::<BTreeSet<_>>()).await?,
    };
    let (best, at) = match goal {
        Goal::Max => (most, most_at),
        Goal::Min => (least, least_at),
    };
    let mut found: HashMap<&str, Series> = HashMap::new();
    for row in 0..rows.len() {
        let series = found.entry(runs.value(row)).or_default();
        let value = float(&best, row);
        match text(&contexts, row) {
            None => {
                let of = if counts.value(row) > 1 { ScoreOf::Best } else { ScoreOf::Last };
                series.whole = Some((value, of, int(&at, row)));
            }
            Some(context) => {
                if let Some(fold) = fold(context) {
                    // A fold that was NaN and nothing else is no fold less: the mean of the others would flatter the run.
                    series.broken |= value.is_none() || counts.value(row) == nans.value(row);
                    series.folds.insert(fold, value.unwrap_or(f64::NAN));
                }
            }
        }
    }
    let mut scores: Vec<Score> = found.into_iter().filter_map(|(run, series)| series.score(run)).collect();
    scores.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok(Scores { goal, runs: scores })
}

#[derive(Default)]
struct Series {
    whole: Option<(Option<f64>, ScoreOf, Option<i64>)>,
    folds: BTreeMap<String, f64>,
    broken: bool,
}

impl Series {
    fn score(self, run: &str) -> Option<Score> {
        let run_id = run.to_string();
        if self.folds.is_empty() {
            let (value, of, step) = self.whole?;
            return Some(Score { run_id, value, of, step, folds: self.folds });
        }
        let mean = self.folds.values().sum::<f64>() / self.folds.len() as f64;
        let value = (!self.broken).then_some(mean);
        Some(Score { run_id, value, of: ScoreOf::Folds, step: None, folds: self.folds })
    }
}

/// The fold in a context that says nothing else.
pub fn fold(context: &str) -> Option<String> {
    let inner = context.strip_prefix(r#"{"fold":"#)?.strip_suffix('}')?;
    match inner.contains([',', '{', '[']) {
        false => Some(inner.trim_matches('"').to_string()),
        true => {
            let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(context).ok()?;
            (parsed.len() == 1).then(|| inner.to_string())
        }
    }
}

/// Why no run of a scope has a metric.
pub async fn unknown(call: &Call<'_>, scope: &Scope, metric: &str) -> Result<QueryError, QueryError> {
    let condition = scope.condition();
    let runs = call.ask_in(scope, &format!("SELECT count(*) AS n FROM runs WHERE {condition}")).await?.ints("n")?;
    let (metric, scope_text) = (metric.to_string(), scope.text.clone());
    if runs.value(0) == 0 {
        return Ok(FunctionError::EmptyScope { scope: scope_text }.into());
    }
    let sql = format!("SELECT kind FROM series WHERE key = {} AND {condition} LIMIT 1", quoted(&metric));
    let kinds = call.ask_in(scope, &sql).await?.texts("kind")?;
    if let Some(kind) = kinds.iter().flatten().next() {
        return Ok(FunctionError::NotNumbers { metric, scope: scope_text, kind: kind.to_string() }.into());
    }
    let sql =
        format!("SELECT min(context) AS context FROM metric_stats WHERE key = {} AND {condition}", quoted(&metric));
    let contexts = call.ask_in(scope, &sql).await?.texts("context")?;
    if let Some(context) = contexts.iter().flatten().next() {
        return Ok(FunctionError::OnlyContexts { metric, scope: scope_text, context: context.to_string() }.into());
    }
    let sql = format!("SELECT DISTINCT key FROM metric_stats WHERE {condition}");
    let keys = call.ask_in(scope, &sql).await?.texts("key")?;
    let keys: Vec<&str> = keys.iter().flatten().collect();
    let near = near(&keys, &metric);
    Ok(FunctionError::UnknownMetric { metric, scope: scope_text, near }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_contexts_of_a_fold_alone_are_folds() {
        assert_eq!(fold(r#"{"fold":3}"#).as_deref(), Some("3"));
        assert_eq!(fold(r#"{"fold":"a"}"#).as_deref(), Some("a"));
        assert_eq!(fold(r#"{"fold":"a,b"}"#).as_deref(), Some(r#""a,b""#));
        assert_eq!(fold(r#"{"fold":3,"split":"test"}"#), None);
        assert_eq!(fold(r#"{"class":1}"#), None);
    }

    #[test]
    fn none_is_worse_than_any_score() {
        let mut values = [None, Some(0.5), Some(0.7), Some(f64::INFINITY)];
        values.sort_by(|a, b| better(Goal::Max, *a, *b));
        assert_eq!(values, [Some(f64::INFINITY), Some(0.7), Some(0.5), None]);
        values.sort_by(|a, b| better(Goal::Min, *a, *b));
        assert_eq!(values, [Some(0.5), Some(0.7), Some(f64::INFINITY), None]);
    }
}
