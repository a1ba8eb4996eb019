//! A disk in memory that keeps what is durable apart from what is merely written, for [`LocalIo`](super::super::io::LocalIo)
//! to work on.
//!
//! Every call is atomic. What a power cut leaves: of each file what was synced, and any part of the rest; of each folder
//! the names as they were synced, and any of the changes made since, in any combination. A file is not there without its
//! name, and a name does not make the content durable. Only a file that grows is modelled: nothing synced is overwritten,
//! which is asserted, and what is cut off does not come back.

mod process;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::model::Micros;
use crate::store::io::LocalIo;
use process::Lock;
pub use process::{Fault, Process};

type Ino = u64;
const ROOT: Ino = 0;
/// Where the store lies on the disk.
const STORE: &str = "/store";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    File(Ino),
    Folder(Ino),
}

/// Changes of names that happen together or not at all.
type Names = Vec<(String, Option<Node>)>;

#[derive(Debug, Clone, Default)]
struct Folder {
    names: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    unsynced: Vec<Names>,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
    modified: Micros,
    /// Whether a power cut left zeros in it.
    zeros: bool,
}

/// One call that changed something, to be done again elsewhere.
#[derive(Debug, Clone)]
pub enum Event {
    CreateDir(PathBuf),
    Create(PathBuf),
    Write(Ino, u64, Arc<[u8]>),
    SetLen(Ino, u64),
    Sync(Ino),
    Link(PathBuf, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveTree(PathBuf),
    SyncDir(PathBuf),
    Touch(Ino, Micros),
    /// Files get older.
    Pass(Duration),
    /// Something that the test wants to find at this place.
    Note(usize),
}

#[derive(Debug, Clone, Default)]
struct State {
    folders: HashMap<Ino, Arc<Folder>>,
    files: HashMap<Ino, Arc<Content>>,
    next: Ino,
    // What a power cut would change.
    dirty_folders: BTreeSet<Ino>,
    dirty_files: BTreeSet<Ino>,
    trace: Option<Vec<Event>>,
}

/// How much of what was not synced a power cut takes.
pub enum Loss<'a> {
    /// All of it.
    All,
    /// Nothing: everything had just reached the disk.
    None,
    /// Any part, as the dice fall.
    Some(&'a mut Dice),
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize) % n.max(1)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Where the numbers of files on a disk begin: they are given once, so that they tell contents apart.
fn fresh() -> Ino {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn new() -> State {
        let mut state = State { next: ROOT + 1, ..State::default() };
        state.folders.insert(ROOT, Arc::default());
        state
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Folder(ROOT);
        for part in path.strip_prefix("/").expect("paths are absolute").iter() {
            let Node::Folder(folder) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
            let name = part.to_str().expect("names are text");
            node = *self.folders[&folder].names.get(name).ok_or_else(not_found)?;
        }
        Ok(node)
    }

    fn file(&self, path: &Path) -> io::Result<Ino> {
        match self.node(path)? {
            Node::File(ino) => Ok(ino),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn folder(&self, path: &Path) -> io::Result<Ino> {
        match self.node(path)? {
            Node::Folder(ino) => Ok(ino),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The folder of a path and its last part.
    fn place(&self, path: &Path) -> io::Result<(Ino, String)> {
        let name = path.file_name().and_then(|n| n.to_str()).expect("a path has a name");
        Ok((self.folder(path.parent().expect("a path has a folder"))?, name.to_string()))
    }

    fn change(&mut self, folder: Ino, names: Names) {
        let entry = Arc::make_mut(self.folders.get_mut(&folder).expect("the folder exists"));
        for (name, node) in &names {
            match node {
                Some(node) => entry.names.insert(name.clone(), *node),
                None => entry.names.remove(name),
            };
        }
        entry.unsynced.push(names);
        self.dirty_folders.insert(folder);
    }

    fn free(&self, path: &Path) -> io::Result<(Ino, String)> {
        let (folder, name) = self.place(path)?;
        match self.folders[&folder].names.contains_key(&name) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok((folder, name)),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<Ino> {
        let (folder, name) = self.free(path)?;
        let ino = self.next;
        self.next += 1;
        self.files
            .insert(ino, Arc::new(Content { bytes: Vec::new(), synced: 0, modified: Micros::now(), zeros: false }));
        self.change(folder, vec![(name, Some(Node::File(ino)))]);
        Ok(ino)
    }

    fn content(&mut self, ino: Ino) -> &mut Content {
        Arc::make_mut(self.files.get_mut(&ino).expect("open files exist"))
    }

    fn apply(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::CreateDir(path) => {
                let (folder, name) = self.free(path)?;
                let ino = self.next;
                self.next += 1;
                self.folders.insert(ino, Arc::default());
                self.change(folder, vec![(name, Some(Node::Folder(ino)))]);
            }
            Event::Create(path) => drop(self.create(path)?),
            Event::Write(ino, offset, bytes) => {
                let content = self.content(*ino);
                let start = *offset as usize;
                assert!(start >= content.synced, "byte {start} is overwritten, and {} are synced", content.synced);
                assert!(start <= content.bytes.len(), "a hole is left at byte {start} of {}", content.bytes.len());
                let end = (start + bytes.len()).max(content.bytes.len());
                content.bytes.resize(end, 0);
                content.bytes[start..start + bytes.len()].copy_from_slice(bytes);
                content.modified = Micros::now();
                self.dirty_files.insert(*ino);
            }
            Event::SetLen(ino, len) => {
                let content = self.content(*ino);
                content.bytes.resize(*len as usize, 0);
                content.synced = content.synced.min(*len as usize);
            }
            Event::Sync(ino) => {
                let content = self.content(*ino);
                content.synced = content.bytes.len();
                self.dirty_files.remove(ino);
            }
            Event::Link(from, to) => {
                let ino = self.file(from)?;
                let (folder, name) = self.free(to)?;
                self.change(folder, vec![(name, Some(Node::File(ino)))]);
            }
            Event::Rename(from, to) => {
                let ino = self.file(from)?;
                let ((folder, old), (target, new)) = (self.place(from)?, self.place(to)?);
                assert_eq!(folder, target, "renamed within a folder, where it is atomic");
                self.change(folder, vec![(old, None), (new, Some(Node::File(ino)))]);
            }
            Event::Remove(path) => {
                self.file(path)?;
                let (folder, name) = self.place(path)?;
                self.change(folder, vec![(name, None)]);
            }
            Event::RemoveTree(path) => {
                self.folder(path)?;
                let (folder, name) = self.place(path)?;
                // The names within go one by one; that they are there or not matters to nobody once this one is gone.
                self.change(folder, vec![(name, None)]);
            }
            Event::SyncDir(path) => {
                let ino = self.folder(path)?;
                let folder = Arc::make_mut(self.folders.get_mut(&ino).expect("it was just found"));
                folder.durable = folder.names.clone();
                folder.unsynced.clear();
                self.dirty_folders.remove(&ino);
            }
            Event::Touch(ino, time) => self.content(*ino).modified = *time,
            Event::Pass(time) => {
                for content in self.files.values_mut() {
                    Arc::make_mut(content).modified.0 -= time.as_micros() as i64;
                }
            }
            Event::Note(_) => {}
        }
        Ok(())
    }

    fn record(&mut self, event: Event) -> io::Result<()> {
        self.apply(&event)?;
        self.trace.iter_mut().for_each(|trace| trace.push(event.clone()));
        Ok(())
    }

    fn after_power_cut(&self, mut loss: Loss<'_>) -> State {
        let (folders, files) = (self.folders.clone(), self.files.clone());
        let mut state = State { folders, files, next: fresh(), ..State::default() };
        for ino in &self.dirty_folders {
            let old = &self.folders[ino];
            let mut names = old.durable.clone();
            for change in &old.unsynced {
                let kept = match &mut loss {
                    Loss::All => false,
                    Loss::None => true,
                    Loss::Some(dice) => dice.one_in(2),
                };
                for (name, node) in change.iter().filter(|_| kept) {
                    match node {
                        Some(node) => names.insert(name.clone(), *node),
                        None => names.remove(name),
                    };
                }
            }
            let folder = Folder { durable: names.clone(), names, unsynced: Vec::new() };
            state.folders.insert(*ino, Arc::new(folder));
        }
        for ino in &self.dirty_files {
            let old = &self.files[ino];
            let mut bytes = old.bytes.clone();
            let rest = bytes.len() - old.synced;
            let mut zeros = old.zeros;
            match &mut loss {
                Loss::All => bytes.truncate(old.synced),
                Loss::None => {}
                Loss::Some(dice) => match dice.below(5) {
                    // It ends anywhere.
                    0 | 1 => bytes.truncate(old.synced + dice.below(rest + 1)),
                    // It has its length, and from somewhere on no content, or none for a while.
                    hole @ (2 | 3) => {
                        let from = old.synced + dice.below(rest + 1);
                        let to = if hole == 2 { bytes.len() } else { from + dice.below(bytes.len() - from + 1) };
                        bytes[from..to].fill(0);
                        zeros = true;
                    }
                    _ => {}
                },
            }
            let synced = bytes.len();
            state.files.insert(*ino, Arc::new(Content { bytes, synced, modified: old.modified, zeros }));
        }
        state
    }

    /// The files that can be reached, by path.
    fn walk(&self, folder: Ino, path: &mut String, each: &mut dyn FnMut(&str, Ino)) {
        for (name, node) in &self.folders[&folder].names {
            let len = path.len();
            path.push('/');
            path.push_str(name);
            match node {
                Node::File(ino) => each(path, *ino),
                Node::Folder(ino) => self.walk(*ino, path, each),
            }
            path.truncate(len);
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    locks: Mutex<HashMap<Ino, Vec<Lock>>>,
    freed: Condvar,
}

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    shared: Arc<Shared>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::of(State::new())
    }

    fn of(state: State) -> Disk {
        Disk { shared: Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What a power cut now would leave, for whoever switches it on again.
    pub fn after_power_cut(&self, loss: Loss<'_>) -> Disk {
        Disk::of(self.state().after_power_cut(loss))
    }

    /// The same disk once more, for the same changes to be done again.
    pub fn copy(&self) -> Disk {
        Disk::of(State { trace: None, ..self.state().clone() })
    }

    /// The same disk once more, synced or not, for other things to happen on it.
    pub fn branch(&self) -> Disk {
        Disk::of(State { trace: None, next: fresh(), ..self.state().clone() })
    }

    /// Notes every change from now on.
    pub fn record(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// What happened since [`Disk::record`].
    pub fn recorded(&self) -> Vec<Event> {
        self.state().trace.take().unwrap_or_default()
    }

    /// Does one noted change again.
    pub fn replay(&self, event: &Event) {
        self.state().apply(event).expect("it went well the first time");
    }

    /// Leaves a note among the changes.
    pub fn note(&self, note: usize) {
        self.state().record(Event::Note(note)).expect("a note changes nothing");
    }

    /// Makes every file older.
    pub fn pass(&self, time: Duration) {
        self.state().record(Event::Pass(time)).expect("time passes");
    }

    /// A process at this disk.
    pub fn process(&self) -> Process {
        Process::new(self)
    }

    /// The file operations of a store for a process that lives on.
    pub fn io(&self) -> Arc<LocalIo> {
        self.process().io()
    }

    /// Names and contents of all files in a folder of the store and below, by path relative to the store.
    pub fn files(&self, folder: &str) -> Vec<(String, FileId)> {
        let state = self.state();
        let mut path = STORE.to_string();
        if !folder.is_empty() {
            path = format!("{STORE}/{folder}");
        }
        let Ok(ino) = state.folder(Path::new(&path)) else { return Vec::new() };
        let mut found = Vec::new();
        state.walk(ino, &mut path, &mut |path, ino| {
            let content = &state.files[&ino];
            // A file only grows, so its number and length say what it holds, unless a power cut left zeros in it.
            let digest = content.zeros.then(|| blake3::hash(&content.bytes));
            let id = FileId { ino, len: content.bytes.len(), digest: digest.map(|d| *d.as_bytes()) };
            found.push((path[STORE.len() + 1..].to_string(), id));
        });
        found
    }

    /// Whether a path names a file of the store.
    pub fn has(&self, path: &str) -> bool {
        self.state().file(Path::new(&format!("{STORE}/{path}"))).is_ok()
    }
}

/// Tells the content of files on disks apart that go back to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    ino: Ino,
    len: usize,
    digest: Option<[u8; 32]>,
}

impl FileId {
    /// Whether it has so many bytes, and no zeros in the place of what a power cut took.
    pub fn is_whole(&self, len: usize) -> bool {
        self.len == len && self.digest.is_none()
    }

    /// Bytes that are the same for the same content.
    pub fn bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&self.ino.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.len.to_le_bytes());
        bytes[16..].copy_from_slice(&self.digest.unwrap_or_default());
        bytes
    }
}
