//! What the records of a run add up to, in whatever order and from however many writers they come.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    ArtifactEntry, Comment, DataVersion, ExperimentEdit, ExperimentId, Feature, Link, MetricGoal, Micros, Month,
    ParamValue, Position, Record, RunId, RunStart, SeriesStats, Status, Version, WriterId,
};

/// A place that holds one value: the write with the greatest version stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot<T> {
    /// Who wrote it, and when.
    pub version: Version,
    /// The value.
    pub value: T,
}

impl<T> Slot<T> {
    fn put(slot: &mut Option<Slot<T>>, version: Version, value: T) {
        if slot.as_ref().is_none_or(|old| old.version <= version) {
            *slot = Some(Slot { version, value });
        }
    }
}

fn put<K: Ord, T>(map: &mut BTreeMap<K, Slot<T>>, key: K, version: Version, value: T) {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(Slot { version, value });
        }
        Entry::Occupied(mut entry) => {
            if entry.get().version <= version {
                entry.insert(Slot { version, value });
            }
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct End {
    status: Status,
    end_time: Micros,
    error: Option<String>,
}

/// A param: its first value stays; the last one set after it is kept, to be told of where it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ParamSlot {
    first: Slot<ParamValue>,
    // Rare, so apart: runs with 18,000 params are not.
    latest: Option<Box<Slot<ParamValue>>>,
}

/// A param that two writers set to different values.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamConflict<'a> {
    /// The param.
    pub key: &'a str,
    /// The value that stays, which was set first.
    pub kept: &'a ParamValue,
    /// The value that was set last.
    pub refused: &'a ParamValue,
}

/// Everything known of a run but for its points, text and tables, which only ever add up.
///
/// Records may be applied in any order and each at most once; the outcome is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    run: RunId,
    first_seen: Micros,
    last_seen: Micros,
    // Who wrote to it: the run is alive while one of them is.
    writers: BTreeSet<WriterId>,
    // Month and experiment of the first seal; they outlive anything that turns up later.
    filed: Option<(Month, ExperimentId)>,
    // The first start is the run's; the last one tells whether it was taken up again after it had ended.
    start: Option<Slot<RunStart>>,
    resumed: Option<Version>,
    name: Option<Slot<Option<String>>>,
    notes: Option<Slot<Option<String>>>,
    end: Option<Slot<End>>,
    deleted: Option<Slot<bool>>,
    params: BTreeMap<String, ParamSlot>,
    tags: BTreeMap<String, Slot<Option<Option<String>>>>,
    comments: BTreeMap<String, Slot<Option<Comment>>>,
    features: BTreeMap<String, Slot<Feature>>,
    data: BTreeMap<(String, String), Slot<DataVersion>>,
    packages: BTreeMap<String, Slot<String>>,
    environment: BTreeMap<String, Slot<String>>,
    links: BTreeMap<(RunId, String), Slot<Link>>,
    artifacts: BTreeMap<String, Slot<ArtifactEntry>>,
    metrics: BTreeMap<(String, Option<String>), SeriesStats>,
}

impl RunState {
    /// A run of which nothing is known yet.
    pub fn new(run: RunId) -> Self {
        RunState {
            run,
            first_seen: Micros(i64::MAX),
            last_seen: Micros(i64::MIN),
            writers: BTreeSet::new(),
            filed: None,
            start: None,
            resumed: None,
            name: None,
            notes: None,
            end: None,
            deleted: None,
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            comments: BTreeMap::new(),
            features: BTreeMap::new(),
            data: BTreeMap::new(),
            packages: BTreeMap::new(),
            environment: BTreeMap::new(),
            links: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            metrics: BTreeMap::new(),
        }
    }

    /// Notes that there is a record of this version.
    pub fn touch(&mut self, version: Version) {
        self.first_seen = self.first_seen.min(version.time);
        self.last_seen = self.last_seen.max(version.time);
        self.writers.insert(version.writer);
    }

