//! Exponential smoothing.

/// The exponential moving average of a series, one value at a time: the first value, then `alpha` times the value plus
/// `1 - alpha` times what came before. A gap (NaN, an infinity) repeats what came before, as in pandas' `ewm(adjust=False,
/// ignore_na=True)`: one bad point does not end the curve.
#[derive(Debug, Clone, Copy, Default)]
pub struct Smoothing {
    before: Option<f64>,
}

impl Smoothing {
    /// The average with one more value; none before the first that is finite. `alpha` is above 0 and at most 1.
    pub fn next(&mut self, value: f64, alpha: f64) -> Option<f64> {
        if value.is_finite() {
            self.before = Some(self.before.map_or(value, |before| alpha * value + (1.0 - alpha) * before));
        }
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_repeats_what_came_before() {
        let mut smoothing = Smoothing::default();
        let values = [f64::NAN, 1.0, 3.0, f64::INFINITY, 4.0];
        let smooth = values.map(|value| smoothing.next(value, 0.5));
        assert_eq!(smooth, [None, Some(1.0), Some(2.0), Some(2.0), Some(3.0)]);
    }
}
