//! `runlake import`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runlake::import::foreign::{self, Files, ImportReport, IntakeOptions, Kind, Skipped, Source, Tool};
use runlake::{Error, Store, WriterOptions};
use serde_json::json;

use crate::cli::columns::ColumnArgs;
use crate::cli::output::{count, counted, put_line, say};
use crate::cli::progress::Progress;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Skipped things that are told one by one.
const TOLD: usize = 20;

/// Bring runs in from the store of another tool
///
/// Run ids are kept, so it may be repeated: only what is new or changed there is added, and a run that is still being
/// written is followed. What you add here to an imported run stays. Reads MLflow folders (`mlruns`) and databases, roots
/// of rubicon-ml, what neptune-exporter made of Neptune, Optuna databases, TensorBoard folders, and tables: CSV, JSON
/// lines, Parquet.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  runlake import ./mlruns
  runlake import mlflow sqlite:///mlflow.db
  runlake import rubicon ./rubicon-root
  runlake import neptune ./exports
  runlake import ./mlruns --report skipped.jsonl
  runlake import --audit ./mlruns
  runlake import optuna sqlite:///study.db
  runlake import tensorboard ./logs
  runlake import table results.csv --run-id trial --param 'hp_*' --metric auc --save-mapping results.json
  runlake import table 'out/*/metrics.csv' --run-from-path --params-file config.yaml

Exits with 1 when something could not be read, or, with --audit, when the store lacks something.")]
pub struct ImportArgs {
    /// What it is (mlflow, rubicon, neptune, optuna, tensorboard or table), where that is not plain; then files, or
    /// folders that hold them
    #[arg(value_name = "[KIND] PATH...", required = true)]
    pub words: Vec<String>,
    /// A file for what was skipped and why, and the totals, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Import nothing when anything cannot be read
    #[arg(long)]
    pub strict: bool,
    /// Import nothing; count what the source holds and the store does not
    #[arg(long, conflicts_with = "strict")]
    pub audit: bool,
    #[command(flatten)]
    pub columns: ColumnArgs,
}

pub async fn run(place: &Place, args: ImportArgs) -> Outcome {
    let sources = sources(&args.words, &args.columns)?;
    // A record that cannot be written must fail the import at once.
    let store = place.open_with(WriterOptions { strict: true, ..WriterOptions::default() })?;
    let mut report = Report::create(args.report.as_deref())?;
    for source in &sources {
        let holds = source.holdings().map_err(Error::from)?;
        say(format!(
            "found {} '{}': {} in {}",
            source.kind(),
            source.place().display(),
            counted(holds.runs, "run"),
            counted(holds.experiments, "experiment")
        ));
    }
    tokio::select! {
        outcome = all(&store, &sources, &args, &mut report) => outcome,
        _ = tokio::signal::ctrl_c() => {
            say("interrupted; what was read is imported, and the same command goes on from there");
            Ok(Exit::Interrupted)
        }
    }
}

async fn all(store: &Store, sources: &[Arc<dyn Source>], args: &ImportArgs, report: &mut Report) -> Outcome {
    let dry_run = IntakeOptions { files: Files::Copy, dry_run: true };
    if args.audit {
        let mut whole = true;
        for source in sources {
            let found = read(source, store, dry_run, "comparing").await?;
            report.of(source, &found, "missing")?;
            whole &= audit(source, &found, sources.len() > 1)?;
        }
        return Ok(if whole { Exit::Done } else { Exit::Failed });
    }
    if args.strict {
        let mut losses = 0;
        for source in sources {
            let found = read(source, store, dry_run, "checking").await?;
            losses += found.losses();
            if found.losses() > 0 {
                report.of(source, &found, "missing")?;
                tell(&found.skipped);
            }
        }
        if losses > 0 {
            return Err(Failure::new(format!("{} cannot be read; nothing was imported", counted(losses, "thing")))
                .hint("without --strict the rest is imported"));
        }
    }
    let mut losses = 0;
    for source in sources {
        let options = IntakeOptions::default();
        let found = read(source, store, options, "importing").await?;
        report.of(source, &found, "added")?;
        totals(source, &found, "new", sources.len() > 1)?;
        tell(&found.skipped);
        losses += found.losses();
    }
    Ok(if losses > 0 { Exit::Failed } else { Exit::Done })
}

