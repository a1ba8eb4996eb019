//! A source as a store of its own, in a folder for such things: to be queried in place, and read again only where it
//! has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Files, ImportError, ImportReport, IntakeOptions, Source, import};
use crate::store::Store;

/// Bumped when the same files are read as something else.
const READER: u32 = 2;

/// A store that mirrors a source.
#[derive(Debug)]
pub struct Cached {
    /// The store; it is read, not written to.
    pub store: Store,
    /// What the last reading of the source found; `None` when nothing has changed since.
    pub read: Option<ImportReport>,
}

impl Cached {
    /// The mirror of a source in a folder of mirrors, brought up to date.
    ///
    /// Files of runs stay where they are: `artifacts.uri` says where. A run that the source no longer has is gone from
    /// the mirror too.
    pub async fn open(
        source: &Arc<dyn Source>,
        folder: &Path,
        progress: impl FnMut(u64),
    ) -> Result<Cached, ImportError> {
        let place = std::path::absolute(source.place()).map_err(ImportError::io(source.place()))?;
        let key = format!("{READER}\n{}\n{}\n{}", source.kind(), place.display(), source.reading());
        let key = blake3::hash(key.as_bytes()).to_hex();
        // Taken before anything is read: what changes meanwhile is read the next time.
        let print = source.fingerprint()?;
        let home = folder.join(&key[..16]);
        let mirror = home.join(&print[..16]);
        if let Ok(store) = Store::open(mirror.join(STORE))
            && mirror.join(COMPLETE).is_file()
        {
            return Ok(Cached { store, read: None });
        }
        std::fs::create_dir_all(&home).map_err(ImportError::io(&home))?;
        let making = home.join(format!("{MAKING}{}", uuid::Uuid::new_v4().simple()));
        let made = make(source, &making, progress).await;
        let report = match made {
            Ok(report) => report,
            Err(e) => {
                let _ = std::fs::remove_dir_all(&making);
                return Err(e);
            }
        };
        match std::fs::rename(&making, &mirror) {
            Ok(()) => {}
            // Somebody else was faster, with the same content.
            Err(_) if mirror.join(COMPLETE).is_file() => drop(std::fs::remove_dir_all(&making)),
            Err(e) => return Err(ImportError::io(&mirror)(e)),
        }
        forget_older(&home, &mirror);
        Ok(Cached { store: Store::open(mirror.join(STORE))?, read: Some(report) })
    }
}

const STORE: &str = "store";
const COMPLETE: &str = "complete";
const MAKING: &str = ".making-";

async fn make(source: &Arc<dyn Source>, folder: &Path, progress: impl FnMut(u64)) -> Result<ImportReport, ImportError> {
    std::fs::create_dir_all(folder).map_err(ImportError::io(folder))?;
    let store = Store::create(folder.join(STORE))?;
    let options = IntakeOptions { files: Files::Leave, dry_run: false };
    let report = import(source, &store, options, progress).await?;
    store.seal().await?;
    let note = format!("{}\n", source.place().display());
    let complete = folder.join(COMPLETE);
    std::fs::write(&complete, note).map_err(ImportError::io(&complete))?;
    Ok(report)
}

/// Removes mirrors of earlier states, save the newest one, which somebody may be reading, and those still being made.
fn forget_older(home: &Path, newest: &Path) {
    let Ok(entries) = std::fs::read_dir(home) else { return };
    let age = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let mut others: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|path| path != newest).collect();
    let day = std::time::Duration::from_secs(24 * 3600);
    let is_abandoned = |path: &PathBuf| age(path).and_then(|t| t.elapsed().ok()).is_some_and(|age| age > day);
    let is_being_made = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(MAKING));
    others.retain(|path| !is_being_made(path) || is_abandoned(path));
    others.sort_by_key(age);
    others.pop();
    for old in others {
        let _ = std::fs::remove_dir_all(old);
    }
}
