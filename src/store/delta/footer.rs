//! Readers of data files, which keep the footers they have read (files never change) and check what they read.

use std::any::Any;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{HashMap, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadata, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};

use super::encode::ROWS_OF_A_PAGE;
use super::narrow::narrowed;
use crate::store::checksum::Mismatch;
use crate::store::checksum::parquet::{Sums, begin_of_tail};
use crate::store::error::StoreError;

/// Larger footers are not kept: a few of them would fill the memory that there is for all, and be gone before their turn
/// comes again. Those of 36,000 columns take 28 MB.
const LARGEST_KEPT: usize = 8 << 20;

/// Says of a file that its log knows of checksums in it.
pub struct HasSums;

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
    pub fn reader(&self, path: &str, size: u64, sums: bool) -> Box<dyn AsyncFileReader> {
        let file = PartitionedFile::new(path.to_string(), size);
        let file = if sums { file.with_extension(HasSums) } else { file };
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
        let sums = file.extension::<HasSums>().is_some();
        let rows = file.statistics.as_ref().and_then(|statistics| statistics.num_rows.get_value().copied());
        // Small files without checksums may have an index of single pages; the others have none.
        let page_index = match rows {
            Some(rows) if rows < ROWS_OF_A_PAGE && !sums => PageIndexPolicy::Skip,
            _ => PageIndexPolicy::Optional,
        };
        let pages = DefaultParquetFileReaderFactory::new(Arc::clone(&objects));
        let pages = pages.create_reader(partition, file, size_hint, metrics)?;
        let (footers, wanted) = (Arc::clone(&self.footers), self.wanted.clone());
        Ok(Box::new(Reader { pages, footer: Footer { objects, meta, sums, page_index, footers }, read: None, wanted }))
    }
}

/// What is known of a file once its end was read.
struct Read {
    footer: Arc<ParquetMetaData>,
    /// `None` for a file of another engine.
    sums: Option<Sums>,
}

impl FileMetadata for Read {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory_size(&self) -> usize {
        self.footer.memory_size() + self.sums.as_ref().map_or(0, Sums::memory_size)
    }

    fn extra_info(&self) -> HashMap<String, String> {
        HashMap::new()
    }
}

/// Bytes at the end of a file that are read at first: most footers are in them.
const TAIL: u64 = 64 << 10;

/// Where a footer is to be found.
struct Footer {
    objects: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    /// Whether it must have checksums.
    sums: bool,
    page_index: PageIndexPolicy,
    footers: Arc<FileMetadataCache>,
}

impl Footer {
    /// All of it, as it is in the file.
    async fn read(&self) -> ParquetResult<Arc<Read>> {
        if let Some(found) = self.footers.get(&self.meta.location)
            && let Ok(found) = Arc::downcast::<Read>(found.file_metadata)
        {
            return Ok(found);
        }
        let tail = self.tail().await?;
        let sums = Sums::read(&tail.bytes, self.meta.size).map_err(|e| self.damaged(e))?;
        if self.sums && sums.is_none() {
            return Err(self.damaged(Mismatch::Gone));
        }
        // What nobody asks for takes a third of the time where columns are many.
        let options = ParquetMetaDataOptions::new()
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let footer = ParquetMetaDataReader::new()
            .with_page_index_policy(self.page_index)
            .with_metadata_options(Some(options))
            .load_and_finish(&tail, self.meta.size);
        let footer = footer.await.map_err(|e| match e {
            ParquetError::External(_) => e,
            _ => self.damaged(e),
        })?;
        let read = Arc::new(Read { footer: Arc::new(footer), sums });
        if read.memory_size() <= LARGEST_KEPT {
            let entry = CachedFileMetadataEntry::new(self.meta.clone(), Arc::clone(&read) as _);
            self.footers.put(&self.meta.location, entry);
        }
        Ok(read)
    }

    /// The end of the file, from where its checksums begin, or page indexes that they cover.
    async fn tail(&self) -> ParquetResult<Tail<'_>> {
        let size = self.meta.size;
        let mut begin = size.saturating_sub(TAIL);
        let mut bytes = self.bytes(begin..size).await?;
        while let Some(earlier) = begin_of_tail(&bytes, size).filter(|earlier| *earlier < begin) {
            bytes = Bytes::from([self.bytes(earlier..begin).await?, bytes].concat());
            begin = earlier;
        }
        Ok(Tail { footer: self, begin, bytes })
    }

    async fn bytes(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        let read = self.objects.get_ranges(&self.meta.location, std::slice::from_ref(&range)).await;
        let mut read = read.map_err(|e| ParquetError::External(Box::new(e)))?;
        read.pop().ok_or_else(|| ParquetError::General(format!("{}: nothing was read", self.meta.location)))
    }

    fn damaged(&self, why: impl Display) -> ParquetError {
        let problem = format!("is damaged: {why}");
        ParquetError::External(Box::new(StoreError::damaged(self.meta.location.as_ref(), problem)))
    }
}

/// The last bytes of a file.
struct Tail<'a> {
    footer: &'a Footer,
    begin: u64,
    bytes: Bytes,
}

impl MetadataFetch for &Tail<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        match range.start.checked_sub(self.begin).map(|at| at as usize) {
            Some(at) if range.end <= self.footer.meta.size => {
                let slice = self.bytes.slice(at..at + (range.end - range.start) as usize);
                async move { Ok(slice) }.boxed()
            }
            // Another engine may have put its page indexes anywhere.
            _ => self.footer.bytes(range).boxed(),
        }
    }
}

struct Reader {
    pages: Box<dyn AsyncFileReader + Send>,
    footer: Footer,
    /// Of the file, once it was asked for.
    read: Option<Arc<Read>>,
    wanted: Option<SchemaRef>,
}

impl Reader {
    async fn end_of_file(&mut self) -> ParquetResult<Arc<Read>> {
        let read = match self.read.take() {
            Some(read) => read,
            None => self.footer.read().await?,
        };
        Ok(Arc::clone(self.read.insert(read)))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let read = self.get_byte_ranges(vec![range.clone()]).await?.pop();
            read.ok_or_else(|| ParquetError::General(format!("bytes {range:?} were not read")))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let read = self.end_of_file().await?;
            let Some(sums) = &read.sums else { return self.pages.get_byte_ranges(ranges).await };
            let pieces = ranges.iter().map(|range| sums.around(range)).collect::<Result<Vec<_>, _>>();
            let pieces = pieces.map_err(|e| self.footer.damaged(e))?;
            let mut found = self.pages.get_byte_ranges(pieces.clone()).await?;
            for ((piece, range), bytes) in pieces.into_iter().zip(ranges).zip(&mut found) {
                sums.check(piece.clone(), bytes).map_err(|e| self.footer.damaged(e))?;
                if piece != range {
                    *bytes = bytes.slice((range.start - piece.start) as usize..(range.end - piece.start) as usize);
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let footer = Arc::clone(&self.end_of_file().await?.footer);
            match &self.wanted {
                Some(wanted) => narrowed(footer, wanted),
                None => Ok(footer),
            }
        }
        .boxed()
    }
}
