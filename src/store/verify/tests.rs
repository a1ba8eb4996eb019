//! One file of each kind is cut short, zeroed, flipped and removed, and `verify` names it.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::Status;
use crate::store::testing::{dump, log_everything, new_store};
use crate::store::{RunOptions, WriterOptions};

type Harm = fn(&Path);

const HARMS: [(&str, Harm); 4] = [
    ("cut short", |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - bytes.len() / 3 - 1]).unwrap();
    }),
    ("zeroed", |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, vec![0; bytes.len()]).unwrap();
    }),
    ("flipped", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }),
    ("removed", |path| std::fs::remove_file(path).unwrap()),
];

fn find(root: &Path, fits: impl Fn(&str) -> bool) -> PathBuf {
    let mut folders = vec![root.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fits(path.strip_prefix(root).unwrap().to_str().unwrap()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().next().expect("there is a file of this kind")
}

#[tokio::test]
async fn a_damaged_file_of_each_kind_is_named() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let run = log_everything(&store, "wine", 1);
    store.seal().await.unwrap();
    run.log_metric("loss", 2.0).unwrap();
    run.finish(Status::Finished).unwrap();
    store.seal().await.unwrap();
    // A writer of three small segments, none of which is sealed.
    let small = WriterOptions { segment_bytes: 400, ..WriterOptions::default() };
    let other = Store::open_with(&root, small).unwrap();
    let live = other.start_run(RunOptions::new("digits")).unwrap();
    while !root.join(layout::segment(other.writer_id().unwrap(), 2)).exists() {
        live.log_metric("loss", 1.0).unwrap();
    }
    let segment = layout::segment(other.writer_id().unwrap(), 1);
    let clean = store.verify(false).await.unwrap();
    assert!(clean.findings.is_empty(), "{:?}", clean.findings);
    assert!(clean.files > 50 && clean.rows > 40 && clean.records > 10, "{clean:?}");

    type Kind<'a> = (&'a str, Box<dyn Fn(&str) -> bool + 'a>);
    let kinds: Vec<Kind> = vec![
        ("manifest", Box::new(|p| p == "runlake.json")),
        ("cut", Box::new(|p| p == layout::cut(1))),
        ("newest cut", Box::new(|p| p == layout::cut(2))),
        ("batch", Box::new(|p| p == layout::batch(2))),
        ("segment", Box::new(|p| p == segment)),
        ("first commit", Box::new(|p| p == "metrics/_delta_log/00000000000000000000.json")),
        ("newest commit", Box::new(|p| p == "runs/_delta_log/00000000000000000001.json")),
        ("data file", Box::new(|p| p.starts_with("metrics/month=") && p.ends_with(".parquet"))),
        ("rows of runs", Box::new(|p| p.starts_with("runs/month=") && p.contains("/000000000002-"))),
        ("key counts", Box::new(|p| p.starts_with("runs/_keys/000000000002-"))),
        ("artifact", Box::new(|p| p.ends_with("model/weights.bin"))),
    ];
    for (kind, fits) in &kinds {
        let path = find(&root, fits);
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
        let content = std::fs::read(&path).unwrap();
        for (harm, harmed) in HARMS {
            // That looks like an operation whose sealer died just before its end: whoever comes next ends it.
            if (*kind, harm) == ("newest cut", "removed") {
                continue;
            }
            harmed(&path);
            let report = store.verify(false).await.unwrap();
            let named = report.findings.iter().any(|f| f.path == name && !f.holds.is_empty());
            assert!(named, "{kind} {name} {harm}: {:?}", report.findings);
            std::fs::write(&path, &content).unwrap();
        }
    }
    let clean = store.verify(false).await.unwrap();
    assert!(clean.findings.is_empty(), "{:?}", clean.findings);
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

    let keys = find(&root, |p| p.starts_with("runs/_keys/"));
    let counts = std::fs::read(&keys).unwrap();
    std::fs::remove_file(&keys).unwrap();
    let before = dump(&store).await;
    assert!(store.verify(true).await.unwrap().is_clean());
    assert_eq!(std::fs::read(&keys).unwrap(), counts);
    assert_eq!(dump(&store).await, before);
}
