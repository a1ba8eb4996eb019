//! Mean, spread and interval of a sample.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A sample in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); `None` for fewer than two values.
    pub std: Option<f64>,
}

impl Summary {
    /// Of values that are all finite; `None` when there are none.
    ///
    /// In two passes: the sum of squares minus the square of the sum loses everything where the mean is large.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = mean(values.iter().copied());
        // The squares of differences near the greatest double are beyond it.
        let scale = values.iter().map(|v| v.abs()).fold(0.0, f64::max);
        let scale = if scale > 1e150 { scale } else { 1.0 };
        let squares: f64 = values.iter().map(|v| (v / scale - mean / scale).powi(2)).sum();
        let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt() * scale);
        Some(Summary { n, mean, std })
    }

    /// Standard error of the mean: std / sqrt(n).
    pub fn std_error(&self) -> Option<f64> {
        self.std.map(|std| std / (self.n as f64).sqrt())
    }
}

/// The arithmetic mean; finite wherever the values are.
pub fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    match values.clone().sum::<f64>() / n {
        mean if mean.is_finite() => mean,
        // The sum is beyond the greatest double, the mean is not.
        _ => values.map(|value| value / n).sum(),
    }
}

/// The interval of the mean at a level such as 0.95, from Student's t with n - 1 degrees of freedom.
pub fn interval_of_mean(sample: &Summary, level: f64) -> Option<(f64, f64)> {
    let half = t_critical(level, (sample.n - 1) as f64)? * sample.std_error()?;
    Some((sample.mean - half, sample.mean + half))
}

/// The t that a two-sided interval of this level reaches to; `None` without degrees of freedom.
pub fn t_critical(level: f64, freedom: f64) -> Option<f64> {
    Some(student(freedom)?.inverse_cdf((1.0 + level) / 2.0))
}

/// The two-sided p-value of a t.
pub fn t_two_sided(t: f64, freedom: f64) -> Option<f64> {
    if !t.is_finite() {
        return (!t.is_nan()).then_some(0.0);
    }
    // The lower tail of -|t|: 1 - cdf would be zero beyond 1e-16.
    Some((2.0 * student(freedom)?.cdf(-t.abs())).min(1.0))
}

fn student(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_scipy() {
        // scipy.stats.t.interval(0.95, 4, mean, sem) of these five.
        let sample = Summary::of(&[0.91, 0.93, 0.92, 0.95, 0.90]).unwrap();
        assert!((sample.mean - 0.922).abs() < 1e-15);
        assert!((sample.std.unwrap() - 0.019235384061671353).abs() < 1e-15);
        let (low, high) = interval_of_mean(&sample, 0.95).unwrap();
        assert!((low - 0.8981161161190002).abs() < 1e-12 && (high - 0.9458838838809999).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn large_values_have_a_mean_and_a_spread() {
        let sample = Summary::of(&[1.5e308, 1.7e308]).unwrap();
        assert!((sample.mean / 1.6e308 - 1.0).abs() < 1e-15, "{sample:?}");
        assert!((sample.std.unwrap() / (0.2e308 / 2f64.sqrt()) - 1.0).abs() < 1e-12, "{sample:?}");
        assert!(mean([f64::INFINITY, 1.0].into_iter()).is_infinite());
    }

    #[test]
    fn too_little_gives_nothing() {
        assert_eq!(Summary::of(&[]), None);
        let one = Summary::of(&[1.0]).unwrap();
        assert_eq!((one.std, interval_of_mean(&one, 0.95)), (None, None));
    }

    #[test]
    fn far_tails_are_no_zero() {
        let p = t_two_sided(40.0, 30.0).unwrap();
        assert!(p > 0.0 && p < 1e-25, "{p}");
    }
}
