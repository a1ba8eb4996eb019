//! MLflow in SQLite, of 1.x, 2.x and 3.x: tables and columns that an older one lacks read as empty.
//!
//! Runs are read in groups, each in a short transaction of its own: whoever trains meanwhile waits for milliseconds at
//! most.

mod inputs;
mod models;

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::run::{RawRun, experiment, local_folder, millis};
use crate::import::foreign::sqlite::{self, Line, Schema};
use crate::import::foreign::{ForeignExperiment, Holdings, ImportError, Item, Out, Source, SourceKind, tree};
use crate::model::{Micros, Status, Step};
use crate::store::ForeignPoint;

/// Runs that are read at once.
const GROUP: usize = 256;
/// What stands for an infinity.
const INFINITY: f64 = 1.797_693_134_862_315_7e308;

/// Tables that are read, or that hold nothing but what the database needs itself.
const OURS: [&str; 16] = [
    "alembic_version",
    "datasets",
    "experiment_tags",
    "experiments",
    "input_tags",
    "inputs",
    "latest_metrics",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "logged_models",
    "metrics",
    "params",
    "runs",
    "tags",
    "workspaces",
];

/// Tables of other things than runs: how they begin, the one whose rows are counted, and what these are. Newer versions
/// have more of them; those are told under their own names.
const NO_RUNS: [(&str, &str, &str); 8] = [
    ("registered_model", "registered_models", "registered models"),
    ("model_version", "model_versions", "versions of registered models"),
    ("trace_", "trace_info", "traces"),
    ("span", "spans", "spans of traces"),
    ("evaluation_dataset", "evaluation_datasets", "data sets of evaluations"),
    ("scorer", "scorers", "scorers"),
    ("webhook", "webhooks", "webhooks"),
    // Sums over traces.
    ("sql_", "", ""),
];

/// A database of MLflow.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
}

type Result<T, E = rusqlite::Error> = std::result::Result<T, E>;

impl Database {
    /// The database at a path, if it is one of MLflow.
    pub fn recognise(path: &Path) -> Result<Option<Database>, ImportError> {
        if !sqlite::is_database(path).map_err(ImportError::io(path))? {
            return Ok(None);
        }
        let database = Database { path: path.to_path_buf() };
        let schema = sqlite::open(path).and_then(|db| Schema::read(&db)).map_err(ImportError::database(path))?;
        let is_ours = schema.has("runs", "run_uuid") && schema.has("experiments", "experiment_id");
        Ok(is_ours.then_some(database))
    }
}

impl Source for Database {
    fn kind(&self) -> SourceKind {
        SourceKind::MlflowDatabase
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        let count =
            |db: &Connection, table: &str| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0));
        let holdings = sqlite::open(&self.path).and_then(|db| {
            let (experiments, runs): (i64, i64) = (count(&db, "experiments")?, count(&db, "runs")?);
            Ok(Holdings { experiments: experiments as u64, runs: runs as u64 })
        });
        holdings.map_err(ImportError::database(&self.path))
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        sqlite::fingerprint(&self.path)
    }

    fn experiments(&self) -> Result<Vec<ForeignExperiment>, ImportError> {
        let mut found = Vec::new();
        let mut read = || -> Result<()> {
            let db = sqlite::open(&self.path)?;
            let schema = Schema::read(&db)?;
            let mut take = |item| {
                if let Item::Experiment(experiment) = item {
                    found.push(experiment);
                }
                true
            };
            Reader { db: &db, schema: &schema, folder: Path::new("") }.experiments(&mut Out::new(&mut take)).map(drop)
        };
        read().map_err(ImportError::database(&self.path))?;
        Ok(found)
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        let mut walk = || -> Result<()> {
            let db = sqlite::open(&self.path)?;
            let schema = Schema::read(&db)?;
            Reader { db: &db, schema: &schema, folder: self.path.parent().unwrap_or(Path::new("")) }.all(out)?;
            schema.tell_altered(out);
            Ok(())
        };
        walk().map_err(ImportError::database(&self.path))
    }
}

/// The value that stands for this one: MLflow keeps infinities as the greatest double, and NaN beside the value.
fn value(value: f64, is_nan: bool) -> f64 {
    match value {
        _ if is_nan => f64::NAN,
        v if v >= INFINITY => f64::INFINITY,
        v if v <= -INFINITY => f64::NEG_INFINITY,
        v => v,
    }
}

