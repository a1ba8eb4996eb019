//! What the store's tests share: a store that holds one of everything, and all its rows as text.

pub mod disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tempfile::TempDir;

use super::delta::FilesTable;
use super::snapshot::Snapshot;
use super::*;
use crate::model::*;
use crate::schema::wide::{CONSTANT, StoredStruct};
use crate::schema::{ExperimentRow, HIDDEN_STATE, Table};

/// A new store in a folder that goes with the guard.
pub fn new_store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("s")).unwrap();
    (dir, store)
}

/// Tells threads to stop when it is dropped: also after a panic, when a scope would else wait for them without end.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Rows of every table as text, sorted; what SQL would show.
pub type Dump = BTreeMap<String, Vec<String>>;

/// All rows that the store shows now.
pub async fn dump(store: &Store) -> Dump {
    dump_of(&store.snapshot().unwrap()).await
}

/// All rows that a snapshot shows.
pub async fn dump_of(snapshot: &Snapshot) -> Dump {
    let overlay = snapshot.overlay().await.unwrap();
    let keys = snapshot.keys().await.unwrap();
    let mut dump = Dump::new();
    let mut all = Table::FIXED.to_vec();
    all.extend(snapshot.frames().into_iter().map(Table::Frame));
    for table in all.into_iter().filter(Table::by_month) {
        let mut rows = Vec::new();
        if let Some(version) = snapshot.table(&table).await.unwrap() {
            let mut fields: Vec<_> = version.columns.fields().iter().map(|f| f.as_ref().clone()).collect();
            if table == Table::Runs {
                for kind in StoredStruct::ALL {
                    fields.push(Field::new(kind.name(), kind.data_type(kind.keys(keys)), true));
                }
            }
            let scan = FilesTable::new(&version, &version.files, Arc::new(Schema::new(fields)));
            for batch in sealed::collect(snapshot, &table, scan, None).await.unwrap() {
                let replaced = |run: &str| !table.appends() && overlay.replaced.contains(&RunId::parse(run).unwrap());
                rows.extend(lines(&batch).into_iter().filter(|(run, _, _)| !replaced(run)));
            }
        }
        for batch in overlay.batches.get(&table).into_iter().flatten() {
            rows.extend(lines(batch));
        }
        let shown = rows
            .into_iter()
            .filter(|(run, experiment, _)| {
                !overlay.hidden_runs.contains(run) && !overlay.hidden_experiments.contains(experiment)
            })
            .map(|(_, _, line)| line);
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        if !shown.is_empty() {
            dump.insert(table.to_string(), shown);
        }
    }
    let experiments = overlay.experiments.values().map(ExperimentRow::new);
    dump.insert("experiments".into(), experiments.map(|e| format!("{e:?}")).collect());
    let goals = overlay.goals.iter().map(|g| format!("{:?}", ops::goal_row(g)));
    dump.insert("metric_defs".into(), goals.collect());
    dump.insert("keys".into(), vec![serde_json::to_string(keys).unwrap()]);
    dump
}

/// Each row as text, sorted.
pub fn lines_of(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for i in 0..batch.num_rows() {
            let mut cells = BTreeMap::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                cell(&mut cells, field.name(), column, i);
            }
            lines.push(cells.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "));
        }
    }
    lines.sort();
    lines
}

/// Run, experiment and text of each row.
pub fn lines(batch: &RecordBatch) -> Vec<(String, String, String)> {
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let (runs, experiments) = (text("run_id"), text("experiment_id"));
    (0..batch.num_rows())
        .map(|i| {
            let mut cells = BTreeMap::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                cell(&mut cells, field.name(), column, i);
            }
            cells.remove(HIDDEN_STATE);
            let line: Vec<_> = cells.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            (runs.value(i).to_string(), experiments.value(i).to_string(), line.join(" "))
        })
        .collect()
}

fn cell(cells: &mut BTreeMap<String, String>, name: &str, column: &ArrayRef, row: usize) {
    if column.is_null(row) {
        return;
    }
    if let DataType::Struct(leaves) = column.data_type() {
        let leaves = leaves.iter().zip(column.as_struct().columns());
        for (leaf, array) in leaves.filter(|(leaf, _)| leaf.name() != CONSTANT) {
            cell(cells, &format!("{name}.{}", leaf.name()), array, row);
        }
        return;
    }
    let options = FormatOptions::default();
    let value = ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
    cells.insert(name.to_string(), value);
}

