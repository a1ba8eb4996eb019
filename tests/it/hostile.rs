//! SQL that means harm: it ends with an error or an answer, within its limits, and whoever asked goes on.

use std::time::{Duration, Instant};

use runlake::{Store, within};

use crate::ask::one;
use crate::program::{runlake, text};

/// Statements that must be refused before anything is planned.
fn endless() -> Vec<(&'static str, String)> {
    let n = 20_000;
    let chain = |first: &str, more: &str| format!("SELECT {first}{}", more.repeat(n));
    let mut all = Vec::new();
    for operator in [
        "+",
        "-",
        "*",
        "/",
        "%",
        "||",
        "=",
        "<>",
        "<",
        ">=",
        "&",
        "|",
        "^",
        "<<",
        ">>",
        "AND",
        "OR",
        "XOR",
        "LIKE",
        "ILIKE",
        "SIMILAR TO",
        "IS DISTINCT FROM",
        "->",
        "->>",
        "@>",
        "~",
        "~*",
        "<=>",
        "DIV",
    ] {
        all.push((operator, chain("1", &format!(" {operator} 1"))));
    }
    for suffix in [
        "::int",
        " IS NULL",
        " IS NOT TRUE",
        " AT TIME ZONE 'UTC'",
        " COLLATE x",
        "[1]",
        " IN (1)",
        " BETWEEN 1 AND 2",
        " NOT NULL",
    ] {
        all.push((suffix, chain("1", suffix)));
    }
    for prefix in ["NOT ", "- ", "+ ", "~ ", "EXISTS ", "INTERVAL ", "PRIOR "] {
        all.push((prefix, format!("SELECT {}1", prefix.repeat(n))));
    }
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{'a': ", "}"),
        ("abs(", ")"),
        ("(SELECT ", ")"),
        ("make_array(", ")"),
        ("CAST(", " AS INT)"),
        ("CASE WHEN true THEN ", " END"),
        ("CASE 1 WHEN ", " THEN 1 END"),
        ("EXISTS (SELECT ", ")"),
    ] {
        all.push((open, format!("SELECT {}1{}", open.repeat(n), close.repeat(n))));
        // Nobody has to close what he opened.
        all.push((open, format!("SELECT {}1", open.repeat(n))));
    }
    all.push(("EXPLAIN", format!("{}SELECT 1", "EXPLAIN ".repeat(n))));
    all.push(("ARRAY<", format!("SELECT CAST(1 AS {}INT{})", "ARRAY<".repeat(n), ">".repeat(n))));
    all.push(("FROM (", format!("SELECT 1 FROM {}runs{}", "(SELECT * FROM ".repeat(n), ")".repeat(n))));
    all.push(("UNION", format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n))));
    all.push(("EXCEPT", format!("SELECT 1{}", " EXCEPT SELECT 1".repeat(n))));
    all.push(("JOIN", format!("SELECT 1 FROM runs{}", " JOIN runs ON true".repeat(n))));
    all.push(("FROM ,", format!("SELECT 1 FROM runs{}", ", runs".repeat(n))));
    all.push(("NATURAL JOIN", format!("SELECT 1 FROM runs{}", " NATURAL JOIN runs".repeat(n))));
    let with: Vec<_> = (1..n).map(|i| format!("t{i} AS (SELECT * FROM t{})", i - 1)).collect();
    all.push(("WITH", format!("WITH t0 AS (SELECT 1), {} SELECT * FROM t{}", with.join(", "), n - 1)));
    all
}

/// The same below the limits: whatever comes of them, they come to an end.
fn long() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for operator in ["+", "||", "=", "AND", "OR", "LIKE", "IS DISTINCT FROM"] {
        all.push((operator, format!("SELECT 1{}", format!(" {operator} 1").repeat(350))));
    }
    for suffix in ["::int", " IS NULL", "[1]"] {
        all.push((suffix, format!("SELECT 1{}", suffix.repeat(350))));
    }
    for prefix in ["NOT ", "- "] {
        all.push((prefix, format!("SELECT {}1", prefix.repeat(350))));
    }
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("abs(", ")"),
        ("(SELECT ", ")"),
        ("make_array(", ")"),
        ("CASE WHEN true THEN ", " END"),
    ] {
        all.push((open, format!("SELECT {}1{}", open.repeat(95), close.repeat(95))));
    }
    all.push(("UNION", format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(450))));
    let terms: Vec<_> = (0..190).map(|i| format!("name = 'x{i}'")).collect();
    all.push(("OR", format!("SELECT * FROM runs WHERE {}", terms.join(" OR "))));
    all.push(("sum", format!("SELECT value{} FROM generate_series(1, 3)", " + value".repeat(390))));
    let with: Vec<_> = (1..190).map(|i| format!("t{i} AS (SELECT * FROM t{})", i - 1)).collect();
    all.push(("WITH", format!("WITH t0 AS (SELECT 1), {} SELECT * FROM t189", with.join(", "))));
    all.push((
        "FROM ,",
        format!("SELECT 1 FROM runs r{}", (1..90).map(|i| format!(", runs r{i}")).collect::<String>()),
    ));
    all.push(("dots", format!("SELECT a{}", ".a".repeat(20_000))));
    all.push(("params dots", format!("SELECT params{} FROM runs", ".a".repeat(20_000))));
    all.push(("number", format!("SELECT {}", "9".repeat(1_000_000))));
    all.push(("fraction", format!("SELECT 0.{}", "9".repeat(1_000_000))));
    all.push(("exponent", "SELECT 1e999999999".to_string()));
    all.push(("text", format!("SELECT '{}'", "x".repeat(10_000_000))));
    all.push(("name", format!("SELECT \"{}\"", "x".repeat(1_000_000))));
    all.push(("comment", format!("SELECT 1 {}", "/*".repeat(20_000))));
    all.push(("list", format!("SELECT 1 IN ({}1)", "1,".repeat(20_000))));
    all.push(("columns", format!("SELECT {}1", "1,".repeat(1_500))));
    all.push(("values", format!("VALUES {}(1)", "(1),".repeat(20_000))));
    all.push(("repeat", "SELECT length(repeat('x', 1000000000000))".to_string()));
    all.push(("series", "SELECT make_array(1) FROM generate_series(1, 9223372036854775807) LIMIT 1".to_string()));
    all.push(("pattern", format!("SELECT regexp_like('{}', '(a*)*b')", "a".repeat(10_000))));
    all.push(("big pattern", "SELECT regexp_like('a', '((a{1000}){1000}){1000}')".to_string()));
    all
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("s")).unwrap();
    (dir, store)
}

