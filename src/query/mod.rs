//! SQL over one consistent state of a store.

mod error;

pub use error::QueryError;

use std::time::Duration;

use datafusion::prelude::DataFrame;

use crate::error::Result;
use crate::model::{Micros, RunId};
use crate::store::Store;

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Reads the sealed state as of this time instead of the newest with what is live.
    pub as_of: Option<Micros>,
    /// Memory that queries may use, in bytes; beyond it they spill or fail.
    pub memory_bytes: Option<usize>,
    /// Whether statements that change something are refused.
    pub read_only: bool,
    /// Threads of a query; `None`: one per core.
    pub threads: Option<usize>,
    /// Time that a query may take.
    pub timeout: Option<Duration>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions { as_of: None, memory_bytes: None, read_only: true, threads: None, timeout: None }
    }
}

/// A planned query.
pub struct Query {
    /// The rows to come.
    pub frame: DataFrame,
    /// What its reader should know, such as values that do not fit the type of their key.
    pub notes: Vec<String>,
}

/// A table, for lists of tables.
#[derive(Debug, Clone)]
pub struct TableSummary {
    /// Its SQL name.
    pub name: String,
    /// What a row is.
    pub doc: String,
}

/// A column, or a key of a struct column.
#[derive(Debug, Clone)]
pub struct ColumnInfo {
    /// As it is written in SQL.
    pub name: String,
    /// Its SQL type.
    pub data_type: String,
    /// For keys: the number of runs that hold it.
    pub runs: Option<i64>,
    /// What it means.
    pub doc: String,
}

/// SQL over one consistent state of a store.
pub struct Session {}

impl Store {
    /// A session over the newest state, sealed and live.
    pub async fn session(&self) -> Result<Session> {
        self.session_with(SessionOptions::default()).await
    }

    /// A session that behaves as told.
    pub async fn session_with(&self, _options: SessionOptions) -> Result<Session> {
        unimplemented!()
    }
}

impl Session {
    /// Plans a statement.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        Ok(self.query(sql).await?.frame)
    }

    /// Plans a statement, with notes for its reader.
    pub async fn query(&self, _sql: &str) -> Result<Query> {
        unimplemented!()
    }

    /// The run whose id is or begins with this text.
    pub async fn resolve_run(&self, _prefix: &str) -> Result<RunId> {
        unimplemented!()
    }

    /// The tables there are, frames included.
    pub fn tables(&self) -> Vec<TableSummary> {
        unimplemented!()
    }

    /// Columns of a table; for `runs` also its keys, written `params.lr`.
    pub async fn columns(&self, _table: &str) -> Result<Vec<ColumnInfo>> {
        unimplemented!()
    }

    /// Names of the functions that SQL may call.
    pub fn functions(&self) -> Vec<String> {
        unimplemented!()
    }

    /// What is wrong with the store and leaves rows out, such as a damaged segment.
    pub fn warnings(&self) -> Vec<String> {
        unimplemented!()
    }
}
