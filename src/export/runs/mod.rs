//! Whole runs as the lines that `runlake log` reads, with their files beside them.
//!
//! Lines logged into an empty store make the same rows in every table. Runs are read group by group and points in parts,
//! so memory does not grow with their number.

mod files;
mod line;
mod param;
mod rows;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::model::{Record, RunId};
use crate::store::takeout::Part;
use crate::store::{AsOf, Store, StoreError};
use line::Line;

/// Name of the file of lines.
pub const LINES: &str = "runs.jsonl";
/// Name of the folder of files, one folder in it for each run.
pub const FILES: &str = "artifacts";

/// Which state of the runs is written, and what beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunsOptions {
    /// Adds the experiments that none of the runs is in.
    pub whole: bool,
    /// The sealed state of that time; the newest one with what is live, unless it is said.
    pub as_of: Option<AsOf>,
    /// Copies files that lie beside the store on this machine (`file://`) as well, as those of a mirrored source do. Else
    /// their lines say where they are.
    pub fetch: bool,
}

/// A file of a run that the store cannot give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFile {
    /// The run.
    pub run: RunId,
    /// Its name in the run.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunsWritten {
    /// Runs.
    pub runs: u64,
    /// Lines.
    pub lines: u64,
    /// Points of metrics.
    pub points: u64,
    /// Files.
    pub artifacts: u64,
    /// Their size in bytes.
    pub artifact_bytes: u64,
    /// Files that are damaged or gone: neither they nor their lines were written.
    pub lost: Vec<LostFile>,
}

/// What can go wrong while runs are written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("cannot write '{}': {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RunsError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> RunsError + '_ {
        move |source| RunsError::Io { path: path.to_path_buf(), source }
    }
}

/// Writes runs into a folder that exists: `runs.jsonl` and `artifacts/`. `seen` hears what is written so far after each run.
///
/// A file of a run that is gone, or whose content is not what was logged, hides nothing else: [`RunsWritten::lost`] names it.
///
/// # Errors
/// [`StoreError::RunNotFound`] (deleted runs count as such), and whatever the disk says. The folder is then half full, and
/// for the caller to remove.
pub async fn write_runs(
    store: &Store,
    runs: &[RunId],
    options: RunsOptions,
    folder: &Path,
    mut seen: impl FnMut(&RunsWritten),
) -> Result<RunsWritten, RunsError> {
    let path = folder.join(LINES);
    let file = File::create_new(&path).map_err(RunsError::io(&path))?;
    let (out, written, fetch) = (BufWriter::new(file), RunsWritten::default(), options.fetch);
    let mut writer = Writer { store, folder, path: &path, out, written, fetch };
    let taken = store.take_out(runs, options.whole, options.as_of, |part| {
        let begins = matches!(part, Part::Record(Record::Start(_)));
        writer.part(part)?;
        if begins {
            writer.written.runs += 1;
            seen(&writer.written);
        }
        Ok::<_, RunsError>(())
    });
    taken.await?;
    let Writer { out, written, .. } = writer;
    let file = out.into_inner().map_err(|e| RunsError::io(&path)(e.into_error()))?;
    file.sync_all().map_err(RunsError::io(&path))?;
    Ok(written)
}

struct Writer<'a> {
    store: &'a Store,
    folder: &'a Path,
    path: &'a Path,
    out: BufWriter<File>,
    written: RunsWritten,
    fetch: bool,
}

impl Writer<'_> {
    fn part(&mut self, part: Part<'_>) -> Result<(), RunsError> {
        match part {
            Part::Experiment(origin, edit) => self.line(line::experiment(&origin, &edit)),
            Part::Rows(run, name, rows) => self.line(rows::line(run, name, &rows)),
            Part::Record(Record::Artifact { run, artifact }) => {
                let copied = match files::is_elsewhere(&artifact) {
                    true if self.fetch && files::is_beside(&artifact) => files::fetch(self.folder, &run, &artifact)?,
                    true => return self.line(line::artifact_elsewhere(&run, &artifact)),
                    false => match files::copy(self.store, self.folder, &run, &artifact) {
                        Ok(source) => Ok((source, artifact.clone())),
                        // What the store cannot give; what cannot be written is another matter.
                        Err(RunsError::Store(e)) => Err(e.to_string()),
                        Err(e) => return Err(e),
                    },
                };
                let line = match copied {
                    Ok((source, artifact)) => {
                        self.written.artifacts += 1;
                        self.written.artifact_bytes += artifact.size as u64;
                        line::artifact(&run, &artifact, &source)
                    }
                    Err(reason) => {
                        self.written.lost.push(LostFile { run, path: artifact.path, reason });
                        return Ok(());
                    }
                };
                self.line(line)
            }
            Part::Record(record) => {
                if let Record::Metrics(points) = &record {
                    self.written.points += points.values.len() as u64;
                }
                line::of_record(&record).into_iter().try_for_each(|line| self.line(line))
            }
        }
    }

    fn line(&mut self, line: Line) -> Result<(), RunsError> {
        self.written.lines += 1;
        self.out.write_all(line.end().as_bytes()).map_err(RunsError::io(self.path))
    }
}
