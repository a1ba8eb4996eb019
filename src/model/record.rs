//! What a segment holds: one record per call of a logging method.

use serde::{Deserialize, Serialize};

use super::{ExperimentId, Goal, Micros, ParamValue, RunId, Status, Step};

/// One thing that was logged. The order of the variants is part of the segment format: add at the end only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A run begins.
    Start(RunStart),
    /// Another writer takes part in a run.
    Attach { run: RunId },
    /// Params of a run.
    Params { run: RunId, values: Vec<(String, ParamValue)> },
    /// Values of one or more metrics at one step.
    Metrics(MetricPoints),
    /// What a metric strives for, in one experiment.
    Goal(MetricGoal),
    /// Tags to set (`None`: a bare tag) and to remove.
    Tags { run: RunId, set: Vec<(String, Option<String>)>, remove: Vec<String> },
    /// Replaces the notes.
    Notes { run: RunId, notes: Option<String> },
    /// Adds or replaces a comment.
    Comment { run: RunId, id: String, comment: Comment },
    /// Takes a comment away.
    RemoveComment { run: RunId, id: String },
    /// Features that were available, used or not.
    Features { run: RunId, features: Vec<Feature> },
    /// A data set in one role.
    Data { run: RunId, data: DataVersion },
    /// Installed packages and their versions.
    Packages { run: RunId, values: Vec<(String, String)> },
    /// Facts about where the run ran.
    Environment { run: RunId, values: Vec<(String, String)> },
    /// A tie to another run.
    Link { run: RunId, link: Link },
    /// A point that is not a number.
    Series { run: RunId, point: SeriesPoint },
    /// Rows of a table of the run's own.
    Table { run: RunId, table: TableRows },
    /// A file that was copied into the store.
    Artifact { run: RunId, artifact: ArtifactEntry },
    /// The run ended.
    Finish { run: RunId, status: Status, end_time: Micros, error: Option<String> },
    /// Hides a run until it is restored or purged.
    Delete { run: RunId },
    /// Shows a deleted run again.
    Restore { run: RunId },
    /// Facts about an experiment.
    Experiment(ExperimentEdit),
    /// Gives a run another name.
    Name { run: RunId, name: Option<String> },
    /// Where an experiment comes from.
    Origin(ExperimentOrigin),
}

impl Record {
    /// The run this is about; `None` for what concerns an experiment.
    pub fn run(&self) -> Option<&RunId> {
        Some(match self {
            Record::Start(start) => &start.run,
            Record::Metrics(points) => &points.run,
            Record::Goal(_) | Record::Experiment(_) | Record::Origin(_) => return None,
            Record::Attach { run }
            | Record::Params { run, .. }
            | Record::Tags { run, .. }
            | Record::Notes { run, .. }
            | Record::Comment { run, .. }
            | Record::RemoveComment { run, .. }
            | Record::Features { run, .. }
            | Record::Data { run, .. }
            | Record::Packages { run, .. }
            | Record::Environment { run, .. }
            | Record::Link { run, .. }
            | Record::Series { run, .. }
            | Record::Table { run, .. }
            | Record::Artifact { run, .. }
            | Record::Finish { run, .. }
            | Record::Delete { run }
            | Record::Restore { run }
            | Record::Name { run, .. } => run,
        })
    }
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// Its id.
    pub run: RunId,
    /// Name of its experiment.
    pub experiment: String,
    /// A name for people, not unique.
    pub name: Option<String>,
    /// The run that this one is part of.
    pub parent: Option<RunId>,
    /// When it began.
    pub start_time: Micros,
    /// Who ran it.
    pub user: Option<String>,
    /// On which machine.
    pub host: Option<String>,
    /// By which command.
    pub command: Option<String>,
    /// Commit of the code.
    pub git_commit: Option<String>,
    /// Branch of the code.
    pub git_branch: Option<String>,
    /// Whether there were changes beyond the commit.
    pub git_dirty: Option<bool>,
    /// Where the code lives.
    pub git_remote: Option<String>,
    /// Free text.
    pub notes: Option<String>,
}

impl RunStart {
    /// A beginning of which nothing more is known.
    pub fn new(run: RunId, experiment: impl Into<String>, start_time: Micros) -> Self {
        RunStart {
            run,
            experiment: experiment.into(),
            name: None,
            parent: None,
            start_time,
            user: None,
            host: None,
            command: None,
            git_commit: None,
            git_branch: None,
            git_dirty: None,
            git_remote: None,
            notes: None,
        }
    }
}

