//! MLflow, in both of its forms: what a run is in either, and what becomes of it here.
//!
//! | MLflow | here |
//! | --- | --- |
//! | params, tags, metrics | the same; a param's text is read as the number or truth value that it spells |
//! | `mlflow.*` tags that say who, what and where | fields of the run as well |
//! | other columns of a run | `environment`, as `mlflow.<column>` |
//! | data sets, logged models | `data_versions`, and in full in tables of the run: [`tables`] |

mod database;
mod files;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod names;
mod run;
mod tables;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use super::tree::{self, Is};
use super::{ImportError, Source, unreadable};

/// Finds stores of MLflow at a path: a database, an `mlruns` folder, or a folder with either in it.
pub fn detect(path: &Path, found: &mut Vec<Arc<dyn Source>>) -> Result<(), ImportError> {
    let meta = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(ImportError::io(path))?,
    };
    if meta.is_file() {
        if let Some(database) = database::Database::recognise(path)? {
            found.push(Arc::new(database));
        }
        return Ok(());
    }
    if files::is_root(path) {
        found.push(Arc::new(files::Folder::new(path)));
        return Ok(());
    }
    for name in tree::list(path).map_err(ImportError::io(path))? {
        let inside = path.join(&name.name);
        match name.is {
            Is::Folder if files::is_root(&inside) => found.push(Arc::new(files::Folder::new(&inside))),
            Is::File(_) if name.name.ends_with(".db") || name.name.ends_with(".sqlite") => {
                match database::Database::recognise(&inside) {
                    Ok(database) => found.extend(database.map(|database| Arc::new(database) as Arc<dyn Source>)),
                    Err(e) => unreadable::note(&inside, &e, found),
                }
            }
            _ => {}
        }
    }
    Ok(())
}
