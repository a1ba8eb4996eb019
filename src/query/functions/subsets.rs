//! The subsets of features that scored configs used.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::call::Call;
use super::configs::{Config, Scored, scored};
use super::error::FunctionError;
use super::rows::{list, text};
use super::scope::{Scope, quoted};
use crate::query::error::QueryError;

/// So many runs are asked for one by one; of more, all runs of the scope are read.
const FEW: usize = 1000;

/// A config that says which features it used.
#[derive(Debug)]
pub struct Tried {
    config: Config,
    /// Its features, places in [`Subsets::features`], rising. Configs of one subset share it.
    pub set: Arc<[u32]>,
}

impl Deref for Tried {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

/// Scored configs with the features that they used.
#[derive(Debug)]
pub struct Subsets {
    /// The scored runs; their configs' runs are indices into these.
    pub scored: Scored,
    /// By block and id: those that say which features they used.
    pub configs: Vec<Tried>,
    /// The features that some config used, sorted.
    pub features: Vec<String>,
}

impl Subsets {
    /// Of the finished runs of a scope that have a finite score.
    pub async fn of(call: &Call<'_>, scope: &Scope, metric: &str) -> Result<Subsets, QueryError> {
        let scored = scored(call, scope, metric).await?;
        let mut configs = scored.configs();
        configs.retain(|config| config.feature_set.is_some());
        if configs.is_empty() {
            let (scope, metric) = (scope.text.clone(), metric.to_string());
            if scored.runs.is_empty() {
                return Err(FunctionError::NoScores { scope, metric, why: scored.unscored.to_string() }.into());
            }
            return Err(FunctionError::NoFeatures { scope, metric }.into());
        }
        // A run of each set.
        let mut asked: HashMap<&str, &str> = HashMap::new();
        for config in &configs {
            let run = scored.runs[config.runs[0]].run_id.as_str();
            asked.entry(config.feature_set.as_deref().expect("the others are gone")).or_insert(run);
        }
        let condition = match asked.len() {
            0..FEW => {
                let mut runs: Vec<String> = asked.values().map(|run| quoted(run)).collect();
                runs.sort();
                format!("run_id IN ({})", runs.join(", "))
            }
            _ => format!("feature_set IS NOT NULL AND {}", scope.condition()),
        };
        let rows = call.ask_in(scope, &format!("SELECT feature_set, features FROM runs WHERE {condition}")).await?;
        let (digests, lists) = (rows.texts("feature_set")?, rows.lists("features")?);
        // Millions of names are looked up here, and the hashes of the standard library take their time.
        let mut found: datafusion::common::HashMap<&str, u32> = Default::default();
        let mut sets: HashMap<&str, Vec<u32>> = HashMap::with_capacity(asked.len());
        for row in 0..rows.len() {
            let Some(digest) = text(&digests, row).filter(|d| asked.contains_key(d) && !sets.contains_key(*d)) else {
                continue;
            };
            let mut set = Vec::new();
            for name in list(&lists, row).into_iter().flatten() {
                let next = found.len() as u32;
                set.push(*found.entry(name).or_insert(next));
            }
            sets.insert(digest, set);
        }
        let mut features: Vec<(&str, u32)> = found.into_iter().collect();
        features.sort_unstable();
        let mut place = vec![0; features.len()];
        features.iter().enumerate().for_each(|(i, (_, found))| place[*found as usize] = i as u32);
        let sorted = |mut set: Vec<u32>| {
            set.iter_mut().for_each(|feature| *feature = place[*feature as usize]);
            set.sort_unstable();
            set.dedup();
            Arc::<[u32]>::from(set)
        };
        let sets: HashMap<&str, Arc<[u32]>> = sets.into_iter().map(|(digest, set)| (digest, sorted(set))).collect();
        let set_of = |config: &Config| sets.get(config.feature_set.as_deref()?).map(Arc::clone);
        let tried = |config: Config| Tried { set: set_of(&config).unwrap_or_default(), config };
        let configs = configs.into_iter().map(tried).collect();
        let features = features.into_iter().map(|(name, _)| name.to_string()).collect();
        Ok(Subsets { scored, configs, features })
    }

    /// The names of the features of a config, sorted.
    pub fn names(&self, config: &Tried) -> Vec<&str> {
        config.set.iter().map(|feature| self.features[*feature as usize].as_str()).collect()
    }

    /// The configs of each block.
    pub fn blocks(&self) -> impl Iterator<Item = &[Tried]> {
        self.configs.chunk_by(|a, b| a.block == b.block)
    }

    /// The configs of each subset of a block, best config first: by score, then by id.
    pub fn by_set<'a>(&self, block: &'a [Tried]) -> Vec<Vec<&'a Tried>> {
        let mut sets: Vec<Vec<&Tried>> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::with_capacity(block.len());
        for config in block {
            let digest = config.feature_set.as_deref().unwrap_or_default();
            let at = *place.entry(digest).or_insert_with(|| {
                sets.push(Vec::new());
                sets.len() - 1
            });
            sets[at].push(config);
        }
        for set in &mut sets {
            set.sort_by(|a, b| self.better(a, b).then_with(|| a.config_id.cmp(&b.config_id)));
        }
        sets
    }

    /// The order of two subsets where nothing may be left to chance: by score, then the smaller one, then by names.
    pub fn best_first(&self, a: &Tried, b: &Tried) -> std::cmp::Ordering {
        // The places of features are in the order of their names.
        self.better(a, b).then_with(|| a.set.len().cmp(&b.set.len())).then_with(|| a.set.cmp(&b.set))
    }

    /// The order of two configs by score alone, the better one first.
    pub fn better(&self, a: &Config, b: &Config) -> std::cmp::Ordering {
        super::scores::better(self.scored.goal, Some(a.score()), Some(b.score()))
    }

    /// The best run of a config: by score, then by id.
    pub fn best_run(&self, config: &Config) -> &str {
        let runs = config.runs.iter().map(|run| &self.scored.runs[*run]);
        let order = |a: &&super::configs::ScoredRun, b: &&super::configs::ScoredRun| {
            let better = super::scores::better(self.scored.goal, Some(a.score), Some(b.score));
            better.then_with(|| a.run_id.cmp(&b.run_id))
        };
        runs.min_by(order).map(|run| run.run_id.as_str()).expect("a config has a run")
    }

    /// What the scores of configs were taken from.
    pub fn score_of<'a>(&'a self, configs: impl IntoIterator<Item = &'a Tried>) -> Option<String> {
        Scored::score_of(configs.into_iter().flat_map(|config| config.runs.iter().map(|run| &self.scored.runs[*run])))
    }

    /// The runs of all configs, by id, with their places.
    pub fn run_ids(&self) -> HashMap<&str, u32> {
        let runs = self.configs.iter().flat_map(|config| &config.runs);
        runs.map(|run| (self.scored.runs[*run].run_id.as_str(), *run as u32)).collect()
    }
}

#[cfg(test)]
mod tests;
