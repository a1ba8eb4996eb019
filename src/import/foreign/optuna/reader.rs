//! Reads studies and trials, of every generation of tables: columns that an older one lacks read as empty.
//!
//! | since | what was new |
//! | --- | --- |
//! | 2.4 | several objectives: `study_directions`, `trial_values`, which held the intermediate values before |
//! | 2.6 | heartbeats |
//! | 3.0 | NaN as an intermediate value, NULL at first; types of values, which tell infinities |

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Result};

use super::super::sqlite::{Line, Schema};
use super::super::{Out, id, json};
use super::distribution::{attribute, decode};
use super::study::{self, Attributes, Study};
use crate::model::{Link, Micros, ParamValue, RunId, Status, Step};
use crate::store::{ForeignPoint, ForeignRun};

/// Trials that are read at once.
const GROUP: usize = 256;

/// The tag that tells a pruned trial from one that was stopped otherwise.
const STATE: &str = "optuna.state";

/// Reads a database.
pub struct Reader<'a> {
    pub db: &'a Connection,
    pub schema: &'a Schema,
    /// The file.
    pub place: &'a Path,
}

/// A trial as the database has it.
#[derive(Debug, Default)]
struct Trial {
    number: i64,
    study: i64,
    state: String,
    start: Option<String>,
    complete: Option<String>,
    heartbeat: Option<String>,
    params: Vec<(String, Option<f64>, String)>,
    values: Vec<(i64, f64)>,
    intermediate: Vec<(i64, f64)>,
    user: Attributes,
    system: Attributes,
}

