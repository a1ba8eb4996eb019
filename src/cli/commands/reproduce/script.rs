//! The script that runs a run again.
//!
//! What was logged is somebody's text: it becomes a comment in one line, or a quoted word, and only the command stands as
//! it was typed.

use std::fmt::Write;
use std::path::Path;

use runlake::export::escape;

use super::Facts;
use crate::cli::shell::word;

/// The whole script.
pub fn script(facts: &Facts, store: &Path) -> String {
    let mut out = String::new();
    head(&mut out, facts);
    code(&mut out, facts, store);
    environment(&mut out, facts);
    data(&mut out, facts);
    params(&mut out, facts);
    command(&mut out, facts);
    out
}

fn line(out: &mut String, text: impl AsRef<str>) {
    let _ = writeln!(out, "{}", text.as_ref());
}

/// A comment, whatever the text holds.
fn comment(out: &mut String, text: impl AsRef<str>) {
    line(out, format!("# {}", escape(text.as_ref())).trim_end());
}

fn heading(out: &mut String, text: &str) {
    line(out, format!("\n# --- {text}"));
}

fn head(out: &mut String, facts: &Facts) {
    let get = |key| facts.get("run", key);
    let name = get("name").map(|name| format!(" '{name}'")).unwrap_or_default();
    line(out, "#!/bin/sh");
    let status = get("status").map(|status| format!(", {status}")).unwrap_or_default();
    let (run, experiment) = (get("run_id").unwrap_or(""), get("experiment").unwrap_or(""));
    comment(out, format!("Run {run}{name} of experiment '{experiment}'{status}"));
    let by = get("user").map(|user| format!(" by {user}")).unwrap_or_default();
    let on = get("host").map(|host| format!(" on {host}")).unwrap_or_default();
    comment(out, format!("began {}{by}{on}", get("start_time").unwrap_or("at a time that was not logged")));
    line(out, "set -eu");
}

fn code(out: &mut String, facts: &Facts, store: &Path) {
    heading(out, "code");
    let (remote, commit) = (facts.get("code", "git_remote"), facts.get("code", "git_commit"));
    match remote {
        Some(remote) => {
            line(out, format!("git clone -- {} code", word(remote)));
            line(out, "cd code");
        }
        None => comment(out, "no git remote was logged; start this in a checkout of the code"),
    }
    match commit {
        Some(commit) if is_name(commit) => line(out, format!("git checkout --detach {commit}")),
        Some(commit) => comment(out, format!("the commit that was logged is none: '{commit}'")),
        None => comment(out, "no git commit was logged"),
    }
    if let Some(branch) = facts.get("code", "git_branch") {
        comment(out, format!("branch {branch}"));
    }
    let saved: Vec<String> = facts.diffs().map(|diff| diff.name()).collect();
    let run = facts.get("run", "run_id").unwrap_or("");
    match (saved.is_empty(), facts.get("code", "git_dirty")) {
        (false, _) => {
            comment(out, format!("changes beyond the commit: {}", saved.join(", ")));
            let store = word(&store.display().to_string());
            line(out, format!("runlake --store {store} reproduce {run} --only diff | git apply"));
        }
        (true, Some("true")) => comment(
            out,
            "there were changes beyond the commit, and no diff of them was saved: this is not the code that ran",
        ),
        (true, Some(_)) => comment(out, "there were no changes beyond the commit"),
        (true, None) => comment(out, "it was not logged whether there were changes beyond the commit"),
    }
}

fn environment(out: &mut String, facts: &Facts) {
    heading(out, "environment");
    let (variables, machine): (Vec<_>, Vec<_>) = facts.all("environment").partition(|(key, _)| is_variable(key));
    machine.iter().for_each(|(key, value)| comment(out, format!("{key} {value}")));
    let requirements = requirements(facts);
    if requirements.is_empty() {
        comment(out, "no packages were logged");
    } else {
        line(out, format!("{} -m venv venv", interpreter(facts)));
        line(out, "cat > requirements.txt <<'END'");
        out.push_str(&requirements);
        line(out, "END");
        line(out, "venv/bin/python -m pip install -r requirements.txt");
        line(out, ". venv/bin/activate");
    }
    for (key, value) in variables {
        match OF_THE_MACHINE.contains(&key) || key.starts_with("CONDA_") {
            true => comment(out, format!("{key} was {}", word(value))),
            false => line(out, format!("export {key}={}", word(value))),
        }
    }
}

fn data(out: &mut String, facts: &Facts) {
    heading(out, "data");
    let sets = facts.data();
    if sets.is_empty() {
        comment(out, "no data versions were logged");
    }
    for (name, set) in sets {
        let get = |key| set.get(key);
        let version = get("data_version").map(|version| format!(", version {version}")).unwrap_or_default();
        let size = match (get("n_rows"), get("n_columns")) {
            (Some(rows), Some(columns)) => format!(", {rows} rows of {columns} columns"),
            (Some(rows), None) => format!(", {rows} rows"),
            _ => String::new(),
        };
        comment(out, format!("{name}{version}{size}"));
        comment(out, format!("  digest {}", get("digest").unwrap_or("not logged")));
        comment(out, format!("  source {}", get("source").unwrap_or("not logged")));
    }
}

fn params(out: &mut String, facts: &Facts) {
    heading(out, "params, as the run logged them");
    facts.all("params").for_each(|(key, value)| comment(out, format!("{key} = {value}")));
    if facts.all("params").next().is_none() {
        comment(out, "none");
    }
}

