//! Reclaiming: rows of deleted runs, states older than the retention, and what no state refers to.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Tables, decode_file, frames_on_disk, purge, seal};
use crate::model::Micros;
use crate::schema::Table;
use crate::store::cut::Cut;
use crate::store::error::{Result, StoreError};
use crate::store::io::{ASIDE_PREFIX, Entry};
use crate::store::{checksum, layout, lease};

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
    /// The oldest state that can still be read, and its time; `None` where nothing was ever sealed.
    pub oldest: Option<(u64, Micros)>,
}

/// Batches of operations that were done are needed no more; the latest stay, so that a process that was asleep finds its
/// number taken.
const BATCHES_KEPT: u64 = 32;

/// A file that no log names may belong to an operation that is under way; after an hour it does not.
const UNDER_WAY: i64 = 3600 * 1_000_000;

/// Purges deleted runs and removes what is older than the retention, and what no state refers to.
pub async fn gc(tables: &Tables, options: GcOptions) -> Result<GcReport> {
    seal::seal(tables).await?;
    let runs = purge::purge(tables).await?;
    let newest = super::durable_cut(tables.io.as_ref())?;
    purge::remove_artifacts(tables, &newest)?;
    let (mut report, oldest) = expire(tables, options.keep, 1..=usize::MAX).await?;
    report.runs = runs;
    report.oldest = Cut::numbers(tables.io.as_ref())?
        .first()
        .map(|n| Cut::read(tables.io.as_ref(), *n))
        .transpose()?
        .map(|cut| (cut.n, cut.time));
    if let Some(oldest) = oldest {
        for table in all_tables(tables)? {
            sweep(tables, &table, &oldest, &mut report).await?;
        }
    }
    Ok(report)
}

fn all_tables(tables: &Tables) -> Result<Vec<Table>> {
    let mut all = Table::FIXED.to_vec();
    all.extend(frames_on_disk(tables)?);
    Ok(all)
}

/// Removes states that are older than `keep`, but so that their number stays within `states`, and save those that readers hold;
/// with the files and the logs that only they needed.
///
/// Gives the oldest state that stays; `None` when a reader has just taken hold of one that went, so that no more files
/// may go this time.
pub async fn expire(tables: &Tables, keep: Micros, states: RangeInclusive<usize>) -> Result<(GcReport, Option<Cut>)> {
    let io = tables.io.as_ref();
    let mut report = GcReport::default();
    let newest = super::durable_cut(io)?;
    let horizon = Micros(Micros::now().0 - keep.0);
    let numbers = Cut::numbers(io)?;
    let held = lease::oldest(io)?.unwrap_or(u64::MAX);
    // A reader may still be at the state that was the newest when the retention began, so that one stays too.
    let mut first_kept = 0;
    let (mut before, mut oldest) = (None, None);
    for (i, &n) in numbers.iter().enumerate().take(numbers.len().saturating_sub((*states.start()).max(1)) + 1) {
        let cut = match Cut::read(io, n) {
            Ok(cut) => cut,
            // One that cannot be read helps nobody; it goes with those around it.
            Err(StoreError::Damaged { .. }) => continue,
            Err(e) => return Err(e),
        };
        let is_young = cut.time > horizon && numbers.len() - i < *states.end();
        if oldest.is_some() && (is_young || n > held) {
            break;
        }
        before.get_or_insert_with(|| cut.clone());
        (first_kept, oldest) = (i, Some(cut));
    }
    let oldest = oldest.unwrap_or_else(|| newest.clone());
    // A batch goes before its cut: an interruption leaves at most the oldest cut without one, which harms nobody.
    for entry in io.list(layout::LIVE).map_err(StoreError::io(layout::LIVE))? {
        let number = layout::batch_number(&entry.name);
        if number.is_some_and(|n| n < oldest.n || n + BATCHES_KEPT <= newest.n) {
            report.take(tables, &format!("{}/{}", layout::LIVE, entry.name))?;
        }
    }
    for &n in &numbers[..first_kept] {
        // The newest could be made again from the one before it, though nobody reads that any more.
        if n + 1 == newest.n {
            match io.rename(&layout::cut(n), &layout::base(n)) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => report.take(tables, &layout::cut(n))?,
                other => other.map_err(StoreError::io(layout::cut(n)))?,
            }
        } else {
            report.take(tables, &layout::cut(n))?;
        }
        report.states += 1;
    }
    let mut purged = Vec::new();
    for entry in io.list(layout::CUTS).map_err(StoreError::io(layout::CUTS))? {
        if layout::base_number(&entry.name).is_some_and(|n| n + 1 != newest.n) {
            report.take(tables, &format!("{}/{}", layout::CUTS, entry.name))?;
        }
        purged.extend(layout::purged_number(&entry.name).filter(|n| oldest.purged.is_some_and(|oldest| *n < oldest)));
    }
    // One of them stays, to make the present one again from.
    purged.sort_unstable();
    purged.pop();
    for n in purged {
        report.take(tables, &layout::purged(n))?;
    }
    // A reader that came while states were removed looks whether its own is still there; it may have been.
    if lease::oldest(io)?.is_some_and(|held| held < oldest.n) {
        return Ok((report, None));
    }
    if let Some(before) = before.filter(|before| before.n < oldest.n) {
        for table in all_tables(tables)? {
            outdated(tables, &table, &before, &oldest, &mut report).await?;
        }
    }
    Ok((report, Some(oldest)))
}

