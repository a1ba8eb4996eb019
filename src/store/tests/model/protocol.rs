//! The protocol of operations as a plain machine: what each process does next, and what it makes of the answer.
//!
//! Files of a store are reduced to what the protocol rests on: which segments there are, which batches, what each table's
//! commits hold, which cuts. A record is a bit; a data file is a set of them.

/// A set of records.
pub type Records = u8;

/// Numbers of the tables: one that only grows, and `runs`, which is committed last.
pub const TABLES: usize = 2;

/// A data file: who wrote it, and what is in it. Two processes that do the same operation write different files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct File {
    pub id: u8,
    pub records: Records,
}

/// A table at one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The operation that made it.
    pub operation: u8,
    pub files: Vec<File>,
}

/// What an operation is to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Moves records into tables; the segments they are in may go, and those of which nothing is live any more.
    Seal { records: Records, segments: Records },
    /// Puts a file in the place of others of the first table.
    Compact { remove: Vec<File>, add: File },
}

impl Work {
    /// The files that it names.
    pub fn files(&mut self) -> Vec<&mut File> {
        match self {
            Work::Seal { .. } => Vec::new(),
            Work::Compact { remove, add } => remove.iter_mut().chain([add]).collect(),
        }
    }
}

/// A state of the whole store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cut {
    /// Versions of the tables; 0 is before the first commit.
    pub versions: [u8; TABLES],
    pub sealed: Records,
}

/// The files of a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Store {
    pub segments: Records,
    pub logged: Records,
    /// By number, from 1 on.
    pub batches: Vec<Work>,
    pub tables: [Vec<Version>; TABLES],
    /// By number, from 1 on.
    pub cuts: Vec<Cut>,
    pub files: u8,
}

impl Store {
    /// A state as it was made; the 0th is that of a new store.
    pub fn cut(&self, n: u8) -> Cut {
        if n == 0 { Cut::default() } else { self.cuts[n as usize - 1].clone() }
    }

    pub fn newest(&self) -> u8 {
        self.cuts.len() as u8
    }

    fn files(&self, table: usize, version: u8) -> &[File] {
        if version == 0 { &[] } else { &self.tables[table][version as usize - 1].files }
    }

    fn operation(&self, table: usize) -> u8 {
        self.tables[table].last().map_or(0, |version| version.operation)
    }
}

/// Rules that can be left out, to see that each is needed.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A table that holds the operation is not committed to again.
    pub looks_for_operation: bool,
    /// A commit is made on the version that was read, or not at all.
    pub commits_on_what_it_read: bool,
    /// A swap whose files are not all there is left out.
    pub swaps_what_is_there: bool,
    /// Segments go after the cut.
    pub removes_after_cut: bool,
    /// A reader lists segments before it reads the cut.
    pub lists_before_cut: bool,
    /// A reader begins again when a segment has vanished.
    pub begins_again: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        looks_for_operation: true,
        commits_on_what_it_read: true,
        swaps_what_is_there: true,
        removes_after_cut: true,
        lists_before_cut: true,
        begins_again: true,
    };
}

/// One call to the files of a store, or several that nothing can come between to any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    NewestCut,
    ReadBatch,
    ListSegments,
    CreateBatch { made: bool },
    OpenTable(usize),
    WriteFile(usize),
    Commit { table: usize, made: bool },
    CreateCut { made: bool },
    RemoveSegments,
    ReadSegments,
    ReadTable(usize),
}

/// What a process is about to do, with what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    /// Reads the newest cut: to finish what was begun (`first`), or to plan on.
    Begin {
        first: bool,
    },
    LookForBatch {
        n: u8,
    },
    /// A sealer lists what is live.
    Plan {
        n: u8,
    },
    /// A compactor reads the files it will join, and writes the new one.
    Prepare,
    PrepareOpen {
        n: u8,
    },
    PrepareWrite {
        remove: Vec<File>,
    },
    Claim {
        n: u8,
        work: Work,
    },
    /// Looks once more whether the number is still free.
    Recheck {
        n: u8,
        work: Work,
    },
    /// `runs` tells whether the operation is done everywhere.
    Done {
        n: u8,
        work: Work,
    },
    Open {
        n: u8,
        work: Work,
        table: usize,
        versions: [u8; TABLES],
    },
    Write {
        n: u8,
        work: Work,
        table: usize,
        versions: [u8; TABLES],
        base: u8,
    },
    Commit {
        n: u8,
        work: Work,
        table: usize,
        versions: [u8; TABLES],
        base: u8,
        file: Option<File>,
    },
    Cut {
        n: u8,
        work: Work,
        versions: [u8; TABLES],
    },
    Remove {
        n: u8,
        segments: Records,
    },
    End,
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    Seal,
    Compact,
}

/// A process that changes the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    pub task: Task,
    pub at: At,
    /// The work of its own that it took a number for, or the files of which it prepared.
    prepared: Option<Work>,
}

impl Worker {
    pub fn new(task: Task) -> Worker {
        Worker { task, at: At::Begin { first: true }, prepared: None }
    }

