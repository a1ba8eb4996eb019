//! What the hparams plugin says of a run.

use prost::Message;
use serde_json::{Value as Json, json};

use super::proto::{Any, AnyKind, Experiment, HParams, SessionEnd, SessionStart};
use crate::model::{Micros, ParamValue, Status};

/// The plugin's name.
pub const PLUGIN: &str = "hparams";

/// What is known of one run.
#[derive(Debug, Default)]
pub struct Session {
    /// Params, the first value of each.
    pub params: Vec<(String, ParamValue)>,
    /// Those that had another value later.
    pub changed: Vec<String>,
    /// Where it stands; `None` where nobody says it.
    pub status: Option<Status>,
    /// When it began.
    pub start: Option<Micros>,
    /// When it ended.
    pub end: Option<Micros>,
    /// Other facts.
    pub facts: Vec<(String, String)>,
}

impl Session {
    /// Takes what stands beside a tag of the plugin.
    pub fn read(&mut self, content: &[u8]) -> Result<(), String> {
        let data =
            HParams::decode(content).map_err(|e| format!("what the hparams plugin keeps cannot be read: {e}"))?;
        if let Some(experiment) = data.experiment {
            self.fact("tensorboard.hparams.experiment", described(&experiment));
        }
        if let Some(start) = data.session_start_info {
            self.begin(start);
        }
        if let Some(SessionEnd { status, end_time_secs }) = data.session_end_info {
            self.status = Some(match status {
                2 => Status::Failed,
                3 => Status::Running,
                _ => Status::Finished,
            });
            self.end = time(end_time_secs);
        }
        Ok(())
    }

    fn begin(&mut self, start: SessionStart) {
        // A session that began again and has not ended.
        self.status = Some(Status::Running);
        self.start = self.start.or(time(start.start_time_secs));
        for (key, value) in start.hparams {
            let value = param(&value);
            match self.params.iter().find(|(k, _)| *k == key) {
                None => self.params.push((key, value)),
                Some((_, old)) if *old != value => self.changed.push(key),
                Some(_) => {}
            }
        }
        self.fact("tensorboard.hparams.group", start.group_name);
        self.fact("tensorboard.hparams.model_uri", start.model_uri);
        self.fact("tensorboard.hparams.monitor_url", start.monitor_url);
    }

    fn fact(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.facts.retain(|(k, _)| k != key);
            self.facts.push((key.to_string(), value));
        }
    }
}

fn time(seconds: f64) -> Option<Micros> {
    Some(seconds).filter(|s| *s != 0.0).and_then(Micros::from_seconds)
}

/// A param; numbers are doubles there, whatever they were, and text is typed as what it spells.
fn param(value: &Any) -> ParamValue {
    match &value.kind {
        None | Some(AnyKind::Null(_)) => ParamValue::Null,
        Some(AnyKind::Bool(b)) => ParamValue::Bool(*b),
        Some(AnyKind::Number(x)) => ParamValue::Float(*x),
        Some(AnyKind::Text(text)) => ParamValue::from_spelling(text),
        Some(AnyKind::List(_)) => ParamValue::List(any(value).to_string()),
        Some(AnyKind::Struct(_)) => ParamValue::Dict(any(value).to_string()),
    }
}

fn any(value: &Any) -> Json {
    match &value.kind {
        None | Some(AnyKind::Null(_)) => Json::Null,
        Some(AnyKind::Bool(b)) => (*b).into(),
        Some(AnyKind::Number(x)) => number(*x),
        Some(AnyKind::Text(text)) => text.as_str().into(),
        Some(AnyKind::List(list)) => list.values.iter().map(any).collect(),
        Some(AnyKind::Struct(fields)) => fields.fields.iter().map(|(key, value)| (key.clone(), any(value))).collect(),
    }
}

/// A number; one that JSON cannot spell is text.
fn number(x: f64) -> Json {
    match x.is_finite() {
        true => x.into(),
        false => ParamValue::Float(x).text().into(),
    }
}

/// All that was declared before a search, as JSON.
fn described(experiment: &Experiment) -> String {
    let params = experiment.hparam_infos.iter().map(|info| {
        let interval = info.domain_interval.map(|i| [number(i.min_value), number(i.max_value)]);
        let choices = info.domain_discrete.as_ref().map(|list| list.values.iter().map(any).collect::<Json>());
        let data_type = ["unset", "string", "bool", "float64"].get(info.data_type as usize);
        json!({
            "name": info.name, "display_name": info.display_name, "description": info.description,
            "type": data_type, "domain": choices, "interval": interval,
        })
    });
    let metrics = experiment.metric_infos.iter().map(|info| {
        let name = info.name.clone().unwrap_or_default();
        let dataset = ["unknown", "training", "validation"].get(info.dataset_type as usize);
        json!({
            "group": name.group, "tag": name.tag, "display_name": info.display_name, "description": info.description,
            "dataset": dataset,
        })
    });
    json!({
        "name": experiment.name, "description": experiment.description, "user": experiment.user,
        "created": number(experiment.time_created_secs),
        "params": params.collect::<Json>(), "metrics": metrics.collect::<Json>(),
    })
    .to_string()
}
