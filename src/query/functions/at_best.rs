//! `at_best(scope, key)`.

use std::collections::{BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::goal::goal;
use super::rows::{Columns, float, int, text};
use super::scope::quoted;
use super::scores::unknown;
use crate::query::error::QueryError;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let key = call.args.text("metric")?;
    call.args.end()?;
    let condition = scope.condition();
    let sql = format!(
        "SELECT run_id, experiment_id, min, max, min_step, max_step FROM metric_stats
         WHERE key = {} AND context IS NULL AND {condition} ORDER BY run_id",
        quoted(&key)
    );
    let rows = call.ask_in(&scope, &sql).await?;
    if rows.len() == 0 {
        return Err(unknown(&call, &scope, &key).await?);
    }
    let (runs, experiments) = (rows.texts("run_id")?, rows.texts("experiment_id")?);
    let goal = goal(&call, &key, &experiments.iter().flatten().collect::<BTreeSet<_>>()).await?;
    let (values, steps) = match goal {
        crate::model::Goal::Max => (rows.floats("max")?, rows.ints("max_step")?),
        crate::model::Goal::Min => (rows.floats("min")?, rows.ints("min_step")?),
    };
    let best: HashMap<&str, (Option<f64>, i64)> =
        (0..rows.len()).filter_map(|row| Some((runs.value(row), (float(&values, row), int(&steps, row)?)))).collect();

    // Only steps that are the best of some run, and of them those of the run itself.
    let wanted: BTreeSet<i64> = best.values().map(|(_, step)| *step).collect();
    let wanted = match wanted.len() {
        0 => "step IS NULL AND false".to_string(),
        n if n <= 200 => format!("step IN ({})", wanted.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
        _ => format!("step BETWEEN {} AND {}", wanted.first().unwrap_or(&0), wanted.last().unwrap_or(&0)),
    };
    let sql = format!(
        "SELECT run_id, key, context, step, time, value FROM metrics WHERE {wanted} AND {condition}
         ORDER BY run_id, key, context NULLS FIRST, step, time, value"
    );
    let points = call.ask_in(&scope, &sql).await?;
    let (ids, keys, contexts) = (points.texts("run_id")?, points.texts("key")?, points.texts("context")?);
    let (at, values) = (points.ints("step")?, points.floats("value")?);
    let mut kept: Vec<usize> = Vec::new();
    for row in 0..points.len() {
        if best.get(ids.value(row)).is_none_or(|(_, step)| int(&at, row) != Some(*step)) {
            continue;
        }
        let series = |i: usize| (ids.value(i), keys.value(i), text(&contexts, i));
        match kept.last_mut() {
            // A step that was logged twice: the later one counts, as in `last`.
            Some(last) if series(*last) == series(row) => *last = row,
            _ => kept.push(row),
        }
    }
    let of_run = |row: &usize| best[ids.value(*row)];
    Columns::new()
        .text("run_id", kept.iter().map(|row| Some(ids.value(*row))))
        .int("step", kept.iter().map(|row| Some(of_run(row).1)))
        .float("best", kept.iter().map(|row| of_run(row).0))
        .text("key", kept.iter().map(|row| Some(keys.value(*row))))
        .text("context", kept.iter().map(|row| text(&contexts, *row)))
        .float("value", kept.iter().map(|row| float(&values, *row)))
        .finish()
}
