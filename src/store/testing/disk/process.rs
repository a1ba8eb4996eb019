//! Processes at a disk: what they call, and how it fails.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use super::{Content, Disk, Event, Ino, Node, STORE, State};
use crate::model::Micros;
use crate::store::io::{Entry, FileSystem, LocalIo, OpenFile, Stat};

/// A lock that a process holds.
#[derive(Debug)]
pub struct Lock {
    process: u64,
    handle: u64,
    exclusive: bool,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// With an error, and nothing happens.
    Error,
    /// The disk is full, and nothing happens.
    NoSpace,
    /// The disk is full after half of a write; other calls are as with `NoSpace`.
    Short,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Error => io::Error::other("the disk was made to fail"),
            Fault::NoSpace | Fault::Short => io::ErrorKind::StorageFull.into(),
        }
    }
}

/// Told of a change before it is made, and after it whether it was.
pub type Watch = Arc<dyn Fn(&Event, Option<bool>) + Send + Sync>;

#[derive(Default)]
struct Plan {
    watch: Option<Watch>,
    calls: u64,
    changes: u64,
    dies_after: Option<u64>,
    dead: bool,
    faults: Vec<(u64, Fault)>,
    no_new_files: bool,
}

/// A process: the calls it makes can be made to fail, and it can be killed.
#[derive(Clone)]
pub struct Process {
    disk: Disk,
    id: u64,
    plan: Arc<Mutex<Plan>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.id).finish()
    }
}

impl Process {
    pub(super) fn new(disk: &Disk) -> Process {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Process { disk: disk.clone(), id: NEXT.fetch_add(1, Ordering::Relaxed), plan: Arc::default() }
    }

