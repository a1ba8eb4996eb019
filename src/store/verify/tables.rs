//! The log and the data files of each table at the newest cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use bytes::Bytes;

use super::artifacts::{self, Logged};
use super::rows::{self, Ids, SeriesSums};
use super::{VerifyReport, aside, of_cut, plural, problem};
use crate::model::RunId;
use crate::schema::wide::KeyCounts;
use crate::schema::{ArtifactRow, Row, Table};
use crate::store::cut::Cut;
use crate::store::delta::{DataFile, TableVersion, Tables};
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::ops::{decode_batches, decode_file};
use crate::store::snapshot::Snapshot;
use crate::store::{checksum, layout, sealed};

/// What was gathered from the data files.
struct Facts {
    /// Whether some rows could not be read, so that what is missing proves nothing.
    incomplete: bool,
    series: SeriesSums,
}

/// Checks all tables, and what they say of each other.
pub async fn tables(snapshot: &Snapshot, repair: bool, report: &mut VerifyReport) -> Result<()> {
    let cut = snapshot.cut();
    let io = snapshot.tables().io.as_ref();
    // Those that cannot be read were told of.
    let oldest = Cut::numbers(io)?.into_iter().find_map(|n| Cut::read(io, n).ok());
    let mut facts = Facts { incomplete: false, series: SeriesSums::new() };
    let mut opened: Vec<Arc<TableVersion>> = Vec::new();
    for (name, version) in &cut.tables {
        let Some(table) = Table::parse(name) else {
            report.find(
                layout::cut(cut.n),
                format!("names the table '{name}', which cannot be"),
                "a state of the store",
            );
            continue;
        };
        let since = oldest.as_ref().and_then(|oldest| oldest.tables.get(name)).copied().unwrap_or(0);
        log(snapshot.tables(), &table, since.min(*version), *version, repair, report).await?;
        let found = match snapshot.table(&table).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                facts.incomplete = true;
                report.find(layout::table(&table), "is missing", format!("table {table}"));
                continue;
            }
            Err(e) => {
                facts.incomplete = true;
                let path = format!("{}/_delta_log", layout::table(&table));
                report.find(path, problem(&e), format!("table {table} at version {version}"));
                continue;
            }
        };
        match found.operation().await {
            Ok(n) if n <= cut.n => {}
            Ok(n) => {
                let problem = format!("holds operation {n} at version {version}, which {} names", of_cut(cut));
                report.find(layout::table(&table), problem, format!("table {table}"));
            }
            Err(e) => report.find(layout::table(&table), problem(&e), format!("table {table}")),
        }
        for file in &found.files {
            data_file(snapshot, &found, file, &mut facts, report)?;
            if table == Table::Runs {
                key_counts(snapshot, &found, file, repair, report).await?;
            }
        }
        opened.push(found);
    }
    let ids = FileIds { tables: snapshot.tables(), opened: &opened };
    let others: Vec<Table> =
        opened.iter().map(|t| t.table.clone()).filter(|t| t.by_month() && *t != Table::Runs).collect();
    let runs = opened.iter().filter(|t| t.table == Table::Runs).flat_map(|t| &t.files);
    rows::runs(&ids, runs.map(|f| f.rows).sum(), &others, cut, !facts.incomplete, report).await?;
    if !facts.incomplete
        && let Some(mut different) = facts.series.different()
    {
        for version in opened.iter().filter(|t| matches!(t.table, Table::Metrics | Table::MetricStats)) {
            for file in &version.files {
                for rows in rows_in(snapshot.tables(), version, file, None)? {
                    different.add(&version.table, &rows?).map_err(StoreError::schema(&version.table))?;
                }
            }
        }
        different.report(report);
    }
    Ok(())
}

/// The run ids in data files.
struct FileIds<'a> {
    tables: &'a Tables,
    opened: &'a [Arc<TableVersion>],
}

