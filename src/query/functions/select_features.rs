//! `select_features(scope, metric [, max_features, tolerance, confirm])`.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::Block;
use super::rows::{Columns, float, text};
use super::scope::{Scope, quoted};
use super::scores::unknown;
use super::subsets::{Subsets, Tried};
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::stats::{Summary, paired};

/// Two scores that differ by less than this part of them are equal: 0.95 - 0.94 is a little more than 0.01.
const ROUNDING: f64 = 1e-12;

/// The answer for one block.
struct Row<'a> {
    block: &'a Block,
    best: &'a Tried,
    winner: Option<&'a Tried>,
    tolerance: Option<f64>,
    pairs: Option<usize>,
    subsets: usize,
    too_large: usize,
    not_judged: usize,
    configs: usize,
    runs: usize,
    reason: Vec<String>,
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    let largest = call.args.count("max_features")?;
    let tolerance = call.args.number("tolerance")?;
    let confirm = call.args.optional_text("confirm")?;
    if tolerance.is_some_and(|tolerance| tolerance < 0.0) {
        return Err(call.args.wrong("tolerance is a number from 0 on".to_string()).into());
    }
    call.args.end()?;
    let subsets = Subsets::of(&call, &scope, &metric).await?;
    let held_out = match &confirm {
        Some(metric) => held_out(&call, &scope, metric).await?,
        None => HashMap::new(),
    };
    let mut rows: Vec<Row<'_>> =
        subsets.blocks().filter_map(|block| choose(&subsets, block, largest, tolerance)).collect();
    let mean = |config: &Tried| {
        let runs = config.runs.iter().map(|run| held_out.get(&subsets.scored.runs[*run].run_id).copied());
        let values: Option<Vec<f64>> = runs.collect();
        Summary::of(&values?).map(|summary| summary.mean)
    };
    if let Some(metric) = &confirm {
        for row in &mut rows {
            if row.winner.is_some_and(|winner| mean(winner).is_none()) || mean(row.best).is_none() {
                row.reason.push(format!("a run of the subset or of the best one has no finite '{metric}'"));
            }
        }
    }
    let winners = || rows.iter().map(|row| row.winner);
    let bests = || rows.iter().map(|row| row.best);
    Columns::new()
        .text("experiment", rows.iter().map(|row| Some(&row.block.experiment)))
        .text("dataset", rows.iter().map(|row| row.block.dataset.as_ref()))
        .text("data_version", rows.iter().map(|row| row.block.data_version.as_ref()))
        .text("digest", rows.iter().map(|row| row.block.digest.as_ref()))
        .int("size", winners().map(|w| Some(w?.set.len() as i64)))
        .texts("features", winners().map(|w| Some(subsets.names(w?))))
        .float("score", winners().map(|w| Some(w?.score())))
        .count("best_size", bests().map(|best| best.set.len()))
        .float("best_score", bests().map(|best| Some(best.score())))
        .float("difference", rows.iter().map(|row| Some(row.winner?.score() - row.best.score())))
        .float("tolerance", rows.iter().map(|row| row.tolerance))
        .text("tolerance_of", rows.iter().map(|row| row.tolerance.map(|_| tolerance_of(tolerance))))
        .int("n_pairs", rows.iter().map(|row| row.pairs.map(|n| n as i64)))
        .text("confirm", rows.iter().map(|_| confirm.as_ref()))
        .float("confirm_score", winners().map(|w| mean(w?)))
        .float("best_confirm_score", bests().map(mean))
        .count("n_subsets", rows.iter().map(|row| row.subsets))
        .count("n_too_large", rows.iter().map(|row| row.too_large))
        .count("n_not_judged", rows.iter().map(|row| row.not_judged))
        .count("n_configs", rows.iter().map(|row| row.configs))
        .count("n_runs", rows.iter().map(|row| row.runs))
        .count("n_blocks", rows.iter().map(|_| rows.len()))
        .text("config_id", winners().map(|w| Some(&w?.config_id)))
        .text("run_id", winners().map(|w| Some(subsets.best_run(w?))))
        .text("feature_set", winners().map(|w| w?.feature_set.as_ref()))
        .text("best_config", bests().map(|best| Some(&best.config_id)))
        .text("best_run", bests().map(|best| Some(subsets.best_run(best))))
        .texts("best_features", bests().map(|best| Some(subsets.names(best))))
        .text("score_of", rows.iter().map(|row| subsets.score_of(row.winner.into_iter().chain([row.best]))))
        .text("reason", rows.iter().map(|row| (!row.reason.is_empty()).then(|| row.reason.join("; "))))
        .finish()
}

fn tolerance_of(given: Option<f64>) -> &'static str {
    match given {
        Some(_) => "given",
        None => "standard error of the paired difference",
    }
}

