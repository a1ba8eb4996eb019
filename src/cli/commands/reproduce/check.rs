//! `runlake reproduce --check`: what was logged beside what is here.

use std::env;
use std::path::Path;

use runlake::export::escape;

use super::present::{Checkout, Python};
use super::script::is_variable;
use super::{Facts, ReproduceArgs, files, saved_diff};
use crate::cli::output::say;
use crate::cli::question::{Question, quoted};
use crate::cli::{Exit, Failure, Outcome};

/// One thing, as it was and as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    section: &'static str,
    key: String,
    logged: String,
    present: Option<String>,
    /// `None` where it cannot be told.
    same: Option<bool>,
    reason: Option<String>,
}

impl Finding {
    fn new(section: &'static str, key: &str, logged: &str, present: Option<&str>) -> Finding {
        let same = present.map(|present| present == logged);
        let present = present.map(str::to_string);
        Finding { section, key: key.to_string(), logged: logged.to_string(), present, same, reason: None }
    }

    fn because(self, same: Option<bool>, reason: impl Into<String>) -> Finding {
        Finding { same, reason: Some(reason.into()), ..self }
    }
}

pub async fn run(question: &Question<'_>, facts: &Facts, args: &ReproduceArgs) -> Outcome {
    let folder = args.checkout.clone().unwrap_or_else(|| ".".into());
    let mut findings = code(question, facts, &folder)?;
    findings.extend(python(facts, args.python.as_deref()));
    findings.extend(data(facts, &folder));
    let count = |same: Option<bool>| findings.iter().filter(|f| f.same == same).count();
    let (same, differ, unknown) = (count(Some(true)), count(Some(false)), count(None));
    let shown: Vec<&Finding> = findings.iter().filter(|f| args.all || f.same != Some(true)).collect();
    if !shown.is_empty() || args.ask.asked_format().is_some() {
        question.show(&rows(&shown)).await?;
    }
    let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} cannot be compared") };
    say(format!("{} compared: {same} the same, {differ} differ{unknown}", same + differ));
    if same + differ == 0 {
        // Nothing was found to differ, and nothing was found to be there.
        say(
            "nothing could be compared, so nothing is known to be here: the run says neither commit nor packages nor data that can be found",
        );
        say(" hint: `runlake reproduce RUN` shows what was logged; docs/log.md says how to log the rest");
        return Ok(Exit::Failed);
    }
    Ok(if differ == 0 { Exit::Done } else { Exit::Failed })
}

/// Findings as a query of constants, so that they are written as any rows.
fn rows(findings: &[&Finding]) -> String {
    let text = |text: Option<&str>| text.map_or("CAST(NULL AS VARCHAR)".to_string(), quoted);
    let truth = |same: Option<bool>| same.map_or("CAST(NULL AS BOOLEAN)".to_string(), |same| same.to_string());
    let row = |f: &&Finding| {
        let (present, reason) = (text(f.present.as_deref()), text(f.reason.as_deref()));
        format!(
            "({}, {}, {}, {present}, {}, {reason})",
            quoted(f.section),
            quoted(&f.key),
            quoted(&f.logged),
            truth(f.same)
        )
    };
    let none = Finding::new("", "", "", Some(""));
    let (rows, filter) = match findings.is_empty() {
        true => (row(&&none), " WHERE false"),
        false => (findings.iter().map(row).collect::<Vec<_>>().join(",\n"), ""),
    };
    format!("SELECT * FROM (VALUES\n{rows}\n) AS found (section, key, logged, present, same, reason){filter}")
}

fn code(question: &Question<'_>, facts: &Facts, folder: &Path) -> Result<Vec<Finding>, Failure> {
    let Some(commit) = facts.get("code", "git_commit") else { return Ok(Vec::new()) };
    let checkout = match Checkout::of(folder) {
        Ok(checkout) => checkout,
        Err(why) => return Ok(vec![Finding::new("code", "git_commit", commit, None).because(Some(false), why)]),
    };
    let mut findings = vec![Finding::new("code", "git_commit", commit, Some(&checkout.commit))];
    let saved = saved_diff(question, facts)?;
    let present = match checkout.changed {
        0 => "no changes".to_string(),
        1 => "1 file changed".to_string(),
        n => format!("{n} files changed"),
    };
    let finding = |logged: &str| Finding::new("code", "changes", logged, Some(&present));
    findings.extend(match (facts.get("code", "git_dirty"), saved) {
        (_, Some(diff)) => Some(
            finding("a saved diff").because(Some(diff.trim() == checkout.diff.trim()), "compared with `git diff HEAD`"),
        ),
        (Some("true"), None) => Some(finding("changes").because(None, "no diff of them was saved")),
        (Some(_), None) => Some(finding("no changes")),
        (None, None) => None,
    });
    Ok(findings)
}

