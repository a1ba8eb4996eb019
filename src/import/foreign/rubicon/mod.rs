//! rubicon-ml: a folder with one `metadata.json` for each project, experiment, and part of an experiment.
//!
//! ```text
//! <root>/<project>/metadata.json
//!                  artifacts/ dataframes/                       of the project itself
//!                  experiments/<id>/metadata.json  tags_*.json  comments_*.json
//!                                   parameters/ metrics/ features/ <slug>/metadata.json ...
//!                                   artifacts/ dataframes/ <id>/{metadata.json,data}
//! ```
//!
//! Slugs have lost their punctuation, so every name is that in the JSON. A project is an experiment here, an experiment
//! is a run. What has no column is in tables of the run: [`tables`].

mod edits;
mod entity;
mod root;
mod run;
mod tables;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;
use std::sync::Arc;

use super::tree::{self, Is};
use super::{ImportError, Source};

/// The tag of a run that was made for the files of a project.
const PROJECT_FILES: &str = "rubicon.project_files";

/// Finds folders of rubicon-ml at a path: a root, a project in one, or a folder with roots in it.
pub fn detect(path: &Path, found: &mut Vec<Arc<dyn Source>>) -> Result<(), ImportError> {
    if !path.is_dir() {
        return Ok(());
    }
    if root::is_project(path) {
        found.push(Arc::new(root::Root::of_project(path)));
        return Ok(());
    }
    if root::is_root(path) {
        found.push(Arc::new(root::Root::new(path)));
        return Ok(());
    }
    for name in tree::list(path).map_err(ImportError::io(path))? {
        let inside = path.join(&name.name);
        if name.is == Is::Folder && root::is_root(&inside) {
            found.push(Arc::new(root::Root::new(&inside)));
        }
    }
    Ok(())
}
