//! Live records merged with what is sealed of the same runs: the one piece that reading and sealing share, so that both
//! give the same answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::cut::{Cut, GoalEntry, free_id, resolve_experiment};
use super::error::{Result, StoreError};
use super::live::Live;
use super::points::SortedPoints;
use super::sealed;
use super::snapshot::Snapshot;
use crate::model::{
    ExperimentId, ExperimentOrigin, ExperimentState, GoalState, Month, RepeatKeys, RunId, RunState, Status,
};
use crate::schema::wide::KeyCounts;
use crate::schema::{Row, RunContext, RunTables, SeriesRow, Table};

/// Experiment of a run whose beginning nobody has seen.
pub const NAMELESS: &str = "default";

/// A run after the merge.
#[derive(Debug)]
pub struct MergedRun {
    /// Its state; filed under month and experiment.
    pub state: RunState,
    /// Its state as it is sealed; `None` for a new run.
    pub sealed: Option<RunState>,
    /// The status to show.
    pub status: Status,
}

impl MergedRun {
    /// Its experiment.
    pub fn experiment_id(&self) -> &ExperimentId {
        self.state.experiment_id().expect("a merged run is filed")
    }
}

/// What a set of live records makes of the store.
#[derive(Debug)]
pub struct Merged {
    /// Runs that the records touch.
    pub runs: BTreeMap<RunId, MergedRun>,
    /// All experiments.
    pub experiments: BTreeMap<String, ExperimentState>,
    /// All goals.
    pub goals: Vec<GoalEntry>,
}

/// Merges live records, and the runs in `extra`, with the sealed state.
///
/// `alive` names the writers that are alive: a run that has not ended and none of whose writers is alive has crashed.
pub async fn merge(snapshot: &Snapshot, extra: &BTreeSet<RunId>, alive: &BTreeSet<String>) -> Result<Merged> {
    merge_states(snapshot, snapshot.live().states.clone(), extra, alive).await
}

/// Like [`merge`], for some runs alone, sealed or live.
pub async fn merge_runs(snapshot: &Snapshot, runs: &BTreeSet<RunId>) -> Result<Merged> {
    let live = &snapshot.live().states;
    let of_these = runs.iter().filter_map(|run| Some((run.clone(), live.get(run)?.clone()))).collect();
    merge_states(snapshot, of_these, runs, &BTreeSet::new()).await
}

/// Like [`merge`], with the states of the live runs taken out of the snapshot: those of a large batch are no small thing
/// to copy.
pub async fn merge_states(
    snapshot: &Snapshot,
    mut states: BTreeMap<RunId, RunState>,
    extra: &BTreeSet<RunId>,
    alive: &BTreeSet<String>,
) -> Result<Merged> {
    let (experiments, goals, started) = experiments(snapshot.cut(), snapshot.live(), &states);
    let touched: BTreeSet<RunId> = states.keys().chain(extra).cloned().collect();
    let mut sealed = sealed::states(snapshot, &touched).await?;
    let mut runs = BTreeMap::new();
    let nameless = resolve_experiment(&experiments, NAMELESS);
    for run in touched {
        let old = sealed.remove(&run);
        let mut state = match (old.clone(), states.remove(&run)) {
            (Some(mut state), Some(new)) => {
                state.merge(new);
                state
            }
            (old, new) => old.or(new).unwrap_or_else(|| RunState::new(run.clone())),
        };
        let experiment = started.get(&run).unwrap_or(&nameless).clone();
        state.file_under(experiment);
        let status = match state.status() {
            Status::Running if state.is_running_elsewhere() => Status::Running,
            Status::Running if !state.writers().any(|w| alive.contains(&w.to_string())) => Status::Crashed,
            status => status,
        };
        runs.insert(run, MergedRun { state, sealed: old, status });
    }
    let mut merged = Merged { runs, experiments, goals };
    if let Some(created) =
        merged.runs.values().filter(|r| *r.experiment_id() == nameless).map(|r| r.state.start_time()).min()
    {
        let fresh = || ExperimentState::new(nameless.clone(), NAMELESS, created);
        merged.experiments.entry(nameless.to_string()).or_insert_with(fresh);
    }
    Ok(merged)
}

