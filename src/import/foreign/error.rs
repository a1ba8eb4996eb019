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
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
        |source| ImportError::Io { path: path.to_path_buf(), source }
    }

    pub(super) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> ImportError + '_ {
        |source| ImportError::Database { path: path.to_path_buf(), source }
    }
}
