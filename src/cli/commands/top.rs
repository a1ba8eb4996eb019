//! `runlake top`.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use runlake::report::chart::{ChartKind, ChartOptions};

use crate::cli::output::say;
use crate::cli::question::{
    AskArgs, BlockColumns, Question, ScopeArgs, collect, condition_of, ordered, quoted, texts, until_interrupted,
};
use crate::cli::svg::{self, SvgArgs};
use crate::cli::{Exit, Failure, Outcome, Place};

mod values;

/// Rank runs, configs, feature sets or values of a param by a metric
///
/// A run scores the mean over its folds, else its best value by the metric's goal. Runs of one config are repeats and are averaged
/// first; configs and what is made of them are ranked within a block, that is an experiment and the data trained on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake top auc
  runlake top auc -e churn -n 20 --where \"params.model = 'gbm'\"
  runlake top auc -e churn --by config
  runlake top auc -e churn --by feature_set
  runlake top auc -e churn --by param lr
  runlake top auc -e churn --sql | runlake sql --format csv")]
pub struct TopArgs {
    /// The metric; `runlake goal` says which way it gets better
    #[arg(value_name = "METRIC")]
    pub metric: Option<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What is ranked: config, feature_set, or param and its key; without it runs
    #[arg(long, num_args = 1..=2, value_names = ["WHAT", "KEY"])]
    pub by: Vec<String>,
    /// Number of rows; of each block with --by
    #[arg(short, long, value_name = "ROWS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub number: u64,
    #[command(flatten)]
    pub svg: SvgArgs,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What is ranked.
#[derive(Debug, PartialEq, Eq)]
enum Ranked {
    Runs,
    Configs,
    FeatureSets,
    Param(String),
}

/// Params beside a run, if they vary among the best.
const PARAMS: usize = 6;

pub async fn run(place: &Place, args: TopArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: TopArgs) -> Outcome {
    let (ranked, metric) = ranked(&args.by, args.metric.as_deref())?;
    let question = Question::open(place, &args.ask).await?;
    let scope = args.scope.scope(&question.session).await?;
    let blocks = match &ranked {
        Ranked::FeatureSets | Ranked::Param(_) => BlockColumns::of(&question.session, &scope, Some(&metric)).await?,
        _ => BlockColumns::default(),
    };
    if let Ranked::Param(key) = &ranked {
        values::refuse_repeats(&question.session, &scope, &metric, key).await?;
    }
    let runs_asked = condition_of(&question.session, &scope).await?;
    let scope = quoted(&scope);
    let (n, name, metric) = (args.number, metric.clone(), quoted(&metric));
    let sql = match &ranked {
        Ranked::Runs => runs(&question, &scope, &metric, n).await?,
        Ranked::Configs => configs(&question, &scope, &metric, n).await?,
        Ranked::FeatureSets => {
            let first =
                [&["rank"], blocks.told.as_slice(), &["score", "size", "n_configs", "n_runs", "features"]].concat();
            format!(
                "SELECT {}\nFROM feature_sets({scope}, {metric})\nWHERE rank <= {n}\nORDER BY experiment, dataset, data_version, rank",
                ordered(&first, &blocks.alike, &["digest"])
            )
        }
        Ranked::Param(key) => values::sql(&blocks, &scope, &metric, key, n),
    };
    if let Some(file) = &args.svg.svg {
        let score = identifier(&name);
        let drawn = drawn(&ranked, &sql, &score);
        return svg::draw(&question, &drawn, file, |rows| chart(&name, rows)).await;
    }
    if question.show(&sql).await? == Some(0) {
        let unfinished = match ranked {
            // These rank too.
            Ranked::Runs => 0,
            _ => unfinished(&question, &runs_asked, &metric).await?,
        };
        say(match unfinished {
            0 => "no run has a score: it takes a finite value, and a run that has not failed; `runlake runs` shows what was logged".to_string(),
            n => format!(
                "no config has a score: that takes runs that are finished, and {} not; without --by these are ranked too",
                if n == 1 { "1 run is".to_string() } else { format!("{n} runs are") },
            ),
        });
    }
    Ok(Exit::Done)
}

/// Runs that logged a metric and have neither finished nor failed; the runs as a condition, the metric as a constant.
async fn unfinished(question: &Question<'_>, runs: &str, metric: &str) -> Result<u64, Failure> {
    let sql = format!(
        "SELECT run_id FROM runs WHERE {runs} AND status NOT IN ('FINISHED', 'FAILED', 'KILLED', 'CRASHED') \
         AND run_id IN (SELECT run_id FROM metric_stats WHERE key = {metric})"
    );
    Ok(collect(&question.session, &sql).await?.iter().map(|rows| rows.num_rows() as u64).sum())
}

/// The rows of an answer as what a dot is drawn for: its score under the metric's name, its interval, and the block that it is
/// ranked within, where there are several.
fn drawn(ranked: &Ranked, sql: &str, score: &str) -> String {
    let block = |of: &str| {
        let parts = ["experiment", "dataset", "data_version"].map(|column| format!("{of}{column}"));
        // Only what differs is told.
        let told = |part: &String| {
            let shown = format!("coalesce({part}, '')");
            // Data that is named like its experiment says nothing more.
            let text = match part == &parts[1] {
                true => format!("nullif(coalesce({part}, 'no data'), {})", parts[0]),
                false => format!("coalesce({part}, 'no data')"),
            };
            format!("CASE WHEN min({shown}) OVER () <> max({shown}) OVER () THEN {text} END")
        };
        let order = parts.join(", ");
        (format!("concat_ws(' · ', {})", parts.iter().map(told).collect::<Vec<_>>().join(", ")), order)
    };
    match ranked {
        Ranked::Runs => format!("SELECT name AS label, run_id, score AS {score} FROM ({sql}) ORDER BY rank, run_id"),
        Ranked::Configs => {
            let (block, order) = block("best.");
            format!(
                "SELECT runs.name AS label, runs.run_id, mean AS {score}, low, high, {block} AS block FROM ({sql}) AS best \
                 JOIN runs ON runs.run_id = best.best_run ORDER BY {order}, best.rank, label"
            )
        }
        Ranked::FeatureSets => {
            let (block, order) = block("");
            format!(
                "SELECT concat(size, ': ', array_to_string(features, ', ')) AS label, score AS {score}, {block} AS block \
                 FROM ({sql}) ORDER BY {order}, rank, label"
            )
        }
        Ranked::Param(key) => {
            let (value, (block, order)) = (identifier(&format!("params.{key}")), block(""));
            format!(
                "SELECT CAST({value} AS VARCHAR) AS label, best_mean AS {score}, {block} AS block FROM ({sql}) \
                 ORDER BY {order}, rank, label"
            )
        }
    }
}

fn chart(metric: &str, rows: &RecordBatch) -> ChartOptions {
    let blocks = rows.schema().index_of("block").map(|at| texts(std::slice::from_ref(rows), at)).unwrap_or_default();
    let several = blocks.iter().collect::<BTreeSet<_>>().len() > 1;
    ChartOptions {
        x: Some("label".to_string()),
        y: vec![metric.to_string()],
        series: several.then(|| "block".to_string()),
        title: Some(format!("Best by {metric}")),
        ..ChartOptions::new(ChartKind::Dot)
    }
}

/// What `--by` says. It takes a second word only after `param`: another one is the metric.
fn ranked(by: &[String], metric: Option<&str>) -> Result<(Ranked, String), Failure> {
    let wrong = |what: &str| {
        Failure::usage(format!("--by '{what}' is nothing to rank"))
            .hint("it is config, feature_set, or param and a key: `--by param lr`")
    };
    let words: Vec<&str> = by.iter().map(String::as_str).collect();
    let (ranked, rest) = match words.as_slice() {
        [] => (Ranked::Runs, None),
        ["param"] => return Err(Failure::usage("which param? --by param names none").hint("write `--by param lr`")),
        ["param", key] => (Ranked::Param(key.to_string()), None),
        ["config", rest @ ..] => (Ranked::Configs, rest.first()),
        ["feature_set", rest @ ..] => (Ranked::FeatureSets, rest.first()),
        [what, rest @ ..] => match what.strip_prefix("params.") {
            Some(key) if !key.is_empty() => (Ranked::Param(key.to_string()), rest.first()),
            _ => return Err(wrong(what)),
        },
    };
    match (metric, rest) {
        (Some(metric), None) | (None, Some(&metric)) => Ok((ranked, metric.to_string())),
        (Some(_), Some(extra)) => Err(Failure::usage(format!("'{extra}' stands after --by and is no part of it"))),
        (None, None) => {
            Err(Failure::usage("which metric? none is named").hint("write it first: `runlake top auc --by config`"))
        }
    }
}

/// The best runs, with the params that vary among them.
async fn runs(question: &Question<'_>, scope: &str, metric: &str, n: u64) -> Result<String, Failure> {
    let best = format!("best_runs({scope}, {metric}, {n})");
    let varying = format!(
        "SELECT key FROM params JOIN {best} AS best USING (run_id) WHERE key NOT IN ('seed', 'fold') GROUP BY key \
         HAVING count(DISTINCT value) > 1 ORDER BY count(*) DESC, key LIMIT {PARAMS}"
    );
    let keys = texts(&collect(&question.session, &varying).await?, 0);
    let params: String = keys.iter().flatten().map(|key| format!(", runs.{}", param(key))).collect();
    Ok(format!(
        "SELECT best.rank, best.score, best.run_id, best.name{params}, best.step, best.n_folds, best.score_of, \
         best.experiment, best.dataset, best.data_version, best.status, best.config_id, best.n_runs, best.n_configs, \
         best.n_blocks\nFROM {best} AS best JOIN runs USING (run_id)\nORDER BY best.rank"
    ))
}

/// The best configs of each block, with what tells those that are shown apart.
async fn configs(question: &Question<'_>, scope: &str, metric: &str, n: u64) -> Result<String, Failure> {
    let best = format!("config_scores({scope}, {metric})\nWHERE rank <= {n}");
    // Params that vary among all configs may be the same among the best.
    let rows = collect(&question.session, &format!("SELECT * FROM {best}")).await?;
    let columns: Vec<(String, Vec<Option<String>>)> = match rows.first() {
        Some(first) => {
            let names = first.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
            names.into_iter().enumerate().map(|(i, name)| (name, texts(&rows, i))).collect()
        }
        None => Vec::new(),
    };
    let varies = |values: &[Option<String>]| match values {
        // A single config is told by all it has.
        [only] => only.is_some(),
        several => several.iter().collect::<BTreeSet<_>>().len() > 1,
    };
    let varying = |name: &str| columns.iter().any(|(column, values)| column == name && varies(values));
    let mut params: Vec<_> =
        columns.iter().filter(|(name, values)| name.starts_with("params.") && varies(values)).collect();
    params.sort_by_key(|(name, values)| (values.iter().filter(|value| value.is_none()).count(), name.clone()));

    let block = ["experiment", "dataset", "data_version"];
    let (told, alike): (Vec<&str>, Vec<&str>) = block.into_iter().partition(|name| varying(name));
    let mut shown = vec!["rank".to_string()];
    let mut add = |names: &[&str]| shown.extend(names.iter().map(|name| name.to_string()));
    add(&told);
    add(&["mean", "low", "high", "n_runs"]);
    params.iter().for_each(|(name, _)| add(&[&identifier(name)]));
    add(&["n_features", "n_failed", "std", "std_error", "score_of"]);
    add(&alike);
    add(&["n_configs", "n_blocks", "config_id", "best_run", "reason"]);
    Ok(format!("SELECT {}\nFROM {best}\nORDER BY experiment, dataset, data_version, rank", shown.join(", ")))
}

/// A param as a column, whatever its key holds.
fn param(key: &str) -> String {
    format!("params[{}]", quoted(key))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(by: &[&str], metric: Option<&str>) -> Result<(Ranked, String), String> {
        let by: Vec<String> = by.iter().map(|word| word.to_string()).collect();
        ranked(&by, metric).map_err(|failure| failure.message)
    }

    #[test]
    fn the_metric_may_stand_behind_what_is_ranked() {
        let auc = || "auc".to_string();
        assert_eq!(of(&[], Some("auc")), Ok((Ranked::Runs, auc())));
        assert_eq!(of(&["config"], Some("auc")), Ok((Ranked::Configs, auc())));
        assert_eq!(of(&["config", "auc"], None), Ok((Ranked::Configs, auc())));
        assert_eq!(of(&["param", "lr"], Some("auc")), Ok((Ranked::Param("lr".into()), auc())));
        assert_eq!(of(&["params.lr", "auc"], None), Ok((Ranked::Param("lr".into()), auc())));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        assert!(of(&[], None).unwrap_err().contains("which metric"));
        assert!(of(&["param"], Some("auc")).unwrap_err().contains("which param"));
        assert!(of(&["config", "auc"], Some("loss")).unwrap_err().contains("'auc'"));
        assert!(of(&["colour"], Some("auc")).unwrap_err().contains("'colour'"));
    }
}
