//! Logged files, by size and digest.

use super::VerifyReport;
use crate::store::artifact::digest_of;
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::live::Live;

/// A logged file, as a table or a live record has it.
#[derive(Debug)]
pub struct Logged {
    /// Where it is, relative to the store.
    pub uri: String,
    /// Size in bytes.
    pub size: u64,
    /// blake3 of the content.
    pub digest: String,
    /// Whose it is.
    pub run: String,
    /// Its name in the run.
    pub path: String,
}

/// Checks the files that live records name.
pub fn live(io: &dyn Io, live: &Live, report: &mut VerifyReport) -> Result<()> {
    for state in live.states.values() {
        for a in state.artifacts() {
            let file = Logged {
                uri: a.uri.clone(),
                size: a.size as u64,
                digest: a.digest.clone(),
                run: state.run().to_string(),
                path: a.path.clone(),
            };
            check(io, &file, report)?;
        }
    }
    Ok(())
}

/// Checks one logged file by size and digest.
pub fn check(io: &dyn Io, file: &Logged, report: &mut VerifyReport) -> Result<()> {
    let holds = format!("the file '{}' of run '{}', {} bytes", file.path, file.run, file.size);
    let size = match io.stat(&file.uri) {
        Ok(stat) => stat.len,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            report.find(&file.uri, "is missing", holds);
            return Ok(());
        }
        Err(e) => return Err(StoreError::io(&file.uri)(e)),
    };
    if size != file.size {
        report.find(&file.uri, format!("has {size} bytes, not {}", file.size), holds);
        return Ok(());
    }
    let digest = digest_of(io, &file.uri)?;
    if digest != file.digest {
        report.find(&file.uri, format!("is damaged: digest {} logged, {digest} computed", file.digest), holds);
    }
    report.read(size as usize);
    Ok(())
}