/// Values of one or more metrics, logged together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPoints {
    /// The run.
    pub run: RunId,
    /// Canonical JSON of what qualifies the series.
    pub context: Option<String>,
    /// Where on the axis.
    pub step: Step,
    /// When.
    pub time: Micros,
    /// Metric to value.
    pub values: Vec<(String, f64)>,
}

/// What a metric strives for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricGoal {
    /// Name of the experiment.
    pub experiment: String,
    /// The metric.
    pub key: String,
    /// Which way it gets better.
    pub goal: Goal,
    /// `declared` by someone, or `imported`; [`MetricGoal::REMOVED`] takes away what was said before.
    pub source: String,
    /// Unit of the values, such as `s`.
    pub unit: Option<String>,
    /// Free text.
    pub description: Option<String>,
}

impl MetricGoal {
    /// The source of a record that takes a goal away.
    pub const REMOVED: &'static str = "removed";
}

/// Facts about an experiment; only what is given changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentEdit {
    /// Name of the experiment.
    pub experiment: String,
    /// Tags to set.
    pub set: Vec<(String, Option<String>)>,
    /// Tags to remove.
    pub remove: Vec<String>,
    /// Param keys that tell repeats of one config apart (default: `seed`, `fold`).
    pub repeat_keys: Option<Vec<String>>,
    /// Deleted (true) or restored (false).
    pub deleted: Option<bool>,
    /// A new name.
    pub rename: Option<String>,
}

/// What an experiment brings along from the store that it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOrigin {
    /// Name of the experiment.
    pub experiment: String,
    /// Its id there. An experiment of this name that exists keeps its own, and no two share one.
    pub id: Option<ExperimentId>,
    /// When it was first used there; an earlier use stays.
    pub created: Micros,
}

/// Somebody's remark on a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comment {
    /// Who said it.
    pub author: Option<String>,
    /// When.
    pub time: Micros,
    /// What.
    pub text: String,
}

/// An input column that a run used or left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Name of the column.
    pub feature: String,
    /// Place among the columns, from 0.
    pub position: Option<i64>,
    /// Type of the column, in the words of whoever logged it.
    pub dtype: Option<String>,
    /// Whether the model saw it.
    pub used: bool,
    /// What it was worth.
    pub importance: Option<f64>,
    /// How that was measured: `gini`, `permutation`, `coefficient`, `shap`, ...
    pub importance_kind: Option<String>,
    /// Labels.
    pub feature_tags: Vec<String>,
    /// Free text.
    pub description: Option<String>,
}

/// A data set with its content digest, in one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataVersion {
    /// Name of the data set.
    pub dataset: String,
    /// `training`, `validation`, `test`, ...
    pub role: String,
    /// Digest of the content.
    pub digest: Option<String>,
    /// Name of the version.
    pub data_version: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// Number of rows.
    pub n_rows: Option<i64>,
    /// Number of columns.
    pub n_columns: Option<i64>,
    /// Size in bytes.
    pub bytes: Option<i64>,
    /// Names and types of the columns, any notation.
    pub data_schema: Option<String>,
}

/// A tie from a run to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The other run.
    pub target: RunId,
    /// `parent`, `fork`, `member`, `base_model`, `retry`, ...
    pub kind: String,
    /// Place among the links of this kind.
    pub position: Option<i64>,
    /// Weight of a member in an ensemble.
    pub weight: Option<f64>,
    /// Step of the target that was taken over.
    pub step: Option<i64>,
}

/// What a point that is not a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeriesKind {
    /// Text; the payload is the text.
    Text,
    /// The payload is JSON: `{"edges": [n+1 numbers], "counts": [n numbers]}`.
    Histogram,
    /// The payload is the path of an artifact.
    File,
}

impl SeriesKind {
    /// The name, as in the column `series.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            SeriesKind::Text => "text",
            SeriesKind::Histogram => "histogram",
            SeriesKind::File => "file",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<SeriesKind> {
        [SeriesKind::Text, SeriesKind::Histogram, SeriesKind::File].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A point that is not a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// The series.
    pub key: String,
    /// Where on the axis.
    pub step: Step,
    /// When.
    pub time: Micros,
    /// What it is.
    pub kind: SeriesKind,
    /// The content, see [`SeriesKind`].
    pub payload: String,
}

/// Rows of a table that a run logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRows {
    /// Name of the table.
    pub name: String,
    /// The rows, as an Arrow IPC stream.
    pub ipc: Vec<u8>,
}

/// A file that was copied into the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactEntry {
    /// Its name in the run, `/` for folders.
    pub path: String,
    /// Where the bytes are, relative to the store.
    pub uri: String,
    /// Size in bytes.
    pub size: i64,
    /// blake3 of the content, 64 hex digits.
    pub digest: String,
    /// Media type guessed from the name.
    pub mime: Option<String>,
}
