//! `compare_groups(scope_a, scope_b, metric)`.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;

use super::call::Call;
use super::comparison::{Comparison, Sides, of_groups};
use super::configs::{Block, Scored, ScoredRun, scored};
use super::error::FunctionError;
use super::rows::Columns;
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::stats::benjamini_hochberg;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope_a = call.scope("scope_a").await?;
    let scope_b = call.scope("scope_b").await?;
    let metric = call.args.text("metric")?;
    call.args.end()?;
    let a = scored(&call, &scope_a, &metric).await?;
    let b = scored(&call, &scope_b, &metric).await?;
    let goal = match (a.goal, b.goal) {
        (Goal::Max, Goal::Min) => {
            return Err(FunctionError::GoalsDiffer { metric, max: scope_a.text, min: scope_b.text }.into());
        }
        (Goal::Min, Goal::Max) => {
            return Err(FunctionError::GoalsDiffer { metric, max: scope_b.text, min: scope_a.text }.into());
        }
        (goal, _) => goal,
    };
    let of_a: BTreeSet<&str> = a.runs.iter().map(|run| run.run_id.as_str()).collect();
    let both = b.runs.iter().filter(|run| of_a.contains(run.run_id.as_str())).count();
    if both > 0 {
        return Err(FunctionError::ScopesOverlap { scope_a: scope_a.text, scope_b: scope_b.text, runs: both }.into());
    }
    let (by, found) = compare(&a, &b);
    // One comparison is one row, and its own family.
    let q = benjamini_hochberg(&[found.p]);
    let (wins, losses, ties) = found.wins(goal);
    let unused = a.runs.len() + b.runs.len() - found.runs.0 - found.runs.1;
    let pooled = match (mean(&a.runs), mean(&b.runs)) {
        (Some(a), Some(b)) => Some(a - b),
        _ => None,
    };
    let one = |n: usize| [n].into_iter();
    Columns::new()
        .text("metric", [Some(&metric)])
        .text("goal", [Some(goal.as_str())])
        .float("score_a", [found.mean_a])
        .float("score_b", [found.mean_b])
        .float("difference", [found.difference])
        .bool("better", [found.is_better(goal)])
        .float("std_error", [found.std_error])
        .float("low", [found.interval.map(|i| i.0)])
        .float("high", [found.interval.map(|i| i.1)])
        .float("p_value", [found.p])
        .float("q_value", q)
        .text("test", [found.test])
        .text("paired_by", [found.paired_by.map(|by| by.as_str())])
        .text("blocked_by", [by.map(By::as_str)])
        .count("n_pairs", one(found.pairs))
        .count("wins", one(wins))
        .count("losses", one(losses))
        .count("ties", one(ties))
        .count("n_datasets", one(found.datasets))
        .count("n_blocks", one(found.blocks))
        .count("n_configs_a", one(found.configs.0))
        .count("n_configs_b", one(found.configs.1))
        .count("n_runs_a", one(found.runs.0))
        .count("n_runs_b", one(found.runs.1))
        .count("n_unused", one(unused))
        .float("pooled_difference", [pooled])
        .text("score_of", [Scored::score_of(a.runs.iter().chain(&b.runs))])
        .text("reason", [found.reason])
        .finish()
}

fn mean(runs: &[ScoredRun]) -> Option<f64> {
    (!runs.is_empty()).then(|| runs.iter().map(|run| run.score).sum::<f64>() / runs.len() as f64)
}

/// What the runs of a block share, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Experiment, data set and its content.
    Content,
    /// Experiment and data set: versions of it are what is compared.
    Experiment,
    /// Data set and its content: experiments are what is compared.
    ContentAcross,
    /// Data set alone.
    DataSet,
}

impl By {
    const ALL: [By; 4] = [By::Content, By::Experiment, By::ContentAcross, By::DataSet];

    fn as_str(self) -> &'static str {
        match self {
            By::Content => "experiment, data set, digest",
            By::Experiment => "experiment, data set",
            By::ContentAcross => "data set, digest",
            By::DataSet => "data set",
        }
    }

    /// What names the block at this width. Across experiments a data set has to be known: two unknown ones are not the same.
    fn key(self, block: &Block) -> Option<[&str; 3]> {
        let dataset = block.dataset.as_deref().unwrap_or_default();
        let content = block.content().unwrap_or_default();
        match self {
            By::Content => Some([&block.experiment_id, dataset, content]),
            By::Experiment => Some([&block.experiment_id, dataset, ""]),
            By::ContentAcross if block.dataset.is_some() => Some(["", dataset, content]),
            By::DataSet if block.dataset.is_some() => Some(["", dataset, ""]),
            _ => None,
        }
    }
}

/// Compares within the narrowest blocks that both sides have runs in.
pub fn compare(a: &Scored, b: &Scored) -> (Option<By>, Comparison) {
    if a.runs.is_empty() || b.runs.is_empty() {
        let reason = Some("a group has no finished run with a finite score");
        return (None, Comparison { reason, ..Comparison::default() });
    }
    for by in By::ALL {
        let blocks = blocks(by, a, b);
        if blocks.iter().any(|sides| !sides.a.is_empty() && !sides.b.is_empty()) {
            return (Some(by), of_groups(&blocks));
        }
    }
    (None, of_groups(&[]))
}

fn blocks(by: By, a: &Scored, b: &Scored) -> Vec<Sides> {
    let mut blocks: BTreeMap<[&str; 3], Sides> = BTreeMap::new();
    for (scored, side) in [(a, true), (b, false)] {
        for run in &scored.runs {
            let Some(key) = by.key(&scored.blocks[run.block]) else { continue };
            let sides = blocks.entry(key).or_default();
            let side = if side { &mut sides.a } else { &mut sides.b };
            side.entry(run.config_id.clone()).or_default().add(run);
        }
    }
    // Where no data set was logged, the experiment stands for it.
    let name =
        |key: &[&str; 3]| if key[1].is_empty() { (key[0].to_string(), true) } else { (key[1].to_string(), false) };
    let datasets: BTreeSet<(String, bool)> = blocks.keys().map(name).collect();
    let place: BTreeMap<(String, bool), usize> = datasets.into_iter().enumerate().map(|(i, name)| (name, i)).collect();
    blocks.into_iter().map(|(key, sides)| Sides { dataset: place[&name(&key)], ..sides }).collect()
}