impl Ids for FileIds<'_> {
    async fn each(&self, table: &Table, seen: &mut dyn FnMut(&str, &str)) -> Result<()> {
        for version in self.opened.iter().filter(|t| t.table == *table) {
            for file in &version.files {
                let path = version.full_path(file);
                // Files that cannot be read were told of.
                let Ok(batches) = rows_in(self.tables, version, file, Some("run_id")) else { continue };
                let mut last = String::new();
                for rows in batches.map_while(Result::ok) {
                    let Some(ids) = rows.column_by_name("run_id").and_then(|c| c.as_string_opt::<i32>()) else { break };
                    for id in ids.iter().flatten() {
                        // Rows of a run often follow each other; in `runs` each row counts.
                        if *table == Table::Runs || id != last {
                            seen(&path, id);
                            last.clear();
                            last.push_str(id);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn rows_in(
    tables: &Tables,
    version: &TableVersion,
    file: &DataFile,
    column: Option<&str>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
    let bytes = tables.read_whole(version, file)?;
    Ok(decode_batches(&version.full_path(file), bytes, column.as_ref().map(std::slice::from_ref))?.1)
}

/// Looks at the commits that readers of the versions from `since` on need, and at those that cuts have digests of.
async fn log(
    tables: &Tables,
    table: &Table,
    since: u64,
    version: u64,
    repair: bool,
    report: &mut VerifyReport,
) -> Result<()> {
    let io = tables.io.as_ref();
    let folder = format!("{}/_delta_log", layout::table(table));
    let entries = io.list(&folder).map_err(StoreError::io(&folder))?;
    let commits: BTreeSet<u64> = entries.iter().filter_map(|e| layout::commit_version(&e.name)).collect();
    let holds = |v: u64| format!("version {v} of table {table}");
    let checkpoint = |name: &str| name.strip_suffix(".checkpoint.parquet").and_then(|v| v.parse::<u64>().ok());
    let (mut base, mut oldest_base) = (None, None);
    let mut bad = Vec::new();
    for (name, v) in entries.iter().filter_map(|e| Some((&e.name, checkpoint(&e.name)?))) {
        let path = format!("{folder}/{name}");
        let bytes = io.read(&path).map_err(StoreError::io(&path))?;
        report.read(bytes.len());
        let damaged = |e| StoreError::damaged(&path, format!("is damaged: {e}"));
        let checked = checksum::check_log(&path, &bytes).map_err(damaged);
        match checked.and_then(|()| decode_file(&path, bytes)) {
            Ok(_) => {
                base = base.max(Some(v).filter(|v| *v <= version));
                oldest_base = oldest_base.max(Some(v).filter(|v| *v <= since));
            }
            Err(e) => bad.push((path, problem(&e), format!("a Delta checkpoint of {}", holds(v)))),
        }
    }
    let hint = layout::last_checkpoint(table);
    match io.read(&hint) {
        Ok(bytes) => {
            report.read(bytes.len());
            let found = serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|v| v["version"].as_u64());
            let what = "which Delta checkpoint is the newest".to_string();
            match found {
                None => bad.push((hint.clone(), "cannot be read".to_string(), what)),
                Some(v) if entries.iter().any(|e| checkpoint(&e.name) == Some(v)) => {}
                // Which of the two is to blame, nobody knows.
                Some(v) => {
                    let lost = format!("{folder}/{v:020}.checkpoint.parquet");
                    bad.push((lost, "is missing".to_string(), format!("a Delta checkpoint of {}", holds(v))));
                    bad.push((hint.clone(), format!("names a checkpoint of version {v}, which is not there"), what));
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Between a checkpoint and its hint a process may die, or be at work this moment; readers list the log then.
            // The next operation mends that, so what is missing later was lost.
            if base.is_some_and(|base| base < version) {
                let holds = "which Delta checkpoint is the newest".to_string();
                bad.push((hint.clone(), "is missing".to_string(), holds));
            }
        }
        Err(e) => return Err(StoreError::io(&hint)(e)),
    }
    // What lies before the checkpoint may have been cleaned up.
    let needed = base.map_or(0, |base| base + 1)..=version;
    // Checkpoints only repeat what commits say, so with those they can be made again.
    let again = !bad.is_empty() && repair && needed.clone().all(|v| is_readable(io, table, v));
    for (path, problem, holds) in bad {
        report.find(&path, problem, holds);
        if again && io.stat(&path).is_ok() {
            let aside = aside::take(io, &path)?;
            report.mended(format!("made again, the damaged file is {aside}"));
        } else if again {
            report.mended("made again");
        }
    }
    if again {
        // Where it names what was just set aside, the table could not be opened.
        match io.remove(&hint) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io(&hint)(e)),
            _ => tables.checkpoint(table).await?,
        }
    }
    for v in oldest_base.map_or(0, |base| base + 1)..=version {
        if !commits.contains(&v) {
            report.find(layout::commit(table, v), "is missing", holds(v));
        }
    }
    for &v in &commits {
        let path = layout::commit(table, v);
        let bytes = io.read(&path).map_err(StoreError::io(&path))?;
        report.read(bytes.len());
        if let Err(e) = checksum::check_log(&path, &bytes) {
            report.find(path, format!("is damaged: {e}"), holds(v));
            continue;
        }
        let bad = bytes
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty())
            .find_map(|line| serde_json::from_slice::<serde_json::Value>(line).err());
        if let Some(e) = bad {
            report.find(path, format!("cannot be read: {e}"), holds(v));
        }
    }
    Ok(())
}

fn is_readable(io: &dyn Io, table: &Table, version: u64) -> bool {
    let lines = |bytes: Bytes| {
        let mut lines = bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        lines.all(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok())
    };
    checksum::read_log(io, &layout::commit(table, version)).is_ok_and(lines)
}

fn data_file(
    snapshot: &Snapshot,
    version: &TableVersion,
    file: &DataFile,
    facts: &mut Facts,
    report: &mut VerifyReport,
) -> Result<()> {
    let table = &version.table;
    let mut holds = format!("{} of table {table}", plural(file.rows, "row"));
    if let Some((min, max)) = file.ranges.get("run_id") {
        holds.push_str(&if min == max { format!(", run '{min}'") } else { format!(", runs '{min}' to '{max}'") });
    }
    match rows_of_file(snapshot, version, file, facts, report)? {
        Looked::Sound => {}
        Looked::Unsorted => {
            let problem = format!("is not sorted by {}", table.sort_columns().join(", "));
            report.find(version.full_path(file), problem, holds);
        }
        Looked::Unreadable(problem) => {
            facts.incomplete = true;
            report.find(version.full_path(file), problem, holds);
        }
    }
    Ok(())
}

/// What looking at a data file gave.
enum Looked {
    Sound,
    Unsorted,
    /// Some of its rows are lost, or may be.
    Unreadable(String),
}

/// Reads a data file to its end and takes in what its rows say.
fn rows_of_file(
    snapshot: &Snapshot,
    version: &TableVersion,
    file: &DataFile,
    facts: &mut Facts,
    report: &mut VerifyReport,
) -> Result<Looked> {
    let io = snapshot.tables().io.as_ref();
    let path = version.full_path(file);
    let table = &version.table;
    let unreadable = |problem: String| Ok(Looked::Unreadable(problem));
    let bytes = match snapshot.tables().read_whole(version, file) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return unreadable("is missing".to_string()),
        Err(StoreError::Damaged { problem, .. }) => return unreadable(problem),
        Err(e) => return Err(e),
    };
    report.read(bytes.len());
    let batches = match decode_batches(&path, bytes, None) {
        Ok((_, batches)) => batches,
        Err(e) => return unreadable(problem(&e)),
    };
    let mut order = Order::new(table);
    let (mut count, mut sorted) = (0, true);
    for rows in batches {
        let rows = match rows {
            Ok(rows) => rows,
            Err(e) => return unreadable(problem(&e)),
        };
        count += rows.num_rows() as u64;
        sorted = sorted && (!file.ours || order.goes_on(&rows)?);
        facts.series.add(table, &rows).map_err(StoreError::schema(table))?;
        if *table == Table::Artifacts {
            for r in ArtifactRow::from_batch(&rows).map_err(StoreError::schema(table))? {
                let (size, run) = (r.size as u64, r.run_id);
                artifacts::check(io, &Logged { uri: r.uri, size, digest: r.digest, run, path: r.path }, report)?;
            }
        }
    }
    report.rows += count;
    Ok(match (count == file.rows, sorted) {
        (false, _) => Looked::Unreadable(format!("has {count} rows, and the log says {}", file.rows)),
        (true, false) => Looked::Unsorted,
        (true, true) => Looked::Sound,
    })
}

/// The order of the rows of a file, batch by batch.
struct Order {
    table: Table,
    converter: Option<RowConverter>,
    last: Option<OwnedRow>,
}

impl Order {
    fn new(table: &Table) -> Self {
        Order { table: table.clone(), converter: None, last: None }
    }

    /// Whether these rows are sorted and follow those before them.
    fn goes_on(&mut self, rows: &RecordBatch) -> Result<bool> {
        let columns: Vec<_> =
            self.table.sort_columns().iter().filter_map(|c| rows.column_by_name(c)).cloned().collect();
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => {
                let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
                none.insert(RowConverter::new(fields).map_err(StoreError::arrow(&self.table))?)
            }
        };
        let keys = converter.convert_columns(&columns).map_err(StoreError::arrow(&self.table))?;
        let follows = match (&self.last, keys.iter().next()) {
            (Some(last), Some(first)) => last.row() <= first,
            _ => true,
        };
        self.last = keys.iter().next_back().map(|row| row.owned()).or(self.last.take());
        Ok(follows && keys.iter().is_sorted())
    }
}

/// Checks the counts of keys beside a file of `runs` against its runs.
async fn key_counts(
    snapshot: &Snapshot,
    version: &TableVersion,
    file: &DataFile,
    repair: bool,
    report: &mut VerifyReport,
) -> Result<()> {
    let io = snapshot.tables().io.as_ref();
    let path = format!("{}/{}", layout::table(&Table::Runs), layout::key_counts(&file.path));
    // What cannot be read was told of; its counts cannot be checked.
    let Some(true) = counts_of(snapshot, version, file).await?.map(|computed| {
        let stored = io.read(&path).map(|bytes| {
            let json = checksum::json::old_content(&bytes).map_err(|e| format!("is damaged: {e}"))?;
            serde_json::from_slice::<KeyCounts>(json).map_err(|e| format!("cannot be read: {e}"))
        });
        let problem = match stored {
            Ok(Ok(stored)) if stored == computed => return true,
            Ok(Ok(_)) => "does not fit the runs of its file".to_string(),
            Ok(Err(problem)) => problem,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "is missing".to_string(),
            Err(e) => format!("cannot be read: {e}"),
        };
        // A file of another engine never had any.
        if !file.ours {
            return true;
        }
        report.find(
            &path,
            problem,
            format!("the keys of params, metrics, tags and data of {}", plural(file.rows, "run")),
        );
        if repair {
            let done = io.replace(&path, &checksum::json::signed(&computed)).is_ok();
            let finding = report.findings.last_mut().expect("one was just added");
            finding.repaired = done.then(|| "counted again".to_string());
        }
        true
    }) else {
        return Ok(());
    };
    Ok(())
}

/// Runs whose states are in memory at once.
const RUNS_AT_ONCE: usize = 8192;

async fn counts_of(snapshot: &Snapshot, version: &TableVersion, file: &DataFile) -> Result<Option<KeyCounts>> {
    let Ok(batches) = rows_in(snapshot.tables(), version, file, Some("run_id")) else { return Ok(None) };
    let mut ids: Vec<RunId> = Vec::new();
    for rows in batches {
        let Ok(rows) = rows else { return Ok(None) };
        let Some(found) = rows.column_by_name("run_id").and_then(|c| c.as_string_opt::<i32>()) else { return Ok(None) };
        ids.extend(found.iter().flatten().filter_map(|id| RunId::parse(id).ok()));
    }
    let mut counts = KeyCounts::default();
    for ids in ids.chunks(RUNS_AT_ONCE) {
        let Ok(states) = sealed::states(snapshot, &ids.iter().cloned().collect()).await else { return Ok(None) };
        states.values().for_each(|state| counts.add_run(state));
    }
    Ok(Some(counts))
}
