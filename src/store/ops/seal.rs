//! Sealing: records of segments become rows of tables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::rows::{self, Placed};
use super::{CompactReport, Planned, Tables, frames_on_disk, is_settled, next_cut, small, versions_after};
use crate::model::{ExperimentState, Micros, Month, RunId, Status};
use crate::schema::{RunTables, Table, same_rows};
use crate::store::cut::{Batch, BatchSegment, Cut, Mark, OpenRun, Work};
use crate::store::delta::{Change, write_file};
use crate::store::error::{Result, StoreError};
use crate::store::live::{self, Found, Live, Load, Reading};
use crate::store::merge::{self, Merged};
use crate::store::sealed;
use crate::store::segment::{self, Content, RawRecord};
use crate::store::snapshot::Snapshot;

/// What a call of `seal` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Operations.
    pub operations: u64,
    /// Records that became rows.
    pub records: u64,
    /// Bytes of segments that were absorbed.
    pub bytes: u64,
    /// Segments with damage, which keep what lies after it: path and what is wrong.
    pub damaged: Vec<(String, String)>,
    /// Small files that were joined after it, because they had piled up.
    pub joined: CompactReport,
    /// Why what keeps the store fast could not be done after it; the next seal tries again.
    pub upkeep_failed: Option<String>,
}

/// Runs in one file: what a later edit of one of them writes anew.
const RUNS_PER_FILE: usize = 64 * 1024;

/// What one operation absorbs at most: bounds its memory, with the segment that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Points, which take 48 bytes each until they are in a file, and whatever else becomes a row, which takes some 300.
    pub load: Load,
    /// Bytes of records other than points: texts and tables may be long.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { load: Load { points: 4 << 20, runs: RUNS_PER_FILE, values: 1_000_000 }, bytes: 64 << 20 }
    }
}

impl Limits {
    fn reached(&self, load: Load, bytes: usize) -> bool {
        let Limits { load: most, bytes: most_bytes } = self;
        load.points >= most.points || load.runs >= most.runs || load.values >= most.values || bytes >= *most_bytes
    }
}

/// Seals everything that is live, in as many operations as it takes.
pub async fn seal(tables: &Tables) -> Result<SealReport> {
    seal_within(tables, Limits::default()).await
}

/// Like [`seal`], with other limits.
pub(crate) async fn seal_within(tables: &Tables, limits: Limits) -> Result<SealReport> {
    let mut report = SealReport::default();
    super::finish_begun(tables).await?;
    loop {
        let mut records = 0;
        let done = super::run(tables, async |cut| {
            let plan = plan(tables, cut, limits)?;
            records = plan.records;
            report.damaged = plan.damaged;
            Ok(plan.planned)
        })
        .await?;
        let Some((batch, _)) = done else { return Ok(report) };
        report.operations += 1;
        report.records += records;
        if let Work::Seal { segments, .. } = &batch.work {
            report.bytes += segments.iter().map(|s| s.to - s.from).sum::<u64>();
        }
    }
}

/// What the next operation is to absorb.
#[derive(Default)]
struct Plan {
    /// `None`: there is nothing to absorb and nothing to remove.
    planned: Option<Planned>,
    records: u64,
    /// Damaged segments, and what is wrong with them.
    damaged: Vec<(String, String)>,
}

