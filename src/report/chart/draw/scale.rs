//! From values to places along an axis, and the ticks there.

use super::super::Axis;
use super::time;

/// A mark at an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub label: String,
    /// A second line: the day or the year, where it changes.
    pub below: Option<String>,
}

/// An axis that reaches just as far as what it shows.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Ends of the axis; their logarithms where it is logarithmic.
    least: f64,
    most: f64,
    log: bool,
    time: bool,
    /// Whether all values are whole numbers, or days, so that no others are at the ticks.
    whole: bool,
    /// The value of an axis that has only one.
    only: Option<f64>,
    /// Places of both ends in pixels.
    from: f64,
    to: f64,
}

impl Scale {
    /// Fits an axis to values, with so large a part of their range free at each end.
    pub fn fit(values: impl Iterator<Item = f64>, axis: &Axis, free: f64) -> Scale {
        let (mut least, mut most, mut whole) = (f64::INFINITY, f64::NEG_INFINITY, true);
        let mut days = true;
        for value in values.filter(|x| x.is_finite() && !(axis.log && *x <= 0.0)) {
            (least, most) = (least.min(value), most.max(value));
            whole &= value.fract() == 0.0;
            days &= value % 86_400.0 == 0.0;
        }
        if least > most {
            (least, most) = (if axis.log { 1.0 } else { 0.0 }, 1.0);
        }
        let only = (least == most).then_some(least);
        let ends = match (axis.log, only) {
            (true, Some(x)) => (x.log10() - 0.15, x.log10() + 0.15),
            (true, None) => {
                let (a, b) = (least.log10(), most.log10());
                (a - (b - a) * free, b + (b - a) * free)
            }
            (false, Some(x)) => {
                let around = match (axis.time, whole) {
                    (true, _) => 1.0,
                    (false, true) => (x.abs() * 0.1).max(1.0),
                    (false, false) => x.abs() * 0.1,
                };
                (x - around, x + around)
            }
            (false, None) => {
                let room = (most / 2.0 - least / 2.0) * 2.0_f64.min(f64::MAX / most.abs().max(least.abs())) * free;
                (least - room, most + room)
            }
        };
        let mut scale = Scale {
            least: ends.0.max(-f64::MAX),
            most: ends.1.min(f64::MAX),
            log: axis.log,
            time: axis.time,
            whole: match axis.time {
                true => days,
                false => whole && !axis.log && (only.is_some() || most - least >= 2.0),
            },
            only: only.filter(|_| axis.time),
            from: 0.0,
            to: 1.0,
        };
        if !axis.log && !axis.time {
            // No value is beyond 0, nor a share above 1, so the axis is not either.
            if least >= 0.0 {
                scale.least = scale.least.max(0.0);
            }
            if most <= 0.0 && least < 0.0 {
                scale.most = scale.most.min(0.0);
            }
            if most <= 1.0 {
                scale.most = scale.most.min(1.0);
            }
        }
        scale
    }

    /// The same from one pixel to another.
    pub fn between(self, from: f64, to: f64) -> Scale {
        Scale { from, to, ..self }
    }

