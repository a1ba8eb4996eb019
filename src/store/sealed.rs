//! Reading sealed rows back into run states: what a merge starts from.
//!
//! A run that has not ended carries its whole state in a hidden column. An ended one is put together from its rows, its
//! series from their points; its writes count as made when its row was written last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::checksum;
use super::delta::{DataFile, FilesTable, TableVersion};
use super::error::{Result, StoreError};
use super::layout;
use super::snapshot::Snapshot;
use crate::model::{
    ArtifactEntry, Comment, DataVersion, ExperimentId, Feature, Link, Month, ParamValue, Position, Record, RunId,
    RunStart, RunState, SeriesStats, Status, Step, Version, WriterId,
};
use crate::schema::wide::KeyCounts;
use crate::schema::{
    ArtifactRow, CommentRow, DataVersionRow, EnvironmentRow, FeatureRow, HIDDEN_STATE, LinkRow, MetricRow, PackageRow,
    ParamRow, Row, RunRow, Table, TagRow,
};

/// What the hidden column of `runs` holds.
#[derive(Debug, Serialize, Deserialize)]
enum Hidden {
    /// Everything, for a run that has not ended.
    Open(Box<RunState>),
    /// For an ended run: its latest write.
    Ended { last: Version },
}

/// The hidden column for a run.
pub fn hidden(state: &RunState, open: bool) -> Vec<u8> {
    let hidden = if open {
        Hidden::Open(Box::new(state.clone()))
    } else {
        let writer = state.writers().max().unwrap_or(WriterId(0));
        let last = Version { time: state.last_seen(), writer, sequence: u64::MAX };
        Hidden::Ended { last }
    };
    postcard::to_allocvec(&hidden).expect("plain data is postcard")
}

/// Who wrote to a run that has not ended; `None` when the hidden column is not that of one.
pub fn open_writers(hidden: &[u8]) -> Option<Vec<WriterId>> {
    match postcard::from_bytes(hidden) {
        Ok(Hidden::Open(state)) => Some(state.writers().collect()),
        _ => None,
    }
}

/// The states of those of these runs that are sealed.
pub async fn states(snapshot: &Snapshot, runs: &BTreeSet<RunId>) -> Result<HashMap<RunId, RunState>> {
    let mut states = HashMap::new();
    if runs.is_empty() {
        return Ok(states);
    }
    let Some(version) = snapshot.table(&Table::Runs).await? else { return Ok(states) };
    let schema = with_hidden(&version.columns);
    let mut ended: BTreeMap<RunId, EndedRun> = BTreeMap::new();
    // A row does not say its month, its file does.
    let months: BTreeSet<_> = version.files.iter().filter(|f| f.may_hold_any(runs)).map(|f| f.month).collect();
    let mut batches = Vec::new();
    for month in months {
        let files = version.files.iter().filter(|f| f.month == month);
        let found = rows_of(snapshot, &version, files, Arc::clone(&schema), runs, None).await?;
        batches.extend(found.into_iter().map(|batch| (month, batch)));
    }
    for (month, batch) in batches {
        let hidden = batch.column_by_name(HIDDEN_STATE).map(|c| c.as_binary::<i32>().clone());
        for (i, row) in RunRow::from_batch(&batch).map_err(StoreError::schema(Table::Runs))?.into_iter().enumerate() {
            let id = RunId::parse(&row.run_id)?;
            let bytes = hidden.as_ref().filter(|h| h.is_valid(i)).map(|h| h.value(i));
            match bytes.map(postcard::from_bytes::<Hidden>) {
                Some(Ok(Hidden::Open(state))) => {
                    states.insert(id, *state);
                }
                Some(Ok(Hidden::Ended { last })) => {
                    ended.insert(id, EndedRun { row, last, month });
                }
                // Another engine rewrote the file and dropped the column: the rows still say all that matters.
                _ => {
                    let time = row.end_time.unwrap_or(row.start_time);
                    let last = Version { time, writer: WriterId(0), sequence: u64::MAX };
                    ended.insert(id, EndedRun { row, last, month });
                }
            }
        }
    }
    if !ended.is_empty() {
        states.extend(rebuild(snapshot, ended).await?);
    }
    Ok(states)
}

