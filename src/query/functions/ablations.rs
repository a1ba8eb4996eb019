//! `ablations(scope, metric, run [, ignore])`.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;

use super::call::Call;
use super::comparison::{Comparison, of_configs};
use super::configs::{Block, Scored, ScoredRun, scored};
use super::error::FunctionError;
use super::repeats::Repeats;
use super::rows::{Columns, float, text};
use super::scope::{Scope, quoted};
use super::scores::better;
use crate::query::error::QueryError;
use crate::query::keys::near;
use crate::stats::benjamini_hochberg;

/// A config that differs in one thing.
struct Row<'a> {
    kind: &'static str,
    name: String,
    from: Option<String>,
    to: Option<String>,
    runs: &'a [ScoredRun],
    found: Comparison,
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    let run = call.run("run").await?;
    let ignored = call.args.optional_text("ignore")?.unwrap_or_default();
    call.args.end()?;
    let (block, given) = given(&call, &metric, &run).await?;
    let scored = scored(&call, &scope, &metric).await?;
    let place = scored.blocks.iter().position(|other| *other == block);
    let in_block = |of: &&[ScoredRun]| Some(of[0].block) == place;
    let configs: Vec<&[ScoredRun]> =
        scored.runs.chunk_by(|a, b| a.block == b.block && a.config_id == b.config_id).filter(in_block).collect();

    let mut base = Repeats::default();
    // Repeats of the run that the scope holds count with it.
    let repeats = configs.iter().filter(|runs| runs[0].config_id == given.config_id).copied().flatten();
    let mut base_runs: Vec<&ScoredRun> = repeats.filter(|other| other.run_id != given.run_id).collect();
    base_runs.push(&given);
    base_runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    base_runs.iter().for_each(|run| base.add(run));

    let others: Vec<&[ScoredRun]> = configs.into_iter().filter(|runs| runs[0].config_id != given.config_id).collect();
    let skip = skipped(&call, &block, &ignored).await?;
    let mut rows = Vec::new();
    for (place, change) in changes(&call, &given, &others, &skip).await? {
        let mut other = Repeats::default();
        others[place].iter().for_each(|run| other.add(run));
        let found = of_configs(&[(&other, &base)]);
        let Change { kind, name, from, to } = change;
        rows.push(Row { kind, name, from, to, runs: others[place], found });
    }
    let goal = scored.goal;
    rows.sort_by(|a, b| {
        let by_change = better(goal, a.found.difference, b.found.difference);
        by_change
            .then_with(|| (a.kind, &a.name).cmp(&(b.kind, &b.name)))
            .then_with(|| a.runs[0].run_id.cmp(&b.runs[0].run_id))
    });
    let p: Vec<Option<f64>> = rows.iter().map(|row| row.found.p).collect();
    let found = || rows.iter().map(|row| &row.found);
    Columns::new()
        .text("kind", rows.iter().map(|row| Some(row.kind)))
        .text("name", rows.iter().map(|row| Some(&row.name)))
        .text("given_value", rows.iter().map(|row| row.from.as_deref()))
        .text("other_value", rows.iter().map(|row| row.to.as_deref()))
        .float("given_score", found().map(|f| f.mean_b))
        .float("other_score", found().map(|f| f.mean_a))
        .float("difference", found().map(|f| f.difference))
        .bool("better", found().map(|f| f.is_better(goal)))
        .float("std_error", found().map(|f| f.std_error))
        .float("low", found().map(|f| f.interval.map(|i| i.0)))
        .float("high", found().map(|f| f.interval.map(|i| i.1)))
        .float("p_value", p.iter().copied())
        .float("q_value", benjamini_hochberg(&p))
        .text("test", found().map(|f| f.test))
        .text("paired_by", found().map(|f| f.paired_by.map(|by| by.as_str())))
        .count("n_pairs", found().map(|f| f.pairs))
        .count("n_runs", found().map(|f| f.runs.0 + f.runs.1))
        .count("n_configs", rows.iter().map(|_| 2))
        .count("n_blocks", rows.iter().map(|_| 1))
        .text("config_id", rows.iter().map(|row| Some(&row.runs[0].config_id)))
        .text("best_run", rows.iter().map(|row| Some(best_of(row.runs, goal))))
        .text("score_of", rows.iter().map(|row| Scored::score_of(row.runs.iter().chain(base_runs.iter().copied()))))
        .text("reason", found().map(|f| f.reason))
        .finish()
}

