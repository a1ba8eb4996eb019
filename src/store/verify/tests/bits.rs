//! Single bits of what tables consist of are flipped: a query fails or answers as before, and `verify` names the file.

use parquet::file::metadata::ParquetMetaDataReader;

use super::*;
use crate::model::{ParamValue, RunId};

/// Bits that are tried of each file.
const BITS: usize = 24;

/// Runs in one file of each table, so that columns have dictionaries.
const RUNS: usize = 300;

/// A store whose tables have files of one page and of several, and a log with a checkpoint.
async fn store_of_pages() -> (tempfile::TempDir, Store) {
    let (dir, store) = new_store();
    for n in 0..26 {
        log_everything(&store, "wine", n).finish(Status::Finished).unwrap();
        store.seal_with(Upkeep::never()).await.unwrap();
    }
    for n in 26..26 + RUNS {
        log_everything(&store, "wine", n as i64).finish(Status::Finished).unwrap();
    }
    let run = store.start_run(RunOptions::new("digits")).unwrap();
    for step in 0..9_000 {
        run.log_metric_at(["loss", "accuracy", "f1"][step as usize % 3], f64::from(step as u32).sqrt(), step).unwrap();
    }
    run.finish(Status::Finished).unwrap();
    store.seal_with(Upkeep::never()).await.unwrap();
    (dir, store)
}

async fn answer(root: &Path, question: &str) -> Result<Vec<String>, String> {
    let ask = async {
        let session = Store::open(root)?.session().await?;
        let rows = session.sql(question).await?.collect().await.map_err(crate::query::QueryError::from)?;
        Ok::<_, crate::Error>(lines_of(&rows))
    };
    ask.await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_flipped_bit_never_changes_an_answer() {
    let (dir, store) = store_of_pages().await;
    let root = dir.path().join("s");
    let before = tree(&root);
    let ids = answer(&root, "SELECT run_id FROM runs ORDER BY name").await.unwrap();
    let id = ids[200].strip_prefix("run_id=").unwrap();
    let of_run = format!("SELECT key, value FROM tags WHERE run_id = '{id}'");
    let runs = ["SELECT * FROM runs", "SELECT name, metrics.loss, tags.owner FROM runs WHERE params.lr > 0.3"];
    let params = ["SELECT * FROM params", "SELECT run_id, value FROM params WHERE key = 'lr'"];
    let tags = ["SELECT * FROM tags", &of_run];
    // Of `metrics` only some pages are read.
    let metrics = ["SELECT * FROM metrics", "SELECT value, time FROM metrics WHERE key = 'f1' AND step > 8000"];
    let mut right = BTreeMap::new();
    for question in [runs, params, tags, metrics].concat() {
        right.insert(question, answer(&root, question).await.unwrap());
    }
    assert_eq!((right[metrics[0]].len(), right[metrics[1]].len()), (9_000 + (26 + RUNS) * 15, 333));
    assert!(right.values().all(|rows| !rows.is_empty()), "{right:?}");
    let last = |fits: &dyn Fn(&str) -> bool| before.keys().rfind(|path| fits(path)).unwrap().clone();
    let largest = |table: &str| {
        let files = before.iter().filter(|(path, _)| path.starts_with(&format!("{table}/month=")));
        files.max_by_key(|(_, content)| content.len()).unwrap().0.clone()
    };
    let newest = Cut::newest(store.io()).unwrap();
    let files = [
        (largest("runs"), &runs[..]),
        (last(&|path| path.starts_with("runs/_keys/")), &runs[..1]),
        (layout::commit(&Table::Runs, newest.tables["runs"]), &runs[..1]),
        (largest("params"), &params),
        (file_of(&store, &Table::Tags, id).await, &tags),
        (largest("metrics"), &metrics),
        (last(&|path| path.starts_with("metrics/") && path.ends_with(".checkpoint.parquet")), &metrics[..1]),
        (layout::commit(&Table::Metrics, newest.tables["metrics"]), &metrics[..1]),
        (layout::cut(newest.n), &runs[..1]),
    ];
    for (path, questions) in files {
        let content = &before[&path];
        let mut failed = vec![0; questions.len()];
        for i in 0..BITS {
            // Spread over the file, at every place in a byte.
            let bit = i * (content.len() * 8 - 1) / (BITS - 1);
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(root.join(&path), flipped).unwrap();
            for (question, failed) in questions.iter().zip(&mut failed) {
                match answer(&root, question).await {
                    Err(e) => {
                        assert!(e.contains(&path), "bit {bit} of {path}: '{question}' does not name it: {e}");
                        *failed += 1;
                    }
                    Ok(rows) => assert!(rows == right[question], "bit {bit} of {path}: '{question}' answers otherwise"),
                }
            }
            // Looking through the whole store takes longer.
            if i % 16 == 8 {
                let report = store.verify(false).await.unwrap();
                assert!(report.findings.iter().any(|f| f.path == path), "bit {bit} of {path}: {:?}", report.findings);
            }
        }
        std::fs::write(root.join(&path), content).unwrap();
        // Counts of keys are made again from the runs; the second question needs some columns or pages.
        let least = |i: usize| if path.contains("_keys") { 0 } else { BITS / [2, 8][i] };
        assert!(failed.iter().enumerate().all(|(i, failed)| *failed >= least(i)), "{path}: {failed:?} of {BITS}");
    }
    // Without the word that says that there are checksums.
    let path = largest("params");
    let mut content = before[&path].clone();
    let at = content.windows(8).position(|bytes| bytes == b"RLAKSUM1").unwrap();
    content[at] ^= 1;
    std::fs::write(root.join(&path), content).unwrap();
    let e = answer(&root, params[1]).await.unwrap_err();
    assert_eq!(e, format!("{path} is damaged: its checksums are gone"));
}

/// The data file of a table that holds the rows of a run.
async fn file_of(store: &Store, table: &Table, run: &str) -> String {
    let run = RunId::parse(run).unwrap();
    let version = store.tables().open(table, None).await.unwrap().unwrap();
    let file = version.files.iter().find(|file| file.run_range().unwrap().contains(&run)).unwrap();
    version.full_path(file)
}

/// Bits in all columns of a Parquet file, in their dictionaries and pages.
fn bits_of_columns(content: &[u8], each: usize) -> Vec<usize> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::copy_from_slice(content)).unwrap();
    let chunks = footer.row_groups().iter().flat_map(|group| group.columns()).map(|chunk| chunk.byte_range());
    chunks
        .flat_map(|(begin, len)| (0..each).map(move |i| begin as usize * 8 + (2 * i + 1) * len as usize * 4 / each))
        .collect()
}

