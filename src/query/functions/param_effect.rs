//! What a param does to a score, within blocks.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{LEVEL, is_better};
use crate::model::Goal;
use crate::stats::{Cell, epsilon, factor, level_values, paired, pooled_correlation, spearman};

/// The value of a param.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// true or false.
    Bool(bool),
    /// Anything else.
    Text(String),
}

impl Value {
    fn label(&self) -> String {
        match self {
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Text(text) => text.clone(),
        }
    }
}

/// A config in which a param is set.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The config.
    pub config: usize,
    /// Its block.
    pub block: usize,
    /// The data set of the block.
    pub dataset: usize,
    /// Its score, the mean of its runs.
    pub score: f64,
    /// Number of its runs.
    pub runs: usize,
    /// The value.
    pub value: Value,
}

/// What is known of a param.
#[derive(Debug, Clone, Default)]
pub struct Effect {
    /// What `effect` is.
    pub measure: &'static str,
    /// The effect.
    pub effect: Option<f64>,
    /// Whether greater values (or true) are the better ones.
    pub better: Option<bool>,
    /// The value with the best mean, blocks taken into account; for what is no number.
    pub best_value: Option<String>,
    /// p-value.
    pub p: Option<f64>,
    /// Share of blocks in which greater values (or true) have greater scores.
    pub share_positive: Option<f64>,
    /// Share of blocks in which they have smaller ones.
    pub share_negative: Option<f64>,
    /// Share of the blocks with the best value in which it is the best.
    pub share_best: Option<f64>,
    /// Different values.
    pub values: usize,
    /// Data sets, blocks, configs and runs that went in.
    pub datasets: usize,
    /// Blocks.
    pub blocks: usize,
    /// Configs.
    pub configs: usize,
    /// Runs.
    pub runs: usize,
    /// Why something is missing.
    pub reason: Option<&'static str>,
}

const TOO_MANY: &str = "too many values and blocks";

const BETWEEN: &str = "it varies between blocks only";

const SMALL: &str = "it varies in blocks of two configs only";

/// The effect of a param over the configs that it is set in, which are in the order of their blocks.
pub fn effect(settings: &[Setting], goal: Goal) -> Effect {
    let numbers = settings.iter().all(|setting| matches!(setting.value, Value::Number(_)));
    // Two configs always correlate fully.
    let smallest = if numbers { 3 } else { 2 };
    let blocks = varied(settings, smallest);
    let Some(united) = united(settings) else {
        return Effect { reason: Some(TOO_MANY), ..Effect::default() };
    };
    let units = varied(&united, smallest);
    let found = match numbers {
        true => signs(&blocks, correlation(&units, goal)),
        false => omega(&units, &blocks, goal),
    };
    let used = || units.iter().copied().flatten();
    Effect {
        measure: if numbers { "rank correlation" } else { "omega squared" },
        values: used().map(|setting| setting.value.label()).collect::<BTreeSet<_>>().len(),
        datasets: used().map(|setting| setting.dataset).collect::<BTreeSet<_>>().len(),
        blocks: blocks.len(),
        configs: used().count(),
        runs: used().map(|setting| setting.runs).sum(),
        reason: match units.is_empty() {
            true if numbers && !varied(&united, 2).is_empty() => Some(SMALL),
            true => Some(BETWEEN),
            false => found.reason,
        },
        ..found
    }
}

/// The blocks in which a param varies, of so many configs at least.
fn varied(settings: &[Setting], smallest: usize) -> Vec<&[Setting]> {
    settings
        .chunk_by(|a, b| a.block == b.block)
        .filter(|block| block.len() >= smallest && block.iter().any(|setting| setting.value != block[0].value))
        .collect()
}

