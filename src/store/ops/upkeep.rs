//! What keeps a store fast over the years, done by whoever seals, now and then and after the seal: small files are joined
//! where they pile up, and states beyond the retention go.
//!
//! Nothing rests on it, and no seal waits for it: it is done without the lock of sealing.

use super::compact::{Join, compact};
use super::gc::expire;
use super::{CompactReport, Tables};
use crate::model::Micros;
use crate::store::error::{Result, StoreError};
use crate::store::layout;

/// How much is kept, and how often that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// States younger than this many microseconds stay readable.
    pub keep: Micros,
    /// So many of the newest stay in any case.
    pub states: usize,
    /// More than so many do not stay, however young: each has a file or two in every table that it changed.
    pub most_states: usize,
    /// Operations between two looks for small files.
    pub compact_every: u64,
    /// Operations between two looks for old states.
    pub expire_every: u64,
}

impl Default for Upkeep {
    fn default() -> Self {
        let keep = super::GcOptions::default().keep;
        Upkeep { keep, states: 100, most_states: 256, compact_every: super::SMALL_FILES as u64, expire_every: 64 }
    }
}

impl Upkeep {
    /// None at all.
    #[cfg(test)]
    pub fn never() -> Self {
        Upkeep { compact_every: u64::MAX, expire_every: u64::MAX, ..Upkeep::default() }
    }
}

/// Does what is due after operations `before` + 1 to `after`. One process at a time; others go on.
pub async fn upkeep(tables: &Tables, options: Upkeep, before: u64, after: u64) -> Result<CompactReport> {
    let due = |every: u64| after / every != before / every;
    let mut report = CompactReport::default();
    if !due(options.compact_every) && !due(options.expire_every) {
        return Ok(report);
    }
    let lock = tables.io.lock(layout::COMPACT_LOCK, false).map_err(StoreError::io(layout::COMPACT_LOCK))?;
    let Some(_lock) = lock else { return Ok(report) };
    if due(options.compact_every) {
        report = compact(tables, Join::Piles).await?;
    }
    if due(options.expire_every) {
        expire(tables, options.keep, options.states..=options.most_states).await?;
    }
    Ok(report)
}
