//! Difference of means where nothing pairs.

use super::paired::Difference;
use super::summary::{Summary, t_critical, t_two_sided};

/// The mean over blocks of the differences between the means of two samples, after Welch: each sample has its own variance,
/// and the degrees of freedom are Satterthwaite's. With one block it is Welch's t-test.
///
/// `None` when there is no block or an empty sample. A sample of one value has no spread: the difference comes alone.
pub fn welch(blocks: &[(Vec<f64>, Vec<f64>)], level: f64) -> Option<Difference> {
    let cells: Option<Vec<(Summary, Summary)>> =
        blocks.iter().map(|(a, b)| Some((Summary::of(a)?, Summary::of(b)?))).collect();
    let cells = cells.filter(|cells| !cells.is_empty())?;
    let share = 1.0 / cells.len() as f64;
    let mean = cells.iter().map(|(a, b)| a.mean - b.mean).sum::<f64>() * share;
    let n = cells.iter().map(|(a, b)| a.n + b.n).sum();
    let alone = Difference { n, mean, std_error: None, interval: None, p: None };
    let (mut variance, mut over_freedom) = (0.0, 0.0);
    for (a, b) in &cells {
        let mut of = [0.0; 2];
        for (sample, part) in [a, b].into_iter().zip(&mut of) {
            let Some(error) = sample.std_error() else { return Some(alone) };
            *part = (error * share).powi(2);
        }
        // Both samples of a block at once, so that exchanging them gives the same sums.
        variance += of[0] + of[1];
        over_freedom += of[0].powi(2) / (a.n - 1) as f64 + of[1].powi(2) / (b.n - 1) as f64;
    }
    let std_error = variance.sqrt();
    if std_error <= super::paired::NO_SPREAD * mean.abs() {
        return Some(Difference { std_error: Some(std_error), p: (mean == 0.0).then_some(1.0), ..alone });
    }
    let freedom = variance * variance / over_freedom;
    let interval = t_critical(level, freedom).map(|t| (mean - t * std_error, mean + t * std_error));
    Some(Difference { std_error: Some(std_error), interval, p: t_two_sided(mean / std_error, freedom), ..alone })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_is_the_test_of_scipy() {
        // scipy.stats.ttest_ind([0.9, 0.92, 0.95], [0.88, 0.9], equal_var=False).
        let found = welch(&[(vec![0.9, 0.92, 0.95], vec![0.88, 0.9])], 0.95).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!((found.mean / found.std_error.unwrap() - 1.8898223650461372).abs() < 1e-12, "{found:?}");
        assert!((found.p.unwrap() - 0.15524037661952905).abs() < 1e-12, "{found:?}");
        assert!((low + 0.022820001004918412).abs() < 1e-11 && (high - 0.08948666767158506).abs() < 1e-11, "{found:?}");
    }

    #[test]
    fn blocks_are_a_contrast_of_all_means() {
        // numpy: mean of the differences, sum of var / n / 4, and Satterthwaite's degrees of freedom over the four samples.
        let blocks = [(vec![0.9, 0.92, 0.95], vec![0.88, 0.9]), (vec![0.5, 0.55, 0.61, 0.58], vec![0.52, 0.5, 0.49])];
        let found = welch(&blocks, 0.95).unwrap();
        assert!((found.mean - 0.045).abs() < 1e-14, "{found:?}");
        assert!((found.std_error.unwrap() - 0.015320646925708526).abs() < 1e-14, "{found:?}");
        assert!((found.p.unwrap() - 0.023832636095744982).abs() < 1e-12, "{found:?}");
        let turned: Vec<_> = blocks.iter().map(|(a, b)| (b.clone(), a.clone())).collect();
        let turned = welch(&turned, 0.95).unwrap();
        assert_eq!((turned.mean, turned.p), (-found.mean, found.p));
    }

    #[test]
    fn one_value_has_no_spread() {
        let found = welch(&[(vec![1.0, 2.0], vec![3.0])], 0.95).unwrap();
        assert_eq!((found.mean, found.p, found.interval), (-1.5, None, None));
        assert_eq!(welch(&[(vec![1.0, 1.0], vec![3.0, 3.0])], 0.95).unwrap().p, None);
        assert_eq!(welch(&[(vec![1.0], vec![])], 0.95), None);
    }
}
