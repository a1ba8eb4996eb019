//! What MLflow knows and a run of ours has no column for, as tables of the run: `frames.mlflow_inputs` and so on.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Map, Value};

use super::run::{Input, MeasuredOn, ModelUse};
use crate::model::Micros;
use crate::store::{ForeignFile, ForeignPoint};

/// A logged model.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub model_id: String,
    pub name: Option<String>,
    pub status: Option<String>,
    pub status_message: Option<String>,
    pub model_type: Option<String>,
    pub lifecycle: Option<String>,
    pub artifact_location: Option<String>,
    pub created: Option<Micros>,
    pub updated: Option<Micros>,
    pub source_run: Option<String>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    pub metrics: Vec<ModelPoint>,
    pub files: Vec<ForeignFile>,
}

/// A point of a metric of a model.
#[derive(Debug, Clone)]
pub struct ModelPoint {
    pub point: ForeignPoint,
    /// The run that logged it.
    pub run: String,
    pub dataset: Option<String>,
    pub digest: Option<String>,
}

/// The word for the status of a model, which both forms keep as a number.
pub fn model_status(number: &str) -> String {
    match number {
        "1" => "PENDING",
        "2" => "READY",
        "3" => "FAILED",
        other => other,
    }
    .to_string()
}

/// Collects the rows of a run.
#[derive(Default)]
pub struct Rows {
    inputs: Vec<Input>,
    measured_on: Vec<MeasuredOn>,
    model_uses: Vec<ModelUse>,
    models: Vec<Model>,
}

impl Rows {
    pub fn input(&mut self, input: &Input) {
        self.inputs.push(input.clone());
    }

    pub fn measured_on(&mut self, measured: &MeasuredOn) {
        self.measured_on.push(measured.clone());
    }

    pub fn model_use(&mut self, model: &ModelUse) {
        self.model_uses.push(model.clone());
    }

    pub fn model(&mut self, model: &Model) {
        self.models.push(Model { files: Vec::new(), ..model.clone() });
    }

    /// The tables that have rows.
    pub fn finish(self) -> Vec<(String, RecordBatch)> {
        let mut tables = Vec::new();
        let mut add = |name: &str, columns: Vec<(&str, ArrayRef)>| {
            let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
                .expect("the columns are of one length");
            if rows.num_rows() > 0 {
                tables.push((name.to_string(), rows));
            }
        };
        let i = &self.inputs;
        add(
            "mlflow_inputs",
            vec![
                ("dataset", text(i, |i| Some(i.name.clone()))),
                ("digest", text(i, |i| i.digest.clone())),
                ("context", text(i, |i| i.context().map(str::to_string))),
                ("source_type", text(i, |i| i.source_type.clone())),
                ("source", text(i, |i| i.source.clone())),
                ("schema", text(i, |i| i.schema.clone())),
                ("profile", text(i, |i| i.profile.clone())),
                ("tags", text(i, |i| Some(object(&i.tags)))),
            ],
        );
        let m = &self.measured_on;
        add(
            "mlflow_metric_datasets",
            vec![
                ("key", text(m, |m| Some(m.point.key.to_string()))),
                ("step", whole(m, |m| m.point.step.whole())),
                ("time", time(m, |m| Some(m.point.time))),
                ("value", double(m, |m| m.point.value)),
                ("dataset", text(m, |m| Some(m.dataset.clone()))),
                ("digest", text(m, |m| m.digest.clone())),
            ],
        );
        let u = &self.model_uses;
        add(
            "mlflow_model_uses",
            vec![
                ("model_id", text(u, |u| Some(u.model_id.clone()))),
                ("direction", text(u, |u| Some(u.direction.to_string()))),
                ("step", whole(u, |u| u.step)),
            ],
        );
        let m = &self.models;
        add(
            "mlflow_models",
            vec![
                ("model_id", text(m, |m| Some(m.model_id.clone()))),
                ("name", text(m, |m| m.name.clone())),
                ("status", text(m, |m| m.status.clone())),
                ("status_message", text(m, |m| m.status_message.clone())),
                ("model_type", text(m, |m| m.model_type.clone())),
                ("lifecycle_stage", text(m, |m| m.lifecycle.clone())),
                ("artifact_location", text(m, |m| m.artifact_location.clone())),
                ("created", time(m, |m| m.created)),
                ("updated", time(m, |m| m.updated)),
                ("params", text(m, |m| Some(object(&m.params)))),
                ("tags", text(m, |m| Some(object(&m.tags)))),
            ],
        );
        let p: Vec<(&str, &ModelPoint)> =
            m.iter().flat_map(|m| m.metrics.iter().map(|p| (m.model_id.as_str(), p))).collect();
        add(
            "mlflow_model_metrics",
            vec![
                ("model_id", text(&p, |(id, _)| Some(id.to_string()))),
                ("key", text(&p, |(_, p)| Some(p.point.key.to_string()))),
                ("step", whole(&p, |(_, p)| p.point.step.whole())),
                ("time", time(&p, |(_, p)| Some(p.point.time))),
                ("value", double(&p, |(_, p)| p.point.value)),
                ("logged_by", text(&p, |(_, p)| Some(p.run.clone()))),
                ("dataset", text(&p, |(_, p)| p.dataset.clone())),
                ("digest", text(&p, |(_, p)| p.digest.clone())),
            ],
        );
        tables
    }
}

fn object(pairs: &[(String, String)]) -> String {
    let object: Map<String, Value> = pairs.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
    Value::Object(object).to_string()
}

fn text<T>(items: &[T], get: impl Fn(&T) -> Option<String>) -> ArrayRef {
    Arc::new(items.iter().map(get).collect::<StringArray>())
}

fn whole<T>(items: &[T], get: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(items.iter().map(get).collect::<Int64Array>())
}

fn double<T>(items: &[T], get: impl Fn(&T) -> f64) -> ArrayRef {
    Arc::new(items.iter().map(|item| Some(get(item))).collect::<Float64Array>())
}

fn time<T>(items: &[T], get: impl Fn(&T) -> Option<Micros>) -> ArrayRef {
    let times = items.iter().map(|item| get(item).map(|t| t.0)).collect::<TimestampMicrosecondArray>();
    Arc::new(times.with_timezone("UTC"))
}
