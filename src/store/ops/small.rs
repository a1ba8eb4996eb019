//! The two small tables of experiments and goals: written anew when they change, and read back where a cut is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rows::{read_file, replace_all};
use crate::model::ExperimentState;
use crate::schema::{ExperimentRow, HIDDEN_STATE, MetricDefRow, Row, Table};
use crate::store::cut::{Batch, Cut, GoalEntry};
use crate::store::delta::Tables;
use crate::store::error::{Result, StoreError};
use crate::store::layout;

/// Writes the tables whose rows differ from those of the state before, and notes their versions.
pub async fn write(tables: &Tables, next: &mut Cut, before: &Cut, batch: &Batch) -> Result<()> {
    if next.experiments != before.experiments {
        let rows = ExperimentRow::to_batch(next.experiments.values().map(ExperimentRow::new));
        let rows = with_state(&rows, next.experiments.values());
        let version = replace_all(tables, &Table::Experiments, batch.n, batch.time, &rows).await?;
        next.tables.extend(version.map(|v| (Table::Experiments.to_string(), v)));
    }
    if next.goals != before.goals {
        let rows = with_state(&MetricDefRow::to_batch(next.goals.iter().map(goal_row)), &next.goals);
        let version = replace_all(tables, &Table::MetricDefs, batch.n, batch.time, &rows).await?;
        next.tables.extend(version.map(|v| (Table::MetricDefs.to_string(), v)));
    }
    Ok(())
}

/// The row of a goal.
pub fn goal_row(entry: &GoalEntry) -> MetricDefRow {
    let goal = &entry.state.goal;
    MetricDefRow {
        experiment_id: entry.experiment_id.clone(),
        key: goal.key.clone(),
        goal: goal.goal.as_str().to_string(),
        source: goal.source.clone(),
        unit: goal.unit.clone(),
        description: goal.description.clone(),
    }
}

/// The experiments and the goals, as they were written last.
pub async fn read_back(tables: &Tables) -> Result<(BTreeMap<String, ExperimentState>, Vec<GoalEntry>)> {
    let experiments: Vec<ExperimentState> = states(tables, &Table::Experiments).await?;
    let mut goals: Vec<GoalEntry> = states(tables, &Table::MetricDefs).await?;
    goals.sort_by(|a, b| (&a.experiment_id, &a.state.goal.key).cmp(&(&b.experiment_id, &b.state.goal.key)));
    Ok((experiments.into_iter().map(|state| (state.id.to_string(), state)).collect(), goals))
}

/// Adds what a cut knows of each row and no column shows: who wrote what, and when.
fn with_state<T: Serialize>(rows: &RecordBatch, states: impl IntoIterator<Item = T>) -> RecordBatch {
    let json = states.into_iter().map(|state| serde_json::to_vec(&state).expect("plain data is JSON"));
    let hidden: ArrayRef = Arc::new(BinaryArray::from_iter_values(json));
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(HIDDEN_STATE, DataType::Binary, true)));
    let columns = rows.columns().iter().cloned().chain([hidden]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("one state for each row")
}

async fn states<T: DeserializeOwned>(tables: &Tables, table: &Table) -> Result<Vec<T>> {
    let mut states = Vec::new();
    let Some(version) = tables.open(table, None).await? else { return Ok(states) };
    for file in &version.files {
        let rows = read_file(tables, &version, file)?;
        let hidden = rows.column_by_name(HIDDEN_STATE).and_then(|c| c.as_binary_opt::<i32>());
        let lost = || StoreError::damaged(layout::table(table), "has lost the column that a cut is made again from");
        for bytes in hidden.ok_or_else(lost)? {
            states.push(serde_json::from_slice(bytes.ok_or_else(lost)?).map_err(|_| lost())?);
        }
    }
    Ok(states)
}
