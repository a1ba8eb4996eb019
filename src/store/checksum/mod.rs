//! Checksums inside the files of tables, where other engines do not mind them: a bit that flips on a disk becomes an error, never
//! another answer.
//!
//! Cuts, batches and counts of keys end with the digest of their content ([`json`]), data files and Delta checkpoints have a
//! block of checksums before their footer ([`parquet`]), and commits say their own digest ([`commit`]). Files of other engines
//! have none, and are read as they are.

pub mod commit;
pub mod json;
pub mod parquet;

use std::borrow::Cow;
use std::io;

use bytes::Bytes;

use super::io::Io;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A power cut on a file system that does not sync leaves an empty commit, which would read as a commit of nothing: rows
    /// would vanish without a word.
    #[error("the commit is empty")]
    Empty,
    /// The content is not what the digest was made of.
    #[error("its digest is not that of its content")]
    Digest,
    /// Some bytes are not those that were written.
    #[error("bytes {begin} to {end} do not fit their checksum")]
    Bytes {
        /// The first byte.
        begin: u64,
        /// The byte after the last.
        end: u64,
    },
    /// The log says that there are checksums.
    #[error("its checksums are gone")]
    Gone,
    /// The checksums themselves cannot be.
    #[error("its checksums do not cover it")]
    Cover,
}

/// Whether a file of a Delta log carries what [`check_log`] looks at: those that are read as a whole, and are small.
pub fn is_log(path: &str) -> bool {
    is_commit(path) || is_checkpoint(path)
}

fn is_commit(path: &str) -> bool {
    path.contains("_delta_log/") && path.ends_with(".json")
}

fn is_checkpoint(path: &str) -> bool {
    path.contains("_delta_log/") && path.ends_with(".checkpoint.parquet")
}

/// The content of a new file, with what [`check_log`] looks at where it is one of a Delta log.
pub fn stamped<'a>(path: &str, content: &'a [u8]) -> Cow<'a, [u8]> {
    if is_commit(path) {
        return commit::stamped(content);
    }
    if is_checkpoint(path) {
        return parquet::with_one_sum(content).map_or(Cow::Borrowed(content), Cow::Owned);
    }
    Cow::Borrowed(content)
}

/// Reads a file of a Delta log, which must be as it was written.
pub fn read_log(io: &dyn Io, path: &str) -> io::Result<Bytes> {
    let content = io.read(path)?;
    check_log(path, &content).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(content)
}

/// Checks the whole content of a file of a Delta log.
pub fn check_log(path: &str, content: &[u8]) -> Result<(), Mismatch> {
    if is_commit(path) {
        return commit::check(content);
    }
    parquet::check(content)
}
