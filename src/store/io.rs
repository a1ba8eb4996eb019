//! Every file operation of a store, behind one trait, so that tests can fail, delay or lose any of them and a store can
//! live elsewhere than on a local disk.
//!
//! Paths are relative to the store, with `/` between their parts. What each method promises to survive is said there.

mod system;

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;

use crate::model::{Micros, unique};
use system::System;
pub(crate) use system::{FileSystem, OpenFile};

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
    /// On return content and name survive a power cut, also when somebody else had made it. Of several callers at once
    /// one wins.
    fn create(&self, path: &str, content: &[&[u8]]) -> io::Result<()>;

    /// Like [`Io::create`], with content from a reader; gives the number of bytes.
    fn create_from(&self, path: &str, content: &mut dyn Read) -> io::Result<u64>;

    /// Replaces a file, or makes it; a reader sees the old or the new content. On return it survives a power cut.
    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()>;

    /// Renames a file within the store, over nothing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes what is there survive a power cut, whoever put it there: the content of a file, or the names in a folder.
    ///
    /// To be called before something that will survive is built on what another process may have left unsynced.
    fn sync(&self, path: &str) -> io::Result<()>;

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
    system: Arc<dyn FileSystem>,
    // Folders whose names are known to survive a power cut. Only ever tried for: after a fork a thread of the parent may
    // hold the lock, and a folder that is not found here is merely synced once more.
    durable: Mutex<HashSet<PathBuf>>,
}

static ASIDE: AtomicU64 = AtomicU64::new(0);

impl LocalIo {
    /// The store in this folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalIo::over(Arc::new(System), root)
    }

    /// The store in a folder of any file system.
    pub(crate) fn over(system: Arc<dyn FileSystem>, root: impl Into<PathBuf>) -> Self {
        LocalIo { root: root.into(), system, durable: Mutex::default() }
    }

    fn path(&self, path: &str) -> PathBuf {
        debug_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
        self.root.join(path)
    }

    /// Makes a folder and those above it, each name synced.
    ///
    /// A folder that is there already may be one that another process has just made, or died over before it was synced:
    /// what is put into it would vanish with it. So its name is synced once by each process.
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let known = |dir: &Path| self.durable.try_lock().is_ok_and(|durable| durable.contains(dir));
        let exists = self.system.is_dir(dir);
        if exists && known(dir) {
            return Ok(());
        }
        let inside = dir != self.root && dir.starts_with(&self.root);
        let Some(parent) = dir.parent() else { return Ok(()) };
        if inside || !exists {
            self.create_dirs(parent)?;
        }
        if !exists {
            match self.system.create_dir(dir) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        // An empty parent is the working folder, which somebody else made.
        let mut durable = vec![dir.to_path_buf()];
        if !parent.as_os_str().is_empty() && (inside || !exists || dir == self.root) {
            // One sync does for all that lie there. Where folders are made one after the other, as those of runs, each would
            // look through all before it.
            if inside && exists {
                let beside = self.system.list(parent)?.into_iter().filter(|entry| entry.is_dir);
                durable.extend(beside.map(|entry| parent.join(entry.name)));
            }
            match self.system.sync_dir(parent) {
                // The folder that holds a store need not be ours to read.
                Err(e) if exists && !inside && e.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
        if let Ok(mut known) = self.durable.try_lock() {
            known.extend(durable);
        }
        Ok(())
    }

    /// Runs `write` on a new file beside `target`, syncs it, gives it its name by `publish`, and syncs the folder.
    fn publish<T>(
        &self,
        target: &Path,
        write: impl FnOnce(&dyn OpenFile) -> io::Result<T>,
        publish: impl FnOnce(&dyn FileSystem, &Path, &Path) -> io::Result<()>,
    ) -> io::Result<T> {
        let dir = target.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        let aside = aside_name(dir);
        let file = self.system.create(&aside)?;
        let result = (|| -> io::Result<T> {
            let result = write(file.as_ref())?;
            file.sync()?;
            publish(self.system.as_ref(), &aside, target)?;
            Ok(result)
        })();
        // After a link both names exist; after a rename the first is gone.
        let _ = self.system.remove(&aside);
        match &result {
            Ok(_) => self.system.sync_dir(dir)?,
            // Whoever made it may not have come to sync its name, and the caller will build on it.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.system.sync_dir(dir)?,
            Err(_) => {}
        }
        result
    }
}

/// Half-made files start so; `gc` removes them once they are old.
pub const ASIDE_PREFIX: &str = ".tmp-";

fn aside_name(dir: &Path) -> PathBuf {
    let n = ASIDE.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("{ASIDE_PREFIX}{}-{n}-{}", std::process::id(), unique::name()))
}

fn read_at(file: &dyn OpenFile, range: Range<u64>) -> io::Result<Bytes> {
    let mut buffer = vec![0; range.end.saturating_sub(range.start) as usize];
    system::read_exact_at(file, &mut buffer, range.start)?;
    Ok(buffer.into())
}

