//! The run that the event files of one folder add up to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use prost::Message;

use super::super::Out;
use super::hparams::{self, Session};
use super::proto::{Event, SessionLog, SummaryMetadata, Value};
use super::record::{Next, Records};
use super::{Folder, Left};
use crate::model::{Micros, SeriesKind, SeriesPoint, Status, Step};
use crate::store::{ForeignPoint, ForeignRun};

/// The series of what a session said of itself: that it began, stopped or wrote a checkpoint.
const SESSION: &str = "tensorboard.session";
/// The context of points that a restart made void.
const SUPERSEDED: &str = r#"{"superseded":true}"#;
/// Records of a file that are told one by one when they cannot be read.
const TOLD: u64 = 10;
/// The series of lines of a log.
const LOG: &str = "tensorboard.log";

/// A run while its files are read.
#[derive(Default)]
pub struct Reading {
    tags: HashMap<String, Tag>,
    points: Vec<ForeignPoint>,
    series: Vec<SeriesPoint>,
    session: Session,
    facts: BTreeMap<String, String>,
    /// File and time of the first event of all.
    first: Option<(String, f64)>,
    /// First and last time of any event.
    span: Option<(Micros, Micros)>,
    version: f64,
    newest_step: i64,
    restarts: Vec<Restart>,
    /// Values that could not be read, by what was wrong.
    wrong: BTreeMap<String, u64>,
    left: BTreeMap<String, u64>,
}

/// What the first value of a tag says of all of them.
struct Tag {
    key: Arc<str>,
    plugin: String,
}

/// A place from which TensorBoard hides what was written before.
struct Restart {
    /// Points that were there.
    points: usize,
    step: i64,
    /// Of one tag only.
    key: Option<Arc<str>>,
}

impl Reading {
    /// Reads a file to its end.
    pub fn file(&mut self, path: &Path, out: &mut Out<'_>) {
        let mut records = match Records::open(path) {
            Ok(records) => records,
            Err(e) => return out.skip(path.display(), e),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut none_yet = true;
        let mut bad = 0_u64;
        let mut tell = |reason: String, out: &mut Out<'_>| {
            bad += 1;
            if bad <= TOLD {
                out.skip(path.display(), reason);
            }
        };
        loop {
            match records.next() {
                Err(e) => {
                    tell(e.to_string(), out);
                    break;
                }
                Ok(Next::End) => break,
                Ok(Next::Torn { at, bytes }) => {
                    let reason =
                        format!("its last record, at byte {at}, is not whole yet ({bytes} bytes): left for next time");
                    out.leave(path.display(), reason);
                    break;
                }
                Ok(Next::Lost(_)) if none_yet && !is_event_file(&name) => {
                    return out.leave(path.display(), "it is no event file, for all that its name says");
                }
                Ok(Next::Lost(reason)) => {
                    tell(reason, out);
                    break;
                }
                Ok(Next::Damaged(reason)) => tell(reason, out),
                Ok(Next::Record(content)) => match Event::decode(content) {
                    Ok(event) => self.event(&name, event),
                    Err(e) => tell(format!("a record is no event: {e}"), out),
                },
            }
            none_yet = false;
        }
        if bad > TOLD {
            out.skip(path.display(), format!("{} more of its records cannot be read", bad - TOLD));
        }
    }

    fn event(&mut self, file: &str, event: Event) {
        if self.first.is_none() {
            self.first = Some((file.to_string(), event.wall_time));
        }
        let Some(time) = Micros::from_seconds(event.wall_time) else {
            return self.wrong(format!("{} is no time in seconds", event.wall_time));
        };
        let (begin, end) = self.span.unwrap_or((time, time));
        self.span = Some((begin.min(time), end.max(time)));
        let step = event.step;
        if let Some(version) = event.file_version {
            self.version = version.strip_prefix("brain.Event:").and_then(|v| v.parse().ok()).unwrap_or(self.version);
            self.facts.insert("tensorboard.file_version".to_string(), version);
        }
        if let Some(source) = event.source_metadata {
            self.facts.insert("tensorboard.writer".to_string(), source.writer);
        }
        if let Some(log) = event.session_log {
            self.session(&log, step, time);
        }
        if let Some(log) = event.log_message {
            let level = match log.level {
                10 => "DEBUG ",
                20 => "INFO ",
                30 => "WARN ",
                40 => "ERROR ",
                50 => "FATAL ",
                _ => "",
            };
            self.text(LOG, step, time, format!("{level}{}", log.message));
        }
        for (there, what) in [
            (event.graph_def.is_some(), "graphs"),
            (event.meta_graph_def.is_some(), "graphs with their use (meta graphs)"),
            (event.tagged_run_metadata.is_some(), "records of how long a graph ran"),
        ] {
            self.leave(what, u64::from(there));
        }
        let Some(summary) = event.summary else { return };
        let mut tags = Vec::new();
        for value in summary.value {
            match Value::decode(value) {
                Ok(value) => tags.extend(self.value(value, step, time)),
                Err(e) => self.wrong(format!("it cannot be read: {e}")),
            }
        }
        // Before versions were written down, a step that goes back was the only sign of a restart.
        if self.version < 2.0 && step < self.newest_step {
            let before = self.points.len() - tags.len();
            self.restarts.extend(tags.into_iter().map(|key| Restart { points: before, step, key: Some(key) }));
        } else {
            self.newest_step = step;
        }
    }

