//! Steps in Python: other engines read what runlake wrote, runlake reads what other tools wrote, and peers do the same work beside it. Their packages go into
//! environments of their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{Failed, Tasks};

const ENGINES: &str = "other engines";
const IMPORT: &str = "other tools";
const STATISTICS: &str = "statistics";
const REPRODUCE: &str = "reproduced runs";
const BROWSER: &str = "browser";
const SCALE: &str = "scale";

/// Packages that belong together.
struct Packages {
    /// What is wanted, pinned.
    requirements: &'static str,
    /// Name of the environment in the cache folder.
    folder: &'static str,
    /// What a working environment can do.
    check: &'static str,
}

const READERS: Packages = Packages {
    requirements: "tests/engines/requirements.txt",
    folder: "venv",
    check: "import deltalake, duckdb, pyarrow",
};

const TOOLS: Packages = Packages {
    requirements: "tests/import/requirements.txt",
    folder: "tools",
    check: "import duckdb, mlflow.tracking, optuna, pyarrow, sqlalchemy, tensorboard",
};

/// rubicon-ml wants other versions than the tools above. What reads exports of Neptune is with it.
const RUBICON: Packages = Packages {
    requirements: "tests/import/requirements-rubicon.txt",
    folder: "tools-rubicon",
    check: "import rubicon_ml, duckdb, pyarrow",
};

/// What compares an import with the tool's own client, and the packages that it needs.
const COMPARISONS: &[(&str, &Packages)] = &[
    ("tests/import/compare_mlflow.py", &TOOLS),
    ("tests/import/compare_rubicon.py", &RUBICON),
    ("tests/import/compare_neptune.py", &RUBICON),
    ("tests/import/compare_optuna.py", &TOOLS),
    ("tests/import/compare_tensorboard.py", &TOOLS),
    ("tests/import/compare_table.py", &TOOLS),
];

const STATISTICIANS: Packages = Packages {
    requirements: "tests/stats/requirements.txt",
    folder: "stats",
    check: "import duckdb, pandas, pyarrow, scipy.stats, statsmodels.api",
};

/// What computes the answers of table functions again, from the same rows.
const RECOMPUTATIONS: &[&str] = &[
    "tests/stats/compare_curves.py",
    "tests/stats/compare_effects.py",
    "tests/stats/compare_gates.py",
    "tests/stats/compare_scores.py",
    "tests/stats/compare_subsets.py",
];

/// What trained the sample runs.
const SAMPLE: Packages =
    Packages { requirements: "sample_data/requirements.txt", folder: "sample", check: "import sklearn" };

/// What drives a browser.
const DRIVER: Packages =
    Packages { requirements: "tests/browser/requirements.txt", folder: "browser", check: "import playwright.sync_api" };

/// Browsers that are looked for, in this order.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

const PEERS: Packages =
    Packages { requirements: "benches/peers/requirements.txt", folder: "peers", check: "import duckdb, mlflow" };

/// Compares what other engines read with what runlake says.
pub fn engines(tasks: &Tasks) -> Result<(), Failed> {
    let Some(python) = environment(tasks, ENGINES, &READERS)? else { return Ok(()) };
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(ENGINES, "there is no runlake binary in the target folder");
    };
    tasks.run(ENGINES, Command::new(python).arg("tests/engines/compare.py").arg("--runlake").arg(binary))
}

/// Imports what other tools wrote, and compares with what their own clients read.
pub fn import(tasks: &Tasks) -> Result<(), Failed> {
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(IMPORT, "there is no runlake binary in the target folder");
    };
    let data = large_data(tasks);
    for (script, packages) in COMPARISONS {
        let Some(python) = environment(tasks, IMPORT, packages)? else { return Ok(()) };
        let mut command = Command::new(python);
        command.arg(script).arg("--runlake").arg(&binary).arg("--data").arg(&data);
        tasks.run(IMPORT, &mut command)?;
    }
    Ok(())
}

/// Computes again what table functions answer, with SciPy and statsmodels.
pub fn statistics(tasks: &Tasks) -> Result<(), Failed> {
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(STATISTICS, "there is no runlake binary in the target folder");
    };
    let Some(python) = environment(tasks, STATISTICS, &STATISTICIANS)? else { return Ok(()) };
    let data = large_data(tasks);
    for script in RECOMPUTATIONS {
        let mut command = Command::new(&python);
        command.arg(script).arg("--runlake").arg(&binary).arg("--data").arg(&data);
        tasks.run(STATISTICS, &mut command)?;
    }
    Ok(())
}

/// Trains sample runs again from what the store says of them, and compares their metrics.
pub fn reproduce(tasks: &Tasks) -> Result<(), Failed> {
    let Some(python) = environment(tasks, REPRODUCE, &SAMPLE)? else { return Ok(()) };
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(REPRODUCE, "there is no runlake binary in the target folder");
    };
    tasks.run(REPRODUCE, Command::new(python).arg("tests/reproduce/retrain.py").arg("--runlake").arg(binary))
}

