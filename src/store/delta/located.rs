//! Scans that say where each row lies, and scans of just the rows at such places.
//!
//! A question for the best ten of a million runs decides by few columns; with these a plan can read the others for ten rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef, UInt64Type};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::datasource::table_schema::TableSchemaBuilder;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::scan::{ADDRESS, LATE_PAYS};
use crate::schema::Table;
use crate::store::layout;

const PART: &str = "_part";
const ROW: &str = "_row";

/// Places of rows: by the number of a part those of its rows.
pub type RowPlaces = BTreeMap<u64, BTreeSet<i64>>;

/// A scan with the places of its rows.
pub struct Located {
    /// Its last two columns say where a row lies: the number of its file, or of its partition in memory, as `BIGINT
    /// UNSIGNED`, and its own number in there, as `BIGINT`.
    pub plan: Arc<dyn ExecutionPlan>,
    /// Whether it is one of so many rows that reading few of them pays.
    pub is_large: bool,
}

/// The scan with the place of each row behind its own columns; parts are numbered from `next` on. `None` where this is no scan
/// of rows in memory or of a large table `runs`.
pub fn located(plan: &Arc<dyn ExecutionPlan>, next: &mut u64) -> Result<Option<Located>> {
    let located = |plan, is_large| Located { plan, is_large };
    if let Some(source) = in_memory(plan) {
        return Ok(rows_in_memory(source, next)?.map(|plan| located(plan, false)));
    }
    let Some((config, source)) = in_files(plan) else { return Ok(None) };
    Ok(rows_in_files(config, source, next)?.map(|plan| located(plan, true)))
}

/// A scan with places that reads these rows alone; `None` where the plan is no such scan.
pub fn only(plan: &Arc<dyn ExecutionPlan>, rows: &RowPlaces, threads: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(source) = in_memory(plan).filter(|source| tells_places(&source.original_schema())) {
        let chosen = source.partitions().iter().flatten().map(|batch| chosen(batch, rows));
        let chosen = [chosen.collect::<Result<Vec<_>>>()?];
        let projection = source.projection().clone();
        return Ok(Some(MemorySourceConfig::try_new_exec(&chosen, source.original_schema(), projection)?));
    }
    match in_files(plan) {
        Some((config, source)) if tells_places(source.table_schema().table_schema()) => {
            Ok(Some(rows_of_files(plan, config, rows, threads)))
        }
        _ => Ok(None),
    }
}

fn in_files(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    let (config, source) = plan.downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()?;
    (config.object_store_url.as_str() == ADDRESS).then_some((config, source))
}

fn in_memory(plan: &Arc<dyn ExecutionPlan>) -> Option<&MemorySourceConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<MemorySourceConfig>()
}

fn places() -> [FieldRef; 2] {
    let row = Field::new(ROW, DataType::Int64, false).with_extension_type(RowNumber);
    [Arc::new(Field::new(PART, DataType::UInt64, false)), Arc::new(row)]
}

fn tells_places(schema: &Schema) -> bool {
    schema.fields().ends_with(&places())
}

fn rows_in_files(
    config: &FileScanConfig,
    source: &ParquetSource,
    next: &mut u64,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let of_runs = format!("{}/", layout::table(&Table::Runs));
    let mut files = config.file_groups.iter().flat_map(|group| group.files());
    let rows = config.statistics().num_rows.get_value().copied().unwrap_or(0);
    if rows < LATE_PAYS
        || config.limit.is_some()
        || source.filter().is_some()
        || files.any(|file| !file.path().as_ref().starts_with(&of_runs) || rows_of(file) == 0)
    {
        return Ok(None);
    }
    let [part, row] = places();
    let table = source.table_schema();
    let columns = table.file_schema().fields().len();
    let schema = TableSchemaBuilder::new(Arc::clone(table.file_schema()))
        .with_table_partition_cols(vec![part])
        .with_virtual_columns(vec![row])
        .build();
    let mut statistics = Statistics::new_unknown(schema.table_schema());
    statistics.num_rows = Precision::Exact(rows);
    // The few columns that decide are read whole: choosing rows by one of them before the next is read takes longer.
    let mut placed = ParquetSource::new(schema)
        .with_table_parquet_options(source.table_parquet_options().clone())
        .with_pushdown_filters(false);
    if let Some(readers) = source.parquet_file_reader_factory() {
        placed = placed.with_parquet_file_reader_factory(Arc::clone(readers));
    }
    let shown = source.projection().into_iter().flat_map(|shown| shown.iter().cloned());
    let place = |i, name| ProjectionExpr::new(Arc::new(Column::new(name, i)), name);
    let shown: ProjectionExprs = shown.chain([place(columns, PART), place(columns + 1, ROW)]).collect();
    let Some(placed) = placed.try_pushdown_projection(&shown)? else { return Ok(None) };
    let mut number = |file: &PartitionedFile| {
        let numbered = file.clone().with_partition_values(vec![ScalarValue::UInt64(Some(*next))]);
        *next += 1;
        match &file.statistics {
            Some(statistics) => numbered.with_statistics(Arc::clone(statistics)),
            None => numbered,
        }
    };
    let groups = config.file_groups.iter().map(|group| group.files().iter().map(&mut number).collect());
    let config = FileScanConfigBuilder::new(config.object_store_url.clone(), placed)
        .with_file_groups(groups.map(FileGroup::new).collect())
        .with_statistics(statistics)
        .build();
    Ok(Some(DataSourceExec::from_data_source(config)))
}

