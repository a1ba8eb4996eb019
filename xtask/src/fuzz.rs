//! The fuzz targets, one after the other.

use std::fs;
use std::process::{Command, Stdio};

use crate::step::{Failed, Tasks};

/// Seconds for each target unless somebody says.
pub const SECONDS: u64 = 600;
/// Seconds for each target among the tests.
const BRIEFLY: u64 = 10;
/// Counters at every branch need a compiler of any kind, sanitizers a nightly one: the code is safe Rust, and twice as fast
/// without.
const SANITIZER: [&str; 2] = ["--sanitizer", "none"];

/// Among the tests: a little of it, where there is what it takes. The tests put random input through the same entry points
/// everywhere.
pub fn briefly(tasks: &Tasks) -> Result<(), Failed> {
    if is_installed() {
        return run(tasks, BRIEFLY);
    }
    println!(
        "==> fuzz: left to the tests, which put random input through the same entry points: there is no cargo-fuzz"
    );
    Ok(())
}

/// Puts input through each target for so long; what was found before is tried first.
pub fn run(tasks: &Tasks, seconds: u64) -> Result<(), Failed> {
    if !is_installed() {
        println!("error: there is no cargo-fuzz; `cargo install cargo-fuzz` makes it");
        return Err(Failed("fuzz".to_string()));
    }
    // Instrumented, all is built anew: beside what is built for everything else, not in its place.
    let tasks = tasks.with_target(tasks.cache().join("fuzz"));
    let mut build = vec!["fuzz", "build"];
    build.extend(SANITIZER);
    tasks.cargo("fuzz targets", &build)?;
    for target in targets(&tasks) {
        let _ = fs::create_dir_all(tasks.root().join("fuzz/corpus").join(&target));
        // What reached something new goes into the first folder; the second is only read.
        let folders = ["corpus", "seeds"].map(|folder| format!("fuzz/{folder}/{target}"));
        let folders = folders.iter().map(|folder| &**folder).filter(|folder| tasks.root().join(folder).is_dir());
        let time = format!("-max_total_time={seconds}");
        let mut cargo = vec!["fuzz", "run"];
        cargo.extend(SANITIZER);
        cargo.push(&target);
        cargo.extend(folders);
        cargo.extend(["--", &time, "-timeout=60", "-print_final_stats=1", "-verbosity=0"]);
        tasks.cargo(&format!("fuzz {target}"), &cargo)?;
    }
    Ok(())
}

fn is_installed() -> bool {
    let mut version = Command::new("cargo");
    version.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Names of the targets, sorted.
fn targets(tasks: &Tasks) -> Vec<String> {
    let files = fs::read_dir(tasks.root().join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}