/// Finds the parts of segments that the next operation absorbs.
fn plan(tables: &Tables, cut: &Cut, limits: Limits) -> Result<Plan> {
    let io = tables.io.as_ref();
    let mut segments = Vec::new();
    let mut reading = Reading::default();
    // Of records of metrics only the points count.
    let mut bytes = 0;
    let mut full = false;
    let mut reread = false;
    let mut damaged = Vec::new();
    // Listed once, before any is read: a segment that has a successor here was complete when it is read below.
    let names = live::names(io)?;
    let found = live::find(io, cut, &names)?;
    let alive: BTreeSet<String> = found.iter().filter(|f| f.alive).map(|f| f.writer.to_string()).collect();
    // A writer's segments in their order, so that its mark never passes one that was left out.
    let mut stopped = BTreeSet::new();
    let mut all = found.clone();
    for (i, found) in found.iter().enumerate() {
        if found.from == u64::MAX {
            // Sealed as a whole and still there: a sealer died before it removed it.
            let _ = io.remove(&found.path);
            continue;
        }
        if full || stopped.contains(&found.writer) {
            stopped.insert(found.writer);
            continue;
        }
        let content = match Content::read(io, &found.path, found.from, found.before) {
            Ok(content) => content,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StoreError::io(&found.path)(e)),
        };
        if content.len() < found.from {
            let problem = format!("has {} bytes, and {} of it are sealed already", content.len(), found.from);
            damaged.push((found.path.clone(), problem));
            stopped.insert(found.writer);
            continue;
        }
        if content.len() > found.from {
            // Its writer syncs it at its own time, or never if it is dead; what the batch names must not vanish.
            match io.sync(&found.path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(StoreError::io(&found.path))?,
            }
        }
        let scan = segment::scan_raw(&content, found.from, |version, record, len| {
            if matches!(record, RawRecord::Other(_)) {
                bytes += len;
            }
            reading.add_raw(version, record)?;
            full = limits.reached(reading.load(), bytes);
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        if let Some(damage) = &scan.damage {
            damaged.push((found.path.clone(), damage.to_string()));
            stopped.insert(found.writer);
        }
        all[i].next_sequence = Some(scan.next_sequence);
        if scan.damage.is_none()
            && !full
            && let Some(next) = all.get(i + 1)
            && let Some((path, damage)) = live::lost_between(io, &all[i], next)?
        {
            // Nothing can be done about a file that is missing, and what lies after it is sound. One that lost its end
            // stays until a repair has kept what is left of it.
            if path == found.path {
                stopped.insert(found.writer);
                damaged.push((path, damage.to_string()));
                // Its records are among those that were read, and not among those to absorb.
                reread = true;
                continue;
            }
            damaged.push((path, damage.to_string()));
        }
        let later = segments_after(&found.path, &found.writer.to_string(), &names);
        // A torn tail of a dead writer holds nothing that `log` returned for.
        // Where the operation is full the next one goes on.
        let closed = scan.damage.is_none() && !full && (later || !found.alive);
        let to = scan.end.max(found.from);
        if to == found.from && !closed {
            continue;
        }
        segments.push(BatchSegment {
            writer: found.writer.to_string(),
            number: found.number,
            from: found.from,
            to,
            records: Some((scan.index - scan.records, scan.index)),
            digest: blake3::hash(content.range(found.from..to)).to_hex().to_string(),
            closed,
        });
    }
    if segments.is_empty() {
        return Ok(Plan { damaged, ..Plan::default() });
    }
    let forget = forgotten(cut, &found);
    let records = reading.records();
    let work = Work::Seal { segments, alive: alive.into_iter().collect(), forget };
    let live = if reread { None } else { Some(cut.live_of(io, reading)?) };
    Ok(Plan { planned: Some(Planned { work, live }), records, damaged })
}

/// Whether the writer has begun a later segment: then it writes to this one no more.
fn segments_after(path: &str, writer: &str, names: &[crate::store::io::Entry]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    names.iter().any(|e| e.name.as_str() > name && e.name.starts_with(writer))
}

/// Does the operation.
pub(super) async fn apply(
    tables: &Tables,
    cut: &Cut,
    batch: &Batch,
    segments: &[BatchSegment],
    alive: &[String],
    forget: &[String],
    live: Option<Live>,
) -> Result<Cut> {
    let n = batch.n;
    let mut next = next_cut(cut, batch);
    mark(&mut next, batch, segments, forget);

    let mut live = match live {
        Some(live) => live,
        None => read_segments(tables, cut, segments)?,
    };
    let states = std::mem::take(&mut live.states);
    let alive: BTreeSet<String> = alive.iter().cloned().collect();
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), live, Vec::new(), None);
    // The small file of runs that have not ended is written anew as a whole, and so are the runs in files that another
    // engine wrote.
    let mut extra: BTreeSet<RunId> = cut.open_runs.iter().filter_map(|open| RunId::parse(&open.run).ok()).collect();
    extra.extend(snapshot.foreign_runs().await?);
    let merged = merge::merge_states(&snapshot, states, &extra, &alive).await?;
    finish_cut(&mut next, &merged, batch);

    // `runs` is committed last: when it holds the operation, every table does.
    if let Some(runs) = tables.open(&Table::Runs, None).await?
        && runs.operation().await? >= n
    {
        let mut all = Table::FIXED.to_vec();
        all.extend(frames_on_disk(tables)?);
        next.tables = versions_after(tables, cut, &all).await?;
        return Ok(next);
    }
    let points = merge::points(snapshot.live(), &merged);
    if !points.is_empty() {
        let version = rows::append_points(tables, n, batch.time, &points).await?;
        next.tables.extend(version.map(|v| (Table::Metrics.to_string(), v)));
    }
    for (table, months) in merge::appended(snapshot.live(), &merged)? {
        let version = rows::append(tables, &table, n, batch.time, &months).await?;
        next.tables.extend(version.map(|v| (table.to_string(), v)));
    }
    small::write(tables, &mut next, cut, batch).await?;
    run_state(&snapshot, &mut next, &merged, batch).await?;
    Ok(next)
}

