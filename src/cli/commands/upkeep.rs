//! `runlake seal`, `compact` and `gc`.

use runlake::{GcOptions, Micros};

use crate::cli::output::{count, counted, put_line, say, size};
use crate::cli::progress::Progress;
use crate::cli::{Exit, Failure, Outcome, Place};

/// Move what was logged into the tables
///
/// Queries see the same rows before and after; after it they read less. Where much has piled up `log`, `import`, `copy`,
/// `sql`, the shell, `runs` and questions such as `top` seal by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  runlake seal")]
pub struct SealArgs {}

pub async fn seal(place: &Place, _args: SealArgs) -> Outcome {
    let store = place.open()?;
    let progress = Progress::waiting("sealing");
    let report = store.seal().await?;
    drop(progress);
    match report.records {
        0 => put_line("nothing to seal")?,
        n => put_line(format!("sealed {} ({})", counted(n, "record"), size(report.bytes)))?,
    }
    if report.joined.files_before > 0 {
        put_line(format!("joined {} that had piled up", counted(report.joined.files_before, "small file")))?;
    }
    if let Some(e) = &report.upkeep_failed {
        say(format!("warning: small files were not joined, nor old states removed: {e}"));
    }
    for (path, damage) in &report.damaged {
        say(format!("warning: segment {path} {damage}"));
    }
    match report.damaged.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Failure::new("a segment is damaged; what stands before the damage is sealed")
            .hint("`runlake verify --repair` sets the rest aside")),
    }
}

/// Join small files of the tables
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  runlake compact\n  runlake compact --at-least 2     wherever two files can become one"
)]
pub struct CompactArgs {
    /// Small files that must lie in one partition of a table for it to be worth while
    #[arg(long, value_name = "FILES", default_value_t = runlake::SMALL_FILES as u32, value_parser = clap::value_parser!(u32).range(2..))]
    pub at_least: u32,
}

pub async fn compact(place: &Place, args: CompactArgs) -> Outcome {
    let store = place.open()?;
    let progress = Progress::waiting("compacting");
    let report = store.compact(args.at_least as usize).await?;
    drop(progress);
    match report.files_before {
        0 => put_line("nothing to compact")?,
        before => put_line(format!(
            "compacted {} ({}) into {} ({})",
            counted(before, "file"),
            size(report.bytes_before),
            count(report.files_after),
            size(report.bytes_after)
        ))?,
    }
    Ok(Exit::Done)
}

/// Reclaim deleted runs and old states of the store
///
/// After it, `--as-of` reaches back only as far as --keep says. Deleted runs are gone for good, whenever they were deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  runlake gc\n  runlake gc --keep 0     nothing but the present state")]
pub struct GcArgs {
    /// Days for which states of the past stay readable
    #[arg(long, value_name = "DAYS", default_value_t = 7.0, value_parser = days)]
    pub keep: f64,
}

fn days(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(days) if (0.0..=36_500.0).contains(&days) => Ok(days),
        _ => Err("a number of days from 0 to 36500 is expected".to_string()),
    }
}

pub async fn gc(place: &Place, args: GcArgs) -> Outcome {
    let store = place.open()?;
    let progress = Progress::waiting("reclaiming");
    let report = store.gc(GcOptions { keep: Micros((args.keep * 86_400e6) as i64) }).await?;
    drop(progress);
    put_line(format!(
        "reclaimed {} ({}), {} and {}",
        counted(report.files, "file"),
        size(report.bytes),
        counted(report.runs, "deleted run"),
        counted(report.states, "old state")
    ))?;
    if let Some((state, time)) = report.oldest {
        put_line(format!("`--as-of` reaches back to state {state} of {time}, and no further"))?;
    }
    Ok(Exit::Done)
}
