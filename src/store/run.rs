//! A run that is being logged.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use serde_json::{Map, Value};

use super::error::{Result, StoreError};
use super::segment::Durability;
use super::{Store, artifact, frame};
use crate::model::{
    ArtifactEntry, Comment, Context, DataVersion, Feature, Link, MetricPoints, Micros, ParamValue, Record, RunId,
    RunStart, SeriesKind, SeriesPoint, Status, Step, TableRows, unique,
};
use crate::schema::wide::CONSTANT;

/// How a run begins. Only the experiment is needed.
#[derive(Debug, Clone)]
pub struct RunOptions {
    start: RunStart,
}

impl RunOptions {
    /// A run of this experiment, which is made at first use.
    pub fn new(experiment: impl Into<String>) -> Self {
        let start = RunStart::new(RunId::generate(), experiment.into(), Micros::now());
        RunOptions { start }
    }

    /// Keeps an id that exists already; a run that the store holds is taken up again.
    pub fn id(mut self, run: RunId) -> Self {
        self.start.run = run;
        self
    }

    /// A name for people; it need not be unique.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.start.name = Some(name.into());
        self
    }

    /// The run that this one is part of.
    pub fn parent(mut self, parent: RunId) -> Self {
        self.start.parent = Some(parent);
        self
    }

    /// When it began, if not now.
    pub fn start_time(mut self, time: Micros) -> Self {
        self.start.start_time = time;
        self
    }

    /// Who runs it.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.start.user = Some(user.into());
        self
    }

    /// On which machine it runs.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.start.host = Some(host.into());
        self
    }

    /// By which command.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.start.command = Some(command.into());
        self
    }

    /// The code: commit, branch, and whether there are changes beyond the commit.
    pub fn git(mut self, commit: impl Into<String>, branch: Option<String>, dirty: Option<bool>) -> Self {
        self.start.git_commit = Some(commit.into());
        self.start.git_branch = branch;
        self.start.git_dirty = dirty;
        self
    }

    /// Where the code lives.
    pub fn git_remote(mut self, remote: impl Into<String>) -> Self {
        self.start.git_remote = Some(remote.into());
        self
    }

    /// Free text.
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.start.notes = Some(notes.into());
        self
    }
}

impl From<RunStart> for RunOptions {
    fn from(start: RunStart) -> Self {
        RunOptions { start }
    }
}

/// Values of metrics that belong together: one step, one time, one context.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    values: Vec<(String, f64)>,
    step: Step,
    time: Option<Micros>,
    context: Option<Context>,
}

impl Metrics {
    /// No value yet.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// Adds a value; NaN and infinities are kept as they are.
    pub fn value(mut self, key: impl Into<String>, value: f64) -> Self {
        self.values.push((key.into(), value));
        self
    }

    /// The step of all values.
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.step = step.into();
        self
    }

    /// The time of all values, if not now.
    pub fn time(mut self, time: Micros) -> Self {
        self.time = Some(time);
        self
    }

    /// What qualifies the series: split, fold, class, ...
    pub fn context(mut self, object: &Map<String, Value>) -> Self {
        self.context = Context::new(object);
        self
    }
}