    /// Applies a record of this run. Records of experiments are none of its business and ignored.
    pub fn apply(&mut self, version: Version, record: Record) {
        self.touch(version);
        match record {
            Record::Start(start) => {
                self.resumed = self.resumed.max(Some(version));
                // Whoever takes a run up again may name it anew; when and in which experiment it began stays.
                if start.name.is_some() {
                    Slot::put(&mut self.name, version, start.name.clone());
                }
                if start.notes.is_some() {
                    Slot::put(&mut self.notes, version, start.notes.clone());
                }
                if self.start.as_ref().is_none_or(|old| version < old.version) {
                    self.start = Some(Slot { version, value: start });
                }
            }
            Record::Attach { .. } => {}
            Record::Params { values, .. } => {
                for (key, value) in values {
                    self.put_param(key, version, value);
                }
            }
            Record::Metrics(points) => {
                for (key, value) in points.values {
                    let point = Position { step: points.step, time: points.time, value };
                    self.put_point(&key, points.context.as_deref(), point);
                }
            }
            Record::Tags { set, remove, .. } => {
                // Removed first: a record that names a key in both lists sets it.
                for key in remove {
                    put(&mut self.tags, key, version, None);
                }
                for (key, value) in set {
                    put(&mut self.tags, key, version, Some(value));
                }
            }
            Record::Name { name, .. } => Slot::put(&mut self.name, version, name),
            Record::Notes { notes, .. } => Slot::put(&mut self.notes, version, notes),
            Record::Comment { id, comment, .. } => put(&mut self.comments, id, version, Some(comment)),
            Record::RemoveComment { id, .. } => put(&mut self.comments, id, version, None),
            Record::Features { features, .. } => {
                for feature in features {
                    put(&mut self.features, feature.feature.clone(), version, feature);
                }
            }
            Record::Data { data, .. } => {
                put(&mut self.data, (data.role.clone(), data.dataset.clone()), version, data);
            }
            Record::Packages { values, .. } => {
                for (key, value) in values {
                    put(&mut self.packages, key, version, value);
                }
            }
            Record::Environment { values, .. } => {
                for (key, value) in values {
                    put(&mut self.environment, key, version, value);
                }
            }
            Record::Link { link, .. } => {
                put(&mut self.links, (link.target.clone(), link.kind.clone()), version, link);
            }
            Record::Artifact { artifact, .. } => {
                put(&mut self.artifacts, artifact.path.clone(), version, artifact);
            }
            Record::Finish { status, end_time, error, .. } => {
                Slot::put(&mut self.end, version, End { status, end_time, error });
            }
            Record::Delete { .. } => Slot::put(&mut self.deleted, version, true),
            Record::Restore { .. } => Slot::put(&mut self.deleted, version, false),
            Record::Series { .. }
            | Record::Table { .. }
            | Record::Goal(_)
            | Record::Experiment(_)
            | Record::Origin(_) => {}
        }
    }

    /// Adds one point of a series.
    pub fn put_point(&mut self, key: &str, context: Option<&str>, point: Position) {
        let series = (key.to_string(), context.map(str::to_string));
        match self.metrics.get_mut(&series) {
            Some(stats) => stats.add(point),
            None => {
                self.metrics.insert(series, SeriesStats::new(point));
            }
        }
    }

    /// Adds the statistics of points that are not added one by one.
    pub fn put_series(&mut self, key: &str, context: Option<&str>, stats: SeriesStats) {
        match self.metrics.entry((key.to_string(), context.map(str::to_string))) {
            Entry::Vacant(entry) => {
                entry.insert(stats);
            }
            Entry::Occupied(mut entry) => entry.get_mut().merge(&stats),
        }
    }

    fn put_param(&mut self, key: String, version: Version, value: ParamValue) {
        let new = Slot { version, value };
        let Some(slot) = self.params.get_mut(&key) else {
            self.params.insert(key, ParamSlot { first: new, latest: None });
            return;
        };
        let (first, other) =
            if new.version < slot.first.version { (new, slot.first.clone()) } else { (slot.first.clone(), new) };
        slot.first = first;
        if slot.latest.as_ref().is_none_or(|old| old.version <= other.version) {
            slot.latest = Some(Box::new(other));
        }
    }

    /// Adds all that another part of the same run's history holds.
    pub fn merge(&mut self, other: RunState) {
        fn slots<K: Ord, T>(into: &mut BTreeMap<K, Slot<T>>, from: BTreeMap<K, Slot<T>>) {
            for (key, slot) in from {
                put(into, key, slot.version, slot.value);
            }
        }
        fn slot<T>(into: &mut Option<Slot<T>>, from: Option<Slot<T>>) {
            if let Some(from) = from {
                Slot::put(into, from.version, from.value);
            }
        }
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.writers.extend(&other.writers);
        self.filed = self.filed.take().or(other.filed);
        if let Some(start) = other.start
            && self.start.as_ref().is_none_or(|old| start.version < old.version)
        {
            self.start = Some(start);
        }
        self.resumed = self.resumed.max(other.resumed);
        slot(&mut self.name, other.name);
        slot(&mut self.notes, other.notes);
        slot(&mut self.end, other.end);
        slot(&mut self.deleted, other.deleted);
        for (key, param) in other.params {
            self.put_param(key.clone(), param.first.version, param.first.value);
            if let Some(latest) = param.latest {
                self.put_param(key, latest.version, latest.value);
            }
        }
        slots(&mut self.tags, other.tags);
        slots(&mut self.comments, other.comments);
        slots(&mut self.features, other.features);
        slots(&mut self.data, other.data);
        slots(&mut self.packages, other.packages);
        slots(&mut self.environment, other.environment);
        slots(&mut self.links, other.links);
        slots(&mut self.artifacts, other.artifacts);
        for (series, stats) in other.metrics {
            match self.metrics.get_mut(&series) {
                Some(mine) => mine.merge(&stats),
                None => {
                    self.metrics.insert(series, stats);
                }
            }
        }
    }

