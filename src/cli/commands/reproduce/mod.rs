//! `runlake reproduce`.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use runlake::RunId;
use runlake::export::Format;

use crate::cli::output::say;
use crate::cli::question::{AskArgs, Question, collect, quoted, texts, until_interrupted};
use crate::cli::{Exit, Failure, Outcome, Place, select, terminal};

mod check;
mod files;
mod present;
mod script;

/// Print what it takes to run a run again, or check whether it is all here
///
/// The answer is a shell script: checkout, saved changes, environment, data and command, as far as they were logged; what was not is
/// said in comments. Read it before you run it. --check compares with this checkout, interpreter and files instead, and says what
/// differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake reproduce 0192f0c4
  runlake reproduce 0192f0c4 --only requirements > requirements.txt
  runlake reproduce 0192f0c4 --only diff | git apply
  runlake reproduce 0192f0c4 --check
  runlake reproduce 0192f0c4 --check --checkout ../tabular --python ../venv/bin/python

With --check it exits with 0 when what was compared is the same, with 1 when something differs or nothing could be compared.")]
pub struct ReproduceArgs {
    /// Id of the run, or enough of its first characters
    pub run: String,
    /// This part alone, as it is
    #[arg(long, value_name = "PART", conflicts_with_all = ["check", "format", "sql"])]
    pub only: Option<Part>,
    /// Compare with what is here
    #[arg(long, conflicts_with = "sql")]
    pub check: bool,
    /// With --check: what is the same, too
    #[arg(long, short, requires = "check")]
    pub all: bool,
    /// With --check: the checkout of the code, which paths of data are relative to [default: the working folder]
    #[arg(long, value_name = "DIR", requires = "check")]
    pub checkout: Option<PathBuf>,
    /// With --check: the interpreter [default: python or python3 on the PATH]
    #[arg(long, value_name = "PROGRAM", requires = "check")]
    pub python: Option<PathBuf>,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// A part of what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The command.
    Command,
    /// The commit.
    Commit,
    /// Changes beyond the commit that were saved.
    Diff,
    /// Packages, as a requirements file.
    Requirements,
}

pub async fn run(place: &Place, args: ReproduceArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: ReproduceArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let run = select::resolve(&question.session, &args.run).await?;
    let sql = query(&run);
    if args.ask.sql || !args.check && args.only.is_none() && args.ask.asked_format().is_some() {
        question.show(&sql).await?;
        return Ok(Exit::Done);
    }
    let facts = Facts::read(&question, &sql).await?;
    if args.check {
        return check::run(&question, &facts, &args).await;
    }
    let store = std::path::absolute(place.path()?)?;
    let text = match args.only {
        None => script::script(&facts, &store),
        Some(part) => only(&question, &facts, part)?,
    };
    // A script is exact in a file and inert on a terminal, as CSV is.
    let mut out = terminal::stdout(Format::Csv);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}

fn only(question: &Question<'_>, facts: &Facts, part: Part) -> Result<String, Failure> {
    let run = facts.get("run", "run_id").unwrap_or("");
    let missing = |what: &str| {
        Failure::new(format!("run '{run}' has no {what}"))
            .hint(format!("`runlake reproduce {run}` says what was logged of it, docs/log.md how to log the rest"))
    };
    match part {
        Part::Command => Ok(format!("{}\n", facts.get("code", "command").ok_or_else(|| missing("command"))?)),
        Part::Commit => Ok(format!("{}\n", facts.get("code", "git_commit").ok_or_else(|| missing("git commit"))?)),
        Part::Diff => saved_diff(question, facts)?.ok_or_else(|| missing("saved diff")),
        Part::Requirements => match script::requirements(facts) {
            text if text.is_empty() => Err(missing("packages")),
            text => Ok(text),
        },
    }
}

/// Tags that hold changes beyond the commit: ours, and those of other tools.
const DIFF_TAGS: [&str; 5] = ["git_diff", "git.diff", "mlflow.git.diff", "diff", "source_diff"];

