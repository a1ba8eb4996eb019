//! Readers of data files, which keep the footers they have read: files never change.
//!
//! A footer says as which types its columns are to be read. Texts in structs are read as views: a repeated value is not
//! copied for every row, and a comparison looks at the view alone (a text filter over a million runs: half the time).

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetMetaData, DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema, parquet_to_arrow_schema};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder};

/// Files of fewer rows have one page in each column, so the index of pages is not read: of tens of thousands of columns it
/// takes as long as the rest of the footer.
const ROWS_OF_A_PAGE: usize = 4096;
/// In a file of more columns, naming other types takes longer than reading texts as they are.
const MANY_COLUMNS: usize = 4096;

/// Makes readers of the files in a store.
#[derive(Debug)]
pub struct Readers {
    objects: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
}

impl Readers {
    /// Readers that share these footers.
    pub fn new(objects: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        Readers { objects, footers }
    }

    /// A reader of one file, outside of any plan.
    pub fn reader(&self, path: &str, size: u64) -> Box<dyn AsyncFileReader> {
        let file = PartitionedFile::new(path.to_string(), size);
        self.create_reader(0, file, None, &ExecutionPlanMetricsSet::new()).expect("nothing is read yet")
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let (objects, meta) = (Arc::clone(&self.objects), file.object_meta.clone());
        let rows = file.statistics.as_ref().and_then(|statistics| statistics.num_rows.get_value().copied());
        let page_index = match rows {
            Some(rows) if rows < ROWS_OF_A_PAGE => PageIndexPolicy::Skip,
            _ => PageIndexPolicy::Optional,
        };
        let pages = DefaultParquetFileReaderFactory::new(Arc::clone(&objects));
        let pages = pages.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(Reader { pages, objects, meta, page_index, footers: Arc::clone(&self.footers) }))
    }
}

struct Reader {
    pages: Box<dyn AsyncFileReader + Send>,
    objects: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    page_index: PageIndexPolicy,
    footers: Arc<FileMetadataCache>,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.pages.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.pages.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            if let Some(found) = self.footers.get(&self.meta.location)
                && let Some(found) = found.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()
            {
                return Ok(Arc::clone(found.parquet_metadata()));
            }
            let read = DFParquetMetadata::new(self.objects.as_ref(), &self.meta);
            let read = read.with_page_index_policy(Some(self.page_index));
            let read = read.fetch_metadata().await.map_err(|e| ParquetError::External(Box::new(e)))?;
            let footer = Arc::new(with_text_views(Arc::unwrap_or_clone(read))?);
            let entry = CachedParquetMetaData::new(Arc::clone(&footer));
            let entry = CachedFileMetadataEntry::new(self.meta.clone(), Arc::new(entry));
            self.footers.put(&self.meta.location, entry);
            Ok(footer)
        }
        .boxed()
    }
}

/// A type with views for the texts in its structs.
pub fn text_views(data_type: &DataType) -> DataType {
    let leaf = |leaf: &Arc<Field>| match leaf.data_type() {
        DataType::Utf8 => Arc::new(leaf.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(leaf),
    };
    match data_type {
        DataType::Struct(leaves) => DataType::Struct(leaves.iter().map(leaf).collect()),
        other => other.clone(),
    }
}

/// A footer that has the texts in structs read as views.
fn with_text_views(footer: ParquetMetaData) -> ParquetResult<ParquetMetaData> {
    let file = footer.file_metadata();
    if file.schema_descr().num_columns() > MANY_COLUMNS {
        return Ok(footer);
    }
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    if !schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Struct(_))) {
        return Ok(footer);
    }
    let fields = schema.fields().iter();
    let fields: Fields = fields.map(|f| f.as_ref().clone().with_data_type(text_views(f.data_type()))).collect();
    let types = KeyValue::new(ARROW_SCHEMA_META_KEY.to_string(), encode_arrow_schema(&Schema::new(fields)));
    let others = file.key_value_metadata().into_iter().flatten().filter(|entry| entry.key != ARROW_SCHEMA_META_KEY);
    let entries = others.cloned().chain([types]).collect();
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_string),
        Some(entries),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut rest = footer.into_builder();
    Ok(ParquetMetaDataBuilder::new(file)
        .set_row_groups(rest.take_row_groups())
        .set_column_index(rest.take_column_index())
        .set_offset_index(rest.take_offset_index())
        .build())
}
