//! `runlake history`.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use runlake::export::Format;
use runlake::{Changes, StateInfo};

use crate::cli::output::say;
use crate::cli::target::{Target, check_binary};
use crate::cli::{Exit, Failure, Outcome, Place};

/// List the states that `--as-of` can read, newest first, with what each of them changed
///
/// A state is made whenever what was logged is sealed, files are joined, or deleted runs are reclaimed. `runs` counts what a
/// query as of the state sees; `edited` names tables in which something changed: rows of runs that had ended and were tagged,
/// renamed or deleted, experiments, goals. What changed is not known of the oldest state that is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake history
  runlake history -n 100 --format csv
  runlake sql --as-of 12 -c 'SELECT count(*) FROM runs'")]
pub struct HistoryArgs {
    /// Number of states
    #[arg(short, long, value_name = "STATES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub number: u32,
    /// How rows are written: table, csv, tsv, json, ndjson, markdown, html, line, parquet or arrow
    ///
    /// [default: what the ending of --out says, else table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A file to write to, replaced once all is written
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub async fn run(place: &Place, args: HistoryArgs) -> Outcome {
    let out = args.out.as_deref();
    let format = args.format.or_else(|| Format::of_path(out?)).unwrap_or(Format::Table);
    check_binary(format, out, 1)?;
    let mut target = Target::open(out, format, None)?;
    let states = place.open()?.history(args.number as usize).await?;
    if states.is_empty() {
        say("nothing is sealed yet; `runlake seal` makes a state to come back to");
        return Ok(Exit::Done);
    }
    target.write_batch(&batch(&states)?)?;
    target.publish()?;
    Ok(Exit::Done)
}

fn batch(states: &[StateInfo]) -> Result<RecordBatch, Failure> {
    let count = |of: fn(&Changes) -> u64| -> ArrayRef {
        Arc::new(states.iter().map(|state| Some(of(state.changes.as_ref()?) as i64)).collect::<Int64Array>())
    };
    let times: TimestampMicrosecondArray = states.iter().map(|state| Some(state.time.0)).collect();
    let edited = states.iter().map(|state| Some(state.changes.as_ref()?.edited.join(", ")));
    let columns: [(&str, ArrayRef); 11] = [
        ("state", Arc::new(states.iter().map(|state| Some(state.state as i64)).collect::<Int64Array>())),
        ("time", Arc::new(times.with_timezone("UTC"))),
        ("operation", Arc::new(states.iter().map(|state| Some(state.operation.as_str())).collect::<StringArray>())),
        ("runs", Arc::new(states.iter().map(|state| Some(state.runs as i64)).collect::<Int64Array>())),
        ("added", count(|c| c.added)),
        ("deleted", count(|c| c.deleted)),
        ("restored", count(|c| c.restored)),
        ("purged", count(|c| c.purged)),
        ("points", count(|c| c.points)),
        ("edited", Arc::new(edited.collect::<StringArray>())),
        ("files_joined", count(|c| c.files_joined)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(Failure::new)
}
