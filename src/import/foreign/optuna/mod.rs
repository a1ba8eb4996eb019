//! Optuna's relational storage, in SQLite: a study is an experiment, a trial is a run.
//!
//! Trials have no ids but numbers, so ids are derived from what a study keeps for life: its name, the moment when the
//! first of its trials began, and the number of the trial. A database that is moved or copied gives the same ids, and two
//! databases with a study of one name give different ones.

mod distribution;
mod reader;
mod study;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::sqlite::{self, Schema};
use super::tree::{self, Is};
use super::{Holdings, ImportError, Out, Source, SourceKind, unreadable};

/// A database of Optuna.
#[derive(Debug)]
struct Database {
    path: PathBuf,
}

/// Finds storages of Optuna at a path: a database, or a folder with some in it.
pub fn detect(path: &Path, found: &mut Vec<Arc<dyn Source>>) -> Result<(), ImportError> {
    let meta = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(ImportError::io(path))?,
    };
    if meta.is_file() {
        found.extend(Database::recognise(path)?.map(|database| Arc::new(database) as Arc<dyn Source>));
        return Ok(());
    }
    for name in tree::list(path).map_err(ImportError::io(path))? {
        let endings = [".db", ".sqlite", ".sqlite3"];
        if matches!(name.is, Is::File(_)) && endings.iter().any(|ending| name.name.ends_with(ending)) {
            let inside = path.join(&name.name);
            match Database::recognise(&inside) {
                Ok(database) => found.extend(database.map(|database| Arc::new(database) as Arc<dyn Source>)),
                Err(e) => unreadable::note(&inside, &e, found),
            }
        }
    }
    Ok(())
}

impl Database {
    fn recognise(path: &Path) -> Result<Option<Database>, ImportError> {
        if !sqlite::is_database(path).map_err(ImportError::io(path))? {
            return Ok(None);
        }
        let schema = sqlite::open(path).and_then(|db| Schema::read(&db)).map_err(ImportError::database(path))?;
        let is_ours = schema.has("studies", "study_name")
            && schema.has("trials", "study_id")
            && schema.has("trial_params", "distribution_json");
        Ok(is_ours.then(|| Database { path: path.to_path_buf() }))
    }
}

impl Source for Database {
    fn kind(&self) -> SourceKind {
        SourceKind::OptunaDatabase
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        let count = |db: &Connection, table: &str| {
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        let holdings = sqlite::open(&self.path).and_then(|db| {
            Ok(Holdings { experiments: count(&db, "studies")? as u64, runs: count(&db, "trials")? as u64 })
        });
        holdings.map_err(ImportError::database(&self.path))
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        sqlite::fingerprint(&self.path)
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        let place = std::path::absolute(&self.path).map_err(ImportError::io(&self.path))?;
        let walk = |out: &mut Out<'_>| {
            let db = sqlite::open(&self.path)?;
            let schema = Schema::read(&db)?;
            reader::Reader { db: &db, schema: &schema, place: &place }.all(out)?;
            schema.tell_altered(out);
            Ok(())
        };
        walk(out).map_err(ImportError::database(&self.path))
    }
}
