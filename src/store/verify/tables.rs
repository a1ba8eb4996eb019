//! The log and the data files of each table at the newest cut.

use arrow::array::{AsArray, RecordBatch};
use arrow::row::{RowConverter, SortField};

use super::rows::Facts;
use super::{VerifyReport, of_cut, plural, problem};
use crate::model::RunId;
use crate::schema::Table;
use crate::schema::wide::KeyCounts;
use crate::store::cut::Cut;
use crate::store::delta::{DataFile, TableVersion};
use crate::store::error::{Result, StoreError};
use crate::store::ops::decode_file;
use crate::store::snapshot::Snapshot;
use crate::store::{layout, sealed};

/// Checks all tables and gathers what they say of each other.
pub async fn tables(snapshot: &Snapshot, repair: bool, facts: &mut Facts, report: &mut VerifyReport) -> Result<()> {
    let cut = snapshot.cut();
    for (name, version) in &cut.tables {
        let Some(table) = Table::parse(name) else {
            report.find(
                layout::cut(cut.n),
                format!("names the table '{name}', which cannot be"),
                "a state of the store",
            );
            continue;
        };
        log(snapshot, &table, *version, report)?;
        let opened = match snapshot.table(&table).await {
            Ok(Some(opened)) => opened,
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
        match opened.operation().await {
            Ok(n) if n <= cut.n => {}
            Ok(n) => {
                let problem = format!("holds operation {n} at version {version}, which {} names", of_cut(cut));
                report.find(layout::table(&table), problem, format!("table {table}"));
            }
            Err(e) => report.find(layout::table(&table), problem(&e), format!("table {table}")),
        }
        for file in &opened.files {
            data_file(snapshot, &opened, file, facts, report)?;
            if table == Table::Runs {
                key_counts(snapshot, &opened, file, repair, report).await?;
            }
        }
    }
    Ok(())
}

/// Looks at the commits that a reader of this version needs, and at those that cuts have digests of.
fn log(snapshot: &Snapshot, table: &Table, version: u64, report: &mut VerifyReport) -> Result<()> {
    let io = snapshot.tables().io.as_ref();
    let folder = format!("{}/_delta_log", layout::table(table));
    let entries = io.list(&folder).map_err(StoreError::io(&folder))?;
    let commits: std::collections::BTreeSet<u64> =
        entries.iter().filter_map(|e| layout::commit_version(&e.name)).collect();
    let holds = |v: u64| format!("version {v} of table {table}");
    let mut base = None;
    for entry in entries.iter().filter(|e| e.name.contains(".checkpoint") && e.name.ends_with(".parquet")) {
        let Some(v) = entry.name.split('.').next().and_then(|v| v.parse::<u64>().ok()) else { continue };
        let path = format!("{folder}/{}", entry.name);
        let bytes = io.read(&path).map_err(StoreError::io(&path))?;
        report.read(bytes.len());
        match decode_file(&path, bytes) {
            Ok(_) if v <= version => base = base.max(Some(v)),
            Ok(_) => {}
            Err(e) => report.find(path, problem(&e), format!("a Delta checkpoint of {}", holds(v))),
        }
    }
    // What lies before the checkpoint may have been cleaned up.
    for v in base.map_or(0, |base| base + 1)..=version {
        if !commits.contains(&v) {
            report.find(layout::commit(table, v), "is missing", holds(v));
        }
    }
    for &v in &commits {
        let path = layout::commit(table, v);
        let bytes = io.read(&path).map_err(StoreError::io(&path))?;
        report.read(bytes.len());
        if bytes.is_empty() {
            report.find(path, "is empty, and would read as a commit of nothing", holds(v));
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
    digests(snapshot, table, &commits, report)
}

fn digests(
    snapshot: &Snapshot,
    table: &Table,
    commits: &std::collections::BTreeSet<u64>,
    report: &mut VerifyReport,
) -> Result<()> {
    let io = snapshot.tables().io.as_ref();
    let name = table.to_string();
    let mut seen = std::collections::BTreeSet::new();
    for n in Cut::numbers(io)? {
        // One that cannot be read was told of.
        let Ok(cut) = Cut::read(io, n) else { continue };
        let (Some(&version), Some(digest)) = (cut.tables.get(&name), cut.logs.get(&name)) else { continue };
        if !commits.contains(&version) || !seen.insert(version) {
            continue;
        }
        let path = layout::commit(table, version);
        let bytes = io.read(&path).map_err(StoreError::io(&path))?;
        let computed = blake3::hash(&bytes).to_hex();
        if computed.as_str() != digest && !report.findings.iter().any(|f| f.path == path) {
            let problem = format!("is damaged: digest {digest} stored, {computed} computed");
            report.find(path, problem, format!("version {version} of table {table}"));
        }
    }
    Ok(())
}

fn data_file(
    snapshot: &Snapshot,
    version: &TableVersion,
    file: &DataFile,
    facts: &mut Facts,
    report: &mut VerifyReport,
) -> Result<()> {
    let path = version.full_path(file);
    let table = &version.table;
    let mut holds = format!("{} of table {table}", plural(file.rows, "row"));
    if let Some((min, max)) = file.ranges.get("run_id") {
        holds.push_str(&if min == max { format!(", run '{min}'") } else { format!(", runs '{min}' to '{max}'") });
    }
    let mut bad = |problem: String| {
        facts.incomplete = true;
        report.find(&path, problem, holds.clone());
    };
    let bytes = match snapshot.tables().io.read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            bad("is missing".to_string());
            return Ok(());
        }
        Err(e) => return Err(StoreError::io(path)(e)),
    };
    if bytes.len() as u64 != file.size {
        bad(format!("has {} bytes, not {}", bytes.len(), file.size));
        return Ok(());
    }
    if let Some(digest) = &file.digest {
        let computed = blake3::hash(&bytes).to_hex();
        if computed.as_str() != digest {
            bad(format!("is damaged: digest {digest} stored, {computed} computed"));
            return Ok(());
        }
    }
    let rows = match decode_file(&path, bytes.clone()) {
        Ok(rows) => rows,
        Err(e) => {
            bad(problem(&e));
            return Ok(());
        }
    };
    if rows.num_rows() as u64 != file.rows {
        bad(format!("has {} rows, and the log says {}", rows.num_rows(), file.rows));
    } else if file.ours && !is_sorted(table, &rows)? {
        report.find(&path, format!("is not sorted by {}", table.sort_columns().join(", ")), holds.clone());
    }
    report.read(bytes.len());
    report.rows += rows.num_rows() as u64;
    facts.add(table, &path, &rows).map_err(StoreError::schema(table))
}

fn is_sorted(table: &Table, rows: &RecordBatch) -> Result<bool> {
    let columns: Vec<_> = table.sort_columns().iter().filter_map(|c| rows.column_by_name(c)).cloned().collect();
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let sorted = || -> std::result::Result<bool, arrow::error::ArrowError> {
        let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
        Ok(keys.iter().is_sorted())
    };
    sorted().map_err(StoreError::arrow(table))
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
        let stored = io.read(&path).map(|bytes| serde_json::from_slice::<KeyCounts>(&bytes));
        let problem = match stored {
            Ok(Ok(stored)) if stored == computed => return true,
            Ok(Ok(_)) => "does not fit the runs of its file".to_string(),
            Ok(Err(e)) => format!("cannot be read: {e}"),
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
            let json = serde_json::to_vec(&computed).expect("plain data is JSON");
            let done = io.replace(&path, &json).is_ok();
            let finding = report.findings.last_mut().expect("one was just added");
            finding.repaired = done.then(|| "counted again".to_string());
        }
        true
    }) else {
        return Ok(());
    };
    Ok(())
}

async fn counts_of(snapshot: &Snapshot, version: &TableVersion, file: &DataFile) -> Result<Option<KeyCounts>> {
    let Ok(rows) = snapshot.tables().io.read(&version.full_path(file)) else { return Ok(None) };
    let Ok(rows) = decode_file(&file.path, rows) else { return Ok(None) };
    let Some(ids) = rows.column_by_name("run_id").and_then(|c| c.as_string_opt::<i32>()) else { return Ok(None) };
    let ids = ids.iter().flatten().filter_map(|id| RunId::parse(id).ok()).collect();
    let Ok(states) = sealed::states(snapshot, &ids).await else { return Ok(None) };
    let mut counts = KeyCounts::default();
    states.values().for_each(|state| counts.add_run(state));
    Ok(Some(counts))
}
