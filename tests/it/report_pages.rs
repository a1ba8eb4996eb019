//! Pages that go wrong here and there, and what lies beside them.

use std::path::Path;

use runlake::Store;
use runlake::report::{Form, Report, ReportOptions};

use crate::program::text;
use crate::reports::{command, demo, log_run, whole};

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn write(dir: &Path, name: &str, source: &str) {
    std::fs::write(dir.join(name), source).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_union_is_read_in_the_same_order_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    for i in 0..3 {
        log_run(&store, "e", &format!("sealed-{i}"), 0.5);
    }
    store.seal().await.unwrap();
    for i in 0..3 {
        log_run(&store, "e", &format!("live-{i}"), 0.7);
    }
    let source = "```sql\nSELECT string_agg(x, ',') AS s FROM (SELECT 'a' AS x UNION ALL SELECT 'b' UNION ALL SELECT 'c')\n```\n\
        ```sql chart=bar\nSELECT name, n FROM (SELECT 'b' AS name, 1 AS n UNION ALL SELECT 'a', 2 UNION ALL SELECT 'c', 3)\n```\n\
        ```sql\nSELECT run_id FROM runs LIMIT 4\n```\n\
        ```sql\nSELECT name, sum(value) FROM metrics JOIN runs USING (run_id) GROUP BY name LIMIT 5\n```\n\
        ```sql\nSELECT a.x FROM (SELECT 1 AS x UNION ALL SELECT 2) a JOIN (SELECT 2 AS x UNION ALL SELECT 1) b USING (x)\n```\n\
        ```sql\nSELECT x, count(*) AS n FROM (SELECT 1 AS x UNION SELECT 2 UNION SELECT 3) GROUP BY x\n```\n";
    let options = ReportOptions { form: Form::Markdown, ..ReportOptions::default() };
    let report = Report::new("page.md", source);
    let first = whole(&report.render(&store, &options).await.unwrap());
    assert!(first.contains("| a,b,c |"), "{first}");
    for _ in 0..30 {
        assert_eq!(whole(&report.render(&store, &options).await.unwrap()), first);
    }
}