/// The best run, the first by id of those that are equal.
fn best_of(runs: &[ScoredRun], goal: crate::model::Goal) -> &str {
    let order = |a: &&ScoredRun, b: &&ScoredRun| better(goal, Some(a.score), Some(b.score));
    &runs.iter().min_by(order).expect("a config has a run").run_id
}

/// The given run with its block, in the scope or not.
async fn given(call: &Call<'_>, metric: &str, run: &str) -> Result<(Block, ScoredRun), QueryError> {
    let alone = Scope::of_ids(run, [run])?;
    let mut found = scored(call, &alone, metric).await?;
    match found.runs.pop() {
        Some(given) => Ok((found.blocks.swap_remove(given.block), given)),
        None => {
            let statuses = call.ask_in(&alone, &format!("SELECT status FROM runs WHERE {}", alone.condition())).await?;
            let why = match statuses.texts("status")?.iter().flatten().next() {
                Some("FINISHED") | None => "its value is NaN or infinite".to_string(),
                Some(status) => format!("it is {status}"),
            };
            Err(FunctionError::NoScore { run: run.to_string(), metric: metric.to_string(), why }.into())
        }
    }
}

/// Params that do not count: those that tell repeats apart, and those that the caller names, with commas between.
async fn skipped(call: &Call<'_>, block: &Block, ignored: &str) -> Result<BTreeSet<String>, QueryError> {
    let repeat_keys = call.session().repeat_keys().await?;
    let mut skip: BTreeSet<String> = repeat_keys.of(&block.experiment_id).into_iter().map(str::to_string).collect();
    let ignored: Vec<&str> = ignored.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    if !ignored.is_empty() {
        // One list may serve several experiments: a key that another one logs is no slip.
        let keys = call.ask("SELECT DISTINCT key FROM params").await?.texts("key")?;
        let known: Vec<&str> = keys.iter().flatten().collect();
        if let Some(unknown) = ignored.iter().find(|key| !known.contains(key) && !skip.contains(**key)) {
            let (near, param) = (near(&known, unknown), unknown.to_string());
            return Err(FunctionError::UnknownParam { param, near }.into());
        }
    }
    skip.extend(ignored.into_iter().map(str::to_string));
    Ok(skip)
}

/// What differs, and how.
struct Change {
    kind: &'static str,
    name: String,
    from: Option<String>,
    to: Option<String>,
}

/// A param as it is compared, and as it is shown.
#[derive(Debug, Clone)]
struct Param {
    value: Option<String>,
    number: Option<f64>,
    r#type: String,
}

impl Param {
    /// Whether a reader would call them the same: 1 and 1.0 are, 1 and '1' are not.
    fn is(&self, other: &Param) -> bool {
        match (self.number, other.number) {
            (Some(a), Some(b)) => a == b,
            _ => self.value == other.value && self.r#type == other.r#type,
        }
    }
}

type Params = BTreeMap<String, Param>;