fn write_parts(file: &dyn OpenFile, parts: &[&[u8]]) -> io::Result<()> {
    let mut at = 0;
    for part in parts {
        file.write_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Copies all there is to read; gives the number of bytes.
fn write_from(file: &dyn OpenFile, content: &mut dyn Read) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(at),
            Ok(n) => {
                file.write_at(&buffer[..n], at)?;
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// An open file as a stream of bytes.
struct Reading {
    file: Box<dyn OpenFile>,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Io for LocalIo {
    fn read(&self, path: &str) -> io::Result<Bytes> {
        system::read_to_end(self.system.open(&self.path(path))?.as_ref(), 0).map(Bytes::from)
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        read_at(self.system.open(&self.path(path))?.as_ref(), range)
    }

    fn read_ranges(&self, path: &str, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let file = self.system.open(&self.path(path))?;
        ranges.iter().map(|range| read_at(file.as_ref(), range.clone())).collect()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Reading { file: self.system.open(&self.path(path))?, at: 0 }))
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        self.system.stat(&self.path(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        match self.system.list(&self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    fn create(&self, path: &str, content: &[&[u8]]) -> io::Result<()> {
        self.publish(&self.path(path), |file| write_parts(file, content), |system, a, b| system.link(a, b))
    }

    fn create_from(&self, path: &str, content: &mut dyn Read) -> io::Result<u64> {
        self.publish(&self.path(path), |file| write_from(file, content), |system, a, b| system.link(a, b))
    }

    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()> {
        self.publish(&self.path(path), |file| file.write_at(content, 0), |system, a, b| system.rename(a, b))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        let dir = to.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        match self.system.link(&from, &to) {
            Ok(()) => self.system.remove(&from)?,
            // As in `publish`.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.system.sync_dir(dir)?;
                return Err(e);
            }
            Err(e) => return Err(e),
        }
        self.system.sync_dir(dir)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        match self.system.is_dir(&path) {
            true => self.system.sync_dir(&path),
            false => self.system.open(&path)?.sync(),
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.system.remove(&self.path(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.system.remove_tree(&self.path(path))
    }

    fn append(&self, path: &str, head: &[u8]) -> io::Result<Box<dyn Append>> {
        let target = self.path(path);
        let dir = target.parent().expect("a path in a store has a folder");
        self.create_dirs(dir)?;
        // Locked and headed before it gets its name: nobody sees an open segment that looks abandoned or empty.
        let aside = aside_name(dir);
        let file = self.system.create(&aside)?;
        let ready = (|| {
            file.lock()?;
            file.write_at(head, 0)?;
            file.sync()?;
            self.system.link(&aside, &target)
        })();
        let _ = self.system.remove(&aside);
        ready?;
        if let Err(e) = self.system.sync_dir(dir) {
            // The caller will try again, with the same records in `head`: they must not be there twice.
            let _ = self.system.remove(&target);
            return Err(e);
        }
        let (len, torn) = (AtomicU64::new(head.len() as u64), AtomicBool::new(false));
        Ok(Box::new(LocalAppend { file, path: target, len, torn }))
    }

    fn is_locked(&self, path: &str) -> io::Result<bool> {
        Ok(!self.system.open(&self.path(path))?.try_lock_shared()?)
    }

    fn lock(&self, path: &str, wait: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let path = self.path(path);
        self.create_dirs(path.parent().expect("a path in a store has a folder"))?;
        let file = self.system.open_lock(&path)?;
        if wait {
            file.lock()?;
        } else if !file.try_lock()? {
            return Ok(None);
        }
        Ok(Some(Box::new(file)))
    }
}

#[derive(Debug)]
struct LocalAppend {
    file: Box<dyn OpenFile>,
    path: PathBuf,
    // Written by one thread at a time, the one that holds the writer's lock.
    len: AtomicU64,
    // Whether a part of a record may stand behind `len`.
    torn: AtomicBool,
}

impl LocalAppend {
    /// Takes away what a failed write left. It must not stand behind the next record, which may be shorter.
    fn cut(&self, len: u64) -> io::Result<()> {
        if self.torn.load(Ordering::Relaxed) {
            self.file.set_len(len)?;
            self.torn.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Append for LocalAppend {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let len = self.len.load(Ordering::Relaxed);
        self.cut(len)?;
        if let Err(e) = self.file.write_at(bytes, len) {
            self.torn.store(true, Ordering::Relaxed);
            // Where even this fails, it is tried again before the next record.
            let _ = self.cut(len);
            return Err(e);
        }
        self.len.store(len + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn is_linked(&self) -> io::Result<bool> {
        // Not whether it has any: the name that it was made under may be left.
        self.file.is_at(&self.path)
    }

    fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        system::read_to_end(self.file.as_ref(), offset)
    }

    fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }
}

#[cfg(test)]
mod tests;
