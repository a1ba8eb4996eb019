//! One line for a record, as docs/log.md has it.

use std::collections::HashSet;

use serde::Serialize;

use super::param;
use crate::model::{
    ArtifactEntry, ExperimentEdit, ExperimentOrigin, MetricPoints, Micros, Record, RunId, RunStart, Status, Step,
};

/// A line in the making: its type first, so that people find it.
pub(super) struct Line(String);

impl Line {
    pub(super) fn new(kind: &str) -> Line {
        Line(format!("{{\"type\":\"{kind}\""))
    }

    pub(super) fn of(kind: &str, run: &RunId) -> Line {
        Line::new(kind).with("run", run.as_str())
    }

    /// Adds a field.
    pub(super) fn with(self, name: &str, value: impl Serialize) -> Line {
        let text = serde_json::to_string(&value).expect("plain data is JSON");
        self.raw(name, &text)
    }

    /// Adds a field unless there is nothing to say.
    pub(super) fn some(self, name: &str, value: Option<impl Serialize>) -> Line {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a field that is JSON already.
    pub(super) fn raw(mut self, name: &str, json: &str) -> Line {
        self.0 += &format!(",\"{name}\":{json}");
        self
    }

    fn time(self, name: &str, time: Micros) -> Line {
        self.with(name, time.to_string())
    }

    fn step(self, step: Step) -> Line {
        match step {
            Step::None => self,
            Step::At(step) => self.with("step", step),
            Step::Between(x) => self.with("step", x),
        }
    }

    pub(super) fn end(self) -> String {
        self.0 + "}\n"
    }
}

/// An object out of pairs whose values are JSON already, in their order.
fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let entry = |(key, json): (&str, String)| format!("{}:{json}", json_text(key));
    format!("{{{}}}", pairs.into_iter().map(entry).collect::<Vec<_>>().join(","))
}

fn json_text(value: impl Serialize) -> String {
    serde_json::to_string(&value).expect("plain data is JSON")
}

/// A number, or the text of one that JSON cannot spell.
pub(super) fn number(x: f64) -> String {
    if x.is_nan() {
        "\"NaN\"".to_string()
    } else if x.is_infinite() {
        if x > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_string()
    } else {
        // With a point or an exponent, so that it stays a float.
        format!("{x:?}")
    }
}

/// The line of an experiment.
pub(super) fn experiment(origin: &ExperimentOrigin, edit: &ExperimentEdit) -> Line {
    let tags = edit.set.iter().map(|(key, value)| (key.as_str(), json_text(value)));
    let line = Line::new("experiment")
        .with("experiment", &origin.experiment)
        .some("id", origin.id.as_ref().map(|id| id.as_str()))
        .time("created", origin.created);
    let line = if edit.set.is_empty() { line } else { line.raw("tags", &object(tags)) };
    line.some("repeat_keys", edit.repeat_keys.as_ref())
}

/// The line of a file that was copied to `source`.
pub(super) fn artifact(run: &RunId, entry: &ArtifactEntry, source: &str) -> Line {
    let line = Line::of("artifact", run).with("path", &entry.path).with("source", source);
    line.with("digest", &entry.digest).with("mime", &entry.mime)
}

/// The line of a file that the store does not hold.
pub(super) fn artifact_elsewhere(run: &RunId, entry: &ArtifactEntry) -> Line {
    let line = Line::of("artifact", run).with("path", &entry.path).with("uri", &entry.uri).with("size", entry.size);
    line.some("digest", Some(&entry.digest).filter(|digest| !digest.is_empty())).with("mime", &entry.mime)
}

