//! `runlake rename`, `tag`, `note` and `comment`: small changes of what is there.

use std::io::Read;

use runlake::{RunId, Store};

use crate::cli::output::{counted, put_line};
use crate::cli::select::{self, Selection};
use crate::cli::{Exit, Failure, Outcome, Place};

/// Give an experiment another name
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  runlake rename churn churn-2026")]
pub struct RenameArgs {
    /// Its present name
    pub experiment: String,
    /// Its new name
    pub new: String,
}

pub async fn rename(place: &Place, args: RenameArgs) -> Outcome {
    place.open()?.rename_experiment(&args.experiment, &args.new)?;
    put_line(format!("renamed experiment '{}' to '{}'", args.experiment, args.new))?;
    Ok(Exit::Done)
}

/// Set and remove tags of runs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake tag 0192f0c4 owner=ana stage=candidate
  runlake tag 0192f0c4 --bare baseline --remove suspect
  runlake tag --where \"metrics.auc > 0.99\" good=yes")]
pub struct TagArgs {
    /// Ids of runs, or enough of their first characters; and KEY=VALUE for each tag to set
    #[arg(value_name = "RUN | KEY=VALUE")]
    pub words: Vec<String>,
    /// All runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Set a tag that has no value
    #[arg(long, value_name = "KEY")]
    pub bare: Vec<String>,
    /// Take a tag away
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
    /// Only say which runs it would be
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn tag(place: &Place, args: TagArgs) -> Outcome {
    let (tags, runs): (Vec<_>, Vec<_>) = args.words.into_iter().partition(|word| word.contains('='));
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').expect("it holds one");
        (key.to_string(), Some(value.to_string()))
    };
    let mut set: Vec<_> = tags.iter().map(pair).collect();
    set.extend(args.bare.into_iter().map(|key| (key, None)));
    if set.is_empty() && args.remove.is_empty() {
        return Err(Failure::usage("no tag is set or removed").hint("`runlake tag RUN KEY=VALUE` sets one"));
    }
    if args.condition.is_some() && !runs.is_empty() {
        return Err(Failure::usage(format!("'{}' names a run beside --where", runs[0])).hint("give one of both"));
    }
    let selection = Selection { runs, condition: args.condition };
    selection.needed("tag")?;
    let store = place.open()?;
    let session = store.session().await?;
    let runs = selection.resolve(&session).await?;
    if args.dry_run {
        return super::delete::would("tag", &runs);
    }
    for run in &runs {
        store.attach(run.clone())?.edit_tags(set.clone(), args.remove.clone())?;
    }
    done(&store, "tagged", &runs)
}

/// Replace the notes of a run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake note 0192f0c4 'learning rate too large'
  runlake note 0192f0c4 - < notes.md
  runlake note 0192f0c4 --remove")]
pub struct NoteArgs {
    /// Id of the run, or enough of its first characters
    pub run: String,
    /// The notes; - reads them from stdin
    #[arg(required_unless_present = "remove")]
    pub text: Option<String>,
    /// Take the notes away
    #[arg(long, conflicts_with = "text")]
    pub remove: bool,
}

pub async fn note(place: &Place, args: NoteArgs) -> Outcome {
    let store = place.open()?;
    let run = select::resolve(&store.session().await?, &args.run).await?;
    let notes = args.text.map(text).transpose()?;
    store.attach(run.clone())?.set_notes(notes)?;
    done(&store, "noted", &[run])
}

/// Add a comment to a run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  runlake comment 0192f0c4 'compare with the March data' --author ana")]
pub struct CommentArgs {
    /// Id of the run, or enough of its first characters
    pub run: String,
    /// The comment; - reads it from stdin
    pub text: String,
    /// Who says it
    #[arg(long, env = "USER", hide_env_values = true)]
    pub author: Option<String>,
}

pub async fn comment(place: &Place, args: CommentArgs) -> Outcome {
    let store = place.open()?;
    let run = select::resolve(&store.session().await?, &args.run).await?;
    store.attach(run.clone())?.add_comment(args.author, text(args.text)?)?;
    done(&store, "commented on", &[run])
}

fn text(given: String) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.trim_end().to_string())
}

fn done(store: &Store, verb: &str, runs: &[RunId]) -> Outcome {
    store.close_segment()?;
    match runs {
        [run] => put_line(format!("{verb} run {run}"))?,
        _ => put_line(format!("{verb} {}", counted(runs.len() as u64, "run")))?,
    }
    Ok(Exit::Done)
}
