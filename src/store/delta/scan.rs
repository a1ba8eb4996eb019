//! A plain Parquet scan over the files of a table version, with statistics and page index, so that pruning, TopK and
//! leaf projection work and another process can be handed the plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::context::SessionContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectStore;
use url::Url;

use super::{DataFile, TableVersion};

/// Under this address the files of a store are known to a session.
const ADDRESS: &str = "runlake://store/";

/// Makes the files of a store known to a session.
pub fn register_files(context: &SessionContext, objects: Arc<dyn ObjectStore>) {
    let url = Url::parse(ADDRESS).expect("a constant");
    context.register_object_store(&url, objects);
}

/// Rows of data files as a table of the engine.
#[derive(Debug)]
pub struct FilesTable {
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
    rows: usize,
}

impl FilesTable {
    /// A scan of these files of a table, with these columns; a column that a file lacks reads as NULL.
    pub fn new<'a>(version: &TableVersion, files: impl IntoIterator<Item = &'a DataFile>, schema: SchemaRef) -> Self {
        let mut rows = 0;
        let files = files
            .into_iter()
            .map(|file| {
                rows += file.rows as usize;
                PartitionedFile::new(version.full_path(file), file.size)
                    .with_statistics(Arc::new(statistics(file, &schema)))
            })
            .collect();
        FilesTable { schema, files, rows }
    }
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
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        let options = state.config_options().execution.parquet.clone();
        let options = datafusion::config::TableParquetOptions { global: options, ..Default::default() };
        let source = ParquetSource::new(Arc::clone(&self.schema)).with_table_parquet_options(options);
        let url = ObjectStoreUrl::parse(ADDRESS).expect("a constant");
        let groups = FileGroup::new(self.files.clone()).split_files(state.config().target_partitions());
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
