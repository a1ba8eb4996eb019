//! Every file operation of a store, behind one trait, so that tests can fail, delay or lose any of them and a store can
//! live elsewhere than on a local disk.
//!
//! Paths are relative to the store, with `/` between their parts. What each method promises to survive is said there.

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use crate::model::Micros;

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub len: u64,
    /// When it was last written.
    pub modified: Micros,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last part of its path.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Size and age; zero for folders.
    pub stat: Stat,
}

/// The file operations of a store.
pub trait Io: Debug + Send + Sync + 'static {
    /// Reads a whole file.
    fn read(&self, path: &str) -> io::Result<Bytes>;

    /// Reads a part of a file; an error when the file is shorter.
    fn read_range(&self, path: &str, range: Range<u64>) -> io::Result<Bytes>;

    /// Reads several parts of a file.
    fn read_ranges(&self, path: &str, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.read_range(path, range.clone())).collect()
    }

    /// Opens a file for reading piece by piece.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Size and age of a file.
    fn stat(&self, path: &str) -> io::Result<Stat>;

    /// What lies directly in a folder, in no order; empty when there is no such folder.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>>;

    /// Makes a file that must not exist yet (`AlreadyExists`), all of it or nothing.
    ///
    /// On return content and name survive a power cut. Of several callers at once one wins.
    fn create(&self, path: &str, content: &[&[u8]]) -> io::Result<()>;

    /// Like [`Io::create`], with content from a reader; gives the number of bytes.
    fn create_from(&self, path: &str, content: &mut dyn Read) -> io::Result<u64>;

    /// Replaces a file, or makes it; a reader sees the old or the new content. On return it survives a power cut.
    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()>;

    /// Renames a file within the store, over nothing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Whether the removal survives a power cut is open.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a folder and what is in it.
    fn remove_dir(&self, path: &str) -> io::Result<()>;

    /// Makes a new file to append to, locked by this process and holding `head` from the moment it can be seen.
    fn append(&self, path: &str, head: &[u8]) -> io::Result<Box<dyn Append>>;

    /// Whether some process holds the lock of a file made by [`Io::append`].
    fn is_locked(&self, path: &str) -> io::Result<bool>;

    /// Takes an advisory lock, waiting when asked to; `None` when another holds it. Dropping the guard frees it.
    fn lock(&self, path: &str, wait: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>>;
}

/// A file that only grows.
pub trait Append: Debug + Send + Sync {
    /// Writes at the end; on an error nothing of it is left where that could be arranged. On success the bytes survive
    /// the death of the process.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Whether the file still has its name.
    fn is_linked(&self) -> io::Result<bool>;

    /// Reads back from an offset to the end, also when the file has lost its name.
    fn read_from(&self, offset: u64) -> io::Result<Vec<u8>>;

    /// Tells other hosts that the writer is alive.
    fn touch(&self) -> io::Result<()>;
}

/// A store in a folder of the local file system.
#[derive(Debug)]
pub struct LocalIo {
    root: PathBuf,
    // What was synced, in order: files by their final name, and folders.
    #[cfg(test)]
    pub(super) synced: std::sync::Mutex<Vec<PathBuf>>,
}

static ASIDE: AtomicU64 = AtomicU64::new(0);

impl LocalIo {
    /// The store in this folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalIo {
            root: root.into(),
            #[cfg(test)]
            synced: Default::default(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        debug_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
        self.root.join(path)
    }

    fn sync_file(&self, file: &File, _name: &Path) -> io::Result<()> {
        file.sync_all()?;
        #[cfg(test)]
        self.synced.lock().unwrap().push(_name.to_path_buf());
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync_file(&File::open(dir)?, dir)
    }

    /// Makes a folder and those above it, each name synced.
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.create_dirs(parent)?;
            match fs::create_dir(dir) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            // An empty parent is the working folder, which somebody else made.
            if !parent.as_os_str().is_empty() {
                self.sync_dir(parent)?;
            }
        }
        Ok(())
    }

    /// Runs `write` on a new file beside `target`, syncs it, gives it its name by `publish`, and syncs the folder.
    fn publish<T>(
        &self,
        target: &Path,
        write: impl FnOnce(&mut File) -> io::Result<T>,
        publish: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<T> {
        let dir = target.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        let aside = aside_name(dir);
        let mut file = File::create_new(&aside)?;
        let result = (|| {
            let result = write(&mut file)?;
            self.sync_file(&file, target)?;
            publish(&aside, target)?;
            Ok(result)
        })();
        match &result {
            // After a link both names exist; after a rename the first is gone.
            Ok(_) => {
                let _ = fs::remove_file(&aside);
                self.sync_dir(dir)?;
            }
            Err(_) => {
                let _ = fs::remove_file(&aside);
            }
        }
        result
    }
}