fn python(facts: &Facts, program: Option<&Path>) -> Vec<Finding> {
    let needed = facts.get("environment", "python").is_some() || facts.all("packages").next().is_some();
    let python = match Python::of(program) {
        Ok(python) => Some(python),
        Err(why) if needed => {
            let version =
                facts.get("environment", "python").or_else(|| facts.get("packages", "python")).unwrap_or("any");
            let finding = Finding::new("environment", "python", version, None).because(Some(false), why);
            return [finding].into_iter().chain(variables(facts)).collect();
        }
        Err(_) => None,
    };
    let python = python.unwrap_or_default();
    let either = |logged: &str, words: &[String]| {
        let found = words.iter().find(|word| *word == logged).or(words.first());
        found.filter(|word| !word.is_empty()).cloned()
    };
    let known = |section, key: &str, logged: &str| {
        let present = match (section, key) {
            ("environment", "python") => Some(python.version.clone()),
            ("environment", "os") => either(logged, &python.os),
            ("environment", "cpu") => either(logged, &python.cpu),
            ("environment", "cpu_count") => python.cpu_count.map(|n| n.to_string()),
            ("packages", "python") => Some(python.version.clone()),
            ("packages", name) => {
                let found = python.package(name).map(str::to_string);
                if found.is_none() {
                    return Finding::new(section, key, logged, None).because(Some(false), "not installed");
                }
                found
            }
            _ => None,
        };
        let finding = Finding::new(section, key, logged, present.as_deref());
        if finding.present.is_none() { finding.because(None, "not known how to find out") } else { finding }
    };
    let machine = facts.all("environment").filter(|(key, _)| !is_variable(key));
    let machine = machine.map(|(key, value)| known("environment", key, value));
    let packages = facts.all("packages").map(|(key, value)| known("packages", key, value));
    machine.chain(variables(facts)).chain(packages).collect()
}

fn variables(facts: &Facts) -> impl Iterator<Item = Finding> {
    facts.all("environment").filter(|(key, _)| is_variable(key)).map(|(key, logged)| match env::var(key) {
        Ok(present) => Finding::new("environment", key, logged, Some(&present)),
        Err(_) => Finding::new("environment", key, logged, None).because(Some(false), "not set"),
    })
}

fn data(facts: &Facts, folder: &Path) -> Vec<Finding> {
    let finding = |(name, set): (&str, super::Data<'_>)| {
        let (digest, source) = (set.get("digest"), set.get("source"));
        let new = |present: Option<&str>| Finding::new("data", name, digest.unwrap_or(""), present);
        let (Some(digest), Some(source)) = (digest, source) else {
            return new(None)
                .because(None, if digest.is_none() { "no digest was logged" } else { "no source was logged" });
        };
        let Some(path) = files::local(source, folder) else {
            return new(None).because(None, format!("source is no file here: {}", escape(source)));
        };
        let shown = path.display().to_string();
        if path.is_dir() {
            return new(Some(&shown)).because(None, "a folder");
        }
        match files::fits(&path, digest) {
            Ok(Some(true)) => new(Some(&shown)).because(Some(true), "digest of the file"),
            Ok(Some(false)) => new(Some(&shown)).because(Some(false), "digest of the file is another one"),
            Ok(None) => new(Some(&shown)).because(None, "not known how the digest was made"),
            Err(e) => new(Some(&shown)).because(Some(false), e.to_string()),
        }
    };
    facts.data().into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;

    #[test]
    fn data_is_compared_by_the_digest_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.csv"), "abc").unwrap();
        let of = |digest: &str, source: &str| {
            let facts = facts(&[("data", "training x", "digest", digest), ("data", "training x", "source", source)]);
            let finding = data(&facts, dir.path()).pop().unwrap();
            (finding.same, finding.reason.unwrap())
        };
        let md5 = "md5:900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(of(md5, "x.csv").0, Some(true));
        assert_eq!(of("md5:00000000000000000000000000000000", "x.csv").0, Some(false));
        assert_eq!(of("v3", "x.csv"), (None, "not known how the digest was made".to_string()));
        assert_eq!(of(md5, "./gone.csv").0, Some(false));
        assert_eq!(of(md5, "."), (None, "a folder".to_string()));
        assert_eq!(of(md5, "s3://bucket/x.csv").0, None);
    }

    #[test]
    fn no_interpreter_is_a_difference_if_one_was_logged() {
        let nowhere = Some(Path::new("/nowhere/python"));
        let logged = facts(&[("environment", "", "python", "3.11.7"), ("environment", "", "RUNLAKE_UNSET", "1")]);
        let found: Vec<_> = python(&logged, nowhere).into_iter().map(|f| (f.key, f.same)).collect();
        assert_eq!(found, [("python".to_string(), Some(false)), ("RUNLAKE_UNSET".to_string(), Some(false))]);
        assert_eq!(python(&facts(&[]), nowhere), []);
    }

    #[test]
    fn no_finding_is_no_row() {
        assert!(rows(&[]).ends_with("WHERE false"));
    }
}
