//! MLflow in a folder: `<root>/<experiment>/<run>/{meta.yaml,params/,metrics/,tags/,inputs/,outputs/,artifacts/}`.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::tree::{self, Is, Name};
use super::super::{ForeignExperiment, Holdings, ImportError, Out, Source, SourceKind, fingerprint};
use super::run::{Input, MeasuredOn, ModelUse, RawRun, experiment, millis, run_of_model};
use super::tables::{Model, ModelPoint, model_status};
use super::yaml::{self, DatasetMeta, EdgeMeta, ExperimentMeta, ModelMeta, RunMeta};
use crate::model::{Micros, Status, Step};
use crate::store::ForeignPoint;

const META: &str = "meta.yaml";
const TRASH: &str = ".trash";
/// Folders of an experiment that are no runs.
const NO_RUNS: [&str; 4] = ["tags", "datasets", "traces", "models"];
/// Longest line of a metric, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// How deep roots may lie in roots.
const DEEPEST_ROOT: usize = 4;

/// Folders of deleted experiments, and how deep their roots lie in others.
type Trash = Vec<(PathBuf, usize)>;

/// A folder of MLflow.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

/// Whether a folder is a root: one of the folders in it is an experiment.
pub fn is_root(dir: &Path) -> bool {
    let Ok(names) = tree::list(dir) else { return false };
    let trash = dir.join(TRASH);
    let trashed = tree::list(&trash).unwrap_or_default();
    let folders = names.iter().map(|n| (dir, n)).chain(trashed.iter().map(|n| (trash.as_path(), n)));
    folders.filter(|(_, n)| n.is == Is::Folder).any(|(dir, n)| is_experiment(&dir.join(&n.name)))
}

fn is_experiment(dir: &Path) -> bool {
    let meta = dir.join(META);
    meta.is_file() && yaml::read::<ExperimentMeta>(&meta).is_ok_and(|meta| meta.artifact_location.is_some())
}

impl Folder {
    /// The folder at this path.
    pub fn new(root: &Path) -> Self {
        Folder { root: root.to_path_buf() }
    }

    /// Walks all but the trash, whose place is noted: what is deleted comes last, so that it hides nothing of its name that is
    /// not.
    fn walk_root(&self, root: &Path, depth: usize, trash: &mut Trash, out: &mut Out<'_>) {
        for Name { name, is } in tree::list_or_skip(root, out) {
            let dir = root.join(&name);
            if out.is_stopped() {
                return;
            }
            match is {
                Is::Folder if name == TRASH => trash.push((dir, depth)),
                Is::Folder if name == "models" && !dir.join(META).exists() => {
                    out.leave(dir.display(), "registered models are no part of runs");
                }
                Is::Folder if tree::is_stray(&name) => out.leave(dir.display(), "it is no experiment"),
                Is::Folder => self.experiment(&dir, &name, false, depth, trash, out),
                Is::File(_) if tree::is_stray(&name) => {}
                Is::File(_) => out.leave(dir.display(), "it is no experiment"),
                Is::Other(why) => out.skip(dir.display(), why),
            }
        }
    }

    /// Walks the trash of all roots, and of those that lie in it.
    fn walk_trash(&self, mut trash: Trash, out: &mut Out<'_>) {
        while let Some((dir, depth)) = trash.pop() {
            for Name { name, is } in tree::list_or_skip(&dir, out) {
                let folder = dir.join(&name);
                match is {
                    Is::Folder => self.experiment(&folder, &name, true, depth, &mut trash, out),
                    _ => out.leave(folder.display(), "it is no experiment"),
                }
            }
        }
    }

