//! TensorBoard's event files: each folder with such files below a log folder is a run.
//!
//! Files know neither ids nor names of runs, so a run's id is derived from the name of its folder, the name of its first
//! file, which says when, where and by which process it was begun, and the time of the first event. A log folder that is
//! moved, or imported in parts, gives the same ids.

mod hparams;
mod proto;
mod record;
mod run;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::{self, Is, Name};
use super::{ForeignExperiment, Holdings, ImportError, Out, Source, SourceKind, fingerprint, id};
use crate::model::RunId;
use run::Reading;

/// How deep folders may lie in each other.
const DEEPEST: usize = 32;
/// Names that are looked at before a folder is taken for something else than one of logs.
const LOOKED_AT: usize = 20_000;
/// The tag that tells a log folder from another one of the same name.
const LOGDIR: &str = "tensorboard.logdir";

/// What was left out, with the number of runs and of values.
type Left = BTreeMap<String, (u64, u64)>;

/// A log folder, or a single event file.
#[derive(Debug)]
struct LogFolder {
    /// What was named.
    path: PathBuf,
    /// Stores of other tools in it.
    except: BTreeSet<PathBuf>,
}

/// A folder with event files.
struct Folder {
    /// Its path below the log folder, with `/`; the folder's own name for the log folder itself.
    name: String,
    /// The folder's own name.
    own: String,
    files: Vec<PathBuf>,
}

impl Folder {
    /// The id of the run.
    fn id(&self, first_file: &str, first_time: f64) -> RunId {
        id::derived("tensorboard", &[&self.own, first_file, &first_time.to_bits().to_string()])
    }
}

/// Finds event files at or below a path, save below what was found already.
pub fn detect(path: &Path, asked_for: bool, found: &mut Vec<Arc<dyn Source>>) -> Result<(), ImportError> {
    let meta = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(ImportError::io(path))?,
    };
    let except: BTreeSet<PathBuf> = found.iter().map(|source| source.place().to_path_buf()).collect();
    let is_ours = match meta.is_file() {
        true => is_named_so(path) && (asked_for || run::begins_like_one(path)),
        false => holds_events(path, &except, if asked_for { usize::MAX } else { LOOKED_AT }),
    };
    if is_ours {
        found.push(Arc::new(LogFolder { path: path.to_path_buf(), except }));
    }
    Ok(())
}

fn is_named_so(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents"))
}

fn holds_events(path: &Path, others: &BTreeSet<PathBuf>, limit: usize) -> bool {
    let mut waiting = vec![(path.to_path_buf(), 0)];
    let mut seen = 0;
    while let Some((dir, depth)) = waiting.pop() {
        if others.contains(&dir) || depth > DEEPEST {
            continue;
        }
        for Name { name, is } in tree::list(&dir).unwrap_or_default() {
            seen += 1;
            match is {
                _ if seen > limit => return false,
                Is::File(_) if is_named_so(Path::new(&name)) => return true,
                Is::Folder if !name.starts_with('.') => waiting.push((dir.join(name), depth + 1)),
                _ => {}
            }
        }
    }
    false
}

impl LogFolder {
    /// The folders with event files, by path. Links are told and not followed.
    fn folders(&self, out: &mut Out<'_>) -> Result<Vec<Folder>, ImportError> {
        let own_name =
            |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let whole = std::fs::canonicalize(&self.path).map_err(ImportError::io(&self.path))?;
        if whole.is_file() {
            let own = whole.parent().map(own_name).unwrap_or_default();
            return Ok(vec![Folder { name: own.clone(), own, files: vec![self.path.clone()] }]);
        }
        // An error here is one of the source as a whole.
        tree::list(&self.path).map_err(ImportError::io(&self.path))?;
        let mut folders = Vec::new();
        let mut waiting = vec![(self.path.clone(), String::new(), 0)];
        while let Some((dir, name, depth)) = waiting.pop() {
            if self.except.contains(&dir) {
                continue;
            }
            if depth > DEEPEST {
                out.skip(dir.display(), "folders lie too deep in each other");
                continue;
            }
            let mut files = Vec::new();
            for Name { name: inside, is } in tree::list_or_skip(&dir, out) {
                let path = dir.join(&inside);
                let below = if name.is_empty() { inside.clone() } else { format!("{name}/{inside}") };
                match is {
                    Is::File(_) if is_named_so(&path) => files.push(path),
                    Is::Folder => waiting.push((path, below, depth + 1)),
                    Is::Other(_) if is_named_so(&path) => {
                        out.skip(path.display(), "it is no file; links are not followed")
                    }
                    _ => {}
                }
            }
            if !files.is_empty() {
                let own = if name.is_empty() { own_name(&whole) } else { own_name(&dir) };
                let name = if name.is_empty() { own.clone() } else { name };
                folders.push(Folder { name, own, files });
            }
        }
        folders.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(folders)
    }

    fn quiet(&self) -> Result<Vec<Folder>, ImportError> {
        self.folders(&mut Out::new(&mut |_| true))
    }
}

impl Source for LogFolder {
    fn kind(&self) -> SourceKind {
        SourceKind::TensorBoard
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        Ok(Holdings { experiments: 1, runs: self.quiet()?.len() as u64 })
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        let folders = self.quiet()?;
        fingerprint::of(folders.iter().flat_map(|folder| &folder.files).map(PathBuf::as_path))
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        let folders = self.folders(out)?;
        let whole = std::fs::canonicalize(&self.path).map_err(ImportError::io(&self.path))?;
        let logdir = if whole.is_file() { whole.parent().unwrap_or(&whole) } else { &whole };
        let name = logdir.file_name().map(|name| name.to_string_lossy().into_owned());
        let experiment = name.unwrap_or_else(|| "tensorboard".to_string());
        out.experiment(ForeignExperiment {
            name: experiment.clone(),
            tags: vec![(LOGDIR.to_string(), Some(logdir.display().to_string()))],
            identity: Some(LOGDIR),
            ..ForeignExperiment::default()
        });
        let mut left = Left::new();
        let mut ids: BTreeMap<String, RunId> = BTreeMap::new();
        let mut taken: BTreeSet<RunId> = BTreeSet::new();
        for folder in &folders {
            let mut reading = Reading::default();
            folder.files.iter().for_each(|file| reading.file(file, out));
            let Some(mut run) = reading.finish(folder, &experiment, &mut left, out) else {
                out.leave(format!("run '{}'", folder.name), "there is no event in its files yet");
                continue;
            };
            if taken.contains(run.id()) {
                // A copy of another folder, under the same name elsewhere.
                run.start.run = id::derived("tensorboard copy", &[run.id().as_str(), &folder.name]);
            }
            taken.insert(run.id().clone());
            run.start.parent = parent(&folder.name, &ids);
            ids.insert(folder.name.clone(), run.id().clone());
            out.run(run);
            if out.is_stopped() {
                return Ok(());
            }
        }
        for (what, (runs, values)) in left {
            out.leave(self.path.display(), format!("{what} ({values}, in {runs} of the runs) are not imported"));
        }
        Ok(())
    }
}

/// The run of the nearest folder above that has one.
fn parent(name: &str, runs: &BTreeMap<String, RunId>) -> Option<RunId> {
    let mut above = name;
    while let Some((up, _)) = above.rsplit_once('/') {
        if let Some(run) = runs.get(up) {
            return Some(run.clone());
        }
        above = up;
    }
    None
}
