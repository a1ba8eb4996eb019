//! One line: its types and fields, and every check that needs nothing but the line itself.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields::*;
use super::values::{AtStep, Finite, Number, Param, Time};
use super::{big, message, table};
use crate::model::{
    DataVersion, ExperimentEdit, ExperimentId, ExperimentOrigin, Feature, Link, MetricGoal, Micros, ParamValue, RunId,
    SeriesKind, SeriesPoint, Status, Step,
};
use crate::store::{check_artifact_path, check_experiment, check_key, check_table};

/// A line that was read and found sound.
#[derive(Debug, Clone)]
pub struct Line {
    pub(super) run: Option<RunId>,
    pub(super) act: Act,
}

impl Line {
    /// The run that it is about; `None` for one about an experiment.
    pub fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// Whether it begins its run, or takes it up again.
    pub fn begins_run(&self) -> bool {
        matches!(self.act, Act::Run(_))
    }
}

/// What a line asks for.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Run(Box<RunLine>),
    Params(Vec<(String, ParamValue)>),
    Metrics {
        values: Vec<(String, f64)>,
        step: Step,
        time: Option<Micros>,
        context: Option<Map<String, Value>>,
    },
    Goal(MetricGoal),
    Experiment {
        origin: Option<ExperimentOrigin>,
        edit: ExperimentEdit,
    },
    Tags {
        set: Vec<(String, Option<String>)>,
        remove: Vec<String>,
    },
    Note(Option<String>),
    Comment {
        id: Option<String>,
        author: Option<String>,
        time: Option<Micros>,
        text: String,
    },
    RemoveComment(String),
    Features(Vec<Feature>),
    Data(DataVersion),
    Packages(Vec<(String, String)>),
    Environment(Vec<(String, String)>),
    Link(Link),
    /// The time of the point is that of logging when `timed` is false.
    Series {
        point: SeriesPoint,
        timed: bool,
    },
    File {
        key: String,
        source: String,
        step: Step,
        time: Option<Micros>,
    },
    Table {
        name: String,
        rows: RecordBatch,
    },
    Artifact {
        path: String,
        content: Content,
        /// What the content is known by.
        digest: Option<String>,
        /// `None`: as its name says.
        mime: Option<Option<String>>,
    },
    Finish {
        status: Status,
        end_time: Option<Micros>,
        error: Option<String>,
    },
    Delete,
    Restore,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    File(String),
    Bytes(Vec<u8>),
    /// It stays where it is.
    Elsewhere {
        uri: String,
        size: i64,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

const TYPES: [&str; 22] = [
    "run",
    "params",
    "metrics",
    "metric_goal",
    "experiment",
    "tags",
    "note",
    "comment",
    "features",
    "data",
    "packages",
    "environment",
    "link",
    "text",
    "histogram",
    "file",
    "series",
    "table",
    "artifact",
    "finish",
    "delete",
    "restore",
];

/// Reads a line; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Line, String> {
    let head: Head<'_> = read(text)?;
    let Some(kind) = head.kind else { return Err("missing field 'type'".to_string()) };
    let line = |run: RunId, act: Act| Ok(Line { run: Some(run), act });
    match &*kind {
        "run" => {
            let run: RunLine = read(text)?;
            check_experiment(&run.experiment).map_err(shown)?;
            line(run.run.clone(), Act::Run(Box::new(run)))
        }
        "params" => {
            let mut params: ParamsLine = read(text)?;
            // A double this large may have been a whole number, and so may one in a list or dict.
            let large = |p: &Param| match p.0 {
                ParamValue::Float(x) => x.abs() >= 9.2e18 && x.is_finite(),
                ParamValue::List(_) | ParamValue::Dict(_) => true,
                _ => false,
            };
            if params.values.0.iter().any(|(_, value)| large(value))
                && let Some(marked) = big::mark_integers(text)
            {
                params = read(&marked)?;
            }
            keys("param", params.values.0.iter().map(|(key, _)| key))?;
            line(params.run, Act::Params(params.values.0.into_iter().map(|(key, value)| (key, value.0)).collect()))
        }
        "metrics" => {
            let m: MetricsLine = read(text)?;
            keys("metric", m.values.0.iter().map(|(key, _)| key))?;
            let context = m.context.map(|c| c.0.into_iter().collect::<Map<_, _>>());
            if let Some(key) = context.iter().flatten().find(|(_, value)| value.is_object()).map(|(key, _)| key)
                && nested_too_deeply(&context)
            {
                return Err(format!("the context is nested too deeply at '{key}'"));
            }
            let values = m.values.0.into_iter().map(|(key, Number(x))| (key, x)).collect();
            line(m.run, Act::Metrics { values, step: step(m.step), time: m.time.map(|t| t.0), context })
        }
        "metric_goal" => {
            let g: GoalLine = read(text)?;
            check_experiment(&g.experiment).map_err(shown)?;
            check_key("metric", &g.key).map_err(shown)?;
            let GoalLine { experiment, key, goal, source, unit, description, .. } = g;
            let source = source.unwrap_or_else(|| "declared".to_string());
            if !matches!(source.as_str(), "declared" | "imported") {
                return Err(format!("a goal has the source 'declared' or 'imported', not '{source}'"));
            }
            Ok(Line { run: None, act: Act::Goal(MetricGoal { experiment, key, goal, source, unit, description }) })
        }
        "experiment" => {
            let e: ExperimentLine = read(text)?;
            check_experiment(&e.experiment).map_err(shown)?;
            keys("tag", e.tags.0.iter().map(|(key, _)| key).chain(&e.remove))?;
            keys("param", e.repeat_keys.iter().flatten())?;
            let origin = origin(&e)?;
            let ExperimentLine { experiment, tags, remove, repeat_keys, .. } = e;
            let edit = ExperimentEdit { experiment, set: tags.0, remove, repeat_keys, deleted: None, rename: None };
            Ok(Line { run: None, act: Act::Experiment { origin, edit } })
        }
        "tags" => {
            let t: TagsLine = read(text)?;
            keys("tag", t.values.0.iter().map(|(key, _)| key).chain(&t.remove))?;
            line(t.run, Act::Tags { set: t.values.0, remove: t.remove })
        }
        "note" => {
            let n: NoteLine = read(text)?;
            line(n.run, Act::Note(n.notes))
        }
        "comment" => comment(read(text)?),
        "features" => features(read(text)?),
        "data" => {
            let d: DataLine = read(text)?;
            keys("data set", [&d.dataset])?;
            keys("role", [&d.role])?;
            for (field, value) in [("n_rows", d.n_rows), ("n_columns", d.n_columns), ("bytes", d.bytes)] {
                if value.is_some_and(|v| v < 0) {
                    return Err(format!("'{field}' cannot be negative"));
                }
            }
            let DataLine { run, dataset, role, digest, data_version, source, n_rows, n_columns, bytes, .. } = d;
            let data_schema = d.data_schema.map(|s| s.0);
            let data =
                DataVersion { dataset, role, digest, data_version, source, n_rows, n_columns, bytes, data_schema };
            line(run, Act::Data(data))
        }
        "packages" => {
            let p: TextsLine = read(text)?;
            keys("package", p.values.0.iter().map(|(key, _)| key))?;
            line(p.run, Act::Packages(p.values.0))
        }
        "environment" => {
            let e: TextsLine = read(text)?;
            keys("environment entry", e.values.0.iter().map(|(key, _)| key))?;
            line(e.run, Act::Environment(e.values.0))
        }
        "link" => {
            let l: LinkLine = read(text)?;
            keys("link kind", [&l.kind])?;
            let LinkLine { run, target, kind, position, weight, step, .. } = l;
            line(run, Act::Link(Link { target, kind, position, weight: weight.map(|w| w.0), step }))
        }
        "text" => {
            let t: TextLine = read(text)?;
            series(t.run, t.key, t.step, t.time, SeriesKind::Text, t.text)
        }
        "histogram" => histogram(read(text)?),
        "file" => {
            let f: FileLine = read(text)?;
            keys("series", [&f.key])?;
            line(f.run, Act::File { key: f.key, source: f.source, step: step(f.step), time: f.time.map(|t| t.0) })
        }
        "series" => {
            let s: SeriesLine = read(text)?;
            series(s.run, s.key, s.step, s.time, s.kind.0, s.payload)
        }
        "table" => {
            let t: TableLine = read(text)?;
            let rows = table::rows(&t.columns, &t.types)?;
            check_table(&t.name, &rows).map_err(shown)?;
            line(t.run, Act::Table { name: t.name, rows })
        }
        "artifact" => artifact(read(text)?),
        "finish" => {
            let f: FinishLine = read(text)?;
            let status = f.status.unwrap_or(Status::Finished);
            if status == Status::Crashed {
                return Err(format!("a run cannot be finished as {status}"));
            }
            line(f.run, Act::Finish { status, end_time: f.end_time.map(|t| t.0), error: f.error })
        }
        "delete" => line(read::<RunOnly>(text)?.run, Act::Delete),
        "restore" => line(read::<RunOnly>(text)?.run, Act::Restore),
        other => Err(format!("unknown type '{other}', expected one of {}", TYPES.join(", "))),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| message::of(&e))
}

