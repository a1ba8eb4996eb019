//! Single bits of what tables consist of are flipped: a query fails or answers as before, and `verify` names the file.

use super::*;

/// Bits that are tried of each file.
const BITS: usize = 32;

/// A store whose tables have files of several pages, and a log with a checkpoint.
async fn store_of_pages() -> (tempfile::TempDir, Store) {
    let (dir, store) = new_store();
    for n in 0..26 {
        log_everything(&store, "wine", n).finish(Status::Finished).unwrap();
        store.seal_with(Upkeep::never()).await.unwrap();
    }
    let run = store.start_run(RunOptions::new("digits")).unwrap();
    for step in 0..9_000 {
        run.log_metric_at(["loss", "accuracy", "f1"][step as usize % 3], f64::from(step as u32).sqrt(), step).unwrap();
    }
    run.finish(Status::Finished).unwrap();
    store.seal_with(Upkeep::never()).await.unwrap();
    (dir, store)
}

const QUESTIONS: [&str; 4] = [
    "SELECT * FROM runs",
    "SELECT * FROM params",
    "SELECT * FROM metrics",
    // Of `metrics` only some pages are read.
    "SELECT value, time FROM metrics WHERE key = 'f1' AND step > 8000",
];

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
    let mut right = Vec::new();
    for question in QUESTIONS {
        right.push(answer(&root, question).await.unwrap());
    }
    assert_eq!(right[2].len(), 9_000 + 26 * 15);
    assert_eq!(right[3].len(), 333);
    let last = |fits: &dyn Fn(&str) -> bool| before.keys().rfind(|path| fits(path)).unwrap().clone();
    let largest = |table: &str| {
        let files = before.iter().filter(|(path, _)| path.starts_with(&format!("{table}/month=")));
        files.max_by_key(|(_, content)| content.len()).unwrap().0.clone()
    };
    let newest = Cut::newest(store.io()).unwrap();
    let files = [
        (largest("runs"), &QUESTIONS[..1]),
        (last(&|path| path.starts_with("runs/_keys/")), &QUESTIONS[..1]),
        (layout::commit(&Table::Runs, newest.tables["runs"]), &QUESTIONS[..1]),
        (largest("params"), &QUESTIONS[1..2]),
        (largest("metrics"), &QUESTIONS[2..]),
        (last(&|path| path.starts_with("metrics/") && path.ends_with(".checkpoint.parquet")), &QUESTIONS[2..3]),
        (layout::commit(&Table::Metrics, newest.tables["metrics"]), &QUESTIONS[2..3]),
        (layout::cut(newest.n), &QUESTIONS[..1]),
    ];
    for (path, questions) in files {
        let content = &before[&path];
        let mut failed = 0;
        for i in 0..BITS {
            // Spread over the file, at every place in a byte.
            let bit = i * (content.len() * 8 - 1) / (BITS - 1);
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(root.join(&path), flipped).unwrap();
            for question in questions {
                match answer(&root, question).await {
                    Err(_) => failed += 1,
                    Ok(rows) => {
                        let at = QUESTIONS.iter().position(|q| q == question).unwrap();
                        assert!(rows == right[at], "bit {bit} of {path}: '{question}' answers otherwise");
                    }
                }
            }
            // Looking through the whole store takes longer.
            if i % 16 == 8 {
                let report = store.verify(false).await.unwrap();
                assert!(report.findings.iter().any(|f| f.path == path), "bit {bit} of {path}: {:?}", report.findings);
            }
        }
        std::fs::write(root.join(&path), content).unwrap();
        // Counts of keys are made again from the runs.
        assert!(failed > BITS / 2 || path.contains("_keys"), "{path}: {failed} of {BITS}");
    }
}
