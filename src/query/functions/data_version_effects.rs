//! `data_version_effects(scope, metric)`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::comparison::{Comparison, Sides, of_groups};
use super::configs::{Scored, ScoredRun, scored};
use super::rows::{Columns, int, text};
use super::scope::quoted;
use crate::query::error::QueryError;
use crate::stats::benjamini_hochberg;

/// Runs on one content of a data set.
#[derive(Debug, Default)]
struct Version<'a> {
    name: Option<String>,
    digest: Option<&'a str>,
    runs: Vec<&'a ScoredRun>,
}

/// A version and the one that followed it.
struct Step<'a> {
    dataset: &'a str,
    old: &'a Version<'a>,
    new: &'a Version<'a>,
    found: Comparison,
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    call.args.end()?;
    let scored = scored(&call, &scope, &metric).await?;
    let first = first_uses(&call, &scored).await?;
    let mut versions: BTreeMap<(&str, FirstUse), Version<'_>> = BTreeMap::new();
    for run in &scored.runs {
        let block = &scored.blocks[run.block];
        let (Some(dataset), Some(content)) = (block.dataset.as_deref(), block.content()) else { continue };
        let Some(first) = first.get(&(dataset.to_string(), content.to_string())) else { continue };
        let (name, digest) = (first.name.clone(), block.digest.as_deref());
        let version =
            versions.entry((dataset, first.clone())).or_insert_with(|| Version { name, digest, runs: Vec::new() });
        version.runs.push(run);
    }
    let versions: Vec<(&str, Version<'_>)> =
        versions.into_iter().map(|((dataset, _), version)| (dataset, version)).collect();
    let steps: Vec<Step<'_>> = versions
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| {
            let (old, new) = (&pair[0].1, &pair[1].1);
            Step { dataset: pair[0].0, old, new, found: compare(&scored, old, new) }
        })
        .collect();
    let p: Vec<Option<f64>> = steps.iter().map(|step| step.found.p).collect();
    let wins = |of: fn((usize, usize, usize)) -> usize| steps.iter().map(move |step| of(step.found.wins(scored.goal)));
    Columns::new()
        .text("dataset", steps.iter().map(|step| Some(step.dataset)))
        .text("from_version", steps.iter().map(|step| step.old.name.as_deref()))
        .text("to_version", steps.iter().map(|step| step.new.name.as_deref()))
        .text("from_digest", steps.iter().map(|step| step.old.digest))
        .text("to_digest", steps.iter().map(|step| step.new.digest))
        .float("from_score", steps.iter().map(|step| step.found.mean_b))
        .float("to_score", steps.iter().map(|step| step.found.mean_a))
        .float("difference", steps.iter().map(|step| step.found.difference))
        .bool("better", steps.iter().map(|step| step.found.is_better(scored.goal)))
        .float("std_error", steps.iter().map(|step| step.found.std_error))
        .float("low", steps.iter().map(|step| step.found.interval.map(|i| i.0)))
        .float("high", steps.iter().map(|step| step.found.interval.map(|i| i.1)))
        .float("p_value", p.iter().copied())
        .float("q_value", benjamini_hochberg(&p))
        .text("test", steps.iter().map(|step| step.found.test))
        .text("paired_by", steps.iter().map(|step| step.found.paired_by.map(|by| by.as_str())))
        .count("n_pairs", steps.iter().map(|step| step.found.pairs))
        .count("wins", wins(|wins| wins.0))
        .count("losses", wins(|wins| wins.1))
        .count("ties", wins(|wins| wins.2))
        .count("n_blocks", steps.iter().map(|step| step.found.blocks))
        .count("n_configs", steps.iter().map(|step| step.found.configs.0))
        .count("n_runs", steps.iter().map(|step| step.found.runs.0 + step.found.runs.1))
        .text("score_of", steps.iter().map(|s| Scored::score_of(s.old.runs.iter().chain(&s.new.runs).copied())))
        .text("reason", steps.iter().map(|step| step.found.reason))
        .finish()
}

/// The newer version against the older one, over configs that ran on both in one experiment.
fn compare(scored: &Scored, old: &Version<'_>, new: &Version<'_>) -> Comparison {
    let mut blocks: BTreeMap<&str, Sides> = BTreeMap::new();
    for (version, is_new) in [(old, false), (new, true)] {
        for run in &version.runs {
            let sides = blocks.entry(&scored.blocks[run.block].experiment_id).or_default();
            let side = if is_new { &mut sides.a } else { &mut sides.b };
            side.entry(run.config_id.clone()).or_default().add(run);
        }
    }
    let mut blocks: Vec<Sides> = blocks.into_values().collect();
    for sides in &mut blocks {
        // Other configs say more about the configs than about the data.
        sides.a.retain(|config, _| sides.b.contains_key(config));
        sides.b.retain(|config, _| sides.a.contains_key(config));
    }
    let found = of_groups(&blocks);
    match found.difference {
        None => Comparison { reason: Some("no config ran on both versions"), ..found },
        Some(_) => found,
    }
}

/// When a version was first used, and its name then. In the order of time; the content tells apart what began at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FirstUse {
    time: i64,
    content: String,
    run_id: String,
    name: Option<String>,
}

/// The first use of each version, by data set and digest: by any run of these experiments, scored or not, in the scope or
/// not, since versions do not change places with the question.
async fn first_uses(call: &Call<'_>, scored: &Scored) -> Result<HashMap<(String, String), FirstUse>, QueryError> {
    let experiments: BTreeSet<String> = scored.blocks.iter().map(|block| quoted(&block.experiment_id)).collect();
    if experiments.is_empty() {
        return Ok(HashMap::new());
    }
    let experiments = experiments.into_iter().collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT d.run_id AS run_id, d.dataset AS dataset, d.digest AS digest, d.data_version AS data_version,
                r.start_time AS start_time
         FROM data_versions d JOIN runs r ON d.run_id = r.run_id
         WHERE d.role = 'training' AND d.experiment_id IN ({experiments}) AND r.experiment_id IN ({experiments})
         ORDER BY 1, 2, 3"
    );
    let rows = call.ask(&sql).await?;
    let (runs, times) = (rows.texts("run_id")?, rows.ints("start_time")?);
    let (datasets, digests, names) = (rows.texts("dataset")?, rows.texts("digest")?, rows.texts("data_version")?);
    let mut found: HashMap<(String, String), FirstUse> = HashMap::new();
    let mut begin = 0;
    while begin < rows.len() {
        let run = runs.value(begin);
        let end = (begin..rows.len()).find(|row| runs.value(*row) != run).unwrap_or(rows.len());
        // Several data sets of one run are one, as in the blocks.
        let join = |column| (begin..end).filter_map(|row| text(column, row)).collect::<Vec<&str>>().join(" + ");
        let (digest, name) = (join(&digests), join(&names));
        let content = if digest.is_empty() { name.clone() } else { digest };
        let name = Some(name).filter(|name| !name.is_empty());
        let time = int(&times, begin).unwrap_or(i64::MAX);
        let use_of = FirstUse { time, content: content.clone(), run_id: run.to_string(), name };
        let first = found.entry((join(&datasets), content)).or_insert_with(|| use_of.clone());
        if use_of < *first {
            *first = use_of;
        }
        begin = end;
    }
    Ok(found)
}
