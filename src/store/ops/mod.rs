//! Changes of the sealed store. Each is one numbered operation that may be repeated at any point:
//!
//! 1. a batch file claims the number and says what is to be done;
//! 2. each table gets one commit that carries the number, `runs` last;
//! 3. the cut makes it the state of the store;
//! 4. what it made superfluous is removed.
//!
//! Whoever finds a batch without its cut finishes it first. A lock saves work; nothing rests on it.
//!
//! What another process made may be seen before it is durable, and its maker may be dead by then. So whatever a step
//! builds on is synced before the step does something that survives: the segments before the batch that names them, a
//! batch before a table gets its number, a commit before the cut that names it, a cut before what it made superfluous goes.

mod compact;
mod decode;
mod gc;
mod mend;
mod purge;
mod rows;
mod seal;
mod small;
mod upkeep;

use std::collections::BTreeMap;

use super::cut::{Batch, Cut, FORMAT, Work};
use super::delta::Tables;
use super::error::{Result, StoreError};
use super::io::Io;
use super::layout;
use super::live::Live;
use super::snapshot::is_beyond;
use crate::model::{Micros, Status};
use crate::schema::Table;

pub use compact::{CompactReport, Join, SMALL_FILES, compact, joins};
pub(crate) use decode::{decode_batches, decode_file};
pub use gc::{GcOptions, GcReport, gc};
pub(crate) use mend::again;
pub use purge::runs_of;
#[cfg(test)]
pub(crate) use seal::{Limits, seal_within};
pub use seal::{SealReport, seal};
pub(crate) use small::goal_row;
pub use upkeep::{Upkeep, upkeep};

/// Commits of a table between two Delta checkpoints.
const CHECKPOINT_EVERY: u64 = 25;
/// How often another sealer may be first before we give up.
const ATTEMPTS: u32 = 1000;

/// Finishes the operation that some process began and did not end; `true` when there was one.
pub async fn finish_begun(tables: &Tables) -> Result<bool> {
    let io = tables.io.as_ref();
    let cut = durable_cut(io)?;
    match Batch::read(io, cut.n + 1)? {
        Some(batch) => {
            io.sync(layout::LIVE).map_err(StoreError::io(layout::LIVE))?;
            apply(tables, &cut, &batch, None).await.map(|_| true)
        }
        None => Ok(false),
    }
}

/// The newest cut, which no power cut can take from now on.
fn durable_cut(io: &dyn Io) -> Result<Cut> {
    let cut = Cut::newest(io)?;
    if cut.n > 0 {
        io.sync(layout::CUTS).map_err(StoreError::io(layout::CUTS))?;
    }
    Ok(cut)
}

/// Work for the next operation.
struct Planned {
    work: Work,
    /// What the segments hold that it absorbs, where they were read to plan it: reading millions of points twice would
    /// make sealing half as fast.
    live: Option<Live>,
}

impl From<Work> for Planned {
    fn from(work: Work) -> Self {
        Planned { work, live: None }
    }
}

/// Claims the next number for the work that `plan` makes of the newest cut, and does it. `None`: there is nothing to do.
async fn run<F>(tables: &Tables, mut plan: F) -> Result<Option<(Batch, Cut)>>
where
    F: AsyncFnMut(&Cut) -> Result<Option<Planned>>,
{
    let io = tables.io.as_ref();
    for _ in 0..ATTEMPTS {
        if finish_begun(tables).await? {
            continue;
        }
        let cut = durable_cut(io)?;
        let Some(Planned { work, live }) = plan(&cut).await? else { return Ok(None) };
        // Tables would take the new operation for the one of that number that they hold, and skip it.
        if is_beyond(io, &cut)? && Batch::read(io, cut.n + 1)?.is_none() && Cut::newest(io)?.n == cut.n {
            let problem = "is missing, and so is its batch: table runs holds that operation already";
            return Err(StoreError::damaged(layout::cut(cut.n + 1), problem));
        }
        let time = Micros::now().max(Micros(cut.time.0 + 1));
        let batch = Batch { format: FORMAT, n: cut.n + 1, time, work };
        if !batch.create(io)? {
            continue;
        }
        // `gc` forgets batches of the past, so a process that was asleep for that long may claim a number again that was
        // done since. Its work was planned on a state that is gone: doing it would remove segments that nobody sealed.
        if Cut::newest(io)?.n >= batch.n {
            io.remove(&layout::batch(batch.n)).map_err(StoreError::io(layout::batch(batch.n)))?;
            continue;
        }
        let next = apply(tables, &cut, &batch, live).await?;
        return Ok(Some((batch, next)));
    }
    Err(StoreError::Busy { attempts: ATTEMPTS })
}