    /// A second root within the first, at this folder or further down. `false` when there is none.
    fn nested(&self, dir: &Path, depth: usize, trash: &mut Trash, out: &mut Out<'_>) -> bool {
        if depth >= DEEPEST_ROOT {
            return false;
        }
        if is_root(dir) {
            out.leave(dir.display(), "it is a second folder of MLflow within the first; its runs come along");
            self.walk_root(dir, depth + 1, trash, out);
            return true;
        }
        let names = tree::list(dir).unwrap_or_default();
        let mut found = false;
        for name in names.iter().filter(|name| name.is == Is::Folder) {
            found |= self.nested(&dir.join(&name.name), depth + 1, trash, out);
        }
        found
    }

    fn experiment(&self, dir: &Path, folder: &str, trashed: bool, depth: usize, trash: &mut Trash, out: &mut Out<'_>) {
        let path = dir.join(META);
        let names = tree::list_or_skip(dir, out);
        let meta = match yaml::read::<ExperimentMeta>(&path) {
            Ok(meta) => meta,
            Err(_) if self.nested(dir, depth, trash, out) => return,
            Err(e) => {
                let runs = names.iter().any(|n| n.is == Is::Folder && dir.join(&n.name).join(META).is_file());
                if !runs && !path.exists() {
                    return out.leave(dir.display(), "it is no experiment: it has no meta.yaml and no runs");
                }
                out.skip(path.display(), format!("{e}; its runs come along in an experiment called '{folder}'"));
                ExperimentMeta::default()
            }
        };
        let name = meta.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| folder.to_string());
        let deleted = trashed || meta.lifecycle_stage.as_deref() == Some("deleted");
        let id = meta.experiment_id.clone().unwrap_or_else(|| folder.to_string());
        let mut tags: Vec<_> = texts(&dir.join("tags"), out).into_iter().map(|(k, v)| (k, Some(v))).collect();
        tags.extend(facts(&id, meta));
        out.experiment(experiment(&name, tags, deleted));

