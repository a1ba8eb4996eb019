//! Repeats of a config, and what of them pairs with those of another.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::ScoredRun;

/// The runs of one config on one side.
#[derive(Debug, Clone, Default)]
pub struct Repeats {
    pub(super) scores: Vec<f64>,
    /// Values by seed (empty where there is none) and fold (likewise).
    pub(super) seeds: BTreeMap<String, Folds>,
}

impl Repeats {
    /// Adds a run.
    pub fn add(&mut self, run: &ScoredRun) {
        self.scores.push(run.score);
        let folds = self.seeds.entry(run.seed.clone()).or_default();
        let outer = run.fold.map(|fold| fold.to_string()).unwrap_or_default();
        if run.folds.is_empty() {
            folds.entry(outer).or_default().push(run.score);
        } else {
            for (fold, value) in &run.folds {
                let fold = if outer.is_empty() { fold.clone() } else { format!("{outer}/{fold}") };
                folds.entry(fold).or_default().push(*value);
            }
        }
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.scores.len()
    }

    /// Mean over the runs.
    pub fn score(&self) -> f64 {
        mean(self.scores.iter().copied())
    }
}

/// Both sides of a config in one block.
pub type Pair<'a> = (&'a Repeats, &'a Repeats);

/// The mean of both sides of pairs.
pub fn mean_pair(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let pairs: Vec<(f64, f64)> = pairs.collect();
    (mean(pairs.iter().map(|pair| pair.0)), mean(pairs.iter().map(|pair| pair.1)))
}

/// Both scores of a pair of configs: over the seeds that both ran, and of these over the folds that both ran; where they
/// have none in common, over all there is.
pub fn pair(a: &Repeats, b: &Repeats) -> (f64, f64) {
    let mut seeds = common(&a.seeds, &b.seeds).map(|(_, a, b)| pair_of_seed(a, b)).peekable();
    match seeds.peek() {
        None => (a.score(), b.score()),
        Some(_) => mean_pair(seeds),
    }
}

/// Values by fold.
pub type Folds = BTreeMap<String, Vec<f64>>;

fn pair_of_seed(a: &Folds, b: &Folds) -> (f64, f64) {
    let value = |values: &Vec<f64>| mean(values.iter().copied());
    let mut folds = common(a, b).map(|(_, a, b)| (value(a), value(b))).peekable();
    match folds.peek() {
        None => (mean(a.values().map(value)), mean(b.values().map(value))),
        Some(_) => mean_pair(folds),
    }
}

/// Pairs by seed, each the mean over the blocks that both sides ran it in.
pub fn seed_pairs(blocks: &[Pair<'_>]) -> Vec<(f64, f64)> {
    let mut seeds: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (a, b) in blocks {
        for (seed, a, b) in common(&a.seeds, &b.seeds).filter(|(seed, ..)| !seed.is_empty()) {
            seeds.entry(seed).or_default().push(pair_of_seed(a, b));
        }
    }
    seeds.into_values().map(|pairs| mean_pair(pairs.into_iter())).collect()
}

/// Pairs by fold, each the mean over the blocks and seeds that both sides ran, and the number of folds that the data was
/// split into.
pub fn fold_pairs(blocks: &[Pair<'_>]) -> (Vec<(f64, f64)>, usize) {
    let mut folds: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (a, b) in blocks {
        for (_, a, b) in common(&a.seeds, &b.seeds) {
            all.extend(a.keys().chain(b.keys()).filter(|fold| !fold.is_empty()));
            for (fold, a, b) in common(a, b).filter(|(fold, ..)| !fold.is_empty()) {
                folds.entry(fold).or_default().push((mean(a.iter().copied()), mean(b.iter().copied())));
            }
        }
    }
    (folds.into_values().map(|pairs| mean_pair(pairs.into_iter())).collect(), all.len())
}

/// What both maps hold.
pub fn common<'a, V>(
    a: &'a BTreeMap<String, V>,
    b: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'a str, &'a V, &'a V)> {
    a.iter().filter_map(|(key, of_a)| Some((key.as_str(), of_a, b.get(key)?)))
}

/// The arithmetic mean.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0usize);
    for value in values {
        sum += value;
        n += 1;
    }
    sum / n as f64
}
