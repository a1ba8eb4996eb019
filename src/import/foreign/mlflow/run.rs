//! A run as either form of MLflow has it, and how it becomes one of ours.

use std::collections::HashSet;
use std::path::PathBuf;

use super::super::{Out, json};
use super::tables::{self, Model};
use crate::model::{DataVersion, Micros, ParamValue, RunId, Status};
use crate::store::{ForeignExperiment, ForeignFile, ForeignPoint, ForeignRun};

/// A data set that a run used.
#[derive(Debug, Clone, Default)]
pub struct Input {
    pub name: String,
    pub digest: Option<String>,
    pub source_type: Option<String>,
    pub source: Option<String>,
    pub schema: Option<String>,
    pub profile: Option<String>,
    pub tags: Vec<(String, String)>,
}

impl Input {
    /// What it was used for.
    pub fn context(&self) -> Option<&str> {
        self.tags.iter().find(|(key, _)| key == "mlflow.data.context").map(|(_, value)| value.as_str())
    }
}

/// A model that a run used or made.
#[derive(Debug, Clone)]
pub struct ModelUse {
    pub model_id: String,
    pub direction: &'static str,
    pub step: Option<i64>,
}

/// A point of a metric that was measured on a data set.
#[derive(Debug, Clone)]
pub struct MeasuredOn {
    pub point: ForeignPoint,
    pub dataset: String,
    pub digest: Option<String>,
}

/// A run as MLflow has it.
#[derive(Debug, Default)]
pub struct RawRun {
    pub id: String,
    pub experiment: String,
    pub experiment_id: String,
    pub name: Option<String>,
    pub user: Option<String>,
    pub status: Option<Status>,
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
    pub deleted: bool,
    /// Other columns, by name.
    pub facts: Vec<(&'static str, Option<String>)>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    pub points: Vec<ForeignPoint>,
    pub measured_on: Vec<MeasuredOn>,
    pub inputs: Vec<Input>,
    pub model_uses: Vec<ModelUse>,
    /// Models that it made.
    pub models: Vec<Model>,
    pub files: Vec<ForeignFile>,
}

/// An experiment; where its artifacts lie tells it from one of the same name in another store, as each has a `Default`.
///
/// That alone does not tell it from one of another name: a server calls them all `mlflow-artifacts:/1`.
pub fn experiment(name: &str, mut tags: Vec<(String, Option<String>)>, deleted: bool) -> ForeignExperiment {
    const NAME: &str = "mlflow.experiment_name";
    tags.push((NAME.to_string(), Some(name.to_string())));
    ForeignExperiment {
        name: name.to_string(),
        tags,
        identity: Some("mlflow.artifact_location"),
        origin: &["mlflow.creation_time", "mlflow.experiment_id", "mlflow.artifact_location"],
        named: Some(NAME),
        deleted,
        goals: Vec::new(),
    }
}

/// Milliseconds, as MLflow writes times; `None` outside of the years 1 to 9999.
pub fn millis(ms: i64) -> Option<Micros> {
    const YEAR_1: i64 = -62_135_596_800_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    (YEAR_1..YEAR_10000).contains(&ms).then(|| Micros(ms * 1000))
}

/// The id of a run: as it is where it can be one here, else derived from it.
pub fn run_id(text: &str) -> RunId {
    RunId::parse(text).unwrap_or_else(|_| derived_id("run", text))
}

/// An id that is the same at every import.
pub fn derived_id(what: &str, text: &str) -> RunId {
    let hash = blake3::hash(format!("mlflow {what}\n{text}").as_bytes()).to_hex();
    RunId::parse(&hash[..32]).expect("hex digits are an id")
}

impl RawRun {
    /// The value of a tag, if there is one that is not empty.
    fn tag(&self, key: &str) -> Option<String> {
        self.tags.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.clone())
    }

    fn fact(&self, column: &str) -> Option<String> {
        self.facts.iter().find(|(name, _)| *name == column).and_then(|(_, v)| v.clone()).filter(|v| !v.is_empty())
    }

