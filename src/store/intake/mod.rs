//! Runs from elsewhere, taken in through the write path: what the store has already is compared, what is missing is
//! logged, so that a store that goes on living elsewhere is followed by taking it in again.

mod counts;
mod experiments;
mod foreign;
mod known;
mod scope;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;

pub use counts::{Counts, Kind};
pub use foreign::{ForeignExperiment, ForeignFile, ForeignPoint, ForeignRun, Scope};

use super::cut::GoalEntry;
use super::error::{Result, StoreError};
use super::io::Io;
use super::merge;
use super::missing::{self, Differences};
use super::run::{check_table, shown};
use super::snapshot::Snapshot;
use super::{Durability, Store, artifact, frame, layout, parallel, shown as rows};
use crate::model::{ArtifactEntry, ExperimentState, MetricPoints, Record, RunId, RunState, TableRows};
use crate::schema::Table;
use known::Known;

/// What happens to the files of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Files {
    /// They are copied into the store.
    #[default]
    Copy,
    /// They stay where they are; the store says where that is, as a `file://` address, and no digest.
    Leave,
}

/// How runs are taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntakeOptions {
    /// What happens to files.
    pub files: Files,
    /// Counts what is missing, and writes nothing.
    pub dry_run: bool,
}

/// Something that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it is.
    pub place: String,
    /// Why.
    pub reason: String,
    /// Whether it is missing now; else it only came otherwise than one might think.
    pub is_loss: bool,
}

impl Refused {
    fn of(run: &RunId, reason: String) -> Self {
        Refused { place: format!("run '{run}'"), reason, is_loss: true }
    }
}

/// Takes runs in, group by group, and compares each with the state that the store had at the beginning.
pub struct Intake<'a> {
    to: &'a Store,
    options: IntakeOptions,
    there: Snapshot,
    /// Runs that are there, deleted ones too.
    exist: HashSet<RunId>,
    purged: HashSet<RunId>,
    seen: HashSet<RunId>,
    /// Whose ids are, as far as runs of a scope asked for them.
    owners: scope::Owners,
    experiments: BTreeMap<String, ExperimentState>,
    known: experiments::KnownExperiments,
    goals: Vec<GoalEntry>,
    /// Experiments that have another name here than in the source, by that one.
    named_here: HashMap<String, String>,
    /// Experiments that are hidden at the end: deleted in the source, or here before.
    deleted: BTreeSet<String>,
    /// Experiments that the source holds, and that are not deleted there.
    active: HashSet<String>,
    /// Experiments that are counted as added.
    counted: HashSet<String>,
    /// Experiments that runs were begun in.
    begun: HashSet<String>,
    /// Experiments whose runs are deleted one by one.
    hidden: HashSet<String>,
    /// Runs that are in another experiment here than in the source, by both: the one there first.
    elsewhere: BTreeMap<(String, String), u64>,
    found: Counts,
    added: Counts,
    refused: Vec<Refused>,
    // Of two at once, each would add what the other is adding.
    _lock: Option<Box<dyn std::fmt::Debug + Send + Sync>>,
}

impl<'a> Intake<'a> {
    /// Begins to take runs into a store.
    pub async fn begin(to: &'a Store, options: IntakeOptions) -> Result<Intake<'a>> {
        let lock = match options.dry_run {
            true => None,
            false => to.io().lock(layout::COPY_LOCK, true).map_err(StoreError::io(layout::COPY_LOCK))?,
        };
        let there = to.snapshot()?.with_deleted();
        let (mut exist, mut purged) = (HashSet::new(), HashSet::new());
        let each = |run: &RunId, there: bool| {
            if there {
                exist.insert(run.clone())
            } else {
                purged.insert(run.clone())
            };
        };
        there.run_ids(each).await?;
        let (experiments, goals, _) = merge::experiments(there.cut(), there.live(), &there.live().states);
        let known = experiments::KnownExperiments::of(experiments.values());
        let experiments = experiments.into_values().map(|e| (e.name().to_string(), e)).collect();
        Ok(Intake {
            to,
            options,
            there,
            exist,
            purged,
            seen: HashSet::new(),
            owners: scope::Owners::new(),
            experiments,
            known,
            goals,
            named_here: HashMap::new(),
            deleted: BTreeSet::new(),
            active: HashSet::new(),
            counted: HashSet::new(),
            begun: HashSet::new(),
            hidden: HashSet::new(),
            elsewhere: BTreeMap::new(),
            found: Counts::default(),
            added: Counts::default(),
            refused: Vec::new(),
            _lock: lock,
        })
    }

    /// What was handed over so far.
    pub fn found(&self) -> &Counts {
        &self.found
    }

    /// What of it was missing; in the store now, unless nothing was to be written.
    pub fn added(&self) -> &Counts {
        &self.added
    }

    /// What was not taken in, since the last call.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    fn log(&mut self, record: Record) -> Result<()> {
        self.added.add_record(&record);
        if !self.options.dry_run {
            self.to.log(&record, Durability::Buffered)?;
        }
        Ok(())
    }

