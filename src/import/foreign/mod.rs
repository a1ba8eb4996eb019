//! Stores of other tools, read whole: what is in them goes into a store of ours, and what cannot is told.
//!
//! A [`Source`] is opened with [`open`], which recognises what a path holds, and taken in with [`import`], as often as
//! one likes: only what is new or changed is written. [`Cached`] keeps a source as a store of its own, to be queried.

mod cache;
mod driver;
mod error;
mod fingerprint;
mod id;
mod json;
mod mlflow;
mod neptune;
mod optuna;
mod rubicon;
mod sqlite;
mod table;
mod tensorboard;
#[cfg(test)]
mod testing;
mod tree;
mod unreadable;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

pub use cache::Cached;
pub use driver::{ImportReport, import};
pub use error::ImportError;
pub use table::TableMapping;

use crate::model::Goal;
pub use crate::store::{
    Counts, Files, ForeignExperiment, ForeignFile, ForeignPoint, ForeignRun, IntakeOptions, Kind, Scope,
};

/// What tool wrote a source, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A folder of MLflow: `mlruns/`.
    MlflowFiles,
    /// A database of MLflow.
    MlflowDatabase,
    /// A root of rubicon-ml.
    Rubicon,
    /// An export of Neptune.
    Neptune,
    /// A database of Optuna.
    OptunaDatabase,
    /// A log folder of TensorBoard.
    TensorBoard,
    /// Files of CSV, JSON lines or Parquet.
    Table,
    /// A file that looks like one of a tool and cannot be opened.
    Unreadable,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SourceKind::MlflowFiles => "MLflow folder",
            SourceKind::MlflowDatabase => "MLflow database",
            SourceKind::Rubicon => "rubicon-ml root",
            SourceKind::Neptune => "Neptune export",
            SourceKind::OptunaDatabase => "Optuna database",
            SourceKind::TensorBoard => "TensorBoard folder",
            SourceKind::Table => "table",
            SourceKind::Unreadable => "unreadable file",
        })
    }
}

/// A tool whose stores can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// MLflow.
    Mlflow,
    /// rubicon-ml.
    Rubicon,
    /// Neptune.
    Neptune,
    /// Optuna.
    Optuna,
    /// TensorBoard.
    TensorBoard,
    /// Anybody: tables.
    Table,
}

impl Tool {
    /// The names that [`Tool::from_str`] knows.
    pub const NAMES: &'static [&'static str] = &["mlflow", "rubicon", "neptune", "optuna", "tensorboard", "table"];
}

impl FromStr for Tool {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "mlflow" => Ok(Tool::Mlflow),
            "rubicon" => Ok(Tool::Rubicon),
            "neptune" => Ok(Tool::Neptune),
            "optuna" => Ok(Tool::Optuna),
            "tensorboard" => Ok(Tool::TensorBoard),
            "table" => Ok(Tool::Table),
            _ => Err(()),
        }
    }
}

/// How much there is, as far as a quick look tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Experiments, deleted ones too.
    pub experiments: u64,
    /// Runs, deleted ones too.
    pub runs: u64,
}

/// Something that did not come along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where: a file, or a table and a row.
    pub place: String,
    /// Why.
    pub reason: String,
    /// Whether it belongs to a run that is therefore not whole. What is no part of runs is none.
    pub is_loss: bool,
}

/// A store of another tool.
pub trait Source: fmt::Debug + Send + Sync {
    /// What it is.
    fn kind(&self) -> SourceKind;

    /// Where it is.
    fn place(&self) -> &Path;

    /// What a quick look tells of its size.
    fn holdings(&self) -> Result<Holdings, ImportError>;

    /// Experiments that may have got another name since they came along, under their present ones: without their runs, and
    /// only with tags that tell which ones they are.
    fn experiments(&self) -> Result<Vec<ForeignExperiment>, ImportError> {
        Ok(Vec::new())
    }

    /// Text that is another one after anything has changed. It reads no content, only sizes and times of files.
    fn fingerprint(&self) -> Result<String, ImportError>;

    /// How else it could be read: the same files mean different things where this is different.
    fn reading(&self) -> String {
        String::new()
    }

    /// Hands over everything: an experiment before its runs, each run once and whole.
    ///
    /// What cannot be read is handed over as skipped; an error means that the source as a whole cannot be.
    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError>;
}

/// What a walk hands over.
#[derive(Debug)]
pub enum Item {
    /// An experiment.
    Experiment(ForeignExperiment),
    /// A run.
    Run(Box<ForeignRun>),
    /// Which way the metrics of an experiment get better, where only its runs tell.
    Goals(String, Vec<(String, Goal)>),
    /// What did not come along.
    Skipped(Skipped),
}

/// Takes what a walk finds.
pub struct Out<'a> {
    take: &'a mut dyn FnMut(Item) -> bool,
    stopped: bool,
}

impl<'a> Out<'a> {
    /// Gives every item to a function, until it says `false`.
    pub fn new(take: &'a mut dyn FnMut(Item) -> bool) -> Self {
        Out { take, stopped: false }
    }

