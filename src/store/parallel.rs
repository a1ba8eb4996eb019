//! Plain threads for work that would hold up an async runtime: on data in memory, or waiting for a disk.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Most threads at once: more gain little where memory is what limits.
const MOST: usize = 8;
/// Threads that wait for a disk: syncs that are asked for at once, it does at once.
const WAITING: usize = 16;

/// `work(0)` to `work(n - 1)` on as many threads as there are cores; the results in that order.
pub fn each<R: Send>(n: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    shared_out(cores.min(MOST), n, work)
}

/// Like [`each`], for work that waits for a disk most of the time.
pub fn each_waiting<R: Send>(n: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    shared_out(WAITING, n, work)
}

fn shared_out<R: Send>(threads: usize, n: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let threads = threads.min(n);
    if threads <= 1 {
        return (0..n).map(work).collect();
    }
    // Tasks differ in size, so each thread takes the next one when it is done with its last.
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return done;
            }
            done.push((i, work(i)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut all = take();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_order() {
        assert_eq!(super::each(1000, |i| i * i), (0..1000).map(|i| i * i).collect::<Vec<_>>());
        assert_eq!(super::each_waiting(100, |i| i), (0..100).collect::<Vec<_>>());
        assert!(super::each(0, |i| i).is_empty());
    }
}
