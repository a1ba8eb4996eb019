//! A plain Parquet scan over the files of a table version, with statistics and page index, so that pruning, TopK and
//! leaf projection work and another process can be handed the plan.
//!
//! Rows are sorted by experiment first. A query that names runs by their ids and no experiment would read the pages of
//! every experiment, so the scan looks up where these runs lie and adds their experiments and months.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics, project_schema};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::context::SessionContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, ident, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectStore;
use url::Url;

use super::footer::{HasSums, Readers};
use super::{DataFile, TableVersion};
use crate::model::{Month, RunId};
use crate::schema::Table;
use crate::store::error::Result as StoreResult;

/// Under this address the files of a store are known to a session.
pub(super) const ADDRESS: &str = "runlake://store/";

/// Makes the files of a store known to a session.
pub fn register_files(context: &SessionContext, objects: Arc<dyn ObjectStore>) {
    let url = Url::parse(ADDRESS).expect("a constant");
    context.register_object_store(&url, objects);
}

/// Where the sealed rows of a run lie, in every table, for the life of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its experiment.
    pub experiment_id: String,
    /// Its partition.
    pub month: Option<Month>,
}

/// Knows where runs lie.
#[async_trait]
pub trait Places: Debug + Send + Sync {
    /// The places of those of these runs that are sealed.
    async fn places(&self, runs: &BTreeSet<RunId>) -> StoreResult<BTreeMap<RunId, Place>>;
}

/// Rows of data files as a table of the engine.
#[derive(Debug)]
pub struct FilesTable {
    schema: SchemaRef,
    files: Vec<File>,
    rows: usize,
    of_runs: bool,
    footers: Arc<FileMetadataCache>,
    places: Option<Arc<dyn Places>>,
}

#[derive(Debug)]
struct File {
    month: Option<Month>,
    /// The least and the greatest id of a run in it, where they are known.
    runs: Option<RangeInclusive<RunId>>,
    part: PartitionedFile,
}

/// Rows of a table from which on it pays to look up where a run lies; tests look it up always.
const LOOKUP_PAYS: usize = if cfg!(test) { 1 } else { 200_000 };
/// Up to so many values of `runs` it costs less to read all of them at once than to read those of the filters first, and then the
/// rest of what passes: a leaderboard of 100,000 runs takes 5.7 ms instead of 7.8, one of a million 33 instead of 29. Tests
/// of this crate read the second way.
const FEW_VALUES: usize = if cfg!(test) { 0 } else { 1_000_000 };
/// Rows of `runs` from which on it pays to read late what does not decide which rows are asked for; tests always do.
pub(super) const LATE_PAYS: usize = if cfg!(test) { 1 } else { 50_000 };
/// More ids than this in one condition are not looked up.
const MOST_RUNS: usize = 100;

impl FilesTable {
    /// A scan of these files of a table, with these columns; a column that a file lacks reads as NULL.
    pub fn new<'a>(version: &TableVersion, files: impl IntoIterator<Item = &'a DataFile>, schema: SchemaRef) -> Self {
        let mut rows = 0;
        let files = files
            .into_iter()
            .map(|file| {
                rows += file.rows as usize;
                let part = PartitionedFile::new(version.full_path(file), file.size)
                    .with_statistics(Arc::new(statistics(file, &schema)));
                let part = if file.sums { part.with_extension(HasSums) } else { part };
                File { month: file.month, runs: file.run_range(), part }
            })
            .collect();
        let of_runs = version.table == Table::Runs;
        FilesTable { schema, files, rows, of_runs, footers: Arc::clone(&version.footers), places: None }
    }

    /// Looks up the runs that a condition names, where the table is large enough for that to pay.
    pub fn with_places(mut self, places: Arc<dyn Places>) -> Self {
        self.places = (self.rows >= LOOKUP_PAYS).then_some(places);
        self
    }

    /// The columns that a scan needs: those of its rows, and those that choose rows.
    fn columns_read(&self, projection: Option<&Vec<usize>>, filters: &[Expr], is_placed: bool) -> Result<SchemaRef> {
        let Some(projection) = projection else { return Ok(Arc::clone(&self.schema)) };
        let mut columns: BTreeSet<usize> = projection.iter().copied().collect();
        for column in filters.iter().flat_map(Expr::column_refs) {
            columns.insert(self.schema.index_of(&column.name)?);
        }
        if is_placed {
            columns.insert(self.schema.index_of("experiment_id")?);
        }
        Ok(Arc::new(self.schema.project(&columns.into_iter().collect::<Vec<_>>())?))
    }

    /// The places of these runs; `None` when there are none, or not all are known.
    async fn places(&self, runs: Option<&BTreeSet<RunId>>) -> Result<Option<BTreeSet<(String, Option<Month>)>>> {
        let (Some(places), Some(runs)) = (&self.places, runs) else { return Ok(None) };
        let found = places.places(runs).await.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let known = found.len() == runs.len();
        Ok(known.then(|| found.into_values().map(|place| (place.experiment_id, place.month)).collect()))
    }
}

