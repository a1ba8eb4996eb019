//! Experiments from elsewhere: which one here each of them is, whatever either side has renamed, and which of them are hidden.

use std::collections::HashMap;

use super::foreign::{ForeignExperiment, ForeignRun};
use super::{Intake, Kind, Refused};
use crate::model::{
    ExperimentEdit, ExperimentId, ExperimentState, Goal, MetricGoal, Micros, Record, RunState, Version,
};
use crate::store::error::Result;
use crate::store::missing::{self, Differences};
use crate::store::run::{check_experiment, check_key};

/// The experiments that were here at the beginning, to be found by what they keep when their names change.
#[derive(Debug)]
pub(super) struct KnownExperiments {
    /// Their present names.
    names: HashMap<ExperimentId, String>,
    /// Those that have a tag of this value: few share the first tag of an origin.
    alike: HashMap<String, Vec<ExperimentId>>,
}

impl KnownExperiments {
    pub(super) fn of<'a>(experiments: impl IntoIterator<Item = &'a ExperimentState>) -> Self {
        let mut known = KnownExperiments { names: HashMap::new(), alike: HashMap::new() };
        for e in experiments {
            known.names.insert(e.id.clone(), e.name().to_string());
            for value in e.tags().filter_map(|(_, value)| value) {
                let alike = known.alike.entry(value.to_string()).or_default();
                if alike.last() != Some(&e.id) {
                    alike.push(e.id.clone());
                }
            }
        }
        known
    }
}

