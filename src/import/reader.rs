//! Lines applied to a store: which runs are known, which params are set, one line as a whole or not at all.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use super::fields::RunLine;
use super::line::{self, Act, Content, Line};
use crate::error::ErrorKind;
use crate::model::{Comment, Micros, ParamValue, RunId, RunStart, Status};
use crate::store::snapshot::Snapshot;
use crate::store::{Metrics, Run, Store, StoreError, shown_param};

/// How lines are read.
#[derive(Debug, Clone, Default)]
pub struct LineOptions {
    /// The folder that `source` paths are relative to.
    pub folder: PathBuf,
    /// Checks lines against each other and the store, and writes nothing.
    pub check_only: bool,
}

/// What a line did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was written.
    Logged,
    /// It was empty.
    Blank,
}

/// A line that was refused; nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a line was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The line is bad; the next one may be good.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Ended runs whose params are kept at hand; later ones push earlier ones out.
const ENDED_KEPT: usize = 10_000;

/// Reads lines into a store.
///
/// Memory grows with the runs that have not ended and with a few bytes for each that has, never with the lines.
#[derive(Debug)]
pub struct LineReader {
    store: Store,
    options: LineOptions,
    open: HashMap<RunId, OpenRun>,
    ended: VecDeque<RunId>,
    hasher: RandomState,
    /// The store as it was at the beginning; `None` before the first look.
    before: Option<Before>,
    /// Hashes of runs that ended here and are no longer at hand.
    seen: HashSet<u64>,
    touched: HashSet<u64>,
}

#[derive(Debug)]
struct Before {
    snapshot: Snapshot,
    /// Hashes of the runs that it holds.
    runs: HashSet<u64>,
    /// Hashes of the runs that were reclaimed.
    purged: HashSet<u64>,
}

#[derive(Debug, Default)]
struct OpenRun {
    /// `None` while nothing has been written.
    handle: Option<Run>,
    /// Its experiment, where that is known.
    experiment: Option<String>,
    params: HashMap<String, ParamValue>,
}

impl LineReader {
    /// A reader of lines into this store.
    pub fn new(store: &Store, options: LineOptions) -> Self {
        LineReader {
            store: store.clone(),
            options,
            open: HashMap::new(),
            ended: VecDeque::new(),
            hasher: RandomState::new(),
            before: None,
            seen: HashSet::new(),
            touched: HashSet::new(),
        }
    }

    /// The number of runs that the lines so far were about.
    pub fn runs(&self) -> usize {
        self.touched.len()
    }

    /// Reads one line and applies it.
    ///
    /// # Errors
    /// [`FeedError::Line`] when it is bad, [`FeedError::Store`] when the store cannot be read or written.
    pub async fn feed(&mut self, number: u64, text: &str) -> Result<Applied, FeedError> {
        let Some(line) = self.parse(number, text)? else { return Ok(Applied::Blank) };
        self.look_up([&line]).await?;
        self.apply(number, line)
    }

