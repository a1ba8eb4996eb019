//! An experiment of rubicon-ml, which is a run, and how it becomes one of ours.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::super::tree::{self, Is};
use super::super::{Out, json};
use super::PROJECT_FILES;
use super::entity::{self, Entity, META, shortened};
use super::tables::{self, Row};
use super::value::{self, Measured};
use crate::model::{Comment, DataVersion, Feature, Goal, Link, Micros, RunId, SeriesKind, SeriesPoint, Status, Step};
use crate::store::{ForeignFile, ForeignPoint, ForeignRun, check_artifact_path};

/// Longest name of a data set that is made of a value; a longer one is in `source` as a whole.
const LONGEST_NAME: usize = 200;

/// The way in which the metrics of a project get better, as the latest of each says.
#[derive(Debug, Default)]
pub struct Goals(BTreeMap<String, (Option<Micros>, Goal, bool)>);

impl Goals {
    fn hear(&mut self, key: &str, created: Option<Micros>, goal: Goal) {
        let (time, known, differ) = self.0.entry(key.to_string()).or_insert((created, goal, false));
        *differ |= *known != goal;
        if created > *time {
            (*time, *known) = (created, goal);
        }
    }

    /// All of them; where experiments disagree, that is told.
    pub fn finish(self, project: &str, out: &mut Out<'_>) -> Vec<(String, Goal)> {
        let mut goals = Vec::with_capacity(self.0.len());
        for (key, (_, goal, differ)) in self.0 {
            if differ {
                let place = format!("metric '{key}' of '{project}'");
                out.leave(place, format!("experiments disagree on its direction; the latest says '{}'", goal.as_str()));
            }
            goals.push((key, goal));
        }
        goals
    }
}

/// The project that experiments belong to.
#[derive(Debug, Clone, Default)]
pub struct Project {
    pub name: String,
    pub id: Option<String>,
    pub github_url: Option<String>,
    pub created: Option<Micros>,
}

/// The id of a run: as it is where it can be one here, else derived from it, the same at every import.
pub fn run_id(text: &str) -> RunId {
    RunId::parse(text).unwrap_or_else(|_| derived_id("experiment", text))
}

fn derived_id(what: &str, text: &str) -> RunId {
    let hash = blake3::hash(format!("rubicon {what}\n{text}").as_bytes()).to_hex();
    RunId::parse(&hash[..32]).expect("hex digits are an id")
}

/// Reads the folder of an experiment.
pub fn read(dir: &Path, project: &Project, goals: &mut Goals, out: &mut Out<'_>) -> Option<ForeignRun> {
    let mut experiment = entity::read(dir, out)?;
    let id = run_id(experiment.id());
    let mut run = ForeignRun::new(id.clone(), project.name.clone(), Micros(0));
    let mut parts = Parts::new(&mut run, out);
    parts.params(&dir.join("parameters"));
    parts.metrics(&dir.join("metrics"), goals);
    parts.features(&dir.join("features"));
    parts.files(dir, "artifacts", "artifact");
    parts.files(dir, "dataframes", "dataframe");
    let (first, last, rows) = (parts.first, parts.last, parts.rows);
    run.tables.extend(tables::entities(rows));

    let begin = experiment.created.or(first).unwrap_or(Micros(0));
    let start = &mut run.start;
    start.start_time = begin;
    start.name = experiment.name.take().filter(|name| !name.is_empty());
    start.notes = experiment.description.take().filter(|text| !text.is_empty());
    start.git_branch = experiment.take_text("branch_name").filter(|text| !text.is_empty());
    start.git_commit = experiment.take_text("commit_hash").filter(|text| !text.is_empty());
    start.git_remote = project.github_url.clone();
    // rubicon-ml knows no end: what was logged last is the last that is known of it.
    run.status = Status::Finished;
    run.end_time = Some(last.unwrap_or(begin).max(begin));

    for tag in &experiment.tags.there {
        let tie = |prefix| tag.text.strip_prefix(prefix).filter(|id: &&str| !id.is_empty()).map(run_id);
        if let Some(target) = tie("parent:") {
            run.start.parent = Some(target.clone());
            run.links.push(Link { target, kind: "parent".into(), position: None, weight: None, step: None });
        }
        if !run.tags.iter().any(|(key, _)| *key == tag.text) {
            run.tags.push((tag.text.clone(), None));
        }
    }
    if let Some(model) = experiment.take_text("model_name") {
        run.tags.push(("rubicon.model_name".to_string(), Some(model)));
    }
    run.removed_tags = std::mem::take(&mut experiment.tags.gone);
    comments(&mut run, &experiment, begin);
    if let Some(data) = experiment.rest.get("training_metadata").and_then(training_metadata) {
        experiment.rest.remove("training_metadata");
        run.data = data_versions(data, &format!("run '{id}'"), out);
    }
    if id.as_str() != experiment.id() {
        run.environment.push(("rubicon.id".to_string(), experiment.id().to_string()));
    }
    if json::as_text(experiment.rest.get("project_name").unwrap_or(&Value::Null)) == Some(project.name.as_str()) {
        experiment.rest.remove("project_name");
    }
    run.environment.extend(experiment.rest.iter().map(|(key, value)| {
        let text = json::as_text(value).map_or_else(|| json::render(value), str::to_string);
        (format!("rubicon.{key}"), text)
    }));
    Some(run)
}

