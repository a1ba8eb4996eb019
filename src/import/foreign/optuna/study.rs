//! A study: what its trials need to know of it, and the experiment that it becomes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::super::{Out, json};
use super::distribution::attribute;
use crate::model::Goal;
use crate::store::ForeignExperiment;

/// Names of the objectives, where somebody gave them.
const METRIC_NAMES: &str = "study:metric_names";
/// Stands before the keys of attributes that Optuna and its parts set themselves.
pub const SYSTEM: &str = "optuna.system.";

/// Key and JSON.
pub type Attributes = Vec<(String, String)>;

/// A study as the database has it.
#[derive(Debug, Default)]
pub struct Study {
    pub id: i64,
    pub name: String,
    /// `MINIMIZE`, `MAXIMIZE` or `NOT_SET`, by objective.
    pub directions: Vec<String>,
    pub user: Attributes,
    pub system: Attributes,
    /// When the first of its trials that has begun did so, as the database writes it.
    pub begun: Option<String>,
    /// What its objectives are called here.
    pub metrics: Vec<String>,
    /// What intermediate values are called here.
    pub intermediate: String,
}

impl Study {
    /// Chooses the names of metrics. A name that is taken gets a number, which is told.
    pub fn name_metrics(&mut self, out: &mut Out<'_>) {
        let names = self.system.iter().find(|(key, _)| key == METRIC_NAMES);
        let names = names.and_then(|(_, text)| json::parse(text).ok());
        let names = names.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let several = self.directions.len() > 1;
        let mut taken = BTreeSet::new();
        for objective in 0..self.directions.len() {
            let given = names.get(objective).and_then(json::as_text).filter(|name| !name.is_empty());
            let name = match (given, several) {
                (Some(name), _) => name.to_string(),
                (None, false) => "value".to_string(),
                (None, true) => format!("values_{objective}"),
            };
            self.metrics.push(self.free(name, &mut taken, out));
        }
        self.intermediate = self.free("intermediate_value".to_string(), &mut taken, out);
    }

    fn free(&self, name: String, taken: &mut BTreeSet<String>, out: &mut Out<'_>) -> String {
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let free =
            [name.clone()].into_iter().chain(numbered).find(|name| !taken.contains(name)).expect("numbers go on");
        if free != name {
            out.leave(self.place(), format!("it has several metrics '{name}'; one of them is called '{free}' here"));
        }
        taken.insert(free.clone());
        free
    }

    /// How it is told.
    pub fn place(&self) -> String {
        format!("study '{}'", self.name)
    }

    /// The metric of an objective.
    pub fn metric(&self, objective: i64) -> Option<&str> {
        self.metrics.get(usize::try_from(objective).ok()?).map(String::as_str)
    }

    /// The experiment.
    pub fn experiment(&self, place: &Path, version: Option<&str>, out: &mut Out<'_>) -> ForeignExperiment {
        let mut tags = tags(&self.user, &self.system);
        let mut own = |key: &str, value: String| {
            if tags.iter().any(|(k, _)| k == key) {
                let reason = format!("it has an attribute '{key}' of its own, which stays; '{value}' is not kept");
                out.leave(format!("study '{}'", self.name), reason);
            } else {
                tags.push((key.to_string(), Some(value)));
            }
        };
        own("optuna.study_id", self.id.to_string());
        own("optuna.directions", self.directions.join(","));
        own(STORAGE, format!("sqlite:///{}", place.display()));
        if let Some(version) = version {
            own("optuna.version", version.to_string());
        }
        let goals = self.directions.iter().map(|direction| goal(direction));
        let mut goals: Vec<_> =
            self.metrics.iter().zip(goals).filter_map(|(name, goal)| Some((name.clone(), goal?))).collect();
        // What is reported on the way is the one objective, earlier.
        if let [direction] = self.directions.as_slice()
            && let Some(goal) = goal(direction)
        {
            goals.push((self.intermediate.clone(), goal));
        }
        ForeignExperiment {
            name: self.name.clone(),
            tags,
            identity: Some(STORAGE),
            goals,
            ..ForeignExperiment::default()
        }
    }
}

/// The tag that tells a study from one of the same name in another database.
const STORAGE: &str = "optuna.storage";

fn goal(direction: &str) -> Option<Goal> {
    match direction {
        "MINIMIZE" => Some(Goal::Min),
        "MAXIMIZE" => Some(Goal::Max),
        _ => None,
    }
}

/// Attributes as tags: those of users under their own keys.
pub fn tags(user: &Attributes, system: &Attributes) -> Vec<(String, Option<String>)> {
    let user = user.iter().map(|(key, json)| (key.clone(), json));
    let system = system.iter().map(|(key, json)| (format!("{SYSTEM}{key}"), json));
    user.chain(system).map(|(key, json)| (key, Some(attribute(json.clone())))).collect()
}
