//! What the store knows of runs by id, whether SQL shows them or not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::error::{Result, StoreError};
use super::snapshot::Snapshot;
use super::{Store, merge, sealed};
use crate::model::{ParamValue, RunId};
use crate::schema::{ParamRow, Row, Table};

/// Params by run; a run without params has an entry, one that does not exist has none.
pub(crate) type ParamsByRun = HashMap<RunId, Vec<(String, ParamValue)>>;

impl Snapshot {
    /// Ids of all runs, deleted ones too (`true`), and of those that were reclaimed and cannot come back (`false`).
    pub(crate) async fn run_ids(&self, mut each: impl FnMut(&RunId, bool)) -> Result<()> {
        let snapshot = self;
        snapshot.live().states.keys().for_each(|run| each(run, true));
        if let Some(table) = snapshot.table(&Table::Runs).await? {
            for file in &table.files {
                sealed::file_runs(snapshot, &table, file).await?.iter().for_each(|run| each(run, true));
            }
        }
        snapshot.cut().purged_runs(snapshot.tables().io.as_ref())?.iter().for_each(|run| each(run, false));
        Ok(())
    }

    /// The params of those of these runs that exist.
    pub(crate) async fn params_of(&self, runs: &BTreeSet<RunId>) -> Result<ParamsByRun> {
        let snapshot = self;
        let mut found = ParamsByRun::new();
        if let Some(table) = snapshot.table(&Table::Runs).await? {
            let schema = Arc::new(Schema::new(vec![Field::new("run_id", DataType::Utf8, true)]));
            for rows in sealed::rows_of(snapshot, &table, &table.files, schema, runs, None).await? {
                for id in arrow::array::AsArray::as_string::<i32>(rows.column(0)).iter().flatten() {
                    found.entry(RunId::parse(id)?).or_default();
                }
            }
        }
        if let Some(table) = snapshot.table(&Table::Params).await? {
            for rows in sealed::rows_of(snapshot, &table, &table.files, ParamRow::schema(), runs, None).await? {
                for row in ParamRow::from_batch(&rows).map_err(StoreError::schema(Table::Params))? {
                    let value = ParamValue::from_stored(&row.r#type, row.value.as_deref());
                    found.entry(RunId::parse(&row.run_id)?).or_default().push((row.key, value));
                }
            }
        }
        for run in runs {
            if let Some(state) = snapshot.live().states.get(run) {
                let params = found.entry(run.clone()).or_default();
                for (key, value) in state.params() {
                    // A sealed value is the first one and stays.
                    if !params.iter().any(|(known, _)| known == key) {
                        params.push((key.to_string(), value.clone()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Names of the experiments of those of these runs that exist.
    pub(crate) async fn experiments_of(&self, runs: &BTreeSet<RunId>) -> Result<HashMap<RunId, String>> {
        let (experiments, _, started) = merge::experiments(self.cut(), self.live(), &self.live().states);
        let name = |id: &str| experiments.get(id).map(|e| e.name().to_string());
        let mut found = HashMap::new();
        for run in runs {
            found.extend(started.get(run).and_then(|id| Some((run.clone(), name(id.as_str())?))));
        }
        // Where it was sealed first it stays.
        if let Some(table) = self.table(&Table::Runs).await? {
            let text = |name: &str| Field::new(name, DataType::Utf8, true);
            let schema = Arc::new(Schema::new(vec![text("run_id"), text("experiment_id")]));
            for rows in sealed::rows_of(self, &table, &table.files, schema, runs, None).await? {
                let column = |i: usize| arrow::array::AsArray::as_string::<i32>(rows.column(i)).iter().flatten();
                for (run, id) in column(0).zip(column(1)) {
                    found.extend(name(id).map(|name| Ok::<_, StoreError>((RunId::parse(run)?, name))).transpose()?);
                }
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Runs that are deleted and not reclaimed yet.
    pub async fn deleted_runs(&self) -> Result<Vec<RunId>> {
        let snapshot = self.snapshot()?;
        let ids = snapshot.overlay().await?.hidden_runs.iter().map(|id| Ok(RunId::parse(id)?));
        ids.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunOptions, Status};

    #[tokio::test]
    async fn runs_are_known_live_sealed_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let ids = ["a", "b", "c"].map(|id| RunId::parse(id).unwrap());
        for id in &ids[..2] {
            let run = store.start_run(RunOptions::new("x").id(id.clone())).unwrap();
            run.log_param("n", 1).unwrap();
            run.finish(Status::Finished).unwrap();
        }
        let all = BTreeSet::from(ids.clone());
        let live = store.snapshot().unwrap().params_of(&all).await.unwrap();
        store.close_segment().unwrap();
        store.seal().await.unwrap();
        assert_eq!(store.snapshot().unwrap().params_of(&all).await.unwrap(), live);
        assert_eq!(live[&ids[0]], [("n".to_string(), ParamValue::from(1))]);
        assert!(!live.contains_key(&ids[2]));

        store.delete_run(&ids[1]).unwrap();
        assert_eq!(store.deleted_runs().await.unwrap(), [ids[1].clone()]);
        assert!(store.snapshot().unwrap().params_of(&all).await.unwrap().contains_key(&ids[1]));
        let mut seen = BTreeSet::new();
        let snapshot = store.snapshot().unwrap();
        snapshot.run_ids(|id, there| assert!(there && (seen.insert(id.clone()) || *id == ids[1]))).await.unwrap();
        assert_eq!(seen, BTreeSet::from([ids[0].clone(), ids[1].clone()]));
    }
}
