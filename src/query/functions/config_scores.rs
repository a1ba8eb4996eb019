//! `config_scores(scope, metric)`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::{Block, Config, Failed, LARGEST_SCORE, Scored, scored};
use super::rows::{Columns, text};
use super::scope::Scope;
use super::scores::better;
use crate::query::error::QueryError;
use crate::stats::interval_of_mean;

/// Level of the intervals.
const LEVEL: f64 = 0.95;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    call.args.end()?;
    let scored = scored(&call, &scope, &metric).await?;
    let mut configs = scored.configs();
    configs.sort_by(|a, b| {
        let by_score = better(scored.goal, Some(a.score()), Some(b.score()));
        by_score.then_with(|| (a.block, &a.config_id).cmp(&(b.block, &b.config_id)))
    });
    let numbers = numbers(&scored);
    let params = varying(&call, &scope, &scored, &numbers).await?;
    let rows = rows(&scored, configs);

    let score_of: Vec<Option<String>> =
        rows.iter().map(|row| Scored::score_of(row.config.as_ref()?.runs.iter().map(|i| &scored.runs[*i]))).collect();
    let summary = |row: &Row| row.config.as_ref().map(|config| config.summary);
    // Once for both ends: an inverse of Student's t is the dearest figure of a row.
    let intervals: Vec<Option<(f64, f64)>> = rows.iter().map(|row| interval_of_mean(&summary(row)?, LEVEL)).collect();
    let mut columns = Columns::new()
        .int("rank", rows.iter().map(|row| row.rank.map(|rank| rank as i64)))
        .text("config_id", rows.iter().map(|row| Some(&row.config_id)))
        .text("experiment", rows.iter().map(|row| Some(&row.block.experiment)))
        .text("dataset", rows.iter().map(|row| row.block.dataset.as_ref()))
        .text("data_version", rows.iter().map(|row| row.block.data_version.as_ref()))
        .text("digest", rows.iter().map(|row| row.block.digest.as_ref()));
    for (key, values) in &params {
        let of = |row: &Row| values[numbers[&row.config_id]].as_ref();
        columns = columns.text(format!("params.{key}"), rows.iter().map(of));
    }
    columns
        .int("n_features", rows.iter().map(|row| row.config.as_ref()?.n_features))
        .count("n_runs", rows.iter().map(|row| row.config.as_ref().map_or(0, |config| config.runs.len())))
        .count("n_failed", rows.iter().map(|row| row.failed))
        .count("n_configs", rows.iter().map(|row| row.n_configs))
        .count("n_blocks", rows.iter().map(|row| row.n_blocks))
        .float("mean", rows.iter().map(|row| Some(summary(row)?.mean)))
        .float("std", rows.iter().map(|row| summary(row)?.std))
        .float("std_error", rows.iter().map(|row| summary(row)?.std_error()))
        .float("low", intervals.iter().map(|interval| Some((*interval)?.0)))
        .float("high", intervals.iter().map(|interval| Some((*interval)?.1)))
        .text("score_of", score_of.iter().map(Option::as_deref))
        .text("best_run", rows.iter().map(|row| Some(best_run(&scored, row.config.as_ref()?))))
        .text("reason", rows.iter().zip(&score_of).map(|(row, of)| row.reason(of.as_deref())))
        .finish()
}

/// A row of the answer.
struct Row<'a> {
    /// Place in its block.
    rank: Option<usize>,
    config_id: String,
    block: &'a Block,
    /// None where no run of it has a score there.
    config: Option<Config>,
    failed: usize,
    /// Runs whose score is too large to compute with.
    too_large: usize,
    /// Configs of its block that have a score, and blocks in which it has one.
    n_configs: usize,
    n_blocks: usize,
}