struct Reader<'a> {
    db: &'a Connection,
    schema: &'a Schema,
    folder: &'a Path,
}

/// An experiment as its runs need it.
struct Experiment {
    name: String,
}

impl Reader<'_> {
    fn all(&self, out: &mut Out<'_>) -> Result<()> {
        self.others(out);
        let experiments = self.experiments(out)?;
        self.runs_without_id(out)?;
        let mut remote = 0_u64;
        let mut last = String::new();
        loop {
            // Each group sees one state of the database, and gives the lock back.
            let group = self.db.unchecked_transaction()?;
            let mut runs = self.runs(&last, &experiments, out)?;
            let Some(newest) = runs.keys().next_back().cloned() else { break };
            if newest <= last {
                // Wrong bytes in an id were replaced, so that it lies elsewhere in the order than in the database.
                out.skip(
                    "table 'runs'",
                    format!("an id after '{last}' is no UTF-8; it and the runs after it are not read"),
                );
                break;
            }
            last = newest;
            self.fill(&mut runs, out)?;
            drop(group);
            for (_, mut raw) in runs {
                remote += u64::from(!self.artifacts(&mut raw, out));
                let run = raw.into_run(out);
                out.run(run);
                if out.is_stopped() {
                    return Ok(());
                }
            }
        }
        if remote > 0 {
            let runs = if remote == 1 { "run lie" } else { "runs lie" };
            let reason = format!("the artifacts of {remote} {runs} elsewhere than beside the database: not copied");
            out.leave("artifacts", format!("{reason}; environment['mlflow.artifact_uri'] says where"));
        }
        self.models_without_run(&experiments, out)
    }

    /// Tells of what is in the database and is no part of runs.
    fn others(&self, out: &mut Out<'_>) {
        let is_other = |table: &&str| !OURS.contains(table) && !table.starts_with("sqlite_");
        let mut tables: Vec<&str> = self.schema.tables().filter(is_other).collect();
        tables.sort_unstable();
        for table in tables {
            let what = match NO_RUNS.iter().find(|(start, ..)| table.starts_with(start)) {
                Some((_, counted, what)) if *counted == table => what.to_string(),
                Some(_) => continue,
                None => table.replace('_', " "),
            };
            let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
            match self.db.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
                Ok(0) => {}
                Ok(n) => out.leave(format!("table {table}"), format!("{what} ({n}) are no part of runs")),
                Err(e) => {
                    out.leave(format!("table {table}"), format!("it is no part of runs, and cannot be read: {e}"))
                }
            }
        }
    }

    fn experiments(&self, out: &mut Out<'_>) -> Result<HashMap<String, Experiment>> {
        let columns = [
            "experiment_id",
            "name",
            "artifact_location",
            "lifecycle_stage",
            "creation_time",
            "last_update_time",
            "workspace",
        ];
        let mut tags: HashMap<String, Vec<(String, Option<String>)>> = HashMap::new();
        self.each("experiment_tags", &["experiment_id", "key", "value"], "", &[], |row| {
            if let (Some(id), Some(key)) = (row.text(0)?, row.text(1)?) {
                tags.entry(id).or_default().push((key, Some(row.text(2)?.unwrap_or_default())));
            }
            Ok(())
        })?;
        let mut found = Vec::new();
        self.each("experiments", &columns, " ORDER BY experiment_id", &[], |row| {
            let id = row.text(0)?.unwrap_or_default();
            let name = row.text(1)?.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
            let facts = [
                ("mlflow.artifact_location", row.text(2)?),
                ("mlflow.creation_time", row.text(4)?),
                ("mlflow.last_update_time", row.text(5)?),
            ];
            let deleted = row.text(3)?.as_deref() == Some("deleted");
            found.push((id, name, facts, deleted, row.text(6)?.filter(|w| w != "default" && !w.is_empty())));
            Ok(())
        })?;
        let mut experiments = HashMap::new();
        for (id, name, facts, deleted, workspace) in found {
            // Names are unique in a workspace only.
            let name = match &workspace {
                Some(workspace) => {
                    let full = format!("{workspace}/{name}");
                    out.leave(
                        format!("experiment '{name}'"),
                        format!("of workspace '{workspace}' is called '{full}' here"),
                    );
                    full
                }
                None => name,
            };
            let mut tags = tags.remove(&id).unwrap_or_default();
            tags.push(("mlflow.experiment_id".to_string(), Some(id.clone())));
            tags.extend(workspace.map(|workspace| ("mlflow.workspace".to_string(), Some(workspace))));
            tags.extend(facts.into_iter().filter_map(|(key, value)| Some((key.to_string(), Some(value?)))));
            out.experiment(experiment(&name, tags, deleted));
            experiments.insert(id, Experiment { name });
        }
        Ok(experiments)
    }

    /// Tells of runs that nothing can refer to.
    fn runs_without_id(&self, out: &mut Out<'_>) -> Result<()> {
        let end = " WHERE typeof(run_uuid) <> 'text' OR run_uuid = ''";
        let mut n = 0_u64;
        self.each("runs", &["run_uuid"], end, &[], |_| {
            n += 1;
            Ok(())
        })?;
        if n > 0 {
            out.skip("table 'runs'", format!("{n} of its rows have no id, or one that is no text"));
        }
        Ok(())
    }

    /// The next runs after an id.
    fn runs(
        &self,
        after: &str,
        experiments: &HashMap<String, Experiment>,
        out: &mut Out<'_>,
    ) -> Result<BTreeMap<String, RawRun>> {
        let columns = [
            "run_uuid",
            "experiment_id",
            "name",
            "user_id",
            "status",
            "start_time",
            "end_time",
            "lifecycle_stage",
            "artifact_uri",
            "deleted_time",
            "entry_point_name",
            "source_name",
            "source_type",
            "source_version",
        ];
        let mut runs = BTreeMap::new();
        let end = format!(" WHERE typeof(run_uuid) = 'text' AND run_uuid > ? ORDER BY run_uuid LIMIT {GROUP}");
        self.each("runs", &columns, &end, &[after], |row| {
            let id = row.text(0)?.unwrap_or_default();
            let experiment_id = row.text(1)?.unwrap_or_default();
            let mut time = |i: usize| -> Result<Option<Micros>> {
                let Some(ms) = row.int(i)? else {
                    if let Some(text) = row.text(i)?.filter(|text| !text.is_empty()) {
                        out.skip(format!("run '{id}'"), format!("{} '{text}' is no time in milliseconds", columns[i]));
                    }
                    return Ok(None);
                };
                let time = millis(ms);
                if time.is_none() {
                    out.skip(format!("run '{id}'"), format!("{} {ms} is no time in milliseconds", columns[i]));
                }
                Ok(time)
            };
            let (start_time, end_time) = (time(5)?, time(6)?);
            let status = row.text(4)?;
            let status = match status.as_deref().map(str::parse::<Status>) {
                Some(Ok(status)) => Some(status),
                None => None,
                Some(Err(_)) => {
                    let status = status.unwrap_or_default();
                    let reason = format!("'{status}' is no status; the run is taken for a running one");
                    out.skip(format!("run '{id}'"), reason);
                    None
                }
            };
            let experiment = experiments.get(&experiment_id).map(|e| e.name.clone());
            if experiment.is_none() {
                let reason = format!(
                    "there is no experiment {experiment_id}; the run is taken for one of an experiment called so"
                );
                out.leave(format!("run '{id}'"), reason);
            }
            let raw = RawRun {
                id: id.clone(),
                experiment: experiment.unwrap_or_else(|| experiment_id.clone()),
                experiment_id,
                name: row.text(2)?,
                user: row.text(3)?,
                status,
                start_time,
                end_time,
                deleted: row.text(7)?.as_deref() == Some("deleted"),
                facts: vec![
                    ("artifact_uri", row.text(8)?),
                    ("deleted_time", row.text(9)?),
                    ("entry_point_name", row.text(10)?),
                    ("source_name", row.text(11)?),
                    ("source_type", row.text(12)?),
                    ("source_version", row.text(13)?),
                ],
                ..RawRun::default()
            };
            runs.insert(id, raw);
            Ok(())
        })?;
        Ok(runs)
    }

    /// Reads all that belongs to these runs.
    fn fill(&self, runs: &mut BTreeMap<String, RawRun>, out: &mut Out<'_>) -> Result<()> {
        let ids: Vec<String> = runs.keys().cloned().collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let among = |column: &str| format!(" WHERE \"{column}\" IN ({})", vec!["?"; ids.len()].join(", "));
        let within = among("run_uuid");
        self.each("params", &["run_uuid", "key", "value"], &within, &ids, |row| {
            if let Some(run) = row.text(0)?.and_then(|id| runs.get_mut(&id)) {
                run.params.push((row.text(1)?.unwrap_or_default(), row.text(2)?.unwrap_or_default()));
            }
            Ok(())
        })?;
        self.each("tags", &["run_uuid", "key", "value"], &within, &ids, |row| {
            if let Some(run) = row.text(0)?.and_then(|id| runs.get_mut(&id)) {
                run.tags.push((row.text(1)?.unwrap_or_default(), row.text(2)?.unwrap_or_default()));
            }
            Ok(())
        })?;
        self.points("metrics", &within, &ids, runs, out)?;
        // A history that was cut off leaves the latest values.
        if self.schema.has_table("metrics") {
            let alone = format!(
                "{within} AND NOT EXISTS (SELECT 1 FROM metrics m WHERE m.run_uuid = latest_metrics.run_uuid \
                 AND m.key = latest_metrics.key)"
            );
            self.points("latest_metrics", &alone, &ids, runs, out)?;
        }
        self.inputs(&among("destination_id"), &among("source_id"), &ids, runs)?;
        for model in self.models(&among("source_run_id"), &ids)? {
            if let Some(run) = model.source_run.as_ref().and_then(|id| runs.get_mut(id)) {
                run.models.push(model);
            }
        }
        Ok(())
    }

    fn points(
        &self,
        table: &str,
        end: &str,
        ids: &[&str],
        runs: &mut BTreeMap<String, RawRun>,
        out: &mut Out<'_>,
    ) -> Result<()> {
        let mut keys: HashMap<String, Arc<str>> = HashMap::new();
        let columns = ["run_uuid", "key", "value", "timestamp", "step", "is_nan"];
        self.each(table, &columns, end, ids, |row| {
            let Some(run) = row.text(0)?.and_then(|id| runs.get_mut(&id)) else { return Ok(()) };
            let key = row.text(1)?.unwrap_or_default();
            let place = |run: &RawRun| format!("table {table}, run '{}', key '{key}'", run.id);
            let is_nan = row.int(5)?.unwrap_or(0) != 0;
            let Some(number) = row.real(2)?.or(is_nan.then_some(0.0)) else {
                out.skip(place(run), "the value is no number");
                return Ok(());
            };
            let ms = row.int(3)?.unwrap_or(0);
            let Some(time) = millis(ms) else {
                out.skip(place(run), format!("{ms} is no time in milliseconds"));
                return Ok(());
            };
            let key = Arc::clone(keys.entry(key).or_insert_with_key(|key| key.as_str().into()));
            let step = Step::At(row.int(4)?.unwrap_or(0));
            run.points.push(ForeignPoint { key, context: None, step, time, value: value(number, is_nan) });
            Ok(())
        })
    }

    /// Lists the files of a run, if they lie below the folder of the database; `false` where nobody can tell from here.
    fn artifacts(&self, raw: &mut RawRun, out: &mut Out<'_>) -> bool {
        let uri = raw.facts.iter().find(|(name, _)| *name == "artifact_uri").and_then(|(_, uri)| uri.clone());
        let Some(uri) = uri.filter(|uri| !uri.is_empty()) else { return true };
        let Some(folder) = local_folder(&uri) else { return false };
        // A database may name any folder of this machine. What lies beside it belongs to it; the rest is not ours to copy.
        let Ok(home) = self.home() else { return false };
        let folder = self.folder.join(folder);
        let Ok(folder) = folder.canonicalize() else {
            // A run that logged no file has no folder.
            return std::path::absolute(&folder).is_ok_and(|folder| {
                folder.starts_with(&home) && !folder.components().any(|part| part == Component::ParentDir)
            });
        };
        if !folder.starts_with(&home) || folder == home {
            return false;
        }
        raw.files = tree::artifacts(&folder, "", out);
        true
    }

    fn home(&self) -> std::io::Result<PathBuf> {
        match self.folder.as_os_str().is_empty() {
            true => Path::new(".").canonicalize(),
            false => self.folder.canonicalize(),
        }
    }

    /// Visits rows of a table that may not exist.
    fn each(
        &self,
        table: &str,
        columns: &[&str],
        end: &str,
        values: &[&str],
        visit: impl FnMut(&Line<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        self.schema.each(self.db, table, columns, end, values, visit)
    }
}