/// A run that is being logged. Cheap to clone, usable from any thread.
///
/// When a method returns, the death of the process loses nothing of what it logged. When [`Run::flush`] or
/// [`Run::finish`] returns, and at the latest one second after the call, a power cut loses nothing either.
///
/// Dropping the last handle ends nothing: a run that was not finished shows as crashed once its process is gone.
#[derive(Clone)]
pub struct Run {
    store: Store,
    id: RunId,
    // What this process set, to tell a conflict at once. Other writers' conflicts show as tags.
    params: Arc<Mutex<HashMap<String, ParamValue>>>,
    durability: Durability,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) fn start(store: Store, options: RunOptions) -> Result<Run> {
        let start = options.start;
        check_experiment(&start.experiment)?;
        let run = Run::of(store, start.run.clone());
        // Without it the others would be of a run without an experiment.
        run.store.log_or_keep(Record::Start(start))?;
        Ok(run)
    }

    pub(super) fn attach(store: Store, id: RunId) -> Result<Run> {
        let run = Run::of(store, id.clone());
        run.log(Record::Attach { run: id })?;
        Ok(run)
    }

    fn of(store: Store, id: RunId) -> Run {
        Run { store, id, params: Arc::default(), durability: Durability::default() }
    }

    /// A handle whose calls wait for the disk, or do not.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    fn log(&self, record: Record) -> Result<()> {
        self.written(record).map(|_| ())
    }

    /// Logs a record; `false` when it was dropped.
    fn written(&self, record: Record) -> Result<bool> {
        self.store.log(&record, self.durability)
    }

    fn run(&self) -> RunId {
        self.id.clone()
    }

    /// Sets a param, once. Setting it to the same value again does nothing.
    ///
    /// # Errors
    /// [`StoreError::ParamConflict`] with both values; the first one stays.
    pub fn log_param(&self, key: impl Into<String>, value: impl Into<ParamValue>) -> Result<()> {
        self.log_params([(key.into(), value.into())])
    }

    /// Sets several params; all of them or, on a conflict, none.
    pub fn log_params<K: Into<String>, V: Into<ParamValue>>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        let values: Vec<(String, ParamValue)> = values.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let mut known = self.params.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut new: Vec<(String, ParamValue)> = Vec::new();
        let mut here: HashMap<&str, &ParamValue> = HashMap::with_capacity(values.len());
        for (key, value) in &values {
            check_key("param", key)?;
            match known.get(key).or_else(|| here.get(key.as_str()).copied()) {
                Some(old) if old != value => {
                    return Err(StoreError::ParamConflict {
                        run: self.run(),
                        key: key.clone(),
                        old: shown(old),
                        new: shown(value),
                    });
                }
                Some(_) => {}
                None => {
                    here.insert(key, value);
                    new.push((key.clone(), value.clone()));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        // One that was dropped may be set again.
        if self.written(Record::Params { run: self.run(), values: new.clone() })? {
            known.extend(new);
        }
        Ok(())
    }

    /// Logs one value of a metric, without a step.
    pub fn log_metric(&self, key: impl Into<String>, value: f64) -> Result<()> {
        self.log_metrics(Metrics::new().value(key, value))
    }

    /// Logs one value of a metric at a step.
    pub fn log_metric_at(&self, key: impl Into<String>, value: f64, step: i64) -> Result<()> {
        self.log_metrics(Metrics::new().value(key, value).step(step))
    }

    /// Logs values of metrics that belong together.
    pub fn log_metrics(&self, metrics: Metrics) -> Result<()> {
        for (key, _) in &metrics.values {
            check_key("metric", key)?;
        }
        if metrics.values.is_empty() {
            return Ok(());
        }
        self.log(Record::Metrics(MetricPoints {
            run: self.run(),
            context: metrics.context.map(Context::into_string),
            step: metrics.step,
            time: metrics.time.unwrap_or_else(Micros::now),
            values: metrics.values,
        }))
    }

    /// Sets a tag.
    pub fn set_tag(&self, key: impl Into<String>, value: impl Into<String>) -> Result<()> {
        self.edit_tags(vec![(key.into(), Some(value.into()))], Vec::new())
    }

    /// Sets a tag that has no value.
    pub fn set_bare_tag(&self, key: impl Into<String>) -> Result<()> {
        self.edit_tags(vec![(key.into(), None)], Vec::new())
    }

    /// Removes a tag.
    pub fn remove_tag(&self, key: impl Into<String>) -> Result<()> {
        self.edit_tags(Vec::new(), vec![key.into()])
    }

    /// Sets and removes tags at once; a key in both lists is set.
    pub fn edit_tags(&self, set: Vec<(String, Option<String>)>, remove: Vec<String>) -> Result<()> {
        for key in set.iter().map(|(key, _)| key).chain(&remove) {
            check_key("tag", key)?;
        }
        self.log(Record::Tags { run: self.run(), set, remove })
    }

    /// Gives the run another name; `None` takes the name away.
    pub fn set_name(&self, name: Option<String>) -> Result<()> {
        self.log(Record::Name { run: self.run(), name })
    }

    /// Replaces the notes; `None` removes them.
    pub fn set_notes(&self, notes: Option<String>) -> Result<()> {
        self.log(Record::Notes { run: self.run(), notes })
    }

    /// Adds a comment and gives its id.
    pub fn add_comment(&self, author: Option<String>, text: impl Into<String>) -> Result<String> {
        let id = format!("{:032x}", unique::uuid_v7());
        self.put_comment(id.clone(), Comment { author, time: Micros::now(), text: text.into() })?;
        Ok(id)
    }

    /// Adds a comment under this id, or replaces the one that has it.
    pub fn put_comment(&self, id: String, comment: Comment) -> Result<()> {
        self.log(Record::Comment { run: self.run(), id, comment })
    }

    /// Removes a comment.
    pub fn remove_comment(&self, id: impl Into<String>) -> Result<()> {
        self.log(Record::RemoveComment { run: self.run(), id: id.into() })
    }

    /// Logs features that were available, used or not. One logged again replaces its earlier entry.
    pub fn log_features(&self, features: Vec<Feature>) -> Result<()> {
        for feature in &features {
            check_key("feature", &feature.feature)?;
        }
        self.log(Record::Features { run: self.run(), features })
    }

    /// Logs a data set in a role.
    pub fn log_data(&self, data: DataVersion) -> Result<()> {
        check_key("data set", &data.dataset)?;
        check_key("role", &data.role)?;
        self.log(Record::Data { run: self.run(), data })
    }

    /// Logs installed packages with their versions.
    pub fn log_packages(&self, values: Vec<(String, String)>) -> Result<()> {
        self.log(Record::Packages { run: self.run(), values })
    }

    /// Logs facts about where the run runs.
    pub fn log_environment(&self, values: Vec<(String, String)>) -> Result<()> {
        self.log(Record::Environment { run: self.run(), values })
    }

    /// Ties the run to another.
    pub fn log_link(&self, link: Link) -> Result<()> {
        check_key("link kind", &link.kind)?;
        self.log(Record::Link { run: self.run(), link })
    }

    /// Logs text at a step.
    pub fn log_text(&self, key: impl Into<String>, step: impl Into<Step>, text: impl Into<String>) -> Result<()> {
        self.log_series(SeriesPoint {
            key: key.into(),
            step: step.into(),
            time: Micros::now(),
            kind: SeriesKind::Text,
            payload: text.into(),
        })
    }

    /// Logs a histogram at a step: `edges` has one number more than `counts`.
    pub fn log_histogram(
        &self,
        key: impl Into<String>,
        step: impl Into<Step>,
        edges: &[f64],
        counts: &[f64],
    ) -> Result<()> {
        if edges.len() != counts.len() + 1 {
            let (e, c) = (edges.len(), counts.len());
            return Err(StoreError::Invalid(format!(
                "a histogram has one edge more than counts; here are {e} edges and {c} counts"
            )));
        }
        if edges.iter().chain(counts).any(|x| !x.is_finite()) {
            return Err(StoreError::Invalid("edges and counts of a histogram are finite numbers".to_string()));
        }
        let payload = serde_json::json!({"edges": edges, "counts": counts}).to_string();
        self.log_series(SeriesPoint {
            key: key.into(),
            step: step.into(),
            time: Micros::now(),
            kind: SeriesKind::Histogram,
            payload,
        })
    }

    /// Logs a file at a step: it is copied as an artifact `series/<key>/<step>/<name>`.
    pub fn log_file(
        &self,
        key: impl Into<String>,
        step: impl Into<Step>,
        time: Option<Micros>,
        source: &Path,
    ) -> Result<()> {
        let (key, step) = (key.into(), step.into());
        let name = source.file_name().and_then(|n| n.to_str()).unwrap_or("file");
        let place = match step {
            Step::None => "none".to_string(),
            Step::At(step) => step.to_string(),
            Step::Between(x) => x.to_string(),
        };
        let folder: String =
            key.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        let path = format!("series/{}/{place}/{name}", folder.trim_start_matches('.'));
        let entry = self.log_artifact(&path, source)?;
        let time = time.unwrap_or_else(Micros::now);
        self.log_series(SeriesPoint { key, step, time, kind: SeriesKind::File, payload: entry.path })
    }

    /// Logs a point that is not a number.
    pub fn log_series(&self, point: SeriesPoint) -> Result<()> {
        check_key("series", &point.key)?;
        self.log(Record::Series { run: self.run(), point })
    }

    /// Appends rows to a table of the run's own; SQL reads it as `frames.<name>`, over all runs.
    ///
    /// # Errors
    /// A column called `run_id`, `experiment_id` or `month`, or of a type that a table cannot hold.
    pub fn log_table(&self, name: impl Into<String>, rows: &RecordBatch) -> Result<()> {
        let name = name.into();
        let ipc = check_table(&name, rows)?;
        self.log(Record::Table { run: self.run(), table: TableRows { name, ipc } })
    }

    /// Copies a file into the store, as `path` of this run (`/` for folders).
    pub fn log_artifact(&self, path: &str, source: &Path) -> Result<ArtifactEntry> {
        self.log_artifact_as(path, source, None)
    }

    /// Puts bytes into the store, as a file `path` of this run.
    pub fn log_artifact_bytes(&self, path: &str, content: &[u8]) -> Result<ArtifactEntry> {
        self.log_artifact_bytes_as(path, content, None)
    }

    /// Like [`Run::log_artifact`]; `mime` is the media type where it is not the one that the name says.
    pub(crate) fn log_artifact_as(
        &self,
        path: &str,
        source: &Path,
        mime: Option<Option<String>>,
    ) -> Result<ArtifactEntry> {
        let mut file = std::fs::File::open(source).map_err(StoreError::io(source.display().to_string()))?;
        self.put_artifact(path, &mut file, mime)
    }

    /// Like [`Run::log_artifact_bytes`]; `mime` is the media type where it is not the one that the name says.
    pub(crate) fn log_artifact_bytes_as(
        &self,
        path: &str,
        mut content: &[u8],
        mime: Option<Option<String>>,
    ) -> Result<ArtifactEntry> {
        self.put_artifact(path, &mut content, mime)
    }

    /// Logs a file that stays where it is, at an address outside the store.
    pub(crate) fn log_artifact_elsewhere(
        &self,
        path: String,
        uri: String,
        size: i64,
        digest: String,
        mime: Option<Option<String>>,
    ) -> Result<()> {
        let mime = mime.unwrap_or_else(|| artifact::mime(&path).map(str::to_string));
        self.log(Record::Artifact { run: self.run(), artifact: ArtifactEntry { path, uri, size, digest, mime } })
    }

    fn put_artifact(&self, path: &str, content: &mut dyn Read, mime: Option<Option<String>>) -> Result<ArtifactEntry> {
        let put = artifact::put(self.store.io(), &self.id, path, content)?;
        let entry = ArtifactEntry { mime: mime.unwrap_or_else(|| put.mime.clone()), ..put };
        self.log(Record::Artifact { run: self.run(), artifact: entry.clone() })?;
        Ok(entry)
    }

    /// Waits until everything logged so far survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Write`] with the number of records that could not be written since the last report.
    pub fn flush(&self) -> Result<()> {
        self.store.flush()
    }

    /// Ends the run, now, and flushes.
    pub fn finish(&self, status: Status) -> Result<()> {
        self.finish_with(status, None, None)
    }

    /// Ends the run with a time and the error that ended it, and flushes.
    pub fn finish_with(&self, status: Status, end_time: Option<Micros>, error: Option<String>) -> Result<()> {
        self.end(status, end_time, error)?;
        self.flush()
    }

    /// Says that the run goes on where nobody here sees its writer, so that it does not count as crashed.
    pub(crate) fn goes_on_elsewhere(&self, time: Option<Micros>) -> Result<()> {
        let end_time = time.unwrap_or_else(Micros::now);
        self.log(Record::Finish { run: self.run(), status: Status::Running, end_time, error: None })
    }

    /// Ends the run without waiting for the disk.
    pub fn end(&self, status: Status, end_time: Option<Micros>, error: Option<String>) -> Result<()> {
        if matches!(status, Status::Running | Status::Crashed) {
            return Err(StoreError::Invalid(format!("a run cannot be finished as {status}")));
        }
        let end_time = end_time.unwrap_or_else(Micros::now);
        self.log(Record::Finish { run: self.run(), status, end_time, error })
    }
}

/// Brings a table into the form that is logged, if it may be.
pub(crate) fn check_table(name: &str, rows: &RecordBatch) -> Result<Vec<u8>> {
    check_key("table", name)?;
    if name.len() > 80 {
        return Err(StoreError::Invalid(format!("the table name '{name}' is longer than 80 bytes")));
    }
    frame::encode(rows).map_err(|e| StoreError::Invalid(format!("table '{name}': {e}")))
}

/// A param's value as messages show it.
pub(crate) fn shown(value: &ParamValue) -> String {
    match value {
        ParamValue::Null => "null".to_string(),
        ParamValue::Text(text) => format!("'{text}'"),
        other => other.text().unwrap_or_default(),
    }
}

/// Longest key, in bytes.
const KEY_BYTES: usize = 65_536;

pub(crate) fn check_key(what: &str, key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(StoreError::Invalid(format!("a {what} needs a name that is not empty")));
    }
    if key == CONSTANT {
        return Err(StoreError::Invalid(format!("'{CONSTANT}' cannot name a {what}: the tables use it themselves")));
    }
    if key.len() > KEY_BYTES {
        return Err(StoreError::Invalid(format!(
            "the {what} '{}...' has a name of {} bytes; the longest is {KEY_BYTES}",
            key.chars().take(40).collect::<String>(),
            key.len()
        )));
    }
    Ok(())
}

pub(crate) fn check_experiment(name: &str) -> Result<()> {
    check_key("experiment", name)
}
