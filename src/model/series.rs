//! Points of a metric series and what is kept of a whole one.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{ExactSum, Micros};

/// Where on its axis a point was logged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub enum Step {
    /// No step was given.
    #[default]
    None,
    /// A whole step.
    At(i64),
    /// A step that is not a whole number, finite.
    Between(f64),
}

impl Step {
    /// Takes a step as a number; whole ones that fit become [`Step::At`]. `None` for NaN and infinities.
    pub fn from_number(x: f64) -> Option<Step> {
        if !x.is_finite() {
            None
        } else if x.fract() == 0.0 && x.abs() < 9.2e18 {
            Some(Step::At(x as i64))
        } else {
            Some(Step::Between(x))
        }
    }

    /// The column `step`.
    pub fn whole(self) -> Option<i64> {
        if let Step::At(step) = self { Some(step) } else { None }
    }

    /// The column `x`.
    pub fn fraction(self) -> Option<f64> {
        if let Step::Between(x) = self { Some(x) } else { None }
    }

    /// Reads back the columns `step` and `x`.
    pub fn from_columns(step: Option<i64>, x: Option<f64>) -> Step {
        match (step, x) {
            (Some(step), _) => Step::At(step),
            (None, Some(x)) => Step::Between(x),
            (None, None) => Step::None,
        }
    }

    // Whole part first, then the fraction: exact for integers beyond 2^53, which doubles would blur.
    fn order_key(self) -> (bool, i64, f64) {
        match self {
            Step::None => (false, 0, 0.0),
            Step::At(step) => (true, step, 0.0),
            Step::Between(x) => (true, x.floor() as i64, x - x.floor()),
        }
    }
}

impl From<i64> for Step {
    fn from(step: i64) -> Step {
        Step::At(step)
    }
}

/// A point's place among the points of its series: by step, then time, then value.
///
/// A point without a step comes before all that have one. NaN is the greatest value.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Position {
    /// Its step.
    pub step: Step,
    /// Its time.
    pub time: Micros,
    /// Its value.
    pub value: f64,
}

// Bitwise: a series that ends in NaN is the same as itself.
impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step && self.time == other.time && self.value.to_bits() == other.value.to_bits()
    }
}

impl Position {
    /// The order that makes one point the last, whatever order points arrive in.
    pub fn order(&self, other: &Position) -> Ordering {
        let (a, b) = (self.step.order_key(), other.step.order_key());
        a.0.cmp(&b.0)
            .then(a.1.cmp(&b.1))
            .then(a.2.total_cmp(&b.2))
            .then(self.time.cmp(&other.time))
            .then(self.value.total_cmp(&other.value))
    }
}

/// Everything `metric_stats` says of a series; two halves of a series merge to the same as the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesStats {
    first: Position,
    last: Position,
    min: Option<Extreme>,
    max: Option<Extreme>,
    count: u64,
    nan_count: u64,
    /// Count of +inf and of -inf.
    infinite: (u64, u64),
    /// Count of finite values too large to square; they are summed apart, scaled down.
    huge: u64,
    huge_sum: ExactSum,
    sum: ExactSum,
    squares: ExactSum,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Extreme {
    value: f64,
    step: Step,
}

const HUGE: f64 = 1e150;
// A power of two, so that scaling by it is exact.
const HUGE_SCALE: f64 = 1.0 / (1u128 << 100) as f64;

impl SeriesStats {
    /// The statistics of a series of one point.
    pub fn new(point: Position) -> Self {
        let mut stats = SeriesStats {
            first: point,
            last: point,
            min: None,
            max: None,
            count: 0,
            nan_count: 0,
            infinite: (0, 0),
            huge: 0,
            huge_sum: ExactSum::default(),
            sum: ExactSum::default(),
            squares: ExactSum::default(),
        };
        stats.add(point);
        stats
    }

    /// Adds a point.
    pub fn add(&mut self, point: Position) {
        self.widen(point, point);
        self.count += 1;
        let x = point.value;
        if x.is_nan() {
            self.nan_count += 1;
            return;
        }
        let extreme = Extreme { value: x, step: point.step };
        self.extremes(Some(extreme), Some(extreme));
        if x.is_infinite() {
            if x > 0.0 { self.infinite.0 += 1 } else { self.infinite.1 += 1 }
        } else if x.abs() > HUGE {
            self.huge += 1;
            self.huge_sum.add(x * HUGE_SCALE);
        } else {
            self.sum.add(x);
            self.squares.add_square(x);
        }
    }

