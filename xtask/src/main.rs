//! The project's own tasks: `cargo xtask test`, `crash`, `fuzz`, `bench` and `docs`. Standard library only, so that it builds in a second.

mod bench;
mod crash;
mod fuzz;
mod python;
mod step;

use std::process::ExitCode;

use step::{Failed, Tasks};

const HELP: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  test    formatting, lints, all tests and doc tests, the comparisons with other engines and tools, sample runs trained
          again, reports in a browser, the scale test
  crash   more of the crash tests: `--rounds N` processes are killed (default: 2000), power is cut in more lives of a store,
          every call to the disk fails once, and the model gets all its processes (which takes 2.5 GB of memory)
  fuzz    builds the fuzz targets and gives each so many seconds: `--seconds N` (default: 600); wants cargo-fuzz
  bench   runs the benchmarks, peers beside them, and prints every figure with its mark (--full: the long ones too;
          names such as `seal ranking`: only these)
  docs    writes the generated parts of docs/ again

Environment:
  CARGO_TARGET_DIR     where everything is built (default: runlake/target in the cache folder)
  RUNLAKE_BENCH_DATA   folder with the data of the scale test and of benchmarks (default: ../shared/data)
  CI                   when set, what cannot run fails instead of being skipped";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let tasks = match Tasks::new() {
        Ok(tasks) => tasks,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    };
    let done = match task.as_str() {
        "test" => test(&tasks),
        "crash" => match number(&rest, "--rounds", crash::ROUNDS) {
            Ok(rounds) => crash::run(&tasks, rounds),
            Err(e) => return misused(&e),
        },
        "fuzz" => match number(&rest, "--seconds", fuzz::SECONDS) {
            Ok(seconds) => fuzz::run(&tasks, seconds),
            Err(e) => return misused(&e),
        },
        "bench" => bench::run(&tasks, &rest),
        "docs" => docs(&tasks),
        "" | "help" | "-h" | "--help" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => return misused(&format!("there is no task '{other}'")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(step)) => {
            println!("xtask {task}: FAILED at step '{step}'");
            ExitCode::FAILURE
        }
    }
}

/// The number behind a flag, which may be all that there is.
fn number(args: &[String], flag: &str, default: u64) -> Result<u64, String> {
    let words: Vec<&str> = args.iter().flat_map(|arg| arg.split('=')).collect();
    match words.as_slice() {
        [] => Ok(default),
        [word, n] if *word == flag => n.parse().ok().filter(|n| *n > 0).ok_or(format!("'{n}' is no number above 0")),
        _ => Err(format!("'{}' is not understood", args.join(" "))),
    }
}

fn misused(what: &str) -> ExitCode {
    eprintln!("error: {what}\n\n{HELP}");
    ExitCode::from(2)
}

fn test(tasks: &Tasks) -> Result<(), Failed> {
    tasks.cargo("formatting", &["fmt", "--all", "--check"])?;
    tasks.cargo("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    tasks.cargo("tests", &["test", "--workspace"])?;
    fuzz::briefly(tasks)?;
    python::engines(tasks)?;
    python::import(tasks)?;
    python::statistics(tasks)?;
    python::reproduce(tasks)?;
    python::browser(tasks)?;
    python::scale(tasks)?;
    match tasks.skipped().as_slice() {
        [] => println!("xtask test: all steps passed"),
        skipped => println!("xtask test: passed, but skipped: {}", skipped.join(", ")),
    }
    Ok(())
}

fn docs(tasks: &Tasks) -> Result<(), Failed> {
    // The tests that hold generated pages against the code write them instead when asked to.
    let update = [("UPDATE_DOCS", "1")];
    tasks.cargo_with("generated docs", &["test", "--package", "runlake", "--test", "it", "docs::"], &update)?;
    tasks.cargo_with(
        "generated docs of the command",
        &["test", "--package", "runlake", "--bin", "runlake", "docs"],
        &update,
    )?;
    println!("xtask docs: written; `git diff docs` shows what changed");
    Ok(())
}