#[tokio::test]
async fn a_flipped_bit_never_gets_into_new_files() {
    let (dir, store) = new_store();
    let root = dir.path().join("s");
    let mut runs = Vec::new();
    for n in 0..60 {
        let run = store.start_run(RunOptions::new("wine").id(RunId::parse(&format!("run-{n:02}")).unwrap())).unwrap();
        let opt = "stochastic gradient descent with momentum";
        run.log_params([("opt", opt.into()), ("lr", ParamValue::from(0.1 * (n % 4) as f64))]).unwrap();
        run.log_metric_at("loss", (n as f64).sqrt(), 1).unwrap();
        run.finish(Status::Finished).unwrap();
        runs.push(run);
    }
    store.seal_with(Upkeep::never()).await.unwrap();
    let question = "SELECT run_id, params.opt, params.lr, metrics.loss FROM runs";
    let right = answer(&root, question).await.unwrap();
    let before = tree(&root);
    let mut refused = 0;
    for table in [Table::Params, Table::MetricStats] {
        let path = file_of(&store, &table, "run-10").await;
        for bit in bits_of_columns(&before[&path], 8) {
            let copy = tempfile::tempdir().unwrap();
            let root = copy.path().join("s");
            for (name, content) in &before {
                let path = root.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            let mut flipped = before[&path].clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(root.join(&path), flipped).unwrap();
            // The run is put together again from its rows, and its row in `runs` written anew.
            let store = Store::open(&root).unwrap();
            store.attach(runs[10].id().clone()).unwrap().set_tag("late", "yes").unwrap();
            let done = store.seal_with(Upkeep::never()).await;
            refused += usize::from(done.is_err());
            if root.join(&path).exists() {
                std::fs::write(root.join(&path), &before[&path]).unwrap();
            }
            let rows = answer(&root, question).await.unwrap();
            assert!(rows == right, "bit {bit} of {path}: it answers otherwise after {done:?}");
        }
    }
    assert!(refused > 30, "{refused}");
}
