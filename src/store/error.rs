//! What can go wrong in a store.

use std::io;

use crate::model::{InvalidRunId, InvalidTime, RunId};
use crate::schema::SchemaMismatch;
use crate::store::segment::WriteFailure;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store at this place.
    #[error("'{path}' is not a runlake store: it has no runlake.json")]
    NotAStore {
        /// The place.
        path: String,
    },
    /// A store would be made where something else lies.
    #[error("'{path}' is not empty and not a runlake store")]
    NotEmpty {
        /// The place.
        path: String,
    },
    /// A store would be made where one is.
    #[error("'{path}' is a runlake store already")]
    StoreExists {
        /// The place.
        path: String,
    },
    /// Something was written by a newer runlake.
    #[error("{what} has format {found}, and this runlake reads up to {known}")]
    NewerFormat {
        /// What it is.
        what: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A file does not hold what it should.
    #[error("{path} {problem}")]
    Damaged {
        /// The file, relative to the store.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file, relative to the store.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// A Delta log could not be read or written.
    #[error("table {table}: {}", without_backtrace(source))]
    Delta {
        /// The table.
        table: String,
        /// What the Delta library said.
        source: Box<deltalake::DeltaTableError>,
    },
    /// A data file could not be read or written.
    #[error("{path}: {source}")]
    Parquet {
        /// The file, relative to the store.
        path: String,
        /// What the Parquet library said.
        source: parquet::errors::ParquetError,
    },
    /// Sealed rows could not be read.
    #[error("table {table}: {source}")]
    Scan {
        /// The table.
        table: String,
        /// What the engine said.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// Rows could not be brought into shape.
    #[error("table {table}: {source}")]
    Arrow {
        /// The table.
        table: String,
        /// What the Arrow library said.
        source: arrow::error::ArrowError,
    },
    /// A file lacks a column of its table.
    #[error("table {table}: {source}")]
    Schema {
        /// The table.
        table: String,
        /// What is missing.
        source: SchemaMismatch,
    },
    /// A table has a property under which the store would not be safe.
    #[error("table {table} has the property {property}, under which an operation could be applied twice")]
    UnsafeProperty {
        /// The table.
        table: String,
        /// The property.
        property: String,
    },
    /// No run has this id, or one that begins so.
    #[error("run '{run}' does not exist")]
    RunNotFound {
        /// What was asked for.
        run: String,
    },
    /// Several runs have ids that begin so.
    #[error("'{prefix}' fits {count} runs, among them {examples}")]
    AmbiguousRun {
        /// What was asked for.
        prefix: String,
        /// How many fit.
        count: usize,
        /// Some of them.
        examples: String,
    },
    /// No experiment has this name.
    #[error("experiment '{experiment}' does not exist")]
    ExperimentNotFound {
        /// What was asked for.
        experiment: String,
    },
    /// An experiment of that name exists already.
    #[error("experiment '{experiment}' exists already")]
    ExperimentExists {
        /// The name.
        experiment: String,
    },
    /// A param was set to another value before.
    #[error("param '{key}' of run '{run}' is {old} already and cannot become {new}")]
    ParamConflict {
        /// The run.
        run: RunId,
        /// The param.
        key: String,
        /// The value that stays.
        old: String,
        /// The value that was refused.
        new: String,
    },
    /// A value cannot be logged.
    #[error("{0}")]
    Invalid(String),
    /// Records could not be written.
    #[error("{0}")]
    Write(WriteFailure),
    /// There is no state of the store that old.
    #[error("the store has no state as of {time}: {}", match .earliest {
        Some(earliest) => format!("its earliest is of {earliest}"),
        None => "nothing was sealed yet".to_string(),
    })]
    BeforeHistory {
        /// The time asked for.
        time: String,
        /// The earliest there is; `None` before the first seal.
        earliest: Option<String>,
    },
    /// A state that is not there.
    #[error("there is no state {state}{}", match .kept {
        None => String::new(),
        Some((first, last)) if first == last => format!("; the store keeps state {first} alone"),
        Some((first, last)) => format!("; the store keeps {first} to {last}"),
    })]
    NoState {
        /// Its number.
        state: u64,
        /// The first and the last that are.
        kept: Option<(u64, u64)>,
    },
    /// Files kept vanishing while they were read.
    #[error("the store changed {attempts} times while it was being opened; try again")]
    Busy {
        /// How often it was tried.
        attempts: u32,
    },
}

/// The Delta library appends a backtrace to some messages when the environment asks for backtraces.
fn without_backtrace(e: &deltalake::DeltaTableError) -> String {
    let text = e.to_string();
    text.split("\n   0: ")
        .next()
        .unwrap_or_default()
        .trim_end()
        .trim_end_matches("stack backtrace:")
        .trim_end()
        .to_string()
}

/// What a method of the store gives.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(crate) fn io(path: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { path, source }
    }

    pub(crate) fn damaged(path: impl Into<String>, problem: impl ToString) -> StoreError {
        StoreError::Damaged { path: path.into(), problem: problem.to_string() }
    }

    pub(crate) fn delta(table: impl ToString) -> impl FnOnce(deltalake::DeltaTableError) -> StoreError {
        let table = table.to_string();
        move |source| StoreError::Delta { table, source: Box::new(source) }
    }

    pub(crate) fn parquet(path: impl Into<String>) -> impl FnOnce(parquet::errors::ParquetError) -> StoreError {
        let path = path.into();
        move |source| StoreError::damage(&source).unwrap_or(StoreError::Parquet { path, source })
    }

    /// What the readers of data files found wrong, from what a library made of it.
    pub(crate) fn damage(e: &(dyn std::error::Error + 'static)) -> Option<StoreError> {
        match (e.downcast_ref(), e.downcast_ref()) {
            (Some(StoreError::Damaged { path, problem }), _) => Some(StoreError::damaged(path, problem)),
            (_, Some(parquet::errors::ParquetError::External(e))) => StoreError::damage(e.as_ref()),
            _ => None,
        }
    }

    pub(crate) fn arrow(table: impl ToString) -> impl FnOnce(arrow::error::ArrowError) -> StoreError {
        let table = table.to_string();
        move |source| StoreError::Arrow { table, source }
    }

    pub(crate) fn schema(table: impl ToString) -> impl FnOnce(SchemaMismatch) -> StoreError {
        let table = table.to_string();
        move |source| StoreError::Schema { table, source }
    }

    /// Whether a file was not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<InvalidRunId> for StoreError {
    fn from(e: InvalidRunId) -> Self {
        StoreError::Invalid(e.to_string())
    }
}

impl From<InvalidTime> for StoreError {
    fn from(e: InvalidTime) -> Self {
        StoreError::Invalid(e.to_string())
    }
}

impl From<WriteFailure> for StoreError {
    fn from(failure: WriteFailure) -> Self {
        StoreError::Write(failure)
    }
}
