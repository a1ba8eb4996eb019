//! What a store on a disk shows, for many disks that differ in little: each is opened, and what was read before of the same
//! files is not read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::model::RunId;
use crate::schema::Table;
use crate::store::delta::FilesTable;
use crate::store::io::ASIDE_PREFIX;
use crate::store::snapshot::Snapshot;
use crate::store::testing::disk::{Disk, FileId};
use crate::store::{Store, WriterOptions, layout, sealed};

/// Files by path.
pub type Files = BTreeMap<String, FileId>;

/// What is shown, by run; the experiment under its own key.
pub type Lines = BTreeMap<String, Vec<String>>;

pub const EXPERIMENT: &str = "(experiment)";

/// A row: its run, its experiment, what is looked at of it.
type Line = (String, String, String);

/// A table, its version, and the files that make it.
type Made = (String, u64, Vec<(String, FileId)>);

/// Where an answer comes from: the cut, the live segments, and for each table the rows that were read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    cut: u64,
    /// How far each segment holds whole records, and from where on they are live.
    live: Vec<(String, u64, u64)>,
    tables: Vec<(String, usize)>,
}

/// Reads stores and remembers what it read.
#[derive(Default)]
pub struct Reader {
    // By table, version and log: the data files that make the version.
    versions: HashMap<Made, Arc<Vec<String>>>,
    // By table, version and data files: the rows.
    rows: HashMap<Made, Arc<Vec<Line>>>,
    answers: HashMap<Origin, Arc<Lines>>,
}

/// The columns that are looked at; none for tables that nothing is logged into here.
fn columns(table: &Table) -> &'static [&'static str] {
    match table {
        Table::Runs => &["status"],
        Table::Metrics => &["key", "step", "value"],
        Table::MetricStats => &["key", "count", "min", "max"],
        Table::Params | Table::Tags => &["key", "value"],
        Table::Series => &["key", "step", "payload"],
        Table::Artifacts => &["path", "size", "digest"],
        Table::Frame(_) => &["n"],
        _ => &[],
    }
}

