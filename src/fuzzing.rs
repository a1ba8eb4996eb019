//! Entry points of the fuzz targets, not for anybody else. The tests below put random input through the same ones.

use std::path::Path;

use crate::import::{Line, foreign, parse_line};
use crate::query::{Session, check_sql};
use crate::store::checksum::{commit, parquet};
use crate::store::{cut, segment};

/// Reads bytes as a segment; gives how far that went and the number of records.
pub fn scan_segment(bytes: &[u8]) -> (u64, u64) {
    let scan = segment::scan(&segment::Content::whole(bytes.to_vec()), 0, |_| ());
    (scan.end, scan.records)
}

/// The beginning of a segment, up to its first record.
pub fn segment_header() -> Vec<u8> {
    segment::header_for(crate::model::WriterId(1))
}

/// Reads bytes as the payload of a record of a kind, past the checksums.
pub fn read_record(header: &[u8], kind: u8, payload: &[u8]) -> (u64, u64) {
    let mut bytes = header.to_vec();
    segment::enclose(&mut bytes, kind, payload);
    scan_segment(&bytes)
}

/// Reads bytes as a cut and as a batch, as they are and with the digest that they should have.
pub fn read_cut(bytes: &[u8]) -> [bool; 2] {
    let mut signed = bytes.to_vec();
    signed.extend_from_slice(format!("\n{}\n", blake3::hash(bytes).to_hex()).as_bytes());
    cut::parse_any(bytes);
    cut::parse_any(&signed)
}

/// Reads bytes as a commit, and as the end of a file with checksums: as they are, and as numbers of pieces whose own checksum is
/// right.
pub fn read_checksums(bytes: &[u8]) {
    let _ = (commit::check(bytes), parquet::check(bytes), parquet::begin_of_tail(bytes, bytes.len() as u64 + 1000));
    let end = bytes.len().min(bytes.first().map_or(0, |byte| usize::from(*byte)));
    let mut file = [b"PAR1", bytes, &(end as u64).to_le_bytes(), &((bytes.len() / 8) as u32).to_le_bytes()].concat();
    let after = [&b"RLAKSUM1"[..], &[0; 4], b"PAR1"].concat();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&file[end..]), &after);
    file.extend_from_slice(&sum.to_le_bytes());
    file.extend_from_slice(&after);
    let _ = parquet::check(&file);
    if let Ok(Some(sums)) = parquet::Sums::read(&file, file.len() as u64) {
        let _ = sums.around(&(4..end as u64)).map(|range| sums.check(range, &file));
    }
}

/// Reads text as a line of `runlake log`.
///
/// # Errors
/// Why it is none.
pub fn read_line(text: &str) -> Result<Line, String> {
    parse_line(text)
}

/// Reads text as a file of checks and of stop rules; gives the number of either.
pub fn read_gates(text: &str) -> (usize, usize) {
    (crate::gate::parse_checks(text).len(), crate::gate::stop::parse_rules(text).map_or(0, |rules| rules.len()))
}

/// Reads a file of another tool, of the kind that its name says: `x.db`, `x.tfevents`, `x.csv`, `x.jsonl`, `x.parquet`. Gives the
/// number of things that were found or told.
pub fn read_foreign(path: &Path) -> u64 {
    let mut things = 0;
    let mut count = |_| {
        things += 1;
        true
    };
    for source in foreign::open(&path.to_string_lossy(), None).unwrap_or_default() {
        let _ = source.holdings();
        let _ = source.walk(&mut foreign::Out::new(&mut count));
    }
    things
}