/// Removes the files of a table that stopped to belong to it between two states, and the log before the later one.
async fn outdated(tables: &Tables, table: &Table, before: &Cut, oldest: &Cut, report: &mut GcReport) -> Result<()> {
    let name = table.to_string();
    let Some(&to) = oldest.tables.get(&name) else { return Ok(()) };
    let from = before.tables.get(&name).map_or(0, |version| version + 1);
    let folder = layout::table(table);
    let mut removed = BTreeSet::new();
    for version in from..=to {
        removed.extend(files_of(tables, &folder, version)?.removed);
    }
    if removed.is_empty() {
        return Ok(());
    }
    // Another engine may have brought a file back.
    for version in [Some(to), None] {
        let there = tables.open(table, version).await?;
        removed.retain(|path| !there.iter().flat_map(|t| &t.files).any(|file| file.path == *path));
    }
    for path in removed {
        report.take(tables, &format!("{folder}/{path}"))?;
        if *table == Table::Runs {
            report.take(tables, &format!("{folder}/{}", layout::key_counts(&path)))?;
        }
    }
    sweep_log(tables, &folder, to, report)
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
        kept.extend(files_of(tables, &folder, version)?.added);
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
    match since {
        Some(since) => sweep_log(tables, &folder, since, report),
        None => Ok(()),
    }
}

/// What a commit did with files, by path.
#[derive(Default)]
struct CommitFiles {
    added: Vec<String>,
    removed: Vec<String>,
}

/// Reads a commit. One that is gone was checkpointed, and its state is not kept.
fn files_of(tables: &Tables, folder: &str, version: u64) -> Result<CommitFiles> {
    let path = format!("{folder}/_delta_log/{version:020}.json");
    let text = match checksum::read_log(tables.io.as_ref(), &path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(CommitFiles::default()),
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    let mut files = CommitFiles::default();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let action: serde_json::Value =
            serde_json::from_slice(line).map_err(|e| StoreError::damaged(&path, format!("cannot be read: {e}")))?;
        files.added.extend(action["add"]["path"].as_str().map(str::to_string));
        files.removed.extend(action["remove"]["path"].as_str().map(str::to_string));
    }
    Ok(files)
}

/// Removes commits before the last checkpoint that no kept state needs.
fn sweep_log(tables: &Tables, folder: &str, oldest: u64, report: &mut GcReport) -> Result<()> {
    let log = format!("{folder}/_delta_log");
    let entries = tables.io.list(&log).map_err(StoreError::io(&log))?;
    let number = |name: &str| name.split('.').next().and_then(|n| n.parse::<u64>().ok());
    let checkpoints = entries.iter().filter(|e| e.name.contains(".checkpoint"));
    let base = checkpoints.filter_map(|e| Some((number(&e.name)?, &e.name))).filter(|(v, _)| *v <= oldest).max();
    let superseded = |e: &&Entry| number(&e.name).is_some_and(|v| base.is_some_and(|(base, _)| v < base));
    if let Some((_, name)) = base
        && entries.iter().any(|e| superseded(&e))
    {
        // What lies before it can be had from it only, from now on.
        let path = format!("{log}/{name}");
        decode_file(&path, checksum::read_log(tables.io.as_ref(), &path).map_err(StoreError::io(&path))?)?;
    }
    for entry in &entries {
        let half_made = entry.name.starts_with(ASIDE_PREFIX) && Micros::now().0 - entry.stat.modified.0 > UNDER_WAY;
        if superseded(&entry) || half_made {
            report.take(tables, &format!("{log}/{}", entry.name))?;
        }
    }
    Ok(())
}