    /// The file operations of the store.
    pub fn io(&self) -> Arc<LocalIo> {
        Arc::new(LocalIo::over(Arc::new(self.clone()), STORE))
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Kills it after this many more changes.
    pub fn dies_after(&self, changes: u64) {
        let mut plan = self.plan();
        plan.dies_after = Some(plan.changes + changes);
    }

    /// Takes back what [`Process::dies_after`] said.
    pub fn lives_on(&self) {
        self.plan().dies_after = None;
    }

    /// Kills it.
    pub fn kill(&self) {
        self.plan().dead = true;
        let mut locks = self.disk.shared.locks.lock().unwrap();
        locks.values_mut().for_each(|held| held.retain(|lock| lock.process != self.id));
        self.disk.shared.freed.notify_all();
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.plan().dead
    }

    /// Has its changes watched.
    pub fn watch(&self, watch: impl Fn(&Event, Option<bool>) + Send + Sync + 'static) {
        self.plan().watch = Some(Arc::new(watch));
    }

    /// Makes the n-th call from now fail, 0 being the next.
    pub fn fail(&self, n: u64, fault: Fault) {
        let mut plan = self.plan();
        let at = plan.calls + n;
        plan.faults.push((at, fault));
    }

    /// Whether no file can be made, though those there are can be written to.
    pub fn no_new_files(&self, none: bool) {
        self.plan().no_new_files = none;
    }

    /// Forgets about failures that did not come yet; gives their number.
    pub fn heal(&self) -> usize {
        let mut plan = self.plan();
        let calls = plan.calls;
        let left = plan.faults.iter().filter(|(at, _)| *at >= calls).count();
        plan.faults.clear();
        left
    }

    /// Counts a call; an error if it is to fail.
    fn call(&self, change: bool) -> Result<(), Fault> {
        let mut plan = self.plan();
        if !plan.dead && change && plan.dies_after == Some(plan.changes) {
            drop(plan);
            self.kill();
            plan = self.plan();
        }
        if plan.dead {
            return Err(Fault::Error);
        }
        plan.changes += u64::from(change);
        let now = plan.calls;
        plan.calls += 1;
        match plan.faults.iter().find(|(at, _)| *at == now) {
            Some((_, fault)) => Err(*fault),
            None => Ok(()),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        self.call(false).map_err(Fault::error)?;
        read(&self.disk.state())
    }

    fn change(&self, event: Event) -> io::Result<()> {
        let watch = self.plan().watch.clone();
        watch.iter().for_each(|watch| watch(&event, None));
        self.call(true).map_err(Fault::error)?;
        let done = self.disk.state().record(event.clone());
        watch.iter().for_each(|watch| watch(&event, Some(done.is_ok())));
        done
    }

    fn opened(&self, ino: Ino) -> Box<dyn OpenFile> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Box::new(DiskFile { process: self.clone(), ino, handle: NEXT.fetch_add(1, Ordering::Relaxed) })
    }
}

impl FileSystem for Process {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.read(|state| state.file(path)).map(|ino| self.opened(ino))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call(true).map_err(Fault::error)?;
        if self.plan().no_new_files {
            return Err(Fault::NoSpace.error());
        }
        let mut state = self.disk.state();
        let ino = state.next;
        state.record(Event::Create(path.to_path_buf()))?;
        Ok(self.opened(ino))
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        match self.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create(path),
            other => other,
        }
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.read(|state| match state.node(path)? {
            Node::File(ino) => Ok(stat(&state.files[&ino])),
            Node::Folder(_) => Ok(Stat { len: 0, modified: Micros(0) }),
        })
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.disk.state().folder(path).is_ok()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.read(|state| {
            let folder = &state.folders[&state.folder(dir)?];
            let entry = |(name, node): (&String, &Node)| match node {
                Node::File(ino) => Entry { name: name.clone(), is_dir: false, stat: stat(&state.files[ino]) },
                Node::Folder(_) => {
                    Entry { name: name.clone(), is_dir: true, stat: Stat { len: 0, modified: Micros(0) } }
                }
            };
            Ok(folder.names.iter().map(entry).collect())
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Event::CreateDir(path.to_path_buf()))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Event::Link(from.to_path_buf(), to.to_path_buf()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Event::Rename(from.to_path_buf(), to.to_path_buf()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Event::Remove(path.to_path_buf()))
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.change(Event::RemoveTree(path.to_path_buf()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Event::SyncDir(path.to_path_buf()))
    }
}

fn stat(content: &Content) -> Stat {
    Stat { len: content.bytes.len() as u64, modified: content.modified }
}

#[derive(Debug)]
struct DiskFile {
    process: Process,
    ino: Ino,
    handle: u64,
}

impl DiskFile {
    fn take(&self, exclusive: bool, wait: bool) -> io::Result<bool> {
        self.process.call(false).map_err(Fault::error)?;
        let shared = &self.process.disk.shared;
        let mut locks = shared.locks.lock().unwrap();
        loop {
            let held = locks.entry(self.ino).or_default();
            if held.iter().all(|lock| lock.handle == self.handle || !(lock.exclusive || exclusive)) {
                held.push(Lock { process: self.process.id, handle: self.handle, exclusive });
                return Ok(true);
            }
            if !wait {
                return Ok(false);
            }
            locks = shared.freed.wait(locks).unwrap();
        }
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        let shared = &self.process.disk.shared;
        let mut locks = shared.locks.lock().unwrap();
        if let Some(held) = locks.get_mut(&self.ino) {
            held.retain(|lock| lock.handle != self.handle);
            shared.freed.notify_all();
        }
    }
}

impl OpenFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.process.read(|state| {
            let bytes = &state.files[&self.ino].bytes;
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = |bytes: &[u8]| self.process.disk.state().record(Event::Write(self.ino, offset, bytes.into()));
        match self.process.call(true) {
            Ok(()) => write(bytes),
            Err(Fault::Short) => {
                write(&bytes[..bytes.len() / 2])?;
                Err(Fault::Short.error())
            }
            Err(fault) => Err(fault.error()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.process.change(Event::SetLen(self.ino, len))
    }

    fn sync(&self) -> io::Result<()> {
        self.process.change(Event::Sync(self.ino))
    }

    fn len(&self) -> io::Result<u64> {
        self.process.read(|state| Ok(state.files[&self.ino].bytes.len() as u64))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.process.read(|state| Ok(state.node(path).is_ok_and(|node| node == Node::File(self.ino))))
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
        self.process.change(Event::Touch(self.ino, Micros(time)))
    }

    fn lock(&self) -> io::Result<()> {
        self.take(true, true).map(|_| ())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.take(true, false)
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.take(false, false)
    }
}
