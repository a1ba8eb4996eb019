//! A run of another store, whole, in the words of this one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::counts::{Counts, Kind};
use crate::model::{
    Comment, DataVersion, Feature, Goal, Link, Micros, ParamValue, Record, RunId, RunStart, RunState, SeriesPoint,
    Status, Step, Version,
};
use crate::store::artifact::check_artifact_path;
use crate::store::run::{check_experiment, check_key, check_table, shown};

/// An experiment of another store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForeignExperiment {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<(String, Option<String>)>,
    /// Which of the tags tells it from an experiment of the same name in another store; that one's tags are left alone.
    pub identity: Option<&'static str>,
    /// The tags that together are its own for life, whatever its name, the most telling one first: with the same ones it is
    /// the same experiment. Where it lacks one of them, nobody can tell.
    pub origin: &'static [&'static str],
    /// The tag that keeps the name that it has there.
    pub named: Option<&'static str>,
    /// Whether it is deleted there.
    pub deleted: bool,
    /// Which way its metrics get better.
    pub goals: Vec<(String, Goal)>,
}

/// A point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPoint {
    /// The metric; points of one series share it.
    pub key: Arc<str>,
    /// Canonical JSON of what qualifies the series.
    pub context: Option<Arc<str>>,
    /// Where on the axis.
    pub step: Step,
    /// When.
    pub time: Micros,
    /// The value.
    pub value: f64,
}

/// A file of a run that lies in another store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFile {
    /// Its name in the run, `/` for folders.
    pub path: String,
    /// Where it lies.
    pub source: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// The part of a source in which the id of a run is its own, where that is not everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The entry of `environment` that says so of a run that is here.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// A run of another store with all that belongs to it.
#[derive(Debug, Clone)]
pub struct ForeignRun {
    /// How it began; its id is kept.
    pub start: RunStart,
    /// Where its id is its own; everywhere, unless it is said.
    pub scope: Option<Scope>,
    /// Where it stands there.
    pub status: Status,
    /// When it ended; where the source does not say, it is taken for the time of its latest point.
    pub end_time: Option<Micros>,
    /// The error that ended it.
    pub error: Option<String>,
    /// Whether it is deleted there.
    pub deleted: bool,
    /// Whether the source says no times, so that those here are a guess: the ones of the first import stay.
    pub undated: bool,
    /// The context of points that a restart of the run made void. One that came along before that stays in its series.
    pub superseded: Option<Arc<str>>,
    /// Params.
    pub params: Vec<(String, ParamValue)>,
    /// Points of metrics.
    pub points: Vec<ForeignPoint>,
    /// Points that are not numbers.
    pub series: Vec<SeriesPoint>,
    /// Tags; `None` for a bare one.
    pub tags: Vec<(String, Option<String>)>,
    /// Tags that it had once and that were taken away there.
    pub removed_tags: Vec<String>,
    /// Features.
    pub features: Vec<Feature>,
    /// Data sets.
    pub data: Vec<DataVersion>,
    /// Ties to other runs.
    pub links: Vec<Link>,
    /// Comments, by id.
    pub comments: Vec<(String, Comment)>,
    /// Ids of comments that were taken away there.
    pub removed_comments: Vec<String>,
    /// Installed packages.
    pub packages: Vec<(String, String)>,
    /// Facts about where it ran, and whatever else is known of it.
    pub environment: Vec<(String, String)>,
    /// Rows of tables.
    pub tables: Vec<(String, RecordBatch)>,
    /// Files.
    pub files: Vec<ForeignFile>,
}

impl ForeignExperiment {
    /// The value of one of its tags.
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(k, _)| k == key).and_then(|(_, value)| value.as_deref())
    }
}

