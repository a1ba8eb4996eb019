//! Cuts and batches.

use std::collections::BTreeSet;

use super::{VerifyReport, aside, problem};
use crate::schema::Table;
use crate::store::cut::{Batch, Cut, Work};
use crate::store::delta::Tables;
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::snapshot::lost_cut;
use crate::store::{layout, live, ops};

/// Checks the cuts; gives the newest state. Where its file is lost or damaged it is made again from what else there is,
/// and with `repair` put in its place.
pub async fn cuts(tables: &Tables, repair: bool, report: &mut VerifyReport) -> Result<Cut> {
    let io = tables.io.as_ref();
    let numbers = Cut::numbers(io)?;
    let mut newest = Cut::empty();
    let mut expected = numbers.first().copied().unwrap_or(0);
    for &n in &numbers {
        for missing in expected..n {
            report.find(layout::cut(missing), "is missing", holds(missing));
        }
        expected = n + 1;
        match Cut::read(io, n) {
            Ok(cut) => {
                if cut.time <= newest.time {
                    let problem = format!("is of {}, not later than cut {}", cut.time, newest.n);
                    report.find(layout::cut(n), problem, holds(n));
                }
                report.read(io.stat(&layout::cut(n)).map_or(0, |stat| stat.len as usize));
                newest = cut;
            }
            Err(e) if e.is_not_found() || matches!(e, StoreError::Damaged { .. }) => {
                report.find(layout::cut(n), problem(&e), holds(n));
                if numbers.last() == Some(&n)
                    && let Some(cut) = again(tables, n, report).await?
                {
                    if repair {
                        let path = layout::cut(n);
                        let content = io.read(&path).map_err(StoreError::io(&path))?;
                        let aside = aside::copy(io, &path, &content)?;
                        cut.replace(io)?;
                        report.mended(format!("made again from its batch and the tables, the damaged file is {aside}"));
                    }
                    newest = cut;
                }
            }
            Err(e @ StoreError::NewerFormat { .. }) => report.find(layout::cut(n), problem(&e), holds(n)),
            Err(e) => return Err(e),
        }
    }
    base(io, &newest, report)?;
    purged(io, &newest, repair, report)?;
    // One that is gone without a trace in `cuts/` is known by what its operation left.
    if numbers.last().is_none_or(|last| *last == newest.n)
        && let Some(StoreError::Damaged { path, problem }) = lost_cut(io, &newest, &live::names(io)?).or_else(unread)?
    {
        let n = newest.n + 1;
        report.find(path, problem, holds(n));
        if let Some(cut) = again(tables, n, report).await? {
            if repair {
                cut.create(io)?;
                report.mended("made again from its batch and the tables");
            }
            newest = cut;
        }
    }
    Ok(newest)
}

fn holds(n: u64) -> String {
    format!("state {n} of the store: which version of each table")
}

/// A batch that cannot be read is told of with the batches.
fn unread(e: StoreError) -> Result<Option<StoreError>> {
    match e {
        StoreError::Damaged { .. } | StoreError::NewerFormat { .. } => Ok(None),
        e => Err(e),
    }
}

/// The newest cut, made again; where it cannot be, the last finding says why.
async fn again(tables: &Tables, n: u64, report: &mut VerifyReport) -> Result<Option<Cut>> {
    match ops::again(tables, n).await {
        Ok(cut) => Ok(Some(cut)),
        Err(e) => {
            let finding = report.findings.last_mut().expect("the cut was just told of");
            finding.problem.push_str(&format!("; it cannot be made again: {e}"));
            Ok(None)
        }
    }
}

/// The cut before the newest, where `gc` kept it for this only.
fn base(io: &dyn Io, newest: &Cut, report: &mut VerifyReport) -> Result<()> {
    let entries = io.list(layout::CUTS).map_err(StoreError::io(layout::CUTS))?;
    if newest.n > 1 && entries.iter().filter_map(|e| layout::base_number(&e.name)).any(|n| n + 1 == newest.n) {
        let path = layout::base(newest.n - 1);
        match Cut::before(io, newest.n) {
            Ok(_) => report.read(io.stat(&path).map_or(0, |stat| stat.len as usize)),
            Err(e) => report.find(path, problem(&e), "what the newest cut could be made again from"),
        }
    }
    Ok(())
}

