//! Medians, of one thing and of two in turn.

use std::time::{Duration, Instant};

/// How long something takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// The median of several times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Two things that were timed in turn.
pub struct Pair {
    pub ours: Duration,
    pub theirs: Duration,
    /// Median over the rounds of ours divided by theirs.
    pub ratio: f64,
}

/// Times two things in turn, after one round that does not count.
pub fn pair(rounds: usize, mut ours: impl FnMut() -> Duration, mut theirs: impl FnMut() -> Duration) -> Pair {
    ours();
    theirs();
    let times: Vec<(Duration, Duration)> = (0..rounds)
        .map(|round| {
            // Who goes first changes: the second finds the caches as the first left them.
            if round % 2 == 0 {
                let ours = ours();
                (ours, theirs())
            } else {
                let theirs = theirs();
                (ours(), theirs)
            }
        })
        .collect();
    let mut ratios: Vec<f64> = times.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    Pair {
        ours: median(times.iter().map(|t| t.0).collect()),
        theirs: median(times.iter().map(|t| t.1).collect()),
        ratio: ratios[ratios.len() / 2],
    }
}

/// A time for people.
pub fn shown(time: Duration) -> String {
    match time.as_nanos() as f64 {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} us", n / 1e3),
        n if n < 1e9 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

impl Pair {
    /// Both times and the ratio, for people.
    pub fn shown(&self) -> String {
        format!("{} / {} = {:.2}", shown(self.ours), shown(self.theirs), self.ratio)
    }
}

/// Greatest memory of this process so far, in MB.
pub fn peak_mb() -> u64 {
    memory_mb("VmHWM:")
}

/// Present memory of this process, in MB.
pub fn resident_mb() -> u64 {
    memory_mb("VmRSS:")
}

fn memory_mb(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|l| l.strip_prefix(line)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}