fn rows_of_files(
    plan: &Arc<dyn ExecutionPlan>,
    config: &FileScanConfig,
    rows: &RowPlaces,
    threads: usize,
) -> Arc<dyn ExecutionPlan> {
    let mut files = BTreeMap::new();
    for file in config.file_groups.iter().flat_map(|group| group.files()) {
        if let [ScalarValue::UInt64(Some(part))] = file.partition_values.as_slice()
            && let Some(rows) = rows.get(part)
        {
            let mut file = file.clone().with_extension(ParquetRowSelection::new(selection(rows, rows_of(file))));
            // The planner may have cut a file in two; rows are chosen in the whole of it.
            file.range = None;
            files.insert(*part, file);
        }
    }
    if files.is_empty() {
        return Arc::new(EmptyExec::new(plan.schema()));
    }
    let groups = FileGroup::new(files.into_values().collect()).split_files(threads);
    DataSourceExec::from_data_source(FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build())
}

/// Number of rows; 0 where nobody knows.
fn rows_of(file: &PartitionedFile) -> usize {
    file.statistics.as_ref().and_then(|statistics| statistics.num_rows.get_value().copied()).unwrap_or(0)
}

/// These of so many rows.
fn selection(rows: &BTreeSet<i64>, all: usize) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for row in rows.iter().map(|row| *row as usize) {
        selectors.extend([RowSelector::skip(row - next), RowSelector::select(1)]);
        next = row + 1;
    }
    selectors.push(RowSelector::skip(all.saturating_sub(next)));
    RowSelection::from(selectors)
}

fn rows_in_memory(source: &MemorySourceConfig, next: &mut u64) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if source.fetch().is_some() {
        return Ok(None);
    }
    let plain = source.original_schema();
    let width = plain.fields().len();
    let fields: Vec<_> = plain.fields().iter().cloned().chain(places()).collect();
    let schema = SchemaRef::new(Schema::new(fields));
    let mut partitions = Vec::new();
    for batches in source.partitions() {
        let mut numbered = Vec::new();
        let mut row = 0;
        for batch in batches {
            let end = row + batch.num_rows() as i64;
            let places: [ArrayRef; 2] = [
                Arc::new(UInt64Array::from_value(*next, batch.num_rows())),
                Arc::new(Int64Array::from_iter_values(row..end)),
            ];
            let columns = batch.columns().iter().cloned().chain(places).collect();
            numbered.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
            row = end;
        }
        *next += 1;
        partitions.push(numbered);
    }
    let shown = source.projection().clone().unwrap_or_else(|| (0..width).collect());
    let shown = shown.into_iter().chain([width, width + 1]).collect();
    Ok(Some(MemorySourceConfig::try_new_exec(&partitions, schema, Some(shown))?))
}

/// Those of the rows that lie there.
fn chosen(batch: &RecordBatch, rows: &RowPlaces) -> Result<RecordBatch> {
    let width = batch.num_columns();
    let parts = batch.column(width - 2).as_primitive::<UInt64Type>().values();
    let numbers = batch.column(width - 1).as_primitive::<Int64Type>().values();
    let is_chosen = |at: &usize| rows.get(&parts[*at]).is_some_and(|rows| rows.contains(&numbers[*at]));
    let at: UInt32Array = (0..batch.num_rows()).filter(is_chosen).map(|at| at as u32).collect();
    Ok(take_record_batch(batch, &at)?)
}
