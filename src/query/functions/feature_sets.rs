//! `feature_sets(scope, metric)`.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::call::Call;
use super::rows::Columns;
use super::subsets::{Subsets, Tried};
use crate::query::error::QueryError;
use crate::stats::Summary;

/// One subset in one block.
struct Row<'a> {
    rank: usize,
    best: &'a Tried,
    configs: usize,
    runs: usize,
    scores: Summary,
    score_of: Option<String>,
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    call.args.end()?;
    let subsets = Subsets::of(&call, &scope, &metric).await?;
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut blocks_of: HashMap<&str, usize> = HashMap::new();
    for block in subsets.blocks() {
        let mut of_block = subsets.by_set(block);
        of_block.sort_by(|a, b| subsets.best_first(a[0], b[0]));
        let mut rank = 0;
        for (i, configs) in of_block.iter().enumerate() {
            // Equal scores share a rank.
            if i == 0 || subsets.better(of_block[i - 1][0], configs[0]).is_ne() {
                rank = i + 1;
            }
            let mut scores: Vec<f64> = configs.iter().map(|config| config.score()).collect();
            scores.sort_by(f64::total_cmp);
            *blocks_of.entry(digest(configs[0])).or_default() += 1;
            rows.push(Row {
                rank,
                best: configs[0],
                configs: configs.len(),
                runs: configs.iter().map(|config| config.runs.len()).sum(),
                scores: Summary::of(&scores).expect("a subset has a config"),
                score_of: subsets.score_of(configs.iter().copied()),
            });
        }
    }
    let block = |row: &Row<'_>| &subsets.scored.blocks[row.best.block];
    Columns::new()
        .text("experiment", rows.iter().map(|row| Some(&block(row).experiment)))
        .text("dataset", rows.iter().map(|row| block(row).dataset.as_ref()))
        .text("data_version", rows.iter().map(|row| block(row).data_version.as_ref()))
        .text("digest", rows.iter().map(|row| block(row).digest.as_ref()))
        .count("rank", rows.iter().map(|row| row.rank))
        .float("score", rows.iter().map(|row| Some(row.best.score())))
        .count("size", rows.iter().map(|row| row.best.set.len()))
        .picks("features", &subsets.features, rows.iter().map(|row| &*row.best.set))
        .float("mean", rows.iter().map(|row| Some(row.scores.mean)))
        .float("std", rows.iter().map(|row| row.scores.std))
        .text("best_config", rows.iter().map(|row| Some(&row.best.config_id)))
        .text("best_run", rows.iter().map(|row| Some(subsets.best_run(row.best))))
        .count("n_configs", rows.iter().map(|row| row.configs))
        .count("n_runs", rows.iter().map(|row| row.runs))
        .count("n_blocks", rows.iter().map(|row| blocks_of[digest(row.best)]))
        .text("feature_set", rows.iter().map(|row| row.best.feature_set.as_ref()))
        .text("score_of", rows.iter().map(|row| row.score_of.as_ref()))
        .text("reason", rows.iter().map(|row| (row.configs == 1).then_some("one config: no std")))
        .finish()
}

fn digest(config: &Tried) -> &str {
    config.feature_set.as_deref().unwrap_or_default()
}