    /// Takes runs in. What cannot be is left out and told by [`Intake::take_refused`].
    pub async fn runs(&mut self, mut runs: Vec<ForeignRun>) -> Result<()> {
        self.keep_apart(&mut runs).await?;
        let mut group = Vec::with_capacity(runs.len());
        for mut run in runs {
            self.found += &run.counts();
            let id = run.id().clone();
            let whole = if self.purged.contains(&id) {
                Err(format!("run '{id}' was removed from the store for good and cannot come back under its id"))
            } else if !self.seen.insert(id.clone()) {
                Err(format!("run '{id}' stands in the source more than once; the first one was taken"))
            } else {
                run.check()
            };
            let (reasons, kept) = match whole {
                Ok(reasons) => (reasons, true),
                Err(reason) => (vec![reason], false),
            };
            self.refused.extend(reasons.into_iter().map(|reason| Refused::of(&id, reason)));
            if kept {
                group.push(run);
            }
        }
        let known: BTreeSet<RunId> =
            group.iter().map(ForeignRun::id).filter(|id| self.exist.contains(*id)).cloned().collect();
        let of_known = group.iter().filter(|run| known.contains(run.id()));
        let frames = of_known.flat_map(|run| run.tables.iter().map(|(name, _)| name.clone())).collect();
        let mut there = Known::read(&self.there, known, frames).await?;
        let files = self.take_files(&group, &there)?;
        for (run, files) in group.into_iter().zip(files) {
            self.run(run, files, &mut there)?;
        }
        Ok(())
    }

    fn run(&mut self, mut run: ForeignRun, files: Vec<Taken>, there: &mut Known) -> Result<()> {
        let id = run.id().clone();
        if run.undated
            && let Some(start) = there.state(&id).and_then(RunState::start)
        {
            run.date(start.start_time);
        }
        let state = run.state();
        let points = there.new_points(&id, &run.points, run.superseded.as_ref());
        let there = &*there;
        let known = there.state(&id);
        let empty = RunState::new(id.clone());
        let old = known.unwrap_or(&empty);
        for (key, value) in &run.params {
            if let Some(other) = old.param(key).filter(|other| *other != value) {
                let (old, new) = (shown(other), shown(value));
                let conflict = StoreError::ParamConflict { run: id.clone(), key: key.clone(), old, new };
                self.refused.push(Refused::of(&id, conflict.to_string()));
            }
        }
        let starts = old.start().is_none();
        if !starts {
            self.look_where(&run, old);
        }
        if starts {
            self.added[Kind::Runs] += 1;
            self.begun.insert(run.start.experiment.clone());
            self.log(Record::Start(run.start.clone()))?;
        }
        let records = missing::records(&state, old, starts, Differences::FollowTheSource);
        let mut facts = records.iter().any(|r| matches!(r, Record::Name { .. } | Record::Notes { .. }));
        for record in records {
            self.log(record)?;
        }
        facts |= self.removals(&run, old)?;
        self.points(&id, points)?;
        self.series(&run, there)?;
        for (name, rows) in &run.tables {
            self.table(&id, name, rows, there)?;
        }
        for file in files {
            match file {
                Taken::Already => {}
                Taken::New(artifact) => self.log(Record::Artifact { run: id.clone(), artifact })?,
                Taken::Unreadable(reason) => self.refused.push(Refused::of(&id, reason)),
            }
        }
        let end = |s: &RunState| (s.status(), s.is_running_elsewhere(), s.end_time(), s.error().map(str::to_string));
        if end(old) != end(&state) {
            facts = true;
            let (status, end_time, error) = (run.status, run.end(), run.error.clone());
            self.log(Record::Finish { run: id.clone(), status, end_time, error })?;
        }
        // One that was deleted here stays so.
        if run.deleted && !old.is_deleted() {
            facts = true;
            self.log(Record::Delete { run: id })?;
        } else if !run.deleted && old.is_deleted() {
            let reason = "is deleted here and not there; it shows once it is restored here".to_string();
            self.refused.push(Refused { place: format!("run '{id}'"), reason, is_loss: false });
        }
        self.added[Kind::RunFacts] += u64::from(facts || starts);
        Ok(())
    }

    /// Takes away what the source says was taken away there; whether there was any of it.
    fn removals(&mut self, run: &ForeignRun, old: &RunState) -> Result<bool> {
        let id = || run.id().clone();
        let has_tag = |key: &&String| old.tags().any(|(there, _)| there == key.as_str());
        let remove: Vec<String> = run.removed_tags.iter().filter(has_tag).cloned().collect();
        let has_comment = |id: &&String| old.comments().any(|(there, _)| there == id.as_str());
        let comments: Vec<String> = run.removed_comments.iter().filter(has_comment).cloned().collect();
        let any = !remove.is_empty() || !comments.is_empty();
        if !remove.is_empty() {
            self.log(Record::Tags { run: id(), set: Vec::new(), remove })?;
        }
        for comment in comments {
            self.log(Record::RemoveComment { run: id(), id: comment })?;
        }
        Ok(any)
    }

