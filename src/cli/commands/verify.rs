//! `runlake verify`.

use crate::cli::output::{count, counted, put_line, size};
use crate::cli::progress::Progress;
use crate::cli::{Exit, Outcome, Place};

/// Check every file, digest and invariant of the store
///
/// Reads all of it once and names what is damaged and what that held. Exits with 1 when something is left damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake verify
  runlake verify --repair     keep what is intact, set the rest aside")]
pub struct VerifyArgs {
    /// Make again what other files say too, keep what is intact of damaged segments, set damaged files aside; nothing else
    #[arg(long)]
    pub repair: bool,
}

pub async fn run(place: &Place, args: VerifyArgs) -> Outcome {
    let store = place.open()?;
    let progress = Progress::waiting("verifying");
    let report = store.verify(args.repair).await?;
    drop(progress);
    for finding in &report.findings {
        put_line(format!("damaged: {finding}"))?;
        if let Some(repaired) = &finding.repaired {
            put_line(format!("         repaired: {repaired}"))?;
        }
    }
    let looked = format!(
        "{} ({}), {} and {} checked",
        counted(report.files, "file"),
        size(report.bytes),
        counted(report.rows, "row"),
        counted(report.records, "live record")
    );
    let left = report.findings.iter().filter(|finding| finding.repaired.is_none()).count() as u64;
    match (report.findings.is_empty(), left) {
        (true, _) => put_line(format!("{looked}: all is well"))?,
        (false, 0) => put_line(format!("{looked}: {} repaired", counted(report.findings.len() as u64, "thing")))?,
        (false, left) if args.repair => put_line(format!("{looked}: {} left damaged", count(left)))?,
        (false, left) => {
            put_line(format!("{looked}: {} damaged; `runlake verify --repair` mends what can be", count(left)))?
        }
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Failed })
}
