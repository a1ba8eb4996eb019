//! Somebody wants to run a run again, or to know whether everything for it is here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runlake::{DataVersion, RunOptions, Status, Store};
use tempfile::TempDir;

/// A checkout with a training script and its data, a store with a run of it, and an interpreter that says what it has.
struct Bench {
    dir: TempDir,
    run: String,
}

impl Bench {
    /// `None` where there is no git.
    fn new(dirty: bool) -> Option<Bench> {
        Command::new("git").arg("--version").output().ok().filter(|out| out.status.success())?;
        let dir = tempfile::tempdir().unwrap();
        let code = dir.path().join("code");
        std::fs::create_dir(&code).unwrap();
        std::fs::write(code.join("train.py"), "print('auc', 0.91)\n").unwrap();
        std::fs::write(code.join("data.csv"), "x,y\n1,2\n").unwrap();
        git(&code, &["init", "-q", "-b", "main"]);
        git(&code, &["add", "."]);
        git(&code, &["commit", "-q", "-m", "first"]);
        let mut diff = String::new();
        if dirty {
            std::fs::write(code.join("train.py"), "print('auc', 0.92)\n").unwrap();
            diff = git(&code, &["diff", "HEAD"]);
        }
        let store = Store::create(dir.path().join("store")).unwrap();
        let commit = git(&code, &["rev-parse", "HEAD"]).trim().to_string();
        let options = RunOptions::new("churn")
            .name("gbm-3")
            .command("python train.py")
            .git(commit, Some("main".to_string()), Some(dirty))
            .git_remote(code.display().to_string());
        let run = store.start_run(options).unwrap();
        run.log_packages(vec![("NumPy".to_string(), "2.4.6".to_string())]).unwrap();
        run.log_environment(vec![("python".to_string(), "3.11.7".to_string())]).unwrap();
        let data = DataVersion {
            dataset: "churn".to_string(),
            role: "training".to_string(),
            digest: Some(blake3::hash(b"x,y\n1,2\n").to_hex().to_string()),
            data_version: Some("v1".to_string()),
            source: Some("data.csv".to_string()),
            n_rows: None,
            n_columns: None,
            bytes: None,
            data_schema: None,
        };
        run.log_data(data).unwrap();
        if dirty {
            run.log_artifact_bytes("git.diff", diff.as_bytes()).unwrap();
        }
        run.finish(Status::Finished).unwrap();
        let bench = Bench { run: run.id().to_string(), dir };
        bench.install("2.4.6");
        Some(bench)
    }

    fn code(&self) -> PathBuf {
        self.dir.path().join("code")
    }

    /// Makes the interpreter say that it has this version.
    fn install(&self, numpy: &str) {
        use std::os::unix::fs::PermissionsExt;
        let python = self.dir.path().join("python");
        let json = format!(
            r#"{{"version": "3.11.7", "os": ["Linux"], "cpu": ["x86_64"], "cpu_count": 2, "packages": {{"numpy": "{numpy}"}}}}"#
        );
        std::fs::write(&python, format!("#!/bin/sh\necho '{json}'\n")).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn reproduce(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
        command.arg("--store").arg(self.dir.path().join("store")).arg("reproduce").arg(&self.run).args(args);
        command.current_dir(self.dir.path()).env_remove("RUNLAKE_STORE").output().unwrap()
    }

    fn check(&self) -> Output {
        self.reproduce(&["--check", "--checkout", "code", "--python", "./python", "--format", "csv"])
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(["-c", "user.name=ana", "-c", "user.email=ana@example.org"]).args(args);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_is_all_here_passes_and_each_change_is_named() {
    let Some(bench) = Bench::new(false) else { return };
    let check = bench.check();
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
    assert_eq!(text(&check.stderr), "5 compared: 5 the same, 0 differ\n");

    let differs = |line: &str| {
        let check = bench.check();
        assert_eq!(check.status.code(), Some(1));
        assert!(text(&check.stdout).contains(line), "{}", text(&check.stdout));
    };
    bench.install("2.5.0");
    differs("packages,NumPy,2.4.6,2.5.0,false");
    bench.install("2.4.6");
    std::fs::write(bench.code().join("data.csv"), "x,y\n1,3\n").unwrap();
    differs("digest of the file is another one");
    differs("code,changes,no changes,1 file changed,false");
    git(&bench.code(), &["commit", "-q", "-a", "-m", "second"]);
    differs("code,git_commit,");
    std::fs::remove_file(bench.dir.path().join("python")).unwrap();
    differs("environment,python,3.11.7,,false");
}

#[test]
fn a_saved_diff_is_applied_and_compared() {
    let Some(bench) = Bench::new(true) else { return };
    let check = bench.check();
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
    // A clean checkout is not what ran; with the diff it is again.
    let diff = bench.reproduce(&["--only", "diff"]).stdout;
    git(&bench.code(), &["checkout", "-q", "--", "."]);
    assert_eq!(bench.check().status.code(), Some(1));
    let path = bench.dir.path().join("saved.diff");
    std::fs::write(&path, diff).unwrap();
    git(&bench.code(), &["apply", path.to_str().unwrap()]);
    assert_eq!(bench.check().status.code(), Some(0));
}

#[test]
fn the_script_makes_the_checkout_again() {
    let Some(bench) = Bench::new(true) else { return };
    let script = bench.reproduce(&[]);
    assert!(script.status.success());
    // Everything but the installation of packages, which needs a registry.
    let lines: String = text(&script.stdout)
        .lines()
        .filter(|line| !line.contains("venv") && !line.starts_with("python"))
        .map(|line| format!("{line}\n"))
        .collect();
    let elsewhere = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_runlake")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ran =
        Command::new("sh").arg("-c").arg(&lines).current_dir(elsewhere.path()).env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{lines}{}", text(&ran.stderr));
    let made = elsewhere.path().join("code");
    assert_eq!(std::fs::read_to_string(made.join("train.py")).unwrap(), "print('auc', 0.92)\n");
    assert_eq!(std::fs::read_to_string(made.join("requirements.txt")).unwrap(), "NumPy==2.4.6\n");
}
