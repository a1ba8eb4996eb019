//! What is here: the checkout, the interpreter and its packages, as the programs themselves say.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// A git checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its commit.
    pub commit: String,
    /// Files with changes beyond it; those that git does not know are none.
    pub changed: usize,
    /// These changes.
    pub diff: String,
}

impl Checkout {
    /// The checkout that a folder is in.
    pub fn of(folder: &Path) -> Result<Checkout, String> {
        let git = |args: &[&str]| {
            // Hooks, pagers and colours of whoever asks are out of place here.
            let mut command = Command::new("git");
            command.args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "color.ui=false"]);
            command.arg("-C").arg(folder).args(args);
            output(command)
        };
        let commit =
            git(&["rev-parse", "HEAD"]).map_err(|e| format!("no git checkout in '{}': {e}", folder.display()))?;
        let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
        let diff = git(&["diff", "--no-ext-diff", "HEAD"])?;
        Ok(Checkout { commit: commit.trim().to_string(), changed: changed.lines().count(), diff })
    }
}

/// An interpreter.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Python {
    /// Its version.
    pub version: String,
    /// What it calls the operating system, in several words.
    pub os: Vec<String>,
    /// What it calls the processor.
    pub cpu: Vec<String>,
    /// Number of processors.
    pub cpu_count: Option<u64>,
    /// Versions by name, as they were installed.
    pub packages: BTreeMap<String, String>,
}

/// What an interpreter is asked. It does not import what lies in the working folder.
const PROBE: &str = r#"
import sys
sys.path = [path for path in sys.path if path]
import json, os, platform
from importlib import metadata
packages = {}
for found in metadata.distributions():
    name = found.metadata["Name"]
    if name:
        packages.setdefault(name, found.version or "")
print(json.dumps({
    "version": platform.python_version(),
    "os": [platform.system(), sys.platform, platform.platform(), platform.system() + " " + platform.release()],
    "cpu": [platform.machine(), platform.processor()],
    "cpu_count": os.cpu_count(),
    "packages": packages,
}))
"#;

impl Python {
    /// Asks an interpreter: the one that is named, else python or python3.
    pub fn of(program: Option<&Path>) -> Result<Python, String> {
        let ask = |program: &OsStr| {
            let mut command = Command::new(program);
            command.arg("-c").arg(PROBE);
            let text = output(command).map_err(|e| format!("'{}' {e}", Path::new(program).display()))?;
            serde_json::from_str(&text).map_err(|_| format!("'{}' is no Python", Path::new(program).display()))
        };
        match program {
            Some(program) => ask(program.as_os_str()),
            None => ask(OsStr::new("python")).or_else(|_| ask(OsStr::new("python3"))),
        }
    }

    /// The version of a package, however its name is written (PEP 503).
    pub fn package(&self, name: &str) -> Option<&str> {
        let wanted = normal(name);
        self.packages.iter().find(|(name, _)| normal(name) == wanted).map(|(_, version)| version.as_str())
    }
}

fn normal(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' => {
                if !text.ends_with('-') {
                    text.push('-');
                }
            }
            c => text.extend(c.to_lowercase()),
        }
    }
    text
}

/// What a program prints; why it did not, otherwise.
fn output(mut command: Command) -> Result<String, String> {
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot be started: {e}"))?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        return Err(text.trim().lines().last().unwrap_or("failed").to_string());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_are_compared_as_pip_does() {
        let packages = BTreeMap::from([("Scikit_Learn".to_string(), "1.9.1".to_string())]);
        let python = Python { packages, ..Python::default() };
        assert_eq!(python.package("scikit-learn"), Some("1.9.1"));
        assert_eq!(python.package("scikit..learn"), Some("1.9.1"));
        assert_eq!(python.package("scikit"), None);
    }

    #[test]
    fn what_is_no_interpreter_or_checkout_is_said() {
        assert!(Python::of(Some(Path::new("/nowhere/python"))).unwrap_err().contains("cannot be started"));
        assert!(Python::of(Some(Path::new("true"))).unwrap_err().contains("no Python"));
        let dir = tempfile::tempdir().unwrap();
        assert!(Checkout::of(dir.path()).unwrap_err().contains("no git checkout"));
    }
}
