//! A file of each kind is cut short, zeroed, flipped and removed, in a store that holds one of everything.

mod bits;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::model::Status;
use crate::schema::Table;
use crate::store::ops::{GcOptions, Upkeep};
use crate::store::testing::{dump, lines_of, log_everything, new_store};
use crate::store::{RunOptions, WriterOptions};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    CutShort,
    Zeroed,
    Flipped,
    Removed,
}

const HARMS: [Harm; 4] = [Harm::CutShort, Harm::Zeroed, Harm::Flipped, Harm::Removed];

impl Harm {
    fn to(self, path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        match self {
            Harm::CutShort => bytes.truncate(bytes.len() - bytes.len() / 3 - 1),
            Harm::Zeroed => bytes.fill(0),
            Harm::Flipped => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Harm::Removed => return std::fs::remove_file(path).unwrap(),
        }
        std::fs::write(path, bytes).unwrap();
    }
}

/// All files but for locks, by path.
type Tree = BTreeMap<String, Vec<u8>>;

fn tree(root: &Path) -> Tree {
    let mut folders = vec![root.to_path_buf()];
    let mut found = Tree::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if !name.ends_with(".lock") {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Paths at which two trees differ.
fn changed(before: &Tree, after: &Tree) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

fn restore(root: &Path, tree_before: &Tree) {
    let now = tree(root);
    for path in changed(tree_before, &now) {
        match tree_before.get(&path) {
            Some(content) => std::fs::write(root.join(&path), content).unwrap(),
            None => std::fs::remove_file(root.join(&path)).unwrap(),
        }
    }
}

/// The answer of each of these tables, or its error.
async fn answers(store: &Store, tables: &[&str]) -> BTreeMap<String, Result<Vec<String>, String>> {
    let mut answers = BTreeMap::new();
    for table in tables {
        // A session of its own for each, as one command has.
        let answer = async {
            let session = store.session().await?;
            let rows = session.sql(&format!("SELECT * FROM {table}")).await?.collect().await;
            let rows = rows.map_err(crate::query::QueryError::from)?;
            // What a session warns of is not silent.
            match session.warnings().as_slice() {
                [] => Ok(lines_of(&rows)),
                [warning, ..] => Ok(vec![warning.clone()]),
            }
        };
        let answer: Result<_, crate::Error> = answer.await;
        answers.insert(table.to_string(), answer.map_err(|e| e.to_string()));
    }
    answers
}

/// What `--repair` can do about a kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mends {
    /// Nothing: the file stays as it is.
    No,
    /// It is made again, as it was.
    Again,
    /// It is set aside, and nobody misses it.
    Aside,
    /// What is intact of it stays, the whole of it is set aside.
    Kept,
}

struct Kind {
    what: String,
    path: String,
    /// Tables whose rows are needed from it; `None`: all.
    needed_by: Option<Vec<String>>,
    mends: Mends,
    harms: Vec<Harm>,
}

/// A store with one of everything: open, ended, deleted and purged runs, files of each kind, a log with checkpoints, a
/// writer that is alive and one that is gone with segments that nobody sealed.
async fn store_of_everything() -> (tempfile::TempDir, Store, Store) {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let gone = log_everything(&store, "wine", 0);
    gone.finish(Status::Finished).unwrap();
    store.delete_run(gone.id()).unwrap();
    let open = log_everything(&store, "wine", 1);
    store.seal_with(Upkeep::never()).await.unwrap();
    store.gc(GcOptions::default()).await.unwrap();
    log_everything(&store, "digits", 2).finish(Status::Finished).unwrap();
    let deleted = log_everything(&store, "digits", 3);
    deleted.finish(Status::Finished).unwrap();
    store.delete_run(deleted.id()).unwrap();
    for i in 0..27 {
        open.log_metric("loss", f64::from(i)).unwrap();
        store.seal_with(Upkeep::never()).await.unwrap();
    }
    store.rename_experiment("digits", "numbers").unwrap();
    store.close_segment().unwrap();
    store.seal_with(Upkeep::never()).await.unwrap();
    // Three small segments that nobody seals, of a writer that is alive.
    let small = WriterOptions { segment_bytes: 400, ..WriterOptions::default() };
    let other = Store::open_with(&root, small).unwrap();
    let live = other.start_run(RunOptions::new("digits")).unwrap();
    while !root.join(layout::segment(other.writer_id().unwrap(), 2)).exists() {
        live.log_metric("loss", 1.0).unwrap();
    }
    (dir, store, other)
}

fn kinds(tree: &Tree, newest: u64, live: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut add = |what: &str, path: String, needed_by: Option<&[&str]>, mends| {
        assert!(tree.contains_key(&path), "{what}: there is no {path}");
        let needed_by = needed_by.map(|tables| tables.iter().map(|t| t.to_string()).collect());
        // In the hint most bits mean nothing.
        let harms = match what.starts_with("hint") {
            true => vec![Harm::CutShort, Harm::Zeroed, Harm::Removed],
            false => HARMS.to_vec(),
        };
        kinds.push(Kind { what: what.to_string(), path, needed_by, mends, harms });
    };
    let first = |fits: &dyn Fn(&str) -> bool| tree.keys().find(|p| fits(p)).expect("there is one").clone();
    add("manifest", layout::MANIFEST.into(), Some(&[]), Mends::No);
    add("old cut", layout::cut(3), Some(&[]), Mends::No);
    add("newest cut", layout::cut(newest), None, Mends::Again);
    add("old batch", layout::batch(3), Some(&[]), Mends::Aside);
    add("batch of the newest cut", layout::batch(newest), Some(&[]), Mends::No);
    add("purged runs", first(&|p| p.starts_with("cuts/purged-")), None, Mends::Again);
    add("segment", live.to_string(), Some(&[]), Mends::Kept);
    for table in Table::FIXED.into_iter().chain([Table::Frame("predictions".into())]) {
        let (name, folder) = (table.to_string(), layout::table(&table));
        // Experiments and goals stand in the cut; the counts of `experiments` are made from `runs`.
        let needed_by: Option<&[&str]> = match table {
            Table::Runs => Some(&["runs", "experiments"]),
            Table::Experiments | Table::MetricDefs => Some(&[]),
            _ => Some(&[&name]),
        };
        let commits = matches!(table, Table::Runs | Table::Metrics | Table::Experiments);
        let log = format!("{folder}/_delta_log/");
        if commits {
            let first = tree.keys().find(|p| p.starts_with(&log) && p.ends_with("0.json")).expect("there is one");
            add(&format!("first commit of {name}"), first.clone(), needed_by, Mends::No);
        }
        let data: Vec<_> =
            tree.keys().filter(|p| p.starts_with(&format!("{folder}/")) && p.ends_with(".parquet")).collect();
        let data = data.into_iter().rfind(|p| !p.contains("_delta_log")).expect("each table has a file");
        add(&format!("data file of {name}"), data.clone(), needed_by, Mends::No);
    }
    add("newest commit", layout::commit(&Table::Metrics, 28), Some(&["metrics"]), Mends::No);
    let checkpoint = first(&|p| p.starts_with("metrics/") && p.ends_with(".checkpoint.parquet"));
    add("checkpoint", checkpoint, Some(&["metrics"]), Mends::Again);
    add("hint at the checkpoint", "metrics/_delta_log/_last_checkpoint".into(), Some(&["metrics"]), Mends::Again);
    add("key counts", tree.keys().rfind(|p| p.starts_with("runs/_keys/")).unwrap().clone(), Some(&[]), Mends::Again);
    add("artifact", first(&|p| p.ends_with("model/weights.bin")), Some(&[]), Mends::No);
    kinds
}

#[tokio::test]
async fn damage_to_a_file_of_each_kind_is_named_and_never_silent() {
    let (dir, store, other) = store_of_everything().await;
    let root = dir.path().join("s");
    let clean = store.verify(false).await.unwrap();
    assert!(clean.findings.is_empty(), "{:?}", clean.findings);
    assert!(clean.files > 100 && clean.rows > 100 && clean.records > 10, "{clean:?}");
    let before = tree(&root);
    let mut tables: Vec<String> = Table::FIXED.iter().map(Table::to_string).collect();
    tables.push("frames.predictions".to_string());
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let right = answers(&store, &tables).await;
    assert!(right.values().all(|answer| answer.is_ok()), "{right:?}");
    let newest = Cut::newest(store.io()).unwrap().n;
    let segment = layout::segment(other.writer_id().unwrap(), 1);
    let mut seen = 0;
    for kind in kinds(&before, newest, &segment) {
        let Kind { what, path, needed_by, mends, harms } = kind;
        // All tables would take too long each time: one that needs no other, one that is large, and the one in question.
        let asked: Vec<&str> = tables
            .iter()
            .copied()
            .filter(|t| matches!(*t, "runs" | "experiments" | "metrics" | "tags") || what.ends_with(t))
            .collect();
        for harm in harms {
            let case = format!("{what} {path} {harm:?}");
            // A batch that was done, and is needed no more, may be gone.
            if (mends, harm) == (Mends::Aside, Harm::Removed) {
                continue;
            }
            harm.to(&root.join(&path));
            let harmed = tree(&root);

            let report = store.verify(false).await.unwrap();
            let named = report.findings.iter().any(|f| f.path == path && !f.holds.is_empty());
            assert!(named, "{case}: {:?}", report.findings);
            assert_eq!(changed(&harmed, &tree(&root)), [""; 0], "{case}: looking changes nothing");

            for (table, answer) in answers(&store, &asked).await {
                let needs = needed_by.as_ref().is_none_or(|tables| tables.contains(&table));
                match answer {
                    Err(e) => assert!(needs, "{case}: {table} does not need it: {e}"),
                    Ok(rows) if Ok(&rows) == right[&table].as_ref() => {}
                    Ok(rows) if rows.len() == 1 && rows[0].contains(&path) => {}
                    Ok(rows) => panic!("{case}: {table} answers {rows:?} in silence"),
                }
            }

            let report = store.verify(true).await.unwrap();
            let finding = report.findings.iter().find(|f| f.path == path).unwrap();
            let repaired = tree(&root);
            let touched = changed(&harmed, &repaired);
            match mends {
                Mends::Kept if harm != Harm::Removed => {
                    assert!(report.is_clean(), "{case}: {:?}", report.findings);
                    let aside = format!("{}/{}", layout::DAMAGED, path.rsplit('/').next().unwrap());
                    assert!(touched.iter().all(|t| *t == path || *t == aside), "{case}: {touched:?}");
                    assert_eq!(repaired[&aside], harmed[&path], "{case}");
                    let clean = store.verify(false).await.unwrap();
                    assert!(clean.findings.is_empty(), "{case}: {:?}", clean.findings);
                    assert!(store.session().await.unwrap().warnings().is_empty(), "{case}");
                }
                Mends::No | Mends::Kept => {
                    assert_eq!(finding.repaired, None, "{case}");
                    assert_eq!(touched, [""; 0], "{case}");
                }
                Mends::Again | Mends::Aside => {
                    assert!(report.is_clean(), "{case}: {:?}", report.findings);
                    assert!(!touched.is_empty(), "{case}");
                    for touched in touched {
                        let log = path.rsplit_once('/').unwrap().0;
                        let checkpoints = log.ends_with("_delta_log") && touched.starts_with(log);
                        let fits = touched == path || touched.starts_with(layout::DAMAGED) || checkpoints;
                        assert!(fits, "{case}: {touched} was touched");
                    }
                    let clean = store.verify(false).await.unwrap();
                    assert!(clean.findings.is_empty(), "{case}: {:?}", clean.findings);
                    for (table, answer) in answers(&store, &asked).await {
                        assert_eq!(answer, right[&table], "{case}");
                    }
                    if mends == Mends::Again && !path.contains("_delta_log") {
                        assert_eq!(repaired.get(&path), before.get(&path), "{case}: it is what it was");
                    }
                }
            }
            restore(&root, &before);
            seen += 1;
        }
    }
    assert!(seen > 110, "{seen}");
}

#[tokio::test]
async fn a_repair_keeps_the_intact_records_and_sets_the_rest_aside() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let other = Store::open(&root).unwrap();
    let run = other.start_run(RunOptions::new("wine")).unwrap();
    for step in 0..10 {
        run.log_metric_at("loss", 1.0, step).unwrap();
    }
    let path = root.join(layout::segment(other.writer_id().unwrap(), 0));
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    let last = bytes.len() - 5;
    bytes[last] ^= 4;
    std::fs::write(&path, &bytes).unwrap();

    let report = store.verify(true).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].repaired, None, "its writer is alive");
    assert!(report.findings[0].problem.contains("10 records before it are intact"), "{:?}", report.findings);
    drop((run, other));
    for _ in 0..100 {
        if !store.io().is_locked(&format!("live/{}", path.file_name().unwrap().to_str().unwrap())).unwrap() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let report = store.verify(true).await.unwrap();
    assert!(report.findings[0].repaired.as_ref().unwrap().starts_with("10 records kept"), "{report:?}");
    assert!(report.is_clean());
    let aside = root.join(layout::DAMAGED).join(path.file_name().unwrap());
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    assert!(store.verify(false).await.unwrap().findings.is_empty());
    store.seal().await.unwrap();
    assert_eq!(dump(&store).await["metrics"].len(), 9);
    assert!(store.verify(false).await.unwrap().findings.is_empty());

    let keys = tree(&root).into_keys().find(|p| p.starts_with("runs/_keys/")).unwrap();
    let keys = root.join(keys);
    let counts = std::fs::read(&keys).unwrap();
    std::fs::remove_file(&keys).unwrap();
    let before = dump(&store).await;
    assert!(store.verify(true).await.unwrap().is_clean());
    assert_eq!(std::fs::read(&keys).unwrap(), counts);
    assert_eq!(dump(&store).await, before);
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_stops_sealing_and_nothing_else_until_it_is_set_aside() {
    let (dir, store) = new_store();
    let run = log_everything(&store, "wine", 1);
    store.seal().await.unwrap();
    run.log_metric("loss", 2.0).unwrap();
    let before = dump(&store).await;
    let path = layout::batch(2);
    std::fs::write(dir.path().join("s").join(&path), b"{\"format\":1").unwrap();
    assert_eq!(dump(&store).await, before, "readers need it not");
    assert!(store.seal().await.unwrap_err().to_string().contains(&path));
    let report = store.verify(true).await.unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.findings[0].path == path && report.is_clean(), "{report:?}");
    store.seal().await.unwrap();
    assert_eq!(dump(&store).await, before);
    assert!(store.verify(false).await.unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_cut_that_is_lost_with_its_batch_is_told_of_and_never_taken_for_the_state_before() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    log_everything(&store, "wine", 1).finish(Status::Finished).unwrap();
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    log_everything(&store, "wine", 2).finish(Status::Finished).unwrap();
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    // Without its batch the next operation would get the same number, and every table would skip it.
    std::fs::remove_file(root.join(layout::cut(2))).unwrap();
    std::fs::remove_file(root.join(layout::batch(2))).unwrap();
    store.start_run(RunOptions::new("wine")).unwrap();
    for e in [store.snapshot().unwrap_err(), store.seal().await.unwrap_err()] {
        assert!(e.to_string().contains("is missing, and so is its batch"), "{e}");
    }
    let report = store.verify(true).await.unwrap();
    let finding = report.findings.iter().find(|f| f.path == layout::cut(2)).unwrap();
    assert!(finding.problem.contains("it cannot be made again"), "{finding:?}");
    assert!(!report.is_clean());
}

#[tokio::test]
async fn the_newest_cut_is_made_again_after_each_kind_of_operation_and_after_a_cleanup() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let again = async |what: &str| {
        let n = Cut::newest(store.io()).unwrap().n;
        let path = root.join(layout::cut(n));
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"").unwrap();
        let report = store.verify(true).await.unwrap();
        assert!(report.findings.len() == 1 && report.is_clean(), "{what}: {report:?}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "{what}");
    };
    let gone = log_everything(&store, "wine", 1);
    gone.finish(Status::Finished).unwrap();
    let open = log_everything(&store, "digits", 2);
    store.seal().await.unwrap();
    again("sealing").await;
    open.log_metric("loss", 1.0).unwrap();
    store.delete_run(gone.id()).unwrap();
    store.rename_experiment("digits", "numbers").unwrap();
    store.seal().await.unwrap();
    again("edits").await;
    log_everything(&store, "wine", 3).finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    assert!(store.compact(2).await.unwrap().files_before > 0);
    again("compacting").await;
    assert_eq!(store.gc(GcOptions { keep: crate::Micros(0) }).await.unwrap().runs, 1);
    assert_eq!(Cut::numbers(store.io()).unwrap().len(), 1, "nobody reads the state before");
    again("purging").await;
}
