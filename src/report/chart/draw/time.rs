//! Ticks of an axis of times, in UTC.

use chrono::{DateTime, Datelike, NaiveDate};

use super::scale::Tick;

/// From one tick to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Within a day.
    Micros(i64),
    Days(i64),
    Months(i32),
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Step {
    fn all() -> impl Iterator<Item = Step> {
        let parts = (0..6).flat_map(|power| [1, 2, 5].map(|n| Step::Micros(n * 10_i64.pow(power))));
        let seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
        let days = [1, 2, 4, 7, 14].map(Step::Days);
        let months = [1, 2, 3, 6].map(Step::Months);
        let years = (0..6).flat_map(|power| [1, 2, 5].map(|n| Step::Months(12 * n * 10_i32.pow(power))));
        parts.chain(seconds.map(|s| Step::Micros(s * SECOND))).chain(days).chain(months).chain(years)
    }

    /// About how long it is.
    fn micros(self) -> i64 {
        match self {
            Step::Micros(n) => n,
            Step::Days(n) => n * DAY,
            Step::Months(n) => i64::from(n) * 2_629_746 * SECOND,
        }
    }

    /// The ticks within a range.
    fn ticks(self, from: i64, to: i64) -> Vec<i64> {
        // The first day of 1970 was a Thursday; weeks begin on Mondays.
        let even = |step: i64, shift: i64| {
            let first = from + (shift - from).rem_euclid(step);
            (0..).map(move |i| first + i * step).take_while(move |at| *at <= to).collect()
        };
        match self {
            Step::Micros(n) => even(n, 0),
            Step::Days(n @ (7 | 14)) => even(n * DAY, 4 * DAY),
            Step::Days(n) => even(n * DAY, 0),
            Step::Months(n) => {
                let Some(begin) = date(from) else { return Vec::new() };
                let month = (begin.year() * 12 + begin.month0() as i32).div_euclid(n) * n;
                let nth = |i: i32| {
                    let month = month + i * n;
                    NaiveDate::from_ymd_opt(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)
                };
                let micros = |date: NaiveDate| i64::from(date.to_epoch_days()) * DAY;
                (0..).map_while(nth).map(micros).skip_while(|at| *at < from).take_while(|at| *at <= to).collect()
            }
        }
    }
}

fn date(micros: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(micros).map(|time| time.date_naive())
}

/// Ticks between two times in seconds since 1970, at most so many, at days only where nothing lies between them.
pub fn ticks(from: f64, to: f64, most: usize, days: bool) -> Vec<Tick> {
    let micros = |seconds: f64| (seconds * 1e6).clamp(-4e18, 4e18).round() as i64;
    let (from, to) = (micros(from), micros(to));
    let enough = |step: &Step| (to - from) / step.micros() < most as i64 && !(days && matches!(step, Step::Micros(_)));
    let Some((step, places)) =
        Step::all().filter(enough).map(|step| (step, step.ticks(from, to))).find(|(_, places)| places.len() <= most)
    else {
        return Vec::new();
    };
    let mut before: Option<NaiveDate> = None;
    let tick = |micros: i64| {
        let time = DateTime::from_timestamp_micros(micros)?;
        let day = time.date_naive();
        let last = before.replace(day);
        let year = || last.is_none_or(|last| last.year() != day.year()).then(|| day.year().to_string());
        let (label, below) = match step {
            Step::Micros(step) => {
                let form = match step {
                    s if s < 1000 => "%H:%M:%S%.6f",
                    s if s < SECOND => "%H:%M:%S%.3f",
                    s if s < 60 * SECOND => "%H:%M:%S",
                    _ => "%H:%M",
                };
                let below = match last {
                    None => Some(day.format("%b %-d, %Y").to_string()),
                    Some(last) if last != day => Some(day.format("%b %-d").to_string()),
                    Some(_) => None,
                };
                (time.format(form).to_string(), below)
            }
            Step::Days(_) => (day.format("%b %-d").to_string(), year()),
            Step::Months(n) if n < 12 => (day.format("%b").to_string(), year()),
            Step::Months(_) => (day.year().to_string(), None),
        };
        Some(Tick { at: micros as f64 / 1e6, label, below })
    };
    places.into_iter().filter_map(tick).collect()
}

/// The only time of an axis.
pub fn only(at: f64) -> Vec<Tick> {
    let Some(time) = DateTime::from_timestamp_micros((at * 1e6).round() as i64) else { return Vec::new() };
    let midnight = time.time() == chrono::NaiveTime::MIN;
    let form = if midnight { "%b %-d, %Y" } else { "%H:%M:%S" };
    let below = (!midnight).then(|| time.format("%b %-d, %Y").to_string());
    vec![Tick { at, label: time.format(form).to_string(), below }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: f64 = 3600.0;
    const DAYS: f64 = 86_400.0;

    #[test]
    fn every_range_has_some_ticks_and_not_too_many() {
        let start = 1_790_000_000.0;
        let mut range = 1e-4;
        while range < 3e11 {
            for most in [3, 4, 8] {
                let found = ticks(start, start + range, most, false);
                assert!((1..=most).contains(&found.len()), "{range} {most}: {found:?}");
                assert!(
                    found[0].label.len() >= 3 && (found[0].below.is_some() || found[0].label.parse::<i32>().is_ok()),
                    "{found:?}"
                );
            }
            range *= 1.7;
        }
    }

    #[test]
    fn labels_say_what_changes_and_what_does_not() {
        let told = |from: f64, range: f64, most| {
            let text = |tick: &Tick| match &tick.below {
                Some(below) => format!("{} / {below}", tick.label),
                None => tick.label.clone(),
            };
            ticks(from, from + range, most, false).iter().map(text).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told(0.0, HOUR, 5), "00:00 / Jan 1, 1970, 00:15, 00:30, 00:45, 01:00");
        assert_eq!(told(DAYS - HOUR, 2.0 * HOUR, 3), "23:00 / Jan 1, 1970, 00:00 / Jan 2, 01:00");
        assert_eq!(told(0.0, 60.0 * DAYS, 6), "Jan 5 / 1970, Jan 19, Feb 2, Feb 16, Mar 2");
        assert_eq!(told(300.0 * DAYS, 400.0 * DAYS, 5), "Jan / 1971, Apr, Jul, Oct");
        assert_eq!(told(0.0, 3650.0 * DAYS, 6), "1970, 1972, 1974, 1976, 1978");
        assert_eq!(only(0.0)[0].label, "Jan 1, 1970");
        assert_eq!(only(61.0)[0].label, "00:01:01");
    }
}
