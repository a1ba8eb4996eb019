//! Damaged files are kept, under `live/damaged/`.

use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::layout;

/// Keeps a copy of a damaged file; gives its path. One that is there already is not made twice.
pub fn copy(io: &dyn Io, path: &str, content: &[u8]) -> Result<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut aside = format!("{}/{name}", layout::DAMAGED);
    for again in 2.. {
        match io.create(&aside, &[content]) {
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                if io.read(&aside).is_ok_and(|there| there[..] == *content) {
                    break;
                }
                aside = format!("{}/{name}.{again}", layout::DAMAGED);
            }
            Err(e) => return Err(StoreError::io(aside)(e)),
        }
    }
    Ok(aside)
}

/// Takes a damaged file away; gives the path of the copy that stays.
pub fn take(io: &dyn Io, path: &str) -> Result<String> {
    let content = io.read(path).map_err(StoreError::io(path))?;
    let aside = copy(io, path, &content)?;
    io.remove(path).map_err(StoreError::io(path))?;
    Ok(aside)
}
