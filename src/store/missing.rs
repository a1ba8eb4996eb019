//! What one store says of a run and another does not: the records that would bring it there.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::frame;
use crate::model::{Micros, Record, RunStart, RunState};
use crate::schema::{MetricRow, SeriesRow, shown_tags};

/// What becomes of a value that both say, differently: a tag, a name, the notes, an entry under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// The target keeps its own: it was edited there.
    StayAsTheyAre,
    /// The source goes on living, and its word counts. What only the target says stays in any case.
    FollowTheSource,
}

/// Records that bring what `state` says and `old` does not, points, tables, files, start and end left out.
///
/// A param is set once: one that has another value in `old` is in neither of the outcomes.
pub fn records(state: &RunState, old: &RunState, starts: bool, differences: Differences) -> Vec<Record> {
    let mut records = Vec::new();
    let id = || state.run().clone();
    let replaces = |old: Option<&str>, new: Option<&str>| match differences {
        Differences::StayAsTheyAre => old.is_none() && new.is_some(),
        Differences::FollowTheSource => new.is_some() && old != new,
    };
    // A start brings name and notes along.
    if !starts && replaces(old.name(), state.name()) {
        records.push(Record::Name { run: id(), name: state.name().map(str::to_string) });
    }
    if !starts && replaces(old.notes(), state.notes()) {
        records.push(Record::Notes { run: id(), notes: state.notes().map(str::to_string) });
    }
    let params = state.params().filter(|(key, _)| old.param(key).is_none());
    let params: Vec<_> = params.map(|(key, value)| (key.to_string(), value.clone())).collect();
    if !params.is_empty() {
        records.push(Record::Params { run: id(), values: params });
    }
    let set = differing(shown_tags(state), shown_tags(old), differences);
    if !set.is_empty() {
        records.push(Record::Tags { run: id(), set, remove: Vec::new() });
    }
    let comments = |s: &RunState| s.comments().map(|(id, c)| (id.to_string(), c.clone())).collect::<Vec<_>>();
    for (comment_id, comment) in differing(comments(state), comments(old), differences) {
        records.push(Record::Comment { run: id(), id: comment_id, comment });
    }
    let features = |s: &RunState| s.features().map(|f| (f.feature.clone(), f.clone())).collect::<Vec<_>>();
    let features = differing(features(state), features(old), differences);
    if !features.is_empty() {
        records.push(Record::Features { run: id(), features: features.into_iter().map(|(_, f)| f).collect() });
    }
    let data = |s: &RunState| s.data().map(|d| ((d.role.clone(), d.dataset.clone()), d.clone())).collect::<Vec<_>>();
    for (_, data) in differing(data(state), data(old), differences) {
        records.push(Record::Data { run: id(), data });
    }
    let pairs = |values: &mut dyn Iterator<Item = (&str, &str)>| {
        values.map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
    };
    let packages = differing(pairs(&mut state.packages()), pairs(&mut old.packages()), differences);
    if !packages.is_empty() {
        records.push(Record::Packages { run: id(), values: packages });
    }
    let facts = differing(pairs(&mut state.environment()), pairs(&mut old.environment()), differences);
    if !facts.is_empty() {
        records.push(Record::Environment { run: id(), values: facts });
    }
    let links = |s: &RunState| s.links().map(|l| ((l.target.clone(), l.kind.clone()), l.clone())).collect::<Vec<_>>();
    for (_, link) in differing(links(state), links(old), differences) {
        records.push(Record::Link { run: id(), link });
    }
    records
}

/// How a run begins, as it is known now.
pub fn start(state: &RunState, experiment: &str) -> RunStart {
    let known = state.start().cloned();
    let known = known.unwrap_or_else(|| RunStart::new(state.run().clone(), experiment, state.start_time()));
    RunStart {
        experiment: experiment.to_string(),
        name: state.name().map(str::to_string),
        start_time: state.start_time(),
        notes: state.notes().map(str::to_string),
        ..known
    }
}

/// Entries of `new` under keys that `old` lacks, or that say something else there where the source is followed.
pub fn differing<K: Ord, V: PartialEq>(
    new: impl IntoIterator<Item = (K, V)>,
    old: impl IntoIterator<Item = (K, V)>,
    differences: Differences,
) -> Vec<(K, V)> {
    let old: BTreeMap<K, V> = old.into_iter().collect();
    let is_missing = |(key, value): &(K, V)| match old.get(key) {
        None => true,
        Some(other) => differences == Differences::FollowTheSource && other != value,
    };
    new.into_iter().filter(is_missing).collect()
}