fn with_hidden(columns: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<_> = columns.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(HIDDEN_STATE, DataType::Binary, true)));
    Arc::new(Schema::new(fields))
}

/// An ended run as it was found.
struct EndedRun {
    row: RunRow,
    last: Version,
    month: Option<Month>,
}

/// Puts ended runs together from their rows.
async fn rebuild(snapshot: &Snapshot, ended: BTreeMap<RunId, EndedRun>) -> Result<HashMap<RunId, RunState>> {
    let ids: BTreeSet<RunId> = ended.keys().cloned().collect();
    let experiments: BTreeSet<String> = ended.values().map(|run| run.row.experiment_id.clone()).collect();
    let mut states = HashMap::new();
    for (id, EndedRun { row, last, month }) in &ended {
        let mut state = RunState::new(id.clone());
        for record in records_of_row(id, row) {
            // The start is its first write: a run is taken up again only by a later one.
            let version = match record {
                Record::Start(_) => Version { time: row.start_time.min(last.time), ..Version::ZERO },
                _ => *last,
            };
            state.apply(version, record);
        }
        let month = month.unwrap_or_else(|| row.start_time.month());
        state.file_under_stored(month, ExperimentId::from_stored(&row.experiment_id));
        states.insert(id.clone(), (state, *last));
    }
    let apply = |run_id: &str, record: Record, states: &mut HashMap<RunId, (RunState, Version)>| {
        if let Some((state, last)) = RunId::parse(run_id).ok().and_then(|id| states.get_mut(&id)) {
            state.apply(*last, record);
        }
    };
    macro_rules! each {
        ($table:expr, $row:ty, |$id:ident, $r:ident| $record:expr) => {
            for $r in read::<$row>(snapshot, &$table, &ids, &experiments).await? {
                let run_id = $r.run_id.clone();
                if let Ok($id) = RunId::parse(&run_id) {
                    let record = $record;
                    apply(&run_id, record, &mut states);
                }
            }
        };
    }
    each!(Table::Params, ParamRow, |run, r| Record::Params {
        run,
        values: vec![(r.key, ParamValue::from_stored(&r.r#type, r.value.as_deref()))],
    });
    each!(Table::Tags, TagRow, |run, r| Record::Tags { run, set: vec![(r.key, r.value)], remove: Vec::new() });
    each!(Table::Packages, PackageRow, |run, r| Record::Packages { run, values: vec![(r.package, r.package_version)] });
    each!(Table::Environment, EnvironmentRow, |run, r| Record::Environment { run, values: vec![(r.key, r.value)] });
    each!(Table::Features, FeatureRow, |run, r| Record::Features {
        run,
        features: vec![Feature {
            feature: r.feature,
            position: r.position,
            dtype: r.dtype,
            used: r.used,
            importance: r.importance,
            importance_kind: r.importance_kind,
            feature_tags: r.feature_tags.unwrap_or_default(),
            description: r.description,
        }],
    });
    each!(Table::DataVersions, DataVersionRow, |run, r| Record::Data {
        run,
        data: DataVersion {
            dataset: r.dataset,
            role: r.role,
            digest: r.digest,
            data_version: r.data_version,
            source: r.source,
            n_rows: r.n_rows,
            n_columns: r.n_columns,
            bytes: r.bytes,
            data_schema: r.data_schema,
        },
    });
    each!(Table::Artifacts, ArtifactRow, |run, r| Record::Artifact {
        run,
        artifact: ArtifactEntry { path: r.path, uri: r.uri, size: r.size, digest: r.digest, mime: r.mime },
    });
    each!(Table::Comments, CommentRow, |run, r| Record::Comment {
        run,
        id: r.comment_id,
        comment: Comment { author: r.author, time: r.time, text: r.comment },
    });
    each!(Table::Links, LinkRow, |run, r| Record::Link {
        run,
        link: Link {
            target: RunId::parse(&r.target_run_id)?,
            kind: r.kind,
            position: r.position,
            weight: r.weight,
            step: r.step,
        },
    });
    points(snapshot, &ids, &experiments, |run, key, context, stats| {
        if let Some((state, last)) = states.get_mut(run) {
            state.touch(*last);
            state.put_series(key, context, stats);
        }
    })
    .await?;
    Ok(states.into_iter().map(|(id, (state, _))| (id, state)).collect())
}

fn records_of_row(run: &RunId, row: &RunRow) -> Vec<Record> {
    let run = run.clone();
    let mut records = vec![Record::Start(RunStart {
        run: run.clone(),
        experiment: String::new(),
        name: row.name.clone(),
        parent: row.parent_run_id.as_deref().and_then(|p| RunId::parse(p).ok()),
        start_time: row.start_time,
        user: row.user.clone(),
        host: row.host.clone(),
        command: row.command.clone(),
        git_commit: row.git_commit.clone(),
        git_branch: row.git_branch.clone(),
        git_dirty: row.git_dirty,
        git_remote: row.git_remote.clone(),
        notes: row.notes.clone(),
    })];
    let status = row.status.parse().unwrap_or(Status::Running);
    if status != Status::Running && status != Status::Crashed {
        let end_time = row.end_time.unwrap_or(row.start_time);
        records.push(Record::Finish { run: run.clone(), status, end_time, error: row.error.clone() });
    }
    if row.deleted {
        records.push(Record::Delete { run });
    }
    records
}

async fn read<R: Row>(
    snapshot: &Snapshot,
    table: &Table,
    runs: &BTreeSet<RunId>,
    experiments: &BTreeSet<String>,
) -> Result<Vec<R>> {
    let mut rows = Vec::new();
    let Some(version) = snapshot.table(table).await? else { return Ok(rows) };
    for batch in rows_of(snapshot, &version, &version.files, R::schema(), runs, Some(experiments)).await? {
        rows.extend(R::from_batch(&batch).map_err(StoreError::schema(table))?);
    }
    Ok(rows)
}

/// The statistics of the points of some runs, series by series and in parts.
///
/// Points are not kept: a single run may have millions.
async fn points(
    snapshot: &Snapshot,
    runs: &BTreeSet<RunId>,
    experiments: &BTreeSet<String>,
    mut each: impl FnMut(&str, &str, Option<&str>, SeriesStats),
) -> Result<()> {
    let Some(version) = snapshot.table(&Table::Metrics).await? else { return Ok(()) };
    let Some((scan, filter)) = scan_of(&version, &version.files, MetricRow::schema(), runs, Some(experiments)) else {
        return Ok(());
    };
    stream(snapshot, &Table::Metrics, scan, Some(filter), |rows| {
        // Rows of a series follow each other.
        let mut part: Option<(MetricRow, SeriesStats)> = None;
        for row in MetricRow::from_batch(&rows).map_err(StoreError::schema(Table::Metrics))? {
            let point = Position { step: Step::from_columns(row.step, row.x), time: row.time, value: row.value };
            match &mut part {
                Some((first, stats))
                    if first.run_id == row.run_id && first.key == row.key && first.context == row.context =>
                {
                    stats.add(point);
                }
                _ => {
                    if let Some((first, stats)) = part.replace((row, SeriesStats::new(point))) {
                        each(&first.run_id, &first.key, first.context.as_deref(), stats);
                    }
                }
            }
        }
        if let Some((first, stats)) = part {
            each(&first.run_id, &first.key, first.context.as_deref(), stats);
        }
        Ok(())
    })
    .await
}

/// The rows of some runs in files of a table.
pub async fn rows_of<'a>(
    snapshot: &Snapshot,
    version: &TableVersion,
    files: impl IntoIterator<Item = &'a DataFile>,
    schema: SchemaRef,
    runs: &BTreeSet<RunId>,
    experiments: Option<&BTreeSet<String>>,
) -> Result<Vec<RecordBatch>> {
    match scan_of(version, files, schema, runs, experiments) {
        Some((scan, filter)) => collect(snapshot, &version.table, scan, Some(filter)).await,
        None => Ok(Vec::new()),
    }
}

/// Hands out the rows of some runs in files of a table as they are read.
pub async fn stream_rows_of<'a>(
    snapshot: &Snapshot,
    version: &TableVersion,
    files: impl IntoIterator<Item = &'a DataFile>,
    schema: SchemaRef,
    runs: &BTreeSet<RunId>,
    each: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    match scan_of(version, files, schema, runs, None) {
        Some((scan, filter)) => stream(snapshot, &version.table, scan, Some(filter), each).await,
        None => Ok(()),
    }
}

/// The scan for rows of some runs; `None` when no file may hold one.
fn scan_of<'a>(
    version: &TableVersion,
    files: impl IntoIterator<Item = &'a DataFile>,
    schema: SchemaRef,
    runs: &BTreeSet<RunId>,
    experiments: Option<&BTreeSet<String>>,
) -> Option<(FilesTable, Expr)> {
    let files: Vec<_> = files.into_iter().filter(|f| f.may_hold_any(runs)).collect();
    if files.is_empty() {
        return None;
    }
    let ids = runs.iter().map(|run| lit(run.as_str())).collect();
    let mut filter = col("run_id").in_list(ids, false);
    if let Some(experiments) = experiments {
        let ids = experiments.iter().map(|id| lit(id.as_str())).collect();
        filter = filter.and(col("experiment_id").in_list(ids, false));
    }
    Some((FilesTable::new(version, files, schema), filter))
}