    /// Turns it into a run of ours.
    pub fn into_run(mut self, out: &mut Out<'_>) -> ForeignRun {
        let not_empty = |text: Option<String>| text.filter(|t| !t.is_empty());
        let id = run_id(&self.id);
        let earliest = self.points.iter().map(|p| p.time).min();
        let start_time = self.start_time.or(earliest).unwrap_or(Micros(0));
        let mut run = ForeignRun::new(id.clone(), self.experiment.clone(), start_time);
        let start = &mut run.start;
        start.name = not_empty(self.name.clone()).or_else(|| self.tag("mlflow.runName"));
        start.parent = self.tag("mlflow.parentRunId").map(|parent| run_id(&parent));
        start.user = self.tag("mlflow.user").or_else(|| not_empty(self.user.clone()));
        start.command = self.tag("mlflow.source.name").or_else(|| self.fact("source_name"));
        start.git_commit = self.tag("mlflow.source.git.commit").or_else(|| self.fact("source_version"));
        start.git_branch = self.tag("mlflow.source.git.branch").or_else(|| self.tag("mlflow.git.branch"));
        start.git_remote = self.tag("mlflow.source.git.repoURL").or_else(|| self.tag("mlflow.git.repoUrl"));
        start.git_dirty = self.tag("mlflow.git.dirty").and_then(|dirty| match dirty.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        });
        start.notes = self.tag("mlflow.note.content");
        run.status = self.status.unwrap_or(Status::Running);
        run.end_time = self.end_time;
        run.deleted = self.deleted;

        run.environment.push(("mlflow.experiment_id".to_string(), self.experiment_id.clone()));
        if id.as_str() != self.id {
            run.environment.push(("mlflow.run_id".to_string(), self.id.clone()));
        }
        if let Some(user) = not_empty(self.user.take()) {
            run.environment.push(("mlflow.user_id".to_string(), user));
        }
        for (column, value) in std::mem::take(&mut self.facts) {
            run.environment.extend(not_empty(value).map(|value| (format!("mlflow.{column}"), value)));
        }

        let mut rows = tables::Rows::default();
        let place = format!("run '{}'", self.id);
        let mut taken = HashSet::new();
        for input in &self.inputs {
            rows.input(input);
            let mut data = data_version(input);
            if !taken.insert((data.role.clone(), data.dataset.clone())) {
                let name = format!("{}@{}", data.dataset, data.digest.as_deref().unwrap_or("unknown"));
                let text = format!(
                    "it has several data sets '{}' in the role {}; this one is called '{name}' in data_versions",
                    data.dataset, data.role
                );
                data.dataset = name;
                if !taken.insert((data.role.clone(), data.dataset.clone())) {
                    continue;
                }
                out.leave(&place, text);
            }
            run.data.push(data);
        }
        self.measured_on.iter().for_each(|measured| rows.measured_on(measured));
        self.model_uses.iter().for_each(|model| rows.model_use(model));
        self.models.iter().for_each(|model| rows.model(model));
        run.tables = rows.finish();
        run.params = self.params.into_iter().map(|(key, text)| (key, ParamValue::from_spelling(&text))).collect();
        run.tags = self.tags.into_iter().map(|(key, value)| (key, Some(value))).collect();
        run.points = self.points;
        run.files = self.files;
        run.files.extend(self.models.into_iter().flat_map(|model| model.files));
        run
    }
}

fn data_version(input: &Input) -> DataVersion {
    let json = |text: &Option<String>| text.as_deref().and_then(|t| json::parse(t).ok());
    let (profile, schema) = (json(&input.profile), json(&input.schema));
    let columns = schema.as_ref().and_then(|s| s.get("mlflow_colspec")?.as_array().map(|columns| columns.len() as i64));
    let role = input.context().filter(|context| !context.is_empty()).unwrap_or("input");
    DataVersion {
        dataset: input.name.clone(),
        role: role.to_string(),
        digest: input.digest.clone(),
        data_version: None,
        source: input.source.clone(),
        n_rows: profile.as_ref().and_then(|p| p.get("num_rows")?.as_i64()).filter(|n| *n >= 0),
        n_columns: columns,
        bytes: None,
        data_schema: input.schema.clone(),
    }
}

/// A run for a model that no run made.
pub fn run_of_model(model: Model, experiment: &str, experiment_id: &str) -> RawRun {
    let finished = match model.status.as_deref() {
        Some("READY") => Some(Status::Finished),
        Some("FAILED") => Some(Status::Failed),
        _ => Some(Status::Running),
    };
    RawRun {
        id: derived_id("model", &model.model_id).to_string(),
        experiment: experiment.to_string(),
        experiment_id: experiment_id.to_string(),
        name: model.name.clone(),
        status: finished,
        start_time: model.created,
        end_time: model.updated,
        deleted: model.lifecycle.as_deref() == Some("deleted"),
        facts: vec![("model_without_run", Some(model.model_id.clone()))],
        models: vec![model],
        ..RawRun::default()
    }
}

/// The local folder that an address of MLflow means, if it is one: `file:///a/b`, `/a/b`, `a/b`.
pub fn local_folder(address: &str) -> Option<PathBuf> {
    if let Some((scheme, _)) = address.split_once(':').filter(|(scheme, _)| scheme.len() > 1 && !scheme.contains('/')) {
        let url = url::Url::parse(address).ok().filter(|_| scheme == "file")?;
        return url.to_file_path().ok();
    }
    Some(PathBuf::from(address)).filter(|path| !path.as_os_str().is_empty())
}
