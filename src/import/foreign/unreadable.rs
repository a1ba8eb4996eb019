//! A file in a folder that looks like a store of a tool and cannot be opened: it must not hide the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Holdings, ImportError, Out, Source, SourceKind, fingerprint};

/// A file that cannot be opened.
#[derive(Debug)]
struct Unreadable {
    path: PathBuf,
    reason: String,
}

/// Notes a file, unless another look at it was noted already.
pub fn note(path: &Path, error: &ImportError, found: &mut Vec<Arc<dyn Source>>) {
    if !found.iter().any(|source| source.place() == path) {
        found.push(Arc::new(Unreadable { path: path.to_path_buf(), reason: error.to_string() }));
    }
}

impl Source for Unreadable {
    fn kind(&self) -> SourceKind {
        SourceKind::Unreadable
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        Ok(Holdings::default())
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        fingerprint::of([self.path.as_path()])
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        out.skip(self.path.display(), &self.reason);
        Ok(())
    }
}