fn shown(e: impl ToString) -> String {
    e.to_string()
}

fn keys<'a>(what: &str, keys: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    keys.into_iter().try_for_each(|key| check_key(what, key)).map_err(shown)
}

fn step(step: Option<AtStep>) -> Step {
    step.map_or(Step::None, |s| s.0)
}

/// Canonical contexts are made by recursion over objects.
fn nested_too_deeply(context: &Option<Map<String, Value>>) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    context.iter().flatten().any(|(_, value)| depth(value) > 16)
}

fn comment(c: CommentLine) -> Result<Line, String> {
    let act = match (c.remove.unwrap_or(false), c.comment, c.id) {
        (false, Some(text), id) => {
            if let Some(id) = &id {
                keys("comment", [id])?;
            }
            Act::Comment { id, author: c.author, time: c.time.map(|t| t.0), text }
        }
        (false, None, _) => return Err("missing field 'comment'".to_string()),
        (true, None, Some(id)) => Act::RemoveComment(id),
        (true, None, None) => return Err("'remove' needs the 'id' of the comment".to_string()),
        (true, Some(_), _) => return Err("'remove' and 'comment' exclude each other".to_string()),
    };
    Ok(Line { run: Some(c.run), act })
}

fn features(line: FeaturesLine) -> Result<Line, String> {
    keys("feature", line.features.iter().map(|f| &f.feature))?;
    let features = line.features.into_iter().enumerate().map(|(place, f)| Feature {
        feature: f.feature,
        position: f.position.unwrap_or(Some(place as i64)),
        dtype: f.dtype,
        used: f.used.unwrap_or(true),
        importance: f.importance.map(|x| x.0),
        importance_kind: f.importance_kind,
        feature_tags: f.feature_tags.unwrap_or_default(),
        description: f.description,
    });
    Ok(Line { run: Some(line.run), act: Act::Features(features.collect()) })
}