/// Runs on the small stack that a worker thread has.
fn on_a_worker(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(work).await.unwrap() });
}

#[test]
fn endless_statements_are_refused_at_once() {
    let (_dir, store) = store();
    on_a_worker(async move {
        let session = store.session().await.unwrap();
        for (what, sql) in endless() {
            let began = Instant::now();
            let e = session.sql(&sql).await.expect_err(what).to_string();
            assert!(e.len() < 2_000, "{what}: an error of {} bytes", e.len());
            assert!(began.elapsed() < Duration::from_secs(10), "{what} took {:?}", began.elapsed());
        }
        assert_eq!(one(&store, "SELECT 40 + 2").await, "42");
    });
}

#[test]
fn long_statements_come_to_an_end() {
    let (_dir, store) = store();
    on_a_worker(async move {
        let session = store.session().await.unwrap();
        for (what, sql) in long() {
            let began = Instant::now();
            let limit = Some(Duration::from_secs(20));
            let answer = within(limit, async {
                session
                    .sql(&sql)
                    .await?
                    .collect()
                    .await
                    .map_err(runlake::QueryError::from)
                    .map_err(runlake::Error::from)
            });
            let _ = answer.await;
            assert!(began.elapsed() < Duration::from_secs(30), "{what} took {:?}", began.elapsed());
        }
        assert_eq!(one(&store, "SELECT 40 + 2").await, "42");
    });
}

/// Statements that have no end of their own.
const WITHOUT_END: [(&str, &str); 5] = [
    (
        "a huge cross join",
        "SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x*y=7",
    ),
    (
        "a wide cross join",
        "SELECT count(*) FROM generate_series(1,1000000) a, generate_series(1,1000000) b, generate_series(1,1000000) c",
    ),
    (
        "an endless recursion",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    ),
    (
        "a recursion that doubles",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t, generate_series(1, 2)) SELECT max(n) FROM t",
    ),
    (
        "a sort of too much",
        "SELECT x.value FROM generate_series(1,100000) x, generate_series(1,100000) y ORDER BY y.value - x.value LIMIT 1 OFFSET 5000000000",
    ),
];

#[test]
fn the_command_ends_statements_that_have_no_end() {
    let (dir, _store) = store();
    for (what, sql) in WITHOUT_END {
        let began = Instant::now();
        let out = runlake(&dir.path().join("s"))
            .args(["sql", "--timeout", "1", "--memory", "200MB", "-c", sql])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1), "{what}: {}", text(&out.stderr));
        assert!(text(&out.stderr).starts_with("error: "), "{what}: {}", text(&out.stderr));
        assert!(began.elapsed() < Duration::from_secs(20), "{what} took {:?}", began.elapsed());
    }
}

/// Statements that take what the engine does not count: what a window holds, batches without columns, what functions make.
const LARGE: [(&str, &str); 3] = [
    (
        "a window",
        "SELECT max(s) FROM (SELECT sum(value) OVER (ORDER BY value DESC) s FROM generate_series(1,1000000000))",
    ),
    ("long texts", "SELECT max(length(repeat('x', 1000000 + value))) FROM generate_series(1,100000)"),
    ("a wide cross join", WITHOUT_END[1].1),
];

#[test]
fn the_command_ends_statements_that_take_more_memory_than_is_counted() {
    let (dir, _store) = store();
    for (what, sql) in LARGE {
        let began = Instant::now();
        let out = runlake(&dir.path().join("s")).args(["sql", "--memory", "50MB", "-c", sql]).output().unwrap();
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("MB of memory, and may take 50\n hint: `runlake sql --memory"), "{what}: {said}");
        assert!(began.elapsed() < Duration::from_secs(60), "{what} took {:?}", began.elapsed());
    }
}

/// A statement that is stopped gives its thread back, where one that is dropped may keep it for minutes.
#[test]
fn a_stopped_join_gives_its_thread_back() {
    let (_dir, store) = store();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let session = std::sync::Arc::new(runtime.block_on(store.session()).unwrap());
    let asked = std::sync::Arc::clone(&session);
    let work = runtime.spawn(async move { asked.sql(WITHOUT_END[0].1).await.unwrap().collect().await });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!work.is_finished());
    session.stop();
    let e = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), work).await });
    assert!(e.expect("it ends soon").unwrap().unwrap_err().to_string().contains("stopped"));
}