    /// Its id.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The month that it is filed under, for life: that of its start, as it was known at its first seal.
    pub fn month(&self) -> Month {
        self.filed.as_ref().map_or_else(|| self.start_time().month(), |(month, _)| *month)
    }

    /// The experiment that it is filed under, for life; `None` before its first seal.
    pub fn experiment_id(&self) -> Option<&ExperimentId> {
        self.filed.as_ref().map(|(_, id)| id)
    }

    /// Settles month and experiment, at the first seal.
    pub fn file_under(&mut self, experiment: ExperimentId) {
        if self.filed.is_none() {
            self.filed = Some((self.start_time().month(), experiment));
        }
    }

    /// Takes month and experiment over from where its rows lie.
    pub fn file_under_stored(&mut self, month: Month, experiment: ExperimentId) {
        self.filed = Some((month, experiment));
    }

    /// The name of the experiment that it was started in, and when.
    pub fn started_in(&self) -> Option<(Version, &str)> {
        self.start.as_ref().map(|slot| (slot.version, slot.value.experiment.as_str()))
    }

    /// How it began; `None` when only later records of it are known.
    pub fn start(&self) -> Option<&RunStart> {
        self.start.as_ref().map(|slot| &slot.value)
    }

    /// When it began: as its start says, else its first record.
    pub fn start_time(&self) -> Micros {
        self.start().map_or(self.first_seen, |start| start.start_time)
    }

    /// Time of its latest record.
    pub fn last_seen(&self) -> Micros {
        self.last_seen
    }

    /// Who wrote to it.
    pub fn writers(&self) -> impl Iterator<Item = WriterId> {
        self.writers.iter().copied()
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        match &self.name {
            Some(slot) => slot.value.as_deref(),
            None => self.start().and_then(|start| start.name.as_deref()),
        }
    }

    /// Its notes.
    pub fn notes(&self) -> Option<&str> {
        match &self.notes {
            Some(slot) => slot.value.as_deref(),
            None => self.start().and_then(|start| start.notes.as_deref()),
        }
    }

    fn ended(&self) -> Option<&End> {
        let end = self.end.as_ref()?;
        (Some(end.version) > self.resumed).then_some(&end.value)
    }

    /// Its status by its own word: never `CRASHED`.
    pub fn status(&self) -> Status {
        self.ended().map_or(Status::Running, |end| end.status)
    }

    /// Whether somebody else's store said that it is running: nobody here knows of its writer, so its silence says nothing.
    pub fn is_running_elsewhere(&self) -> bool {
        self.ended().is_some_and(|end| end.status == Status::Running)
    }

    /// When it ended.
    pub fn end_time(&self) -> Option<Micros> {
        self.ended().filter(|end| end.status.is_final()).map(|end| end.end_time)
    }

    /// The error that ended it.
    pub fn error(&self) -> Option<&str> {
        self.ended().and_then(|end| end.error.as_deref())
    }

    /// Whether it is hidden.
    pub fn is_deleted(&self) -> bool {
        self.deleted.as_ref().is_some_and(|slot| slot.value)
    }

    /// Its params, by key.
    pub fn params(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.params.iter().map(|(key, slot)| (key.as_str(), &slot.first.value))
    }

    /// One param.
    pub fn param(&self, key: &str) -> Option<&ParamValue> {
        self.params.get(key).map(|slot| &slot.first.value)
    }

