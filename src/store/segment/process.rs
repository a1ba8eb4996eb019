//! Which process this is, at the price of a read from memory.
//!
//! A writer asks with every record. The process id would tell a child from its parent too, and costs a system call (100 ns, a
//! tenth of logging a metric). So the system's library is asked once to count forks in the child. It is not told of a bare
//! `clone` or `_Fork`, which no runtime of a training script uses for a process that goes on with its memory.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Forks between the first question and this process.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Whether they are counted. No cell that a thread fills while others wait: a child could find it half filled for ever. Two
/// threads that ask first have each fork counted twice, which does no harm.
static COUNTED: AtomicU8 = AtomicU8::new(NOT_ASKED);
const NOT_ASKED: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// A number that a forked child does not share with its parent or any process before.
pub fn this() -> u64 {
    let mut counted = COUNTED.load(Ordering::Relaxed);
    if counted == NOT_ASKED {
        let found = if count() { YES } else { NO };
        // What the first one found holds for all.
        let before = COUNTED.compare_exchange(NOT_ASKED, found, Ordering::Relaxed, Ordering::Relaxed);
        counted = before.err().unwrap_or(found);
    }
    match counted {
        YES => FORKS.load(Ordering::Relaxed),
        _ => std::process::id().into(),
    }
}

/// Has forks counted; whether the system agreed.
#[cfg(unix)]
fn count() -> bool {
    unsafe extern "C" fn child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only adds to an atomic number, which is allowed in a child of a process with threads.
    unsafe { libc::pthread_atfork(None, None, Some(child)) == 0 }
}

#[cfg(not(unix))]
fn count() -> bool {
    true
}