/// Opens reports in a headless browser, and looks for what a reader would stumble over.
pub fn browser(tasks: &Tasks) -> Result<(), Failed> {
    let Some(browser) = found(BROWSERS).or_else(|| installed(tasks)) else {
        return tasks.cannot_run(BROWSER, "there is no Chromium (on Debian: `apt-get install chromium`)");
    };
    let Some(python) = environment(tasks, BROWSER, &DRIVER)? else { return Ok(()) };
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(BROWSER, "there is no runlake binary in the target folder");
    };
    let mut command = Command::new(python);
    command.arg("tests/browser/look.py").arg("--runlake").arg(binary).arg("--browser").arg(browser);
    tasks.run(BROWSER, &mut command)
}

/// The first of these programs that is in a folder of programs.
fn found(names: &[&str]) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let all = || env::split_paths(&folders).collect::<Vec<_>>();
    names.iter().flat_map(|name| all().into_iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// Installs Chromium where a machine is made for tests and lets us; at home nothing is installed for everybody.
fn installed(tasks: &Tasks) -> Option<PathBuf> {
    if env::var_os("CI").is_none() || found(&["apt-get"]).is_none() {
        return None;
    }
    for args in [&["update", "-qq"][..], &["install", "-y", "-qq", "chromium"][..]] {
        // A mirror that does not answer shows as a browser that is not there.
        let _ = tasks.run(BROWSER, Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    }
    found(BROWSERS)
}

/// Loads large real data and compares counts, extremes and a ranking with an independent reader.
pub fn scale(tasks: &Tasks) -> Result<(), Failed> {
    let data = large_data(tasks);
    if !data.join("feature_selection/trials.parquet").is_file() {
        tasks.skip(SCALE, &format!("no data in {} (RUNLAKE_BENCH_DATA names another folder)", data.display()));
        return Ok(());
    }
    let Some(python) = environment(tasks, SCALE, &READERS)? else { return Ok(()) };
    let Some(binary) = binary(tasks) else {
        return tasks.cannot_run(SCALE, "there is no runlake binary in the target folder");
    };
    let mut command = Command::new(python);
    command.arg("tests/scale/load.py").arg("--data").arg(data).arg("--runlake").arg(binary);
    tasks.run(SCALE, &mut command)
}

/// The interpreter that has the peers of the benchmarks.
pub fn peers(tasks: &Tasks) -> Result<Option<PathBuf>, Failed> {
    environment(tasks, "peers", &PEERS)
}

/// Where large real data is, or would be.
fn large_data(tasks: &Tasks) -> PathBuf {
    match env::var_os("RUNLAKE_BENCH_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => tasks.root().join("../shared/data"),
    }
}

/// The binary that `cargo test` has just built. (A release binary may be older than the sources.)
fn binary(tasks: &Tasks) -> Option<PathBuf> {
    let binary = tasks.target().join("debug").join(format!("runlake{}", env::consts::EXE_SUFFIX));
    binary.is_file().then_some(binary)
}

/// The interpreter of an environment that holds the pinned packages; `None` when the step is skipped.
fn environment(tasks: &Tasks, step: &str, packages: &Packages) -> Result<Option<PathBuf>, Failed> {
    let requirements = packages.requirements;
    let wanted = fs::read_to_string(tasks.root().join(requirements)).map_err(|e| {
        println!("==> {step}: {requirements} cannot be read: {e}");
        Failed(step.to_string())
    })?;
    let folder = tasks.cache().join(packages.folder);
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && works(&python, packages.check) {
        return Ok(Some(python));
    }
    println!("==> {step}: installing Python packages into {}", folder.display());
    match install(&folder, &python, &tasks.root().join(requirements)) {
        Ok(()) => {
            fs::write(&stamp, wanted).map_err(|e| {
                println!("==> {step}: {} cannot be written: {e}", stamp.display());
                Failed(step.to_string())
            })?;
            Ok(Some(python))
        }
        Err(why) => tasks.cannot_run(step, &why).map(|()| None),
    }
}

fn works(python: &Path, check: &str) -> bool {
    let status = Command::new(python).args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

fn install(folder: &Path, python: &Path, requirements: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{} cannot be removed: {e}", folder.display()))?;
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder).status();
    match made {
        Ok(status) if status.success() => {}
        Ok(_) => return Err("`python3 -m venv` failed (on Debian: install python3-venv)".to_string()),
        Err(e) => return Err(format!("python3 cannot be started: {e}")),
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    match pip.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("pip could not install the packages of {}", requirements.display())),
    }
}