fn series(
    run: RunId,
    key: String,
    at: Option<AtStep>,
    time: Option<Time>,
    kind: SeriesKind,
    payload: String,
) -> Result<Line, String> {
    keys("series", [&key])?;
    let point = SeriesPoint { key, step: step(at), time: time.map_or(Micros(0), |t| t.0), kind, payload };
    Ok(Line { run: Some(run), act: Act::Series { point, timed: time.is_some() } })
}

fn histogram(h: HistogramLine) -> Result<Line, String> {
    let (edges, counts) = (h.edges.len(), h.counts.len());
    if edges != counts + 1 {
        return Err(format!("a histogram has one edge more than counts; here are {edges} edges and {counts} counts"));
    }
    let numbers = |values: &[Finite]| values.iter().map(|x| x.0).collect::<Vec<f64>>();
    let payload = serde_json::json!({"edges": numbers(&h.edges), "counts": numbers(&h.counts)}).to_string();
    series(h.run, h.key, h.step, h.time, SeriesKind::Histogram, payload)
}

/// What the line says of where the experiment comes from.
fn origin(e: &ExperimentLine) -> Result<Option<ExperimentOrigin>, String> {
    let is_id = |id: &String| id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(wrong) = e.id.as_ref().filter(|id| !is_id(id)) {
        return Err(format!("'{wrong}' is not the id of an experiment, which has 16 hex digits"));
    }
    if e.id.is_none() && e.created.is_none() {
        return Ok(None);
    }
    let id = e.id.as_deref().map(ExperimentId::from_stored);
    let created = e.created.map_or_else(Micros::now, |t| t.0);
    Ok(Some(ExperimentOrigin { experiment: e.experiment.clone(), id, created }))
}

fn artifact(a: ArtifactLine) -> Result<Line, String> {
    check_artifact_path(&a.path).map_err(shown)?;
    let content = match (a.source, a.text, a.base64, a.uri) {
        (Some(source), None, None, None) => Content::File(source),
        (None, Some(text), None, None) => Content::Bytes(text.into_bytes()),
        (None, None, Some(text), None) => {
            Content::Bytes(BASE64_STANDARD.decode(text).map_err(|e| format!("'base64' cannot be decoded: {e}"))?)
        }
        (None, None, None, Some(uri)) => elsewhere(uri, a.size)?,
        (None, None, None, None) => return Err("one of 'source', 'text', 'base64' and 'uri' is needed".to_string()),
        _ => return Err("'source', 'text', 'base64' and 'uri' exclude each other".to_string()),
    };
    if a.size.is_some() && !matches!(content, Content::Elsewhere { .. }) {
        return Err("'size' stands beside 'uri' only: content that is copied is measured".to_string());
    }
    let is_digest =
        |digest: &String| digest.is_empty() || digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    if a.digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
        return Err("'digest' is the blake3 of the content in 64 hex digits".to_string());
    }
    Ok(Line { run: Some(a.run), act: Act::Artifact { path: a.path, content, digest: a.digest, mime: a.mime } })
}

/// A file that stays where it is: never one of this store's own, which has another digest or another run.
fn elsewhere(uri: String, size: Option<i64>) -> Result<Content, String> {
    if !uri.contains("://") || uri.chars().any(char::is_control) {
        return Err(format!("'uri' is an address like 'file:///data/model.bin', not '{}'", uri.escape_debug()));
    }
    match size {
        Some(size) if size >= 0 => Ok(Content::Elsewhere { uri, size }),
        _ => Err("'uri' needs the 'size' of the content in bytes".to_string()),
    }
}