/// Each config once in a data set, with one score however many versions of it the config ran on, block effects taken off.
/// Blocks that share no config stay apart; the blocks of the answer are numbered anew, data set by data set.
fn united(settings: &[Setting]) -> Option<Vec<Setting>> {
    let mut datasets: BTreeMap<usize, Vec<&Setting>> = BTreeMap::new();
    settings.iter().for_each(|setting| datasets.entry(setting.dataset).or_default().push(setting));
    let mut united: Vec<Setting> = Vec::new();
    let mut next = 0;
    for of_dataset in datasets.into_values() {
        let mut configs: BTreeMap<usize, Setting> = BTreeMap::new();
        for setting in &of_dataset {
            let entry = configs.entry(setting.config).or_insert_with(|| Setting { runs: 0, ..(*setting).clone() });
            entry.runs += setting.runs;
        }
        let cell = |setting: &&Setting| Cell { block: setting.block, level: setting.config, value: setting.score };
        for island in level_values(&of_dataset.iter().map(cell).collect::<Vec<_>>())? {
            let of = |(config, score): (usize, f64)| Setting { block: next, score, ..configs[&config].clone() };
            united.extend(island.into_iter().map(of));
            next += 1;
        }
    }
    Some(united)
}

fn rank_correlation(block: &[Setting]) -> f64 {
    let number = |setting: &Setting| match setting.value {
        Value::Number(number) => number,
        _ => unreachable!("all of them are numbers"),
    };
    let x: Vec<f64> = block.iter().map(number).collect();
    let y: Vec<f64> = block.iter().map(|setting| setting.score).collect();
    // Where all scores are equal, values do nothing to them.
    spearman(&x, &y).unwrap_or(0.0)
}

fn correlation(units: &[&[Setting]], goal: Goal) -> Effect {
    let mut datasets: BTreeMap<usize, Vec<(f64, usize)>> = BTreeMap::new();
    for unit in units {
        datasets.entry(unit[0].dataset).or_default().push((rank_correlation(unit), unit.len()));
    }
    let pooled: Vec<_> = datasets.values().filter_map(|units| pooled_correlation(units)).collect();
    let (rho, p, reason) = match pooled.as_slice() {
        [] => return Effect::default(),
        [only] => (only.rho, only.p, "fewer than ten configs, too few for a p-value"),
        several => {
            let of_datasets: Vec<f64> = several.iter().map(|found| found.rho).collect();
            let found = paired(&of_datasets, LEVEL).expect("there are several");
            (found.mean, found.p, "the same in all data sets, which leaves no spread to judge by")
        }
    };
    let reason = p.is_none().then_some(reason);
    Effect { effect: Some(rho), better: is_better(rho, goal), p, reason, ..Effect::default() }
}

/// How the blocks agree about the sign.
fn signs(blocks: &[&[Setting]], found: Effect) -> Effect {
    let signs: Vec<f64> = blocks.iter().map(|block| rank_correlation(block)).collect();
    Effect {
        share_positive: share(signs.iter().filter(|sign| **sign > 0.0).count(), signs.len()),
        share_negative: share(signs.iter().filter(|sign| **sign < 0.0).count(), signs.len()),
        ..found
    }
}

fn share(n: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| n as f64 / of as f64)
}

fn omega(units: &[&[Setting]], blocks: &[&[Setting]], goal: Goal) -> Effect {
    let labels: BTreeSet<String> = units.iter().copied().flatten().map(|setting| setting.value.label()).collect();
    let labels: Vec<String> = labels.into_iter().collect();
    let cells = cells(units, &labels);
    if cells.is_empty() {
        return Effect::default();
    }
    let Some(fitted) = factor(&cells) else {
        return Effect { reason: Some(TOO_MANY), ..Effect::default() };
    };
    let of_datasets = cells_of_datasets(units, &level_means(&cells, units.len()));
    // Across data sets the data set is the unit: what counts is whether values differ more than data sets disagree.
    let (judged, epsilon) = match of_datasets.iter().map(|cell| cell.block).max() {
        Some(0) | None => (Some(fitted.clone()), 1.0),
        Some(last) => (factor(&of_datasets), evenness(&of_datasets, last + 1, labels.len())),
    };
    let (effect, p) = (fitted.omega_squared(), judged.as_ref().and_then(|judged| judged.p(epsilon)));
    let of_levels = judged.and_then(|judged| judged.levels).filter(|_| effect.is_some());
    let best_level = of_levels.as_ref().map(|means| best(means.iter().copied().enumerate(), goal));
    let is_bool = units.iter().copied().flatten().all(|setting| matches!(setting.value, Value::Bool(_)));
    let means = level_means(&self::cells(blocks, &labels), blocks.len());
    let signs: Vec<f64> = match is_bool {
        true => means.iter().filter_map(|of_block| Some(of_block.get(&1)? - of_block.get(&0)?)).collect(),
        false => Vec::new(),
    };
    let with_best = || means.iter().filter(|of_block| best_level.is_some_and(|best| of_block.contains_key(&best)));
    let won = |of_block: &&BTreeMap<usize, f64>| {
        best_level == Some(best(of_block.iter().map(|(level, mean)| (*level, *mean)), goal))
    };
    Effect {
        effect,
        better: of_levels.filter(|_| is_bool).and_then(|means| is_better(means[1] - means[0], goal)),
        best_value: best_level.map(|level| labels[level].clone()),
        p,
        share_positive: share(signs.iter().filter(|sign| **sign > 0.0).count(), signs.len()),
        share_negative: share(signs.iter().filter(|sign| **sign < 0.0).count(), signs.len()),
        share_best: share(with_best().filter(won).count(), with_best().count()),
        reason: match (effect, p) {
            (None, _) => Some("no configs are left to tell the values from chance"),
            (_, None) => Some("no spread is left to judge by"),
            _ => None,
        },
        ..Effect::default()
    }
}

