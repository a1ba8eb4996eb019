//! A source as a store of its own, in a folder for such things: to be queried in place, and read again only where it
//! has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Files, ImportError, ImportReport, IntakeOptions, Skipped, Source, import};
use crate::model::unique;
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
    /// What of the source is not in it, whenever it was read.
    pub lost: Vec<Skipped>,
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
            return Ok(Cached { store, read: None, lost: lost(&mirror.join(COMPLETE))? });
        }
        std::fs::create_dir_all(&home).map_err(ImportError::io(&home))?;
        let making = home.join(format!("{MAKING}{}", unique::name()));
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
        let lost = report.skipped.iter().filter(|skipped| skipped.is_loss).cloned().collect();
        Ok(Cached { store: Store::open(mirror.join(STORE))?, read: Some(report), lost })
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
    // The first line is for people; then what could not be read, which is told each time.
    let mut note = format!("{}\n", source.place().display());
    for Skipped { place, reason, .. } in report.skipped.iter().filter(|skipped| skipped.is_loss) {
        note += &format!("{}\n", serde_json::json!([place, reason]));
    }
    let complete = folder.join(COMPLETE);
    std::fs::write(&complete, note).map_err(ImportError::io(&complete))?;
    Ok(report)
}

/// What could not be read when a mirror was made.
fn lost(complete: &Path) -> Result<Vec<Skipped>, ImportError> {
    let note = std::fs::read_to_string(complete).map_err(ImportError::io(complete))?;
    let lines = note.lines().skip(1).filter_map(|line| serde_json::from_str::<(String, String)>(line).ok());
    Ok(lines.map(|(place, reason)| Skipped { place, reason, is_loss: true }).collect())
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

#[cfg(test)]
mod tests {
    use super::super::testing::{only_source, write};
    use super::*;

    #[tokio::test]
    async fn what_could_not_be_read_is_told_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("a.csv");
        write(&table, "lr,auc\n0.1,0.5\n0.2\n");
        let source = only_source(&table);
        let open = || Cached::open(&source, dir.path(), |_| ());
        let first = open().await.unwrap();
        assert_eq!((first.lost.len(), first.read.is_some()), (1, true), "{:?}", first.lost);
        let second = open().await.unwrap();
        assert_eq!((second.lost, second.read.is_some()), (first.lost, false));
    }
}
