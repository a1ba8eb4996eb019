//! Scored runs, their configs and their blocks: what every comparison of runs starts from.
//!
//! Runs with one `config_id` in one block are repeats and count once, by the mean of their scores. A block is an
//! experiment and the data that its runs were trained on, so that nothing is compared across them by accident.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::call::Call;
use super::rows::{int, text};
use super::scope::{Scope, quoted};
use super::scores::{ScoreOf, Scores, scores};
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::stats::Summary;

/// Scores beyond this are none: their squares overflow a double, and with them every mean and spread.
pub const LARGEST_SCORE: f64 = 1e150;

/// A finished run with a finite score.
#[derive(Debug, Clone)]
pub struct ScoredRun {
    /// The run.
    pub run_id: String,
    /// What it shares with its repeats.
    pub config_id: String,
    /// Digest of the features that it used.
    pub feature_set: Option<String>,
    /// Number of features that it used.
    pub n_features: Option<i64>,
    /// Its block, an index into [`Scored::blocks`].
    pub block: usize,
    /// Its score.
    pub score: f64,
    /// What that was taken from.
    pub of: ScoreOf,
    /// What tells it from the repeats of its config: its seed and fold, where it has them, or the params that its experiment
    /// names for that.
    pub repeat: String,
    /// The same without the fold.
    pub seed: String,
    /// The fold, where each fold is a run.
    pub fold: Option<i64>,
    /// Values by fold.
    pub folds: BTreeMap<String, f64>,
}

/// What runs must share to be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// Id of the experiment.
    pub experiment_id: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Training data sets, joined by ` + `; `None` where none was logged.
    pub dataset: Option<String>,
    /// Their versions, likewise.
    pub data_version: Option<String>,
    /// Their digests, likewise.
    pub digest: Option<String>,
}

impl Block {
    /// What names the content of its data: the digest, or the version where no digest was logged.
    pub fn content(&self) -> Option<&str> {
        self.digest.as_deref().or(self.data_version.as_deref())
    }
}

/// The runs of a scope that can be compared in a metric.
#[derive(Debug)]
pub struct Scored {
    /// Which way the scores get better.
    pub goal: Goal,
    /// By block, config and run id.
    pub runs: Vec<ScoredRun>,
    /// The blocks, in their order.
    pub blocks: Vec<Block>,
    /// By block and config: the runs that failed, were killed or crashed, or whose score is no number. Their block need not
    /// be among [`Scored::blocks`].
    pub failed: BTreeMap<(Block, String), Failed>,
    /// What became of the runs that logged the metric and are not among `runs`.
    pub unscored: Unscored,
}

/// Runs that logged a metric and have no score in it, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unscored {
    /// They are not finished.
    pub unfinished: usize,
    /// They failed, were killed or crashed.
    pub failed: usize,
    /// A value that the score needs is NaN or infinite, or it is beyond [`LARGEST_SCORE`].
    pub not_finite: usize,
}

impl std::fmt::Display for Unscored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [(self.unfinished, "not finished"), (self.failed, "failed"), (self.not_finite, "NaN or infinite")];
        let told: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        write!(f, "of the runs that logged it {}", told.join(", "))
    }
}

/// Runs of a config in one block that have no score.
#[derive(Debug, Clone, Default)]
pub struct Failed {
    /// Their ids.
    pub runs: Vec<String>,
    /// Of them, those whose score is beyond [`LARGEST_SCORE`].
    pub too_large: usize,
}

/// The runs of one config in one block.
#[derive(Debug, Clone)]
pub struct Config {
    /// The block, an index into [`Scored::blocks`].
    pub block: usize,
    /// The config.
    pub config_id: String,
    /// Digest of the features used.
    pub feature_set: Option<String>,
    /// Number of features used.
    pub n_features: Option<i64>,
    /// Its runs, indices into [`Scored::runs`].
    pub runs: Vec<usize>,
    /// Mean and spread over its runs.
    pub summary: Summary,
    /// Single measurements by what they were measured on: seed and fold. Two configs are paired by these.
    pub replicates: BTreeMap<String, f64>,
}

impl Config {
    /// The mean score.
    pub fn score(&self) -> f64 {
        self.summary.mean
    }
}