impl Row<'_> {
    /// Why something is NULL, and what else to know of the mean.
    fn reason(&self, score_of: Option<&str>) -> Option<String> {
        let mut reasons = Vec::new();
        match self.config.as_ref().map_or(0, |config| config.runs.len()) {
            0 => reasons.push("no run has a score".to_string()),
            1 => reasons.push("one run: no spread".to_string()),
            _ => {}
        }
        if let Some(kinds) = score_of.filter(|kinds| kinds.contains(',')) {
            reasons.push(format!("scores of different kinds are averaged: {kinds}"));
        }
        if self.too_large > 0 {
            reasons.push(format!("scores beyond {LARGEST_SCORE:e} are none: {}", self.too_large));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// The configs in their order with their ranks, then those that never came to a score in a block.
fn rows(scored: &Scored, configs: Vec<Config>) -> Vec<Row<'_>> {
    let none = Failed::default();
    let mut failed: BTreeMap<(&Block, &str), &Failed> =
        scored.failed.iter().map(|((block, config), of)| ((block, config.as_str()), of)).collect();
    let mut ranked: BTreeMap<&Block, usize> = BTreeMap::new();
    let mut blocks: HashMap<String, usize> = HashMap::new();
    let mut rows = Vec::new();
    for config in configs {
        let block = &scored.blocks[config.block];
        let rank = ranked.entry(block).or_default();
        *rank += 1;
        *blocks.entry(config.config_id.clone()).or_default() += 1;
        // The keys live as long as the scores: looked up by one that does too.
        let id = scored.runs[config.runs[0]].config_id.as_str();
        let failed = failed.remove(&(block, id)).unwrap_or(&none);
        rows.push(Row {
            rank: Some(*rank),
            config_id: config.config_id.clone(),
            block,
            failed: failed.runs.len(),
            too_large: failed.too_large,
            config: Some(config),
            n_configs: 0,
            n_blocks: 0,
        });
    }
    rows.extend(failed.into_iter().map(|((block, config), failed)| Row {
        rank: None,
        config_id: config.to_string(),
        block,
        config: None,
        failed: failed.runs.len(),
        too_large: failed.too_large,
        n_configs: 0,
        n_blocks: 0,
    }));
    for row in &mut rows {
        row.n_configs = ranked.get(row.block).copied().unwrap_or_default();
        row.n_blocks = blocks.get(&row.config_id).copied().unwrap_or_default();
    }
    rows
}

/// The best run of a config; the first id where scores are equal.
pub fn best_run<'a>(scored: &'a Scored, config: &Config) -> &'a str {
    let runs = config.runs.iter().map(|i| &scored.runs[*i]);
    let best =
        runs.min_by(|a, b| better(scored.goal, Some(a.score), Some(b.score)).then_with(|| a.run_id.cmp(&b.run_id)));
    &best.expect("a config has a run").run_id
}

/// Values of a param by the number of the config, as logged; `None` for a config that does not set the param.
type Values = Vec<Option<String>>;

/// A param of a config, as far as its runs were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set<'a> {
    Not,
    To(Option<&'a str>),
}

/// The params that differ between configs, with their values. Those that differ between the repeats of a config, such as
/// the seed, are no part of it.
async fn varying(
    call: &Call<'_>,
    scope: &Scope,
    scored: &Scored,
    numbers: &HashMap<String, usize>,
) -> Result<BTreeMap<String, Values>, QueryError> {
    let sql = format!("SELECT run_id, key, value FROM params WHERE {}", scope.condition());
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, keys, values) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("value")?);
    let of_scored = scored.runs.iter().map(|run| (run.run_id.as_str(), run.config_id.as_str()));
    let failed = scored.failed.iter();
    let of_failed =
        failed.flat_map(|((_, config), failed)| failed.runs.iter().map(move |run| (run.as_str(), config.as_str())));
    let number_of: HashMap<&str, usize> =
        of_scored.chain(of_failed).map(|(run, config)| (run, numbers[config])).collect();
    let mut of_key: BTreeMap<&str, Vec<Set<'_>>> = BTreeMap::new();
    let mut repeat: BTreeSet<&str> = BTreeSet::new();
    // The params of a run stand together.
    let mut last: Option<(&str, Option<usize>)> = None;
    for row in 0..rows.len() {
        let run = ids.value(row);
        let number = match last {
            Some((same, number)) if same == run => number,
            _ => number_of.get(run).copied(),
        };
        last = Some((run, number));
        let Some(number) = number else { continue };
        let key = keys.value(row);
        let of_configs = of_key.entry(key).or_insert_with(|| vec![Set::Not; numbers.len()]);
        let value = Set::To(text(&values, row));
        let before = std::mem::replace(&mut of_configs[number], value);
        if before != Set::Not && before != value {
            repeat.insert(key);
        }
    }
    of_key.retain(|key, values| !repeat.contains(key) && values.iter().any(|value| *value != values[0]));
    let owned = |value: Set<'_>| match value {
        Set::To(Some(value)) => Some(value.to_string()),
        Set::To(None) | Set::Not => None,
    };
    Ok(of_key.into_iter().map(|(key, values)| (key.to_string(), values.into_iter().map(owned).collect())).collect())
}

/// A number for each config, whether it has a score or not.
fn numbers(scored: &Scored) -> HashMap<String, usize> {
    let mut numbers = HashMap::new();
    let of_scored = scored.runs.chunk_by(|a, b| a.config_id == b.config_id).map(|runs| &runs[0].config_id);
    for config in of_scored.chain(scored.failed.keys().map(|(_, config)| config)) {
        let next = numbers.len();
        numbers.entry(config.clone()).or_insert(next);
    }
    numbers
}