/// The runs that were purged.
fn purged(io: &dyn Io, newest: &Cut, repair: bool, report: &mut VerifyReport) -> Result<()> {
    let Some(n) = newest.purged else { return Ok(()) };
    let path = layout::purged(n);
    match newest.purged_runs(io) {
        Ok(_) => report.read(io.stat(&path).map_or(0, |stat| stat.len as usize)),
        Err(e) if e.is_not_found() || matches!(e, StoreError::Damaged { .. }) => {
            report.find(&path, problem(&e), "runs that were purged, which a late record must not bring back");
            if repair {
                let aside = match io.read(&path) {
                    Ok(content) => format!(", the damaged file is {}", aside::copy(io, &path, &content)?),
                    Err(_) => String::new(),
                };
                let kept = newest.mend_purged(io)?;
                report.mended(format!("made again with {}{aside}", super::plural(kept as u64, "run")));
            }
        }
        Err(e) => return Err(e),
    }
    Ok(())
}

/// Checks the batches: that of the newest cut, older ones where they are still there, and at most one beyond, which can
/// be ended.
pub async fn batches(tables: &Tables, cut: &Cut, repair: bool, report: &mut VerifyReport) -> Result<()> {
    let io = tables.io.as_ref();
    let entries = io.list(layout::LIVE).map_err(StoreError::io(layout::LIVE))?;
    let found: BTreeSet<u64> = entries.iter().filter_map(|e| layout::batch_number(&e.name)).collect();
    let holds = |n: u64| format!("what operation {n} was to do");
    if cut.n > 0 && !found.contains(&cut.n) {
        report.find(layout::batch(cut.n), "is missing", holds(cut.n));
    }
    for n in found {
        let path = layout::batch(n);
        let problem = match Batch::read(io, n) {
            Ok(Some(batch)) => {
                report.read(io.stat(&path).map_or(0, |stat| stat.len as usize));
                match batch.n == n {
                    true if n <= cut.n => continue,
                    true => pending(io, cut, &batch),
                    false => Some(format!("holds batch {}", batch.n)),
                }
            }
            Ok(None) => continue,
            Err(StoreError::NewerFormat { found, known, .. }) => {
                report.find(path, format!("has format {found}, and this runlake reads up to {known}"), holds(n));
                continue;
            }
            Err(e @ StoreError::Damaged { .. }) => Some(problem(&e)),
            Err(e) => return Err(e),
        };
        let Some(problem) = problem else { continue };
        report.find(&path, problem, holds(n));
        // That of the newest cut has to stay, as it is. Older ones nobody needs, and one that was begun may be forgotten
        // while no table holds anything of it: the next operation does its work.
        if repair && (n < cut.n || n > cut.n && !begun(tables, n).await?) {
            let aside = aside::take(io, &path)?;
            report.mended(format!("not needed, the damaged file is {aside}"));
        }
    }
    Ok(())
}

/// Whether some table holds this operation.
async fn begun(tables: &Tables, n: u64) -> Result<bool> {
    let mut all = Table::FIXED.to_vec();
    all.extend(ops::frames_on_disk(tables)?);
    for table in all {
        match tables.open(&table, None).await {
            Ok(Some(version)) if version.operation().await? >= n => return Ok(true),
            Ok(_) => {}
            // Nobody knows.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// What stands in the way of an operation that was begun and has no cut: it can be ended while the segments that it
/// absorbs are there.
fn pending(io: &dyn Io, cut: &Cut, batch: &Batch) -> Option<String> {
    if batch.n > cut.n + 1 {
        return Some(format!("is of an operation beyond the next one, {}", cut.n + 1));
    }
    let Work::Seal { segments, .. } = &batch.work else { return None };
    segments.iter().find_map(|s| {
        let path = s.path().ok()?;
        let same = io.read_range(&path, s.from..s.to).is_ok_and(|c| blake3::hash(&c).to_hex().as_str() == s.digest);
        (!same).then(|| format!("cannot be done: {path}, which it absorbs, is gone or has changed"))
    })
}