/// What makes two points of metrics the same.
pub type PointKey = (String, String, Option<String>, Option<i64>, Option<u64>, Micros, u64);

/// The identity of a point.
pub fn point_key(r: &MetricRow) -> PointKey {
    let (x, value) = (r.x.map(f64::to_bits), canonical_bits(r.value));
    (r.run_id.clone(), r.key.clone(), r.context.clone(), r.step, x, r.time, value)
}

/// Bits of a double, the same for every NaN: what wrote it may have another.
pub fn canonical_bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// What makes two points of series the same.
pub type SeriesKey = (String, String, Option<i64>, Option<u64>, Micros, String, String);

/// The identity of a point of a series.
pub fn series_key(r: &SeriesRow) -> SeriesKey {
    (r.run_id.clone(), r.key.clone(), r.step, r.x.map(f64::to_bits), r.time, r.kind.clone(), r.payload.clone())
}

/// Things that may be there several times.
pub struct Multiset<T>(HashMap<T, u64>);

// Derived `Default` would ask it of the things.
impl<T> Default for Multiset<T> {
    fn default() -> Self {
        Multiset(HashMap::new())
    }
}

impl<T: Eq + Hash> Multiset<T> {
    /// Adds one.
    pub fn add(&mut self, thing: T) {
        *self.0.entry(thing).or_default() += 1;
    }

    /// Takes one away; `false` when there is none left.
    pub fn take(&mut self, thing: &T) -> bool {
        match self.0.get_mut(thing) {
            Some(n) if *n > 0 => {
                *n -= 1;
                true
            }
            _ => false,
        }
    }
}

/// The rows of `mine` that `others` does not have as often; compared with the columns of both.
pub fn subtract(mine: &RecordBatch, others: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let fields = columns.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut known = Multiset::default();
    for row in converter.convert_columns(frame::conform(others, columns)?.columns())?.iter() {
        known.add(row.as_ref().to_vec());
    }
    let rows = converter.convert_columns(frame::conform(mine, columns)?.columns())?;
    let new: BooleanArray = rows.iter().map(|row| Some(!known.take(&row.as_ref().to_vec()))).collect();
    filter_record_batch(mine, &new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, Version};

    fn state(records: Vec<Record>) -> RunState {
        let mut state = RunState::new(RunId::parse("r").unwrap());
        for (i, record) in records.into_iter().enumerate() {
            state.apply(Version { sequence: i as u64, ..Version::ZERO }, record);
        }
        state
    }

    fn run(name: &str, notes: Option<&str>, tags: &[(&str, &str)]) -> RunState {
        let run = RunId::parse("r").unwrap();
        let start = RunStart {
            name: Some(name.into()),
            notes: notes.map(str::to_string),
            ..RunStart::new(run.clone(), "e", Micros(1))
        };
        let set = tags.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect();
        state(vec![Record::Start(start), Record::Tags { run, set, remove: Vec::new() }])
    }

    #[test]
    fn the_source_is_followed_only_in_what_it_says() {
        let there = run("old", Some("mine"), &[("stage", "prod"), ("own", "1")]);
        let source = run("new", None, &[("stage", "dev"), ("more", "2")]);
        let set = |records: &[Record]| match records.last() {
            Some(Record::Tags { set, .. }) => set.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let kept = records(&source, &there, false, Differences::StayAsTheyAre);
        assert_eq!((kept.len(), set(&kept)), (1, vec!["more".to_string()]));
        let followed = records(&source, &there, false, Differences::FollowTheSource);
        assert!(matches!(&followed[0], Record::Name { name: Some(name), .. } if name == "new"));
        assert_eq!((followed.len(), set(&followed)), (2, vec!["more".to_string(), "stage".to_string()]));
        assert_eq!(records(&there, &there, false, Differences::FollowTheSource), []);
    }

    #[test]
    fn any_nan_is_the_same_point() {
        let negative = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
        assert_eq!(canonical_bits(negative), canonical_bits(f64::NAN));
        assert_ne!(canonical_bits(0.0), canonical_bits(-0.0));
    }
}
