//! Commits: on exactly one snapshot, numbered, never retried, and looked for after every error.

use arrow::datatypes::SchemaRef;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Remove, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode, checkpoints};

use super::file::NewFile;
use super::version::APP_ID;
use super::{TableVersion, Tables, schema};
use crate::model::Micros;
use crate::schema::Table;
use crate::store::error::{Result, StoreError};
use crate::store::layout;

/// What an operation does to one table.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Paths of files to remove, relative to the table.
    pub remove: Vec<String>,
    /// Files to add.
    pub add: Vec<NewFile>,
    /// New columns, when they change.
    pub columns: Option<SchemaRef>,
    /// Whether the rows change, not only the files that hold them.
    pub data_change: bool,
}

impl Change {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty() && self.columns.is_none()
    }
}

/// How often a table moved on under a commit before we give up.
const ATTEMPTS: u32 = 100;

impl Tables {
    /// Applies operation `n` to a table, once, whoever else tries; gives the version that holds it.
    ///
    /// `change` is asked for the change on a snapshot, again when the table moved on. Cost: about 8 ms on a local disk.
    pub async fn commit<F>(&self, table: &Table, n: u64, time: Micros, mut change: F) -> Result<Option<u64>>
    where
        F: AsyncFnMut(Option<&TableVersion>) -> Result<Change>,
    {
        let mut last_error = None;
        for _ in 0..ATTEMPTS {
            let base = self.open(table, None).await?;
            if let Some(base) = &base
                && base.operation().await? >= n
            {
                self.sync_log(table)?;
                return Ok(Some(base.version));
            }
            let change = change(base.as_ref()).await?;
            if change.is_empty() {
                return Ok(base.map(|b| b.version));
            }
            match self.try_commit(table, base.as_ref(), n, time, &change).await {
                Ok(version) => return Ok(Some(version)),
                // It may have happened all the same: the next round looks for it first.
                Err(e) => last_error = Some(e),
            }
            let now = self.open(table, None).await?;
            let moved = now.as_ref().map(|t| t.version) != base.as_ref().map(|b| b.version);
            if !moved {
                break;
            }
        }
        Err(last_error.expect("a round ended without a commit"))
    }

    async fn try_commit(
        &self,
        table: &Table,
        base: Option<&TableVersion>,
        n: u64,
        time: Micros,
        change: &Change,
    ) -> Result<u64> {
        let now_ms = time.0 / 1000;
        let mut actions = Vec::new();
        match (base, &change.columns) {
            (None, Some(columns)) => actions.extend(schema::creation(table, columns)?),
            (None, None) => {
                let columns = table.schema().expect("a frame is made with its columns");
                actions.extend(schema::creation(table, &columns)?);
            }
            (Some(_), Some(columns)) => actions.push(schema::metadata(table, columns)?),
            (Some(_), None) => {}
        }
        for path in &change.remove {
            let file = base.and_then(|b| b.files.iter().find(|f| &f.path == path));
            let Some(file) = file else {
                return Err(StoreError::damaged(path, format!("is to be replaced and is not in table {table}")));
            };
            actions.push(Action::Remove(Remove {
                path: path.clone(),
                data_change: change.data_change,
                deletion_timestamp: Some(now_ms),
                extended_file_metadata: Some(true),
                partition_values: Some(file.add.partition_values.clone()),
                size: Some(file.size as i64),
                ..Default::default()
            }));
        }
        actions.extend(change.add.iter().map(|file| Action::Add(file.to_add(change.data_change, now_ms))));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transaction(Transaction::new(APP_ID, n as i64));
        let delta = match base {
            Some(base) => base.delta.clone(),
            None => self.builder(table)?.build().map_err(StoreError::delta(table))?,
        };
        let state = base.map(|_| delta.snapshot()).transpose().map_err(StoreError::delta(table))?;
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(state.map(|s| s as _), delta.log_store(), operation)
            .await
            .map_err(StoreError::delta(table))?;
        Ok(commit.version())
    }

    /// Makes the commits of a table durable that another process may have left otherwise.
    pub fn sync_log(&self, table: &Table) -> Result<()> {
        let log = layout::log(table);
        self.io.sync(&log).map_err(StoreError::io(log))
    }

    /// Writes a Delta checkpoint of the present state, so that opening does not read the whole log.
    pub async fn checkpoint(&self, table: &Table) -> Result<()> {
        if let Some(version) = self.open(table, None).await? {
            checkpoints::create_checkpoint(&version.delta, None).await.map_err(StoreError::delta(table))?;
        }
        Ok(())
    }
}
