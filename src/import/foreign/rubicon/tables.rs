//! What rubicon-ml knows of the parts of an experiment and a run of ours has no column for: `frames.rubicon_entities`.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::Value;

use super::super::json;
use super::edits::Outcome;
use super::entity::Entity;

/// Name of the table.
pub const ENTITIES: &str = "rubicon_entities";

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    /// `parameter`, `metric`, `feature`, `artifact` or `dataframe`.
    pub kind: &'static str,
    /// What it says of itself; what has a column is taken out of `rest`.
    pub entity: Entity,
    /// The value as JSON, where no column of the run says it exactly.
    pub value: Option<String>,
    /// Under which name its file is among the artifacts.
    pub path: Option<String>,
}

/// The rows of a run as a table; `None` when there are none.
pub fn entities(mut rows: Vec<Row>) -> Option<(String, RecordBatch)> {
    if rows.is_empty() {
        return None;
    }
    let directionality: Vec<_> = rows.iter_mut().map(|row| row.entity.take_text("directionality")).collect();
    let text = |get: &dyn Fn(&Row) -> Option<String>| -> StringArray { rows.iter().map(get).collect() };
    let created: TimestampMicrosecondArray = rows.iter().map(|row| row.entity.created.map(|t| t.0)).collect();
    let other = |row: &Row| {
        let rest = Value::Object(row.entity.rest.clone());
        (!row.entity.rest.is_empty()).then(|| json::render(&rest))
    };
    let columns = RecordBatch::try_from_iter_with_nullable([
        ("kind", Arc::new(text(&|row| Some(row.kind.to_string()))) as _, true),
        ("name", Arc::new(text(&|row| row.entity.name.clone())) as _, true),
        ("id", Arc::new(text(&|row| row.entity.id.clone())) as _, true),
        ("created_at", Arc::new(created.with_timezone("UTC")) as _, true),
        ("description", Arc::new(text(&|row| row.entity.description.clone())) as _, true),
        ("entity_tags", Arc::new(text(&|row| list(&row.entity.tags))) as _, true),
        ("entity_comments", Arc::new(text(&|row| list(&row.entity.comments))) as _, true),
        ("directionality", Arc::new(StringArray::from(directionality)) as _, true),
        ("value", Arc::new(text(&|row| row.value.clone())) as _, true),
        ("path", Arc::new(text(&|row| row.path.clone())) as _, true),
        ("other", Arc::new(text(&other)) as _, true),
    ]);
    Some((ENTITIES.to_string(), columns.expect("the columns are of one length")))
}

/// Texts as JSON; nothing for none.
fn list(texts: &Outcome) -> Option<String> {
    let texts: Vec<Value> = texts.there.iter().map(|added| Value::from(added.text.as_str())).collect();
    (!texts.is_empty()).then(|| Value::Array(texts).to_string())
}
