//! The calls to a file system that a local store is made of. Between these and [`super::LocalIo`] tests put a disk that
//! forgets what was not synced.

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

use super::{Entry, Stat};
use crate::model::Micros;

/// A file system, one method for each call.
pub(crate) trait FileSystem: Debug + Send + Sync + 'static {
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Makes a file that must not exist yet, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file that is only locked, and makes it where it does not exist.
    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Size and age of a file or folder.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Whether there is a folder of this name.
    fn is_dir(&self, path: &Path) -> bool;

    /// What lies in a folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a folder.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name, also one that is taken.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name from a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and what is in it.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder survive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Dropping it ends its lock.
pub(crate) trait OpenFile: Debug + Send + Sync {
    /// Reads at an offset; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of it at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the content survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Its size.
    fn len(&self) -> io::Result<u64>;

    /// Whether this path names it.
    fn is_at(&self, path: &Path) -> io::Result<bool>;

    /// Makes it look as if it was written at this time.
    fn set_modified(&self, time: SystemTime) -> io::Result<()>;

    /// Takes the lock, when others have let go of it.
    fn lock(&self) -> io::Result<()>;

    /// Takes the lock if it is free.
    fn try_lock(&self) -> io::Result<bool>;

    /// Takes the lock together with others who read, if no writer has it.
    fn try_lock_shared(&self) -> io::Result<bool>;
}

/// Reads exactly this part of a file.
pub(super) fn read_exact_at(file: &dyn OpenFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than expected")),
            Ok(n) => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads from an offset to the end.
pub(super) fn read_to_end(file: &dyn OpenFile, offset: u64) -> io::Result<Vec<u8>> {
    // One byte more than there seems to be, so that the last read finds the end without moving what was read.
    let mut bytes = vec![0; file.len()?.saturating_sub(offset) as usize + 1];
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            // It has grown since.
            bytes.resize(filled + 64 * 1024, 0);
        }
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The file system of the machine.
#[derive(Debug)]
pub(super) struct System;

fn micros(time: SystemTime) -> Micros {
    Micros(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as i64)
}

fn stat(meta: &fs::Metadata) -> io::Result<Stat> {
    Ok(Stat { len: meta.len(), modified: micros(meta.modified()?) })
}

impl FileSystem for System {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::options().read(true).write(true).create_new(true).open(path)?))
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::options().read(true).append(true).create(true).open(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        stat(&fs::metadata(path)?)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) => found.push(Entry { name, is_dir: meta.is_dir(), stat: stat(&meta)? }),
                // Removed since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl OpenFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        // The size is among what this syncs; only times are not.
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let mine = self.metadata()?;
        match fs::metadata(path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (mine.dev(), mine.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        File::set_modified(self, time)
    }

    fn lock(&self) -> io::Result<()> {
        File::lock(self)
    }

    fn try_lock(&self) -> io::Result<bool> {
        taken(File::try_lock(self))
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        taken(File::try_lock_shared(self))
    }
}

fn taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    }
}
