//! Ids of runs that are unique in a part of a source only, as those of Neptune are in a project: two of one id must not
//! become one run. Whoever comes first keeps the id; the other one gets one that is derived, the same at every import.

use std::collections::{BTreeSet, HashMap};

use super::foreign::{ForeignRun, Scope};
use super::{Intake, Refused, rows};
use crate::model::RunId;
use crate::schema::{EnvironmentRow, Table};
use crate::store::error::Result;

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
            for id in new {
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
