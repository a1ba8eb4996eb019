//! The error of the public API: which layer it came from, and one kind that front ends map to exit codes and statuses.

use crate::import::foreign::ImportError;
use crate::query::QueryError;
use crate::report::ReportError;
use crate::store::StoreError;

/// Anything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// From a query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// From a store of another tool.
    #[error(transparent)]
    Import(ImportError),
    /// From a report.
    #[error(transparent)]
    Report(Box<ReportError>),
}

/// What a method of the public API gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of error it is; this alone decides exit codes and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: SQL, a value, a name.
    InvalidInput,
    /// There is no such store, run, experiment, table or key.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The state changed too often meanwhile; trying again may help.
    Busy,
    /// Written by a newer runlake.
    NewerFormat,
    /// A file does not hold what it should.
    Damaged,
    /// A limit of memory, time or depth was reached.
    Limit,
    /// The file system said no.
    Io,
    /// Anything else.
    Internal,
}

impl Error {
    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(e) => store_kind(e),
            Error::Query(e) => e.kind(),
            Error::Report(e) => e.source.as_deref().map_or(ErrorKind::InvalidInput, Error::kind),
            Error::Import(e) => match e {
                ImportError::NotRecognised { .. } | ImportError::Elsewhere { .. } => ErrorKind::InvalidInput,
                ImportError::Pattern { .. } | ImportError::NoColumn { .. } | ImportError::Mapping { .. } => {
                    ErrorKind::InvalidInput
                }
                ImportError::Io { .. } => ErrorKind::Io,
                ImportError::Database { .. } => ErrorKind::Damaged,
                ImportError::Store(e) => store_kind(e),
                ImportError::Panicked { .. } => ErrorKind::Internal,
            },
        }
    }
}

// What the store said is told as such, whichever way it came.
impl From<ImportError> for Error {
    fn from(e: ImportError) -> Error {
        match e {
            ImportError::Store(e) => Error::Store(e),
            other => Error::Import(other),
        }
    }
}

impl From<ReportError> for Error {
    fn from(e: ReportError) -> Error {
        Error::Report(Box::new(e))
    }
}

/// The kind of an error of the store.
pub(crate) fn store_kind(e: &StoreError) -> ErrorKind {
    use StoreError as S;
    match e {
        S::NotAStore { .. }
        | S::RunNotFound { .. }
        | S::ExperimentNotFound { .. }
        | S::BeforeHistory { .. }
        | S::NoState { .. } => ErrorKind::NotFound,
        S::NotEmpty { .. } | S::StoreExists { .. } | S::ExperimentExists { .. } => ErrorKind::AlreadyExists,
        S::NewerFormat { .. } => ErrorKind::NewerFormat,
        S::Damaged { .. } | S::UnsafeProperty { .. } | S::Schema { .. } => ErrorKind::Damaged,
        S::Io { .. } | S::Write(_) => ErrorKind::Io,
        S::AmbiguousRun { .. } | S::ParamConflict { .. } | S::Invalid(_) => ErrorKind::InvalidInput,
        S::Busy { .. } => ErrorKind::Busy,
        _ => ErrorKind::Internal,
    }
}
