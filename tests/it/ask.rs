//! Asks a store and gives its answer as text, so that answers can be compared.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use runlake::{Session, Store};

/// An answer: rows of cells.
pub type Rows = Vec<Vec<String>>;

/// The rows of a query, NULL as `NULL`.
pub async fn try_rows(session: &Session, sql: &str) -> Result<Rows, String> {
    let frame = session.sql(sql).await.map_err(|e| e.to_string())?;
    let batches = frame.collect().await.map_err(|e| e.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("every type of ours can be shown"))
            .collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    Ok(rows)
}

/// The rows of a query that has to work.
pub async fn rows(session: &Session, sql: &str) -> Rows {
    try_rows(session, sql).await.unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
}

/// The rows of a query over the newest state.
pub async fn now(store: &Store, sql: &str) -> Rows {
    let session = store.session().await.expect("a session opens");
    rows(&session, sql).await
}

/// The only cell of an answer.
pub async fn one(store: &Store, sql: &str) -> String {
    let rows = now(store, sql).await;
    assert!(rows.len() == 1 && rows[0].len() == 1, "one cell expected of: {sql}\ngot {rows:?}");
    rows[0][0].clone()
}

/// Rows as expected: cells split at `|`.
pub fn table(lines: &[&str]) -> Rows {
    lines.iter().map(|line| line.split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}