fn command(out: &mut String, facts: &Facts) {
    heading(out, "command");
    match facts.get("code", "command") {
        Some(command) if escape(command) == command => line(out, command),
        Some(command) => {
            comment(out, "the command holds characters that a terminal would not show as they are:");
            comment(out, command);
        }
        None => comment(out, "no command was logged"),
    }
}

/// The packages as pip takes them; what cannot be one is a comment.
pub fn requirements(facts: &Facts) -> String {
    let mut out = String::new();
    for (name, version) in facts.all("packages") {
        let letters = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        match name {
            // Some loggers list the interpreter with them; it is no package.
            "python" => comment(&mut out, format!("python {version}")),
            _ if letters(name, "._-") && !name.starts_with(['-', '.', '_']) && letters(version, ".+!_-") => {
                line(&mut out, format!("{name}=={version}"));
            }
            _ => comment(&mut out, format!("{name} {version}")),
        }
    }
    out
}

/// The interpreter of the version that was logged: `python3.11`.
fn interpreter(facts: &Facts) -> String {
    let version = facts.get("environment", "python").or_else(|| facts.get("packages", "python")).unwrap_or("");
    let numbers: Vec<&str> = version.split('.').take(2).collect();
    match numbers.as_slice() {
        [major, minor] if [major, minor].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) => {
            format!("python{major}.{minor}")
        }
        _ => "python3".to_string(),
    }
}

/// Variables that say where things lie on the machine where it ran, and would lead astray here: past the environment that was
/// just made, above all.
const OF_THE_MACHINE: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "TMPDIR",
    "TEMP",
    "TMP",
    "TERM",
    "HOSTNAME",
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_LIBRARY_PATH",
];

/// Whether a fact of the environment is a variable: `OMP_NUM_THREADS`.
pub fn is_variable(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a text is safe as a bare word that names a commit.
fn is_name(text: &str) -> bool {
    !text.starts_with('-') && !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::testing::facts;
    use super::*;

    #[test]
    fn what_was_logged_is_a_script() {
        let facts = facts(&[
            ("run", "", "run_id", "0192f0c4"),
            ("run", "", "name", "gbm-3"),
            ("run", "", "experiment", "churn"),
            ("run", "", "status", "FINISHED"),
            ("run", "", "start_time", "2026-09-02T09:34:31.080Z"),
            ("run", "", "user", "ana"),
            ("code", "", "git_remote", "https://git.example.org/lab/it's.git"),
            ("code", "", "git_commit", "249d1f9"),
            ("code", "", "git_dirty", "true"),
            ("code", "", "command", "python train.py --lr 0.1"),
            ("diff", "artifact", "git.diff", "artifacts/0192f0c4/git.diff"),
            ("environment", "", "OMP_NUM_THREADS", "1"),
            ("environment", "", "os", "Linux"),
            ("environment", "", "python", "3.11.7"),
            ("packages", "", "numpy", "2.4.6"),
            ("packages", "", "python", "3.11.7"),
            ("data", "training churn", "digest", "sha256:00"),
            ("data", "training churn", "n_rows", "10"),
            ("params", "", "lr", "0.1"),
        ]);
        assert_snapshot!(script(&facts, Path::new("/data/store")));
    }

    #[test]
    fn the_environment_that_was_made_stays_in_use() {
        let facts = facts(&[
            ("run", "", "run_id", "r"),
            ("environment", "", "PATH", "/opt/old/bin"),
            ("environment", "", "VIRTUAL_ENV", "/opt/old"),
            ("environment", "", "CONDA_PREFIX", "/opt/conda"),
            ("environment", "", "OMP_NUM_THREADS", "1"),
            ("packages", "", "numpy", "2.4.6"),
        ]);
        let script = script(&facts, Path::new("/data/store"));
        let set: Vec<&str> = script.lines().filter(|line| line.starts_with("export ")).collect();
        assert_eq!(set, ["export OMP_NUM_THREADS=1"]);
        assert!(script.contains("# PATH was /opt/old/bin\n"), "{script}");
    }

    #[test]
    fn what_is_missing_is_said() {
        let facts = facts(&[("run", "", "run_id", "r"), ("code", "", "git_dirty", "true")]);
        assert_snapshot!(script(&facts, Path::new("/data/store")));
    }

    #[test]
    fn logged_text_runs_nothing() {
        let evil = "x\nrm -rf /\n$(reboot)`reboot`\u{1b}[2J";
        let facts = facts(&[
            ("run", "", "run_id", "r"),
            ("run", "", "name", evil),
            ("run", "", "user", evil),
            ("code", "", "git_remote", "-u'$(reboot)"),
            ("code", "", "git_commit", "--help; reboot"),
            ("code", "", "git_branch", evil),
            ("code", "", "command", evil),
            ("environment", "", "EVIL", "'; reboot #"),
            ("environment", "", "os", evil),
            ("packages", "", "-r evil.txt", "1"),
            ("packages", "", "numpy", "1\n--index-url https://evil.example.org"),
            ("data", evil, "digest", evil),
            ("params", "", evil, evil),
        ]);
        let script = script(&facts, Path::new("/data/it's"));
        let lines: Vec<&str> = script.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "set -eu",
                r"git clone -- '-u'\''$(reboot)' code",
                "cd code",
                "python3 -m venv venv",
                "cat > requirements.txt <<'END'",
                "END",
                "venv/bin/python -m pip install -r requirements.txt",
                ". venv/bin/activate",
                r"export EVIL=''\''; reboot #'",
            ]
        );
        assert!(!script.contains('\u{1b}'));
    }
}
