//! The order of writes.

use serde::{Deserialize, Serialize};

use super::{Micros, WriterId};

/// When something was written, and by whom; of two writes to one place the greater version wins.
///
/// Within a writer the sequence decides, since a writer's time never runs backwards; between writers the clock does,
/// then the writer's id, so that every reader settles a tie the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// The writer's clock, never before that of its previous record.
    pub time: Micros,
    /// Who wrote it.
    pub writer: WriterId,
    /// Number of the record within its writer, from 0.
    pub sequence: u64,
}

impl Version {
    /// Before every real write.
    pub const ZERO: Version = Version { time: Micros(i64::MIN), writer: WriterId(0), sequence: 0 };
}
