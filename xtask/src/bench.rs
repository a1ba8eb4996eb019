//! Benchmarks: runs them and prints one line per figure.

use std::fs;
use std::path::Path;

use crate::python;
use crate::step::{Failed, Tasks};

/// Runs the benchmarks: those of criterion, whose medians are listed, then the figures that have a mark.
///
/// Words among the arguments pick marks by name, and criterion is left out then.
pub fn run(tasks: &Tasks, args: &[String]) -> Result<(), Failed> {
    // The engine is built once for programs and benchmarks, not again in another profile of the same settings.
    let profile = ["bench", "--package", "runlake", "--profile", "release"];
    if args.iter().all(|arg| arg.starts_with("--")) {
        tasks.cargo("benchmarks", &[&profile[..], &["--bench", "write", "--bench", "read"]].concat())?;
        let mut figures = Vec::new();
        collect(&tasks.target().join("criterion"), "", &mut figures);
        figures.sort_by(|a: &(String, f64), b| a.0.cmp(&b.0));
        for (name, nanoseconds) in figures {
            println!("{name:<40} {:>12}", shown(nanoseconds));
        }
    }
    let python = python::peers(tasks)?;
    let variables: Vec<(&str, &str)> =
        python.as_ref().and_then(|p| p.to_str()).map(|p| ("RUNLAKE_BENCH_PYTHON", p)).into_iter().collect();
    let mut cargo = [&profile[..], &["--bench", "marks", "--"]].concat();
    cargo.extend(args.iter().map(String::as_str));
    tasks.cargo_with("marks", &cargo, &variables)
}

/// Finds `<name>/new/estimates.json` below a folder.
fn collect(folder: &Path, name: &str, figures: &mut Vec<(String, f64)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|e| e.path().is_dir()) {
        let part = entry.file_name().to_string_lossy().into_owned();
        if part == "new" {
            let median = fs::read_to_string(entry.path().join("estimates.json")).ok().and_then(|text| median(&text));
            figures.extend(median.map(|m| (name.to_string(), m)));
        } else {
            let below = if name.is_empty() { part } else { format!("{name}/{part}") };
            collect(&entry.path(), &below, figures);
        }
    }
}

/// The point estimate of the median in criterion's file, in nanoseconds.
fn median(text: &str) -> Option<f64> {
    let rest = &text[text.find("\"median\"")?..];
    let value = &rest[rest.find("\"point_estimate\":")? + "\"point_estimate\":".len()..];
    value[..value.find([',', '}'])?].trim().parse().ok()
}

fn shown(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.2} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_found() {
        let text = r#"{"mean":{"point_estimate":2.0},"median":{"confidence_interval":{"upper_bound":9.0},"point_estimate":1234.5,"standard_error":1}}"#;
        assert_eq!(median(text), Some(1234.5));
        assert_eq!(shown(1234.5), "1.23 us");
    }
}
