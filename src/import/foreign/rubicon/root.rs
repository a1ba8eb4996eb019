//! A root of rubicon-ml, or one project of it, as a source.

use std::path::{Path, PathBuf};

use super::super::json;
use super::super::tree::{self, Is, Name};
use super::super::{ForeignExperiment, Holdings, ImportError, Out, Source, SourceKind, fingerprint};
use super::entity::{self, META};
use super::run::{self, Goals, Project};

const EXPERIMENTS: &str = "experiments";

/// A root, or one project of it.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    is_project: bool,
}

/// Whether a folder is a root: one of the folders in it is a project.
pub fn is_root(dir: &Path) -> bool {
    let names = tree::list(dir).unwrap_or_default();
    names.iter().any(|n| n.is == Is::Folder && is_project(&dir.join(&n.name)))
}

/// Whether a folder is a project, by what its `metadata.json` says, or that of an experiment in it.
pub fn is_project(dir: &Path) -> bool {
    let experiments = dir.join(EXPERIMENTS);
    if !dir.join(META).exists() && !experiments.exists() {
        return false;
    }
    if let Ok(object) = entity::object(dir) {
        let has = |key: &str| object.contains_key(key);
        let is_part = ["project_name", "parent_id", "value", "importance"].into_iter().any(has);
        return !is_part && has("name") && has("created_at") && (has("training_metadata") || experiments.is_dir());
    }
    let names = tree::list(&experiments).unwrap_or_default();
    let is_experiment = |dir: &Path| entity::object(dir).is_ok_and(|object| object.contains_key("project_name"));
    names.iter().any(|n| n.is == Is::Folder && is_experiment(&experiments.join(&n.name)))
}

impl Root {
    /// The root at this path.
    pub fn new(path: &Path) -> Self {
        Root { path: path.to_path_buf(), is_project: false }
    }

    /// One project of a root.
    pub fn of_project(path: &Path) -> Self {
        Root { path: path.to_path_buf(), is_project: true }
    }

    /// The folders that may be projects.
    fn projects(&self, out: &mut Out<'_>) -> Vec<PathBuf> {
        if self.is_project {
            return vec![self.path.clone()];
        }
        let mut found = Vec::new();
        for Name { name, is } in tree::list_or_skip(&self.path, out) {
            let dir = self.path.join(&name);
            match is {
                Is::Folder if dir.join(META).exists() || dir.join(EXPERIMENTS).is_dir() => found.push(dir),
                Is::Folder => out.leave(dir.display(), format!("it is no project: it has no {META}")),
                Is::File(_) if tree::is_stray(&name) => {}
                Is::File(_) => out.leave(dir.display(), "it is no project"),
                Is::Other(why) => out.skip(dir.display(), why),
            }
        }
        found
    }

    fn project(&self, dir: &Path, out: &mut Out<'_>) {
        let experiments = dir.join(EXPERIMENTS);
        let folders = entity::folders(&experiments, "experiment", out);
        let project = match entity::read(dir, out) {
            Some(entity) => {
                let (project, experiment) = described(entity);
                out.experiment(experiment);
                project
            }
            // Told by the reader; its experiments say what it is called.
            None => {
                let named = |dir: &PathBuf| {
                    let object = entity::object(dir).ok()?;
                    json::as_text(object.get("project_name")?).map(str::to_string)
                };
                let folder = || dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = folders.iter().find_map(named).unwrap_or_else(folder);
                out.experiment(ForeignExperiment { name: name.clone(), ..ForeignExperiment::default() });
                Project { name, ..Project::default() }
            }
        };
        let mut goals = Goals::default();
        for folder in folders {
            if out.is_stopped() {
                return;
            }
            if let Some(run) = run::read(&folder, &project, &mut goals, out) {
                out.run(run);
            }
        }
        if let Some(run) = run::of_project(dir, &project, out) {
            out.run(run);
        }
        let goals = goals.finish(&project.name, out);
        out.goals(&project.name, goals);
        if !tree::list_or_skip(&dir.join("archives"), out).is_empty() {
            let what = "archives are not read; unpack one into experiments/ to bring what is only in it";
            out.leave(dir.join("archives").display(), what);
        }
    }
}

/// A project, and the experiment that it becomes.
fn described(mut entity: entity::Entity) -> (Project, ForeignExperiment) {
    let github_url = entity.take_text("github_url").filter(|url| !url.is_empty());
    let project =
        Project { name: entity.name().to_string(), id: entity.id.clone(), github_url, created: entity.created };
    let mut tags: Vec<(String, Option<String>)> = [
        ("rubicon.project_id", entity.id.clone()),
        ("rubicon.created_at", entity.created.map(|t| t.to_string())),
        ("rubicon.description", entity.description.clone()),
        ("rubicon.github_url", project.github_url.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.map(|value| (key.to_string(), Some(value))))
    .collect();
    for (key, value) in &entity.rest {
        let inner = value.get("value").filter(|_| key == "training_metadata");
        let text = json::as_text(value).map_or_else(|| json::render(inner.unwrap_or(value)), str::to_string);
        tags.push((format!("rubicon.{key}"), Some(text)));
    }
    let (name, identity) = (project.name.clone(), Some("rubicon.project_id"));
    (project, ForeignExperiment { name, tags, identity, ..ForeignExperiment::default() })
}

impl Source for Root {
    fn kind(&self) -> SourceKind {
        SourceKind::Rubicon
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        let mut holdings = Holdings::default();
        let mut ignore = |_| true;
        for dir in self.projects(&mut Out::new(&mut ignore)) {
            holdings.experiments += 1;
            let names = tree::list(&dir.join(EXPERIMENTS)).unwrap_or_default();
            holdings.runs += names.iter().filter(|n| n.is == Is::Folder).count() as u64;
        }
        Ok(holdings)
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        fingerprint::of([self.path.as_path()])
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        // An error here is one of the source as a whole; further down it is one of a part.
        tree::list(&self.path).map_err(ImportError::io(&self.path))?;
        for dir in self.projects(out) {
            if out.is_stopped() {
                break;
            }
            self.project(&dir, out);
        }
        Ok(())
    }
}
