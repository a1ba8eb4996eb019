//! Opening tables at a version.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use datafusion::execution::SessionState;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use url::Url;

use super::file::DataFile;
use super::footer::Readers;
use super::scan::register_files;
use super::schema;
use crate::model::RunId;
use crate::schema::Table;
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::layout;
use crate::store::object::IoObjectStore;

/// Application id of our transactions: the number of the operation that made a commit.
pub const APP_ID: &str = "runlake";

/// The Delta tables of a store.
#[derive(Debug, Clone)]
pub struct Tables {
    /// File operations of the store.
    pub io: Arc<dyn Io>,
    /// The same files, for the libraries.
    pub objects: Arc<dyn ObjectStore>,
    /// What the footers of data files say; files never change.
    footers: Arc<FileMetadataCache>,
    /// Of each table the version that was opened last by its number.
    opened: Arc<Mutex<HashMap<Table, Arc<TableVersion>>>>,
    /// What the store's own scans run in: making one takes half a millisecond.
    engine: Arc<OnceLock<SessionState>>,
}

/// Bytes of footers that are kept in memory.
const FOOTERS: usize = 128 << 20;

/// A table at one version.
#[derive(Debug, Clone)]
pub struct TableVersion {
    /// Which table.
    pub table: Table,
    /// Its version.
    pub version: u64,
    /// Its active files.
    pub files: Vec<DataFile>,
    /// Its declared columns, without the partition.
    pub columns: SchemaRef,
    pub(super) delta: DeltaTable,
    pub(super) footers: Arc<FileMetadataCache>,
}

impl Tables {
    /// The tables behind `io`.
    pub fn new(io: Arc<dyn Io>) -> Self {
        let objects = Arc::new(IoObjectStore::new(Arc::clone(&io)));
        let footers = DefaultCache::new(FOOTERS).with_name("footers");
        Tables { io, objects, footers: Arc::new(footers), opened: Arc::default(), engine: Arc::default() }
    }

    /// An engine for scans of the store's own, over whole values of the types that are declared.
    pub fn engine(&self) -> &SessionState {
        self.engine.get_or_init(|| {
            let mut config = SessionConfig::new().with_target_partitions(2);
            config.options_mut().execution.parquet.schema_force_view_types = false;
            let engine = SessionContext::new_with_config(config);
            register_files(&engine, Arc::clone(&self.objects));
            engine.state()
        })
    }

    pub(super) fn builder(&self, table: &Table) -> Result<DeltaTableBuilder> {
        // The scheme only picks the kind of log store; what is behind it is `objects`.
        let url = Url::parse(&format!("memory:///{}/", layout::table(table))).expect("folder names are fit for a URL");
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(StoreError::delta(table))?;
        Ok(builder.with_storage_backend(Arc::clone(&self.objects), url))
    }

    /// A table at a version, which readers share.
    pub async fn at(&self, table: &Table, version: u64) -> Result<Option<Arc<TableVersion>>> {
        let opened = || self.opened.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = opened().get(table).filter(|found| found.version == version) {
            return Ok(Some(Arc::clone(found)));
        }
        let Some(found) = self.open(table, Some(version)).await?.map(Arc::new) else { return Ok(None) };
        opened().insert(table.clone(), Arc::clone(&found));
        Ok(Some(found))
    }

    /// Opens a table at a version, or at its newest; `None` when it does not exist.
    pub async fn open(&self, table: &Table, version: Option<u64>) -> Result<Option<TableVersion>> {
        let mut looked = 0;
        loop {
            let mut builder = self.builder(table)?;
            if let Some(version) = version {
                builder = builder.with_version(version);
            }
            match builder.load().await {
                Ok(delta) => return TableVersion::new(table.clone(), delta, &self.footers).map(Some),
                Err(e) if version.is_none() && is_no_table(&e) => {
                    if !self.has_log(table)? {
                        return Ok(None);
                    }
                    // Another process may have made the first commit between the two looks.
                    looked += 1;
                    if looked == 3 {
                        return Err(StoreError::delta(table)(e));
                    }
                }
                Err(e) => return Err(StoreError::delta(table)(e)),
            }
        }
    }

