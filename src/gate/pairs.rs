//! Scores of two statements in pairs, and what their differences show.

use std::collections::BTreeMap;

use super::doubt::{Doubt, Side};
use super::expect::{Claim, Paired, percent};
use super::rows::Rows;
use crate::export::value::{Floats, float};
use crate::model::Goal;
use crate::stats::{Summary, one_sided_bounds};

/// Fewer pairs decide nothing.
pub const LEAST_PAIRS: usize = 3;

/// Names of the column that holds the scores.
pub const SCORE: [&str; 2] = ["value", "score"];

/// Two scores that differ by less, relative to the greater one, are equal: sums in another order differ so much.
const ROUNDING: f64 = 1e-12;

/// What the pairs say. Differences are positive where the statement is better than the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Number of pairs.
    pub n: usize,
    /// Rows of the statement that the baseline has no partner for.
    pub unpaired: usize,
    /// Mean scores of the pairs: of the statement, of the baseline.
    pub means: (f64, f64),
    /// Mean difference.
    pub gain: f64,
    /// One-sided bounds of it.
    pub bounds: (f64, f64),
    /// Whether the claim holds.
    pub holds: bool,
    /// In a sentence.
    pub detail: String,
}

/// Compares the rows of two statements.
pub fn compare(claim: &Paired, goal: Goal, left: &Rows, right: &Rows) -> Result<Compared, Doubt> {
    let (left_n, right_n) = (left.n, right.n);
    let left = scores(claim, left, Side::Statement)?;
    let right = scores(claim, right, Side::Baseline)?;
    let pairs: Vec<(f64, f64)> = left.iter().filter_map(|(key, a)| Some((*a, *right.get(key)?))).collect();
    if pairs.len() < LEAST_PAIRS {
        return Err(Doubt::FewPairs { n: pairs.len(), left: left_n, right: right_n });
    }
    // A candidate that lost the runs it would have been worse in must not gain by that.
    let lost = right.len() - pairs.len();
    if lost > 0 {
        return Err(Doubt::NoPartner { n: lost, of: right.len() });
    }
    let unpaired = left.len() - pairs.len();
    let too_few = || Doubt::FewPairs { n: pairs.len(), left: left_n, right: right_n };
    let mean = |values: Vec<f64>| Summary::of(&values).map_or(f64::NAN, |s| s.mean);
    let means = (mean(pairs.iter().map(|p| p.0).collect()), mean(pairs.iter().map(|p| p.1).collect()));
    let gains: Vec<f64> = pairs.iter().map(|(a, b)| gain(*a, *b, goal)).collect();
    let gain = mean(gains.clone());
    let bounds = one_sided_bounds(&gains, claim.level).ok_or_else(too_few)?;
    // Scores near the greatest double leave no difference to compute with.
    if !(gain.is_finite() && bounds.0.is_finite() && bounds.1.is_finite()) {
        return Err(Doubt::NotFinite { of: Side::Statement, value: gain, place: " as mean difference".to_string() });
    }
    let (low, high) = bounds;
    let holds = match claim.claim {
        Claim::NotWorse => high >= -claim.margin,
        Claim::ShownNotWorse => low >= -claim.margin,
        Claim::Better => low > claim.margin,
    };
    let mut compared = Compared { n: pairs.len(), unpaired, means, gain, bounds, holds, detail: String::new() };
    compared.detail = detail(claim, &compared);
    Ok(compared)
}

/// By how much a score is better than another.
fn gain(a: f64, b: f64, goal: Goal) -> f64 {
    let gain = match goal {
        Goal::Max => a - b,
        Goal::Min => b - a,
    };
    if gain.abs() <= ROUNDING * a.abs().max(b.abs()) { 0.0 } else { gain }
}

/// The scores of a statement by pair.
fn scores(claim: &Paired, rows: &Rows, of: Side) -> Result<BTreeMap<Vec<String>, f64>, Doubt> {
    let by: Vec<usize> = claim
        .by
        .iter()
        .map(|column| {
            let missing = || Doubt::NoPairColumn { of, column: column.clone(), columns: rows.columns() };
            rows.find(column).ok_or_else(missing)
        })
        .collect::<Result<_, _>>()?;
    let named = SCORE.iter().find_map(|name| rows.find(name)).filter(|column| !by.contains(column));
    let mut left = (0..rows.batch.num_columns()).filter(|column| !by.contains(column));
    let column = match (named, left.next(), left.next()) {
        (Some(column), ..) | (None, Some(column), None) => column,
        _ => return Err(Doubt::ManyColumns { of, columns: rows.columns() }),
    };
    let values = rows.numbers(column, of)?;
    let mut scores = BTreeMap::new();
    for (row, value) in values.into_iter().enumerate() {
        let mut key = Vec::new();
        for (column, name) in by.iter().zip(&claim.by) {
            let place = format!(" in column '{name}' of row {}", row + 1);
            key.push(rows.key(*column, row).ok_or(Doubt::Null { of, place })?);
        }
        if scores.contains_key(&key) {
            let pair = claim.by.iter().zip(&key).map(|(name, value)| format!("{name} {value}"));
            return Err(Doubt::SamePair { of, pair: pair.collect::<Vec<_>>().join(", ") });
        }
        scores.insert(key, value);
    }
    Ok(scores)
}

fn detail(claim: &Paired, compared: &Compared) -> String {
    let shown = |x: f64| float(x, Floats::Readable).trim_end_matches(".0").to_string();
    let Compared { n, gain, bounds: (low, high), holds, unpaired, .. } = compared;
    let (low, high, margin) = (*low, *high, claim.margin);
    let sure = format!("{}% confidence", percent(claim.level));
    let way = if *gain < 0.0 { "worse" } else { "better" };
    let mean = format!("{way} by {} on average over {n} pairs", shown(gain.abs()));
    let at_worst = format!("a loss of up to {} cannot be ruled out with {sure}", shown(-low));
    let allowed = format!("{} is allowed", shown(margin));
    let mut text = match (claim.claim, *holds) {
        (Claim::NotWorse, false) => format!("{mean}, by more than {} with {sure}; {allowed}", shown(-high)),
        (Claim::NotWorse, true) if low >= -margin => {
            format!("{mean}, with {sure} not worse by more than {}", shown(margin))
        }
        // No proof that it is worse is no proof that it is not.
        (Claim::NotWorse, true) => {
            format!("{mean}; {at_worst}, but neither is it shown to be more than is allowed ({})", shown(margin))
        }
        (Claim::ShownNotWorse, true) => format!("{mean}, with {sure} not worse by more than {}", shown(margin)),
        (Claim::ShownNotWorse, false) => format!("{mean}; {at_worst}; {allowed}"),
        (Claim::Better, true) => format!("{mean}, by more than {} with {sure}", shown(low)),
        (Claim::Better, false) if low > 0.0 => {
            format!("{mean}, by more than {} with {sure}; more than {} is expected", shown(low), shown(margin))
        }
        (Claim::Better, false) => format!("{mean}; not shown to be better by more than {} with {sure}", shown(margin)),
    };
    if *unpaired > 0 {
        let (rows, have) = if *unpaired == 1 { ("row", "has") } else { ("rows", "have") };
        text.push_str(&format!("; {unpaired} {rows} {have} no partner"));
    }
    text
}