/// Starts a run and logs one of everything; the run has not ended.
pub fn log_everything(store: &Store, experiment: &str, n: i64) -> Run {
    let run = store.start_run(RunOptions::new(experiment).name(format!("run {n}"))).unwrap();
    run.log_params([("lr", ParamValue::from(0.1 * n as f64)), ("seed", n.into()), ("C", "auto".into())]).unwrap();
    run.log_params([("none", ParamValue::Null), ("nan", f64::NAN.into()), ("flag", true.into())]).unwrap();
    run.log_param("l", ParamValue::List("[1,2]".into())).unwrap();
    for step in [1, 2, 2, 0] {
        let metrics = Metrics::new().value("loss", 1.0 / (step + n) as f64).value("nan", f64::NAN);
        run.log_metrics(metrics.value("inf", f64::INFINITY).step(step)).unwrap();
    }
    run.log_metric("ünïcode 'key' (v2)", -0.0).unwrap();
    run.log_metrics(Metrics::new().value("x", 1.5).step(Step::Between(0.5))).unwrap();
    let context = serde_json::json!({"split": "test", "fold": n});
    run.log_metrics(Metrics::new().value("loss", 3.0).context(context.as_object().unwrap())).unwrap();
    store.set_goal(experiment, "loss", Goal::Min).unwrap();
    run.set_tag("owner", "ä").unwrap();
    run.set_bare_tag("bare").unwrap();
    run.set_tag("gone", "1").unwrap();
    run.remove_tag("gone").unwrap();
    run.set_notes(Some("notes".into())).unwrap();
    run.add_comment(Some("me".into()), "fine\nrun").unwrap();
    let feature = |name: &str, used| Feature {
        feature: name.into(),
        position: None,
        dtype: Some("float".into()),
        used,
        importance: Some(0.5),
        importance_kind: Some("gini".into()),
        feature_tags: vec!["a".into(), "b".into()],
        description: None,
    };
    run.log_features(vec![feature("f1", true), feature("f2", false)]).unwrap();
    run.log_data(DataVersion {
        dataset: "d".into(),
        role: "training".into(),
        digest: Some("abc".into()),
        data_version: Some("3".into()),
        source: None,
        n_rows: Some(7),
        n_columns: None,
        bytes: None,
        data_schema: None,
    })
    .unwrap();
    run.log_packages(vec![("numpy".into(), "2.0".into())]).unwrap();
    run.log_environment(vec![("os".into(), "linux".into())]).unwrap();
    let link = |kind: &str| Link {
        target: RunId::parse("other").unwrap(),
        kind: kind.into(),
        position: Some(1),
        weight: None,
        step: None,
    };
    run.log_link(link("member")).unwrap();
    run.log_text("text", 1, "hello").unwrap();
    run.log_histogram("h", 2, &[0.0, 1.0, 2.0], &[3.0, 4.0]).unwrap();
    run.log_table("predictions", &predictions(n)).unwrap();
    run.log_artifact_bytes("model/weights.bin", format!("weights {n}").as_bytes()).unwrap();
    run.log_artifact_bytes("empty", b"").unwrap();
    run
}

/// Rows of a table with each kind of column.
pub fn predictions(n: i64) -> RecordBatch {
    let scores = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Float64Type, _, _>([
        Some(vec![Some(0.25), None]),
        Some(vec![Some(f64::NAN)]),
    ]);
    RecordBatch::try_from_iter([
        ("row_id", Arc::new(Int64Array::from(vec![n, n + 1])) as ArrayRef),
        ("target", Arc::new(StringArray::from(vec![Some("a"), None]))),
        ("score", Arc::new(Float64Array::from(vec![f64::NAN, 0.5]))),
        ("scores", Arc::new(scores)),
    ])
    .unwrap()
}

/// What becomes of a file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It fails and nothing happens.
    Fails,
    /// It happens, and fails all the same.
    DoneAndFails,
    /// It fails after a while, and others are done meanwhile.
    FailsAfter(Duration),
}

type Hook = Box<dyn FnMut(&str, &str) -> Fate + Send>;

/// A local store whose changes can be watched, delayed and made to fail: a hook gets the name of each and its path.
pub struct HookedIo {
    inner: Arc<LocalIo>,
    hook: Arc<Mutex<Hook>>,
}

