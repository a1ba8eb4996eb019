//! `param_effects(scope, metric)`.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::{Config, Scored, scored};
use super::param_effect::{Effect, Setting, Value, effect};
use super::rows::{Columns, float, text};
use super::scope::Scope;
use crate::query::error::QueryError;
use crate::stats::benjamini_hochberg;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    call.args.end()?;
    let scored = scored(&call, &scope, &metric).await?;
    let configs = scored.configs();
    let mut found: Vec<(String, Effect)> = Vec::new();
    for (param, settings) in settings(&call, &scope, &scored, &configs).await? {
        let first = &settings[0].value;
        // Nothing to compare, anywhere.
        if settings.iter().any(|setting| setting.value != *first) {
            found.push((param, effect(&settings, scored.goal)));
        }
    }
    // What is surest first, what has no p-value last; by name where that is equal.
    let key = |effect: &Effect| effect.p.unwrap_or(f64::INFINITY);
    found.sort_by(|(a, x), (b, y)| key(x).total_cmp(&key(y)).then_with(|| a.cmp(b)));
    let p: Vec<Option<f64>> = found.iter().map(|(_, effect)| effect.p).collect();
    let score_of = Scored::score_of(&scored.runs);
    let effects = || found.iter().map(|(_, effect)| effect);
    Columns::new()
        .text("param", found.iter().map(|(param, _)| Some(param)))
        .text("measure", effects().map(|e| Some(e.measure)))
        .float("effect", effects().map(|e| e.effect))
        .bool("better", effects().map(|e| e.better))
        .text("best_value", effects().map(|e| e.best_value.as_deref()))
        .float("p_value", p.iter().copied())
        .float("q_value", benjamini_hochberg(&p))
        .float("share_positive", effects().map(|e| e.share_positive))
        .float("share_negative", effects().map(|e| e.share_negative))
        .float("share_best", effects().map(|e| e.share_best))
        .count("n_values", effects().map(|e| e.values))
        .count("n_datasets", effects().map(|e| e.datasets))
        .count("n_blocks", effects().map(|e| e.blocks))
        .count("n_configs", effects().map(|e| e.configs))
        .count("n_runs", effects().map(|e| e.runs))
        .text("score_of", effects().map(|_| score_of.as_deref()))
        .text("reason", effects().map(|e| e.reason))
        .finish()
}

/// The configs that each param is set in, with its value there; by param, then in the order of the configs. Keys that tell
/// repeats apart are no params here, and what stands for nothing (`None`, `null`, empty text, NaN) is not set.
async fn settings(
    call: &Call<'_>,
    scope: &Scope,
    scored: &Scored,
    configs: &[Config],
) -> Result<BTreeMap<String, Vec<Setting>>, QueryError> {
    // All runs of a config have the same params; the first stands for them.
    let of_run: HashMap<&str, usize> =
        configs.iter().enumerate().map(|(i, config)| (scored.runs[config.runs[0]].run_id.as_str(), i)).collect();
    let sql = format!(
        "SELECT run_id, key, value, num, type = 'bool' AS is_bool FROM params
         WHERE value NOT IN ('', 'None', 'null') AND NOT (type = 'float' AND num IS NULL) AND {}",
        scope.condition()
    );
    let rows = call.ask_in(scope, &sql).await?;
    let (runs, keys, values) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("value")?);
    let (numbers, bools) = (rows.floats("num")?, rows.bools("is_bool")?);
    let repeat_keys = call.session().repeat_keys().await?;
    let is_repeat_key = |experiment: &str, key: &str| repeat_keys.of(experiment).contains(&key);
    let datasets = scored.datasets();
    let numbers_of: HashMap<&str, usize> = {
        let ids: std::collections::BTreeSet<&str> = configs.iter().map(|config| config.config_id.as_str()).collect();
        ids.into_iter().enumerate().map(|(number, id)| (id, number)).collect()
    };
    let number_of: Vec<usize> = configs.iter().map(|config| numbers_of[config.config_id.as_str()]).collect();
    let mut found: HashMap<&str, Vec<(usize, Setting)>> = HashMap::new();
    // The params of a run stand together.
    let mut last: Option<(&str, Option<usize>)> = None;
    for row in 0..rows.len() {
        let run = runs.value(row);
        let place = match last {
            Some((same, place)) if same == run => place,
            _ => of_run.get(run).copied(),
        };
        last = Some((run, place));
        let Some(place) = place else { continue };
        let config = &configs[place];
        let (key, Some(value)) = (keys.value(row), text(&values, row)) else { continue };
        if is_repeat_key(&scored.blocks[config.block].experiment_id, key) {
            continue;
        }
        let value = match float(&numbers, row) {
            Some(number) => Value::Number(number),
            None if bools.value(row) => Value::Bool(value.eq_ignore_ascii_case("true")),
            None => Value::Text(value.to_string()),
        };
        let (block, score) = (config.block, config.score());
        let (dataset, runs) = (datasets[block], config.runs.len());
        let setting = Setting { config: number_of[place], block, dataset, score, runs, value };
        found.entry(key).or_default().push((place, setting));
    }
    let sorted = |(key, mut settings): (&str, Vec<(usize, Setting)>)| {
        settings.sort_by_key(|(place, _)| *place);
        (key.to_string(), settings.into_iter().map(|(_, setting)| setting).collect())
    };
    Ok(found.into_iter().map(sorted).collect())
}
