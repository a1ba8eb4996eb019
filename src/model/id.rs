//! Names of things: runs, experiments, writers.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::unique::uuid_v7;

/// Names one run: 1 to 128 characters out of `A-Z a-z 0-9 . _ -`, the first a letter or a digit.
///
/// New ids are UUIDv7 in 32 hex digits, so that they sort by creation; ids of imported runs are kept as they are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

/// Text that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' cannot be a run id: it takes 1 to 128 characters out of A-Z a-z 0-9 . _ -, the first a letter or a digit"
)]
pub struct InvalidRunId(pub String);

impl RunId {
    /// Makes a fresh id out of the clock and random bits.
    pub fn generate() -> Self {
        RunId(format!("{:032x}", uuid_v7()).into())
    }

    /// Takes over an id that exists already.
    pub fn parse(text: &str) -> Result<Self, InvalidRunId> {
        let valid = (1..=128).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if valid { Ok(RunId(text.into())) } else { Err(InvalidRunId(text.chars().take(200).collect())) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RunId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;
    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        RunId::parse(&text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one experiment for life; its name may change, this does not.
///
/// The id is derived from the name at first use, so that writers that do not know of each other agree on it. After a
/// rename the old name may be used again: the next free number of that name is taken then.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExperimentId(Arc<str>);

impl ExperimentId {
    /// The id of the `nth` (from 0) experiment that was first called `name`.
    pub fn derive(name: &str, nth: u32) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(name.as_bytes());
        if nth > 0 {
            hash.update(&[0]);
            hash.update(&nth.to_le_bytes());
        }
        ExperimentId(hash.finalize().to_hex()[..16].into())
    }

    /// An id read back from a table.
    pub fn from_stored(text: &str) -> Self {
        ExperimentId(text.into())
    }

    /// The id as text: 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one writer: a store handle in one process. A fork and a reopened store are new writers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriterId(pub u128);

// Hex in JSON, whose numbers other readers hold in doubles.
impl Serialize for WriterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u128(self.0) }
    }
}

impl<'de> Deserialize<'de> for WriterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            WriterId::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("'{text}' is not a writer id")))
        } else {
            u128::deserialize(deserializer).map(WriterId)
        }
    }
}

impl WriterId {
    /// Makes a fresh id out of the clock and random bits.
    pub fn generate() -> Self {
        WriterId(uuid_v7())
    }

    /// Reads back the 32 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(WriterId)
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Micros;

    #[test]
    fn run_ids_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "-rf", "a b", "ä", &"x".repeat(129)] {
            assert!(RunId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["0", "RUN-1", "a.b_c-d", &"x".repeat(128)] {
            assert_eq!(RunId::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn new_ids_are_uuids_that_sort_by_creation() {
        let ids: Vec<_> = (0..2000).map(|_| RunId::generate()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let id = uuid::Uuid::parse_str(ids[0].as_str()).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        let seconds = id.get_timestamp().unwrap().to_unix().0 as i64;
        assert!((Micros::now().0 / 1_000_000 - seconds).abs() < 10);
    }

    #[test]
    fn a_reused_experiment_name_gets_another_id() {
        assert_ne!(ExperimentId::derive("wine", 0), ExperimentId::derive("wine", 1));
        assert_eq!(ExperimentId::derive("wine", 0), ExperimentId::derive("wine", 0));
    }
}