/// Applies what the records say of experiments, in the order of writing: a name means whoever has it at that moment.
pub fn experiments(
    cut: &Cut,
    live: &Live,
    states: &BTreeMap<RunId, RunState>,
) -> (BTreeMap<String, ExperimentState>, Vec<GoalEntry>, BTreeMap<RunId, ExperimentId>) {
    enum Event<'a> {
        Start(&'a RunId, &'a str),
        Origin(&'a crate::model::ExperimentOrigin),
        Edit(&'a crate::model::ExperimentEdit),
        Goal(&'a crate::model::MetricGoal),
    }
    let mut events = Vec::new();
    for (run, state) in states {
        if let Some((version, name)) = state.started_in() {
            events.push((version, Event::Start(run, name)));
        }
    }
    events.extend(live.origins.iter().map(|(version, origin)| (*version, Event::Origin(origin))));
    events.extend(live.experiments.iter().map(|(version, edit)| (*version, Event::Edit(edit))));
    events.extend(live.goals.iter().map(|(version, goal)| (*version, Event::Goal(goal))));
    events.sort_by_key(|(version, _)| *version);

    let mut all = cut.experiments.clone();
    let mut goals: BTreeMap<(String, String), GoalState> =
        cut.goals.iter().map(|g| ((g.experiment_id.clone(), g.state.goal.key.clone()), g.state.clone())).collect();
    let mut started = BTreeMap::new();
    let mut names = Names::of(&all);
    for (version, event) in events {
        let name = match &event {
            Event::Start(_, name) => name,
            Event::Origin(origin) => origin.experiment.as_str(),
            Event::Edit(edit) => edit.experiment.as_str(),
            Event::Goal(goal) => goal.experiment.as_str(),
        };
        let id = match &event {
            Event::Origin(origin) => names.adopted(&all, origin),
            _ => names.resolve(&all, name),
        };
        let state = all.entry(id.to_string()).or_insert_with(|| {
            names.add(name, &id);
            ExperimentState::new(id.clone(), name, version.time)
        });
        match event {
            Event::Start(run, _) => {
                // Nobody deleted a run that did not exist yet.
                state.restore_by_use(version);
                started.insert(run.clone(), id);
            }
            Event::Origin(origin) => state.created = state.created.min(origin.created),
            Event::Edit(edit) => {
                state.apply(version, edit.clone());
                if edit.rename.is_some() {
                    names.remove(name, &id);
                    names.add(state.name(), &id);
                }
            }
            Event::Goal(goal) => {
                let place = (id.to_string(), goal.key.clone());
                if goals.get(&place).is_none_or(|old| old.version <= version) {
                    match goal.source == crate::model::MetricGoal::REMOVED {
                        true => goals.remove(&place),
                        false => goals.insert(place, GoalState { version, goal: goal.clone() }),
                    };
                }
            }
        }
    }
    let goals = goals.into_iter().map(|((experiment_id, _), state)| GoalEntry { experiment_id, state }).collect();
    (all, goals, started)
}

/// Who has a name at a moment: looked up for each record, where there may be thousands of experiments.
struct Names(HashMap<String, BTreeSet<ExperimentId>>);

impl Names {
    fn of(all: &BTreeMap<String, ExperimentState>) -> Names {
        let mut names = Names(HashMap::new());
        all.values().for_each(|e| names.add(e.name(), &e.id));
        names
    }

    fn add(&mut self, name: &str, id: &ExperimentId) {
        self.0.entry(name.to_string()).or_default().insert(id.clone());
    }

    fn remove(&mut self, name: &str, id: &ExperimentId) {
        if let Some(ids) = self.0.get_mut(name) {
            ids.remove(id);
        }
    }

    /// What [`resolve_experiment`] says, without a look at all of them.
    fn resolve(&self, all: &BTreeMap<String, ExperimentState>, name: &str) -> ExperimentId {
        let known = self.0.get(name).and_then(BTreeSet::first);
        known.cloned().unwrap_or_else(|| free_id(all, name))
    }

    /// The id of an experiment that comes from another store: its own one, unless the name or the id is in use here.
    fn adopted(&self, all: &BTreeMap<String, ExperimentState>, origin: &ExperimentOrigin) -> ExperimentId {
        let is_taken = self.0.get(&origin.experiment).is_some_and(|ids| !ids.is_empty());
        match &origin.id {
            Some(id) if !all.contains_key(id.as_str()) && !is_taken => id.clone(),
            _ => self.resolve(all, &origin.experiment),
        }
    }
}

/// Adds the rows of a run to `tables`: those of the tables that `wanted` names, and of `runs`.
pub fn push_rows(
    tables: &mut RunTables,
    run: &MergedRun,
    experiments: &BTreeMap<String, ExperimentState>,
    hidden: Vec<u8>,
    wanted: impl Fn(&Table) -> bool,
) {
    let experiment = experiments.get(run.experiment_id().as_str());
    let is_repeat_key = |key: &str| match experiment {
        Some(experiment) => experiment.is_repeat_key(key),
        None => RepeatKeys::USUAL.contains(&key),
    };
    let context =
        RunContext { experiment_id: run.experiment_id().as_str(), status: run.status, is_repeat_key: &is_repeat_key };
    tables.push(&run.state, &context, hidden, wanted);
}

/// The live rows that stand beside the sealed ones, and which sealed rows they stand for.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Rows by table.
    pub batches: BTreeMap<Table, Vec<RecordBatch>>,
    /// Runs whose sealed rows of run state do not count: `batches` holds them anew.
    pub replaced: BTreeSet<RunId>,
    /// What these rows change about the counts of keys in the sealed files; numbers may be negative.
    pub keys: KeyCounts,
    /// Runs that SQL does not show.
    pub hidden_runs: BTreeSet<String>,
    /// Ids of experiments that SQL does not show.
    pub hidden_experiments: BTreeSet<String>,
    /// All experiments, by id.
    pub experiments: BTreeMap<String, ExperimentState>,
    /// All goals.
    pub goals: Vec<GoalEntry>,
}

/// Makes the overlay of a snapshot.
pub async fn overlay(
    snapshot: &Snapshot,
    extra: &BTreeSet<RunId>,
    alive: &BTreeSet<String>,
    show_deleted: bool,
) -> Result<Overlay> {
    let cut = snapshot.cut();
    let mut hidden_runs: BTreeSet<String> = cut.hidden_runs.iter().cloned().collect();
    let mut keys = KeyCounts::default();
    let mut batches = BTreeMap::new();
    let mut replaced = BTreeSet::new();
    let merged = merge(snapshot, extra, alive).await?;
    let mut tables = RunTables::default();
    for (id, run) in &merged.runs {
        if let Some(old) = &run.sealed {
            keys.remove_run(old);
            replaced.insert(id.clone());
        }
        keys.add_run(&run.state);
        match run.state.is_deleted() {
            true => hidden_runs.insert(id.to_string()),
            false => hidden_runs.remove(id.as_str()),
        };
        if show_deleted || !run.state.is_deleted() {
            push_rows(&mut tables, run, &merged.experiments, Vec::new(), |_| true);
        }
    }
    for (table, batch) in tables.finish().0 {
        batches.insert(table, vec![batch]);
    }
    let metrics: Vec<_> = points(snapshot.live(), &merged).values().map(SortedPoints::to_batch).collect();
    if !metrics.is_empty() {
        batches.insert(Table::Metrics, metrics);
    }
    for (table, rows) in appended(snapshot.live(), &merged)? {
        batches.insert(table, rows.into_values().flatten().collect());
    }
    let mut hidden_experiments: BTreeSet<String> =
        merged.experiments.values().filter(|e| e.is_deleted()).map(|e| e.id.to_string()).collect();
    if show_deleted {
        hidden_runs.clear();
        hidden_experiments.clear();
    }
    Ok(Overlay {
        batches,
        replaced,
        keys,
        hidden_runs,
        hidden_experiments,
        experiments: merged.experiments,
        goals: merged.goals,
    })
}

/// The live points by month, sorted.
pub fn points<'a>(live: &'a Live, merged: &'a Merged) -> BTreeMap<Month, SortedPoints<'a>> {
    live.points.sorted(&live.runs, |run| {
        let run = merged.runs.get(&live.runs[run as usize])?;
        Some((run.state.month(), run.experiment_id().as_str()))
    })
}

/// The rows of the other tables that only grow, by table and month.
pub fn appended(live: &Live, merged: &Merged) -> Result<BTreeMap<Table, BTreeMap<Month, Vec<RecordBatch>>>> {
    let mut tables: BTreeMap<Table, BTreeMap<_, Vec<RecordBatch>>> = BTreeMap::new();
    let filed = |run: &RunId| merged.runs.get(run).map(|r| (r.state.month(), r.experiment_id().as_str()));

    let mut series: BTreeMap<_, Vec<SeriesRow>> = BTreeMap::new();
    for (run, point) in &live.series {
        let Some((month, experiment)) = filed(run) else { continue };
        series.entry(month).or_default().push(SeriesRow {
            run_id: run.to_string(),
            experiment_id: experiment.to_string(),
            key: point.key.clone(),
            step: point.step.whole(),
            x: point.step.fraction(),
            time: point.time,
            kind: point.kind.as_str().to_string(),
            payload: point.payload.clone(),
        });
    }
    for (month, rows) in series {
        tables.entry(Table::Series).or_default().insert(month, vec![SeriesRow::to_batch(rows)]);
    }

    for (run, rows) in &live.frames {
        let Some((month, experiment)) = filed(run) else { continue };
        let table = Table::Frame(rows.name.clone());
        let batch = super::frame::decode(run.as_str(), experiment, &rows.ipc).map_err(StoreError::arrow(&table))?;
        tables.entry(table).or_default().entry(month).or_default().push(batch);
    }
    Ok(tables)
}
