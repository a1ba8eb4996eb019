//! Compaction: many small files become few large ones with the same rows.

use std::collections::BTreeMap;

use super::rows::{read_file, write_parts};
use super::{Tables, next_cut};
use crate::model::Month;
use crate::schema::Table;
use crate::store::cut::{Batch, Cut, Swap, Work};
use crate::store::delta::{Change, DataFile};
use crate::store::error::{Result, StoreError};
use crate::store::lease::Lease;
use crate::store::live::Live;
use crate::store::sealed;
use crate::store::snapshot::Snapshot;

/// What a call of `compact` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that took their place.
    pub files_after: u64,
    /// Size of the replaced files, in bytes.
    pub bytes_before: u64,
    /// Size of the new ones, in bytes.
    pub bytes_after: u64,
}

/// A file at least this large is left alone.
const LARGE_BYTES: u64 = 32 << 20;
/// Bounds the memory of one swap: bytes of files, compressed, and rows.
const SWAP_BYTES: u64 = 64 << 20;

fn most_rows(table: &Table) -> u64 {
    match table {
        Table::Runs => 128 * 1024,
        Table::Metrics => 8 << 20,
        _ => 2 << 20,
    }
}

/// Small files that lie in one partition of a table before compaction is worth its while.
pub const SMALL_FILES: usize = 8;

/// Which small files are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All of a partition that has at least this many.
    AtLeast(usize),
    /// Those that have piled up: at least [`SMALL_FILES`], none of them larger than all smaller ones together. So a row
    /// is written again only when its file doubles, however often this is done.
    Piles,
}

/// Files below this size count as equally small.
const TINY_BYTES: u64 = 64 << 10;

/// Groups of files of a table, each to become one.
pub fn joins<'a>(table: &Table, files: &'a [DataFile], join: Join) -> Vec<Vec<&'a DataFile>> {
    let mut small: BTreeMap<Month, Vec<_>> = BTreeMap::new();
    let joinable = |f: &&DataFile| !f.open && f.size < LARGE_BYTES && f.rows < most_rows(table) / 2;
    // The structs of a foreign file have to be made again, which sealing does.
    for file in files.iter().filter(joinable).filter(|f| f.ours || *table != Table::Runs) {
        if let Some(month) = file.month {
            small.entry(month).or_default().push(file);
        }
    }
    let mut all = Vec::new();
    for mut files in small.into_values() {
        let at_least = match join {
            Join::AtLeast(n) => n.max(2),
            Join::Piles => {
                files.sort_by_key(|f| f.size);
                let mut together = 0;
                let mut fits = |f: &&DataFile| {
                    let fits = f.size <= TINY_BYTES.max(together);
                    together += f.size;
                    fits
                };
                let pile = files.iter().take_while(|f| fits(f)).count();
                files.truncate(pile);
                SMALL_FILES
            }
        };
        if files.len() >= at_least {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            all.extend(groups(table, &files));
        }
    }
    all
}

/// Joins small files. One numbered operation for all tables.
pub async fn compact(tables: &Tables, join: Join) -> Result<CompactReport> {
    let mut report = CompactReport::default();
    super::finish_begun(tables).await?;
    // The files are prepared before a number is taken: a long compaction does not hold up a seal.
    let cut = Cut::newest(tables.io.as_ref())?;
    let _lease = Lease::take(&tables.io, cut.n);
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), Live::default(), Vec::new(), None);
    let mut swaps: BTreeMap<String, Vec<Swap>> = BTreeMap::new();
    for name in cut.tables.keys() {
        let Some(table) = Table::parse(name).filter(Table::by_month) else { continue };
        let Some(version) = snapshot.table(&table).await? else { continue };
        for group in joins(&table, &version.files, join) {
            let Some(month) = group[0].month else { continue };
            let mut parts = Vec::new();
            for file in &group {
                let counts = match table {
                    Table::Runs => Some(sealed::file_keys(&snapshot, &version, file).await?),
                    _ => None,
                };
                parts.push((read_file(tables, &version, file)?, counts));
            }
            if matches!(table, Table::Frame(_)) {
                for (rows, _) in &mut parts {
                    let columns = crate::store::frame::conform(rows, &version.columns);
                    *rows = columns.map_err(StoreError::arrow(&table))?;
                }
            }
            let new = write_parts(tables, &table, month, cut.n, false, parts)?;
            report.files_before += group.len() as u64;
            report.bytes_before += group.iter().map(|f| f.size).sum::<u64>();
            report.files_after += 1;
            report.bytes_after += new.size;
            let remove = group.iter().map(|f| f.path.clone()).collect();
            swaps.entry(name.clone()).or_default().push(Swap { remove, add: vec![new] });
        }
    }
    if swaps.is_empty() {
        return Ok(report);
    }
    super::run(tables, async |_| Ok(Some(Work::Compact { swaps: swaps.clone() }.into()))).await?;
    Ok(report)
}

fn groups<'a>(table: &Table, files: &[&'a DataFile]) -> Vec<Vec<&'a DataFile>> {
    let mut groups: Vec<Vec<&DataFile>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for file in files {
        if groups.is_empty() || rows + file.rows > most_rows(table) || bytes + file.size > SWAP_BYTES {
            groups.push(Vec::new());
            (rows, bytes) = (0, 0);
        }
        rows += file.rows;
        bytes += file.size;
        groups.last_mut().expect("one was pushed").push(file);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Does the operation. A swap whose files are not all there any more is left out: something else rewrote them since.
pub(super) async fn apply(
    tables: &Tables,
    cut: &Cut,
    batch: &Batch,
    swaps: &BTreeMap<String, Vec<Swap>>,
) -> Result<Cut> {
    let mut next = next_cut(cut, batch);
    let mut names: Vec<_> = swaps.keys().collect();
    names.sort_by_key(|name| name.as_str() == Table::Runs.name());
    for name in names {
        let Some(table) = Table::parse(name) else { continue };
        let version = tables
            .commit(&table, batch.n, batch.time, async |base| {
                let mut change = Change::default();
                for swap in &swaps[name] {
                    let there = |path: &String| base.is_some_and(|b| b.files.iter().any(|f| &f.path == path));
                    if swap.remove.iter().all(there) {
                        change.remove.extend(swap.remove.iter().cloned());
                        change.add.extend(swap.add.iter().cloned());
                    }
                }
                Ok(change)
            })
            .await?;
        next.tables.extend(version.map(|v| (name.clone(), v)));
    }
    Ok(next)
}
