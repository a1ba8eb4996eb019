//! `runlake diff`.

use std::collections::HashMap;

use crate::cli::output::say;
use crate::cli::question::{AskArgs, Question, collect, quoted_all, texts, until_interrupted};
use crate::cli::{Exit, Failure, Outcome, Place, select};

/// Show in what two or more runs differ: params, metrics, tags, features, data, packages, environment, git
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake diff 0192f0c4 0192f0d8
  runlake diff 0192f0c4 0192f0d8 --all
  runlake diff 0192f0c4 0192f0d8 --section params --section data_versions")]
pub struct DiffArgs {
    /// Ids of the runs, or enough of their first characters
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub runs: Vec<String>,
    /// What is equal, too
    #[arg(long, short)]
    pub all: bool,
    /// Only this section; may be given several times
    #[arg(long, value_name = "NAME", value_parser = SECTIONS)]
    pub section: Vec<String>,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// The sections of `compare_runs`.
const SECTIONS: [&str; 9] =
    ["run", "git", "params", "metrics", "tags", "features", "data_versions", "packages", "environment"];

pub async fn run(place: &Place, args: DiffArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: DiffArgs) -> Outcome {
    let question = Question::open(place, &args.ask).await?;
    let mut runs = Vec::new();
    for run in &args.runs {
        runs.push(select::resolve(&question.session, run).await?.to_string());
    }
    // Where everything is shown, what differs has to be told.
    let columns = if args.all { "*" } else { "* EXCLUDE (differs)" };
    let mut conditions = Vec::new();
    if !args.all {
        conditions.push("differs".to_string());
    }
    if !args.section.is_empty() {
        conditions.push(format!("section IN ({})", quoted_all(&args.section)));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("\nWHERE {}", conditions.join(" AND ")) };
    let sql = format!("SELECT {columns}\nFROM compare_runs({}){filter}", quoted_all(&runs));
    match question.show(&sql).await? {
        Some(0) if args.section.is_empty() => say("the runs do not differ"),
        Some(0) => {
            let among = if args.all { "have nothing" } else { "do not differ" };
            say(format!("the runs {among} in {}; without --section all is compared", args.section.join(", ")));
        }
        Some(_) => legend(&question, &runs).await?,
        None => {}
    }
    Ok(Exit::Done)
}

/// Which run each column is.
async fn legend(question: &Question<'_>, runs: &[String]) -> Result<(), Failure> {
    let sql = format!("SELECT run_id, name FROM runs WHERE run_id IN ({})", quoted_all(runs));
    let rows = collect(&question.session, &sql).await?;
    let names: HashMap<_, _> = texts(&rows, 0).into_iter().zip(texts(&rows, 1)).collect();
    for (letter, run) in ('a'..='z').zip(runs) {
        let name = names.get(&Some(run.clone())).cloned().flatten().unwrap_or_default();
        say(format!("{letter}: {run} {name}").trim_end());
    }
    Ok(())
}