    /// Reads one line without applying it; `None` when it is empty.
    pub fn parse(&self, number: u64, text: &str) -> Result<Option<Line>, LineError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        line::parse(text).map(Some).map_err(|reason| LineError { line: number, reason })
    }

    /// Looks which of the runs of these lines the store holds, in one go. To be called before [`LineReader::apply`].
    pub async fn look_up(&mut self, lines: impl IntoIterator<Item = &Line>) -> Result<(), StoreError> {
        if self.before.is_none() {
            let snapshot = self.store.snapshot()?;
            let (mut runs, mut purged) = (HashSet::new(), HashSet::new());
            let hasher = &self.hasher;
            let each = |run: &RunId, there: bool| {
                if there {
                    runs.insert(hasher.hash_one(run))
                } else {
                    purged.insert(hasher.hash_one(run))
                };
            };
            snapshot.run_ids(each).await?;
            self.before = Some(Before { snapshot, runs, purged });
        }
        let before = self.before.as_ref().expect("it was just read");
        let (mut begun, mut old, mut unknown) = (HashSet::new(), BTreeSet::new(), BTreeSet::new());
        for line in lines {
            let Some(run) = line.run() else { continue };
            if self.open.contains_key(run) || begun.contains(run) {
                continue;
            }
            let hash = self.hasher.hash_one(run);
            if self.seen.contains(&hash) {
                unknown.insert(run.clone());
            } else if before.runs.contains(&hash) {
                old.insert(run.clone());
            } else if line.begins_run() {
                begun.insert(run.clone());
            } else {
                // Other processes begin runs meanwhile: one that nobody began here is looked for each time.
                unknown.insert(run.clone());
            }
        }
        let (mut found, mut experiments) = (Vec::new(), HashMap::new());
        if !old.is_empty() {
            found.extend(before.snapshot.params_of(&old).await?);
            experiments.extend(before.snapshot.experiments_of(&old).await?);
        }
        if !unknown.is_empty() {
            let now = self.store.snapshot()?;
            found.extend(now.params_of(&unknown).await?);
            experiments.extend(now.experiments_of(&unknown).await?);
        }
        for (run, params) in found {
            let experiment = experiments.remove(&run);
            let params = params.into_iter().collect();
            self.open.entry(run).or_insert(OpenRun { handle: None, experiment, params });
        }
        Ok(())
    }

    /// Applies a line that was looked up, as a whole or not at all.
    ///
    /// # Errors
    /// [`FeedError::Line`] when it is bad, [`FeedError::Store`] when the store cannot be written.
    pub fn apply(&mut self, number: u64, line: Line) -> Result<Applied, FeedError> {
        let bad = |reason: String| FeedError::Line(LineError { line: number, reason });
        let Line { run, act } = line;
        let Some(id) = run else {
            match act {
                _ if self.options.check_only => {}
                Act::Goal(goal) => self.store.declare_goal(goal)?,
                Act::Experiment { origin, edit } => {
                    if let Some(origin) = origin {
                        self.store.log_origin(origin)?;
                    }
                    self.store.edit_experiment(edit)?;
                }
                _ => {}
            }
            return Ok(Applied::Logged);
        };
        let hash = self.hasher.hash_one(&id);
        if self.before.as_ref().is_some_and(|before| before.purged.contains(&hash)) {
            return Err(bad(format!("run '{id}' was deleted and reclaimed; its id cannot be used again")));
        }
        self.check(&id, &act).map_err(bad)?;
        let ends = matches!(act, Act::Finish { .. });
        if !self.options.check_only {
            self.write(&id, act).map_err(|e| self.blame(number, e))?;
        } else if let Act::Run(line) = &act {
            self.open.entry(id.clone()).or_default().experiment.get_or_insert_with(|| line.experiment.clone());
        }
        self.touched.insert(hash);
        if ends {
            self.ended.push_back(id);
            // What was only checked is in no store, where it could be looked up again.
            if self.ended.len() > ENDED_KEPT
                && !self.options.check_only
                && let Some(run) = self.ended.pop_front()
            {
                self.seen.insert(self.hasher.hash_one(&run));
                self.open.remove(&run);
            }
        }
        Ok(Applied::Logged)
    }

    /// What needs more than the line itself; params that pass are set from here on.
    fn check(&mut self, id: &RunId, act: &Act) -> Result<(), String> {
        if let Act::Run(line) = act {
            return match self.open.get(id).and_then(|run| run.experiment.as_ref()) {
                Some(experiment) if *experiment != line.experiment => Err(format!(
                    "run '{id}' belongs to experiment '{experiment}' and cannot be taken up in '{}'",
                    line.experiment
                )),
                _ => Ok(()),
            };
        }
        let Some(run) = self.open.get_mut(id) else {
            return Err(format!(
                "run '{id}' is not known: no 'run' line before this one begins it, and the store does not hold it"
            ));
        };
        match act {
            Act::Params(values) => {
                for (key, new) in values {
                    if let Some(old) = run.params.get(key).filter(|old| *old != new) {
                        let (old, new) = (shown_param(old), shown_param(new));
                        let conflict = StoreError::ParamConflict { run: id.clone(), key: key.clone(), old, new };
                        return Err(conflict.to_string());
                    }
                }
                run.params.extend(values.iter().cloned());
            }
            Act::File { source, .. } | Act::Artifact { content: Content::File(source), .. } => {
                let path = self.options.folder.join(source);
                let file = std::fs::metadata(&path).map_err(|e| format!("'{}': {e}", path.display()))?;
                if !file.is_file() {
                    return Err(format!("'{}' is not a file", path.display()));
                }
                let file = std::fs::File::open(&path).map_err(|e| format!("'{}': {e}", path.display()))?;
                if let Act::Artifact { digest: Some(digest), .. } = act {
                    let mut hash = blake3::Hasher::new();
                    hash.update_reader(file).map_err(|e| format!("'{}': {e}", path.display()))?;
                    same_digest(digest, &hash, &path.display().to_string())?;
                }
            }
            Act::Artifact { path, content: Content::Bytes(bytes), digest: Some(digest), .. } => {
                same_digest(digest, blake3::Hasher::new().update(bytes), path)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells a line that the store refuses from a store that cannot be written.
    fn blame(&self, number: u64, e: StoreError) -> FeedError {
        match crate::error::store_kind(&e) {
            ErrorKind::InvalidInput => FeedError::Line(LineError { line: number, reason: e.to_string() }),
            _ => FeedError::Store(e),
        }
    }

    fn write(&mut self, id: &RunId, act: Act) -> Result<(), StoreError> {
        let store = &self.store;
        if let Act::Run(line) = act {
            let experiment = line.experiment.clone();
            let handle = store.start_run(start(*line).into())?;
            let open = self.open.entry(id.clone()).or_default();
            open.handle = Some(handle);
            open.experiment.get_or_insert(experiment);
            return Ok(());
        }
        match act {
            Act::Delete => return store.delete_run_soon(id),
            Act::Restore => return store.restore_run_soon(id),
            _ => {}
        }
        let open = self.open.get_mut(id).expect("an unknown run was refused");
        let run = match &open.handle {
            Some(run) => run,
            None => open.handle.insert(store.attach(id.clone())?),
        };
        match act {
            Act::Params(values) => run.log_params(values),
            Act::Metrics { values, step, time, context } => {
                let mut metrics =
                    values.into_iter().fold(Metrics::new(), |m, (key, value)| m.value(key, value)).step(step);
                if let Some(time) = time {
                    metrics = metrics.time(time);
                }
                if let Some(context) = &context {
                    metrics = metrics.context(context);
                }
                run.log_metrics(metrics)
            }
            Act::Tags { set, remove } => run.edit_tags(set, remove),
            Act::Note(notes) => run.set_notes(notes),
            Act::Comment { id, author, time, text } => {
                let id = id.unwrap_or_else(|| RunId::generate().to_string());
                run.put_comment(id, Comment { author, time: time.unwrap_or_else(Micros::now), text })
            }
            Act::RemoveComment(id) => run.remove_comment(id),
            Act::Features(features) => run.log_features(features),
            Act::Data(data) => run.log_data(data),
            Act::Packages(values) => run.log_packages(values),
            Act::Environment(values) => run.log_environment(values),
            Act::Link(link) => run.log_link(link),
            Act::Series { mut point, timed } => {
                if !timed {
                    point.time = Micros::now();
                }
                run.log_series(point)
            }
            Act::File { key, source, step, time } => run.log_file(key, step, time, &self.options.folder.join(source)),
            Act::Table { name, rows } => run.log_table(name, &rows),
            Act::Artifact { path, content: Content::File(source), mime, .. } => {
                run.log_artifact_as(&path, &self.options.folder.join(source), mime).map(|_| ())
            }
            Act::Artifact { path, content: Content::Bytes(bytes), mime, .. } => {
                run.log_artifact_bytes_as(&path, &bytes, mime).map(|_| ())
            }
            Act::Artifact { path, content: Content::Elsewhere { uri, size }, digest, mime } => {
                run.log_artifact_elsewhere(path, uri, size, digest.unwrap_or_default(), mime)
            }
            Act::Finish { status: Status::Running, end_time, .. } => run.goes_on_elsewhere(end_time),
            Act::Finish { status, end_time, error } => run.end(status, end_time, error),
            Act::Run(_) | Act::Goal(_) | Act::Experiment { .. } | Act::Delete | Act::Restore => Ok(()),
        }
    }
}

fn same_digest(wanted: &str, content: &blake3::Hasher, what: &str) -> Result<(), String> {
    let found = content.finalize().to_hex();
    match wanted.is_empty() || found.as_str().eq_ignore_ascii_case(wanted) {
        true => Ok(()),
        false => Err(format!("'{what}' is not the content that was meant: digest {wanted} given, {found} computed")),
    }
}

fn start(line: RunLine) -> RunStart {
    RunStart {
        run: line.run,
        experiment: line.experiment,
        name: line.name,
        parent: line.parent,
        start_time: line.start_time.map_or_else(Micros::now, |t| t.0),
        user: line.user,
        host: line.host,
        command: line.command,
        git_commit: line.git_commit,
        git_branch: line.git_branch,
        git_dirty: line.git_dirty,
        git_remote: line.git_remote,
        notes: line.notes,
    }
}