        let mut models = models(dir, out);
        let mut datasets = HashMap::new();
        for Name { name: run, is } in names {
            let inside = dir.join(&run);
            match is {
                _ if out.is_stopped() => return,
                Is::Folder if run == "traces" => out.leave(inside.display(), "traces are no part of runs"),
                Is::Folder if NO_RUNS.contains(&run.as_str()) => {}
                Is::Folder if inside.join(META).exists() => {
                    let mut raw = RawRun {
                        id: run.clone(),
                        experiment: name.clone(),
                        experiment_id: id.clone(),
                        ..RawRun::default()
                    };
                    if self.run(&inside, &mut raw, &mut datasets, out) {
                        raw.models = models.remove(&raw.id).unwrap_or_default();
                        let run = raw.into_run(out);
                        out.run(run);
                    }
                }
                Is::Folder if self.nested(&inside, depth, trash, out) => {}
                Is::Folder if ["params", "metrics", "tags"].iter().any(|part| inside.join(part).exists()) => {
                    out.skip(inside.display(), "the run has no meta.yaml: nobody knows when it ran");
                }
                Is::Folder => out.leave(inside.display(), "it is no run: it has no meta.yaml"),
                Is::File(_) if run == META || tree::is_stray(&run) => {}
                Is::File(_) => out.leave(inside.display(), "it is no run"),
                Is::Other(why) => out.skip(inside.display(), why),
            }
        }
        // Models that no run of this experiment made.
        for model in models.into_values().flatten() {
            let mut raw = run_of_model(model, &name, &id);
            raw.deleted |= deleted;
            let run = raw.into_run(out);
            out.run(run);
        }
    }

    /// Reads a run; `false` when it cannot be.
    fn run(
        &self,
        dir: &Path,
        raw: &mut RawRun,
        datasets: &mut HashMap<String, Option<Input>>,
        out: &mut Out<'_>,
    ) -> bool {
        let path = dir.join(META);
        let meta: RunMeta = match yaml::read(&path) {
            Ok(meta) => meta,
            Err(e) => {
                out.skip(path.display(), format!("the run cannot be read: {e}"));
                return false;
            }
        };
        if let Some(id) = meta.run_id.or(meta.run_uuid).filter(|id| !id.is_empty()) {
            raw.id = id;
        }
        raw.name = meta.run_name.or(meta.name);
        raw.user = meta.user_id;
        let mut time = |text: Option<String>, what: &str| -> Option<Micros> {
            let text = text.filter(|text| !text.is_empty())?;
            let time = text.parse().ok().and_then(millis);
            if time.is_none() {
                out.skip(path.display(), format!("{what} '{text}' is no time in milliseconds"));
            }
            time
        };
        raw.start_time = time(meta.start_time, "start_time");
        raw.end_time = time(meta.end_time, "end_time");
        raw.status = match meta.status.as_deref() {
            None | Some("1" | "RUNNING") => Some(Status::Running),
            Some("2" | "SCHEDULED") => Some(Status::Scheduled),
            Some("3" | "FINISHED") => Some(Status::Finished),
            Some("4" | "FAILED") => Some(Status::Failed),
            Some("5" | "KILLED") => Some(Status::Killed),
            Some(other) => {
                out.skip(path.display(), format!("'{other}' is no status; the run is taken for a running one"));
                None
            }
        };
        raw.deleted = meta.lifecycle_stage.as_deref() == Some("deleted");
        raw.facts = vec![
            ("artifact_uri", meta.artifact_uri),
            ("deleted_time", meta.deleted_time),
            ("entry_point_name", meta.entry_point_name),
            ("source_name", meta.source_name),
            ("source_type", meta.source_type),
            ("source_version", meta.source_version),
        ];
        raw.params = texts(&dir.join("params"), out);
        raw.tags = texts(&dir.join("tags"), out);
        let ended = raw.status.is_some_and(Status::is_final);
        tree::files_below(&dir.join("metrics"), out, |key, path, _, out| {
            let key: Arc<str> = key.into();
            lines(path, ended, out, |line| {
                let (point, rest) = point(&key, line)?;
                if let Some((dataset, digest)) = measured_on(&rest) {
                    raw.measured_on.push(MeasuredOn { point: point.clone(), dataset, digest });
                }
                raw.points.push(point);
                Ok(())
            });
        });
        self.edges(dir, raw, datasets, out);
        raw.files = tree::artifacts(&dir.join("artifacts"), "", out);
        true
    }

    /// Data sets and models that the run used, and models that it made.
    fn edges(&self, dir: &Path, raw: &mut RawRun, datasets: &mut HashMap<String, Option<Input>>, out: &mut Out<'_>) {
        for (folder, direction) in [("inputs", "input"), ("outputs", "output")] {
            for name in tree::list_or_skip(&dir.join(folder), out) {
                if name.is != Is::Folder {
                    continue;
                }
                let path = dir.join(folder).join(&name.name).join(META);
                let edge: EdgeMeta = match yaml::read(&path) {
                    Ok(edge) => edge,
                    Err(e) => {
                        out.skip(path.display(), e);
                        continue;
                    }
                };
                let id = edge.source_id.unwrap_or_else(|| name.name.clone());
                if direction == "output" || edge.source_type.as_deref() == Some("MODEL") {
                    let step = edge.step.as_deref().and_then(|step| step.parse().ok());
                    raw.model_uses.push(ModelUse { model_id: id, direction, step });
                    continue;
                }
                let found = datasets.entry(id.clone()).or_insert_with(|| dataset(dir, &id, out)).clone();
                let Some(mut input) = found else {
                    out.skip(path.display(), format!("the data set '{id}' that it names cannot be read"));
                    continue;
                };
                input.tags = edge.tags.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
                raw.inputs.push(input);
            }
        }
    }
}

impl Source for Folder {
    fn kind(&self) -> SourceKind {
        SourceKind::MlflowFiles
    }

