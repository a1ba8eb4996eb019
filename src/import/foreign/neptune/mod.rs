//! The export that `neptune-exporter` made of Neptune before it was shut down: Parquet files, and the files of runs.
//!
//! ```text
//! <export>/data/<project>/<run>_part_<n>.parquet     one row per attribute, or per point of a series
//!          files/<project>/<path in file_value>
//! ```
//!
//! Folders and files have names that were made safe for a file system; what they are called stands in the rows. Part 0
//! is the last one that the exporter finishes, so a run without it is not whole. A project is an experiment here.

mod claims;
mod columns;
mod export;
mod files;
mod part;
mod run;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::tree::{self, Is};
use super::{ImportError, Source};

/// The tag of an experiment, and the entry in `environment` of a run, that say of which project it is.
const PROJECT: &str = "neptune.project_id";

/// Finds exports at a path: a folder with `data` and `files`, the folder `data` itself, or a folder with exports in it.
pub fn detect(path: &Path, found: &mut Vec<Arc<dyn Source>>) -> Result<(), ImportError> {
    if !path.is_dir() {
        return Ok(());
    }
    if let Some(export) = export::Export::recognise(path) {
        found.push(Arc::new(export));
        return Ok(());
    }
    for name in tree::list(path).map_err(ImportError::io(path))? {
        if name.is == Is::Folder
            && let Some(export) = export::Export::recognise(&path.join(&name.name))
        {
            found.push(Arc::new(export));
        }
    }
    Ok(())
}