/// The ids in a condition `run_id = '...'` or `run_id IN ('...', ...)`.
fn named_runs(filter: &Expr) -> Option<BTreeSet<RunId>> {
    let is_id = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == "run_id");
    let values: Vec<&Expr> = match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_id(left) => vec![right.as_ref()],
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_id(right) => vec![left.as_ref()],
        Expr::InList(InList { expr, list, negated: false }) if is_id(expr) => list.iter().collect(),
        // Short lists arrive as chains of OR.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut runs = named_runs(left)?;
            runs.extend(named_runs(right)?);
            return (runs.len() <= MOST_RUNS).then_some(runs);
        }
        _ => return None,
    };
    let run = |value: &Expr| match value {
        Expr::Literal(value, _) => RunId::parse(value.try_as_str()??).ok(),
        _ => None,
    };
    if values.len() > MOST_RUNS {
        return None;
    }
    values.into_iter().map(run).collect()
}

/// Number of Parquet columns.
fn leaves(schema: &Schema) -> usize {
    let leaves = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Struct(leaves) => leaves.len(),
        _ => 1,
    });
    leaves.sum()
}

fn statistics(file: &DataFile, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(file.rows as usize);
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if let (Some((min, max)), DataType::Utf8) = (file.ranges.get(field.name()), field.data_type()) {
            *column = ColumnStatistics {
                min_value: Precision::Exact(ScalarValue::Utf8(Some(min.clone()))),
                max_value: Precision::Exact(ScalarValue::Utf8(Some(max.clone()))),
                null_count: Precision::Exact(0),
                ..ColumnStatistics::new_unknown()
            };
        }
    }
    statistics
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(self.rows);
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let runs = filters.iter().find_map(named_runs);
        let places = self.places(runs.as_ref()).await?;
        let may_hold = |month: &Option<Month>| {
            let fits = |place: &Option<Month>| place.is_none() || month.is_none() || place == month;
            places.as_ref().is_none_or(|places| places.iter().any(|(_, place)| fits(place)))
        };
        let reaches = |range: &RangeInclusive<RunId>| {
            runs.as_ref().is_none_or(|runs| runs.range::<RunId, _>(range.clone()).next().is_some())
        };
        let files = self.files.iter().filter(|f| may_hold(&f.month) && f.runs.as_ref().is_none_or(reaches));
        let files: Vec<PartitionedFile> = files.map(|file| file.part.clone()).collect();
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        let mut options = state.config_options().execution.parquet.clone();
        let values = self.rows * leaves(project_schema(&self.schema, projection)?.as_ref());
        options.pushdown_filters = !self.of_runs || values > FEW_VALUES;
        let options = datafusion::config::TableParquetOptions { global: options, ..Default::default() };
        let wanted = self.columns_read(projection, filters, places.is_some())?;
        let mut source = ParquetSource::new(Arc::clone(&self.schema)).with_table_parquet_options(options);
        if let Some(places) = places {
            let ids = places.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>().into_iter().map(lit).collect();
            let within = ident("experiment_id").in_list(ids, false);
            let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
            source = source.with_predicate(state.create_physical_expr(within, &schema)?);
        }
        let url = ObjectStoreUrl::parse(ADDRESS).expect("a constant");
        let objects = state.runtime_env().object_store(&url)?;
        let readers = Readers::new(objects, Arc::clone(&self.footers)).of(wanted);
        source = source.with_parquet_file_reader_factory(Arc::new(readers));
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(self.rows);
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