impl ForeignRun {
    /// A run of which only its beginning is known.
    pub fn new(run: RunId, experiment: impl Into<String>, start_time: Micros) -> Self {
        ForeignRun {
            start: RunStart::new(run, experiment.into(), start_time),
            scope: None,
            status: Status::Running,
            end_time: None,
            error: None,
            deleted: false,
            undated: false,
            superseded: None,
            params: Vec::new(),
            points: Vec::new(),
            series: Vec::new(),
            tags: Vec::new(),
            removed_tags: Vec::new(),
            features: Vec::new(),
            data: Vec::new(),
            links: Vec::new(),
            comments: Vec::new(),
            removed_comments: Vec::new(),
            packages: Vec::new(),
            environment: Vec::new(),
            tables: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> &RunId {
        &self.start.run
    }

    /// The runs that it names: itself, and those that it is tied to.
    pub(super) fn named_runs(&self) -> impl Iterator<Item = &RunId> {
        [self.id()].into_iter().chain(&self.start.parent).chain(self.links.iter().map(|link| &link.target))
    }

    /// Puts all of it at one time.
    pub(super) fn date(&mut self, time: Micros) {
        self.start.start_time = time;
        self.end_time = self.end_time.map(|_| time);
        self.points.iter_mut().for_each(|point| point.time = time);
        self.series.iter_mut().for_each(|point| point.time = time);
    }

    /// Takes out what this store cannot hold, and says why; an error is about the run as a whole.
    pub(super) fn check(&mut self) -> Result<Vec<String>, String> {
        check_experiment(&self.start.experiment).map_err(|e| e.to_string())?;
        let mut refused = Vec::new();
        fn sift<T>(list: &mut Vec<T>, refused: &mut Vec<String>, check: impl Fn(&T) -> crate::store::Result<()>) {
            list.retain(|item| match check(item) {
                Ok(()) => true,
                Err(e) => {
                    refused.push(e.to_string());
                    false
                }
            });
        }
        let out = &mut refused;
        sift(&mut self.params, out, |(key, _)| check_key("param", key));
        // A source may say two things, where nothing keeps it from that.
        let mut values: HashMap<&str, &ParamValue> = HashMap::new();
        let mut second = Vec::new();
        for (n, (key, value)) in self.params.iter().enumerate() {
            match values.entry(key) {
                Entry::Vacant(free) => drop(free.insert(value)),
                Entry::Occupied(first) if *first.get() == value => {}
                Entry::Occupied(first) => {
                    let (first, value) = (shown(first.get()), shown(value));
                    out.push(format!(
                        "param '{key}' has the values {first} and {value} at once; the first one was taken"
                    ));
                    second.push(n);
                }
            }
        }
        second.into_iter().rev().for_each(|n| drop(self.params.remove(n)));
        sift(&mut self.tags, out, |(key, _)| check_key("tag", key));
        sift(&mut self.series, out, |point| check_key("series", &point.key));
        sift(&mut self.features, out, |feature| check_key("feature", &feature.feature));
        sift(&mut self.data, out, |d| check_key("data set", &d.dataset).and(check_key("role", &d.role)));
        sift(&mut self.links, out, |link| check_key("link kind", &link.kind));
        sift(&mut self.packages, out, |(key, _)| check_key("package", key));
        sift(&mut self.environment, out, |(key, _)| check_key("environment entry", key));
        sift(&mut self.tables, out, |(name, rows)| check_table(name, rows).map(|_| ()));
        sift(&mut self.files, out, |file| check_artifact_path(&file.path));
        // Millions of points share a few keys.
        let mut last: Option<(Arc<str>, bool)> = None;
        self.points.retain(|point| {
            if let Some((key, sound)) = &last
                && Arc::ptr_eq(key, &point.key)
            {
                return *sound;
            }
            let sound = check_key("metric", &point.key).map_err(|e| out.push(e.to_string())).is_ok();
            last = Some((Arc::clone(&point.key), sound));
            sound
        });
        Ok(refused)
    }

    /// How much it holds.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        counts[Kind::Runs] = 1;
        counts[Kind::RunFacts] = 1;
        counts[Kind::Params] = self.params.len() as u64;
        counts[Kind::Points] = self.points.len() as u64;
        counts[Kind::Series] = self.series.len() as u64;
        counts[Kind::Tags] = self.tags.len() as u64;
        counts[Kind::Features] = self.features.len() as u64;
        counts[Kind::DataVersions] = self.data.len() as u64;
        counts[Kind::Links] = self.links.len() as u64;
        counts[Kind::Comments] = self.comments.len() as u64;
        counts[Kind::Packages] = self.packages.len() as u64;
        counts[Kind::Environment] = self.environment.len() as u64;
        counts[Kind::Rows] = self.tables.iter().map(|(_, rows)| rows.num_rows() as u64).sum();
        counts[Kind::Artifacts] = self.files.len() as u64;
        counts
    }

    /// When it ended, by its own word or by its latest sign of life; the same however often it is asked.
    pub(super) fn end(&self) -> Micros {
        let signs = self.points.iter().map(|p| p.time).chain(self.series.iter().map(|p| p.time));
        self.end_time.unwrap_or_else(|| signs.chain([self.start.start_time]).max().expect("there is a start"))
    }

    /// What it says of itself, as if it had been logged here. Points, tables and files are not part of it.
    pub(super) fn state(&self) -> RunState {
        let run = self.id();
        let mut state = RunState::new(run.clone());
        let mut sequence = 0;
        let mut apply = |record: Record| {
            sequence += 1;
            state.apply(Version { time: self.start.start_time, sequence, ..Version::ZERO }, record);
        };
        apply(Record::Start(self.start.clone()));
        apply(Record::Params { run: run.clone(), values: self.params.clone() });
        apply(Record::Tags { run: run.clone(), set: self.tags.clone(), remove: Vec::new() });
        apply(Record::Features { run: run.clone(), features: self.features.clone() });
        for data in &self.data {
            apply(Record::Data { run: run.clone(), data: data.clone() });
        }
        for link in &self.links {
            apply(Record::Link { run: run.clone(), link: link.clone() });
        }
        for (id, comment) in &self.comments {
            apply(Record::Comment { run: run.clone(), id: id.clone(), comment: comment.clone() });
        }
        apply(Record::Packages { run: run.clone(), values: self.packages.clone() });
        apply(Record::Environment { run: run.clone(), values: self.environment.clone() });
        apply(Record::Finish {
            run: run.clone(),
            status: self.status,
            end_time: self.end(),
            error: self.error.clone(),
        });
        state
    }
}
