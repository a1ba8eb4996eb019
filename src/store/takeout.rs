//! Whole runs given out as the records that would bring them about, part by part: what an export of runs reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::copy::{facts, frame_columns};
use super::error::StoreError;
use super::merge::{self, MergedRun};
use super::missing::{self, Differences};
use super::snapshot::Snapshot;
use super::{AsOf, Store, shown};
use crate::model::{
    ExperimentEdit, ExperimentId, ExperimentOrigin, ExperimentState, MetricGoal, MetricPoints, Micros, Record, RunId,
    RunState, SeriesKind, SeriesPoint, Status, Step,
};
use crate::schema::{MetricRow, Row, SeriesRow, Table};

/// A part of what is taken out. Logged again in this order, the parts make the same rows.
#[derive(Debug)]
pub enum Part<'a> {
    /// An experiment, before its first run.
    Experiment(ExperimentOrigin, ExperimentEdit),
    /// What a metric of an experiment strives for, or anything about a run.
    Record(Record),
    /// Rows of a table that a run logged.
    Rows(&'a RunId, &'a str, RecordBatch),
}

/// Runs whose states are in memory at once.
const GROUP: usize = 256;
/// Points of metrics that are in memory at once.
const POINTS: usize = 1 << 17;
/// Rows of a logged table that are one part.
const ROWS: usize = 4096;

impl Store {
    /// Gives out runs with all that belongs to them, in the order in which they are named. Artifacts come as records; their content is
    /// for the reader to copy. `whole` adds the experiments that none of the runs is in; `as_of` takes the sealed state of
    /// that time.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`]; deleted runs count as such. [`StoreError::BeforeHistory`] when the store remembers
    /// nothing as old as `as_of`.
    pub async fn take_out<E: From<StoreError>>(
        &self,
        runs: &[RunId],
        whole: bool,
        as_of: Option<AsOf>,
        mut each: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let snapshot = as_of.map_or_else(|| self.snapshot(), |as_of| self.snapshot_at(as_of))?;
        let mut experiments = Experiments::new(&snapshot).await?;
        if whole {
            for id in experiments.ids() {
                experiments.give(&id, &mut each)?;
            }
        }
        let mut seen = BTreeSet::new();
        let runs: Vec<&RunId> = runs.iter().filter(|run| seen.insert(*run)).collect();
        drop(seen);
        for group in runs.chunks(GROUP) {
            let ids: BTreeSet<RunId> = group.iter().map(|run| (*run).clone()).collect();
            let merged = merge::merge_runs(&snapshot, &ids).await?;
            for run in group {
                let found = &merged.runs[*run];
                let experiment = experiments.of(found);
                experiments.check(&snapshot, found, &experiment)?;
                experiments.give(experiment.as_str(), &mut each)?;
                for record in beginning(&found.state, experiments.name(&experiment)) {
                    each(Part::Record(record))?;
                }
            }
            points(&snapshot, &ids, &mut each).await?;
            series(&snapshot, &ids, &mut each).await?;
            for name in snapshot.frames() {
                rows(&snapshot, &Table::Frame(name), &ids, &mut each).await?;
            }
            for run in group {
                if let Some(end) = end(&merged.runs[*run].state) {
                    each(Part::Record(end))?;
                }
            }
        }
        Ok(())
    }
}

/// The experiments of a store, and which of them were given out.
struct Experiments<'a> {
    states: &'a BTreeMap<String, ExperimentState>,
    goals: BTreeMap<&'a str, Vec<&'a MetricGoal>>,
    /// Experiments of the live runs.
    started: BTreeMap<RunId, ExperimentId>,
    hidden: &'a BTreeSet<String>,
    hidden_runs: &'a BTreeSet<String>,
    given: BTreeSet<String>,
}