    fn place(&self) -> &Path {
        &self.root
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        let mut holdings = Holdings::default();
        for root in [self.root.clone(), self.root.join(TRASH)] {
            for name in tree::list(&root).map_err(ImportError::io(&root))? {
                let dir = root.join(&name.name);
                if name.is == Is::Folder && dir.join(META).is_file() {
                    holdings.experiments += 1;
                    let runs = tree::list(&dir).unwrap_or_default();
                    let is_run = |n: &&Name| n.is == Is::Folder && !NO_RUNS.contains(&n.name.as_str());
                    holdings.runs += runs.iter().filter(is_run).count() as u64;
                }
            }
        }
        Ok(holdings)
    }

    fn experiments(&self) -> Result<Vec<ForeignExperiment>, ImportError> {
        let mut found = Vec::new();
        for (root, deleted) in [(self.root.clone(), false), (self.root.join(TRASH), true)] {
            for folder in tree::list(&root).map_err(ImportError::io(&root))? {
                // What cannot be read is told by the walk.
                let meta = yaml::read::<ExperimentMeta>(&root.join(&folder.name).join(META)).unwrap_or_default();
                if let Some(name) = meta.name.clone().filter(|name| !name.is_empty()) {
                    let id = meta.experiment_id.clone().unwrap_or(folder.name);
                    found.push(experiment(&name, facts(&id, meta), deleted));
                }
            }
        }
        Ok(found)
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        fingerprint::of([self.root.as_path()])
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        // An error here is one of the source as a whole; further down it is one of a part.
        tree::list(&self.root).map_err(ImportError::io(&self.root))?;
        let mut trash = Trash::new();
        self.walk_root(&self.root, 0, &mut trash, out);
        self.walk_trash(trash, out);
        Ok(())
    }
}

/// What the `meta.yaml` of an experiment says beside its name, as tags.
fn facts(id: &str, meta: ExperimentMeta) -> Vec<(String, Option<String>)> {
    let facts = [
        ("mlflow.experiment_id", Some(id.to_string())),
        ("mlflow.artifact_location", meta.artifact_location),
        ("mlflow.creation_time", meta.creation_time),
        ("mlflow.last_update_time", meta.last_update_time),
    ];
    facts.into_iter().filter_map(|(key, value)| Some((key.to_string(), Some(value?)))).collect()
}

/// The data set with this id, of the experiment that a run belongs to.
fn dataset(run: &Path, id: &str, out: &mut Out<'_>) -> Option<Input> {
    // The id comes from a file: it must not lead elsewhere.
    if id.is_empty() || id.contains(['/', '\\']) || id.starts_with('.') {
        return None;
    }
    let path = run.parent()?.join("datasets").join(id).join(META);
    let meta: DatasetMeta = match yaml::read(&path) {
        Ok(meta) => meta,
        Err(e) => {
            out.skip(path.display(), e);
            return None;
        }
    };
    Some(Input {
        name: meta.name?,
        digest: meta.digest,
        source_type: meta.source_type,
        source: meta.source,
        schema: meta.schema,
        profile: meta.profile,
        tags: Vec::new(),
    })
}

