//! Which store a command is about.

use std::path::{Path, PathBuf};

use runlake::{AsOf, SessionOptions, Store, WriterOptions};

use super::Failure;

/// Name of the folder that is looked for upwards.
pub const FOLDER: &str = ".runlake";
/// Variable that names the store.
pub const VARIABLE: &str = "RUNLAKE_STORE";

/// Which store a command is about, before it is opened.
#[derive(Debug, Clone)]
pub struct Place {
    asked: Option<PathBuf>,
}

/// Which state of a store is read.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Past {
    /// Reads a sealed state of the past: that of a time (2026-11-23, 2026-11-23T09:30:00Z) or of a number (12;
    /// `runlake history` lists them)
    #[arg(long, value_name = "TIME|STATE")]
    pub as_of: Option<AsOf>,
}

impl Past {
    /// A session over it, else over the newest with what is live.
    pub fn options(&self) -> SessionOptions {
        SessionOptions { as_of: self.as_of, ..SessionOptions::default() }
    }

    /// Seals first what has piled up live, if that is read: this command would decode all of it, and so would the next. A store
    /// that may not be written, or is on a full disk, is read as it is.
    pub async fn prepare(&self, store: &Store) {
        if self.as_of.is_none() {
            let _ = store.seal_if_large().await;
        }
    }
}

impl Place {
    /// The store that `--store` named, if it did.
    pub fn new(asked: Option<PathBuf>) -> Self {
        Place { asked }
    }

    /// What `--store` named.
    pub fn asked(&self) -> Option<&Path> {
        self.asked.as_deref()
    }

    /// The folder: what was asked for, else the variable, else the nearest `.runlake` upwards.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.asked {
            return Ok(path.clone());
        }
        if let Some(path) = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
            return Ok(path.into());
        }
        let here = std::env::current_dir()?;
        nearest(&here).ok_or_else(|| {
            Failure::usage(format!("no store here: '{}' and the folders above have no {FOLDER}", here.display()))
                .hint("`runlake init` makes one here, `runlake demo` makes one with sample runs")
                .hint(format!("`--store DIR` or {VARIABLE} name one elsewhere"))
        })
    }

    /// Opens the store.
    pub fn open(&self) -> Result<Store, Failure> {
        self.open_with(WriterOptions::default())
    }

    /// Opens the store for writing as told.
    pub fn open_with(&self, options: WriterOptions) -> Result<Store, Failure> {
        Ok(Store::open_with(self.path()?, options)?)
    }
}

fn nearest(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|dir| dir.join(FOLDER)).find(|dir| dir.join("runlake.json").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_store_upwards_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("a"), dir.path().join("a/b/c"));
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(nearest(&inner), None);
        Store::create(outer.join(FOLDER)).unwrap();
        assert_eq!(nearest(&inner), Some(outer.join(FOLDER)));
        std::fs::create_dir(inner.join(FOLDER)).unwrap();
        assert_eq!(nearest(&inner), Some(outer.join(FOLDER)), "a folder that is no store does not count");
        Store::open(outer.join(FOLDER)).unwrap();
        Store::create(inner.join(FOLDER)).unwrap();
        assert_eq!(nearest(&inner), Some(inner.join(FOLDER)));
    }
}