/// A run for the artifacts and dataframes that a project has of its own; `None` when there are none.
pub fn of_project(dir: &Path, project: &Project, out: &mut Out<'_>) -> Option<ForeignRun> {
    let has = |what: &str| tree::list(&dir.join(what)).is_ok_and(|names| names.iter().any(|n| n.is == Is::Folder));
    if !has("artifacts") && !has("dataframes") {
        return None;
    }
    let id = derived_id("project", project.id.as_deref().unwrap_or(&project.name));
    let mut run = ForeignRun::new(id, project.name.clone(), Micros(0));
    let mut parts = Parts::new(&mut run, out);
    parts.files(dir, "artifacts", "artifact");
    parts.files(dir, "dataframes", "dataframe");
    let (first, last, rows) = (parts.first, parts.last, parts.rows);
    run.tables.extend(tables::entities(rows));
    let begin = project.created.or(first).unwrap_or(Micros(0));
    run.start.start_time = begin;
    run.start.name = Some(format!("files of {}", project.name));
    run.status = Status::Finished;
    run.end_time = Some(last.unwrap_or(begin).max(begin));
    run.tags.push((PROJECT_FILES.to_string(), None));
    Some(run)
}

/// Reads the folders of a run one after another.
struct Parts<'a, 'b> {
    run: &'a mut ForeignRun,
    out: &'a mut Out<'b>,
    rows: Vec<Row>,
    first: Option<Micros>,
    last: Option<Micros>,
}

impl<'a, 'b> Parts<'a, 'b> {
    fn new(run: &'a mut ForeignRun, out: &'a mut Out<'b>) -> Self {
        Parts { run, out, rows: Vec::new(), first: None, last: None }
    }

    fn all(&mut self, dir: &Path, what: &'static str) -> Vec<Entity> {
        let all = entity::all(dir, what, self.out);
        for created in all.iter().filter_map(|e| e.created) {
            self.first = Some(self.first.map_or(created, |t| t.min(created)));
            self.last = self.last.max(Some(created));
        }
        all
    }

    /// Those with a name of their own. One name has one folder, unless somebody copied it.
    fn named(&mut self, dir: &Path, what: &'static str) -> Vec<Entity> {
        let mut all = self.all(dir, what);
        let mut taken = HashSet::new();
        all.retain(|entity| {
            let is_first = taken.insert(entity.name().to_string());
            if !is_first {
                let reason = format!("there is another {what} '{}', which was taken", entity.name());
                self.out.skip(entity.dir.join(META).display(), reason);
            }
            is_first
        });
        all
    }

    fn params(&mut self, dir: &Path) {
        for mut entity in self.named(dir, "parameter") {
            let found = entity.rest.remove("value").unwrap_or(Value::Null);
            self.run.params.push((entity.name().to_string(), value::param(&found)));
            let value = value::is_typed(&found).then(|| json::render(&found));
            self.rows.push(Row { kind: "parameter", entity, value, path: None });
        }
    }

    fn metrics(&mut self, dir: &Path, goals: &mut Goals) {
        for mut entity in self.named(dir, "metric") {
            let found = entity.rest.remove("value").unwrap_or(Value::Null);
            let time = entity.created.unwrap_or(Micros(0));
            let mut exact = false;
            match value::metric(&found) {
                Measured::Number(x, is_exact) => {
                    exact = is_exact && !value::is_typed(&found);
                    let key: Arc<str> = entity.name().into();
                    self.run.points.push(ForeignPoint { key, context: None, step: Step::None, time, value: x });
                    match entity.rest.get("directionality").and_then(json::as_text) {
                        Some("score") => goals.hear(entity.name(), entity.created, Goal::Max),
                        Some("loss") => goals.hear(entity.name(), entity.created, Goal::Min),
                        _ => {}
                    }
                }
                Measured::Other(payload) => {
                    let (key, kind) = (entity.name().to_string(), SeriesKind::Text);
                    self.run.series.push(SeriesPoint { key, step: Step::None, time, kind, payload });
                }
            }
            let value = (!exact).then(|| json::render(&found));
            self.rows.push(Row { kind: "metric", entity, value, path: None });
        }
    }

    fn features(&mut self, dir: &Path) {
        for mut entity in self.named(dir, "feature") {
            let importance = entity.rest.get("importance").and_then(value::number);
            if importance.is_some() {
                entity.rest.remove("importance");
            }
            self.run.features.push(Feature {
                feature: entity.name().to_string(),
                position: None,
                dtype: None,
                used: true,
                importance,
                importance_kind: None,
                feature_tags: entity.tags.there.iter().map(|tag| tag.text.clone()).collect(),
                description: entity.description.clone(),
            });
            self.rows.push(Row { kind: "feature", entity, value: None, path: None });
        }
    }

