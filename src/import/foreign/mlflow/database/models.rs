//! Logged models.

use std::collections::HashMap;

use super::{Experiment, Reader, Result, value};
use crate::import::foreign::Out;
use crate::import::foreign::mlflow::run::{millis, run_of_model};
use crate::import::foreign::mlflow::tables::{Model, ModelPoint, model_status};
use crate::import::foreign::sqlite::Line;
use crate::model::Step;
use crate::store::ForeignPoint;

impl Reader<'_> {
    /// Logged models for which a condition on `logged_models` holds.
    pub(super) fn models(&self, end: &str, values: &[&str]) -> Result<Vec<Model>> {
        let columns = [
            "model_id",
            "name",
            "status",
            "status_message",
            "model_type",
            "lifecycle_stage",
            "artifact_location",
            "creation_timestamp_ms",
            "last_updated_timestamp_ms",
            "source_run_id",
        ];
        let mut models = Vec::new();
        self.each("logged_models", &columns, &format!("{end} ORDER BY model_id"), values, |row| {
            models.push(Model {
                model_id: row.text(0)?.unwrap_or_default(),
                name: row.text(1)?,
                status: row.text(2)?.as_deref().map(model_status),
                status_message: row.text(3)?,
                model_type: row.text(4)?,
                lifecycle: row.text(5)?,
                artifact_location: row.text(6)?,
                created: row.int(7)?.and_then(millis),
                updated: row.int(8)?.and_then(millis),
                source_run: row.text(9)?.filter(|run| !run.is_empty()),
                ..Model::default()
            });
            Ok(())
        })?;
        for model in &mut models {
            let id = [model.model_id.as_str()];
            let end = " WHERE model_id = ?";
            let text = |row: &Line<'_, '_>, i| row.text(i).map(Option::unwrap_or_default);
            self.each("logged_model_params", &["param_key", "param_value"], end, &id, |row| {
                model.params.push((text(row, 0)?, text(row, 1)?));
                Ok(())
            })?;
            self.each("logged_model_tags", &["tag_key", "tag_value"], end, &id, |row| {
                model.tags.push((text(row, 0)?, text(row, 1)?));
                Ok(())
            })?;
            let columns = [
                "metric_name",
                "metric_value",
                "metric_timestamp_ms",
                "metric_step",
                "run_id",
                "dataset_name",
                "dataset_digest",
            ];
            self.each("logged_model_metrics", &columns, end, &id, |row| {
                let (Some(time), Some(number)) = (row.int(2)?.and_then(millis), row.real(1)?) else { return Ok(()) };
                let point = ForeignPoint {
                    key: text(row, 0)?.into(),
                    context: None,
                    step: Step::At(row.int(3)?.unwrap_or(0)),
                    time,
                    value: value(number, false),
                };
                let (dataset, digest) = (row.text(5)?, row.text(6)?);
                model.metrics.push(ModelPoint { point, run: text(row, 4)?, dataset, digest });
                Ok(())
            })?;
        }
        Ok(models)
    }

    pub(super) fn models_without_run(
        &self,
        experiments: &HashMap<String, Experiment>,
        out: &mut Out<'_>,
    ) -> Result<()> {
        if !self.schema.has("logged_models", "source_run_id") {
            return Ok(());
        }
        let alone = " WHERE source_run_id IS NULL OR source_run_id = '' \
                     OR source_run_id NOT IN (SELECT run_uuid FROM runs)";
        let mut owners: HashMap<String, String> = HashMap::new();
        self.each("logged_models", &["model_id", "experiment_id"], alone, &[], |row| {
            owners.insert(row.text(0)?.unwrap_or_default(), row.text(1)?.unwrap_or_default());
            Ok(())
        })?;
        for model in self.models(alone, &[])? {
            let id = owners.get(&model.model_id).cloned().unwrap_or_default();
            let name = experiments.get(&id).map_or(id.as_str(), |e| e.name.as_str()).to_string();
            let run = run_of_model(model, &name, &id).into_run(out);
            out.run(run);
        }
        Ok(())
    }
}
