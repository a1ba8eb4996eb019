//! Sums of doubles without rounding, so that no order of adding and no way of splitting a series changes a mean.

use serde::{Deserialize, Serialize};

/// An exact sum: doubles that do not overlap and add up to the true value.
///
/// The method is Shewchuk's ("Adaptive precision floating-point arithmetic and fast robust geometric predicates",
/// 1997), the one behind Python's `math.fsum`. Two sums of the same values are worth the same whatever the order, so a
/// series gives one mean whether it is read live, sealed in parts, or compacted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExactSum {
    partials: Vec<f64>,
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

impl ExactSum {
    /// Adds a finite number.
    pub fn add(&mut self, mut x: f64) {
        debug_assert!(x.is_finite());
        let mut kept = 0;
        for i in 0..self.partials.len() {
            let (high, low) = two_sum(x, self.partials[i]);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        if x != 0.0 {
            self.partials.push(x);
        }
    }

    /// Adds the square of a number whose square is finite.
    pub fn add_square(&mut self, x: f64) {
        self.add_product(x, x);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        for &x in &other.partials {
            self.add(x);
        }
    }

    /// `n * squares - sum^2` for sums of the same `n` values: `n * (n - 1)` times their sample variance.
    pub fn scaled_variance(sum: &ExactSum, squares: &ExactSum, n: f64) -> f64 {
        let mut result = ExactSum::default();
        for &q in &squares.partials {
            result.add_product(n, q);
        }
        for &a in &sum.partials {
            for &b in &sum.partials {
                result.add_product(-a, b);
            }
        }
        result.value()
    }

    fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.add(a.mul_add(b, -product));
    }

    /// The double nearest to the sum (ties to even).
    pub fn value(&self) -> f64 {
        let mut rest = self.partials.iter().rev().copied();
        let Some(mut high) = rest.next() else { return 0.0 };
        let mut low = 0.0;
        let mut below = 0.0;
        for x in rest.by_ref() {
            (high, low) = two_sum(high, x);
            if low != 0.0 {
                below = rest.next().unwrap_or(0.0);
                break;
            }
        }
        // `low` is half a unit at most. When it is exactly half, what lies below it decides which way to round.
        if low != 0.0 && below != 0.0 && (low < 0.0) == (below < 0.0) {
            let doubled = low * 2.0;
            let rounded = high + doubled;
            if rounded - high == doubled {
                return rounded;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut s = ExactSum::default();
        values.iter().for_each(|&x| s.add(x));
        s.value()
    }

    #[test]
    fn cancellation_loses_nothing() {
        assert_eq!(sum(&[1e100, 1.0, -1e100, 1e-100]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[1e16, 1.0, 1e-16]), 10000000000000002.0);
    }

    proptest! {
        #[test]
        fn order_and_splits_do_not_matter(
            values in prop::collection::vec(-1e150f64..1e150, 0..40),
            small in prop::collection::vec(-1e-3f64..1e-3, 0..40),
            cut in 0usize..80,
        ) {
            let mut all: Vec<f64> = values.iter().chain(&small).copied().collect();
            let forward = sum(&all);
            let cut = cut.min(all.len());
            let (mut a, mut b) = (ExactSum::default(), ExactSum::default());
            all[..cut].iter().for_each(|&x| a.add(x));
            all[cut..].iter().for_each(|&x| b.add(x));
            b.merge(&a);
            prop_assert_eq!(b.value(), forward);
            all.reverse();
            prop_assert_eq!(sum(&all), forward);
        }
    }
}