/// Half-made files start so; `gc` removes them once they are old.
pub const ASIDE_PREFIX: &str = ".tmp-";

fn aside_name(dir: &Path) -> PathBuf {
    let n = ASIDE.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("{ASIDE_PREFIX}{}-{n}-{}", std::process::id(), uuid::Uuid::new_v4().simple()))
}

fn read_at(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let mut buffer = vec![0; range.end.saturating_sub(range.start) as usize];
    file.read_exact_at(&mut buffer, range.start)?;
    Ok(buffer.into())
}

fn micros(time: SystemTime) -> Micros {
    Micros(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as i64)
}

impl Io for LocalIo {
    fn read(&self, path: &str) -> io::Result<Bytes> {
        fs::read(self.path(path)).map(Bytes::from)
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        read_at(&File::open(self.path(path))?, range)
    }

    fn read_ranges(&self, path: &str, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let file = File::open(self.path(path))?;
        ranges.iter().map(|range| read_at(&file, range.clone())).collect()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path(path))?))
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        let meta = fs::metadata(self.path(path))?;
        Ok(Stat { len: meta.len(), modified: micros(meta.modified()?) })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let entries = match fs::read_dir(self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) => found.push(Entry {
                    name,
                    is_dir: meta.is_dir(),
                    stat: Stat { len: meta.len(), modified: micros(meta.modified()?) },
                }),
                // Removed since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    fn create(&self, path: &str, content: &[&[u8]]) -> io::Result<()> {
        let write = |file: &mut File| content.iter().try_for_each(|part| file.write_all(part));
        self.publish(&self.path(path), write, |aside, target| fs::hard_link(aside, target))
    }

    fn create_from(&self, path: &str, content: &mut dyn Read) -> io::Result<u64> {
        let write = |file: &mut File| io::copy(content, file);
        self.publish(&self.path(path), write, |aside, target| fs::hard_link(aside, target))
    }

    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()> {
        self.publish(&self.path(path), |file| file.write_all(content), |aside, target| fs::rename(aside, target))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        let dir = to.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        fs::hard_link(&from, &to)?;
        fs::remove_file(&from)?;
        self.sync_dir(dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir_all(self.path(path))
    }

    fn append(&self, path: &str, head: &[u8]) -> io::Result<Box<dyn Append>> {
        let target = self.path(path);
        let dir = target.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        // Locked and headed before it gets its name: nobody sees an open segment that looks abandoned or empty.
        let aside = aside_name(dir);
        let mut file = File::options().read(true).write(true).create_new(true).open(&aside)?;
        let ready = (|| {
            file.lock()?;
            file.write_all(head)?;
            self.sync_file(&file, &target)?;
            fs::hard_link(&aside, &target)
        })();
        let _ = fs::remove_file(&aside);
        ready?;
        self.sync_dir(dir)?;
        Ok(Box::new(LocalAppend { file, len: AtomicU64::new(head.len() as u64) }))
    }

    fn is_locked(&self, path: &str) -> io::Result<bool> {
        match File::open(self.path(path))?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn lock(&self, path: &str, wait: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let path = self.path(path);
        self.create_dirs(path.parent().expect("a path in a store has a folder"))?;
        let file = File::options().read(true).append(true).create(true).open(path)?;
        if wait {
            file.lock()?;
        } else {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        Ok(Some(Box::new(file)))
    }
}

#[derive(Debug)]
struct LocalAppend {
    file: File,
    // Written by one thread at a time, the one that holds the writer's lock.
    len: AtomicU64,
}

impl Append for LocalAppend {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let len = self.len.load(Ordering::Relaxed);
        if let Err(e) = self.file.write_all_at(bytes, len) {
            // Half a record must not stand before the next one. Where even this fails, the next write goes over it.
            let _ = self.file.set_len(len);
            return Err(e);
        }
        self.len.store(len + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let io = LocalIo::new(dir.path());
        io.create("a/b", &[b"one"]).unwrap();
        assert_eq!(io.create("a/b", &[b"two"]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(&io.read("a/b").unwrap()[..], b"one");
        io.replace("a/b", b"three").unwrap();
        assert_eq!(&io.read_range("a/b", 1..3).unwrap()[..], b"hr");
        let names: Vec<_> = io.list("a").unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["b"], "no half-made file is left");
    }

    #[test]
    fn an_appended_file_is_locked_while_its_writer_lives() {
        let dir = tempfile::tempdir().unwrap();
        let io = LocalIo::new(dir.path());
        let file = io.append("live/x", b"head").unwrap();
        file.write(b"+1").unwrap();
        assert!(io.is_locked("live/x").unwrap());
        assert!(file.is_linked().unwrap());
        io.remove("live/x").unwrap();
        assert!(!file.is_linked().unwrap());
        assert_eq!(file.read_from(4).unwrap(), b"+1");
    }
}
