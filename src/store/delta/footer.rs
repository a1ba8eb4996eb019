//! Readers of data files, which keep the footers they have read: files never change.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetMetaData, DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};

use super::narrow::narrowed;

/// Files of fewer rows have one page in each column, so the index of pages is not read: of tens of thousands of columns it
/// takes as long as the rest of the footer.
const ROWS_OF_A_PAGE: usize = 4096;

/// Larger footers are not kept: a few of them would fill the memory that there is for all, and be gone before their turn
/// comes again. Those of 36,000 columns take 28 MB.
const LARGEST_KEPT: usize = 8 << 20;

/// Makes readers of the files in a store.
#[derive(Debug)]
pub struct Readers {
    objects: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
    wanted: Option<SchemaRef>,
}

impl Readers {
    /// Readers that share these footers.
    pub fn new(objects: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        Readers { objects, footers, wanted: None }
    }

    /// Files may seem to have no other columns than these, and have them as these types where they can be read so.
    pub fn of(mut self, wanted: SchemaRef) -> Self {
        self.wanted = Some(wanted);
        self
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
        let (footers, wanted) = (Arc::clone(&self.footers), self.wanted.clone());
        Ok(Box::new(Reader { pages, footer: Footer { objects, meta, page_index, footers }, wanted }))
    }
}

/// Where a footer is to be found.
struct Footer {
    objects: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    page_index: PageIndexPolicy,
    footers: Arc<FileMetadataCache>,
}

impl Footer {
    /// All of it, as it is in the file.
    async fn read(&self) -> ParquetResult<Arc<ParquetMetaData>> {
        if let Some(found) = self.footers.get(&self.meta.location)
            && let Some(found) = found.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()
        {
            return Ok(Arc::clone(found.parquet_metadata()));
        }
        // What nobody asks for takes a third of the time where columns are many.
        let options = ParquetMetaDataOptions::new()
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let read = ParquetMetaDataReader::new()
            .with_page_index_policy(self.page_index)
            .with_metadata_options(Some(options))
            .load_and_finish(self, self.meta.size);
        let footer = Arc::new(read.await?);
        if footer.memory_size() <= LARGEST_KEPT {
            let entry = CachedParquetMetaData::new(Arc::clone(&footer));
            let entry = CachedFileMetadataEntry::new(self.meta.clone(), Arc::new(entry));
            self.footers.put(&self.meta.location, entry);
        }
        Ok(footer)
    }
}

impl MetadataFetch for &Footer {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.objects.get_range(&self.meta.location, range);
        read.map_err(|e| ParquetError::External(Box::new(e))).boxed()
    }
}

struct Reader {
    pages: Box<dyn AsyncFileReader + Send>,
    footer: Footer,
    wanted: Option<SchemaRef>,
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
            let footer = self.footer.read().await?;
            match &self.wanted {
                Some(wanted) => narrowed(footer, wanted),
                None => Ok(footer),
            }
        }
        .boxed()
    }
}