/// Runs a scan.
pub async fn collect(
    snapshot: &Snapshot,
    table: &Table,
    scan: FilesTable,
    filter: Option<Expr>,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    stream(snapshot, table, scan, filter, |batch| {
        batches.push(batch);
        Ok(())
    })
    .await?;
    Ok(batches)
}

/// Runs a scan and hands its rows out as they come.
async fn stream(
    snapshot: &Snapshot,
    table: &Table,
    scan: FilesTable,
    filter: Option<Expr>,
    mut each: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let failed = |source| StoreError::Scan { table: table.to_string(), source: Box::new(source) };
    let engine = snapshot.tables().engine();
    let begin = async {
        let source = provider_as_source(Arc::new(scan));
        let mut plan = LogicalPlanBuilder::scan(table.name(), source, None)?;
        if let Some(filter) = filter {
            plan = plan.filter(filter)?;
        }
        DataFrame::new(engine.clone(), plan.build()?).execute_stream().await
    };
    let mut rows = begin.await.map_err(failed)?;
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        each(batch)?;
    }
    Ok(())
}

/// Counts of the keys in the sealed files of `runs`.
pub async fn keys(snapshot: &Snapshot) -> Result<KeyCounts> {
    let mut counts = KeyCounts::default();
    if let Some(runs) = snapshot.table(&Table::Runs).await? {
        for file in runs.files.iter() {
            counts.merge(&file_keys(snapshot, &runs, file).await?);
        }
    }
    Ok(counts)
}