    pub fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Where a value is, in pixels; what is beyond an end is at the end.
    pub fn at(&self, x: f64) -> f64 {
        let x = match self.log {
            true if x <= 0.0 => self.least,
            true => x.log10(),
            false => x,
        };
        let share = (x / 2.0 - self.least / 2.0) / (self.most / 2.0 - self.least / 2.0);
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// At most so many ticks.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        if self.time {
            return match self.only {
                Some(at) => time::only(at),
                None => time::ticks(self.least, self.most, most, self.whole),
            };
        }
        // Two of three ticks of a logarithmic axis are close to each other.
        let values = if self.log { self.decades(most + most / 2) } else { self.even(self.least, self.most, most) };
        let labels = if self.log { values.iter().map(|x| number(*x)).collect() } else { labels(&values) };
        values.into_iter().zip(labels).map(|(at, label)| Tick { at, label, below: None }).collect()
    }

    /// Round values that are equally far apart.
    fn even(&self, least: f64, most: f64, count: usize) -> Vec<f64> {
        let span = most - least;
        let rough = (if span.is_finite() { span } else { f64::MAX }) / count.max(1) as f64;
        if !rough.is_normal() {
            return vec![least];
        }
        let mut power = 10_f64.powf(rough.log10().floor());
        if self.whole && power < 1.0 {
            power = 1.0;
        }
        for step in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].map(|n| n * power) {
            let (first, last) = ((least / step - 1e-6).ceil(), (most / step + 1e-6).floor());
            if step.is_finite() && last - first < count as f64 {
                // One that is written as a decimal number, not a product that is nearly one.
                let value = |i: f64| if step < 1.0 { i / (1.0 / step).round() } else { i * step };
                let exact = step > 1e-15;
                return (0..=(last - first) as usize)
                    .map(|i| first + i as f64)
                    .map(|i| if exact { value(i) } else { i * step })
                    .collect();
            }
        }
        vec![least]
    }

    /// Round values of a logarithmic axis: powers of ten with 2 and 5 between, every so many powers, or, where the axis is
    /// shorter than that, values equally far apart.
    fn decades(&self, count: usize) -> Vec<f64> {
        let within = |x: &f64| x.is_finite() && (self.least - 1e-9..=self.most + 1e-9).contains(&x.log10());
        let (first, last) = (self.least.floor() as i32, self.most.ceil() as i32);
        let dense: Vec<f64> = (first..=last)
            .take(40)
            .flat_map(|e| [1.0, 2.0, 5.0].map(|n| format!("{n}e{e}").parse().unwrap_or(f64::NAN)))
            .filter(within)
            .collect();
        if self.most - self.least < 0.8 && dense.len() < count.min(4) {
            return self.even(10_f64.powf(self.least), 10_f64.powf(self.most), count);
        }
        if dense.len() <= count && last - first < 40 {
            return dense;
        }
        for every in [1, 2, 3, 5, 10, 20, 50, 100, 200] {
            let powers = (first..=last).filter(|e| e.rem_euclid(every) == 0);
            let found: Vec<f64> = powers.map(|e| format!("1e{e}").parse().unwrap_or(f64::NAN)).filter(within).collect();
            if found.len() <= count {
                return found;
            }
        }
        Vec::new()
    }
}

/// Equally distant numbers with as many digits as tell them apart, and no more.
fn labels(values: &[f64]) -> Vec<String> {
    let largest = values.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
    let step = match values {
        [a, b, ..] => (b - a).abs(),
        _ => return values.iter().map(|x| number(*x)).collect(),
    };
    // A step of 0.15 does not come to be, so its first digit is enough.
    let place = |x: f64| if x > 0.0 { (x * (1.0 + 1e-9)).log10().floor() as i32 } else { 0 };
    let decimals = (-place(step)).max(0) as usize;
    if (1e-4..1e10).contains(&largest) && decimals < 9 {
        return values
            .iter()
            .map(|x| if *x == 0.0 { "0".to_string() } else { grouped(*x, decimals, largest) })
            .collect();
    }
    let scientific = |x: &f64| {
        let digits = (place(x.abs()) - place(step)).clamp(0, 15) as usize;
        // Beside 8e149 it is 1e150.
        if *x == 0.0 { "0".to_string() } else { minus(format!("{x:.digits$e}").replace(".0e", "e")) }
    };
    values.iter().map(scientific).collect()
}

/// A number with its thousands apart, where that helps.
fn grouped(x: f64, decimals: usize, largest: f64) -> String {
    let text = format!("{:.decimals$}", x.abs());
    let (whole, part) = text.split_once('.').map_or((text.as_str(), ""), |(whole, part)| (whole, part));
    let comma = |i: usize| largest >= 1e5 && i > 0 && (whole.len() - i).is_multiple_of(3);
    let whole: String =
        whole.chars().enumerate().flat_map(|(i, c)| comma(i).then_some(',').into_iter().chain([c])).collect();
    let sign = if x < 0.0 { "−" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// A number of its own: four digits are enough, and no zeros behind them.
pub fn number(x: f64) -> String {
    digits(x, 4)
}

/// A number of so many digits, without zeros behind them.
pub fn digits(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_string();
    }
    let rounded: f64 = format!("{x:.*e}", digits - 1).parse().unwrap_or(x);
    let size = rounded.abs();
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{rounded:.*e}", digits - 1);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let short =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        return minus(format!("{short}e{exponent}"));
    }
    let decimals = (digits as i32 - 1 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{rounded:.decimals$}");
    minus(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text })
}

