//! Reclaiming: rows of deleted runs, states older than the retention, and what no state refers to.

use std::collections::BTreeSet;

use super::{Tables, frames_on_disk, purge, seal};
use crate::model::Micros;
use crate::schema::Table;
use crate::store::cut::Cut;
use crate::store::error::{Result, StoreError};
use crate::store::io::ASIDE_PREFIX;
use crate::store::layout;

/// What `gc` may take.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions {
    /// States younger than this many microseconds stay readable: cuts, logs and files alike.
    pub keep: Micros,
}

impl Default for GcOptions {
    /// Seven days.
    fn default() -> Self {
        GcOptions { keep: Micros(7 * 24 * 3600 * 1_000_000) }
    }
}

/// What `gc` took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Deleted runs whose rows are gone.
    pub runs: u64,
    /// States that can no longer be read.
    pub states: u64,
    /// Files that were removed.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A file that no log names may belong to an operation that is under way; after an hour it does not.
const UNDER_WAY: i64 = 3600 * 1_000_000;

/// Purges deleted runs and removes what is older than the retention.
pub async fn gc(tables: &Tables, options: GcOptions) -> Result<GcReport> {
    let mut report = GcReport::default();
    seal::seal(tables).await?;
    report.runs = purge::purge(tables).await?;
    let io = tables.io.as_ref();
    let newest = super::durable_cut(io)?;
    purge::remove_artifacts(tables, &newest)?;

    // A reader may still be at the state that was the newest when the retention began, so that one stays too.
    let horizon = Micros(Micros::now().0 - options.keep.0);
    let mut numbers = Cut::numbers(io)?;
    let mut oldest = newest.clone();
    let mut first_kept = numbers.len();
    for (i, &n) in numbers.iter().enumerate().rev() {
        let cut = Cut::read(io, n)?;
        first_kept = i;
        let before = cut.time <= horizon;
        oldest = cut;
        if before {
            break;
        }
    }
    // A batch goes before its cut: an interruption leaves at most the oldest cut without one, which harms nobody.
    for entry in io.list(layout::LIVE).map_err(StoreError::io(layout::LIVE))? {
        if layout::batch_number(&entry.name).is_some_and(|n| n < oldest.n && !numbers.contains(&n)) {
            report.take(tables, &format!("{}/{}", layout::LIVE, entry.name))?;
        }
    }
    for n in numbers.drain(..first_kept) {
        report.take(tables, &layout::batch(n))?;
        report.take(tables, &layout::cut(n))?;
        report.states += 1;
    }
    let mut all = Table::FIXED.to_vec();
    all.extend(frames_on_disk(tables)?);
    for table in all {
        sweep(tables, &table, &oldest, &mut report).await?;
    }
    Ok(report)
}

impl GcReport {
    fn take(&mut self, tables: &Tables, path: &str) -> Result<()> {
        let size = tables.io.stat(path).map(|s| s.len).unwrap_or(0);
        match tables.io.remove(path) {
            Ok(()) => {
                self.files += 1;
                self.bytes += size;
                Ok(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(StoreError::io(path)(e)),
        }
    }
}

/// Removes the files of a table that no kept state refers to, and the log before the oldest one.
async fn sweep(tables: &Tables, table: &Table, oldest: &Cut, report: &mut GcReport) -> Result<()> {
    let io = tables.io.as_ref();
    let Some(newest) = tables.open(table, None).await? else { return Ok(()) };
    let folder = layout::table(table);
    let mut kept: BTreeSet<String> = newest.files.iter().map(|f| f.path.clone()).collect();
    let since = oldest.tables.get(&table.to_string()).copied();
    if let Some(version) = since
        && let Some(old) = tables.open(table, Some(version)).await?
    {
        kept.extend(old.files.iter().map(|f| f.path.clone()));
    }
    // States between the two hold what was added between them.
    for version in since.map_or(0, |v| v + 1)..=newest.version {
        kept.extend(added_by(tables, &folder, version)?);
    }
    let keys: BTreeSet<String> = kept.iter().map(|path| layout::key_counts(path)).collect();
    let young = |modified: Micros| Micros::now().0 - modified.0 < UNDER_WAY;
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let here = format!("{folder}/{below}");
        for entry in io.list(here.trim_end_matches('/')).map_err(StoreError::io(&here))? {
            let path = format!("{below}{}", entry.name);
            if entry.is_dir {
                if entry.name != "_delta_log" {
                    folders.push(format!("{path}/"));
                }
            } else if !kept.contains(&path) && !keys.contains(&path) && !young(entry.stat.modified) {
                report.take(tables, &format!("{folder}/{path}"))?;
            }
        }
    }
    sweep_log(tables, &folder, since, report)
}

/// Files that a commit added. A commit that is gone was checkpointed, and its state is not kept.
fn added_by(tables: &Tables, folder: &str, version: u64) -> Result<Vec<String>> {
    let path = format!("{folder}/_delta_log/{version:020}.json");
    let text = match tables.io.read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    let mut added = Vec::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let action: serde_json::Value =
            serde_json::from_slice(line).map_err(|e| StoreError::damaged(&path, format!("cannot be read: {e}")))?;
        added.extend(action["add"]["path"].as_str().map(str::to_string));
    }
    Ok(added)
}

/// Removes commits before the last checkpoint that no kept state needs.
fn sweep_log(tables: &Tables, folder: &str, oldest: Option<u64>, report: &mut GcReport) -> Result<()> {
    let log = format!("{folder}/_delta_log");
    let entries = tables.io.list(&log).map_err(StoreError::io(&log))?;
    let number = |name: &str| name.split('.').next().and_then(|n| n.parse::<u64>().ok());
    let checkpoints = entries.iter().filter(|e| e.name.contains(".checkpoint")).filter_map(|e| number(&e.name));
    let base = checkpoints.filter(|&v| oldest.is_some_and(|oldest| v <= oldest)).max();
    for entry in &entries {
        let superseded = number(&entry.name).is_some_and(|v| base.is_some_and(|base| v < base));
        let half_made = entry.name.starts_with(ASIDE_PREFIX) && Micros::now().0 - entry.stat.modified.0 > UNDER_WAY;
        if superseded || half_made {
            report.take(tables, &format!("{log}/{}", entry.name))?;
        }
    }
    Ok(())
}
