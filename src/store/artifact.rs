//! Files of a run: copied, with a digest, under names that cannot leave the run's folder.

use std::io::{self, Read};

use super::error::{Result, StoreError};
use super::io::{ASIDE_PREFIX, Io};
use super::{Store, layout};
use crate::model::{ArtifactEntry, RunId, unique};

/// Reads a file of a run.
pub type ArtifactReader = Box<dyn Read + Send>;

impl Store {
    /// Opens a file of a run; `uri` is the column of `artifacts`.
    pub fn open_artifact(&self, uri: &str) -> Result<ArtifactReader> {
        let inside = uri.strip_prefix(layout::ARTIFACTS).and_then(|rest| rest.strip_prefix('/'));
        if !inside.is_some_and(is_safe) {
            return Err(StoreError::Invalid(format!("'{uri}' does not name a file of a run")));
        }
        self.io().open(uri).map_err(StoreError::io(uri))
    }
}

fn is_safe(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 200)
        && !path.chars().any(|c| c.is_control() || c == '\\')
}

/// Whether a file of a run may have this name.
pub(crate) fn check_artifact_path(path: &str) -> Result<()> {
    if is_safe(path) && path.len() <= 1000 {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "'{}' cannot name an artifact: it is a relative path of parts up to 200 bytes, without '..', backslashes or \
         control characters",
        path.escape_debug().take(200).collect::<String>()
    )))
}

/// Copies content to its place, durable on return.
pub fn put(io: &dyn Io, run: &RunId, path: &str, content: &mut dyn Read) -> Result<ArtifactEntry> {
    check_artifact_path(path)?;
    let mut digesting = Digesting { content, hash: blake3::Hasher::new() };
    // Content is written before its name is known to be free: it may be a stream that can be read only once.
    let aside = layout::artifact(run, &format!("{ASIDE_PREFIX}{}", unique::name()));
    let size = io.create_from(&aside, &mut digesting).map_err(StoreError::io(layout::artifact(run, path)))?;
    let digest = digesting.hash.finalize().to_hex().to_string();
    let uri = place(io, &aside, run, path, &digest)?;
    Ok(ArtifactEntry { path: path.to_string(), uri, size: size as i64, digest, mime: mime(path).map(str::to_string) })
}

/// Gives the content its name. What an earlier file of that name held stays readable for states of the past: other
/// content gets a name with its digest. So does a file whose name is that of a folder here, or that lies in a "folder"
/// which is a file here: names of a run need not fit a tree.
fn place(io: &dyn Io, aside: &str, run: &RunId, path: &str, digest: &str) -> Result<String> {
    let uri = layout::artifact(run, path);
    let by_digest = layout::artifact(run, &format!("~{digest}"));
    for target in [uri.clone(), format!("{uri}~{}", &digest[..12]), by_digest] {
        match io.rename(aside, &target) {
            Ok(()) => return Ok(target),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match digest_of(io, &target) {
                Ok(found) if found == digest => {
                    io.remove(aside).map_err(StoreError::io(aside))?;
                    return Ok(target);
                }
                Ok(_) => {}
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::IsADirectory => {}
                Err(e) => return Err(e),
            },
            Err(e) if matches!(e.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory) => {}
            Err(e) => return Err(StoreError::io(target)(e)),
        }
    }
    Err(StoreError::damaged(uri, "has a file of its name and digest with other content beside it"))
}

/// blake3 of a file, 64 hex digits.
pub fn digest_of(io: &dyn Io, path: &str) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    let mut file = io.open(path).map_err(StoreError::io(path))?;
    io::copy(&mut file, &mut hash).map_err(StoreError::io(path))?;
    Ok(hash.finalize().to_hex().to_string())
}

struct Digesting<'a> {
    content: &'a mut dyn Read,
    hash: blake3::Hasher,
}

impl Read for Digesting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

pub(super) fn mime(path: &str) -> Option<&'static str> {
    let extension = path.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "csv" => "text/csv",
        "gz" => "application/gzip",
        "html" => "text/html",
        "jpg" | "jpeg" => "image/jpeg",
        "json" => "application/json",
        "log" | "txt" => "text/plain",
        "md" => "text/markdown",
        "parquet" => "application/vnd.apache.parquet",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "py" => "text/x-python",
        "svg" => "image/svg+xml",
        "toml" => "application/toml",
        "yaml" | "yml" => "application/yaml",
        "zip" => "application/zip",
        _ => return None,
    })
}