impl<'a> Experiments<'a> {
    async fn new(snapshot: &'a Snapshot) -> Result<Experiments<'a>, StoreError> {
        let overlay = snapshot.overlay().await?;
        let mut goals: BTreeMap<&str, Vec<&MetricGoal>> = BTreeMap::new();
        for entry in &overlay.goals {
            goals.entry(&entry.experiment_id).or_default().push(&entry.state.goal);
        }
        let live = snapshot.live();
        let (_, _, started) = merge::experiments(snapshot.cut(), live, &live.states);
        Ok(Experiments {
            states: &overlay.experiments,
            goals,
            started,
            hidden: &overlay.hidden_experiments,
            hidden_runs: &overlay.hidden_runs,
            given: BTreeSet::new(),
        })
    }

    /// All that are shown, oldest first.
    fn ids(&self) -> Vec<String> {
        let mut shown: Vec<_> = self.states.values().filter(|e| !self.hidden.contains(e.id.as_str())).collect();
        shown.sort_by_key(|e| e.created);
        shown.into_iter().map(|e| e.id.to_string()).collect()
    }

    /// The experiment of a run. What is sealed stays; of live runs alone, a part of them does not tell which of two
    /// experiments that had one name it is.
    fn of(&self, run: &MergedRun) -> ExperimentId {
        let id = match &run.sealed {
            Some(_) => run.experiment_id(),
            None => self.started.get(run.state.run()).unwrap_or_else(|| run.experiment_id()),
        };
        id.clone()
    }

    fn name(&self, id: &ExperimentId) -> &str {
        self.states.get(id.as_str()).map_or(merge::NAMELESS, ExperimentState::name)
    }

    fn check(&self, snapshot: &Snapshot, run: &MergedRun, experiment: &ExperimentId) -> Result<(), StoreError> {
        let id = run.state.run();
        let exists = run.sealed.is_some() || snapshot.live().states.contains_key(id);
        if !exists || self.hidden_runs.contains(id.as_str()) || self.hidden.contains(experiment.as_str()) {
            return Err(StoreError::RunNotFound { run: id.to_string() });
        }
        Ok(())
    }

    /// Gives out an experiment and its goals, once.
    fn give<E>(&mut self, id: &str, each: &mut impl FnMut(Part<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(state) = self.states.get(id).filter(|_| self.given.insert(id.to_string())) else { return Ok(()) };
        let experiment = state.name().to_string();
        let origin =
            ExperimentOrigin { experiment: experiment.clone(), id: Some(state.id.clone()), created: state.created };
        let none = ExperimentEdit {
            experiment: experiment.clone(),
            set: Vec::new(),
            remove: Vec::new(),
            repeat_keys: None,
            deleted: None,
            rename: None,
        };
        each(Part::Experiment(origin, facts(state).unwrap_or(none)))?;
        for goal in self.goals.get(id).into_iter().flatten() {
            // The experiment may have had another name when the goal was declared.
            each(Part::Record(Record::Goal(MetricGoal { experiment: experiment.clone(), ..(*goal).clone() })))?;
        }
        Ok(())
    }
}

/// Everything of a run that is not a point, a row of a table, or its end.
fn beginning(state: &RunState, experiment: &str) -> Vec<Record> {
    let run = state.run();
    let mut records = vec![Record::Start(missing::start(state, experiment))];
    records.extend(missing::records(state, &RunState::new(run.clone()), true, Differences::StayAsTheyAre));
    let artifacts = state.artifacts().map(|entry| Record::Artifact { run: run.clone(), artifact: entry.clone() });
    records.extend(artifacts);
    records
}

/// How a run ended; `None` when it has not, and then nobody will see it alive elsewhere: it has crashed there.
fn end(state: &RunState) -> Option<Record> {
    let status = state.status();
    if matches!(status, Status::Running | Status::Crashed) && !state.is_running_elsewhere() {
        return None;
    }
    let end_time = state.end_time().unwrap_or_else(|| state.start_time());
    Some(Record::Finish { run: state.run().clone(), status, end_time, error: state.error().map(str::to_string) })
}

/// What values have in common that were logged together, or might have been: run, context, step, x and time.
type Together = (String, Option<String>, Option<i64>, Option<u64>, Micros);

async fn points<E: From<StoreError>>(
    snapshot: &Snapshot,
    runs: &BTreeSet<RunId>,
    each: &mut impl FnMut(Part<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut held: BTreeMap<Together, Vec<(String, f64)>> = BTreeMap::new();
    let mut n = 0;
    let mut stopped = None;
    let mut give = |held: &mut BTreeMap<Together, Vec<(String, f64)>>| -> Result<(), StoreError> {
        for ((run, context, step, x, time), values) in std::mem::take(held) {
            let step = Step::from_columns(step, x.map(f64::from_bits));
            let points = MetricPoints { run: RunId::parse(&run)?, context, step, time, values };
            passed(each(Part::Record(Record::Metrics(points))), &mut stopped)?;
        }
        Ok(())
    };
    let schema = MetricRow::schema();
    let read = shown::stream(snapshot, &Table::Metrics, &schema, runs, |batch| {
        for row in MetricRow::from_batch(&batch).map_err(StoreError::schema(Table::Metrics))? {
            let place = (row.run_id, row.context, row.step, row.x.map(f64::to_bits), row.time);
            held.entry(place).or_default().push((row.key, row.value));
            n += 1;
            if n == POINTS {
                n = 0;
                give(&mut held)?;
            }
        }
        Ok(())
    });
    let read = match read.await {
        Ok(()) => give(&mut held),
        failed => failed,
    };
    ended(read, stopped)
}

async fn series<E: From<StoreError>>(
    snapshot: &Snapshot,
    runs: &BTreeSet<RunId>,
    each: &mut impl FnMut(Part<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut stopped = None;
    let schema = SeriesRow::schema();
    let read = shown::stream(snapshot, &Table::Series, &schema, runs, |batch| {
        for row in SeriesRow::from_batch(&batch).map_err(StoreError::schema(Table::Series))? {
            let kind = SeriesKind::parse(&row.kind).unwrap_or(SeriesKind::Text);
            let step = Step::from_columns(row.step, row.x);
            let point = SeriesPoint { key: row.key, step, time: row.time, kind, payload: row.payload };
            let record = Record::Series { run: RunId::parse(&row.run_id)?, point };
            passed(each(Part::Record(record)), &mut stopped)?;
        }
        Ok(())
    });
    let read = read.await;
    ended(read, stopped)
}

async fn rows<E: From<StoreError>>(
    snapshot: &Snapshot,
    table: &Table,
    runs: &BTreeSet<RunId>,
    each: &mut impl FnMut(Part<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let Some(logged) = frame_columns(snapshot, table).await? else { return Ok(()) };
    let mut fields = vec![Arc::new(Field::new("run_id", DataType::Utf8, true))];
    fields.extend(logged.fields().iter().cloned());
    let mut stopped = None;
    let schema = Arc::new(Schema::new(fields));
    let read = shown::stream(snapshot, table, &schema, runs, |batch| {
        let ids = batch.column(0).as_string::<i32>();
        let logged: Vec<usize> = (1..batch.num_columns()).collect();
        let logged = batch.project(&logged).map_err(StoreError::arrow(table))?;
        let mut from = 0;
        while from < ids.len() {
            // Rows of a run follow each other.
            let same = (from..ids.len()).take(ROWS).take_while(|&i| ids.value(i) == ids.value(from)).count();
            let run = RunId::parse(ids.value(from))?;
            passed(each(Part::Rows(&run, table.name(), logged.slice(from, same))), &mut stopped)?;
            from += same;
        }
        Ok(())
    });
    let read = read.await;
    ended(read, stopped)
}

/// Stops a scan when the taker fails: its error is kept, and another one in its place ends the scan.
fn passed<E>(taken: Result<(), E>, stopped: &mut Option<E>) -> Result<(), StoreError> {
    taken.map_err(|e| {
        *stopped = Some(e);
        StoreError::Invalid("the taker has failed".to_string())
    })
}

fn ended<E: From<StoreError>>(read: Result<(), StoreError>, stopped: Option<E>) -> Result<(), E> {
    match (read, stopped) {
        (Err(_), Some(e)) => Err(e),
        (read, _) => Ok(read?),
    }
}