/// The facts, one a row. `item` tells data sets apart.
fn query(run: &RunId) -> String {
    let id = quoted(&run.to_string());
    let columns = |section: &str, place: u8, names: &[&str]| {
        let keys = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let values: Vec<_> = names.iter().map(|name| format!("CAST({name} AS VARCHAR)")).collect();
        format!(
            "SELECT {place} AS place, '{section}' AS section, NULL AS item, unnest([{keys}]) AS key, \
             unnest([{}]) AS value\nFROM runs WHERE run_id = {id}",
            values.join(", ")
        )
    };
    let fields = ["dataset", "role", "data_version", "digest", "source", "n_rows", "n_columns", "bytes"];
    let keys = fields.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let values = fields.map(|name| format!("CAST({name} AS VARCHAR)")).join(", ");
    let tags = DIFF_TAGS.map(quoted).join(", ");
    let parts = [
        columns("run", 1, &["run_id", "name", "experiment", "status", "start_time", "user", "host"]),
        columns("code", 2, &["git_remote", "git_commit", "git_branch", "git_dirty", "command"]),
        format!(
            "SELECT 3, 'diff', 'tag', key, value FROM tags\nWHERE run_id = {id} AND lower(key) IN ({tags}) \
             AND value IS NOT NULL"
        ),
        format!(
            "SELECT 3, 'diff', 'artifact', path, uri FROM artifacts\nWHERE run_id = {id} \
             AND (lower(path) LIKE '%.diff' OR lower(path) LIKE '%.patch')"
        ),
        format!("SELECT 4, 'environment', NULL, key, value FROM environment WHERE run_id = {id}"),
        format!("SELECT 5, 'packages', NULL, package, package_version FROM packages WHERE run_id = {id}"),
        format!(
            "SELECT 6, 'data', role || ' ' || dataset, unnest([{keys}]), unnest([{values}])\n\
             FROM data_versions WHERE run_id = {id}"
        ),
        format!("SELECT 7, 'params', NULL, key, value FROM params WHERE run_id = {id}"),
    ];
    format!(
        "SELECT section, item, key, value FROM (\n{}\n)\nWHERE value IS NOT NULL\nORDER BY place, item, key",
        parts.join("\nUNION ALL\n")
    )
}

/// What was logged of how a run was made.
#[derive(Debug, Default)]
pub struct Facts(Vec<Fact>);

#[derive(Debug)]
struct Fact {
    section: String,
    item: String,
    key: String,
    value: String,
}

impl Facts {
    async fn read(question: &Question<'_>, sql: &str) -> Result<Facts, Failure> {
        let rows = collect(&question.session, sql).await?;
        let column = |i: usize| texts(&rows, i).into_iter().map(Option::unwrap_or_default);
        let facts = column(0).zip(column(1)).zip(column(2).zip(column(3)));
        Ok(Facts(facts.map(|((section, item), (key, value))| Fact { section, item, key, value }).collect()))
    }

    /// Keys and values of a section.
    fn all<'f>(&'f self, section: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.0.iter().filter(move |f| f.section == section).map(|f| (f.key.as_str(), f.value.as_str()))
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.iter().find(|f| f.section == section && f.key == key).map(|f| f.value.as_str())
    }

    /// The data sets: what each one is called, and its fields.
    fn data(&self) -> Vec<(&str, Data<'_>)> {
        let rows: Vec<&Fact> = self.0.iter().filter(|f| f.section == "data").collect();
        let sets = rows.chunk_by(|a, b| a.item == b.item);
        sets.map(|set| (set[0].item.as_str(), Data(set.to_vec()))).collect()
    }

    /// Where changes beyond the commit were saved: a tag, or an artifact with its uri.
    fn diffs(&self) -> impl Iterator<Item = Saved<'_>> {
        let diffs = self.0.iter().filter(|f| f.section == "diff");
        diffs.map(|f| if f.item == "tag" { Saved::Tag(&f.key, &f.value) } else { Saved::Artifact(&f.key, &f.value) })
    }
}

/// The fields of a data set.
#[derive(Debug)]
struct Data<'f>(Vec<&'f Fact>);

impl<'f> Data<'f> {
    fn get(&self, key: &str) -> Option<&'f str> {
        self.0.iter().find(|f| f.key == key).map(|f| f.value.as_str())
    }
}

/// Changes beyond the commit.
#[derive(Debug)]
enum Saved<'f> {
    Tag(&'f str, &'f str),
    Artifact(&'f str, &'f str),
}

/// The saved changes; `None` if there are none. The first of several, with a word about it.
fn saved_diff(question: &Question<'_>, facts: &Facts) -> Result<Option<String>, Failure> {
    let mut diffs = facts.diffs();
    let Some(first) = diffs.next() else { return Ok(None) };
    let others = diffs.count();
    if others > 0 {
        say(format!("note: {} diffs were saved, this is {}", others + 1, first.name()));
    }
    let text = match first {
        Saved::Tag(_, text) => text.to_string(),
        Saved::Artifact(path, uri) => {
            let mut text = String::new();
            let read = question.store.open_artifact(uri).map_err(Failure::from).and_then(|mut content| {
                content.read_to_string(&mut text).map_err(|e| Failure::new(format!("artifact '{path}': {e}")))
            });
            read?;
            text
        }
    };
    Ok(Some(if text.ends_with('\n') { text } else { text + "\n" }))
}

impl Saved<'_> {
    fn name(&self) -> String {
        match self {
            Saved::Tag(key, _) => format!("tag '{key}'"),
            Saved::Artifact(path, _) => format!("artifact '{path}'"),
        }
    }
}

#[cfg(test)]
mod testing {
    use super::*;

    pub fn facts(rows: &[(&str, &str, &str, &str)]) -> Facts {
        let fact = |(section, item, key, value): &(&str, &str, &str, &str)| Fact {
            section: section.to_string(),
            item: item.to_string(),
            key: key.to_string(),
            value: value.to_string(),
        };
        Facts(rows.iter().map(fact).collect())
    }
}
