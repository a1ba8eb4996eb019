//! Running one step after the other.

use std::cell::RefCell;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The step that failed.
pub struct Failed(pub String);

/// What every step needs to know.
pub struct Tasks {
    root: PathBuf,
    cache: PathBuf,
    target: PathBuf,
    skipped: RefCell<Vec<String>>,
}

impl Tasks {
    pub fn new() -> Result<Tasks, String> {
        // Where Cargo runs us for: a binary that it takes for fresh may have been built in a clone that is gone.
        let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&xtask).parent().expect("xtask lies in the workspace").to_path_buf();
        let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
            (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
            (_, Some(home)) => Path::new(&home).join(".cache"),
            _ => return Err("neither HOME nor XDG_CACHE_HOME is set, so there is no cache folder".to_string()),
        };
        let cache = cache.join("runlake");
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // Steps run in the root of the workspace; a relative folder was meant from where we were called.
            Some(dir) if !dir.is_empty() => env::current_dir().map_err(|e| e.to_string())?.join(dir),
            _ => cache.join("target"),
        };
        Ok(Tasks { root, cache, target, skipped: RefCell::default() })
    }

    /// The same, built elsewhere.
    pub fn with_target(&self, target: PathBuf) -> Tasks {
        let skipped = RefCell::default();
        Tasks { root: self.root.clone(), cache: self.cache.clone(), target, skipped }
    }

    /// The root of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where what is worth keeping between runs goes.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where cargo builds.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Steps that could not run.
    pub fn skipped(&self) -> Vec<String> {
        self.skipped.borrow().clone()
    }

    /// Runs cargo as one step.
    pub fn cargo(&self, step: &str, args: &[&str]) -> Result<(), Failed> {
        self.cargo_with(step, args, &[])
    }

    /// Runs cargo as one step, with variables.
    pub fn cargo_with(&self, step: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<(), Failed> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).envs(variables.iter().copied());
        self.run(step, &mut command)
    }

    /// Runs a command as one step.
    pub fn run(&self, step: &str, command: &mut Command) -> Result<(), Failed> {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        println!("==> {step}: {program} {}", shown.join(" "));
        let begun = Instant::now();
        // What cargo tells this program of its own package: some build scripts look at it (ring's), and with other values
        // than in a build by hand the whole engine would be built again, here and then there.
        let told = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p))
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
            command.env_remove(name);
        }
        let status = command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).status();
        match status {
            Ok(status) if status.success() => {
                println!("==> {step}: done in {:.0} s", begun.elapsed().as_secs_f64());
                Ok(())
            }
            Ok(status) => {
                println!("==> {step}: {status}");
                Err(Failed(step.to_string()))
            }
            Err(e) => {
                println!("==> {step}: {program} cannot be started: {e}");
                Err(Failed(step.to_string()))
            }
        }
    }

    /// A step that cannot run here: skipped at home, a failure where everything has to be proved.
    pub fn cannot_run(&self, step: &str, why: &str) -> Result<(), Failed> {
        if env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false") {
            println!("==> {step}: {why}");
            return Err(Failed(step.to_string()));
        }
        self.skip(step, why);
        Ok(())
    }

    /// A step that there is nothing to do for.
    pub fn skip(&self, step: &str, why: &str) {
        println!("==> {step}: skipped: {why}");
        self.skipped.borrow_mut().push(step.to_string());
    }
}