    fn points(&mut self, id: &RunId, mut new: Vec<&ForeignPoint>) -> Result<()> {
        // Values that were logged together, or might have been, share a record.
        let place = |p: &ForeignPoint| (p.step.whole(), p.step.fraction().map(f64::to_bits), p.time, p.context.clone());
        new.sort_by_cached_key(|p| place(p));
        for together in new.chunk_by(|a, b| a.time == b.time && a.step == b.step && a.context == b.context) {
            let first = together[0];
            self.log(Record::Metrics(MetricPoints {
                run: id.clone(),
                context: first.context.as_deref().map(str::to_string),
                step: first.step,
                time: first.time,
                values: together.iter().map(|p| (p.key.to_string(), p.value)).collect(),
            }))?;
        }
        Ok(())
    }

    fn series(&mut self, run: &ForeignRun, there: &Known) -> Result<()> {
        for point in there.new_series(run.id(), &run.series) {
            self.log(Record::Series { run: run.id().clone(), point: point.clone() })?;
        }
        Ok(())
    }

    fn table(&mut self, run: &RunId, name: &str, rows: &RecordBatch, there: &Known) -> Result<()> {
        let table = Table::Frame(name.to_string());
        // In the types that a table of runs has.
        let ipc = check_table(name, rows)?;
        let mut n = rows.num_rows();
        let mut ipc = Some(ipc).filter(|_| n > 0);
        if let (Some(frame), Some(encoded)) = (there.frame(name), &ipc) {
            let mine = frame::decode(run.as_str(), "", encoded).map_err(StoreError::arrow(&table))?;
            let logged: Vec<usize> = (0..mine.num_columns())
                .filter(|i| !frame::OWN_COLUMNS.contains(&mine.schema().field(*i).name().as_str()))
                .collect();
            let mine = mine.project(&logged).map_err(StoreError::arrow(&table))?;
            let new = frame.new_rows(run, &mine, &table)?;
            n = new.num_rows();
            ipc = match n {
                0 => None,
                _ => Some(frame::encode(&new).map_err(StoreError::arrow(&table))?),
            };
        }
        let Some(ipc) = ipc else { return Ok(()) };
        self.added[Kind::Rows] += n as u64;
        self.log(Record::Table { run: run.clone(), table: TableRows { name: name.to_string(), ipc } })
    }

    /// Copies the files of a group of runs that are not here yet: before anything says so, and many at once, since each
    /// is waited for until it would survive a power cut.
    fn take_files(&self, group: &[ForeignRun], there: &Known) -> Result<Vec<Vec<Taken>>> {
        let files: Vec<_> = group.iter().flat_map(|run| run.files.iter().map(move |file| (run.id(), file))).collect();
        let (io, options) = (self.to.io(), self.options);
        let mut taken = parallel::each_waiting(files.len(), |i| {
            let (run, file) = files[i];
            take_file(io, options, run, file, there.state(run))
        })
        .into_iter();
        group.iter().map(|run| taken.by_ref().take(run.files.len()).collect()).collect()
    }
}

/// What became of a file.
enum Taken {
    /// It is here already.
    Already,
    /// It was not.
    New(ArtifactEntry),
    /// It cannot be read, and why.
    Unreadable(String),
}

fn take_file(
    io: &dyn Io,
    options: IntakeOptions,
    run: &RunId,
    file: &ForeignFile,
    old: Option<&RunState>,
) -> Result<Taken> {
    let there = old.and_then(|old| old.artifact(&file.path));
    let same_size = there.filter(|entry| entry.size as u64 == file.size);
    let unread = |uri: String| ArtifactEntry {
        mime: artifact::mime(&file.path).map(str::to_string),
        path: file.path.clone(),
        uri,
        size: file.size as i64,
        digest: String::new(),
    };
    if options.files == Files::Leave {
        let uri = address(&file.source);
        let is_there = same_size.is_some_and(|entry| entry.uri == uri);
        return Ok(if is_there { Taken::Already } else { Taken::New(unread(uri)) });
    }
    let content = open(&file.source).and_then(|content| {
        if let Some(there) = same_size {
            let mut hash = blake3::Hasher::new();
            std::io::copy(&mut open(&file.source)?, &mut hash)?;
            if hash.finalize().to_hex().as_str() == there.digest {
                return Ok(None);
            }
        }
        Ok(Some(content))
    });
    match content {
        Ok(None) => Ok(Taken::Already),
        Ok(Some(_)) if options.dry_run => Ok(Taken::New(unread(String::new()))),
        Ok(Some(mut content)) => artifact::put(io, run, &file.path, &mut content).map(Taken::New),
        // The file may be gone since it was listed.
        Err(e) => Ok(Taken::Unreadable(format!("file '{}' cannot be read: {e}", file.source.display()))),
    }
}

/// Opens a regular file and nothing else: a pipe would be waited for, a link may lead anywhere.
fn open(path: &Path) -> std::io::Result<File> {
    match std::fs::symlink_metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Where a file lies, whatever the working folder of whoever asks.
fn address(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match url::Url::from_file_path(whole) {
        Ok(url) => url.to_string(),
        Err(()) => path.display().to_string(),
    }
}