/// Checks, rewrites and plans a statement; whether it may run.
pub async fn plan_sql(session: &Session, sql: &str) -> bool {
    let planned = session.query(sql).await;
    // What only reads is decided before anything else, and holds whatever comes of it.
    assert!(planned.is_err() || check_sql(sql).is_ok(), "planned, though it may not run: {sql}");
    planned.is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;
    use crate::{Metrics, RunOptions, Status, Store};

    /// The same inputs each time; with PROPTEST_CASES, as many others as one wants.
    fn config() -> Config {
        match std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()) {
            Some(cases) => Config { cases, failure_persistence: None, ..Config::default() },
            None => Config { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() },
        }
    }

    /// A segment with records of several kinds, and the end of each.
    fn segment() -> (Vec<u8>, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("s");
        let store = Store::create(&root).unwrap();
        let run = store.start_run(RunOptions::new("wine").name("a")).unwrap();
        run.log_param("lr", 0.1).unwrap();
        run.log_metrics(Metrics::new().value("loss", 1.0).value("ünïcode", f64::NAN).step(1)).unwrap();
        run.set_tag("owner", "me").unwrap();
        run.log_text("text", 1, "hello").unwrap();
        run.finish(Status::Finished).unwrap();
        let live = std::fs::read_dir(root.join("live")).unwrap().map(|e| e.unwrap().path());
        let path = live.into_iter().find(|p| p.extension().is_some_and(|e| e == "seg")).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let ends = (0..=bytes.len()).filter(|&n| scan_segment(&bytes[..n]).0 == n as u64 && n > 0);
        let ends = ends.map(|n| n as u64).collect();
        (bytes, ends)
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_harmed_segment_gives_a_prefix_of_its_records(
            harms in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            more in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let (whole, ends) = segment();
            let mut bytes = whole.clone();
            for (place, byte) in &harms {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            bytes.extend(&more);
            let (end, records) = scan_segment(&bytes);
            // Whatever is read is what was written: the records before the first byte that differs.
            let same = whole.iter().zip(&bytes).take_while(|(a, b)| a == b).count() as u64;
            prop_assert!(end == 0 || ends.contains(&end) && end <= same, "read up to {end}, the same up to {same}");
            prop_assert_eq!(records, ends.iter().filter(|e| **e <= end).count().saturating_sub(1) as u64);
        }

        #[test]
        fn a_record_of_any_bytes_is_read_or_refused(
            kind in 0u8..40,
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (whole, ends) = segment();
            let header = &whole[..ends[0] as usize];
            let (end, records) = read_record(header, kind, &payload);
            prop_assert!(records <= 1 && end >= ends[0]);
            let garbage = scan_segment(&payload);
            prop_assert_eq!(garbage, (0, 0));
        }

        #[test]
        fn cuts_and_batches_of_any_bytes_are_read_or_refused(
            text in any::<String>(),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let cut = serde_json::to_vec(&cut::Cut::empty()).unwrap();
            prop_assert_eq!(read_cut(&cut), [true, false]);
            read_cut(text.as_bytes());
            read_checksums(text.as_bytes());
            let mut harmed = cut.clone();
            let place = place.index(harmed.len());
            harmed[place] = byte;
            // With its old digest a harmed cut is none, even where its JSON still is one.
            let mut signed = harmed.clone();
            signed.extend_from_slice(format!("\n{}\n", blake3::hash(&cut).to_hex()).as_bytes());
            prop_assert_eq!(cut::parse_any(&signed)[0], harmed == cut);
            read_cut(&harmed);
        }

        #[test]
        fn lines_of_any_text_are_read_or_refused(
            text in any::<String>(),
            place in any::<prop::sample::Index>(),
            piece in "[\\[\\]{}\":,0-9a-z\\\\ üé-]{0,6}",
        ) {
            let _ = read_line(&text);
            for line in [
                r#"{"type":"run","run":"r1","experiment":"churn","start_time":"2026-11-23T09:30:00Z"}"#,
                r#"{"type":"metrics","run":"r1","step":1,"values":{"loss":0.5,"auc":"NaN"},"context":{"fold":1}}"#,
                r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1,2],"b":["x",null]}}"#,
            ] {
                let mut harmed = line.to_string();
                let mut place = place.index(harmed.len());
                while !harmed.is_char_boundary(place) {
                    place -= 1;
                }
                harmed.insert_str(place, &piece);
                // A line is about the run that it names, or it is none.
                if let Ok(read) = read_line(&harmed) {
                    let value: serde_json::Value = serde_json::from_str(&harmed).unwrap();
                    prop_assert_eq!(read.run().map(|run| run.as_str()), value["run"].as_str(), "{}", harmed);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn gates_of_any_text_are_read_or_refused(
            text in any::<String>(),
            place in any::<prop::sample::Index>(),
            piece in "[-: \\n()%,$;a-z0-9.'{}]{0,12}",
        ) {
            read_gates(&text);
            for file in [
                "-- check: a\n-- expect: value within 1% of (SELECT 2)\n-- severity: warn\nSELECT 1;\n",
                "-- rule: a\n-- metric: loss\n-- stop when: no improvement in 10 steps min delta 0.1\n",
            ] {
                let mut harmed = file.to_string();
                harmed.insert_str(place.index(file.len()), &piece);
                read_gates(&harmed);
            }
            prop_assert_eq!(read_gates("-- check: a\n-- expect: no rows\nSELECT 1;\n"), (1, 0));
        }

        #[test]
        fn foreign_files_of_any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            text in "[a-z,\"{}:\\[\\]0-9.\\n -]{0,200}",
            ending in prop::sample::select(vec!["db", "tfevents", "csv", "jsonl", "parquet"]),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x").with_extension(ending);
            for content in [&bytes[..], text.as_bytes()] {
                std::fs::write(&path, content).unwrap();
                read_foreign(&path);
            }
        }
    }

    /// Pieces of SQL in any order: now and then they make a statement.
    fn soup() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "SELECT",
            "*",
            "FROM",
            "runs",
            "metrics",
            "params",
            "WHERE",
            "params.lr",
            "metrics.loss",
            "params['lr']",
            "tags.owner",
            "best.loss",
            "name",
            "run_id",
            "experiment",
            "AND",
            "OR",
            "NOT",
            "=",
            "<",
            ">",
            "+",
            "-",
            "/",
            "(",
            ")",
            "[",
            "]",
            "1",
            "0.5",
            "'x'",
            "\"name\"",
            ",",
            "JOIN",
            "LEFT JOIN",
            "USING",
            "(run_id)",
            "ON",
            "GROUP BY",
            "ORDER BY",
            "LIMIT",
            "10",
            "count(*)",
            "max(",
            "CASE WHEN",
            "THEN",
            "ELSE",
            "END",
            "WITH t AS (",
            "UNION ALL",
            "IN",
            "IS NULL",
            "BETWEEN",
            "LIKE",
            "OVER (PARTITION BY",
            "DISTINCT",
            "AS",
            "t",
            "r",
            "INSERT INTO",
            "DROP TABLE",
            "COPY",
            "TO",
            "SET",
            "EXPLAIN",
            "DESCRIBE",
            "SHOW TABLES",
            "VALUES",
            "NULL",
            "$1",
            "::int",
            "--",
            "/*",
            ";",
            "frames.t",
            "INTO",
            "unnest(",
            "{",
            "}",
            "EXISTS (",
        ]);
        proptest::collection::vec(pieces, 1..25).prop_map(|pieces| pieces.join(" "))
    }

    /// Statements that are well formed, of keys, operators and clauses that may fit or not.
    fn question() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "params.lr",
            "params.nope",
            "metrics.loss",
            "best.loss",
            "tags.owner",
            "r.params.lr",
            "name",
            "run_id",
            "seed",
            "1",
            "'x'",
            "NULL",
            "params",
            "metrics",
            "params_num.lr",
            "data.training",
        ]);
        let expr = leaf.prop_map(str::to_string).prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (
                    inner.clone(),
                    prop::sample::select(vec!["+", "=", "<", "AND", "||", "IS DISTINCT FROM"]),
                    inner.clone()
                )
                    .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
                inner.clone().prop_map(|a| format!("CASE WHEN {a} IS NULL THEN {a} ELSE 1 END")),
                inner.clone().prop_map(|a| format!("max({a})")),
                inner.clone().prop_map(|a| format!("coalesce({a}, {a})")),
                inner.prop_map(|a| format!("(SELECT max({a}) FROM runs)")),
            ]
        });
        let from = prop::sample::select(vec![
            "runs",
            "runs r",
            "runs r JOIN metrics USING (run_id)",
            "(SELECT * FROM runs) r",
            "params",
            "runs r, runs s",
            "frames.t",
        ]);
        let tail = prop::sample::select(vec![
            "",
            "ORDER BY 1",
            "GROUP BY 1",
            "LIMIT 3",
            "WHERE params.lr > 1",
            "UNION SELECT 1",
        ]);
        let start = prop::sample::select(vec!["", "", "", "EXPLAIN ", "CREATE TABLE x AS ", "CREATE VIEW x AS "]);
        (start, proptest::collection::vec(expr, 1..4), from, tail)
            .prop_map(|(start, exprs, from, tail)| format!("{start}SELECT {} FROM {from} {tail}", exprs.join(", ")))
    }

    #[test]
    fn sql_of_any_shape_is_planned_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("s")).unwrap();
        let run = store.start_run(RunOptions::new("wine")).unwrap();
        run.log_param("lr", 0.1).unwrap();
        run.log_metric("loss", 1.0).unwrap();
        run.set_tag("owner", "me").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let session = runtime.block_on(store.session()).unwrap();
        let mut runner = proptest::test_runner::TestRunner::new(config());
        let planned = std::cell::Cell::new(0);
        let tried = runner.run(&prop_oneof![soup(), question(), any::<String>()], |sql| {
            planned.set(planned.get() + u32::from(runtime.block_on(plan_sql(&session, &sql))));
            Ok(())
        });
        tried.unwrap();
        // Else it is not planning that is tried.
        assert!(planned.get() > 10, "{} statements were planned", planned.get());
    }
}
