//! Copying runs into another store, through its write path, so that a copy is as safe as a log and may be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};

use super::error::{Result, StoreError};
use super::merge::{self, Merged};
use super::missing::{self, Differences, Multiset, point_key, series_key, subtract};
use super::snapshot::Snapshot;
use super::{Durability, Store, artifact, frame, layout, shown};
use crate::model::{
    ArtifactEntry, ExperimentEdit, ExperimentState, MetricPoints, Micros, Record, RunId, RunStart, RunState,
    SeriesKind, SeriesPoint, Status, Step, TableRows,
};
use crate::schema::{MetricRow, SeriesRow, Table};

/// What a copy added to its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyReport {
    /// Runs that were looked at.
    pub runs: u64,
    /// Of them, those that the target did not have.
    pub new_runs: u64,
    /// Points of metrics that were added.
    pub points: u64,
    /// Points of series that were added.
    pub series: u64,
    /// Rows of tables of runs that were added.
    pub rows: u64,
    /// Files that were copied.
    pub artifacts: u64,
    /// Their size in bytes.
    pub artifact_bytes: u64,
    /// Records that were logged for all this.
    pub records: u64,
}

/// Runs whose points are held in memory at once.
const GROUP: usize = 256;

impl Store {
    /// Copies runs with all that belongs to them into another store, ids kept; then flushes it.
    ///
    /// What the target holds already is left alone, so a copy may be repeated: only what is missing is added. A run that
    /// has not ended shows there as running while this process lives, then as crashed. The experiments' goals come along
    /// where the target has none.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`] (deleted runs count as such) and [`StoreError::ParamConflict`], both before anything
    /// is written; [`StoreError::Invalid`] for a run that the target has purged; [`StoreError::Damaged`] for a file
    /// whose content is not what was logged.
    pub async fn copy_runs(&self, runs: &[RunId], target: &Store) -> Result<CopyReport> {
        if self.id() == target.id() {
            return Err(StoreError::Invalid(format!("'{}' cannot be copied into itself", self.place())));
        }
        // Of two copies at once, each would add what the other is adding.
        let lock = target.io().lock(layout::COPY_LOCK, true).map_err(StoreError::io(layout::COPY_LOCK))?;
        let wanted: BTreeSet<RunId> = runs.iter().cloned().collect();
        // What is deleted in the target is there all the same: a copy brings it back, not a second time.
        let (source, there) = (self.snapshot()?, target.snapshot()?.with_deleted());
        let copy = Copy {
            from: self,
            to: target,
            merged: merge::merge(&source, &wanted, &BTreeSet::new()).await?,
            known: merge::merge(&there, &wanted, &BTreeSet::new()).await?,
            source,
            there,
            report: CopyReport::default(),
        };
        let report = copy.run(&wanted).await;
        drop(lock);
        let report = report?;
        target.flush()?;
        Ok(report)
    }
}

struct Copy<'a> {
    from: &'a Store,
    to: &'a Store,
    source: Snapshot,
    there: Snapshot,
    merged: Merged,
    known: Merged,
    report: CopyReport,
}