/// The smallest subset of a block that is good enough. Each subset stands for its best config.
fn choose<'a>(subsets: &'a Subsets, block: &'a [Tried], largest: Option<usize>, given: Option<f64>) -> Option<Row<'a>> {
    let tried = subsets.by_set(block);
    let mut candidates: Vec<&Tried> = tried.iter().map(|configs| configs[0]).collect();
    let subsets_tried = candidates.len();
    candidates.retain(|config| largest.is_none_or(|largest| config.set.len() <= largest));
    let runs = |configs: &[Tried]| configs.iter().map(|config| config.runs.len()).sum();
    let best_first = |a: &&Tried, b: &&Tried| subsets.best_first(a, b);
    let all_best = tried.iter().map(|configs| configs[0]).min_by(best_first)?;
    let mut row = Row {
        block: &subsets.scored.blocks[block[0].block],
        best: all_best,
        winner: None,
        tolerance: None,
        pairs: None,
        subsets: subsets_tried,
        too_large: subsets_tried - candidates.len(),
        not_judged: 0,
        configs: block.len(),
        runs: runs(block),
        reason: Vec::new(),
    };
    let Some(best) = candidates.iter().copied().min_by(best_first) else {
        row.reason.push(format!("no subset has at most {} features", largest.unwrap_or_default()));
        return Some(row);
    };
    row.best = best;
    candidates.sort_by(|a, b| a.set.len().cmp(&b.set.len()).then_with(|| best_first(a, b)));
    if given.is_none() && candidates.len() > 1 && best.replicates.len() < 2 {
        row.reason.push("the best subset has one fold or repeat: give a tolerance".to_string());
        return Some(row);
    }
    for candidate in candidates {
        let differences = differences(candidate, best);
        let tolerance = match given {
            Some(tolerance) => Some(tolerance),
            None if std::ptr::eq(candidate, best) => Some(0.0),
            None => paired(&differences, 0.95).and_then(|difference| difference.std_error),
        };
        let Some(tolerance) = tolerance else {
            row.not_judged += 1;
            continue;
        };
        let lost = match subsets.scored.goal {
            Goal::Max => best.score() - candidate.score(),
            Goal::Min => candidate.score() - best.score(),
        };
        if lost <= tolerance + ROUNDING * best.score().abs().max(tolerance) {
            row.winner = Some(candidate);
            if given.is_none() && tried.len() == 1 {
                // It was compared with nothing.
                row.reason.push("one subset: nothing to choose from".to_string());
            } else {
                (row.tolerance, row.pairs) = (Some(tolerance), Some(differences.len()));
            }
            break;
        }
    }
    if row.not_judged > 0 {
        let n = row.not_judged;
        row.reason.push(format!("{n} smaller subsets share fewer than 2 folds or repeats with the best: not judged"));
    }
    Some(row)
}

/// What one config has more than another on each fold and repeat that both have.
fn differences(config: &Tried, other: &Tried) -> Vec<f64> {
    let both = config.replicates.iter().filter_map(|(key, value)| Some(value - other.replicates.get(key)?));
    both.collect()
}

/// Values of a metric that was held out, by run: the last one of the series without a context, else the mean over folds.
/// Not the best one over steps, which would be chosen by what it is to confirm.
async fn held_out(call: &Call<'_>, scope: &Scope, metric: &str) -> Result<HashMap<String, f64>, QueryError> {
    let sql = format!(
        r#"SELECT run_id, context, last FROM metric_stats
           WHERE key = {} AND (context IS NULL OR context LIKE '{{"fold":%') AND {}
           ORDER BY run_id, context"#,
        quoted(metric),
        scope.condition()
    );
    let rows = call.ask_in(scope, &sql).await?;
    if rows.len() == 0 {
        return Err(unknown(call, scope, metric).await?);
    }
    let (runs, contexts, values) = (rows.texts("run_id")?, rows.texts("context")?, rows.floats("last")?);
    let mut whole: HashMap<&str, Option<f64>> = HashMap::new();
    let mut folds: HashMap<&str, Vec<f64>> = HashMap::new();
    for row in 0..rows.len() {
        let run = runs.value(row);
        match text(&contexts, row) {
            None => {
                whole.insert(run, float(&values, row));
            }
            Some(context) if super::scores::fold(context).is_some() => {
                folds.entry(run).or_default().push(float(&values, row).unwrap_or(f64::NAN));
            }
            Some(_) => {}
        }
    }
    for (run, values) in folds {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        whole.entry(run).or_insert(Some(mean));
    }
    let finite = whole.into_iter().filter_map(|(run, value)| Some((run.to_string(), value.filter(|v| v.is_finite())?)));
    Ok(finite.collect())
}
