//! `metric_history(run, key [, points])`.

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use datafusion::error::DataFusionError;

use super::call::Call;
use super::scope::quoted;
use crate::query::error::QueryError;
use crate::stats::thin;

/// First, last, least and greatest.
const FEWEST: usize = 4;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.runs("run").await?;
    let key = call.args.text("metric")?;
    let points = call.args.count("points")?;
    if points.is_some_and(|points| points < FEWEST) {
        return Err(call.args.wrong(format!("points is {FEWEST} at least: first, last, least and greatest")).into());
    }
    call.args.end()?;
    // The order of `last`: by step, then time, then value.
    let sql = format!(
        "SELECT run_id, context, step, x, time, value FROM metrics WHERE key = {} AND {}
         ORDER BY run_id, context NULLS FIRST, coalesce(x, step), time, value",
        quoted(&key),
        scope.condition()
    );
    let rows = call.ask_in(&scope, &sql).await?;
    if rows.len() == 0 {
        return Err(super::scores::unknown(&call, &scope, &key).await?);
    }
    let Some(points) = points else { return Ok(rows.batch().clone()) };
    let (runs, contexts, values) = (rows.texts("run_id")?, rows.texts("context")?, rows.floats("value")?);
    let values: Vec<f64> =
        (0..rows.len()).map(|i| if values.is_null(i) { f64::NAN } else { values.value(i) }).collect();
    let mut kept: Vec<u64> = Vec::new();
    let mut begin = 0;
    while begin < rows.len() {
        let series = |i: usize| (runs.value(i), contexts.is_null(i), contexts.value(i));
        let end = (begin + 1..rows.len()).find(|i| series(*i) != series(begin)).unwrap_or(rows.len());
        kept.extend(thin(&values[begin..end], points).into_iter().map(|i| (begin + i) as u64));
        begin = end;
    }
    let thinned = take_record_batch(rows.batch(), &UInt64Array::from(kept));
    Ok(thinned.map_err(DataFusionError::from)?)
}
