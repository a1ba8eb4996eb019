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

/// A folder being filled beside its target. Dropped before [`AsideFolder::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct AsideFolder {
    /// `None` once it is published.
    beside: Option<PathBuf>,
    target: PathBuf,
}

impl AsideFolder {
    /// Begins a folder; the target does not exist or is empty.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let fail = |what: &str| Failure::new(format!("cannot write to '{}': {what}", path.display()));
        match std::fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(fail("there are files in it already").hint("name a new folder, or remove that one"));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail(&e.to_string())),
        }
        let hint = "name a folder in one that exists and may be written to";
        // Without the slash that it may end in.
        let target: PathBuf = path.components().collect();
        let name = target.file_name().ok_or_else(|| fail("it has no name").hint(hint))?;
        let beside = target.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        std::fs::create_dir(&beside).map_err(|e| fail(&e.to_string()).hint(hint))?;
        Ok(AsideFolder { beside: Some(beside), target })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.beside.as_deref().expect("it is not published yet")
    }

    /// Gives the folder its name.
    pub fn publish(mut self) -> io::Result<()> {
        let beside = self.beside.take().expect("it is published once");
        // One call for all files in it: a sync for each would take longer than the rest.
        let published = File::open(&beside)
            .and_then(|folder| Ok(rustix::fs::syncfs(&folder)?))
            // An empty folder of that name is replaced.
            .and_then(|()| std::fs::rename(&beside, &self.target));
        if published.is_err() {
            let _ = std::fs::remove_dir_all(&beside);
        }
        published
    }
}

impl Drop for AsideFolder {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = std::fs::remove_dir_all(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let fill = |folder: &AsideFolder| std::fs::write(folder.path().join("a"), "half").unwrap();
        let folder = AsideFolder::create(&path).unwrap();
        fill(&folder);
        drop(folder);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-made is left");

        std::fs::create_dir(&path).unwrap();
        let folder = AsideFolder::create(&dir.path().join("out/")).unwrap();
        fill(&folder);
        folder.publish().unwrap();
        assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "half");
        assert!(AsideFolder::create(&path).unwrap_err().message.contains("files in it already"));
        assert!(AsideFolder::create(&path.join("a")).is_err());
        assert!(AsideFolder::create(&dir.path().join("missing/out")).is_err());
    }

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