    fn session(&mut self, log: &SessionLog, step: i64, time: Micros) {
        let status = match log.status {
            1 => "START",
            2 => "STOP",
            3 => "CHECKPOINT",
            _ => "UNKNOWN",
        };
        if log.status == 1 && self.version >= 2.0 {
            self.restarts.push(Restart { points: self.points.len(), step, key: None });
        }
        let words = [status, &log.checkpoint_path, &log.msg].into_iter().filter(|word| !word.is_empty());
        self.text(SESSION, step, time, words.collect::<Vec<_>>().join(" "));
    }

    fn text(&mut self, key: &str, step: i64, time: Micros, payload: String) {
        let (key, step) = (key.to_string(), Step::At(step));
        self.series.push(SeriesPoint { key, step, time, kind: SeriesKind::Text, payload });
    }

    /// Takes a value; gives the tag where it was a number.
    fn value(&mut self, value: Value, step: i64, time: Micros) -> Option<Arc<str>> {
        let metadata = value.metadata.unwrap_or_default();
        let plugin = metadata.plugin_data.clone().unwrap_or_default();
        if plugin.plugin_name == hparams::PLUGIN {
            if let Err(reason) = self.session.read(&plugin.content) {
                self.wrong(reason);
            }
            return None;
        }
        if value.tag.is_empty() {
            self.wrong("it has no tag".to_string());
            return None;
        }
        let (key, plugin) = self.tag(&value.tag, &metadata);
        let histogram = |payload: Option<String>| {
            let key = key.to_string();
            payload.map(|payload| SeriesPoint { key, step: Step::At(step), time, kind: SeriesKind::Histogram, payload })
        };
        let number = match (value.simple_value, &value.tensor, plugin.as_str()) {
            (Some(number), ..) => Some(f64::from(number)),
            (None, Some(tensor), "scalars" | "") => tensor.number(),
            _ => None,
        };
        if let Some(value) = number {
            self.points.push(ForeignPoint { key: Arc::clone(&key), context: None, step: Step::At(step), time, value });
            return Some(key);
        }
        let (found, what) = match (value.tensor, value.histo, plugin.as_str()) {
            (_, Some(old), _) => (histogram(old.histogram()), "histograms that are none"),
            (Some(tensor), _, "histograms") => {
                (histogram(tensor.histogram()), "histograms with gaps, or that are none")
            }
            (Some(tensor), _, "text" | "") if tensor.is_text() => {
                let payload = tensor.text().expect("it is text");
                let key = key.to_string();
                (Some(SeriesPoint { key, step: Step::At(step), time, kind: SeriesKind::Text, payload }), "")
            }
            (Some(_), _, "scalars") => (None, "scalars that are no single number"),
            (Some(_), _, "") => (None, "tensors"),
            (Some(_), _, plugin) => {
                self.leave(&format!("values of the plugin '{plugin}'"), 1);
                return None;
            }
            _ if value.image.is_some() => (None, "images"),
            _ if value.audio.is_some() => (None, "sounds"),
            _ if value.old_histogram.is_some() => (None, "histograms of a format that TensorBoard no longer reads"),
            _ => (None, "values of an unknown kind"),
        };
        match found {
            Some(point) => self.series.push(point),
            None => self.leave(what, 1),
        }
        None
    }

