//! `runlake top --by param`: the values of a param, each by its best config within a block.

use runlake::Session;

use super::{identifier, param};
use crate::cli::Failure;
use crate::cli::question::{BlockColumns, collect, condition_of, quoted, texts};
use crate::cli::shell::word;

/// What makes a block.
const BLOCK: &str = "experiment, dataset, data_version, digest";

/// The query; the scope and the metric as constants of SQL, and the number of rows of each block.
pub fn sql(blocks: &BlockColumns, scope: &str, metric: &str, key: &str, n: u64) -> String {
    let param = format!("runs.{}", param(key));
    let listed = |names: &[&str]| names.iter().map(|name| format!("{name}, ")).collect::<String>();
    let (told, alike) = (listed(&blocks.told), listed(&blocks.alike));
    let of_scored = BLOCK.split(", ").map(|column| format!("scored.{column}")).collect::<Vec<_>>().join(", ");
    // The ranks of configs know which way scores get better; those of equal means share the first of their ranks.
    format!(
        "WITH scored AS (\n  SELECT {BLOCK}, best_run, mean, n_runs, score_of, \
         min(rank) OVER (PARTITION BY {BLOCK}, mean) AS place\n  \
         FROM config_scores({scope}, {metric}) WHERE rank IS NOT NULL\n), ranked AS (\n  \
         SELECT {of_scored}, {param} AS value, min(scored.place) AS place,\n    \
         first_value(scored.mean ORDER BY scored.place) AS best_mean, avg(scored.mean) AS mean, count(*) AS n_configs, \
         sum(scored.n_runs) AS n_runs,\n    \
         string_agg(DISTINCT scored.score_of, ', ' ORDER BY scored.score_of) AS score_of,\n    \
         first_value(scored.best_run ORDER BY scored.place, scored.best_run) AS best_run\n  \
         FROM scored JOIN runs ON runs.run_id = scored.best_run\n  GROUP BY {of_scored}, {param}\n), placed AS (\n  \
         SELECT rank() OVER (PARTITION BY {BLOCK} ORDER BY place) AS rank, \
         count(*) OVER (PARTITION BY value) AS n_blocks, * EXCLUDE (place) FROM ranked\n)\n\
         SELECT rank, {told}value AS {}, best_mean, mean, n_configs, n_runs, best_run, {alike}n_blocks, score_of\n\
         FROM placed WHERE rank <= {n}\nORDER BY {BLOCK}, rank, value",
        identifier(&format!("params.{key}"))
    )
}

/// Refuses a param that tells repeats of a config apart: a config is the mean over its values, and would be credited to
/// the one of its luckiest run.
pub async fn refuse_repeats(session: &Session, scope: &str, metric: &str, key: &str) -> Result<(), Failure> {
    let repeat_keys = session.repeat_keys().await?;
    let tells_repeats = |experiment: &str| repeat_keys.of(experiment).contains(&key);
    let sql = format!(
        "SELECT DISTINCT experiment_id, experiment FROM runs WHERE {} AND run_id IN \
         (SELECT run_id FROM metric_stats WHERE key = {}) ORDER BY experiment",
        condition_of(session, scope).await?,
        quoted(metric)
    );
    let rows = collect(session, &sql).await?;
    let (ids, experiments) = (texts(&rows, 0).into_iter().flatten(), texts(&rows, 1).into_iter().flatten());
    let Some((_, experiment)) = ids.zip(experiments).find(|(id, _)| tells_repeats(id)) else { return Ok(()) };
    let what = "runs that differ in nothing else are one config, which scores their mean";
    Err(Failure::usage(format!("'{key}' is a repeat key of experiment '{experiment}': {what}")).hint(format!(
        "`runlake top {} -e {}` ranks single runs; SQL over `best_runs` groups their scores by any column",
        word(metric),
        word(&experiment)
    )))
}
