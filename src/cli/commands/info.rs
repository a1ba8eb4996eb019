//! `runlake info`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use runlake::export::render_table;
use runlake::{StoreInfo, TableInfo};

use crate::cli::output::{count, counted, put, put_line, size};
use crate::cli::place::Past;
use crate::cli::{Exit, Outcome, Place, terminal};

/// Show what is in the store: counts, sizes, live and sealed rows, table versions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  runlake info
  runlake info --as-of 12

small files are those that `runlake compact` would join.")]
pub struct InfoArgs {
    #[command(flatten)]
    pub past: Past,
}

pub async fn run(place: &Place, args: InfoArgs) -> Outcome {
    let store = place.open()?;
    let info = match args.past.as_of {
        Some(as_of) => store.info_as_of(as_of).await?,
        None => store.info().await?,
    };
    for (name, value) in facts(&info) {
        put_line(format!("{name:<12} {value}"))?;
    }
    let tables: Vec<&TableInfo> = info.tables.iter().filter(|t| t.rows_sealed + t.rows_live > 0).collect();
    if !tables.is_empty() {
        put("\n")?;
        put(render_table(&[batch(&tables)], &terminal::table_options(None)))?;
    }
    // There is nothing to do about the past.
    for advice in advice(&info).iter().filter(|_| args.past.as_of.is_none()) {
        put("\n")?;
        put_line(advice)?;
    }
    Ok(Exit::Done)
}

fn facts(info: &StoreInfo) -> Vec<(&'static str, String)> {
    let statuses: Vec<_> = info.runs.iter().map(|(status, n)| format!("{} {status}", count(*n))).collect();
    let deleted = |n: u64| if n == 0 { String::new() } else { format!(", and {} deleted", count(n)) };
    let statuses = if statuses.is_empty() { String::new() } else { format!(" ({})", statuses.join(", ")) };
    let sealed = match info.cut_time {
        Some(time) => format!("state {} of {time}; {} to look back on", info.cut, counted(info.states, "state")),
        None => "nothing yet".to_string(),
    };
    let live = &info.live;
    vec![
        ("store", format!("{} (id {}, made {})", info.place, info.id, info.created)),
        ("runs", format!("{}{statuses}{}", count(info.all_runs()), deleted(info.deleted_runs))),
        ("experiments", format!("{}{}", count(info.experiments), deleted(info.deleted_experiments))),
        ("sealed", sealed),
        (
            "live",
            format!(
                "{} in {} ({}), {} at work",
                counted(live.records, "record"),
                counted(live.segments, "segment"),
                size(live.bytes),
                counted(live.writers, "writer")
            ),
        ),
        ("tables", size(info.table_bytes())),
        ("artifacts", format!("{} ({})", counted(info.artifacts, "file"), size(info.artifact_bytes))),
    ]
}

fn batch(tables: &[&TableInfo]) -> RecordBatch {
    let number = |value: fn(&TableInfo) -> u64| -> ArrayRef {
        Arc::new(tables.iter().map(|t| value(t) as i64).collect::<Int64Array>())
    };
    let version = tables.iter().map(|t| t.version.map(|v| v as i64)).collect::<Int64Array>();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("table", Arc::new(tables.iter().map(|t| Some(t.name.as_str())).collect::<StringArray>())),
        ("sealed rows", number(|t| t.rows_sealed)),
        ("live rows", number(|t| t.rows_live)),
        ("version", Arc::new(version)),
        ("files", number(|t| t.files)),
        ("small files", number(|t| t.small_files)),
        ("size", Arc::new(tables.iter().map(|t| Some(size(t.bytes))).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("all columns have one length")
}

fn advice(info: &StoreInfo) -> Vec<String> {
    let mut advice = Vec::new();
    let debts: Vec<_> = info.wants_compaction().map(|t| t.name.as_str()).collect();
    if !debts.is_empty() {
        advice.push(format!("`runlake compact` would join small files of {}", debts.join(", ")));
    }
    if info.live.damaged > 0 {
        advice.push(format!("{} damaged; `runlake verify` says where", counted(info.live.damaged, "segment")));
    }
    advice
}
