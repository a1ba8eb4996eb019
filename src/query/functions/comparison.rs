//! The difference of two sides: which measurements pair, and which test that leaves.
//!
//! Repeats are averaged first. So the unit is the config, save where each side is one config: then its repeats are. Across
//! data sets the data set is the unit, whatever pairs within. Versions of one data set are no more measurements of a config
//! than one: it counts once, by its mean over them.

use std::collections::{BTreeMap, BTreeSet};

use super::repeats::{Pair, Repeats, common, fold_pairs, mean, mean_pair, pair, seed_pairs};
use crate::model::Goal;
use crate::stats::{Cell, Difference, level_values, paired, paired_by_fold, welch};

/// Level of the intervals.
pub const LEVEL: f64 = 0.95;

/// The configs of both sides in one block.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// The data set of the block.
    pub dataset: usize,
    /// One side, by config.
    pub a: BTreeMap<String, Repeats>,
    /// The other one.
    pub b: BTreeMap<String, Repeats>,
}

/// What was paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairedBy {
    /// Configs that both sides hold.
    Config,
    /// Runs of one seed.
    Seed,
    /// Folds of one split.
    Fold,
    /// Data sets.
    DataSet,
    /// Data sets, and in some or all of them configs that both sides hold.
    DataSetAndConfig,
}

impl PairedBy {
    /// As it stands in the column `paired_by`.
    pub fn as_str(self) -> &'static str {
        match self {
            PairedBy::Config => "config",
            PairedBy::Seed => "seed",
            PairedBy::Fold => "fold",
            PairedBy::DataSet => "data set",
            PairedBy::DataSetAndConfig => "data set, config",
        }
    }
}

/// The first side against the second.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Mean of the first side, over the units of the test.
    pub mean_a: Option<f64>,
    /// Mean of the second side.
    pub mean_b: Option<f64>,
    /// First less second, with what is known of it.
    pub difference: Option<f64>,
    /// Its standard error.
    pub std_error: Option<f64>,
    /// Its interval at [`LEVEL`].
    pub interval: Option<(f64, f64)>,
    /// Its two-sided p-value.
    pub p: Option<f64>,
    /// The test.
    pub test: Option<&'static str>,
    /// What was paired; `None` where nothing pairs.
    pub paired_by: Option<PairedBy>,
    /// Number of pairs.
    pub pairs: usize,
    /// Pairs in which the first side is greater.
    pub greater: usize,
    /// Pairs in which it is smaller.
    pub smaller: usize,
    /// Runs of each side that went in.
    pub runs: (usize, usize),
    /// Configs of each side that went in.
    pub configs: (usize, usize),
    /// Blocks that went in.
    pub blocks: usize,
    /// Data sets that went in.
    pub datasets: usize,
    /// Why something is missing.
    pub reason: Option<&'static str>,
}

impl Comparison {
    /// Pairs in which the first side is better, worse and equal.
    pub fn wins(&self, goal: Goal) -> (usize, usize, usize) {
        let ties = self.pairs - self.greater - self.smaller;
        match goal {
            Goal::Max => (self.greater, self.smaller, ties),
            Goal::Min => (self.smaller, self.greater, ties),
        }
    }

    /// Whether the first side is the better one.
    pub fn is_better(&self, goal: Goal) -> Option<bool> {
        is_better(self.difference?, goal)
    }

    fn of_pairs(pairs: &[(f64, f64)], paired_by: PairedBy) -> Comparison {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| less(*a, *b)).collect();
        let found = Comparison {
            mean_a: Some(mean(pairs.iter().map(|pair| pair.0))),
            mean_b: Some(mean(pairs.iter().map(|pair| pair.1))),
            paired_by: Some(paired_by),
            pairs: pairs.len(),
            greater: differences.iter().filter(|d| **d > 0.0).count(),
            smaller: differences.iter().filter(|d| **d < 0.0).count(),
            ..Comparison::default()
        };
        found.with(paired(&differences, LEVEL), "paired t", "one pair")
    }

    fn of_folds(pairs: &[(f64, f64)], folds: usize) -> Comparison {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| less(*a, *b)).collect();
        // Of k folds one is for testing, the others are for training.
        let ratio = 1.0 / (folds - 1) as f64;
        let found = Comparison::of_pairs(pairs, PairedBy::Fold);
        found.with(paired_by_fold(&differences, ratio, LEVEL), "corrected paired t", "one pair")
    }

    fn with(mut self, found: Option<Difference>, test: &'static str, too_few: &'static str) -> Comparison {
        let Some(found) = found else { return self };
        self.difference = Some(found.mean);
        self.reason = None;
        if found.std_error.is_none() {
            self.reason = Some(too_few);
            return self;
        }
        self.test = Some(test);
        self.std_error = found.std_error;
        self.p = found.p;
        self.interval = found.interval;
        if found.p.is_none() || (found.mean == 0.0 && found.std_error == Some(0.0)) {
            // An interval of no width would claim to be certain.
            self.interval = None;
            self.reason = Some("all differences are the same, which leaves no spread to judge by");
        }
        self
    }
}