/// The lines of any other record; none for what is not about the content of a run.
pub(super) fn of_record(record: &Record) -> Vec<Line> {
    let pairs =
        |values: &[(String, String)]| object(values.iter().map(|(key, value)| (key.as_str(), json_text(value))));
    let line = match record {
        Record::Start(start) => begin(start),
        Record::Params { run, values } => {
            let values = object(values.iter().map(|(key, value)| (key.as_str(), param::json(value))));
            Line::of("params", run).raw("values", &values)
        }
        Record::Metrics(points) => return metrics(points),
        Record::Goal(goal) => Line::new("metric_goal")
            .with("experiment", &goal.experiment)
            .with("key", &goal.key)
            .with("goal", goal.goal.as_str())
            .some("source", Some(&goal.source).filter(|source| *source != "declared"))
            .some("unit", goal.unit.as_ref())
            .some("description", goal.description.as_ref()),
        Record::Tags { run, set, .. } => {
            let values = object(set.iter().map(|(key, value)| (key.as_str(), json_text(value))));
            Line::of("tags", run).raw("values", &values)
        }
        Record::Comment { run, id, comment } => Line::of("comment", run)
            .with("id", id)
            .some("author", comment.author.as_ref())
            .time("time", comment.time)
            .with("comment", &comment.text),
        Record::Features { run, features } => {
            let item = |f: &crate::model::Feature| {
                let item = Line("{".to_string() + "\"feature\":" + &json_text(&f.feature)).with("position", f.position);
                let item = item.some("dtype", f.dtype.as_ref()).some("used", Some(false).filter(|_| !f.used));
                let item = match f.importance {
                    Some(x) => item.raw("importance", &number(x)),
                    None => item,
                };
                let tags = Some(&f.feature_tags).filter(|tags| !tags.is_empty());
                let item = item.some("importance_kind", f.importance_kind.as_ref()).some("feature_tags", tags);
                item.some("description", f.description.as_ref()).0 + "}"
            };
            let items = features.iter().map(item).collect::<Vec<_>>().join(",");
            Line::of("features", run).raw("features", &format!("[{items}]"))
        }
        Record::Data { run, data } => Line::of("data", run)
            .with("dataset", &data.dataset)
            .with("role", &data.role)
            .some("digest", data.digest.as_ref())
            .some("data_version", data.data_version.as_ref())
            .some("source", data.source.as_ref())
            .some("n_rows", data.n_rows)
            .some("n_columns", data.n_columns)
            .some("bytes", data.bytes)
            .some("data_schema", data.data_schema.as_ref()),
        Record::Packages { run, values } => Line::of("packages", run).raw("values", &pairs(values)),
        Record::Environment { run, values } => Line::of("environment", run).raw("values", &pairs(values)),
        Record::Link { run, link } => {
            let line = Line::of("link", run).with("target", link.target.as_str()).with("kind", &link.kind);
            let line = line.some("position", link.position);
            let line = match link.weight {
                Some(weight) => line.raw("weight", &number(weight)),
                None => line,
            };
            line.some("step", link.step)
        }
        Record::Series { run, point } => Line::of("series", run)
            .with("key", &point.key)
            .with("kind", point.kind.as_str())
            .step(point.step)
            .time("time", point.time)
            .with("payload", &point.payload),
        Record::Finish { run, status, end_time, error } => {
            let line = Line::of("finish", run).with("status", status.as_str());
            // What has not ended has no time at which it did.
            let line = if *status == Status::Running { line } else { line.time("end_time", *end_time) };
            line.some("error", error.as_ref())
        }
        _ => return Vec::new(),
    };
    vec![line]
}

fn begin(start: &RunStart) -> Line {
    Line::of("run", &start.run)
        .with("experiment", &start.experiment)
        .some("name", start.name.as_ref())
        .some("parent", start.parent.as_ref().map(RunId::as_str))
        .time("start_time", start.start_time)
        .some("user", start.user.as_ref())
        .some("host", start.host.as_ref())
        .some("command", start.command.as_ref())
        .some("git_commit", start.git_commit.as_ref())
        .some("git_branch", start.git_branch.as_ref())
        .some("git_dirty", start.git_dirty)
        .some("git_remote", start.git_remote.as_ref())
        .some("notes", start.notes.as_ref())
}

/// A metric may have two values at one step and time, which one object cannot hold: the later ones get lines of their own.
fn metrics(points: &MetricPoints) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest: Vec<&(String, f64)> = points.values.iter().collect();
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let (now, later) = rest.into_iter().partition::<Vec<_>, _>(|(key, _)| seen.insert(key));
        let line = Line::of("metrics", &points.run).step(points.step).time("time", points.time);
        let line = match &points.context {
            Some(context) => line.raw("context", context),
            None => line,
        };
        lines.push(line.raw("values", &object(now.iter().map(|(key, x)| (key.as_str(), number(*x))))));
        rest = later;
    }
    lines
}
