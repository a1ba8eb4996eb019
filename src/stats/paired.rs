//! Differences of pairs.

use super::summary::{Summary, interval_of_mean, t_two_sided};

/// The mean of paired differences, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Number of pairs.
    pub n: usize,
    /// Mean difference.
    pub mean: f64,
    /// Standard error of the mean; `None` for one pair.
    pub std_error: Option<f64>,
    /// Interval of the mean at the level asked for; `None` for one pair.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value of Student's paired t-test; `None` for one pair, 1 where all differences are zero.
    pub p: Option<f64>,
}

/// Differences that spread less than this part of their mean are the same but for rounding.
pub(super) const NO_SPREAD: f64 = 1e-9;

/// Student's t over paired differences, all finite; `None` when there are none.
pub fn paired(differences: &[f64], level: f64) -> Option<Difference> {
    let sample = Summary::of(differences)?;
    let std_error = sample.std_error();
    let p = std_error.and_then(|error| match (sample.mean == 0.0, error <= NO_SPREAD * sample.mean.abs()) {
        (true, _) => Some(1.0),
        // The same difference each time: there is no spread to measure it by.
        (false, true) => None,
        _ => t_two_sided(sample.mean / error, (sample.n - 1) as f64),
    });
    Some(Difference { n: sample.n, mean: sample.mean, std_error, interval: interval_of_mean(&sample, level), p })
}

/// Student's t over differences by fold, after Nadeau and Bengio (2003): models of different folds share most of their
/// training rows, so the variance of the mean is (1/n + ratio) s², where the ratio is that of test rows to training rows.
pub fn paired_by_fold(differences: &[f64], ratio: f64, level: f64) -> Option<Difference> {
    let plain = paired(differences, level)?;
    let n = plain.n as f64;
    let wider = (1.0 + n * ratio).sqrt();
    let p = plain.p.and_then(|p| match plain.mean == 0.0 {
        true => Some(p),
        false => t_two_sided(plain.mean / (plain.std_error? * wider), n - 1.0),
    });
    let interval = plain.interval.map(|(low, high)| {
        let half = (high - low) / 2.0 * wider;
        (plain.mean - half, plain.mean + half)
    });
    Some(Difference { std_error: plain.std_error.map(|error| error * wider), interval, p, ..plain })
}

/// Bounds of a mean of paired differences, each of which is passed with 1 - level only: `(low, high)` by Student's t. The two
/// together are the two-sided interval at 2 level - 1. `None` for fewer than two differences.
pub fn one_sided_bounds(differences: &[f64], level: f64) -> Option<(f64, f64)> {
    interval_of_mean(&Summary::of(differences)?, 2.0 * level - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p_value_is_that_of_scipy() {
        // scipy.stats.ttest_rel([1.1, 2.0, 3.2, 4.1], [1.0, 1.7, 3.1, 3.6]): statistic 2.6111648393354674, p 0.0796049808179063.
        let found = paired(&[0.1, 0.3, 0.1, 0.5], 0.95).unwrap();
        let t = found.mean / found.std_error.unwrap();
        assert!((t - 2.6111648393354674).abs() < 1e-12, "{t}");
        assert!((found.p.unwrap() - 0.0796049808179063).abs() < 1e-12, "{:?}", found.p);
    }

    #[test]
    fn no_spread_is_no_certainty() {
        assert_eq!(paired(&[0.25, 0.25, 0.25], 0.95).unwrap().p, None);
        assert_eq!(paired(&[0.0, 0.0], 0.95).unwrap().p, Some(1.0));
        // 0.91 - 0.90, 0.92 - 0.91, 0.93 - 0.92: the same but for rounding.
        assert_eq!(paired(&[0.91 - 0.90, 0.92 - 0.91, 0.93 - 0.92], 0.95).unwrap().p, None);
        assert_eq!(paired(&[0.3], 0.95).unwrap().interval, None);
        assert_eq!(paired(&[], 0.95), None);
    }

    #[test]
    fn folds_are_less_sure_than_as_many_seeds() {
        // numpy: s = std([0.1, 0.3, 0.1, 0.5], ddof=1), error s sqrt(1/4 + 1/3), scipy.stats.t with 3 degrees of freedom.
        let found = paired_by_fold(&[0.1, 0.3, 0.1, 0.5], 1.0 / 3.0, 0.95).unwrap();
        assert!((found.std_error.unwrap() - 0.14624940645653536).abs() < 1e-14, "{found:?}");
        assert!((found.p.unwrap() - 0.18590607837380502).abs() < 1e-12, "{found:?}");
        let (low, high) = found.interval.unwrap();
        assert!(((high - low) / 2.0 - 0.4654308832275362).abs() < 1e-10, "{found:?}");
        assert_eq!(paired_by_fold(&[0.25, 0.25], 1.0, 0.95).unwrap().p, None);
        assert_eq!(paired_by_fold(&[0.0, 0.0], 1.0, 0.95).unwrap().p, Some(1.0));
    }

    #[test]
    fn a_one_sided_bound_is_that_of_scipy() {
        // mean + scipy.stats.t.ppf(0.95, 4) * sem of these five, and mean - the same.
        let (low, high) = one_sided_bounds(&[-0.012, -0.008, -0.011, -0.010, -0.009], 0.95).unwrap();
        assert!(
            (low - -0.011507443319062323).abs() < 1e-12 && (high - -0.008492556680937678).abs() < 1e-12,
            "{low} {high}"
        );
        assert_eq!(one_sided_bounds(&[0.1], 0.95), None);
    }
}