/// Notes how far the operation has sealed each writer.
pub(super) fn mark(next: &mut Cut, batch: &Batch, segments: &[BatchSegment], forget: &[String]) {
    for s in segments {
        // A closed segment is done as a whole; so a record that turns up behind it later is not looked for.
        let records = s.records.map(|(_, after)| after);
        let mark = Mark { segment: s.number, offset: s.to, records, time: batch.time };
        let old = next.marks.insert(s.writer.clone(), mark);
        if let Some(old) = old.filter(|old| old.segment > s.number) {
            next.marks.insert(s.writer.clone(), old);
        }
    }
    for writer in forget {
        next.marks.remove(writer);
    }
}

/// Writers of whom no segment is left and nothing was sealed for a day, which is far longer than a reader may hold a
/// list of names. The mark of one whose segment is still there must stay however old it is: without it the sealed part
/// would be sealed again.
fn forgotten(cut: &Cut, found: &[Found]) -> Vec<String> {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let now = Micros::now();
    let there: BTreeSet<String> = found.iter().map(|f| f.writer.to_string()).collect();
    let old = cut.marks.iter().filter(|(writer, mark)| !there.contains(*writer) && now.0 - mark.time.0 > DAY);
    old.map(|(writer, _)| writer.clone()).collect()
}

/// Reads what the batch names, and nothing else.
fn read_segments(tables: &Tables, cut: &Cut, segments: &[BatchSegment]) -> Result<Live> {
    let mut live = Reading::default();
    for s in segments {
        let path = s.path()?;
        let content = Content::read(tables.io.as_ref(), &path, s.from, s.records.map(|(before, _)| before));
        let mut content = content.map_err(StoreError::io(&path))?;
        content.truncate(s.to);
        if content.len() < s.to || blake3::hash(content.range(s.from..s.to)).to_hex().as_str() != s.digest {
            return Err(StoreError::damaged(path, "has changed since the operation that absorbs it was begun"));
        }
        segment::scan_raw(&content, s.from, |version, record, _| {
            live.add_raw(version, record).map(ControlFlow::Continue)
        });
    }
    cut.live_of(tables.io.as_ref(), live)
}

/// Removes the files of segments that are sealed as a whole.
pub(super) fn remove_absorbed(tables: &Tables, segments: &[BatchSegment]) -> Result<()> {
    for s in segments.iter().filter(|s| s.closed) {
        let path = s.path()?;
        match tables.io.stat(&path) {
            // Its writer was taken for dead and was not: what it wrote since stays, and is sealed later.
            Ok(stat) if stat.len > s.to && grew_by_records(tables, &path, s)? => {}
            Ok(_) => match tables.io.remove(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io(path)(e)),
                _ => {}
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io(path)(e)),
        }
    }
    Ok(())
}

fn grew_by_records(tables: &Tables, path: &str, s: &BatchSegment) -> Result<bool> {
    let content = Content::read(tables.io.as_ref(), path, s.to, s.records.map(|(_, after)| after));
    let scan = segment::scan(&content.map_err(StoreError::io(path))?, s.to, |_| ());
    Ok(scan.records > 0 || scan.damage.is_some())
}