impl Copy<'_> {
    async fn run(mut self, wanted: &BTreeSet<RunId>) -> Result<CopyReport> {
        self.check(wanted).await?;
        let experiments: BTreeSet<String> =
            wanted.iter().map(|run| self.merged.runs[run].experiment_id().to_string()).collect();
        for id in experiments {
            self.experiment(&id)?;
        }
        let wanted: Vec<_> = wanted.iter().cloned().collect();
        for group in wanted.chunks(GROUP) {
            for run in group {
                self.state(run)?;
            }
            let group: BTreeSet<RunId> = group.iter().cloned().collect();
            self.points(&group).await?;
            self.series(&group).await?;
            for name in self.source.frames() {
                self.frame(&Table::Frame(name), &group).await?;
            }
            for run in &group {
                self.end(run)?;
            }
        }
        Ok(self.report)
    }

    fn log(&mut self, record: Record) -> Result<()> {
        self.report.records += 1;
        self.to.log(&record, Durability::Buffered).map(|_| ())
    }

    /// The run as the target has it.
    fn known(&self, run: &RunId) -> Option<&RunState> {
        let exists = self.there.live().states.contains_key(run) || self.known.runs[run].sealed.is_some();
        exists.then(|| &self.known.runs[run].state)
    }

    /// Finds everything that would stop the copy half-way.
    async fn check(&self, wanted: &BTreeSet<RunId>) -> Result<()> {
        let overlay = self.source.overlay().await?;
        let purged = self.there.cut().purged_runs(self.to.io())?;
        for run in wanted {
            let merged = &self.merged.runs[run];
            let exists = self.source.live().states.contains_key(run) || merged.sealed.is_some();
            let hidden = overlay.hidden_runs.contains(run.as_str())
                || overlay.hidden_experiments.contains(merged.experiment_id().as_str());
            if !exists || hidden {
                return Err(StoreError::RunNotFound { run: run.to_string() });
            }
            if purged.contains(run) {
                let place = self.to.place();
                return Err(StoreError::Invalid(format!(
                    "run '{run}' was removed from '{place}' for good and cannot come back under its id"
                )));
            }
            let known = self.known(run);
            for (key, value) in merged.state.params() {
                if let Some(other) = known.and_then(|known| known.param(key))
                    && other != value
                {
                    return Err(StoreError::ParamConflict {
                        run: run.clone(),
                        key: key.to_string(),
                        old: super::run::shown(other),
                        new: super::run::shown(value),
                    });
                }
            }
        }
        Ok(())
    }

    /// Facts about an experiment that the target does not know, and goals that it does not have.
    fn experiment(&mut self, id: &str) -> Result<()> {
        let Some(state) = self.merged.experiments.get(id).cloned() else { return Ok(()) };
        let name = state.name().to_string();
        let there = self.known.experiments.values().find(|e| e.name() == name).map(|e| e.id.clone());
        if there.is_none()
            && let Some(edit) = facts(&state)
        {
            self.log(Record::Experiment(edit))?;
        }
        let known: BTreeSet<String> = match &there {
            Some(id) => {
                let goals = self.known.goals.iter().filter(|g| g.experiment_id == id.as_str());
                goals.map(|g| g.state.goal.key.clone()).collect()
            }
            None => BTreeSet::new(),
        };
        let missing: Vec<_> = self
            .merged
            .goals
            .iter()
            .filter(|g| g.experiment_id == id && !known.contains(&g.state.goal.key))
            .map(|g| g.state.goal.clone())
            .collect();
        for goal in missing {
            self.log(Record::Goal(crate::model::MetricGoal { experiment: name.clone(), ..goal }))?;
        }
        Ok(())
    }

    /// Everything of a run that is not a point, a row of a table, or its end.
    fn state(&mut self, run: &RunId) -> Result<()> {
        self.report.runs += 1;
        self.report.new_runs += u64::from(self.known(run).is_none());
        for record in self.missing_records(run) {
            self.log(record)?;
        }
        for entry in self.missing_artifacts(run) {
            self.artifact(run, &entry)?;
        }
        Ok(())
    }

    fn missing_records(&self, run: &RunId) -> Vec<Record> {
        let state = &self.merged.runs[run].state;
        let empty = RunState::new(run.clone());
        let old = self.known(run).unwrap_or(&empty);
        let mut records = Vec::new();
        let taken_up_again = state.status() == Status::Running && old.status() != Status::Running;
        let starts = old.start().is_none() || taken_up_again;
        if starts {
            records.push(Record::Start(self.start(run)));
        }
        if old.is_deleted() {
            records.push(Record::Restore { run: run.clone() });
        }
        records.extend(missing::records(state, old, starts, Differences::StayAsTheyAre));
        records
    }

    fn start(&self, run: &RunId) -> RunStart {
        let merged = &self.merged.runs[run];
        let state = &merged.state;
        let experiment = match self.merged.experiments.get(merged.experiment_id().as_str()) {
            Some(experiment) => experiment.name(),
            None => merge::NAMELESS,
        };
        missing::start(state, experiment)
    }

    fn missing_artifacts(&self, run: &RunId) -> Vec<ArtifactEntry> {
        let (state, known) = (&self.merged.runs[run].state, self.known(run));
        let is_there = |entry: &ArtifactEntry| {
            let same =
                known.and_then(|known| known.artifacts().find(|o| o.path == entry.path && o.digest == entry.digest));
            // A file that was lost there is copied again.
            same.is_some_and(|o| self.to.io().stat(&o.uri).is_ok_and(|stat| stat.len == entry.size as u64))
        };
        state.artifacts().filter(|entry| !is_there(entry)).cloned().collect()
    }

    fn artifact(&mut self, run: &RunId, entry: &ArtifactEntry) -> Result<()> {
        // Looked at before it is copied: damaged content must not get the name that the true one should have.
        let digest = artifact::digest_of(self.from.io(), &entry.uri)?;
        if digest != entry.digest {
            let problem = format!("is damaged: digest {} logged, {digest} computed", entry.digest);
            return Err(StoreError::damaged(&entry.uri, problem));
        }
        let mut content = self.from.open_artifact(&entry.uri)?;
        let copied = artifact::put(self.to.io(), run, &entry.path, &mut content)?;
        self.report.artifacts += 1;
        self.report.artifact_bytes += copied.size as u64;
        let artifact = ArtifactEntry { mime: entry.mime.clone(), ..copied };
        self.log(Record::Artifact { run: run.clone(), artifact })
    }

    async fn points(&mut self, group: &BTreeSet<RunId>) -> Result<()> {
        let rows = shown::rows::<MetricRow>(&self.source, &Table::Metrics, Some(group)).await?;
        let mut known = Multiset::default();
        for r in shown::rows::<MetricRow>(&self.there, &Table::Metrics, Some(group)).await? {
            known.add(point_key(&r));
        }
        // Values that were logged together, or might have been, share a record.
        let mut together: BTreeMap<_, Vec<(String, f64)>> = BTreeMap::new();
        for row in rows {
            if known.take(&point_key(&row)) {
                continue;
            }
            let step = (row.step, row.x.map(f64::to_bits));
            let values = together.entry((row.run_id, row.context, step, row.time)).or_default();
            values.push((row.key, row.value));
        }
        for ((run, context, (step, x), time), values) in together {
            self.report.points += values.len() as u64;
            let step = Step::from_columns(step, x.map(f64::from_bits));
            self.log(Record::Metrics(MetricPoints { run: RunId::parse(&run)?, context, step, time, values }))?;
        }
        Ok(())
    }

    async fn series(&mut self, group: &BTreeSet<RunId>) -> Result<()> {
        let mut known = Multiset::default();
        for row in shown::rows::<SeriesRow>(&self.there, &Table::Series, Some(group)).await? {
            known.add(series_key(&row));
        }
        for row in shown::rows::<SeriesRow>(&self.source, &Table::Series, Some(group)).await? {
            if known.take(&series_key(&row)) {
                continue;
            }
            let kind = SeriesKind::parse(&row.kind).unwrap_or(SeriesKind::Text);
            self.report.series += 1;
            let step = Step::from_columns(row.step, row.x);
            let point = SeriesPoint { key: row.key, step, time: row.time, kind, payload: row.payload };
            self.log(Record::Series { run: RunId::parse(&row.run_id)?, point })?;
        }
        Ok(())
    }

    async fn frame(&mut self, table: &Table, group: &BTreeSet<RunId>) -> Result<()> {
        let Some(columns) = frame_columns(&self.source, table).await? else { return Ok(()) };
        let all = match frame_columns(&self.there, table).await? {
            Some(others) => frame::union(&columns, &others),
            None => Arc::clone(&columns),
        };
        for run in group {
            let one = BTreeSet::from([run.clone()]);
            let mine = read_frame(&self.source, table, &columns, &one).await?;
            if mine.num_rows() == 0 {
                continue;
            }
            let others = read_frame(&self.there, table, &all, &one).await?;
            let new = subtract(&mine, &others, &all).map_err(StoreError::arrow(table))?;
            if new.num_rows() == 0 {
                continue;
            }
            self.report.rows += new.num_rows() as u64;
            let ipc = frame::encode(&new).map_err(StoreError::arrow(table))?;
            let table = TableRows { name: table.name().to_string(), ipc };
            self.log(Record::Table { run: run.clone(), table })?;
        }
        Ok(())
    }

    fn end(&mut self, run: &RunId) -> Result<()> {
        let state = &self.merged.runs[run].state;
        let status = state.status();
        if matches!(status, Status::Running | Status::Crashed) {
            return Ok(());
        }
        let end = |s: &RunState| (s.status(), s.end_time(), s.error().map(str::to_string));
        if self.known(run).is_some_and(|old| end(old) == end(state)) {
            return Ok(());
        }
        let (status, end_time, error) = end(state);
        self.log(Record::Finish { run: run.clone(), status, end_time: end_time.unwrap_or_else(Micros::now), error })
    }
}

