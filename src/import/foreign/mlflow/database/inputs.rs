//! Data sets and models that runs used, and models that they made.

use std::collections::{BTreeMap, HashMap};

use super::{GROUP, Reader, Result};
use crate::import::foreign::mlflow::run::{Input, ModelUse, RawRun};

impl Reader<'_> {
    /// Data sets and models that runs used, and models that they made.
    pub(super) fn inputs(
        &self,
        among_destinations: &str,
        among_sources: &str,
        ids: &[&str],
        runs: &mut BTreeMap<String, RawRun>,
    ) -> Result<()> {
        let columns = ["input_uuid", "source_type", "source_id", "destination_type", "destination_id", "step"];
        let mut edges = Vec::new();
        for end in [among_destinations, among_sources] {
            self.each("inputs", &columns, &format!("{end} ORDER BY input_uuid"), ids, |row| {
                let text = |i| row.text(i).map(Option::unwrap_or_default);
                edges.push((text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, row.int(5)?));
                Ok(())
            })?;
        }
        if edges.is_empty() {
            return Ok(());
        }
        let mut tags: HashMap<String, Vec<(String, String)>> = HashMap::new();
        let mut datasets: HashMap<String, Input> = HashMap::new();
        for some in edges.chunks(GROUP) {
            let marks = vec!["?"; some.len()].join(", ");
            let uuids: Vec<&str> = some.iter().map(|edge| edge.0.as_str()).collect();
            let end = format!(" WHERE input_uuid IN ({marks}) ORDER BY name");
            self.each("input_tags", &["input_uuid", "name", "value"], &end, &uuids, |row| {
                let text = |i| row.text(i).map(Option::unwrap_or_default);
                tags.entry(text(0)?).or_default().push((text(1)?, text(2)?));
                Ok(())
            })?;
            let sources: Vec<&str> = some.iter().map(|edge| edge.2.as_str()).collect();
            let columns = [
                "dataset_uuid",
                "name",
                "digest",
                "dataset_source_type",
                "dataset_source",
                "dataset_schema",
                "dataset_profile",
            ];
            self.each("datasets", &columns, &format!(" WHERE dataset_uuid IN ({marks})"), &sources, |row| {
                let input = Input {
                    name: row.text(1)?.unwrap_or_default(),
                    digest: row.text(2)?,
                    source_type: row.text(3)?,
                    source: row.text(4)?,
                    schema: row.text(5)?,
                    profile: row.text(6)?,
                    tags: Vec::new(),
                };
                datasets.insert(row.text(0)?.unwrap_or_default(), input);
                Ok(())
            })?;
        }
        for (uuid, source_type, source, destination_type, destination, step) in edges {
            match (source_type.as_str(), destination_type.as_str()) {
                ("DATASET", "RUN") => {
                    if let (Some(run), Some(input)) = (runs.get_mut(&destination), datasets.get(&source)) {
                        let tags = tags.remove(&uuid).unwrap_or_default();
                        run.inputs.push(Input { tags, ..input.clone() });
                    }
                }
                // A model that a run was given: either end may be named first.
                ("RUN_INPUT", "MODEL_INPUT") => {
                    if let Some(run) = runs.get_mut(&source) {
                        run.model_uses.push(ModelUse { model_id: destination, direction: "input", step: None });
                    }
                }
                ("RUN_OUTPUT", "MODEL_OUTPUT") => {
                    if let Some(run) = runs.get_mut(&source) {
                        run.model_uses.push(ModelUse { model_id: destination, direction: "output", step });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
