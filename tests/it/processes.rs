//! Many processes write into one store while others read and seal.

use std::collections::BTreeSet;
use std::process::Stdio;

use runlake::Store;

use crate::ask::{now, one, rows};
use crate::program::{done, runlake};

const WRITERS: usize = 8;
const RUNS: usize = 50;
const STEPS: usize = 4;

/// The lines of one writer: its runs one after the other, as a sweep logs them.
fn lines(writer: usize) -> String {
    let mut out = String::new();
    for run in 0..RUNS {
        let id = format!("w{writer}-r{run}");
        out += &format!("{{\"type\":\"run\",\"run\":\"{id}\",\"experiment\":\"sweep\",\"name\":\"{id}\"}}\n");
        out += &format!(
            "{{\"type\":\"params\",\"run\":\"{id}\",\"values\":{{\"writer\":{writer},\"lr\":{}}}}}\n",
            run as f64 / 100.0
        );
        for step in 0..STEPS {
            out += &format!(
                "{{\"type\":\"metrics\",\"run\":\"{id}\",\"step\":{step},\"values\":{{\"loss\":{}}}}}\n",
                1.0 / (step + 1) as f64
            );
        }
        out += &format!("{{\"type\":\"finish\",\"run\":\"{id}\"}}\n");
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_log_fifty_runs_each_while_readers_ask_and_a_sealer_seals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let input = dir.path().join(format!("writer-{writer}.jsonl"));
            std::fs::write(&input, lines(writer)).unwrap();
            let child = runlake(&path)
                .args(["log", "--ack"])
                .stdin(std::fs::File::open(&input).unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            Some(child)
        })
        .collect();

    // What was seen once stays, and no row is ever seen twice, whatever the sealer does meanwhile.
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut rounds = 0;
    loop {
        let running = writers.iter_mut().flatten().map(|w| w.try_wait().unwrap()).filter(Option::is_none).count();
        let session = store.session().await.unwrap();
        let runs: Vec<String> =
            rows(&session, "SELECT run_id FROM runs").await.into_iter().map(|mut row| row.remove(0)).collect();
        let distinct: BTreeSet<String> = runs.iter().cloned().collect();
        assert_eq!(distinct.len(), runs.len(), "a run was seen twice");
        assert!(seen.is_subset(&distinct), "runs vanished: {:?}", seen.difference(&distinct));
        let doubled = "SELECT run_id, step, count(*) FROM metrics GROUP BY run_id, step HAVING count(*) > 1";
        assert_eq!(rows(&session, doubled).await, Vec::<Vec<String>>::new());
        // All tables show the same moment: a finished run has all its points and params.
        let torn = "SELECT r.run_id FROM runs r LEFT JOIN
                      (SELECT run_id, count(*) AS n FROM metrics GROUP BY run_id) m USING (run_id)
                    WHERE r.status = 'FINISHED' AND coalesce(m.n, 0) <> 4";
        assert_eq!(rows(&session, torn).await, Vec::<Vec<String>>::new());
        seen = distinct;
        rounds += 1;
        if running == 0 {
            break;
        }
        store.seal().await.unwrap();
    }
    for writer in &mut writers {
        let output = writer.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", crate::program::text(&output.stderr));
    }
    assert!(rounds > 1, "the reader was to read while others wrote");
    for sealed in [false, true] {
        if sealed {
            done(runlake(&path).arg("seal"));
        }
        assert_eq!(one(&store, "SELECT count(*) FROM runs").await, (WRITERS * RUNS).to_string());
        assert_eq!(one(&store, "SELECT count(DISTINCT run_id) FROM runs").await, (WRITERS * RUNS).to_string());
        assert_eq!(one(&store, "SELECT count(*) FROM metrics").await, (WRITERS * RUNS * STEPS).to_string());
        assert_eq!(one(&store, "SELECT count(*) FROM params").await, (WRITERS * RUNS * 2).to_string());
        let by_writer = now(&store, "SELECT params.writer, count(*) FROM runs GROUP BY 1 ORDER BY 1").await;
        assert_eq!(by_writer, (0..WRITERS).map(|w| vec![w.to_string(), RUNS.to_string()]).collect::<Vec<_>>());
        assert_eq!(one(&store, "SELECT count(*) FROM runs WHERE status <> 'FINISHED'").await, "0");
    }
}
