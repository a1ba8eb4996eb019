//! How much memory statements take in truth.
//!
//! The engine counts what it sorts, groups and joins by, and not what a window holds, what a join collects of rows without
//! columns, or what a function makes of a few bytes. So whoever waits for a statement also looks at what the process holds.

use std::time::{Duration, Instant};

use super::error::QueryError;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(50);
/// What footers, batches on their way and the statement's own text may take beside what is counted; half of that where it is more.
const BESIDE: u64 = 256 << 20;

/// Looks at the memory of the process while a statement runs.
#[derive(Debug)]
pub struct MemoryWatch {
    before: u64,
    allowed: u64,
    looked: Instant,
}

impl MemoryWatch {
    /// From now on the process may grow by so many bytes, and what is not worth counting.
    pub fn new(allowed: usize) -> MemoryWatch {
        MemoryWatch { before: held().unwrap_or(0), allowed: allowed as u64, looked: Instant::now() }
    }

    /// Does a part of the work; ends it when the process has grown too large. To be polled by another thread than those that do
    /// the work. Where the system does not tell, it just waits.
    ///
    /// # Errors
    /// [`QueryError::Memory`]; the statement is to be dropped then.
    pub async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Result<T, QueryError> {
        let mut work = std::pin::pin!(work);
        loop {
            let done = tokio::time::timeout(PAUSE, work.as_mut()).await;
            if done.is_err() || self.looked.elapsed() >= PAUSE {
                self.looked = Instant::now();
                self.check(held().unwrap_or(0))?;
            }
            if let Ok(done) = done {
                return Ok(done);
            }
        }
    }

    fn check(&self, held: u64) -> Result<(), QueryError> {
        let taken = held.saturating_sub(self.before);
        match taken > self.allowed.saturating_add(BESIDE.max(self.allowed / 2)) {
            true => Err(QueryError::Memory { taken, allowed: self.allowed }),
            false => Ok(()),
        }
    }
}

/// Bytes of memory that this process has in use, without files.
fn held() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_when_the_process_grows_beyond_what_is_allowed_and_what_is_beside_it() {
        let held_now = held();
        assert!(held_now.is_none_or(|held| held > 1 << 20), "{held_now:?}");
        let watch = |before, allowed| MemoryWatch { before, allowed, looked: Instant::now() };
        let memory = watch(100, 1000);
        assert!(memory.check(0).is_ok() && memory.check(100 + 1000 + BESIDE).is_ok());
        let e = memory.check(101 + 1000 + BESIDE).unwrap_err();
        assert!(matches!(e, QueryError::Memory { allowed: 1000, .. }), "{e}");
        let large = watch(0, 4 << 30);
        assert!(large.check(6 << 30).is_ok() && large.check((6 << 30) + 1).is_err());
        assert_eq!(MemoryWatch::new(1 << 40).bound(async { 7 }).await.unwrap(), 7);
        if held_now.is_some() {
            let large = vec![1u8; (BESIDE as usize) * 2];
            let e = watch(0, 0).bound(std::future::pending::<()>()).await.unwrap_err();
            assert!(matches!(e, QueryError::Memory { allowed: 0, .. }), "{e} with {} bytes", large.len());
            // Work that never takes long is looked at too.
            let mut none = watch(0, 0);
            let mut rounds = 0..1000;
            let ended = loop {
                rounds.next().expect("it was looked at");
                if let Err(e) = none.bound(tokio::time::sleep(Duration::from_millis(1))).await {
                    break e;
                }
            };
            assert!(matches!(ended, QueryError::Memory { .. }), "{ended}");
        }
    }
}