    /// Adds all points of another part of the series.
    pub fn merge(&mut self, other: &SeriesStats) {
        self.widen(other.first, other.last);
        self.extremes(other.min, other.max);
        self.count += other.count;
        self.nan_count += other.nan_count;
        self.infinite.0 += other.infinite.0;
        self.infinite.1 += other.infinite.1;
        self.huge += other.huge;
        self.huge_sum.merge(&other.huge_sum);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    fn widen(&mut self, first: Position, last: Position) {
        if first.order(&self.first).is_lt() {
            self.first = first;
        }
        if last.order(&self.last).is_gt() {
            self.last = last;
        }
    }

    fn extremes(&mut self, min: Option<Extreme>, max: Option<Extreme>) {
        let by_step = |a: Step, b: Step| a.order_key().partial_cmp(&b.order_key()).unwrap_or(Ordering::Equal);
        // The first step that reached the extreme, and of -0.0 and 0.0 one fixed choice.
        if let Some(new) = min
            && self.min.is_none_or(|old| new.value.total_cmp(&old.value).then(by_step(new.step, old.step)).is_lt())
        {
            self.min = Some(new);
        }
        if let Some(new) = max
            && self.max.is_none_or(|old| old.value.total_cmp(&new.value).then(by_step(new.step, old.step)).is_lt())
        {
            self.max = Some(new);
        }
    }

    /// Value of the last point; `None` when it is NaN.
    pub fn last(&self) -> Option<f64> {
        Some(self.last.value).filter(|x| !x.is_nan())
    }

    /// Value of the first point; `None` when it is NaN.
    pub fn first(&self) -> Option<f64> {
        Some(self.first.value).filter(|x| !x.is_nan())
    }

    /// Step of the last point.
    pub fn last_step(&self) -> Option<i64> {
        self.last.step.whole()
    }

    /// Smallest value that is not NaN.
    pub fn min(&self) -> Option<f64> {
        self.min.map(|e| e.value)
    }

    /// Step of the smallest value, the first such step.
    pub fn min_step(&self) -> Option<i64> {
        self.min.and_then(|e| e.step.whole())
    }

    /// Greatest value that is not NaN.
    pub fn max(&self) -> Option<f64> {
        self.max.map(|e| e.value)
    }

    /// Step of the greatest value, the first such step.
    pub fn max_step(&self) -> Option<i64> {
        self.max.and_then(|e| e.step.whole())
    }

    /// Number of points, NaN included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Number of NaN points.
    pub fn nan_count(&self) -> u64 {
        self.nan_count
    }

    /// Arithmetic mean of the values that are not NaN, the true one rounded once or twice.
    pub fn mean(&self) -> Option<f64> {
        let n = self.count - self.nan_count;
        match self.infinite {
            _ if n == 0 => None,
            (0, 0) if self.huge == 0 => Some(self.sum.value() / n as f64),
            (0, 0) => Some(self.huge_sum.value() / n as f64 / HUGE_SCALE + self.sum.value() / n as f64),
            (_, 0) => Some(f64::INFINITY),
            (0, _) => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// Sample variance (divisor n - 1) of the values that are not NaN.
    ///
    /// `None` for fewer than two values, and where a double cannot hold it: an infinite value, or one beyond 1e150.
    pub fn variance(&self) -> Option<f64> {
        let n = (self.count - self.nan_count) as f64;
        if n < 2.0 || self.infinite != (0, 0) || self.huge > 0 {
            return None;
        }
        Some(ExactSum::scaled_variance(&self.sum, &self.squares, n).max(0.0) / n / (n - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(step: i64, value: f64) -> Position {
        Position { step: Step::At(step), time: Micros(0), value }
    }

    fn stats(points: &[Position]) -> SeriesStats {
        let mut s = SeriesStats::new(points[0]);
        points[1..].iter().for_each(|&p| s.add(p));
        s
    }

    #[test]
    fn a_series_that_ends_in_nan_has_no_last_value() {
        let s = stats(&[point(1, 0.5), point(2, f64::NAN)]);
        assert_eq!((s.last(), s.min(), s.count(), s.nan_count()), (None, Some(0.5), 2, 1));
        assert_eq!((s.mean(), s.variance()), (Some(0.5), None));
    }

    #[test]
    fn the_last_point_is_the_greatest_step_not_the_latest_call() {
        let s = stats(&[point(5, 1.0), point(9, 2.0), point(7, 3.0)]);
        assert_eq!((s.last(), s.last_step(), s.first()), (Some(2.0), Some(9), Some(1.0)));
        assert_eq!((s.max(), s.max_step()), (Some(3.0), Some(7)));
        assert_eq!(s.variance(), Some(1.0));
    }

    #[test]
    fn infinities_and_giants_do_not_poison_the_rest() {
        assert_eq!(stats(&[point(1, f64::INFINITY), point(2, 1.0)]).mean(), Some(f64::INFINITY));
        assert_eq!(stats(&[point(1, 1.7e308), point(2, 1.7e308)]).mean(), Some(1.7e308));
        assert_eq!(stats(&[point(1, 1e8 + 1.0), point(2, 1e8), point(3, 1e8 - 1.0)]).variance(), Some(1.0));
    }

    proptest! {
        #[test]
        fn parts_in_any_order_merge_to_the_whole(
            values in prop::collection::vec((any::<i8>(), prop_oneof![
                any::<f64>(), -10.0f64..10.0, Just(f64::NAN), Just(f64::INFINITY), Just(1e200)
            ]), 1..30),
            cut in 1usize..30,
        ) {
            let points: Vec<_> = values.iter().map(|&(s, v)| point(s.into(), v)).collect();
            let whole = stats(&points);
            let cut = cut.min(points.len());
            let mut right = points[cut..].first().map(|_| stats(&points[cut..]));
            let left = stats(&points[..cut]);
            let merged = match right.as_mut() { Some(r) => { r.merge(&left); r.clone() } None => left };
            let view = |s: &SeriesStats| format!("{:?}", (
                s.last(), s.first(), s.min(), s.max(), s.mean(), s.variance(), s.count(), s.nan_count(),
                s.last_step(), s.min_step(), s.max_step(),
            ));
            prop_assert_eq!(view(&merged), view(&whole));
        }
    }
}
