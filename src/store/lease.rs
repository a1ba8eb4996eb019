//! Readers say which state they read, so that cleaning up leaves its files alone.
//!
//! A lease is a locked file under `live/readers/` that is named after the state. A reader takes it first and then looks
//! whether the state is still there; whoever cleans up first takes the state away and then looks for leases. So one of
//! the two sees the other.
//!
//! Where no file can be made (a store that may only be read) or locks do not reach (another host, an object store) there
//! is no lease, and a reader is safe for as long as the retention says.

use std::fmt::Debug;
use std::sync::Arc;

use super::error::{Result, StoreError};
use super::io::Io;
use super::layout;
use crate::model::{Micros, unique};

/// The hold of a reader on a state; dropping it ends it.
#[derive(Debug)]
pub struct Lease {
    io: Arc<dyn Io>,
    path: String,
    _lock: Box<dyn Debug + Send + Sync>,
}

impl Lease {
    /// Takes a hold on state `n`; `None` where that cannot be.
    pub fn take(io: &Arc<dyn Io>, n: u64) -> Option<Lease> {
        let path = layout::reader(n, &unique::name());
        let lock = io.lock(&path, false).ok()??;
        Some(Lease { io: Arc::clone(io), path, _lock: lock })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // One that is left is not locked, and removed by whoever cleans up.
        let _ = self.io.remove(&self.path);
    }
}

/// A lease is locked just after its file is made.
const BEING_MADE: i64 = 60 * 1_000_000;

/// The oldest state that a reader holds. Leases of readers that are gone are removed.
pub fn oldest(io: &dyn Io) -> Result<Option<u64>> {
    let mut oldest: Option<u64> = None;
    for entry in io.list(layout::READERS).map_err(StoreError::io(layout::READERS))? {
        let Some(n) = layout::reader_state(&entry.name) else { continue };
        let path = format!("{}/{}", layout::READERS, entry.name);
        let held = match io.is_locked(&path) {
            Ok(locked) => locked || Micros::now().0 - entry.stat.modified.0 < BEING_MADE,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StoreError::io(path)(e)),
        };
        if held {
            oldest = Some(oldest.map_or(n, |oldest| oldest.min(n)));
        } else {
            let _ = io.remove(&path);
        }
    }
    Ok(oldest)
}