/// Epsilon of data sets that all have all levels; otherwise its lower bound, with which F is never too sure.
fn evenness(cells: &[Cell], datasets: usize, levels: usize) -> f64 {
    if cells.len() < datasets * levels {
        return epsilon(&[vec![0.0; levels]]);
    }
    // They are by data set, then by level.
    epsilon(&cells.chunks(levels).map(|row| row.iter().map(|cell| cell.value).collect()).collect::<Vec<_>>())
}

/// Settings as cells, blocks counted from 0.
fn cells(blocks: &[&[Setting]], labels: &[String]) -> Vec<Cell> {
    let cell = |(block, setting): (usize, &Setting)| {
        let level = labels.binary_search(&setting.value.label()).ok()?;
        Some(Cell { block, level, value: setting.score })
    };
    let settings = blocks.iter().enumerate().flat_map(|(i, block)| block.iter().map(move |setting| (i, setting)));
    settings.filter_map(cell).collect()
}

/// The level with the best mean, the first of them where several are equal.
fn best(means: impl Iterator<Item = (usize, f64)>, goal: Goal) -> usize {
    let better = |a: f64, b: f64| match goal {
        Goal::Max => a > b,
        Goal::Min => a < b,
    };
    let first = |best: (usize, f64), next: (usize, f64)| if better(next.1, best.1) { next } else { best };
    means.reduce(first).expect("a factor has a level").0
}

/// The mean of each level in each block.
fn level_means(cells: &[Cell], blocks: usize) -> Vec<BTreeMap<usize, f64>> {
    let mut sums: Vec<BTreeMap<usize, (f64, usize)>> = vec![BTreeMap::new(); blocks];
    for cell in cells {
        let sum = sums[cell.block].entry(cell.level).or_default();
        sum.0 += cell.value;
        sum.1 += 1;
    }
    let means = |of: BTreeMap<usize, (f64, usize)>| of.into_iter().map(|(l, (sum, n))| (l, sum / n as f64)).collect();
    sums.into_iter().map(means).collect()
}

/// A cell for each data set and level, as the mean over its units of how far the level is from the mean of the levels.
fn cells_of_datasets(units: &[&[Setting]], means: &[BTreeMap<usize, f64>]) -> Vec<Cell> {
    let mut datasets: BTreeMap<usize, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    for (unit, means) in units.iter().zip(means) {
        let middle = means.values().sum::<f64>() / means.len() as f64;
        let of = datasets.entry(unit[0].dataset).or_default();
        means.iter().for_each(|(level, mean)| of.entry(*level).or_default().push(mean - middle));
    }
    let cells = datasets.into_values().enumerate().flat_map(|(block, levels)| {
        let cell = move |(level, values): (usize, Vec<f64>)| {
            let value = values.iter().sum::<f64>() / values.len() as f64;
            Cell { block, level, value }
        };
        levels.into_iter().map(cell)
    });
    cells.collect()
}