    /// Files of artifacts or dataframes: `<id>/data`, a file or a folder.
    fn files(&mut self, dir: &Path, folder: &str, what: &'static str) {
        let mut all = self.all(&dir.join(folder), what);
        // Several may have one name: the first one keeps it.
        all.sort_by(|a, b| (a.created, a.id()).cmp(&(b.created, b.id())));
        for mut entity in all {
            // That of the run or the project, in which it lies.
            entity.rest.remove("parent_id");
            let data = entity.dir.join("data");
            let prefix = if what == "dataframe" { "dataframes/" } else { "" };
            let path = self.free_path(prefix, &entity);
            let found = match tree::list(&entity.dir) {
                Ok(names) => names.into_iter().find(|n| n.name == "data").map(|n| n.is),
                Err(_) => None,
            };
            match found {
                Some(Is::File(size)) => self.run.files.push(ForeignFile { path: path.clone(), source: data, size }),
                Some(Is::Folder) => self.run.files.extend(tree::artifacts(&data, &format!("{path}/"), self.out)),
                Some(Is::Other(why)) => {
                    self.out.skip(data.display(), why);
                }
                None => self.out.skip(data.display(), format!("the data of {what} '{}' is missing", entity.name())),
            }
            self.rows.push(Row { kind: what, entity, value: None, path: Some(path) });
        }
    }

    /// A name for a file, or for a folder of files: that of the entity where it can be one and is free.
    fn free_path(&mut self, prefix: &str, entity: &Entity) -> String {
        let (name, id) = (entity.name(), entity.folder.as_str());
        let is_free = |path: &str| {
            check_artifact_path(&format!("{path}/part")).is_ok()
                && !self.rows.iter().any(|row| row.path.as_deref() == Some(path))
        };
        let wanted = format!("{prefix}{name}");
        if is_free(&wanted) {
            return wanted;
        }
        let beside = format!("{prefix}{name}@{id}");
        let (path, why) = match is_free(&beside) {
            true => (beside, "another one has that name"),
            false => (format!("{prefix}{id}"), "its name cannot be that of a file"),
        };
        let place = entity.dir.join(META);
        let reason = format!("'{}' is called '{}' here: {why}", shortened(name), shortened(&path));
        self.out.leave(place.display(), reason);
        path
    }
}

fn comments(run: &mut ForeignRun, experiment: &Entity, begin: Micros) {
    let mut times_said: BTreeMap<&str, u32> = BTreeMap::new();
    for comment in &experiment.comments.there {
        let n = times_said.entry(&comment.text).or_default();
        let (author, time) = (None, comment.time.unwrap_or(begin));
        run.comments.push((comment_id(&comment.text, *n), Comment { author, time, text: comment.text.clone() }));
        *n += 1;
    }
    run.removed_comments = experiment.comments.gone.iter().map(|text| comment_id(text, 0)).collect();
}

/// rubicon-ml tells comments apart by what they say; `n` have said the same before.
fn comment_id(text: &str, n: u32) -> String {
    blake3::hash(format!("rubicon comment {n}\n{text}").as_bytes()).to_hex()[..16].to_string()
}

/// The tuples in `{"_type": "training_metadata", "value": [[...], ...]}`.
fn training_metadata(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Object(object) if object.get("_type")?.as_str()? == "training_metadata" => {
            Some(object.get("value")?.as_array()?.clone())
        }
        Value::Array(tuples) => Some(tuples.clone()),
        _ => None,
    }
}

/// Tuples say what their writer meant them to: the first value is taken for the name, the rest for the version.
fn data_versions(tuples: Vec<Value>, place: &str, out: &mut Out<'_>) -> Vec<DataVersion> {
    let mut versions: Vec<DataVersion> = Vec::new();
    let plain = |value: &Value| json::as_text(value).map_or_else(|| json::render(value), str::to_string);
    for tuple in tuples {
        let values = tuple.as_array().map_or(std::slice::from_ref(&tuple), Vec::as_slice);
        let (first, rest) = match values {
            [] => continue,
            [first, rest @ ..] => (plain(first), rest),
        };
        let name = if first.is_empty() || first.len() > LONGEST_NAME { "training data".to_string() } else { first };
        let source = Some(json::render(&tuple));
        if versions.iter().any(|v| v.source == source) {
            continue;
        }
        let mut dataset = name.clone();
        for n in 2.. {
            if !versions.iter().any(|v| v.dataset == dataset) {
                break;
            }
            dataset = format!("{name}@{n}");
        }
        if dataset != name {
            out.leave(place, format!("it has several data sets '{name}'; one is called '{dataset}' in data_versions"));
        }
        let data_version = match rest {
            [] => None,
            [one] => Some(plain(one)),
            several => Some(json::render(&Value::Array(several.to_vec()))),
        };
        versions.push(DataVersion {
            dataset,
            role: "training".to_string(),
            digest: None,
            data_version,
            source,
            n_rows: None,
            n_columns: None,
            bytes: None,
            data_schema: None,
        });
    }
    versions
}