fn lines(table: &Table, batch: &RecordBatch) -> Vec<Line> {
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let (runs, experiments) = (text("run_id"), text("experiment_id"));
    let options = FormatOptions::default();
    let cells: Vec<_> = columns(table)
        .iter()
        .map(|name| ArrayFormatter::try_new(batch.column_by_name(name).unwrap(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let mut line = table.to_string();
            for cell in &cells {
                line += " ";
                line += &cell.value(row).to_string();
            }
            (runs.value(row).to_string(), experiments.value(row).to_string(), line)
        })
        .collect()
}

/// Everything that the store on a disk shows.
pub async fn shown(disk: &Disk) -> Arc<Lines> {
    Reader::default().read(disk, &disk.files("").into_iter().collect()).await
}

/// The store on a disk, opened by a process of its own.
pub fn open(disk: &Disk) -> Store {
    Store::open_at(disk.io(), "s".into(), WriterOptions::default()).unwrap()
}

/// The files in a folder and below.
fn below(files: &Files, folder: &str) -> Vec<(String, FileId)> {
    let from = format!("{folder}/");
    let found = files.range(from.clone()..).take_while(|(path, _)| path.starts_with(&from));
    found.map(|(path, id)| (path.clone(), id.clone())).collect()
}

impl Reader {
    /// What the store on a disk shows. `files` are the files of the store.
    pub async fn read(&mut self, disk: &Disk, files: &Files) -> Arc<Lines> {
        let store = open(disk);
        let snapshot = store.snapshot().unwrap();
        let damaged = snapshot.damaged();
        // What was not synced may have holes, which nobody can tell from damage; it is told, and all before it is there.
        assert!(damaged.iter().all(|d| d.damage.offset > 0), "{damaged:?}");
        let mut tables = Vec::new();
        let mut sealed = Vec::new();
        for (name, version) in &snapshot.cut().tables {
            let table = Table::parse(name).unwrap();
            if columns(&table).is_empty() {
                continue;
            }
            let rows = self.rows(&snapshot, &table, *version, files).await;
            tables.push((name.clone(), Arc::as_ptr(&rows) as usize));
            sealed.push((table, rows));
        }
        let live = snapshot.segments().iter().map(|found| (found.path.clone(), found.from, found.end)).collect();
        let origin = Origin { cut: snapshot.cut().n, live, tables };
        if let Some(lines) = self.answers.get(&origin) {
            return Arc::clone(lines);
        }
        let lines = Arc::new(combined(&snapshot, &sealed).await);
        self.answers.insert(origin, Arc::clone(&lines));
        lines
    }

    async fn rows(&mut self, snapshot: &Snapshot, table: &Table, version: u64, files: &Files) -> Arc<Vec<Line>> {
        let folder = layout::table(table);
        let mut log = below(files, &layout::log(table));
        log.retain(|(path, _)| !path.contains(ASIDE_PREFIX));
        let key = (table.to_string(), version, log);
        let paths = match self.versions.get(&key) {
            Some(paths) => Arc::clone(paths),
            None => {
                let opened = snapshot.table(table).await.unwrap().unwrap();
                let paths = Arc::new(opened.files.iter().map(|file| file.path.clone()).collect());
                self.versions.insert(key, Arc::clone(&paths));
                paths
            }
        };
        let id = |path: &String| {
            let full = format!("{folder}/{path}");
            let id = files.get(&full).unwrap_or_else(|| panic!("{full} is in the log and not on the disk"));
            if *table == Table::Runs {
                let keys = format!("{folder}/{}", layout::key_counts(path));
                assert!(files.contains_key(&keys), "{full} is there and its counts are not");
            }
            (full, id.clone())
        };
        let key = (table.to_string(), version, paths.iter().map(id).collect());
        if let Some(rows) = self.rows.get(&key) {
            return Arc::clone(rows);
        }
        let opened = snapshot.table(table).await.unwrap().unwrap();
        let fields = ["run_id", "experiment_id"].iter().chain(columns(table)).map(|name| {
            let known = opened.columns.field_with_name(name).ok();
            known.cloned().unwrap_or_else(|| Field::new(*name, DataType::Utf8, true))
        });
        let scan = FilesTable::new(&opened, &opened.files, Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        let batches = sealed::collect(snapshot, table, scan, None).await.unwrap();
        let rows: Arc<Vec<Line>> = Arc::new(batches.iter().flat_map(|batch| lines(table, batch)).collect());
        self.rows.insert(key, Arc::clone(&rows));
        rows
    }
}

/// Sealed and live rows together, as a session would show them.
async fn combined(snapshot: &Snapshot, sealed: &[(Table, Arc<Vec<Line>>)]) -> Lines {
    let overlay = snapshot.overlay().await.unwrap();
    let replaced: BTreeSet<&str> = overlay.replaced.iter().map(RunId::as_str).collect();
    let mut shown = Vec::new();
    for (table, rows) in sealed {
        let kept = rows.iter().filter(|(run, ..)| table.appends() || !replaced.contains(run.as_str()));
        shown.extend(kept.cloned());
    }
    for (table, batches) in &overlay.batches {
        if !columns(table).is_empty() {
            shown.extend(batches.iter().flat_map(|batch| lines(table, batch)));
        }
    }
    let mut answer = Lines::new();
    for (run, experiment, line) in shown {
        if !overlay.hidden_runs.contains(&run) && !overlay.hidden_experiments.contains(&experiment) {
            answer.entry(run).or_default().push(line);
        }
    }
    answer.values_mut().for_each(|lines| lines.sort());
    let names: Vec<_> = overlay.experiments.values().map(|e| e.name().to_string()).collect();
    if !names.is_empty() {
        answer.insert(EXPERIMENT.to_string(), names);
    }
    answer
}