    /// Some columns of the rows of some runs in a file. It is read without a plan, which would take longer than the reading.
    pub async fn find_runs(
        &self,
        version: &TableVersion,
        file: &DataFile,
        runs: &BTreeSet<RunId>,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>> {
        let path = version.full_path(file);
        let readers = Readers::new(Arc::clone(&self.objects), Arc::clone(&self.footers));
        let builder = ParquetRecordBatchStreamBuilder::new(readers.reader(&path, file.size, file.sums));
        let builder = builder.await.map_err(StoreError::parquet(&path))?;
        let rows = {
            let wanted: HashSet<String> = runs.iter().map(|run| run.to_string()).collect();
            let is_wanted = move |rows: RecordBatch| {
                let ids = cast(rows.column(0), &DataType::Utf8)?;
                Ok(ids.as_string::<i32>().iter().map(|id| Some(id.is_some_and(|id| wanted.contains(id)))).collect())
            };
            let mask = |names: &[&str]| ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            let (ids, shown) = (mask(&["run_id"]), mask(columns));
            let filter = RowFilter::new(vec![Box::new(ArrowPredicateFn::new(ids, is_wanted))]);
            builder.with_projection(shown).with_row_filter(filter).build().map_err(StoreError::parquet(&path))?
        };
        rows.try_collect().await.map_err(StoreError::parquet(&path))
    }

    /// The bytes of a data file, when they are those that were written.
    pub fn read_whole(&self, version: &TableVersion, file: &DataFile) -> Result<Bytes> {
        let path = version.full_path(file);
        let bytes = self.io.read(&path).map_err(StoreError::io(&path))?;
        if bytes.len() as u64 != file.size {
            return Err(StoreError::damaged(path, format!("has {} bytes, not {}", bytes.len(), file.size)));
        }
        if let Some(digest) = &file.digest {
            let computed = blake3::hash(&bytes).to_hex();
            if computed.as_str() != digest {
                let problem = format!("is damaged: digest {digest} stored, {computed} computed");
                return Err(StoreError::damaged(path, problem));
            }
        }
        Ok(bytes)
    }

    fn has_log(&self, table: &Table) -> Result<bool> {
        let path = format!("{}/_delta_log", layout::table(table));
        let entries = self.io.list(&path).map_err(StoreError::io(path))?;
        Ok(entries.iter().any(|e| e.name.ends_with(".json") || e.name.ends_with(".parquet")))
    }
}

fn is_no_table(e: &DeltaTableError) -> bool {
    // The library reports a missing log in several ways, by code path.
    matches!(
        e,
        DeltaTableError::NotATable(_)
            | DeltaTableError::InvalidTableLocation(_)
            | DeltaTableError::ObjectStore { .. }
            | DeltaTableError::Kernel { .. }
            | DeltaTableError::KernelError(_)
            | DeltaTableError::Generic(_)
            | DeltaTableError::InvalidVersion(_)
    )
}

impl TableVersion {
    fn new(table: Table, delta: DeltaTable, footers: &Arc<FileMetadataCache>) -> Result<Self> {
        let state = delta.snapshot().map_err(StoreError::delta(&table))?;
        // The store's safety rests on the log remembering every operation.
        const FORGETS: &str = "delta.setTransactionRetentionDuration";
        if state.metadata().configuration().contains_key(FORGETS) {
            return Err(StoreError::UnsafeProperty { table: table.to_string(), property: FORGETS.to_string() });
        }
        #[allow(deprecated, reason = "no other call tells the tags of a file")]
        let mut files: Vec<_> = state.log_data().iter().map(|view| DataFile::from_add(view.add_action())).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let version = state.version();
        let columns = schema::columns(&state.snapshot().arrow_schema());
        Ok(TableVersion { table, version, files, columns, delta, footers: Arc::clone(footers) })
    }

    /// Number of the operation that made this or an earlier version last; read from the snapshot that a commit would
    /// be made on.
    pub async fn operation(&self) -> Result<u64> {
        let state = self.delta.snapshot().map_err(StoreError::delta(&self.table))?;
        let log = self.delta.log_store();
        let version = state.transaction_version(log.as_ref(), APP_ID).await.map_err(StoreError::delta(&self.table))?;
        Ok(version.unwrap_or(0).max(0) as u64)
    }

    /// The file, relative to the store.
    pub fn full_path(&self, file: &DataFile) -> String {
        format!("{}/{}", layout::table(&self.table), file.path)
    }
}