impl Scored {
    /// What the scores of some runs were taken from: `folds`, `best` or `last`; several of them where runs differ.
    pub fn score_of<'a>(runs: impl IntoIterator<Item = &'a ScoredRun>) -> Option<String> {
        let of: BTreeSet<&str> = runs.into_iter().map(|run| run.of.as_str()).collect();
        (!of.is_empty()).then(|| of.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The data set of each block, counted from 0; where none was logged the experiment stands for it.
    pub fn datasets(&self) -> Vec<usize> {
        let mut places: HashMap<(bool, &str), usize> = HashMap::new();
        let mut datasets = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let next = places.len();
            let name = block.dataset.as_deref().unwrap_or(&block.experiment_id);
            datasets.push(*places.entry((block.dataset.is_some(), name)).or_insert(next));
        }
        datasets
    }

    /// The configs, by block and id.
    pub fn configs(&self) -> Vec<Config> {
        let mut configs: Vec<Config> = Vec::new();
        // The runs are in that order.
        for group in self.runs.chunk_by(|a, b| a.block == b.block && a.config_id == b.config_id) {
            let first = &group[0];
            let begin = configs.last().map_or(0, |config| config.runs.last().map_or(0, |run| run + 1));
            let scores: Vec<f64> = group.iter().map(|run| run.score).collect();
            configs.push(Config {
                block: first.block,
                config_id: first.config_id.clone(),
                feature_set: first.feature_set.clone(),
                n_features: first.n_features,
                runs: (begin..begin + group.len()).collect(),
                summary: Summary::of(&scores).expect("a group has a run"),
                replicates: replicates(group),
            });
        }
        configs
    }
}

/// Folds of each run where it has folds, else its score; the mean where one seed and fold was measured twice.
fn replicates(runs: &[ScoredRun]) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs {
        if run.folds.is_empty() {
            values.entry(run.repeat.clone()).or_default().push(run.score);
        }
        for (fold, value) in &run.folds {
            values.entry(format!("{} in fold {fold}", run.repeat)).or_default().push(*value);
        }
    }
    values.into_iter().map(|(key, values)| (key, values.iter().sum::<f64>() / values.len() as f64)).collect()
}

/// The runs of a scope with what comparisons need. Statuses other than FINISHED are counted as failed, save for runs that
/// have not ended, which are left out.
pub async fn scored(call: &Call<'_>, scope: &Scope, metric: &str) -> Result<Scored, QueryError> {
    let Scores { goal, runs: scores } = scores(call, scope, metric).await?;
    let condition = scope.condition();
    let sql = format!(
        "SELECT run_id, experiment_id, experiment, status, config_id, feature_set, n_features, seed, fold
         FROM runs WHERE {condition}"
    );
    let rows = call.ask_in(scope, &sql).await?;
    let mut row_of: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    let ids = rows.texts("run_id")?;
    row_of.extend((0..rows.len()).map(|row| (ids.value(row), row)));
    let statuses = rows.texts("status")?;
    let (experiment_ids, experiments) = (rows.texts("experiment_id")?, rows.texts("experiment")?);
    let (configs, sets, sizes) = (rows.texts("config_id")?, rows.texts("feature_set")?, rows.ints("n_features")?);
    let (seeds, folds) = (rows.ints("seed")?, rows.ints("fold")?);
    let data = training_data(call, scope).await?;
    let named = named_repeats(call, scope).await?;
    let nothing = Arc::default();
    // Runs on the same data share it, so that a block is found by two small keys instead of by five texts.
    let mut places: HashMap<(&str, *const Data), usize> = HashMap::new();
    let mut blocks: Vec<(Block, Vec<ScoredRun>)> = Vec::new();
    let data_of = |row: usize| data.get(ids.value(row)).unwrap_or(&nothing);
    let block_of = |row: usize| {
        let data = data_of(row);
        Block {
            experiment_id: experiment_ids.value(row).to_string(),
            experiment: experiments.value(row).to_string(),
            dataset: data.dataset.clone(),
            data_version: data.version.clone(),
            digest: data.digest.clone(),
        }
    };
    let mut failed: BTreeMap<(Block, String), Failed> = BTreeMap::new();
    let mut fail = |row: usize, too_large: bool| {
        let of_config = failed.entry((block_of(row), configs.value(row).to_string())).or_default();
        of_config.runs.push(ids.value(row).to_string());
        of_config.too_large += usize::from(too_large);
    };
    let dead = |row: &usize| matches!(statuses.value(*row), "FAILED" | "KILLED" | "CRASHED");
    (0..rows.len()).filter(dead).for_each(|row| fail(row, false));
    let mut unscored = Unscored::default();
    for score in scores {
        let Some(&row) = row_of.get(score.run_id.as_str()) else { continue };
        if statuses.value(row) != "FINISHED" {
            *if dead(&row) { &mut unscored.failed } else { &mut unscored.unfinished } += 1;
            continue;
        }
        let Some(value) = score.value.filter(|value| value.abs() <= LARGEST_SCORE) else {
            unscored.not_finite += 1;
            fail(row, score.value.is_some_and(f64::is_finite));
            continue;
        };
        let (seed, fold) = match named.get(experiment_ids.value(row)) {
            None => (int(&seeds, row).map(|seed| format!("seed {seed}")).unwrap_or_default(), int(&folds, row)),
            Some(named) => {
                (named.texts.get(&score.run_id).cloned().unwrap_or_default(), int(&folds, row).filter(|_| named.fold))
            }
        };
        let experiment = experiment_ids.value(row);
        let place = *places.entry((experiment, Arc::as_ptr(data_of(row)))).or_insert_with(|| {
            blocks.push((block_of(row), Vec::new()));
            blocks.len() - 1
        });
        blocks[place].1.push(ScoredRun {
            run_id: score.run_id,
            config_id: configs.value(row).to_string(),
            feature_set: text(&sets, row).map(str::to_string),
            n_features: int(&sizes, row),
            block: 0,
            score: value,
            of: score.of,
            repeat: repeat(&seed, fold),
            seed,
            fold,
            folds: score.folds,
        });
    }
    blocks.sort_by(|a, b| a.0.cmp(&b.0));
    let mut runs = Vec::new();
    let mut order = Vec::new();
    for (i, (block, mut of_block)) in blocks.into_iter().enumerate() {
        of_block.iter_mut().for_each(|run| run.block = i);
        of_block.sort_by(|a, b| a.config_id.cmp(&b.config_id).then_with(|| a.run_id.cmp(&b.run_id)));
        runs.append(&mut of_block);
        order.push(block);
    }
    Ok(Scored { goal, runs, blocks: order, failed, unscored })
}

