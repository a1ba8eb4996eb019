//! Files of runs, copied out of the store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::{FILES, RunsError};
use crate::model::{ArtifactEntry, RunId};
use crate::store::{Store, StoreError};

/// Whether an artifact was logged without its content.
pub(super) fn is_elsewhere(entry: &ArtifactEntry) -> bool {
    entry.uri.contains("://")
}

/// Copies the content of an artifact below the folder, and gives its path there.
pub(super) fn copy(store: &Store, folder: &Path, run: &RunId, entry: &ArtifactEntry) -> Result<String, RunsError> {
    // Names of a run need not fit a tree: one that is a folder here, or lies in a "folder" which is a file here, goes by
    // its digest.
    let names = [format!("{FILES}/{run}/{}", entry.path), format!("{FILES}/{run}/~{}", entry.digest)];
    let [name, other] = &names;
    match create(&folder.join(name)) {
        Ok(file) => filled(store, file, &folder.join(name), entry).map(|()| name.clone()),
        Err(_) => {
            let path = folder.join(other);
            match create(&path) {
                Ok(file) => filled(store, file, &path, entry).map(|()| other.clone()),
                // Two such artifacts may have one content.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(other.clone()),
                Err(e) => Err(RunsError::Io { path, source: e }),
            }
        }
    }
}

/// Whether an artifact lies in a file of this machine, beside the store.
pub(super) fn is_beside(entry: &ArtifactEntry) -> bool {
    entry.uri.starts_with("file:")
}

/// Copies the content of a file beside the store below the folder, and gives its path there with what it holds now; or why it
/// cannot be read.
pub(super) fn fetch(
    folder: &Path,
    run: &RunId,
    entry: &ArtifactEntry,
) -> Result<Result<(String, ArtifactEntry), String>, RunsError> {
    let source = url::Url::parse(&entry.uri).ok().and_then(|url| url.to_file_path().ok());
    let Some(source) = source else { return Ok(Err(format!("'{}' is no file", entry.uri))) };
    let unreadable = |e: io::Error| format!("'{}' cannot be read: {e}", source.display());
    let mut content = match open(&source) {
        Ok(content) => content,
        Err(e) => return Ok(Err(unreadable(e))),
    };
    let other = blake3::hash(entry.path.as_bytes()).to_hex();
    let mut name = format!("{FILES}/{run}/{}", entry.path);
    let mut file = create(&folder.join(&name));
    if file.is_err() {
        name = format!("{FILES}/{run}/~{other}");
        file = create(&folder.join(&name));
    }
    let path = folder.join(&name);
    let mut file = file.map_err(RunsError::io(&path))?;
    let (mut hash, mut size, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 1 << 16]);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&buffer[..n]);
                size += n as i64;
                file.write_all(&buffer[..n]).map_err(RunsError::io(&path))?;
            }
            Err(e) => {
                drop(std::fs::remove_file(&path));
                return Ok(Err(unreadable(e)));
            }
        }
    }
    let digest = hash.finalize().to_hex().to_string();
    Ok(Ok((name, ArtifactEntry { size, digest, ..entry.clone() })))
}

/// Opens a regular file and nothing else: a pipe would be waited for, a link may lead anywhere.
fn open(path: &Path) -> io::Result<File> {
    match std::fs::symlink_metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

fn create(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(path.parent().expect("it lies in a folder"))?;
    File::create_new(path)
}

/// Fills a file, or removes it.
fn filled(store: &Store, file: File, path: &Path, entry: &ArtifactEntry) -> Result<(), RunsError> {
    fill(store, file, path, entry).inspect_err(|_| drop(std::fs::remove_file(path)))
}

fn fill(store: &Store, mut file: File, path: &Path, entry: &ArtifactEntry) -> Result<(), RunsError> {
    let mut content = store.open_artifact(&entry.uri)?;
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = content.read(&mut buffer).map_err(StoreError::io(&entry.uri))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(RunsError::io(path))?;
    }
    let digest = hash.finalize().to_hex();
    if digest.as_str() != entry.digest {
        let problem = format!("is damaged: digest {} logged, {digest} computed", entry.digest);
        return Err(StoreError::damaged(&entry.uri, problem).into());
    }
    Ok(())
}