/// What there is to say of an experiment beyond its name.
pub(super) fn facts(state: &ExperimentState) -> Option<ExperimentEdit> {
    let set: Vec<_> = state.tags().map(|(key, value)| (key.to_string(), value.map(str::to_string))).collect();
    let repeat_keys = state.repeat_keys().map(<[String]>::to_vec);
    (!set.is_empty() || repeat_keys.is_some()).then(|| ExperimentEdit {
        experiment: state.name().to_string(),
        set,
        remove: Vec::new(),
        repeat_keys,
        deleted: None,
        rename: None,
    })
}

/// The logged columns of a frame, over all runs.
pub(super) async fn frame_columns(snapshot: &Snapshot, table: &Table) -> Result<Option<SchemaRef>> {
    let mut columns = snapshot.table(table).await?.map(|version| Arc::clone(&version.columns));
    for rows in snapshot.overlay().await?.batches.get(table).into_iter().flatten() {
        columns = Some(match columns {
            Some(columns) => frame::union(&columns, &rows.schema()),
            None => rows.schema(),
        });
    }
    let logged = |columns: SchemaRef| {
        let fields = columns.fields().iter().filter(|f| !frame::OWN_COLUMNS.contains(&f.name().as_str()));
        Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
    };
    Ok(columns.map(logged))
}

pub(super) async fn read_frame(
    snapshot: &Snapshot,
    table: &Table,
    columns: &SchemaRef,
    runs: &BTreeSet<RunId>,
) -> Result<RecordBatch> {
    let found = shown::batches(snapshot, table, columns, Some(runs)).await?;
    concat_batches(columns, &found).map_err(StoreError::arrow(table))
}