#[test]
fn a_value_that_fails_is_told_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let source = "a {{ value(\"SELECT nothing\") }} b\n\n```sql\nSELECT {{ value(\"SELECT 1 / 0\") }} AS x\n```\n\n\
        c {{ \"%.3f\" | format(value(\"SELECT absent\")) }} d {{ nobody }} e\n\n\
        {% for run in rows(\"SELECT missing\") %}- {{ run.name }}{% endfor %}\n\n{{ rows(\"SELECT nowhere\")[0].name }}\n\n\
        ```sql\nSELECT 'after' AS it\n```\n";
    write(dir.path(), "page.md", source);
    for (out, table) in [("page.html", "<td>after</td>"), ("out.md", "| after |")] {
        let done = command(dir.path(), demo(), &["page.md", "--out", out, "--keep-going"]);
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert_eq!(told.matches("error: page.md:").count(), 6, "{told}");
        let page = read(dir.path(), out);
        let page = page.split_once("<main>").map_or(&*page, |(_, body)| body).replace("&#39;", "'");
        for name in ["nothing", "absent", "missing", "nowhere"] {
            let at = page.find(&format!("(failed: no column '{name}'"));
            assert!(at.is_some_and(|at| at < page.find(table).unwrap()), "{name}: {page}");
        }
        assert!(page.contains("page.md:4: Arrow error: Divide by zero") && page.contains("nobody"), "{page}");
    }
    // What a page says after a condition that failed may be wrong.
    write(
        dir.path(),
        "page.md",
        "a\n\n{% if value('SELECT hidden') > 0.9 %}good{% else %}bad{% endif %}\n\n```sql\nSELECT 'after'\n```\n",
    );
    for out in ["page.html", "out.md"] {
        let done = command(dir.path(), demo(), &["page.md", "--out", out, "--keep-going"]);
        assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
        let page = read(dir.path(), out);
        let page = page.split_once("<main>").map_or(&*page, |(_, body)| body);
        assert!(page.contains("hidden") && !["good", "bad", "after"].iter().any(|word| page.contains(word)), "{page}");
    }
    // Where nothing can be shown the page says why.
    write(dir.path(), "page.md", "a\n\n{% set x = nobody.name %}{{ x }}\n");
    let done = command(dir.path(), demo(), &["page.md", "--keep-going"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(read(dir.path(), "page.html").contains("class=\"failed\">page.md:3: "));
}

#[test]
fn the_error_that_is_told_is_the_one_that_stops_the_page() {
    let dir = tempfile::tempdir().unwrap();
    // What comes last is no query.
    write(dir.path(), "page.md", "{{ value(\"SELECT nothing\") }}\n\n{{ 1 | nofilter }}");
    let told = text(&command(dir.path(), demo(), &["page.md", "--keep-going"]).stderr);
    assert!(told.contains("page.md:3: ") && told.contains("nofilter"), "{told}");
    for name in ["value", "rows"] {
        let told = text(&command(dir.path(), demo(), &["page.md", "--param", &format!("{name}=1")]).stderr);
        assert!(told.contains(&format!("no parameter can be called '{name}'")), "{told}");
    }
}

#[test]
fn blocks_stand_apart_from_what_is_around_them() {
    let dir = tempfile::tempdir().unwrap();
    let block = "```sql\nSELECT 1 AS a\n```";
    let table = "| a |\n| ---: |\n| 1 |";
    let quoted = "> ```sql\n> SELECT 1 AS a\n> ```";
    for (source, expected) in [
        (format!("x\n{block}\ny\n{block}\n{block}\n"), format!("x\n\n{table}\n\ny\n\n{table}\n\n{table}\n")),
        (format!("> x\n{quoted}\n> y\n"), "> x\n>\n> | a |\n> | ---: |\n> | 1 |\n>\n> y\n".to_string()),
        ("- ```sql\n  SELECT 1 AS a\n  ```\n  y\n".to_string(), "- | a |\n  | ---: |\n  | 1 |\n\n  y\n".to_string()),
    ] {
        write(dir.path(), "page.md", &source);
        let done = command(dir.path(), demo(), &["page.md", "--out", "out.md"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(read(dir.path(), "out.md"), expected);
    }
}

#[test]
fn files_beside_a_page_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = ["a", "a", "a-2", "A", "6"]
        .map(|name| format!("```sql name={name} rows=1\nSELECT 1 UNION ALL SELECT 2\n```\n"));
    let source = blocks.concat() + "```sql\nSELECT [1.23456789, 2] AS l\n```\n";
    write(dir.path(), "日本.md", &source);
    let done = command(dir.path(), demo(), &["日本.md", "--out", "new/deep/日本.md"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path().join("new/deep/日本_files")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["6-2.csv", "6.csv", "A-4.csv", "a-2.csv", "a-3.csv", "a.csv"]);
    let page = read(dir.path(), "new/deep/日本.md");
    assert!(page.contains("](%E6%97%A5%E6%9C%AC_files/a-3.csv)"), "{page}");
    // A folder is made for a page without files, too.
    write(dir.path(), "page.md", "text");
    let done = command(dir.path(), demo(), &["page.md", "--out", "other/deep/x.html"]);
    assert!(done.status.success() && dir.path().join("other/deep/x.html").exists(), "{}", text(&done.stderr));
}

#[test]
fn a_page_from_another_system_is_the_same_page() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "page.md", "\u{feff}# Title\r\n\r\n```sql\r\nSELECT 1 AS a\r\n```\r\ntext\r\n");
    let done = command(dir.path(), demo(), &["page.md", "--out", "out.md"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(read(dir.path(), "out.md"), "# Title\n\n| a |\n| ---: |\n| 1 |\n\ntext\n");
}

#[test]
fn sample_pages_take_what_parameters_hold_as_text() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["leaderboard", "candidate"] {
        let page = format!("{}/sample_data/reports/{name}.md", env!("CARGO_MANIFEST_DIR"));
        for value in ["wine' OR 'a'='a", "it's mine"] {
            let experiment = format!("experiment={value}");
            let done = command(dir.path(), demo(), &[&page, "--out", "x.html", "--param", &experiment, "--keep-going"]);
            let told = text(&done.stderr);
            assert_eq!(done.status.code(), Some(1), "{told}");
            assert!(told.contains(&value.replace('\'', "''")) && !told.contains("ParserError"), "{told}");
        }
    }
}
