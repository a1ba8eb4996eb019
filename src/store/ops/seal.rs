//! Sealing: records of segments become rows of tables.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{self, Placed};
use super::{Tables, frames_on_disk, is_settled, next_cut, versions_after};
use crate::model::{ExperimentState, Micros, Month, RunId, Status};
use crate::schema::{ExperimentRow, MetricDefRow, Row, RunTables, Table};
use crate::store::cut::{Batch, BatchSegment, Cut, GoalEntry, Mark, OpenRun, Work, run_ids};
use crate::store::delta::{Change, write_file};
use crate::store::error::{Result, StoreError};
use crate::store::live::{self, Found, Live};
use crate::store::merge::{self, Merged};
use crate::store::sealed;
use crate::store::segment;
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
}

/// Bytes of segments in one operation: bounds its memory.
const BYTES_PER_OPERATION: u64 = 192 << 20;

/// Seals everything that is live, in as many operations as it takes.
pub async fn seal(tables: &Tables) -> Result<SealReport> {
    let mut report = SealReport::default();
    super::finish_begun(tables).await?;
    loop {
        let mut records = 0;
        let done = super::run(tables, async |cut| {
            let plan = plan(tables, cut)?;
            records = plan.records;
            report.damaged = plan.damaged;
            Ok(plan.work)
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
    work: Option<Work>,
    records: u64,
    /// Damaged segments, and what is wrong with them.
    damaged: Vec<(String, String)>,
}

/// Finds the parts of segments that the next operation absorbs.
fn plan(tables: &Tables, cut: &Cut) -> Result<Plan> {
    let io = tables.io.as_ref();
    let mut segments = Vec::new();
    let (mut records, mut bytes) = (0, 0);
    let mut damaged = Vec::new();
    // Listed once, before any is read: a segment that has a successor here was complete when it is read below.
    let names = live::names(io)?;
    let found = live::find(io, cut, &names)?;
    let alive: BTreeSet<String> = found.iter().filter(|f| f.alive).map(|f| f.writer.to_string()).collect();
    // A writer's segments in their order, so that its mark never passes one that was left out.
    let mut stopped = BTreeSet::new();
    for found in &found {
        if found.from == u64::MAX {
            // Sealed as a whole and still there: a sealer died before it removed it.
            let _ = io.remove(&found.path);
            continue;
        }
        if bytes >= BYTES_PER_OPERATION || stopped.contains(&found.writer) {
            stopped.insert(found.writer);
            continue;
        }
        let content = match io.read(&found.path) {
            Ok(content) => content,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StoreError::io(&found.path)(e)),
        };
        if (content.len() as u64) < found.from {
            let problem = format!("has {} bytes, and {} of it are sealed already", content.len(), found.from);
            damaged.push((found.path.clone(), problem));
            stopped.insert(found.writer);
            continue;
        }
        let scan = segment::scan(&content, found.from, |_| ());
        if let Some(damage) = &scan.damage {
            damaged.push((found.path.clone(), damage.to_string()));
            stopped.insert(found.writer);
        }
        let later = segments_after(&found.path, &found.writer.to_string(), &names);
        // A torn tail of a dead writer holds nothing that `log` returned for.
        let closed = scan.damage.is_none() && (later || !found.alive);
        let to = scan.end.max(found.from);
        if to == found.from && !closed {
            continue;
        }
        records += scan.records;
        bytes += to - found.from;
        segments.push(BatchSegment {
            writer: found.writer.to_string(),
            number: found.number,
            from: found.from,
            to,
            digest: blake3::hash(&content[found.from as usize..to as usize]).to_hex().to_string(),
            closed,
        });
    }
    if segments.is_empty() {
        return Ok(Plan { damaged, ..Plan::default() });
    }
    let forget = forgotten(cut, &found);
    let work = Some(Work::Seal { segments, alive: alive.into_iter().collect(), forget });
    Ok(Plan { work, records, damaged })
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
) -> Result<Cut> {
    let n = batch.n;
    let mut next = next_cut(cut, batch);
    mark(&mut next, batch, segments, forget);

    let live = read_segments(tables, cut, segments)?;
    let alive: BTreeSet<String> = alive.iter().cloned().collect();
    let snapshot = Snapshot::of(tables.clone(), cut.clone(), live, Vec::new(), None);
    // The small file of runs that have not ended is written anew as a whole, and so are the runs in files that another
    // engine wrote.
    let mut extra: BTreeSet<RunId> = cut.open_runs.iter().filter_map(|open| RunId::parse(&open.run).ok()).collect();
    extra.extend(snapshot.foreign_runs().await?);
    let merged = merge::merge(&snapshot, &extra, &alive).await?;
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
    for (table, months) in merge::appended(snapshot.live(), &merged)? {
        let version = rows::append(tables, &table, n, batch.time, &months).await?;
        next.tables.extend(version.map(|v| (table.to_string(), v)));
    }
    experiments(tables, &mut next, &merged, batch, cut).await?;
    run_state(&snapshot, &mut next, &merged, batch).await?;
    Ok(next)
}

fn mark(next: &mut Cut, batch: &Batch, segments: &[BatchSegment], forget: &[String]) {
    for s in segments {
        // A closed segment is done as a whole; so a record that turns up behind it later is not looked for.
        let mark = Mark { segment: s.number, offset: s.to, time: batch.time };
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
    let mut live = Live::default();
    for s in segments {
        let path = s.path()?;
        let content = tables.io.read_range(&path, 0..s.to).map_err(StoreError::io(&path))?;
        if blake3::hash(&content[s.from as usize..]).to_hex().as_str() != s.digest {
            return Err(StoreError::damaged(path, "has changed since the operation that absorbs it was begun"));
        }
        segment::scan(&content, s.from, |record| live.add(record));
    }
    live.drop_runs(&run_ids(&cut.purged_runs).into_iter().collect());
    Ok(live)
}

/// Removes the files of segments that are sealed as a whole.
pub(super) fn remove_absorbed(tables: &Tables, segments: &[BatchSegment]) -> Result<()> {
    for s in segments.iter().filter(|s| s.closed) {
        let path = s.path()?;
        match tables.io.stat(&path) {
            // Its writer was taken for dead and was not: what it wrote since stays, and is sealed later.
            Ok(stat) if stat.len > s.to && grew_by_records(tables, &path, s.to)? => {}
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

fn grew_by_records(tables: &Tables, path: &str, to: u64) -> Result<bool> {
    let content = tables.io.read(path).map_err(StoreError::io(path))?;
    let scan = segment::scan(&content, to, |_| ());
    Ok(scan.records > 0 || scan.damage.is_some())
}

/// The two small tables of experiments are written anew when they change.
async fn experiments(tables: &Tables, next: &mut Cut, merged: &Merged, batch: &Batch, cut: &Cut) -> Result<()> {
    if merged.experiments != cut.experiments {
        let rows = ExperimentRow::to_batch(merged.experiments.values().map(ExperimentRow::new));
        let version = rows::replace_all(tables, &Table::Experiments, batch.n, batch.time, &rows).await?;
        next.tables.extend(version.map(|v| (Table::Experiments.to_string(), v)));
    }
    if merged.goals != cut.goals {
        let rows = MetricDefRow::to_batch(merged.goals.iter().map(goal_row));
        let version = rows::replace_all(tables, &Table::MetricDefs, batch.n, batch.time, &rows).await?;
        next.tables.extend(version.map(|v| (Table::MetricDefs.to_string(), v)));
    }
    Ok(())
}

/// The row of a goal.
pub(crate) fn goal_row(entry: &GoalEntry) -> MetricDefRow {
    let goal = &entry.state.goal;
    MetricDefRow {
        experiment_id: entry.experiment_id.clone(),
        key: goal.key.clone(),
        goal: goal.goal.as_str().to_string(),
        source: goal.source.clone(),
        unit: goal.unit.clone(),
        description: goal.description.clone(),
    }
}

/// Puts the rows of all merged runs in the place of their old ones.
async fn run_state(snapshot: &Snapshot, next: &mut Cut, merged: &Merged, batch: &Batch) -> Result<()> {
    if merged.runs.is_empty() {
        return Ok(());
    }
    let mut placed: BTreeMap<(Month, bool), RunTables> = BTreeMap::new();
    for run in merged.runs.values() {
        let open = !is_settled(run.status, run.state.last_seen(), batch.time);
        let rows = placed.entry((run.state.month(), open)).or_default();
        merge::push_rows(rows, run, &merged.experiments, sealed::hidden(&run.state, open));
    }
    let mut by_table: BTreeMap<Table, Vec<Placed>> = BTreeMap::new();
    for ((month, open), rows) in placed {
        let (batches, counts) = rows.finish();
        for (table, rows) in batches {
            let counts = (table == Table::Runs).then(|| counts.clone());
            by_table.entry(table).or_default().push(Placed { month, open, rows, counts });
        }
    }
    for table in Table::RUN_STATE {
        let rows = by_table.remove(&table).unwrap_or_default();
        let version = rows::replace_runs(snapshot, &table, batch, &rows, merged).await?;
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
