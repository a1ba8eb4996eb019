//! Words for people: counts, sizes, times; and writing that survives a reader who went away.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use runlake::export::escape;

/// Writes a line to stderr; text from outside cannot act on the terminal.
pub fn say(text: impl Display) {
    let text = text.to_string();
    let mut err = std::io::stderr().lock();
    for line in text.split('\n') {
        // Nobody is left to be told that nobody listens.
        let _ = writeln!(err, "{}", escape(line));
    }
}

/// Writes to stdout what is safe to show already, such as a rendered table.
pub fn put(text: impl Display) -> std::io::Result<()> {
    write!(std::io::stdout().lock(), "{text}")
}

/// Writes a line to stdout; text from outside cannot act on the terminal.
pub fn put_line(text: impl Display) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", escape(&text.to_string()))
}

/// A count with its thousands apart: `55,377`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things: `1 run`, `2,756 runs`.
pub fn counted(n: u64, thing: &str) -> String {
    let many = if n == 1 { "" } else { "s" };
    format!("{} {thing}{many}", count(n))
}

/// A size: `512 B`, `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A span of time: `0.3 s`, `4 min 10 s`, `2 h 5 min`.
pub fn span(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        _ if time.as_secs_f64() < 0.0095 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ if time.as_secs_f64() < 1.0 => format!("{:.2} s", time.as_secs_f64()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(55_377), "55,377");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "run"), "1 run");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1 << 20), "1.0 MiB");
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(span(Duration::from_millis(3_210)), "3.2 s");
        assert_eq!(span(Duration::from_secs(250)), "4 min 10 s");
    }
}