    /// Whether its next step changes something.
    pub fn changes(&self) -> bool {
        use At::*;
        matches!(
            self.at,
            PrepareWrite { .. } | Claim { .. } | Write { .. } | Commit { .. } | Cut { .. } | Remove { .. }
        )
    }

    /// Does the next step.
    pub fn step(&mut self, store: &mut Store, rules: &Rules) -> Step {
        let (step, at) = self.next(store, rules);
        self.at = at;
        step
    }

    fn next(&mut self, store: &mut Store, rules: &Rules) -> (Step, At) {
        match self.at.clone() {
            At::Begin { first } => {
                let n = store.newest() + 1;
                let at = match (first, self.task, &self.prepared) {
                    (true, ..) => At::LookForBatch { n },
                    (_, Task::Compact, Some(work)) => At::Claim { n, work: work.clone() },
                    (_, Task::Compact, None) => At::Prepare,
                    (_, Task::Seal, _) => At::Plan { n },
                };
                (Step::NewestCut, at)
            }
            At::LookForBatch { n } => {
                let at = match store.batches.get(n as usize - 1) {
                    Some(work) => At::Done { n, work: work.clone() },
                    None if self.task == Task::Compact && self.prepared.is_none() => At::Prepare,
                    None => At::Begin { first: false },
                };
                (Step::ReadBatch, at)
            }
            At::Plan { n } => {
                // Of the cut that was read before, which says what is sealed.
                let cut = store.cut(n - 1);
                let segments = store.segments;
                let at = match segments {
                    0 => At::End,
                    _ => At::Claim { n, work: Work::Seal { records: segments & !cut.sealed, segments } },
                };
                (Step::ListSegments, at)
            }
            At::Prepare => (Step::NewestCut, At::PrepareOpen { n: store.newest() }),
            At::PrepareOpen { n } => {
                let files = store.files(0, store.cut(n).versions[0]).to_vec();
                let at = if files.len() < 2 { At::End } else { At::PrepareWrite { remove: files } };
                (Step::OpenTable(0), at)
            }
            At::PrepareWrite { remove } => {
                let records = remove.iter().fold(0, |all, file| all | file.records);
                let add = new_file(store, records);
                self.prepared = Some(Work::Compact { remove, add });
                (Step::WriteFile(0), At::Begin { first: true })
            }
            At::Claim { n, work } => {
                let made = store.batches.len() < n as usize;
                if made {
                    store.batches.push(work.clone());
                }
                let at = if made { At::Recheck { n, work } } else { At::Begin { first: true } };
                (Step::CreateBatch { made }, at)
            }
            At::Recheck { n, work } => (Step::NewestCut, At::Done { n, work }),
            At::Done { n, work } => match work {
                Work::Seal { records, segments } => {
                    if !rules.removes_after_cut {
                        store.segments &= !segments;
                    }
                    let done = rules.looks_for_operation && store.operation(1) >= n;
                    let versions = match done {
                        true => [store.tables[0].len() as u8, store.tables[1].len() as u8],
                        false => store.cut(n - 1).versions,
                    };
                    let at = match done {
                        true => At::Cut { n, work, versions },
                        // There is nothing to add to the first table.
                        false if records == 0 => At::Open { n, work, table: 1, versions },
                        false => At::Open { n, work, table: 0, versions },
                    };
                    (Step::OpenTable(1), at)
                }
                Work::Compact { .. } => self.open(store, rules, n, work, 0, store.cut(n - 1).versions),
            },
            At::Open { n, work, table, versions } => self.open(store, rules, n, work, table, versions),
            At::Write { n, work, table, versions, base } => {
                let Work::Seal { records, .. } = work else { unreachable!("a swap was written before") };
                let file = Some(new_file(store, records));
                (Step::WriteFile(table), At::Commit { n, work, table, versions, base, file })
            }
            At::Commit { n, work, table, mut versions, base, file } => {
                let current = store.tables[table].len() as u8;
                let base = if rules.commits_on_what_it_read { base } else { current };
                let made = base == current;
                if !made {
                    return (Step::Commit { table, made }, At::Open { n, work, table, versions });
                }
                let mut files = store.files(table, base).to_vec();
                match &work {
                    Work::Seal { .. } => files.extend(file),
                    Work::Compact { remove, add } => {
                        files.retain(|file| !remove.contains(file));
                        files.push(*add);
                    }
                }
                store.tables[table].push(Version { operation: n, files });
                versions[table] = current + 1;
                (Step::Commit { table, made }, after(n, work, table, versions))
            }
            At::Cut { n, work, versions } => {
                let mut cut = store.cut(n - 1);
                cut.versions = versions;
                let segments = match &work {
                    Work::Seal { records, segments } => {
                        cut.sealed |= *records;
                        *segments
                    }
                    Work::Compact { .. } => 0,
                };
                let made = store.newest() < n;
                if made {
                    store.cuts.push(cut);
                }
                let at = match (segments, self.own(&work)) {
                    (0, own) => self.again(own),
                    (segments, _) => At::Remove { n, segments },
                };
                (Step::CreateCut { made }, at)
            }
            At::Remove { segments, .. } => {
                store.segments &= !segments;
                (Step::RemoveSegments, At::Begin { first: true })
            }
            At::End => unreachable!("it has ended"),
        }
    }