/// Does what a batch says and makes its cut. Safe to repeat, and to do beside others who do the same.
///
/// `live` is what the segments hold that the batch names, when they were read already.
async fn apply(tables: &Tables, cut: &Cut, batch: &Batch, live: Option<Live>) -> Result<Cut> {
    let io = tables.io.as_ref();
    let next = match &batch.work {
        Work::Seal { segments, alive, forget } => seal::apply(tables, cut, batch, segments, alive, forget, live).await,
        Work::Compact { swaps } => compact::apply(tables, cut, batch, swaps).await,
        Work::Purge { runs, experiments } => purge::apply(tables, cut, batch, runs, experiments).await,
    };
    let next = match next {
        Ok(next) => next,
        // Another process was faster and has removed what we were reading.
        Err(e) => match Cut::newest(io)? {
            newest if newest.n >= batch.n => return Cut::read(io, batch.n),
            _ => return Err(e),
        },
    };
    let next = if next.create(io)? { next } else { Cut::read(io, batch.n)? };
    if let Work::Seal { segments, .. } = &batch.work {
        seal::remove_absorbed(tables, segments)?;
    }
    checkpoint(tables, cut, &next).await;
    Ok(next)
}

/// The next cut, before an operation fills in what it changed.
fn next_cut(cut: &Cut, batch: &Batch) -> Cut {
    let mut next = cut.clone();
    next.n = batch.n;
    next.time = batch.time;
    next.operation = batch.work.name().to_string();
    next
}

/// The versions of all tables after operation `n` when it is known to have committed everywhere.
async fn versions_after(tables: &Tables, cut: &Cut, touched: &[Table]) -> Result<BTreeMap<String, u64>> {
    let mut versions = cut.tables.clone();
    for table in touched {
        if let Some(version) = tables.open(table, None).await? {
            if cut.tables.get(&table.to_string()) != Some(&version.version) {
                tables.sync_log(table)?;
            }
            versions.insert(table.to_string(), version.version);
        }
    }
    Ok(versions)
}

/// Checkpoints are a step of their own, after the cut; a missing one costs time, never rows.
async fn checkpoint(tables: &Tables, before: &Cut, after: &Cut) {
    for (name, version) in &after.tables {
        let Some(table) = Table::parse(name) else { continue };
        let old = before.tables.get(name).copied().unwrap_or(0);
        let is_due = version / CHECKPOINT_EVERY > old / CHECKPOINT_EVERY;
        if is_due || (*version >= CHECKPOINT_EVERY && lacks_hint(tables, &table)) {
            let _ = tables.checkpoint(&table).await;
        }
    }
}

/// Whether nothing says where a table's checkpoint is: a process died before it had written that, or it was lost.
fn lacks_hint(tables: &Tables, table: &Table) -> bool {
    let found = tables.io.stat(&layout::last_checkpoint(table));
    found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Tables of frames on disk, sealed or not.
pub(crate) fn frames_on_disk(tables: &Tables) -> Result<Vec<Table>> {
    let entries = tables.io.list(layout::FRAMES).map_err(StoreError::io(layout::FRAMES))?;
    Ok(entries.iter().filter(|e| e.is_dir).filter_map(|e| layout::frame_of(&e.name)).collect())
}

/// Whether a run's rows may move out of the small file of runs that have not ended.
fn is_settled(status: Status, last_seen: Micros, now: Micros) -> bool {
    // A crashed run may be taken up again; after a day that is an edit like any other.
    const DAY: i64 = 24 * 3600 * 1_000_000;
    status.is_final() || status == Status::Crashed && now.0 - last_seen.0 > DAY
}