impl Intake<'_> {
    /// Follows new names of experiments that came along before, where that can be: before anything else comes along, since
    /// another one may have the old name by now.
    pub fn follow_names(&mut self, experiments: &[ForeignExperiment]) -> Result<()> {
        // Of names that were passed on, each becomes free once the next one is.
        let mut waiting: HashMap<&str, &ForeignExperiment> = HashMap::new();
        for new in experiments {
            let mut next = Some(new);
            while let Some(new) = next.take() {
                let old = self.known_as(new).filter(|old| self.is_its_name(new, old));
                let Some(old) = old.filter(|_| check_experiment(&new.name).is_ok()) else { continue };
                if self.experiments.contains_key(&new.name) {
                    waiting.insert(&new.name, new);
                } else {
                    self.rename(&old, new)?;
                    next = waiting.remove(old.as_str());
                }
            }
        }
        Ok(())
    }

    /// Whether anything here may have got another name in its source.
    pub fn may_be_renamed(&self) -> bool {
        !self.experiments.is_empty()
    }

    /// The name that an experiment of the source has here, where it is another one.
    fn known_as(&self, new: &ForeignExperiment) -> Option<String> {
        let origin: Option<Vec<&str>> = new.origin.iter().map(|key| new.tag(key)).collect();
        let origin = origin.filter(|origin| !origin.is_empty());
        let is_same = |e: &&ExperimentState| {
            origin.as_ref().is_some_and(|origin| new.origin.iter().zip(origin).all(|(key, v)| tag(e, key) == Some(v)))
        };
        match self.experiments.get(&new.name) {
            Some(same) if is_same(&same) => return None,
            None | Some(_) => {}
        }
        let by_id = |id: &ExperimentId| self.experiments.get(self.known.names.get(id)?);
        let alike = origin.as_ref().and_then(|origin| self.known.alike.get(origin[0]));
        if let Some(same) = alike.into_iter().flatten().filter_map(by_id).find(is_same) {
            return Some(same.name().to_string());
        }
        // One that was renamed here still has the id that came from its first name.
        let (identity, is_here) = (new.identity?, self.experiments.contains_key(&new.name));
        let first = by_id(&ExperimentId::derive(&new.name, 0)).filter(|_| !is_here)?;
        (tag(first, identity) == new.tag(identity)).then(|| first.name().to_string())
    }

    /// Whether a name here is the one that an import gave, and the source has another one now.
    fn is_its_name(&self, new: &ForeignExperiment, here: &str) -> bool {
        let told = new.named.and_then(|key| tag(self.experiments.get(here)?, key));
        told.is_some_and(|told| told == here && told != new.name)
    }

    fn rename(&mut self, old: &str, new: &ForeignExperiment) -> Result<()> {
        let mut state = self.experiments.remove(old).expect("it is known under this name");
        let set = new.named.map(|key| (key.to_string(), Some(new.name.clone()))).into_iter().collect();
        let edit = ExperimentEdit { set, rename: Some(new.name.clone()), ..edit(old) };
        state.apply(now(), edit.clone());
        self.known.names.insert(state.id.clone(), new.name.clone());
        self.experiments.insert(new.name.clone(), state);
        self.log(Record::Experiment(edit))?;
        self.note(&new.name, format!("was called '{old}' there before, and is renamed here as well"));
        Ok(())
    }

    fn note(&mut self, experiment: &str, reason: String) {
        self.refused.push(Refused { place: format!("experiment '{experiment}'"), reason, is_loss: false });
    }

    /// Makes an experiment, or follows what the source says of it.
    pub fn experiment(&mut self, new: &ForeignExperiment) -> Result<()> {
        check_experiment(&new.name)?;
        self.found[Kind::Experiments] += 1;
        let here = self.known_as(new);
        match &here {
            None => drop(self.named_here.remove(&new.name)),
            Some(name) => {
                // Each new name there is told once.
                let told = new.named.map(|key| tag(&self.experiments[name], key));
                if told.is_some_and(|told| told != Some(&new.name)) {
                    self.note(&new.name, format!("is called '{name}' here, and stays so; its runs are there"));
                }
                self.named_here.insert(new.name.clone(), name.clone());
            }
        }
        self.make_or_follow(new, here.as_deref().unwrap_or(&new.name))
    }

    fn make_or_follow(&mut self, new: &ForeignExperiment, name: &str) -> Result<()> {
        let old = self.experiments.get(name);
        let here: Vec<_> =
            old.iter().flat_map(|e| e.tags()).map(|(k, v)| (k.to_string(), v.map(str::to_string))).collect();
        let told =
            |tags: &[(String, Option<String>)]| tags.iter().find(|(k, _)| Some(k.as_str()) == new.identity).cloned();
        // One of the same name that was made here, or comes from another store, must not be hidden by this one; nor one that
        // the source holds a second time, where it is not deleted.
        let is_another = old.is_some()
            && (told(&here) != told(&new.tags)
                || new.deleted && (told(&new.tags).is_none() || self.active.contains(name)));
        let is_hidden = old.is_some_and(ExperimentState::is_deleted);
        let mut differences = Differences::FollowTheSource;
        self.hidden.remove(name);
        if is_another {
            differences = Differences::StayAsTheyAre;
            let mut what = "is there already, from elsewhere: its runs join that one, whose tags stay".to_string();
            if new.deleted {
                // Not the one of the other store.
                self.hidden.insert(name.to_string());
                what += "; it is deleted, so each of its runs is";
            } else if is_hidden {
                self.deleted.insert(name.to_string());
                what += "; that one is deleted, so they do not show until it is restored";
            } else if self.deleted.remove(name) {
                what += "; that one is deleted there, and shows here because of them";
            }
            self.note(&new.name, what);
        } else if new.deleted {
            self.deleted.insert(name.to_string());
        } else if is_hidden {
            // A run that begins in it would bring it back.
            self.deleted.insert(name.to_string());
            self.note(&new.name, "is deleted here and not there; it shows once it is restored here".to_string());
        }
        if !new.deleted {
            self.active.insert(name.to_string());
        }
        let mut set = missing::differing(new.tags.clone(), here, differences);
        let is_its_own = |key: &str| Some(key) == new.identity || new.origin.contains(&key) || Some(key) == new.named;
        set.retain(|(key, _)| !is_another || !is_its_own(key));
        let is_new = !self.experiments.contains_key(name);
        if is_new || !set.is_empty() {
            let edit = ExperimentEdit { set, ..edit(name) };
            let fresh = || ExperimentState::new(ExperimentId::derive(name, 0), name, Micros(0));
            self.experiments.entry(name.to_string()).or_insert_with(fresh).apply(now(), edit.clone());
            self.counted.insert(name.to_string());
            self.log(Record::Experiment(edit))?;
        }
        self.goals_of(name, &new.goals)
    }

    /// Puts a run where its experiment is here; each right after its experiment, before another one of that name comes.
    pub fn place(&self, run: &mut ForeignRun) {
        if let Some(name) = self.named_here.get(&run.start.experiment) {
            run.start.experiment = name.clone();
        }
        run.deleted |= self.hidden.contains(&run.start.experiment);
    }

    /// Says which way metrics of an experiment get better.
    pub fn goals(&mut self, experiment: &str, goals: &[(String, Goal)]) -> Result<()> {
        let name = self.named_here.get(experiment).cloned();
        self.goals_of(name.as_deref().unwrap_or(experiment), goals)
    }

    fn goals_of(&mut self, experiment: &str, goals: &[(String, Goal)]) -> Result<()> {
        self.found[Kind::Goals] += goals.len() as u64;
        let id = self.experiments.get(experiment).map(|e| e.id.to_string());
        for (key, goal) in goals {
            if let Err(e) = check_key("metric", key) {
                let place = format!("experiment '{experiment}'");
                self.refused.push(Refused { place, reason: e.to_string(), is_loss: true });
                continue;
            }
            let here = self.goals.iter().find(|g| Some(&g.experiment_id) == id.as_ref() && g.state.goal.key == *key);
            // What was declared here counts more than what is imported.
            if here.is_none_or(|g| g.state.goal.source == "imported" && g.state.goal.goal != *goal) {
                self.log(Record::Goal(MetricGoal {
                    experiment: experiment.to_string(),
                    key: key.clone(),
                    goal: *goal,
                    source: "imported".to_string(),
                    unit: None,
                    description: None,
                }))?;
            }
        }
        Ok(())
    }

    /// Hides the experiments that are deleted: after their runs, since a run that begins in a deleted experiment brings it
    /// back.
    pub fn finish(&mut self) -> Result<()> {
        for experiment in std::mem::take(&mut self.deleted) {
            let is_hidden = self.experiments.get(&experiment).is_some_and(ExperimentState::is_deleted);
            if !is_hidden || self.begun.contains(&experiment) {
                // One that a run brought back for a moment, or that is counted as new, is not another one.
                let is_counted = is_hidden || self.counted.contains(&experiment);
                self.log(Record::Experiment(ExperimentEdit { deleted: Some(true), ..edit(&experiment) }))?;
                self.added[Kind::Experiments] -= u64::from(is_counted);
            }
        }
        for ((there, here), n) in std::mem::take(&mut self.elsewhere) {
            let runs = if n == 1 { "1 of its runs is".to_string() } else { format!("{n} of its runs are") };
            self.note(&there, format!("{runs} in '{here}' here, where an earlier import put them; new ones are not"));
        }
        Ok(())
    }

    /// Remembers a run that is here in another experiment than the source says.
    pub(super) fn look_where(&mut self, run: &ForeignRun, old: &RunState) {
        let here = old.experiment_id().and_then(|id| self.known.names.get(id));
        if let Some(here) = here.filter(|name| **name != run.start.experiment) {
            *self.elsewhere.entry((run.start.experiment.clone(), here.clone())).or_default() += 1;
        }
    }
}

/// The value of a tag.
fn tag<'a>(experiment: &'a ExperimentState, key: &str) -> Option<&'a str> {
    experiment.tags().find(|(k, _)| *k == key).and_then(|(_, value)| value)
}

/// An edit that changes nothing.
fn edit(experiment: &str) -> ExperimentEdit {
    let experiment = experiment.to_string();
    ExperimentEdit { experiment, set: Vec::new(), remove: Vec::new(), repeat_keys: None, deleted: None, rename: None }
}

fn now() -> Version {
    Version { time: Micros::now(), ..Version::ZERO }
}