impl Reader<'_> {
    /// Hands over everything.
    pub fn all(&self, out: &mut Out<'_>) -> Result<()> {
        let version = self.version()?;
        let studies = self.studies(out)?;
        for study in studies.values() {
            let experiment = study.experiment(self.place, version.as_deref(), out);
            out.experiment(experiment);
        }
        let mut waiting: BTreeMap<i64, u64> = BTreeMap::new();
        let mut after = i64::MIN;
        loop {
            // Each group sees one state of the database, and gives the lock back.
            let group = self.db.unchecked_transaction()?;
            let trials = self.trials(after, out)?;
            let Some(last) = trials.keys().next_back().copied() else { break };
            drop(group);
            after = last;
            for (trial_id, trial) in trials {
                let Some(study) = studies.get(&trial.study) else {
                    out.skip(format!("trial {trial_id}"), format!("there is no study {} that it is of", trial.study));
                    continue;
                };
                let Some(begun) = &study.begun else {
                    *waiting.entry(trial.study).or_default() += 1;
                    continue;
                };
                let run = trial.into_run(trial_id, study, begun, out);
                out.run(run);
                if out.is_stopped() {
                    return Ok(());
                }
            }
        }
        for (study, trials) in waiting {
            let reason = format!("none of its {trials} trials has begun; they come once the first one has");
            out.leave(studies[&study].place(), reason);
        }
        Ok(())
    }

    fn version(&self) -> Result<Option<String>> {
        let mut version = None;
        self.each("version_info", &["library_version"], "", &[], |row| {
            version = row.text(0)?;
            Ok(())
        })?;
        Ok(version)
    }

    fn studies(&self, out: &mut Out<'_>) -> Result<BTreeMap<i64, Study>> {
        let mut studies = BTreeMap::new();
        let group = self.db.unchecked_transaction()?;
        self.each("studies", &["study_id", "study_name", "direction"], "", &[], |row| {
            let id = row.int(0)?.unwrap_or_default();
            let name = row.text(1)?.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("study {id}"));
            let directions = row.text(2)?.into_iter().collect();
            studies.insert(id, Study { id, name, directions, ..Study::default() });
            Ok(())
        })?;
        let end = " ORDER BY study_id, objective";
        self.each("study_directions", &["study_id", "objective", "direction"], end, &[], |row| {
            if let Some(study) = row.int(0)?.and_then(|id| studies.get_mut(&id)) {
                study.directions.push(row.text(2)?.unwrap_or_default());
            }
            Ok(())
        })?;
        for (table, is_user) in [("study_user_attributes", true), ("study_system_attributes", false)] {
            self.each(table, &["study_id", "key", "value_json"], "", &[], |row| {
                if let Some(study) = row.int(0)?.and_then(|id| studies.get_mut(&id)) {
                    let attributes = if is_user { &mut study.user } else { &mut study.system };
                    attributes.push((row.text(1)?.unwrap_or_default(), row.text(2)?.unwrap_or_default()));
                }
                Ok(())
            })?;
        }
        // Trials begin in the order of their numbers, so this one stays the first.
        let number = if self.schema.has("trials", "number") { "number" } else { "trial_id" };
        let end = format!(
            " WHERE datetime_start IS NOT NULL AND state <> 'WAITING' ORDER BY study_id, coalesce({number}, trial_id) DESC"
        );
        self.each("trials", &["study_id", "datetime_start"], &end, &[], |row| {
            if let Some(study) = row.int(0)?.and_then(|id| studies.get_mut(&id)) {
                study.begun = row.text(1)?;
            }
            Ok(())
        })?;
        drop(group);
        studies.values_mut().for_each(|study| study.name_metrics(out));
        Ok(studies)
    }

    /// The next trials after an id, whole.
    fn trials(&self, after: i64, out: &mut Out<'_>) -> Result<BTreeMap<i64, Trial>> {
        let mut trials: BTreeMap<i64, Trial> = BTreeMap::new();
        let columns = ["trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete", "value"];
        let end = format!(" WHERE trial_id > ? ORDER BY trial_id LIMIT {GROUP}");
        self.each("trials", &columns, &end, &[after], |row| {
            let id = row.int(0)?.unwrap_or_default();
            let trial = Trial {
                number: row.int(1)?.unwrap_or(-1),
                study: row.int(2)?.unwrap_or_default(),
                state: row.text(3)?.unwrap_or_default(),
                start: row.text(4)?,
                complete: row.text(5)?,
                // Before there were several objectives.
                values: row.real(6)?.map(|value| (0, value)).into_iter().collect(),
                ..Trial::default()
            };
            trials.insert(id, trial);
            Ok(())
        })?;
        let ids: Vec<i64> = trials.keys().copied().collect();
        let among = format!(" WHERE trial_id IN ({})", vec!["?"; ids.len()].join(", "));
        self.each(
            "trial_params",
            &["trial_id", "param_name", "param_value", "distribution_json"],
            &among,
            &ids,
            |row| {
                if let Some(trial) = row.int(0)?.and_then(|id| trials.get_mut(&id)) {
                    trial.params.push((
                        row.text(1)?.unwrap_or_default(),
                        row.real(2)?,
                        row.text(3)?.unwrap_or_default(),
                    ));
                }
                Ok(())
            },
        )?;
        let values_are_intermediate = self.schema.has("trial_values", "step");
        let (place, value_type) = if values_are_intermediate { ("step", "none") } else { ("objective", "value_type") };
        let mut wrong = Vec::new();
        for (table, columns, is_intermediate) in [
            ("trial_values", ["trial_id", place, "value", value_type], values_are_intermediate),
            ("trial_intermediate_values", ["trial_id", "step", "intermediate_value", "intermediate_value_type"], true),
        ] {
            self.each(table, &columns, &among, &ids, |row| {
                let Some(id) = row.int(0)? else { return Ok(()) };
                let Some(trial) = trials.get_mut(&id) else { return Ok(()) };
                let (at, number) = (row.int(1)?, number(row)?);
                match (at, number) {
                    (Some(at), Ok(number)) if is_intermediate => trial.intermediate.push((at, number)),
                    (Some(at), Ok(number)) => trial.values.push((at, number)),
                    (None, _) => wrong.push((id, table, format!("{} is no whole number", columns[1]))),
                    (_, Err(reason)) => wrong.push((id, table, reason)),
                }
                Ok(())
            })?;
        }
        for (id, table, reason) in wrong {
            out.skip(format!("table {table}, trial {id}"), reason);
        }
        for (table, is_user) in [("trial_user_attributes", true), ("trial_system_attributes", false)] {
            self.each(table, &["trial_id", "key", "value_json"], &among, &ids, |row| {
                if let Some(trial) = row.int(0)?.and_then(|id| trials.get_mut(&id)) {
                    let attributes = if is_user { &mut trial.user } else { &mut trial.system };
                    attributes.push((row.text(1)?.unwrap_or_default(), row.text(2)?.unwrap_or_default()));
                }
                Ok(())
            })?;
        }
        self.each("trial_heartbeats", &["trial_id", "heartbeat"], &among, &ids, |row| {
            if let Some(trial) = row.int(0)?.and_then(|id| trials.get_mut(&id)) {
                trial.heartbeat = row.text(1)?;
            }
            Ok(())
        })?;
        Ok(trials)
    }

    fn each(
        &self,
        table: &str,
        columns: &[&str],
        end: &str,
        values: &[i64],
        visit: impl FnMut(&Line<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        self.schema.each(self.db, table, columns, end, values, visit)
    }
}

