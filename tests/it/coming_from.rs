//! Every SQL form on the page for those who come from another tool finds what the page says.

use std::path::Path;

use runlake::Store;

use crate::ask::try_rows;
use crate::program::log;

/// The cells of a table's row; `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// A condition, the end of a query, or a whole one.
fn statement(sql: &str) -> String {
    if sql.starts_with("SELECT ") {
        sql.to_string()
    } else if sql.starts_with("ORDER BY ") {
        format!("SELECT run_id FROM runs {sql}")
    } else {
        format!("SELECT run_id FROM runs WHERE {sql} ORDER BY run_id")
    }
}

#[tokio::test]
async fn every_search_of_another_tool_finds_the_same_as_sql() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::create(&path).unwrap();
    log(&path, lines);
    let session = store.session().await.unwrap();

    let (mut asked, mut wrong) = (0, Vec::new());
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let [_, sql, found] = <[String; 3]>::try_from(cells(line)).unwrap_or_else(|_| panic!("{line}"));
        let Some(sql) = sql.strip_prefix('`').and_then(|sql| sql.strip_suffix('`')) else { continue };
        asked += 1;
        match try_rows(&session, &statement(sql)).await {
            Ok(rows) => {
                let rows = rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join(", ");
                if rows != found {
                    wrong.push(format!("{sql}\n  found {rows}\n  says  {found}"));
                }
            }
            Err(e) => wrong.push(format!("{sql}\n  {e}")),
        }
    }
    assert!(asked > 70, "{asked} searches");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