    /// The key of a tag, and the plugin that its first value named.
    fn tag(&mut self, tag: &str, metadata: &SummaryMetadata) -> (Arc<str>, String) {
        if !self.tags.contains_key(tag) {
            let plugin = metadata.plugin_data.as_ref().map(|plugin| plugin.plugin_name.clone()).unwrap_or_default();
            self.tags.insert(tag.to_string(), Tag { key: tag.into(), plugin });
            for (what, text) in
                [("display_name", &metadata.display_name), ("description", &metadata.summary_description)]
            {
                if !text.is_empty() && text != tag {
                    self.facts.insert(format!("tensorboard.{what}.{tag}"), text.clone());
                }
            }
        }
        let known = &self.tags[tag];
        (Arc::clone(&known.key), known.plugin.clone())
    }

    fn wrong(&mut self, reason: String) {
        // A damaged file may have any number of reasons.
        let reason = if self.wrong.len() < 20 { reason } else { "other reasons".to_string() };
        *self.wrong.entry(reason).or_default() += 1;
    }

    fn leave(&mut self, what: &str, n: u64) {
        if n > 0 {
            *self.left.entry(what.to_string()).or_default() += n;
        }
    }

    /// Sets points aside that a restart made void: those at or behind its step that were there before. Gives their number.
    fn supersede(&mut self, context: &Arc<str>) -> u64 {
        let mut of_all = i64::MAX;
        let mut of_one: HashMap<Arc<str>, i64> = HashMap::new();
        let (mut void, mut restarts) = (0, self.restarts.iter().rev().peekable());
        for (i, point) in self.points.iter_mut().enumerate().rev() {
            while let Some(restart) = restarts.next_if(|restart| restart.points > i) {
                let least = match &restart.key {
                    None => &mut of_all,
                    Some(key) => of_one.entry(Arc::clone(key)).or_insert(i64::MAX),
                };
                *least = (*least).min(restart.step);
            }
            let from = of_all.min(of_one.get(&point.key).copied().unwrap_or(i64::MAX));
            if point.step.whole().is_some_and(|step| step >= from) {
                point.context = Some(Arc::clone(context));
                void += 1;
            }
        }
        void
    }

    /// The run; `None` when there was no event at all.
    pub fn finish(
        mut self,
        folder: &Folder,
        experiment: &str,
        left: &mut Left,
        out: &mut Out<'_>,
    ) -> Option<ForeignRun> {
        let place = format!("run '{}'", folder.name);
        for (what, n) in &self.left {
            let (runs, values) = left.entry(what.clone()).or_default();
            *runs += 1;
            *values += n;
        }
        for (reason, n) in &self.wrong {
            out.skip(&place, format!("{n} of its values left out: {reason}"));
        }
        for key in &self.session.changed {
            out.skip(&place, format!("param '{key}' had another value later; the first one stays"));
        }
        let (file, wall_time) = self.first.as_ref()?;
        let id = folder.id(file, *wall_time);
        let superseded: Arc<str> = SUPERSEDED.into();
        let void = self.supersede(&superseded);
        if void > 0 {
            let reason = format!(
                "it was restarted: {void} points from before, at later steps, have the context {SUPERSEDED}; TensorBoard hides \
                 them"
            );
            out.leave(&place, reason);
        }
        let (begin, end) = self.span.unwrap_or_default();
        let session = self.session;
        let mut run = ForeignRun::new(id, experiment, session.start.unwrap_or(begin));
        run.start.name = Some(folder.name.clone());
        run.status = session.status.unwrap_or(Status::Finished);
        run.end_time = match run.status {
            Status::Running => None,
            _ => Some(session.end.unwrap_or(end)),
        };
        run.superseded = Some(superseded);
        run.params = session.params;
        run.points = self.points;
        run.series = self.series;
        run.environment = self.facts.into_iter().chain(session.facts).collect();
        run.environment.push(("tensorboard.run".to_string(), folder.name.clone()));
        Some(run)
    }
}

/// Whether a name that says `tfevents` has no ending that says otherwise.
fn is_event_file(name: &str) -> bool {
    let other = [".gz", ".zip", ".tar", ".tgz", ".json", ".jsonl", ".csv", ".txt", ".md5", ".zst", ".xz", ".bz2"];
    !other.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file begins like an event file.
pub fn begins_like_one(path: &Path) -> bool {
    let first = Records::open(path).and_then(|mut records| records.next());
    matches!(first, Ok(Next::Record(content)) if Event::decode(content.clone()).is_ok())
}