/// The configs that differ from the given run in one thing, by their place among the others.
async fn changes(
    call: &Call<'_>,
    given: &ScoredRun,
    others: &[&[ScoredRun]],
    skip: &BTreeSet<String>,
) -> Result<Vec<(usize, Change)>, QueryError> {
    // Runs of a config share params and features: the first stands for them.
    let may = |runs: &&[ScoredRun]| {
        runs[0].feature_set == given.feature_set
            || matches!((runs[0].n_features, given.n_features), (Some(a), Some(b)) if (a - b).abs() == 1)
    };
    let near: BTreeMap<&str, usize> =
        others.iter().enumerate().filter(|(_, runs)| may(runs)).map(|(i, runs)| (runs[0].run_id.as_str(), i)).collect();
    let mut params = params(call, given, near.keys().copied(), skip).await?;
    let ours = params.remove(&given.run_id).unwrap_or_default();
    let none = Params::new();
    let mut found = Vec::new();
    let mut same_params = BTreeMap::new();
    for (run, place) in &near {
        let theirs = params.get(*run).unwrap_or(&none);
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differs = |key: &&&String| match (ours.get(**key), theirs.get(**key)) {
            (Some(a), Some(b)) => !a.is(b),
            _ => true,
        };
        let differing: Vec<&String> = keys.iter().filter(differs).take(2).copied().collect();
        let same_features = others[*place][0].feature_set == given.feature_set;
        match (differing.as_slice(), same_features) {
            ([key], true) => {
                let shown = |params: &Params| params.get(*key).and_then(|param| param.value.clone());
                let change = Change { kind: "param", name: key.to_string(), from: shown(&ours), to: shown(theirs) };
                found.push((*place, change));
            }
            ([], false) => {
                same_params.insert(*run, *place);
            }
            _ => {}
        }
    }
    if !same_params.is_empty() {
        let mut features = features(call, given, same_params.keys().copied()).await?;
        let ours = features.remove(&given.run_id).unwrap_or_default();
        for (run, place) in same_params {
            let theirs = features.remove(run).unwrap_or_default();
            let mut apart = ours.symmetric_difference(&theirs);
            if let (Some(feature), None) = (apart.next(), apart.next()) {
                let used =
                    |set: &BTreeSet<String>| Some(if set.contains(feature) { "used" } else { "left out" }.to_string());
                let change = Change { kind: "feature", name: feature.clone(), from: used(&ours), to: used(&theirs) };
                found.push((place, change));
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found)
}

/// The params of runs, and of the given one. One that was logged as null is as good as not set.
async fn params<'a>(
    call: &Call<'_>,
    given: &'a ScoredRun,
    runs: impl Iterator<Item = &'a str>,
    skip: &BTreeSet<String>,
) -> Result<BTreeMap<String, Params>, QueryError> {
    let scope = Scope::of_ids("", runs.chain([given.run_id.as_str()]))?;
    let skip: Vec<String> = skip.iter().map(|key| quoted(key)).collect();
    let sql = format!(
        "SELECT run_id, key, value, num, type FROM params
         WHERE value IS NOT NULL AND key NOT IN ({}) AND {}",
        if skip.is_empty() { "''".to_string() } else { skip.join(", ") },
        scope.condition()
    );
    let rows = call.ask_in(&scope, &sql).await?;
    let (runs, keys, types) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("type")?);
    let (values, numbers) = (rows.texts("value")?, rows.floats("num")?);
    let mut found: BTreeMap<String, Params> = BTreeMap::new();
    for row in 0..rows.len() {
        let param = Param {
            value: text(&values, row).map(str::to_string),
            number: float(&numbers, row),
            r#type: types.value(row).to_string(),
        };
        found.entry(runs.value(row).to_string()).or_default().insert(keys.value(row).to_string(), param);
    }
    Ok(found)
}

/// The features that runs used, and those of the given one.
async fn features<'a>(
    call: &Call<'_>,
    given: &'a ScoredRun,
    runs: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, BTreeSet<String>>, QueryError> {
    let scope = Scope::of_ids("", runs.chain([given.run_id.as_str()]))?;
    let sql = format!("SELECT run_id, feature FROM features WHERE used AND {}", scope.condition());
    let rows = call.ask_in(&scope, &sql).await?;
    let (runs, names) = (rows.texts("run_id")?, rows.texts("feature")?);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in 0..rows.len() {
        found.entry(runs.value(row).to_string()).or_default().insert(names.value(row).to_string());
    }
    Ok(found)
}
