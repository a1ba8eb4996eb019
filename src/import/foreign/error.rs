//! Why a source as a whole cannot be taken in. What is wrong with a part of it is told as skipped.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Why a source as a whole cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Nothing there that can be imported.
    #[error("'{}' holds nothing that can be imported: no store of a tool known here", path.display())]
    NotRecognised {
        /// The path.
        path: PathBuf,
    },
    /// A server or a database elsewhere.
    #[error(
        "addresses that begin with '{scheme}' are not read: only folders and files of this machine, and SQLite databases"
    )]
    Elsewhere {
        /// How the address begins; the rest may hold a password.
        scheme: String,
    },
    /// It cannot be read.
    #[error("'{}' cannot be read: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The database cannot be read.
    #[error("'{}' cannot be read: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// No file is meant.
    #[error("'{pattern}': {reason}")]
    Pattern {
        /// What was said.
        pattern: String,
        /// Why it means nothing.
        reason: String,
    },
    /// A table lacks a column that was named.
    #[error("no column '{column}' in '{}'; it has {known}", path.display())]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// A mapping of columns cannot be read.
    #[error("'{}' is no mapping of columns: {reason}", path.display())]
    Mapping {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that reads the source is gone.
    #[error("reading '{}' ended with a panic: this is a bug", path.display())]
    Panicked {
        /// The source.
        path: PathBuf,
    },
}

impl ImportError {
    /// Whether something else was asked for than there is.
    pub fn is_usage(&self) -> bool {
        use ImportError::{Elsewhere, Mapping, NoColumn, NotRecognised, Pattern};
        matches!(self, NotRecognised { .. } | Elsewhere { .. } | Pattern { .. } | NoColumn { .. } | Mapping { .. })
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
        |source| ImportError::Io { path: path.to_path_buf(), source }
    }

    pub(super) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> ImportError + '_ {
        |source| ImportError::Database { path: path.to_path_buf(), source }
    }
}