/// Puts the rows of all merged runs in the place of their old ones.
async fn run_state(snapshot: &Snapshot, next: &mut Cut, merged: &Merged, batch: &Batch) -> Result<()> {
    if merged.runs.is_empty() {
        return Ok(());
    }
    let open_before: BTreeSet<&str> = snapshot.cut().open_runs.iter().map(|open| open.run.as_str()).collect();
    // Runs whose rows in a table are where they belong and stay as they are: a new tag does not write params again.
    let mut unchanged: BTreeMap<Table, BTreeSet<RunId>> = BTreeMap::new();
    let mut by_table: BTreeMap<Table, Vec<Placed>> = BTreeMap::new();
    let mut place = |month: Month, open: bool, rows: RunTables| {
        let (batches, counts) = rows.finish();
        for (table, rows) in batches {
            let counts = (table == Table::Runs).then(|| counts.clone());
            by_table.entry(table).or_default().push(Placed { month, open, rows, counts });
        }
    };
    let mut placed: BTreeMap<(Month, bool), RunTables> = BTreeMap::new();
    for (id, run) in &merged.runs {
        let month = run.state.month();
        let open = !is_settled(run.status, run.state.last_seen(), batch.time);
        let mut same = Vec::new();
        if let Some(sealed) = run.sealed.as_ref().filter(|_| !open && !open_before.contains(id.as_str())) {
            same.extend(Table::RUN_STATE.into_iter().filter(|table| same_rows(table, sealed, &run.state)));
        }
        let rows = placed.entry((month, open)).or_default();
        merge::push_rows(rows, run, &merged.experiments, sealed::hidden(&run.state, open), |t| !same.contains(t));
        // Runs come in the order of their ids, so files hold ranges of them that hardly overlap, and one run is in one.
        if !open && rows.len() >= RUNS_PER_FILE {
            place(month, open, std::mem::take(rows));
        }
        for table in same {
            unchanged.entry(table).or_default().insert(id.clone());
        }
    }
    for ((month, open), rows) in placed {
        place(month, open, rows);
    }
    for table in Table::RUN_STATE {
        let rows = by_table.remove(&table).unwrap_or_default();
        let stay = unchanged.remove(&table).unwrap_or_default();
        let version = rows::replace_runs(snapshot, &table, batch, &rows, merged, &stay).await?;
        next.tables.extend(version.map(|v| (table.to_string(), v)));
    }
    Ok(())
}

/// What the cut knows of runs and experiments.
fn finish_cut(next: &mut Cut, merged: &Merged, batch: &Batch) {
    next.experiments = merged.experiments.clone();
    next.goals = merged.goals.clone();
    next.hidden_experiments =
        merged.experiments.values().filter(|e: &&ExperimentState| e.is_deleted()).map(|e| e.id.to_string()).collect();
    let mut hidden: BTreeSet<String> = next.hidden_runs.drain(..).collect();
    let mut open: BTreeMap<String, OpenRun> = next.open_runs.drain(..).map(|o| (o.run.clone(), o)).collect();
    for (id, run) in &merged.runs {
        if run.state.is_deleted() {
            hidden.insert(id.to_string());
        } else {
            hidden.remove(id.as_str());
        }
        if is_settled(run.status, run.state.last_seen(), batch.time) {
            open.remove(id.as_str());
        } else {
            let status: Status = run.status;
            let writers = match run.state.is_running_elsewhere() {
                true => Vec::new(),
                false => run.state.writers().map(|w| w.to_string()).collect(),
            };
            open.insert(
                id.to_string(),
                OpenRun {
                    run: id.to_string(),
                    experiment_id: run.experiment_id().to_string(),
                    month: run.state.month(),
                    status,
                    writers,
                },
            );
        }
    }
    next.hidden_runs = hidden.into_iter().collect();
    next.open_runs = open.into_values().collect();
}

/// Writes one file per batch of rows and adds them.
pub(super) async fn add_files(
    tables: &Tables,
    table: &Table,
    n: u64,
    months: &BTreeMap<Month, Vec<arrow::array::RecordBatch>>,
) -> Result<Change> {
    let mut change = Change { data_change: true, ..Change::default() };
    for (month, batches) in months {
        for rows in batches {
            change.add.push(write_file(tables.io.as_ref(), table, Some(*month), n, false, rows, None)?);
        }
    }
    Ok(change)
}
