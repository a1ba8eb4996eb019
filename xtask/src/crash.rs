//! More of the crash tests than fits into every run of the tests.

use crate::step::{Failed, Tasks};

/// How many processes are killed unless somebody says.
pub const ROUNDS: u64 = 2000;

/// Runs the tests that look at this variable: it is the number of rounds of those that kill, and tells the others to leave
/// nothing out.
pub fn run(tasks: &Tasks, rounds: u64) -> Result<(), Failed> {
    let rounds = [("RUNLAKE_CRASH_ROUNDS", &*rounds.to_string())];
    let test = |step: &str, binary: &[&str], filter: &[&str]| {
        let mut cargo = vec!["test", "--package", "runlake"];
        cargo.extend(binary);
        cargo.extend(["--", "--nocapture"]);
        cargo.extend(filter);
        tasks.cargo_with(step, &cargo, &rounds)
    };
    test("killed processes", &["--test", "it"], &["killed::"])?;
    test("power cuts", &["--lib"], &["store::tests::power"])?;
    test("failing calls", &["--lib"], &["store::tests::failing"])?;
    test("model", &["--lib"], &["store::tests::model"])?;
    test("a long life", &["--lib"], &["store::tests::long_life", "--include-ignored"])?;
    println!("xtask crash: all steps passed");
    Ok(())
}