/// With the sign that is as wide as a digit.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(log: bool) -> Axis {
        Axis { label: String::new(), log, time: false }
    }

    fn told(least: f64, most: f64, log: bool, count: usize) -> String {
        let scale = Scale::fit([least, most].into_iter(), &axis(log), 0.0);
        scale.ticks(count).iter().map(|tick| tick.label.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_can_be_told_apart() {
        assert_eq!(told(0.0, 1.0, false, 6), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(told(-0.01, 0.013, false, 5), "−0.010 −0.005 0 0.005 0.010");
        assert_eq!(told(1_234_567.0, 1_234_767.0, false, 5), "1,234,600 1,234,650 1,234,700 1,234,750");
        assert_eq!(told(1e6, 1e6 + 0.04, false, 5), "1,000,000.00 1,000,000.01 1,000,000.02 1,000,000.03 1,000,000.04");
        assert_eq!(told(0.0, 4e-299, false, 5), "0 1e−299 2e−299 3e−299 4e−299");
        assert_eq!(told(1e15, 1.00001e15, false, 3), "1.000000e15 1.000005e15 1.000010e15");
        assert_eq!(told(2e149, 1e150, false, 5), "2e149 4e149 6e149 8e149 1e150");
        assert_eq!(told(0.0, 3.0, false, 8), "0 1 2 3", "there is no half run");
        assert_eq!(told(-1e308, 1e308, false, 3), "−1e308 0 1e308");
        for (least, most) in [(0.0, 5e-324), (1.0, 1.0 + f64::EPSILON), (-f64::MAX, f64::MAX), (1e300, 1e301)] {
            let ticks = Scale::fit([least, most].into_iter(), &axis(false), 0.05).ticks(6);
            assert!(ticks.len() <= 6, "{least} {most}: {ticks:?}");
        }
    }

    #[test]
    fn logarithmic_axes_end_where_their_values_do() {
        assert_eq!(told(0.981, 0.985, true, 4), "0.981 0.982 0.983 0.984 0.985");
        assert_eq!(told(1e-3, 1.0, true, 7), "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1");
        assert_eq!(told(1e-3, 1.0, true, 5), "0.001 0.01 0.1 1");
        assert_eq!(told(1e-150, 1e150, true, 5), "1e−150 1e−100 1e−50 1 1e50 1e100 1e150");
        assert_eq!(told(3.0, 8.0, true, 4), "3 4 5 6 7 8");
        let scale = Scale::fit([1e-3, 1.0, 0.0, -4.0].into_iter(), &axis(true), 0.0).between(0.0, 300.0);
        let places = [1e-3, 1e-2, 1.0, -1.0, 7.0].map(|x| scale.at(x).round());
        assert_eq!(places, [0.0, 100.0, 300.0, 0.0, 300.0]);
    }

    #[test]
    fn an_axis_does_not_reach_beyond_what_can_be() {
        let ends = |a: f64, b: f64| {
            let scale = Scale::fit([a, b].into_iter(), &axis(false), 0.05);
            (scale.least, scale.most)
        };
        assert_eq!(ends(0.0, 0.99), (0.0, 1.0));
        assert_eq!(ends(-5.0, -1.0).1, -0.8);
        assert_eq!(ends(-5.0, -0.01).1, 0.0);
        assert_eq!(ends(1.0, 1.0), (0.0, 1.0));
        assert!(ends(2.0, 2.0).0 < 2.0 && ends(0.0, 0.0).1 > 0.0);
    }
}
