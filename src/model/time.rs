//! Points in time and the months that partition the tables.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a time; write it like 2026-11-23, 2026-11-23T09:30:00 or 2026-11-23T09:30:00.25+01:00")]
pub struct InvalidTime(pub String);

impl Micros {
    /// The system clock.
    pub fn now() -> Self {
        // A clock before 1970 is a machine that does not know the time; 0 keeps it ordered behind everything else.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros(since.as_micros() as i64)
    }

    /// Reads RFC 3339 text; a time without a zone is UTC, a date alone is its midnight.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let text = text.trim();
        if let Ok(t) = DateTime::parse_from_rfc3339(text) {
            return Ok(Micros(t.timestamp_micros()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(t) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Micros(t.and_utc().timestamp_micros()));
            }
        }
        if let Ok(t) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z") {
            return Ok(Micros(t.timestamp_micros()));
        }
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(d) => Ok(Micros(d.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())),
            Err(_) => Err(InvalidTime(text.chars().take(100).collect())),
        }
    }

    /// Takes seconds since 1970; fractions are rounded to microseconds.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let micros = (seconds * 1e6).round();
        // Years 0001 to 9999: what every reader of a Parquet timestamp can show.
        (micros.abs() < 2.5e17).then_some(Micros(micros as i64))
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// The month this falls into.
    pub fn month(self) -> Month {
        let t = self.utc();
        Month { year: t.year(), month: t.month() as u8 }
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// A calendar month (UTC), the partition of every table: that of a run's first record, for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i32,
    month: u8,
}

impl Month {
    /// Reads `2026-11`.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let bad = || InvalidTime(text.to_string());
        let (year, month) = text.rsplit_once('-').ok_or_else(bad)?;
        let (year, month) = (year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?);
        if (1..=12).contains(&month) { Ok(Month { year, month }) } else { Err(bad()) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl TryFrom<String> for Month {
    type Error = InvalidTime;
    fn try_from(text: String) -> Result<Self, InvalidTime> {
        Month::parse(&text)
    }
}

impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_zone() {
        let t = Micros::parse("2026-11-23T09:30:00.25Z").unwrap();
        assert_eq!(t, Micros::parse("2026-11-23 09:30:00.250000").unwrap());
        assert_eq!(t, Micros::parse("2026-11-23T10:30:00.25+01:00").unwrap());
        assert_eq!(t, Micros::from_seconds(t.0 as f64 / 1e6).unwrap());
        assert_eq!(t.month().to_string(), "2026-11");
        assert_eq!(Month::parse("2026-11"), Ok(t.month()));
        assert_eq!(Micros::parse(&t.to_string()), Ok(t));
        assert!(Micros::parse("yesterday").is_err());
        assert!(Micros::from_seconds(f64::NAN).is_none());
    }
}