/// The logged models of an experiment, by the run that made them; those without are under empty text.
fn models(experiment: &Path, out: &mut Out<'_>) -> BTreeMap<String, Vec<Model>> {
    let mut models: BTreeMap<String, Vec<Model>> = BTreeMap::new();
    let folder = experiment.join("models");
    for name in tree::list_or_skip(&folder, out) {
        let dir = folder.join(&name.name);
        if name.is != Is::Folder {
            continue;
        }
        let path = dir.join(META);
        let meta: ModelMeta = match yaml::read(&path) {
            Ok(meta) => meta,
            Err(e) => {
                out.skip(path.display(), e);
                continue;
            }
        };
        let time = |text: &Option<String>| text.as_deref().and_then(|t| t.parse().ok()).and_then(millis);
        let mut model = Model {
            created: time(&meta.creation_timestamp),
            updated: time(&meta.last_updated_timestamp),
            model_id: meta.model_id.unwrap_or_else(|| name.name.clone()),
            name: meta.name,
            status: meta.status.as_deref().map(model_status),
            status_message: meta.status_message,
            model_type: meta.model_type,
            lifecycle: meta.lifecycle_stage,
            artifact_location: meta.artifact_location,
            source_run: meta.source_run_id,
            params: texts(&dir.join("params"), out),
            tags: texts(&dir.join("tags"), out),
            metrics: Vec::new(),
            files: Vec::new(),
        };
        model.files = tree::artifacts(&dir.join("artifacts"), &format!("models/{}/", model.model_id), out);
        tree::files_below(&dir.join("metrics"), out, |key, path, _, out| {
            let key: Arc<str> = key.into();
            lines(path, true, out, |line| {
                let (point, rest) = point(&key, line)?;
                let Some((run, rest)) = rest.split_first() else {
                    return Err("the run that logged it is missing".to_string());
                };
                let on = measured_on(rest);
                let (dataset, digest) = on.map_or((None, None), |(dataset, digest)| (Some(dataset), digest));
                model.metrics.push(ModelPoint { point, run: run.to_string(), dataset, digest });
                Ok(())
            });
        });
        models.entry(model.source_run.clone().unwrap_or_default()).or_default().push(model);
    }
    models
}

/// One text per file below a folder, by the path of the file.
fn texts(dir: &Path, out: &mut Out<'_>) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    tree::files_below(dir, out, |key, path, _, out| match tree::text(path) {
        Ok(text) => texts.push((key.to_string(), text)),
        Err(e) => out.skip(path.display(), e),
    });
    texts
}

/// Reads the lines of a metric. A last line without its end is one that is being written, unless the run has ended.
fn lines(path: &Path, ended: bool, out: &mut Out<'_>, mut each: impl FnMut(&str) -> Result<(), String>) {
    let mut file = match tree::open(path) {
        Ok(file) => BufReader::new(file),
        Err(e) => return out.skip(path.display(), e),
    };
    for number in 1.. {
        let mut bytes = Vec::new();
        match file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) => return out.skip(path.display(), e),
        }
        let whole = bytes.last() == Some(&b'\n');
        if !whole && bytes.len() as u64 == LONGEST_LINE {
            return out.skip(path.display(), format!("line {number} is longer than {LONGEST_LINE} bytes"));
        }
        if !whole && !ended {
            return out.leave(path.display(), format!("line {number} has no end: it is still being written"));
        }
        let read = match std::str::from_utf8(&bytes) {
            Ok(line) if line.trim().is_empty() => Ok(()),
            Ok(line) => each(line.trim()),
            Err(_) => Err("it is not UTF-8".to_string()),
        };
        if let Err(reason) = read {
            out.skip(format!("{} line {number}", path.display()), reason);
        }
    }
}

/// The point of a line `time value [step ...]`, and the fields after the step.
fn point<'a>(key: &Arc<str>, line: &'a str) -> Result<(ForeignPoint, Vec<&'a str>), String> {
    let mut fields = line.split(' ');
    let (Some(time), Some(value)) = (fields.next(), fields.next()) else {
        return Err(format!("'{}' is no line of a metric: time and value are missing", shortened(line)));
    };
    let wrong = |what: &str, text: &str| format!("'{}' is no {what}", shortened(text));
    let time = time.parse().ok().and_then(millis).ok_or_else(|| wrong("time in milliseconds", time))?;
    let value = value.parse().map_err(|_| wrong("number", value))?;
    let step = match fields.next() {
        Some(step) => step.parse().map_err(|_| wrong("step", step))?,
        None => 0,
    };
    Ok((ForeignPoint { key: Arc::clone(key), context: None, step: Step::At(step), time, value }, fields.collect()))
}

/// Name and digest of a data set out of the last fields of a line; the name may hold spaces.
fn measured_on(fields: &[&str]) -> Option<(String, Option<String>)> {
    match fields {
        [] => None,
        [name] => Some((name.to_string(), None)),
        [name @ .., digest] => Some((name.join(" "), Some(digest.to_string()))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