/// Whether a difference is one for the better; `None` where there is none.
pub fn is_better(difference: f64, goal: Goal) -> Option<bool> {
    match goal {
        _ if difference == 0.0 => None,
        Goal::Max => Some(difference > 0.0),
        Goal::Min => Some(difference < 0.0),
    }
}

/// One config against another, or against itself, in blocks of one data set: by seed, else by fold, else by their means.
pub fn of_configs(blocks: &[Pair<'_>]) -> Comparison {
    let seeds = seed_pairs(blocks);
    let (folds, all_folds) = fold_pairs(blocks);
    let found = if seeds.len() > 1 {
        Comparison::of_pairs(&seeds, PairedBy::Seed)
    } else if folds.len() > 1 {
        Comparison::of_folds(&folds, all_folds)
    } else {
        let (mean_a, mean_b) = mean_pair(blocks.iter().map(|(a, b)| pair(a, b)));
        let reason = match blocks {
            [(a, b)] if a.runs() == 1 && b.runs() == 1 => "one run on each side",
            _ => "no two seeds or folds that both sides ran",
        };
        Comparison {
            mean_a: Some(mean_a),
            mean_b: Some(mean_b),
            difference: Some(less(mean_a, mean_b)),
            reason: Some(reason),
            ..Comparison::default()
        }
    };
    let runs = |side: fn(&Pair<'_>) -> usize| blocks.iter().map(side).sum();
    let runs = (runs(|(a, _)| a.runs()), runs(|(_, b)| b.runs()));
    Comparison { runs, configs: (1, 1), blocks: blocks.len(), datasets: 1, ..found }
}

/// Two groups of runs, over the blocks that both have runs in.
pub fn of_groups(blocks: &[Sides]) -> Comparison {
    let mut datasets: BTreeMap<usize, Vec<&Sides>> = BTreeMap::new();
    for sides in blocks.iter().filter(|sides| !sides.a.is_empty() && !sides.b.is_empty()) {
        datasets.entry(sides.dataset).or_default().push(sides);
    }
    let datasets: Vec<Vec<&Sides>> = datasets.into_values().collect();
    match datasets.as_slice() {
        [] => Comparison { reason: Some("no block holds runs of both groups"), ..Comparison::default() },
        [only] => of_one_data_set(only),
        several => of_data_sets(several),
    }
}

fn of_data_sets(datasets: &[Vec<&Sides>]) -> Comparison {
    let mut paired_by = PairedBy::DataSet;
    let mut used = Used::default();
    let mut pairs = Vec::new();
    for blocks in datasets {
        let shared = shared(blocks);
        if shared.is_empty() {
            used.all(blocks);
            let Some(samples) = samples(blocks) else {
                return used
                    .of(Comparison { reason: Some("too many blocks"), ..Comparison::default() }, datasets.len());
            };
            let means = |(a, b): &(Vec<f64>, Vec<f64>)| (mean(a.iter().copied()), mean(b.iter().copied()));
            pairs.push(mean_pair(samples.iter().map(means)));
        } else {
            paired_by = PairedBy::DataSetAndConfig;
            used.pairs(&shared);
            pairs.push(mean_pair(config_pairs(&shared)));
        }
    }
    used.of(Comparison::of_pairs(&pairs, paired_by), datasets.len())
}

fn of_one_data_set(blocks: &[&Sides]) -> Comparison {
    let mut used = Used::default();
    let shared = shared(blocks);
    if shared.len() > 1 {
        used.pairs(&shared);
        let pairs: Vec<(f64, f64)> = config_pairs(&shared).collect();
        return used.of(Comparison::of_pairs(&pairs, PairedBy::Config), 1);
    }
    if let Some(of_blocks) = shared.values().next() {
        return of_configs(&of_blocks.iter().map(|(_, a, b)| (*a, *b)).collect::<Vec<_>>());
    }
    used.all(blocks);
    if used.configs == (1, 1) {
        let first = |side: &'_ BTreeMap<String, Repeats>| side.values().next().cloned().expect("a side has a config");
        let sides: Vec<(Repeats, Repeats)> = blocks.iter().map(|sides| (first(&sides.a), first(&sides.b))).collect();
        return of_configs(&sides.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    }
    let Some(samples) = samples(blocks) else {
        return used.of(Comparison { reason: Some("too many blocks"), ..Comparison::default() }, 1);
    };
    let found = Comparison {
        mean_a: Some(mean(samples.iter().map(|(a, _)| mean(a.iter().copied())))),
        mean_b: Some(mean(samples.iter().map(|(_, b)| mean(b.iter().copied())))),
        ..Comparison::default()
    };
    used.of(found.with(welch(&samples, LEVEL), "Welch t", "a group has one config, which has no spread"), 1)
}

/// One value for each config of each side, whatever number of blocks it ran in: several versions of one data set are not
/// several measurements. Configs that no block connects are samples of their own.
fn samples(blocks: &[&Sides]) -> Option<Vec<(Vec<f64>, Vec<f64>)>> {
    let mut found: BTreeMap<(&str, bool), Vec<(usize, f64)>> = BTreeMap::new();
    for (block, sides) in blocks.iter().enumerate() {
        for (side, is_a) in [(&sides.a, true), (&sides.b, false)] {
            for (config, repeats) in side {
                found.entry((config, is_a)).or_default().push((block, repeats.score()));
            }
        }
    }
    // Which side is which must not tell in the order of sums; a config of both ran in no block of the other.
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|((config, _), values)| (*config, values[0].0));
    let is_a: Vec<bool> = found.iter().map(|((_, is_a), _)| *is_a).collect();
    let cells: Vec<Cell> = found
        .into_iter()
        .enumerate()
        .flat_map(|(level, (_, values))| values.into_iter().map(move |(block, value)| Cell { block, level, value }))
        .collect();
    let split = |island: Vec<(usize, f64)>| {
        let (a, b): (Vec<_>, Vec<_>) = island.into_iter().partition(|(level, _)| is_a[*level]);
        let values = |side: Vec<(usize, f64)>| side.into_iter().map(|(_, value)| value).collect();
        (values(a), values(b))
    };
    Some(level_values(&cells)?.into_iter().map(split).collect())
}

/// What went into a comparison.
#[derive(Default)]
struct Used {
    runs: (usize, usize),
    configs: (usize, usize),
    blocks: usize,
}

impl Used {
    fn all(&mut self, blocks: &[&Sides]) {
        let runs = |side: fn(&Sides) -> &BTreeMap<String, Repeats>| {
            blocks.iter().flat_map(|sides| side(sides).values()).map(Repeats::runs).sum::<usize>()
        };
        let configs = |side: fn(&Sides) -> &BTreeMap<String, Repeats>| {
            blocks.iter().flat_map(|sides| side(sides).keys()).collect::<BTreeSet<_>>().len()
        };
        self.runs.0 += runs(|sides| &sides.a);
        self.runs.1 += runs(|sides| &sides.b);
        self.configs.0 += configs(|sides| &sides.a);
        self.configs.1 += configs(|sides| &sides.b);
        self.blocks += blocks.len();
    }

    fn pairs(&mut self, shared: &Shared<'_>) {
        let of_blocks = || shared.values().flatten();
        self.runs.0 += of_blocks().map(|(_, a, _)| a.runs()).sum::<usize>();
        self.runs.1 += of_blocks().map(|(.., b)| b.runs()).sum::<usize>();
        self.configs.0 += shared.len();
        self.configs.1 += shared.len();
        self.blocks += of_blocks().map(|(block, ..)| *block).collect::<BTreeSet<_>>().len();
    }

    fn of(self, found: Comparison, datasets: usize) -> Comparison {
        Comparison { runs: self.runs, configs: self.configs, blocks: self.blocks, datasets, ..found }
    }
}

/// Configs that both sides of a block hold, with the places of these blocks.
type Shared<'a> = BTreeMap<&'a str, Vec<(usize, &'a Repeats, &'a Repeats)>>;

fn shared<'a>(blocks: &[&'a Sides]) -> Shared<'a> {
    let mut found = Shared::new();
    for (block, sides) in blocks.iter().enumerate() {
        for (config, a, b) in common(&sides.a, &sides.b) {
            found.entry(config).or_default().push((block, a, b));
        }
    }
    found
}

/// A pair for each config, the mean over the blocks that it ran in.
fn config_pairs(shared: &Shared<'_>) -> impl Iterator<Item = (f64, f64)> {
    shared.values().map(|of_blocks| mean_pair(of_blocks.iter().map(|(_, a, b)| pair(a, b))))
}

/// A difference, zero where it is less than what rounding does to such values.
fn less(a: f64, b: f64) -> f64 {
    let difference = a - b;
    if difference.abs() <= 1e-13 * a.abs().max(b.abs()) { 0.0 } else { difference }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
