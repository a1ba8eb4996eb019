//! Names that nobody else takes, without asking anybody.
//!
//! The bits come from the system each time. A generator inside the process would be copied by a fork, and two children
//! would then give the same names; so would a library's clock, whose lock a thread of the parent may hold at the fork.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Micros;

/// 128 random bits.
///
/// # Panics
/// When the system gives no random bits, with which no store could be written safely.
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::getrandom(&mut bytes).expect("the system gives random bits");
    u128::from_ne_bytes(bytes)
}

/// A random name: 32 hex digits.
pub fn name() -> String {
    format!("{:032x}", random())
}

/// A `UUIDv7`, later ones of a process greater than earlier ones.
pub fn uuid_v7() -> u128 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // 48 bits of milliseconds, then 12 bits for parts of one.
    let micros = Micros::now().0.max(0) as u64;
    let now = (micros / 1000) << 12 | (micros % 1000) << 2;
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    let ticks = last.map_or(now, |last| now.max(last + 1)) as u128;
    let random = random() & ((1 << 62) - 1);
    (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xfff) << 64 | 0b10 << 62 | random
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, WriterId};

    /// The random bits of a run's id, of a writer's, and of a name.
    fn bits() -> [u64; 3] {
        let run = u128::from_str_radix(RunId::generate().as_str(), 16).unwrap();
        let name = u128::from_str_radix(&name(), 16).unwrap();
        [run, WriterId::generate().0, name].map(|id| id as u64)
    }

    #[cfg(unix)]
    fn bits_of_a_child() -> [u64; 3] {
        let mut ends = [0; 2];
        let mut found = [0_u64; 3];
        let size = size_of_val(&found);
        // SAFETY: the child allocates, which the system's library allows after a fork, writes to the pipe, and leaves.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let pid = libc::fork();
            if pid == 0 {
                let bits = bits();
                let written = libc::write(ends[1], bits.as_ptr().cast(), size);
                libc::_exit(i32::from(written != size as isize));
            }
            assert!(pid > 0);
            libc::close(ends[1]);
            assert_eq!(libc::read(ends[0], found.as_mut_ptr().cast(), size), size as isize);
            libc::close(ends[0]);
            assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), 0), pid);
        }
        found
    }

    #[cfg(unix)]
    #[test]
    fn forked_children_give_names_of_their_own() {
        // A generator inside the process is seeded at its first use: the children are to find it so.
        bits();
        let (one, other) = (bits_of_a_child(), bits_of_a_child());
        for (one, other) in one.iter().zip(other) {
            assert_ne!(*one, other);
        }
    }
}
