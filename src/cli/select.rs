//! Which runs a command is about: ids, or the beginning of one, or a condition.

use arrow::array::AsArray;
use runlake::{Error, QueryError, RunId, Session, StoreError};

use super::Failure;
use super::question::{bracketed, quoted};

/// Runs by id or by condition.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Ids of runs, or enough of their first characters
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// All runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL", conflicts_with = "runs")]
    pub condition: Option<String>,
}

impl Selection {
    /// The runs; each once, in the order of the arguments.
    pub async fn resolve(&self, session: &Session) -> Result<Vec<RunId>, Failure> {
        let mut found: Vec<RunId> = Vec::new();
        if let Some(condition) = &self.condition {
            return matching(session, condition).await;
        }
        for prefix in &self.runs {
            let run = resolve(session, prefix).await?;
            if !found.contains(&run) {
                found.push(run);
            }
        }
        Ok(found)
    }

    /// Whether neither was given.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.condition.is_none()
    }

    /// The error of a command that needs one of them.
    pub fn needed(&self, command: &str) -> Result<(), Failure> {
        match self.is_empty() {
            true => Err(Failure::usage("which runs? none is named").hint(format!(
                "`runlake {command} RUN...` takes ids, `runlake {command} --where \"status = 'FAILED'\"` a condition"
            ))),
            false => Ok(()),
        }
    }
}

/// One run by the beginning of its id.
pub async fn resolve(session: &Session, prefix: &str) -> Result<RunId, Failure> {
    match session.resolve_run(prefix).await {
        Ok(run) => Ok(run),
        Err(e) => {
            let of_store = match &e {
                Error::Store(e) | Error::Query(QueryError::Store(e)) => Some(e),
                _ => None,
            };
            let unknown = matches!(of_store, Some(StoreError::RunNotFound { .. }));
            let mut failure = Failure::from(e);
            if unknown && let Some(near) = nearest(session, prefix).await {
                failure.hints.insert(0, near);
            }
            Err(failure)
        }
    }
}

/// Runs that a condition holds for, latest first.
pub async fn matching(session: &Session, condition: &str) -> Result<Vec<RunId>, Failure> {
    let condition = bracketed(condition)?;
    let sql = format!("SELECT run_id FROM runs WHERE {condition} ORDER BY start_time DESC, run_id DESC");
    let batches = session.sql(&sql).await?.collect().await.map_err(QueryError::from)?;
    let ids = batches.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten());
    Ok(ids.map(RunId::parse).collect::<Result<_, _>>().map_err(StoreError::from)?)
}

/// Runs that may have been meant: by name, or by an id that differs in a letter.
async fn nearest(session: &Session, wrong: &str) -> Option<String> {
    let text = quoted(wrong);
    let name = format!("SELECT run_id FROM runs WHERE name = {text} ORDER BY start_time DESC LIMIT 3");
    let near = format!(
        "SELECT run_id FROM runs WHERE levenshtein(substr(run_id, 1, {n}), {text}) <= {most} LIMIT 3",
        n = wrong.chars().count(),
        most = if wrong.len() < 8 { 1 } else { 2 }
    );
    for (sql, intro) in [(name, "runs of that name are"), (near, "did you mean")] {
        let batches = match session.sql(&sql).await {
            Ok(frame) => frame.collect().await.ok()?,
            Err(_) => return None,
        };
        let ids: Vec<String> = batches
            .iter()
            .flat_map(|b| b.column(0).as_string::<i32>().iter().flatten().map(|id| format!("'{id}'")))
            .collect();
        if !ids.is_empty() {
            return Some(format!("{intro} {}{}", ids.join(", "), if intro.starts_with("did") { "?" } else { "" }));
        }
    }
    None
}