/// Counts of the keys in one file of `runs`, from the file beside it, else from the rows.
pub async fn file_keys(snapshot: &Snapshot, runs: &TableVersion, file: &DataFile) -> Result<KeyCounts> {
    let path = format!("{}/{}", layout::table(&runs.table), layout::key_counts(&file.path));
    if let Ok(bytes) = snapshot.tables().io.read(&path)
        && let Ok(json) = checksum::json::old_content(&bytes)
        && let Ok(counts) = serde_json::from_slice(json)
    {
        return Ok(counts);
    }
    let mut counts = KeyCounts::default();
    let ids = file_runs(snapshot, runs, file).await?;
    for state in states(snapshot, &ids).await?.values() {
        counts.add_run(state);
    }
    Ok(counts)
}

/// The runs in one file of `runs`.
pub async fn file_runs(snapshot: &Snapshot, runs: &TableVersion, file: &DataFile) -> Result<BTreeSet<RunId>> {
    let schema = Arc::new(Schema::new(vec![Field::new("run_id", DataType::Utf8, true)]));
    let scan = FilesTable::new(runs, [file], schema);
    let mut ids = BTreeSet::new();
    for batch in collect(snapshot, &runs.table, scan, None).await? {
        for id in batch.column(0).as_string::<i32>().iter().flatten() {
            ids.insert(RunId::parse(id)?);
        }
    }
    Ok(ids)
}
