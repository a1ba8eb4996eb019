//! Ids of runs that are unique in a part of a source only, as those of Neptune are in a project: two of one id must not
//! become one run. Whoever comes first keeps the id; the other one gets one that is derived, the same at every import.

use std::collections::{BTreeSet, HashMap};

use super::foreign::{ForeignRun, Scope};
use super::{Intake, Refused, rows};
use crate::model::RunId;
use crate::schema::{EnvironmentRow, Table};
use crate::store::error::Result;
use crate::store::merge::{self, MergedRun};

/// Whose an id is: a run of a scope, or of none.
pub(super) type Owners = HashMap<RunId, Option<Scope>>;

impl Intake<'_> {
    /// Gives another id to each run whose own is that of another run here, and follows that in its ties.
    pub(super) async fn keep_apart(&mut self, runs: &mut [ForeignRun]) -> Result<()> {
        let Some(key) = runs.iter().find_map(|run| run.scope.as_ref()).map(|scope| scope.key) else { return Ok(()) };
        let named = runs.iter().filter(|run| run.scope.is_some()).flat_map(ForeignRun::named_runs);
        let new = named.filter(|id| self.exist.contains(*id) && !self.owners.contains_key(*id));
        let new: BTreeSet<RunId> = new.cloned().collect();
        if !new.is_empty() {
            for row in rows::rows::<EnvironmentRow>(&self.there, &Table::Environment, Some(&new)).await? {
                if row.key == key {
                    self.owners.insert(RunId::parse(&row.run_id)?, Some(Scope { key, value: row.value }));
                }
            }
            let unowned: BTreeSet<RunId> = new.into_iter().filter(|id| !self.owners.contains_key(id)).collect();
            for (id, scope) in self.torn(runs, &unowned).await? {
                self.owners.entry(id).or_insert(Some(scope));
            }
            for id in unowned {
                self.owners.entry(id).or_insert(None);
            }
        }
        for run in runs {
            let Some(scope) = run.scope.clone() else { continue };
            let old = run.start.run.clone();
            let id = apart(&self.owners, &old, &scope);
            if id != old {
                let reason = format!(
                    "its id is that of another run here, which is not of {} '{}'; it is called '{id}'",
                    scope.key, scope.value
                );
                self.refused.push(Refused { place: format!("run '{old}'"), reason, is_loss: false });
            }
            self.owners.entry(id.clone()).or_insert_with(|| Some(scope.clone()));
            run.start.run = id;
            if let Some(parent) = &mut run.start.parent {
                *parent = apart(&self.owners, parent, &scope);
            }
            for link in &mut run.links {
                link.target = apart(&self.owners, &link.target, &scope);
            }
        }
        Ok(())
    }
}

impl Intake<'_> {
    /// Runs of which nothing says whose they are since their import was killed before it came to that: they began as those
    /// that are handed over now, have not ended, and nothing is known of where they ran.
    async fn torn(&self, runs: &[ForeignRun], unowned: &BTreeSet<RunId>) -> Result<Vec<(RunId, Scope)>> {
        if unowned.is_empty() {
            return Ok(Vec::new());
        }
        let there = merge::merge_runs(&self.there, unowned).await?;
        let is_torn = |run: &&ForeignRun| {
            there.runs.get(run.id()).is_some_and(|MergedRun { state, .. }| {
                let (new, old) = (&run.start, state.start());
                state.end_time().is_none()
                    && state.environment().next().is_none()
                    && old.is_some_and(|old| {
                        (old.start_time, &old.user, &old.host) == (new.start_time, &new.user, &new.host)
                    })
                    && state.name() == new.name.as_deref()
            })
        };
        let torn = runs.iter().filter(is_torn);
        Ok(torn.filter_map(|run| Some((run.id().clone(), run.scope.clone()?))).collect())
    }
}

/// The id of a run of a scope: the one that it has, unless that is another run's.
fn apart(owners: &Owners, id: &RunId, scope: &Scope) -> RunId {
    match owners.get(id) {
        Some(owner) if owner.as_ref() != Some(scope) => {
            let hash = blake3::hash(format!("{} {}\n{id}", scope.key, scope.value).as_bytes()).to_hex();
            RunId::parse(&hash[..32]).expect("hex digits are an id")
        }
        _ => id.clone(),
    }
}
