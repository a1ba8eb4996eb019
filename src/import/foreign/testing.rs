//! What the tests of several sources do: bring one in, ask the store, look at the items of a walk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{
    ForeignExperiment, ForeignRun, ImportReport, IntakeOptions, Item, Kind, Out, Skipped, Source, import, open,
};
use crate::Store;

/// Writes a file and the folders that it lies in.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The only source at a path.
pub fn only_source(path: &Path) -> Arc<dyn Source> {
    let mut found = open(path.to_str().unwrap(), None).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Imports what lies at a path.
pub async fn bring(path: &Path, store: &Store) -> ImportReport {
    bring_source(&only_source(path), store).await
}

/// Imports a source.
pub async fn bring_source(source: &Arc<dyn Source>, store: &Store) -> ImportReport {
    import(source, store, IntakeOptions::default(), |_| ()).await.unwrap()
}

/// Imports a source again, live and sealed: nothing may be missing.
pub async fn nothing_is_missing(path: &Path, store: &Store) {
    for _ in 0..2 {
        assert_eq!(added(&bring(path, store).await), []);
        store.close_segment().unwrap();
        store.seal().await.unwrap();
    }
    assert_eq!(added(&bring(path, store).await), []);
    let findings = store.verify(false).await.unwrap().findings;
    assert!(findings.is_empty(), "{findings:?}");
}

/// What an import added, by kind.
pub fn added(report: &ImportReport) -> Vec<(&'static str, u64)> {
    let of = |kind: &Kind| (kind.name(), report.added[*kind]);
    Kind::ALL.iter().map(of).filter(|(_, n)| *n > 0).collect()
}

/// What an import lost, place and reason.
pub fn lost(report: &ImportReport) -> Vec<String> {
    report.skipped.iter().filter(|s| s.is_loss).map(told).collect()
}

/// What an import told without having lost it.
pub fn noted(report: &ImportReport) -> Vec<String> {
    report.skipped.iter().filter(|s| !s.is_loss).map(told).collect()
}

/// What did not come along, as it is told.
pub fn told(skipped: &Skipped) -> String {
    format!("{}: {}", skipped.place, skipped.reason)
}

/// Why it did not.
pub fn reason(skipped: &Skipped) -> String {
    skipped.reason.clone()
}

/// The rows of a query, cells joined by `|`.
pub async fn rows(store: &Store, sql: &str) -> Vec<String> {
    let batches = store.session().await.unwrap().sql(sql).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        let row = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

/// All items of a walk.
pub fn walk(source: &dyn Source) -> Vec<Item> {
    let mut items = Vec::new();
    let mut take = |item| {
        items.push(item);
        true
    };
    let _ = source.walk(&mut Out::new(&mut take));
    items
}

/// A walk to its end, by kind of item.
#[derive(Default)]
pub struct Walked {
    pub experiments: Vec<ForeignExperiment>,
    pub runs: Vec<ForeignRun>,
    pub losses: Vec<String>,
    pub notes: Vec<String>,
}

/// Walks a source whose experiments tell their goals themselves; `tell` shows what did not come along.
pub fn walked(source: &dyn Source, tell: fn(&Skipped) -> String) -> Walked {
    let mut all = Walked::default();
    let mut take = |item| {
        match item {
            Item::Experiment(experiment) => all.experiments.push(experiment),
            Item::Run(run) => all.runs.push(*run),
            Item::Goals(..) => panic!("goals are told with their experiment"),
            Item::Skipped(s) if s.is_loss => all.losses.push(tell(&s)),
            Item::Skipped(s) => all.notes.push(tell(&s)),
        }
        true
    };
    source.walk(&mut Out::new(&mut take)).unwrap();
    all
}