/// The number in the third column, as the type in the fourth says.
fn number(row: &Line<'_, '_>) -> Result<Result<f64, String>> {
    let value_type = row.text(3)?;
    Ok(Ok(match value_type.as_deref() {
        Some("INF_POS") => f64::INFINITY,
        Some("INF_NEG") => f64::NEG_INFINITY,
        Some("NAN") => f64::NAN,
        None | Some("FINITE") => match (row.real(2)?, row.text(2)?) {
            (Some(number), _) => number,
            // Before there were types.
            (None, None) if value_type.is_none() => f64::NAN,
            (None, text) => return Ok(Err(format!("the value {} is no number", shown(text)))),
        },
        Some(other) => return Ok(Err(format!("'{other}' is no type of values"))),
    }))
}

fn shown(text: Option<String>) -> String {
    text.map_or("NULL".to_string(), |text| format!("'{}'", text.chars().take(60).collect::<String>()))
}

/// The id of a trial.
fn run_id(study: &Study, begun: &str, number: i64) -> RunId {
    id::derived("optuna", &[&study.name, begun, &number.to_string()])
}

impl Trial {
    fn into_run(self, trial_id: i64, study: &Study, begun: &str, out: &mut Out<'_>) -> ForeignRun {
        // Trials have always had numbers; where the column does not say it, an attribute does.
        let told = |key: &str| self.system.iter().find(|(k, _)| k == key).map(|(_, json)| attribute(json.clone()));
        let number = if self.number < 0 { told("_number").and_then(|n| n.parse().ok()) } else { Some(self.number) };
        let number = number.unwrap_or(trial_id);
        let place = format!("{}, trial {number}", study.place());
        let mut time = |what: &str, text: &Option<String>| {
            let time = Micros::parse(text.as_deref()?);
            time.map_err(|e| out.skip(&place, format!("{what}: {e}"))).ok()
        };
        let (start, end) = (time("start", &self.start), time("end", &self.complete));
        let first = Micros::parse(begun).unwrap_or_default();
        let start_time = start.or(end).unwrap_or(first);
        let mut run = ForeignRun::new(run_id(study, begun, number), &study.name, start_time);
        run.start.name = Some(format!("trial {number}"));
        run.status = match self.state.as_str() {
            "COMPLETE" => Status::Finished,
            "PRUNED" => Status::Killed,
            "FAIL" => Status::Failed,
            "RUNNING" => Status::Running,
            "WAITING" => Status::Scheduled,
            other => {
                out.skip(&place, format!("'{other}' is no state of a trial; it is taken for a running one"));
                Status::Running
            }
        };
        run.end_time = end;
        run.error = told("fail_reason").filter(|_| run.status == Status::Failed);

        for (key, internal, distribution) in &self.params {
            let value = internal.ok_or("there is no value".to_string()).and_then(|x| decode(x, distribution));
            match value {
                Ok(value) => run.params.push((key.clone(), value)),
                Err(reason) => {
                    // As the database has it, so that it is not missing.
                    out.skip(format!("{place}, param '{key}'"), reason);
                    run.params.extend(internal.map(|x| (key.clone(), ParamValue::Float(x))));
                }
            }
            run.environment.push((format!("optuna.distribution.{key}"), distribution.clone()));
        }
        // Without a step: a value is what a trial as a whole has.
        let time = end.unwrap_or(start_time);
        for (objective, value) in self.values {
            let Some(name) = study.metric(objective) else {
                out.skip(&place, format!("its study has no objective {objective}"));
                continue;
            };
            run.points.push(ForeignPoint { key: name.into(), context: None, step: Step::None, time, value });
        }
        // When each was reported is not kept.
        let key: Arc<str> = study.intermediate.as_str().into();
        run.points.extend(self.intermediate.into_iter().map(|(step, value)| ForeignPoint {
            key: Arc::clone(&key),
            context: None,
            step: Step::At(step),
            time: start_time,
            value,
        }));
        let retried = told("retry_history").or_else(|| told("failed_trial"));
        let retried = retried.and_then(|text| json::parse(&text).ok());
        let retried =
            retried.and_then(|found| found.as_array().map_or(Some(&found), |all| all.last()).and_then(|n| n.as_i64()));
        run.links.extend(retried.map(|of| Link {
            target: run_id(study, begun, of),
            kind: "retry".to_string(),
            position: None,
            weight: None,
            step: None,
        }));
        run.tags = study::tags(&self.user, &self.system);
        match run.tags.iter().any(|(key, _)| key == STATE) {
            true => out.leave(&place, format!("it has an attribute '{STATE}' of its own, which stays")),
            false => run.tags.push((STATE.to_string(), Some(self.state))),
        }
        run.environment.push(("optuna.trial_id".to_string(), trial_id.to_string()));
        run.environment.push(("optuna.number".to_string(), number.to_string()));
        run.environment.extend(self.heartbeat.map(|at| ("optuna.heartbeat".to_string(), at)));
        run
    }
}
