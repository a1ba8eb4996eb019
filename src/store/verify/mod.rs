//! Looking at every file, digest and invariant of a store, and naming what is damaged and what it holds.

mod artifacts;
mod aside;
mod cuts;
mod rows;
mod segments;
mod tables;

use std::io::ErrorKind;

use super::cut::Cut;
use super::error::{Result, StoreError};
use super::live::Live;
use super::snapshot::Snapshot;
use super::{Manifest, Store, layout};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, relative to the store.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// What it holds, or held.
    pub holds: String,
    /// What a repair did about it; `None` when nothing was done.
    pub repaired: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}; it holds {}", self.path, self.problem, self.holds)
    }
}

/// What a verification looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// Files that were read to their end.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Live records that were read.
    pub records: u64,
    /// Rows of tables that were read.
    pub rows: u64,
}

impl VerifyReport {
    /// Whether all is well: nothing was found, or everything that was found is repaired.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.repaired.is_some())
    }

    fn read(&mut self, bytes: usize) {
        self.files += 1;
        self.bytes += bytes as u64;
    }

    fn find(&mut self, path: impl Into<String>, problem: impl Into<String>, holds: impl Into<String>) {
        let (path, problem, holds) = (path.into(), problem.into(), holds.into());
        self.findings.push(Finding { path, problem, holds, repaired: None });
    }

    /// What was found last is repaired.
    fn mended(&mut self, how: impl Into<String>) {
        self.findings.last_mut().expect("something was just found").repaired = Some(how.into());
    }
}

impl Store {
    /// Checks every file, digest and invariant: the manifest, cuts, batches, segments record by record, the log and the
    /// data files of every table at the newest cut, logged files, and what tables say of each other.
    ///
    /// With `repair`, what can be had from other files is made again, and damaged files are set aside under
    /// `live/damaged/`: docs/format.md has the list. Nothing else is touched, and no intact record or row is removed.
    ///
    /// A segment of a dead writer that ends within a record is no finding: nothing that `log` returned for is lost.
    ///
    /// Cost: reads the whole store once, ids of runs twice. Memory: one data file and its rows a batch at a time, and
    /// 64 MiB for what is compared between tables, however many runs and series there are.
    ///
    /// # Errors
    /// An I/O error other than a missing file; what is damaged is in the report.
    pub async fn verify(&self, repair: bool) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        // Nobody seals, and so removes, what is being looked at. Who may only read cannot take the lock, and looks all the same.
        let lock = match self.io().lock(layout::SEAL_LOCK, true) {
            Err(e) if !repair && matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                None
            }
            other => other.map_err(StoreError::io(layout::SEAL_LOCK))?,
        };
        self.verify_manifest(&mut report)?;
        let cut = cuts::cuts(self.tables(), repair, &mut report).await?;
        let live = segments::segments(self.io(), &cut, repair, &mut report)?;
        cuts::batches(self.tables(), &cut, repair, &mut report).await?;
        let snapshot = Snapshot::of(self.tables().clone(), cut, Live::default(), Vec::new(), None);
        tables::tables(&snapshot, repair, &mut report).await?;
        artifacts::live(self.io(), &live, &mut report)?;
        drop(lock);
        Ok(report)
    }

    fn verify_manifest(&self, report: &mut VerifyReport) -> Result<()> {
        match Manifest::read(self.io(), self.place()) {
            Ok(manifest) if manifest.id != self.id() => {
                report.find(layout::MANIFEST, "is that of another store", format!("the id {}", manifest.id));
            }
            Ok(_) => report.read(0),
            Err(e) => report.find(layout::MANIFEST, problem(&e), "the format and the id of the store"),
        }
        Ok(())
    }
}

/// An error as what is wrong with a file that is named beside it.
fn problem(e: &StoreError) -> String {
    match e {
        StoreError::Damaged { problem, .. } => problem.clone(),
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "is missing".to_string(),
        StoreError::Io { source, .. } => format!("cannot be read: {source}"),
        StoreError::NotAStore { .. } => "is missing".to_string(),
        other => format!("cannot be read: {other}"),
    }
}

fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A few of many names.
fn some<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const FEW: usize = 3;
    let names: Vec<_> = names.into_iter().collect();
    let few = names.iter().take(FEW).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
    match names.len() {
        n if n > FEW => format!("{few} and {} more", n - FEW),
        _ => few,
    }
}

/// The cut that the rest is looked at by.
fn of_cut(cut: &Cut) -> String {
    if cut.n == 0 { "the empty store".to_string() } else { format!("cut {}", cut.n) }
}

#[cfg(test)]
mod tests;