    /// Whether nobody wants more.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn give(&mut self, item: Item) {
        if !self.stopped {
            self.stopped = !(self.take)(item);
        }
    }

    /// Hands over an experiment.
    pub fn experiment(&mut self, experiment: ForeignExperiment) {
        self.give(Item::Experiment(experiment));
    }

    /// Hands over a run.
    pub fn run(&mut self, run: ForeignRun) {
        self.give(Item::Run(Box::new(run)));
    }

    /// Hands over which way the metrics of an experiment get better; for sources whose runs tell, after these.
    pub fn goals(&mut self, experiment: &str, goals: Vec<(String, Goal)>) {
        if !goals.is_empty() {
            self.give(Item::Goals(experiment.to_string(), goals));
        }
    }

    /// Tells of something that belongs to a run or an experiment and could not be read.
    pub fn skip(&mut self, place: impl fmt::Display, reason: impl fmt::Display) {
        self.give(Item::Skipped(Skipped { place: place.to_string(), reason: reason.to_string(), is_loss: true }));
    }

    /// Tells of something that is no part of runs, or that a later import will bring.
    pub fn leave(&mut self, place: impl fmt::Display, reason: impl fmt::Display) {
        self.give(Item::Skipped(Skipped { place: place.to_string(), reason: reason.to_string(), is_loss: false }));
    }
}

/// Opens what a path holds: a folder, a database, or `sqlite:///path` as MLflow and Optuna write it; a table, or a pattern
/// of tables. With `tool`, only what that tool wrote. A folder that holds several stores gives them all.
///
/// # Errors
/// [`ImportError::NotRecognised`] when there is none.
pub fn open(place: &str, tool: Option<Tool>) -> Result<Vec<Arc<dyn Source>>, ImportError> {
    let path = local_path(place);
    if let Some((scheme, _)) = place.split_once("://").filter(|_| path == Path::new(place) && !path.exists()) {
        return Err(ImportError::Elsewhere { scheme: format!("{scheme}://") });
    }
    let mut found: Vec<Arc<dyn Source>> = Vec::new();
    if matches!(tool, None | Some(Tool::Mlflow)) {
        mlflow::detect(&path, &mut found)?;
    }
    // What is a store itself is not looked into for others: it may hold thousands of folders.
    let is_settled = |found: &[Arc<dyn Source>]| found.iter().any(|source| source.place() == path);
    if matches!(tool, None | Some(Tool::Rubicon)) && !is_settled(&found) {
        rubicon::detect(&path, &mut found)?;
    }
    if matches!(tool, None | Some(Tool::Neptune)) && !is_settled(&found) {
        neptune::detect(&path, &mut found)?;
    }
    if matches!(tool, None | Some(Tool::Optuna)) && !is_settled(&found) {
        optuna::detect(&path, &mut found)?;
    }
    // After the others: what lies in their stores is theirs.
    if matches!(tool, None | Some(Tool::TensorBoard)) {
        tensorboard::detect(&path, tool.is_some(), &mut found)?;
    }
    let is_table = tool == Some(Tool::Table) || tool.is_none() && (table::is_table(&path) || table::is_pattern(place));
    if found.is_empty() && is_table {
        found.push(open_tables(&[path.display().to_string()], TableMapping::default())?);
    }
    if found.is_empty() {
        std::fs::metadata(&path).map_err(ImportError::io(&path))?;
        return Err(ImportError::NotRecognised { path });
    }
    Ok(found)
}

/// Opens files of CSV, JSON lines or Parquet, or patterns of them such as `out/*/metrics.csv`, as one source.
///
/// # Errors
/// When there is no such file. That a column which the mapping names is missing is known once the files are looked at, which
/// [`Source::holdings`] does first.
pub fn open_tables(words: &[String], mapping: TableMapping) -> Result<Arc<dyn Source>, ImportError> {
    table::open(words, mapping)
}

/// The path in `sqlite:///relative`, `sqlite:////absolute` or `file:///absolute`, else the text itself.
fn local_path(place: &str) -> PathBuf {
    if let Some(path) = place.strip_prefix("sqlite:///") {
        return path.into();
    }
    match url::Url::parse(place).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok()) {
        Some(path) => path,
        None => place.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_paths_or_addresses() {
        for (place, path) in [
            ("mlruns", "mlruns"),
            ("sqlite:///mlflow.db", "mlflow.db"),
            ("sqlite:////srv/mlflow.db", "/srv/mlflow.db"),
            ("file:///srv/my%20runs", "/srv/my runs"),
        ] {
            assert_eq!(local_path(place), PathBuf::from(path));
        }
        for place in ["http://localhost:5000", "postgresql+psycopg2://me:secret@host/runs", "s3://bucket/mlruns"] {
            let error = open(place, None).unwrap_err();
            assert!(error.is_usage() && !error.to_string().contains("secret"), "{error}");
            assert!(error.to_string().contains(&place[..place.find("://").unwrap() + 3]), "{error}");
        }
    }
}