fn repeat(seed: &str, fold: Option<i64>) -> String {
    match (seed, fold) {
        (seed, None) => seed.to_string(),
        ("", Some(fold)) => format!("fold {fold}"),
        (seed, Some(fold)) => format!("{seed}, fold {fold}"),
    }
}

/// What tells repeats apart in an experiment that names the params for it.
#[derive(Debug, Default)]
struct NamedRepeats {
    /// Whether the fold is among them.
    fold: bool,
    /// The others, with their values, by run.
    texts: HashMap<String, String>,
}

/// The repeats of the experiments that name params for it, by experiment. For all others the columns seed and fold do.
async fn named_repeats(call: &Call<'_>, scope: &Scope) -> Result<HashMap<String, NamedRepeats>, QueryError> {
    let repeat_keys = call.session().repeat_keys().await?;
    let mut found = HashMap::new();
    for (experiment, keys) in repeat_keys.named() {
        let mut named = NamedRepeats { fold: keys.iter().any(|key| key == "fold"), ..NamedRepeats::default() };
        let others: Vec<String> = keys.iter().filter(|key| *key != "fold").map(|key| quoted(key)).collect();
        if !others.is_empty() {
            let sql = format!(
                "SELECT run_id, key, value FROM params WHERE experiment_id = {} AND key IN ({}) AND {} ORDER BY run_id, key",
                quoted(experiment),
                others.join(", "),
                scope.condition()
            );
            let rows = call.ask_in(scope, &sql).await?;
            let (runs, keys, values) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("value")?);
            for row in 0..rows.len() {
                let Some(value) = text(&values, row) else { continue };
                let so_far = named.texts.entry(runs.value(row).to_string()).or_default();
                if !so_far.is_empty() {
                    so_far.push_str(", ");
                }
                so_far.push_str(&format!("{} {value}", keys.value(row)));
            }
        }
        found.insert(experiment.to_string(), named);
    }
    Ok(found)
}

/// What a run was trained on.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Data {
    /// Data sets.
    pub dataset: Option<String>,
    /// Their versions.
    pub version: Option<String>,
    /// Their digests.
    pub digest: Option<String>,
}

/// The training data of runs; several data sets in the order of their names. Runs on the same data share it.
pub async fn training_data(call: &Call<'_>, scope: &Scope) -> Result<HashMap<String, Arc<Data>>, QueryError> {
    let condition = scope.condition();
    let sql = format!(
        "SELECT run_id, dataset, data_version, digest FROM data_versions
         WHERE role = 'training' AND {condition} ORDER BY run_id, dataset, digest"
    );
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, datasets) = (rows.texts("run_id")?, rows.texts("dataset")?);
    let (versions, digests) = (rows.texts("data_version")?, rows.texts("digest")?);
    let mut shared: HashMap<Vec<[Option<&str>; 3]>, Arc<Data>> = HashMap::new();
    let mut texts: HashMap<Data, Arc<Data>> = HashMap::new();
    let mut data: HashMap<String, Arc<Data>> = HashMap::with_capacity(rows.len());
    let mut row = 0;
    while row < rows.len() {
        let run = ids.value(row);
        let mut sets = Vec::new();
        while row < rows.len() && ids.value(row) == run {
            sets.push([text(&datasets, row), text(&versions, row), text(&digests, row)]);
            row += 1;
        }
        let of_run = match shared.get(&sets) {
            Some(known) => Arc::clone(known),
            None => {
                let joined = |part: usize| {
                    let parts: Vec<&str> = sets.iter().filter_map(|set| set[part]).collect();
                    (!parts.is_empty()).then(|| parts.join(" + "))
                };
                let new = Data { dataset: joined(0), version: joined(1), digest: joined(2) };
                // Other parts may join to the same text.
                let new = Arc::clone(texts.entry(new.clone()).or_insert_with(|| Arc::new(new)));
                shared.insert(sets, Arc::clone(&new));
                new
            }
        };
        data.insert(run.to_string(), of_run);
    }
    Ok(data)
}