    /// The work that it knows of.
    pub fn works(&mut self) -> Vec<&mut Work> {
        let at = match &mut self.at {
            At::Claim { work, .. }
            | At::Recheck { work, .. }
            | At::Done { work, .. }
            | At::Open { work, .. }
            | At::Write { work, .. }
            | At::Commit { work, .. }
            | At::Cut { work, .. } => Some(work),
            _ => None,
        };
        at.into_iter().chain(&mut self.prepared).collect()
    }

    /// Files that it knows of and no work names.
    pub fn loose_files(&mut self) -> Vec<&mut File> {
        match &mut self.at {
            At::PrepareWrite { remove } => remove.iter_mut().collect(),
            At::Commit { file, .. } => file.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    fn own(&self, work: &Work) -> bool {
        self.prepared.as_ref() == Some(work)
    }

    /// A compactor ends with its own operation, and goes on after one that it found.
    fn again(&self, own: bool) -> At {
        if own { At::End } else { At::Begin { first: true } }
    }

    fn open(
        &mut self,
        store: &mut Store,
        rules: &Rules,
        n: u8,
        work: Work,
        table: usize,
        mut versions: [u8; TABLES],
    ) -> (Step, At) {
        let base = store.tables[table].len() as u8;
        let step = Step::OpenTable(table);
        if rules.looks_for_operation && store.operation(table) >= n {
            versions[table] = base;
            return (step, after(n, work, table, versions));
        }
        let at = match &work {
            Work::Seal { .. } => At::Write { n, work, table, versions, base },
            Work::Compact { remove, .. } => {
                let files = store.files(table, base);
                let there = !rules.swaps_what_is_there || remove.iter().all(|file| files.contains(file));
                match there {
                    true => At::Commit { n, work, table, versions, base, file: None },
                    false => {
                        versions[table] = base;
                        after(n, work, table, versions)
                    }
                }
            }
        };
        (step, at)
    }
}

fn new_file(store: &mut Store, records: Records) -> File {
    store.files += 1;
    File { id: store.files, records }
}

/// The step after a table: the next one, or the cut.
fn after(n: u8, work: Work, table: usize, versions: [u8; TABLES]) -> At {
    match work {
        Work::Seal { .. } if table + 1 < TABLES => At::Open { n, work, table: table + 1, versions },
        _ => At::Cut { n, work, versions },
    }
}

/// A process that reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reader {
    Begin,
    /// It has listed the segments; `due` are the records that it has to show.
    Listed {
        due: Records,
        listed: Records,
    },
    Pinned {
        due: Records,
        listed: Records,
        n: u8,
    },
    /// What is live was read.
    Live {
        due: Records,
        live: Records,
        n: u8,
    },
    /// The first table was read.
    Half {
        due: Records,
        live: Records,
        n: u8,
    },
    End,
}

/// What a reader saw that is not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub table: usize,
    pub missing: Records,
    pub doubled: Records,
}

impl Reader {
    /// Does the next step.
    pub fn step(&mut self, store: &Store, rules: &Rules) -> Result<Step, Wrong> {
        let (step, next) = match *self {
            Reader::Begin if rules.lists_before_cut => {
                (Step::ListSegments, Reader::Listed { due: store.logged, listed: store.segments })
            }
            // The other way round, the cut is that of the beginning.
            Reader::Begin => {
                (Step::NewestCut, Reader::Pinned { due: store.logged, listed: Records::MAX, n: store.newest() })
            }
            Reader::Listed { due, listed } => (Step::NewestCut, Reader::Pinned { due, listed, n: store.newest() }),
            Reader::Pinned { due, listed, n } => {
                let wanted = if rules.lists_before_cut { listed } else { store.segments } & !store.cut(n).sealed;
                let next = match wanted & !store.segments {
                    0 => Reader::Live { due, live: wanted, n },
                    _ if rules.begins_again => Reader::Begin,
                    _ => Reader::Live { due, live: wanted & store.segments, n },
                };
                (Step::ReadSegments, next)
            }
            Reader::Live { due, live, n } => {
                check(store, 0, n, live, due)?;
                (Step::ReadTable(0), Reader::Half { due, live, n })
            }
            Reader::Half { due, live, n } => {
                check(store, 1, n, live, due)?;
                (Step::ReadTable(1), Reader::End)
            }
            Reader::End => unreachable!("it has ended"),
        };
        *self = next;
        Ok(step)
    }
}

/// Whether a table at a cut and what is live hold every record that is due, and none twice.
pub fn check(store: &Store, table: usize, n: u8, live: Records, due: Records) -> Result<(), Wrong> {
    let (mut seen, mut doubled) = (live, 0);
    for file in store.files(table, store.cut(n).versions[table]) {
        doubled |= seen & file.records;
        seen |= file.records;
    }
    match (due & !seen, doubled) {
        (0, 0) => Ok(()),
        (missing, doubled) => Err(Wrong { table, missing, doubled }),
    }
}
