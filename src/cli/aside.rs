//! A file that appears under its name only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::Failure;

/// A file being written beside its target. Dropped before [`Aside::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Aside {
    // Taken when published.
    file: Option<BufWriter<File>>,
    /// Where it is written; `None` where the target takes writes itself, as a pipe or a device does.
    beside: Option<PathBuf>,
    target: PathBuf,
}

impl Aside {
    /// Begins a file, so that a path which cannot be written is known before any work is done.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let fail = |e: io::Error| {
            Failure::new(format!("cannot write '{}': {e}", path.display()))
                .hint("name a file in a folder that exists and may be written to")
        };
        // A link stays one; what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Ok(meta) = target.metadata() {
            let kind = meta.file_type();
            if kind.is_dir() {
                return Err(fail(io::ErrorKind::IsADirectory.into()));
            }
            if kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
                let file = File::options().write(true).open(&target).map_err(fail)?;
                return Ok(Aside { file: Some(BufWriter::new(file)), beside: None, target });
            }
        }
        let name = target.file_name().ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
        let beside = target.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let file = File::create(&beside).map_err(fail)?;
        if let Ok(meta) = target.metadata() {
            // Best effort: whoever may not set them gets a file with their own.
            let _ = file.set_permissions(meta.permissions());
        }
        Ok(Aside { file: Some(BufWriter::new(file)), beside: Some(beside), target })
    }

    /// Gives the file its name.
    pub fn publish(mut self) -> io::Result<()> {
        let file = self.file.take().expect("it is published once");
        let file = file.into_inner().map_err(|e| e.into_error())?;
        if let Some(beside) = &self.beside {
            file.sync_all()?;
            std::fs::rename(beside, &self.target)?;
            self.beside = None;
        }
        Ok(())
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().expect("it is not published yet").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().expect("it is not published yet").flush()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = std::fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();

        let mut file = Aside::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");

        let mut file = Aside::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        file.publish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-made is left");

        assert!(Aside::create(dir.path()).unwrap_err().message.contains("directory"));
        assert!(Aside::create(&dir.path().join("missing/out.csv")).is_err());
        Aside::create(Path::new("/dev/null")).unwrap().publish().unwrap();
    }
}