    /// Params that were set again, to another value, by a writer that could not know.
    pub fn param_conflicts(&self) -> impl Iterator<Item = ParamConflict<'_>> {
        self.params.iter().filter_map(|(key, slot)| {
            let latest = slot.latest.as_ref().filter(|latest| latest.value != slot.first.value)?;
            Some(ParamConflict { key, kept: &slot.first.value, refused: &latest.value })
        })
    }

    /// Its tags, by key; `None` for a bare tag.
    pub fn tags(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.tags.iter().filter_map(|(key, slot)| Some((key.as_str(), slot.value.as_ref()?.as_deref())))
    }

    /// Its comments, by id.
    pub fn comments(&self) -> impl Iterator<Item = (&str, &Comment)> {
        self.comments.iter().filter_map(|(id, slot)| Some((id.as_str(), slot.value.as_ref()?)))
    }

    /// Its features, by name.
    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.features.values().map(|slot| &slot.value)
    }

    /// Its data sets, by role and name.
    pub fn data(&self) -> impl Iterator<Item = &DataVersion> {
        self.data.values().map(|slot| &slot.value)
    }

    /// Its packages.
    pub fn packages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.packages.iter().map(|(key, slot)| (key.as_str(), slot.value.as_str()))
    }

    /// Its environment.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(key, slot)| (key.as_str(), slot.value.as_str()))
    }

    /// Its links, by target and kind.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values().map(|slot| &slot.value)
    }

    /// The artifact with this path.
    pub fn artifact(&self, path: &str) -> Option<&ArtifactEntry> {
        self.artifacts.get(path).map(|slot| &slot.value)
    }

    /// Its artifacts, by path.
    pub fn artifacts(&self) -> impl Iterator<Item = &ArtifactEntry> {
        self.artifacts.values().map(|slot| &slot.value)
    }

    /// What is known of its series, by key and context.
    pub fn metrics(&self) -> impl Iterator<Item = (&str, Option<&str>, &SeriesStats)> {
        self.metrics.iter().map(|((key, context), stats)| (key.as_str(), context.as_deref(), stats))
    }
}

/// Everything known of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentState {
    /// Its id, for life.
    pub id: ExperimentId,
    /// When it was first used.
    pub created: Micros,
    name: Slot<String>,
    tags: BTreeMap<String, Slot<Option<Option<String>>>>,
    repeat_keys: Option<Slot<Vec<String>>>,
    deleted: Option<Slot<bool>>,
}

impl ExperimentState {
    /// An experiment at its first use.
    pub fn new(id: ExperimentId, name: &str, created: Micros) -> Self {
        ExperimentState {
            id,
            created,
            name: Slot { version: Version::ZERO, value: name.to_string() },
            tags: BTreeMap::new(),
            repeat_keys: None,
            deleted: None,
        }
    }

    /// Applies an edit.
    pub fn apply(&mut self, version: Version, edit: ExperimentEdit) {
        for key in edit.remove {
            put(&mut self.tags, key, version, None);
        }
        for (key, value) in edit.set {
            put(&mut self.tags, key, version, Some(value));
        }
        if let Some(keys) = edit.repeat_keys {
            Slot::put(&mut self.repeat_keys, version, keys);
        }
        if let Some(deleted) = edit.deleted {
            Slot::put(&mut self.deleted, version, deleted);
        }
        if let Some(name) = edit.rename
            && self.name.version <= version
        {
            self.name = Slot { version, value: name };
        }
    }

    /// Shows it again, if it is deleted, since a run begins in it.
    pub fn restore_by_use(&mut self, version: Version) {
        if self.is_deleted() {
            Slot::put(&mut self.deleted, version, false);
        }
    }

    /// Its present name.
    pub fn name(&self) -> &str {
        &self.name.value
    }

    /// Its tags; `None` for a bare tag.
    pub fn tags(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.tags.iter().filter_map(|(key, slot)| Some((key.as_str(), slot.value.as_ref()?.as_deref())))
    }

    /// Whether it is hidden.
    pub fn is_deleted(&self) -> bool {
        self.deleted.as_ref().is_some_and(|slot| slot.value)
    }

    /// The keys that tell repeats of one config apart, where somebody has set them.
    pub fn repeat_keys(&self) -> Option<&[String]> {
        self.repeat_keys.as_ref().map(|slot| slot.value.as_slice())
    }

    /// Whether a param tells repeats of one config apart.
    pub fn is_repeat_key(&self, key: &str) -> bool {
        match &self.repeat_keys {
            Some(slot) => slot.value.iter().any(|k| k == key),
            None => RepeatKeys::USUAL.contains(&key),
        }
    }
}

/// The params that tell repeats of a config apart, in each experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepeatKeys(BTreeMap<String, Vec<String>>);

impl RepeatKeys {
    /// Those of an experiment that names none.
    pub const USUAL: [&str; 2] = ["seed", "fold"];

    /// What experiments name, by their ids.
    pub fn new(named: impl IntoIterator<Item = (String, Vec<String>)>) -> RepeatKeys {
        RepeatKeys(named.into_iter().collect())
    }

    /// Those of an experiment.
    pub fn of(&self, experiment_id: &str) -> Vec<&str> {
        match self.0.get(experiment_id) {
            Some(keys) => keys.iter().map(String::as_str).collect(),
            None => Self::USUAL.to_vec(),
        }
    }

    /// The experiments that name some themselves.
    pub fn named(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(id, keys)| (id.as_str(), keys.as_slice()))
    }
}

/// What a metric strives for in one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalState {
    /// Who declared it, and when.
    pub version: Version,
    /// What was declared.
    pub goal: MetricGoal,
}

#[cfg(test)]
mod tests;
