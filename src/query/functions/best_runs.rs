//! `best_runs(scope, metric [, k])`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::call::Call;
use super::configs::{Data, training_data};
use super::rows::{Columns, text};
use super::scope::quoted;
use super::scores::{Score, scores};
use crate::query::error::QueryError;

const DEFAULT: usize = 10;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    let k = call.args.count("k")?.unwrap_or(DEFAULT);
    call.args.end()?;
    let mut scores = scores(&call, &scope, &metric).await?;
    let sql = format!("SELECT run_id, config_id, experiment_id, status FROM runs WHERE {}", scope.condition());
    let rows = call.ask_in(&scope, &sql).await?;
    let (ids, statuses) = (rows.texts("run_id")?, rows.texts("status")?);
    let (configs, experiments) = (rows.texts("config_id")?, rows.texts("experiment_id")?);
    let dead = |row: usize| matches!(statuses.value(row), "FAILED" | "KILLED" | "CRASHED");
    let alive: HashMap<&str, usize> =
        (0..rows.len()).filter(|row| !dead(*row)).map(|row| (ids.value(row), row)).collect();
    // An overflow is nobody's best.
    scores.runs.retain(|run| run.value.is_some_and(f64::is_finite) && alive.contains_key(run.run_id.as_str()));
    // What was ranked.
    let data = training_data(&call, &scope).await?;
    let nothing = Arc::default();
    let n_runs = scores.runs.len();
    let (n_configs, n_blocks) = {
        let of_run = |run: &Score| (alive[run.run_id.as_str()], data.get(&run.run_id).unwrap_or(&nothing));
        let of_configs: HashSet<&str> = scores.runs.iter().map(|run| configs.value(of_run(run).0)).collect();
        // Runs on the same data share it.
        let block = |(row, data): (usize, &Arc<Data>)| (experiments.value(row), Arc::as_ptr(data));
        let of_blocks: HashSet<_> = scores.runs.iter().map(|run| block(of_run(run))).collect();
        (of_configs.len(), of_blocks.len())
    };
    scores.rank();
    scores.runs.truncate(k);
    let ids = scores.runs.iter().map(|run| quoted(&run.run_id)).collect::<Vec<_>>().join(", ");
    // `IN ()` is no SQL.
    let ids = if ids.is_empty() { "''".to_string() } else { ids };
    let facts = format!("SELECT run_id, name, experiment, status, config_id FROM runs WHERE run_id IN ({ids})");
    let facts = call.ask(&facts).await?;
    let row: HashMap<String, usize> =
        facts.texts("run_id")?.iter().enumerate().filter_map(|(i, id)| Some((id?.to_string(), i))).collect();
    let fact = |name: &'static str| {
        let column = facts.texts(name)?;
        let of = |run: &String| text(&column, *row.get(run)?).map(str::to_string);
        Ok::<Vec<Option<String>>, QueryError>(scores.runs.iter().map(|run| of(&run.run_id)).collect())
    };
    Columns::new()
        .count("rank", 1..=scores.runs.len())
        .text("run_id", scores.runs.iter().map(|run| Some(&run.run_id)))
        .text("name", fact("name")?)
        .text("experiment", fact("experiment")?)
        .text("dataset", scores.runs.iter().map(|run| data.get(&run.run_id)?.dataset.as_ref()))
        .text("data_version", scores.runs.iter().map(|run| data.get(&run.run_id)?.version.as_ref()))
        .text("status", fact("status")?)
        .text("config_id", fact("config_id")?)
        .float("score", scores.runs.iter().map(|run| run.value))
        .text("score_of", scores.runs.iter().map(|run| Some(run.of.as_str())))
        .int("n_folds", scores.runs.iter().map(|run| (!run.folds.is_empty()).then_some(run.folds.len() as i64)))
        .int("step", scores.runs.iter().map(|run| run.step))
        .count("n_runs", scores.runs.iter().map(|_| n_runs))
        .count("n_configs", scores.runs.iter().map(|_| n_configs))
        .count("n_blocks", scores.runs.iter().map(|_| n_blocks))
        .finish()
}