/// What the words on the command line name.
fn sources(words: &[String], columns: &ColumnArgs) -> Result<Vec<Arc<dyn Source>>, Failure> {
    let (tool, places) = match words {
        [first, rest @ ..] if !rest.is_empty() && !Path::new(first).exists() => match first.parse::<Tool>() {
            Ok(tool) => (Some(tool), rest),
            Err(()) => (None, words),
        },
        [first] if first.parse::<Tool>().is_ok() && !Path::new(first).exists() => {
            return Err(Failure::usage(format!("where is the {first} store? no path is given"))
                .hint(format!("`runlake import {first} PATH`")));
        }
        all => (None, all),
    };
    if tool == Some(Tool::Table) || tool.is_none() && columns.is_given() {
        let mapping = columns.mapping()?;
        let tables = foreign::open_tables(places, mapping.clone()).map_err(Error::from)?;
        // A mapping that does not fit is not worth saving.
        tables.holdings().map_err(Error::from)?;
        columns.save(&mapping)?;
        return Ok(vec![tables]);
    }
    if columns.is_given() {
        return Err(Failure::usage("options that say what columns are go with tables only")
            .hint("`runlake import table FILE...`"));
    }
    let mut sources = Vec::new();
    for place in places {
        sources.extend(foreign::open(place, tool).map_err(Error::from)?);
    }
    Ok(sources)
}

async fn read(
    source: &Arc<dyn Source>,
    store: &Store,
    options: IntakeOptions,
    what: &'static str,
) -> Result<ImportReport, Failure> {
    let runs = source.holdings().map_err(Error::from)?.runs;
    let progress = Progress::of(runs, what);
    let report = foreign::import(source, store, options, |runs| progress.done(runs)).await;
    Ok(report.map_err(Error::from)?)
}

/// Says how much there was of each kind, and how much of it the store lacked.
fn totals(source: &Arc<dyn Source>, found: &ImportReport, lacked: &str, several: bool) -> Result<(), Failure> {
    if several {
        put_line(format!("{} {}", source.kind(), source.place().display()))?;
    }
    put_line(format!("{:<15} {:>12} {:>12}", "", "found", lacked))?;
    for kind in Kind::ALL.iter().filter(|kind| found.found[**kind] > 0) {
        let (all, new) = (count(found.found[*kind]), count(found.added[*kind]));
        put_line(format!("{:<15} {all:>12} {new:>12}", kind.name()))?;
    }
    Ok(())
}

fn audit(source: &Arc<dyn Source>, found: &ImportReport, several: bool) -> Result<bool, Failure> {
    totals(source, found, "missing", several)?;
    let missing: u64 = Kind::ALL.iter().map(|kind| found.added[*kind]).sum();
    if missing > 0 {
        put_line(
            "missing: the source has changed since it was imported, or was never imported; `runlake import` brings it",
        )?;
    }
    if found.losses() > 0 {
        put_line(format!("not counted: {} that cannot be read", counted(found.losses(), "thing")))?;
    }
    tell(&found.skipped);
    Ok(missing == 0 && found.losses() == 0)
}

fn tell(skipped: &[Skipped]) {
    let (lost, left): (Vec<_>, Vec<_>) = skipped.iter().partition(|s| s.is_loss);
    for (word, list) in [("skipped", lost), ("note", left)] {
        for Skipped { place, reason, .. } in list.iter().take(TOLD) {
            say(format!("{word}: {place}: {reason}"));
        }
        if list.len() > TOLD {
            say(format!("{word}: {} more; --report FILE lists them all", count((list.len() - TOLD) as u64)));
        }
    }
}

/// The file of `--report`.
struct Report(Option<BufWriter<File>>);

impl Report {
    /// Before any work: a path that cannot be written is known at once.
    fn create(path: Option<&Path>) -> Result<Report, Failure> {
        let create = |path: &Path| {
            let wrong = |e| Failure::usage(format!("cannot write '{}': {e}", path.display()));
            File::create(path).map(BufWriter::new).map_err(wrong)
        };
        path.map(create).transpose().map(Report)
    }

    fn of(&mut self, source: &Arc<dyn Source>, found: &ImportReport, lacked: &str) -> Result<(), Failure> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let from = source.place().display().to_string();
        for Skipped { place, reason, is_loss } in &found.skipped {
            let kind = if *is_loss { "skipped" } else { "note" };
            writeln!(file, "{}", json!({"type": kind, "source": from, "place": place, "reason": reason}))?;
        }
        for kind in Kind::ALL.iter().filter(|kind| found.found[**kind] > 0) {
            let (all, new) = (found.found[*kind], found.added[*kind]);
            writeln!(
                file,
                "{}",
                json!({"type": "total", "source": from, "kind": kind.name(), "found": all, lacked: new})
            )?;
        }
        Ok(file.flush()?)
    }
}
