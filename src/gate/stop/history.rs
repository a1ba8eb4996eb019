//! Histories of a metric, and what rules read in them. Plain numbers: no store, no SQL.

use crate::gate::expect::Op;
use crate::model::Goal;

/// A point of a series, at a step that need not be whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step.
    pub step: f64,
    /// The value; NaN and infinities as logged.
    pub value: f64,
}

/// Two values that differ by less, relative to the greater one, are equal: a mean depends so much on the order of its terms.
const ROUNDING: f64 = 1e-12;

/// Whether a value is better than another, by more than what rounding makes.
fn is_better(goal: Goal, a: f64, b: f64) -> bool {
    let op = if goal == Goal::Max { Op::Gt } else { Op::Lt };
    op.holds(a, b) && (a - b).abs() > ROUNDING * a.abs().max(b.abs())
}

/// The best finite value of a history.
pub fn best_so_far(goal: Goal, points: &[Point]) -> Option<f64> {
    let finite = points.iter().map(|point| point.value).filter(|value| value.is_finite());
    finite.reduce(|best, value| match goal {
        Goal::Max => best.max(value),
        Goal::Min => best.min(value),
    })
}

/// A run against the median of others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behind {
    /// The median of the others.
    pub median: f64,
    /// Whether the run's best value is worse.
    pub stop: bool,
}

/// The median stopping rule: a run stops whose best value is worse than the median of the running averages of the others, each
/// taken over its own values up to the step in question. All values are finite; `None` without others.
pub fn behind_median(goal: Goal, best: f64, averages: &mut [f64]) -> Option<Behind> {
    let n = averages.len();
    if n == 0 {
        return None;
    }
    averages.sort_by(f64::total_cmp);
    let (low, high) = (averages[(n - 1) / 2], averages[n / 2]);
    // Half of each: their sum may be too great for a double.
    let median = low / 2.0 + high / 2.0;
    Some(Behind { median, stop: is_better(goal, median, best) })
}

/// The step where a history got better for the last time, by more than a delta over the best before it. Points come by step;
/// those that are not finite do not count. `None` without any that is.
pub fn since_improved(goal: Goal, points: &[Point], min_delta: f64) -> Option<(f64, f64)> {
    let mut best: Option<(f64, f64)> = None;
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let improved = best.is_none_or(|(_, value)| match goal {
            Goal::Max => point.value > value + min_delta,
            Goal::Min => point.value < value - min_delta,
        });
        if improved {
            best = Some((point.step, point.value));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, value)| Point { step: i as f64, value: *value }).collect()
    }

    #[test]
    fn the_best_run_so_far_is_never_behind() {
        let median = |best, others: &[f64]| behind_median(Goal::Max, best, &mut others.to_vec()).unwrap();
        assert_eq!(median(0.5, &[0.9, 0.1, 0.4]), Behind { median: 0.4, stop: false });
        assert_eq!(median(0.5, &[0.9, 0.5, 0.7, 0.1]), Behind { median: 0.6, stop: true });
        assert!(!median(0.5, &[0.5, 0.5]).stop, "as good as the median goes on");
        assert!(!median(0.3, &[0.1 + 0.2]).stop, "rounding is no difference");
        assert!(behind_median(Goal::Min, 0.5, &mut [0.4, 0.3, 0.9]).unwrap().stop);
        assert!(!behind_median(Goal::Min, 0.5, &mut [0.6, 0.3, 0.9]).unwrap().stop);
        assert_eq!(behind_median(Goal::Max, 0.5, &mut []), None);
        assert_eq!(median(0.0, &[f64::MAX, f64::MAX]).median, f64::MAX);
    }

    #[test]
    fn improvement_is_more_than_the_delta() {
        let falling = points(&[1.0, 0.5, 0.45, 0.41, f64::NAN, 0.6]);
        assert_eq!(since_improved(Goal::Min, &falling, 0.0), Some((3.0, 0.41)));
        // Small steps add up against the best that counted.
        assert_eq!(since_improved(Goal::Min, &falling, 0.07), Some((3.0, 0.41)));
        assert_eq!(since_improved(Goal::Min, &falling, 0.2), Some((1.0, 0.5)));
        assert_eq!(since_improved(Goal::Max, &falling, 0.0), Some((0.0, 1.0)));
        assert_eq!(since_improved(Goal::Max, &points(&[f64::NAN]), 0.0), None);
        assert_eq!(best_so_far(Goal::Max, &points(&[f64::NAN, 1.0, f64::INFINITY, 2.0])), Some(2.0));
        assert_eq!(best_so_far(Goal::Min, &points(&[])), None);
    }
}
