//! `config_scores(scope, metric)`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::{Config, LARGEST_SCORE, Scored, scored};
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
    let params = varying(&call, &scope, &scored).await?;
    let rows = rows(&scored, configs);

    let block = |row: &Row| row.config.as_ref().map(|config| &scored.blocks[config.block]);
    let score_of: Vec<Option<String>> =
        rows.iter().map(|row| Scored::score_of(row.config.as_ref()?.runs.iter().map(|i| &scored.runs[*i]))).collect();
    let summary = |row: &Row| row.config.as_ref().map(|config| config.summary);
    let interval = |row: &Row| interval_of_mean(&summary(row)?, LEVEL);
    let mut columns = Columns::new()
        .int("rank", rows.iter().map(|row| row.rank.map(|rank| rank as i64)))
        .text("config_id", rows.iter().map(|row| Some(&row.config_id)))
        .text("experiment", rows.iter().map(|row| Some(row.experiment)))
        .text("dataset", rows.iter().map(|row| block(row)?.dataset.as_ref()))
        .text("data_version", rows.iter().map(|row| block(row)?.data_version.as_ref()))
        .text("digest", rows.iter().map(|row| block(row)?.digest.as_ref()));
    for (key, values) in &params {
        let of = |row: &Row| values.get(&row.config_id).and_then(Option::as_ref);
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
        .float("low", rows.iter().map(|row| Some(interval(row)?.0)))
        .float("high", rows.iter().map(|row| Some(interval(row)?.1)))
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
    experiment: &'a str,
    /// None where no run of it has a score.
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

/// The configs in their order with their ranks, then those that never came to a score.
fn rows(scored: &Scored, configs: Vec<Config>) -> Vec<Row<'_>> {
    let mut ranks: HashMap<usize, usize> = HashMap::new();
    let mut rows = Vec::new();
    for config in configs {
        let rank = ranks.entry(config.block).or_default();
        *rank += 1;
        rows.push(Row {
            rank: Some(*rank),
            config_id: config.config_id.clone(),
            experiment: &scored.blocks[config.block].experiment,
            failed: scored.failed.get(&config.config_id).map_or(0, |failed| failed.runs.len()),
            too_large: scored.failed.get(&config.config_id).map_or(0, |failed| failed.too_large),
            config: Some(config),
            n_configs: 0,
            n_blocks: 0,
        });
    }
    let mut blocks: HashMap<String, usize> = HashMap::new();
    rows.iter().for_each(|row| *blocks.entry(row.config_id.clone()).or_default() += 1);
    for row in &mut rows {
        row.n_configs = row.config.as_ref().map_or(0, |config| ranks[&config.block]);
        row.n_blocks = blocks[&row.config_id];
    }
    let shown: BTreeSet<String> = rows.iter().map(|row| row.config_id.clone()).collect();
    rows.extend(scored.failed.iter().filter(|(id, _)| !shown.contains(*id)).map(|(id, failed)| Row {
        rank: None,
        config_id: id.clone(),
        experiment: &failed.experiment,
        config: None,
        failed: failed.runs.len(),
        too_large: failed.too_large,
        n_configs: 0,
        n_blocks: 0,
    }));
    rows
}

/// The best run of a config; the first id where scores are equal.
pub fn best_run<'a>(scored: &'a Scored, config: &Config) -> &'a str {
    let runs = config.runs.iter().map(|i| &scored.runs[*i]);
    let best =
        runs.min_by(|a, b| better(scored.goal, Some(a.score), Some(b.score)).then_with(|| a.run_id.cmp(&b.run_id)));
    &best.expect("a config has a run").run_id
}

/// Values by config, as logged; `None` for a config that does not set the param.
type Values = HashMap<String, Option<String>>;

/// The params that differ between configs, with their values. Those that differ between the repeats of a config, such as
/// the seed, are no part of it.
async fn varying(call: &Call<'_>, scope: &Scope, scored: &Scored) -> Result<BTreeMap<String, Values>, QueryError> {
    let sql = format!("SELECT run_id, key, value FROM params WHERE {}", scope.condition());
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, keys, values) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("value")?);
    let failed =
        scored.failed.iter().flat_map(|(config, failed)| failed.runs.iter().map(|run| (run.as_str(), config.as_str())));
    let config_of: HashMap<&str, &str> =
        scored.runs.iter().map(|run| (run.run_id.as_str(), run.config_id.as_str())).chain(failed).collect();
    let mut of_key: BTreeMap<&str, HashMap<&str, Option<&str>>> = BTreeMap::new();
    let mut repeat: BTreeSet<&str> = BTreeSet::new();
    for row in 0..rows.len() {
        let Some(config) = config_of.get(ids.value(row)) else { continue };
        let value = text(&values, row);
        let before = of_key.entry(keys.value(row)).or_default().insert(config, value);
        if before.is_some_and(|before| before != value) {
            repeat.insert(keys.value(row));
        }
    }
    let n_configs = config_of.values().collect::<BTreeSet<_>>().len();
    of_key.retain(|key, values| {
        let distinct = values.values().collect::<BTreeSet<_>>().len();
        !repeat.contains(key) && (distinct > 1 || values.len() < n_configs)
    });
    let owned = |values: HashMap<&str, Option<&str>>| {
        values.into_iter().map(|(config, value)| (config.to_string(), value.map(str::to_string))).collect()
    };
    Ok(of_key.into_iter().map(|(key, values)| (key.to_string(), owned(values))).collect())
}