impl std::fmt::Debug for HookedIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HookedIo").field(&self.inner).finish()
    }
}

fn hooked<T>(
    hook: &Mutex<Hook>,
    operation: &str,
    path: &str,
    run: impl FnOnce() -> std::io::Result<T>,
) -> std::io::Result<T> {
    let fate = (hook.lock().unwrap())(operation, path);
    let failure = || std::io::Error::other(format!("{operation} was made to fail"));
    match fate {
        Fate::Done => run(),
        Fate::Fails => Err(failure()),
        Fate::DoneAndFails => run().and_then(|_| Err(failure())),
        Fate::FailsAfter(time) => {
            std::thread::sleep(time);
            Err(failure())
        }
    }
}

impl HookedIo {
    /// The store in this folder.
    pub fn new(root: &Path, hook: impl FnMut(&str, &str) -> Fate + Send + 'static) -> Arc<HookedIo> {
        let hook: Hook = Box::new(hook);
        Arc::new(HookedIo { inner: Arc::new(LocalIo::new(root)), hook: Arc::new(Mutex::new(hook)) })
    }
}

impl Io for HookedIo {
    fn read(&self, path: &str) -> std::io::Result<bytes::Bytes> {
        self.inner.read(path)
    }
    fn read_range(&self, path: &str, range: std::ops::Range<u64>) -> std::io::Result<bytes::Bytes> {
        self.inner.read_range(path, range)
    }
    fn open(&self, path: &str) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        self.inner.open(path)
    }
    fn stat(&self, path: &str) -> std::io::Result<io::Stat> {
        self.inner.stat(path)
    }
    fn list(&self, dir: &str) -> std::io::Result<Vec<io::Entry>> {
        self.inner.list(dir)
    }
    fn create(&self, path: &str, content: &[&[u8]]) -> std::io::Result<()> {
        hooked(&self.hook, "create", path, || self.inner.create(path, content))
    }
    fn create_from(&self, path: &str, content: &mut dyn std::io::Read) -> std::io::Result<u64> {
        hooked(&self.hook, "create", path, || self.inner.create_from(path, content))
    }
    fn replace(&self, path: &str, content: &[u8]) -> std::io::Result<()> {
        hooked(&self.hook, "replace", path, || self.inner.replace(path, content))
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        hooked(&self.hook, "rename", to, || self.inner.rename(from, to))
    }
    fn sync(&self, path: &str) -> std::io::Result<()> {
        hooked(&self.hook, "sync", path, || self.inner.sync(path))
    }
    fn remove(&self, path: &str) -> std::io::Result<()> {
        hooked(&self.hook, "remove", path, || self.inner.remove(path))
    }
    fn remove_dir(&self, path: &str) -> std::io::Result<()> {
        hooked(&self.hook, "remove_dir", path, || self.inner.remove_dir(path))
    }
    fn append(&self, path: &str, head: &[u8]) -> std::io::Result<Box<dyn io::Append>> {
        let inner = hooked(&self.hook, "append", path, || self.inner.append(path, head))?;
        Ok(Box::new(HookedAppend { inner, hook: Arc::clone(&self.hook), path: path.to_string() }))
    }
    fn is_locked(&self, path: &str) -> std::io::Result<bool> {
        self.inner.is_locked(path)
    }
    fn lock(&self, path: &str, wait: bool) -> std::io::Result<Option<Box<dyn std::fmt::Debug + Send + Sync>>> {
        self.inner.lock(path, wait)
    }
}

struct HookedAppend {
    inner: Box<dyn io::Append>,
    hook: Arc<Mutex<Hook>>,
    path: String,
}

impl std::fmt::Debug for HookedAppend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HookedAppend").field(&self.path).finish()
    }
}

impl io::Append for HookedAppend {
    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        hooked(&self.hook, "write", &self.path, || self.inner.write(bytes))
    }
    fn sync(&self) -> std::io::Result<()> {
        hooked(&self.hook, "sync", &self.path, || self.inner.sync())
    }
    fn is_linked(&self) -> std::io::Result<bool> {
        self.inner.is_linked()
    }
    fn read_from(&self, offset: u64) -> std::io::Result<Vec<u8>> {
        self.inner.read_from(offset)
    }
    fn touch(&self) -> std::io::Result<()> {
        self.inner.touch()
    }
}
