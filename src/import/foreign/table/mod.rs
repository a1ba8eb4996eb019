//! Tables of anybody: CSV, JSON lines and Parquet, a run a row, a file or a value in a column.
//!
//! All files are read twice: once to see what their columns are, once to make runs of them.

mod build;
mod cell;
mod columnar;
mod config;
mod describe;
mod files;
mod mapping;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::UNIX_EPOCH;

pub use files::is_pattern;
pub use mapping::TableMapping;

use super::{ForeignExperiment, Holdings, ImportError, Out, Source, SourceKind, fingerprint, id};
use crate::model::{Micros, ParamValue, RunId};
use build::{Building, Plan, Wrong};
use cell::{Columns, Row};
use files::Found;
use mapping::{Role, Shape, Stat};
use rows::{Format, Told};

/// Whether a file is a table, by its name.
pub fn is_table(path: &Path) -> bool {
    Format::of(path).is_some() && path.is_file()
}

/// Opens the tables that these words mean: files, or patterns of them. Together they are one source.
pub fn open(words: &[String], mapping: TableMapping) -> Result<Arc<dyn Source>, ImportError> {
    let files = files::find(words)?;
    if files.is_empty() {
        return Err(ImportError::Pattern { pattern: String::new(), reason: "no file is named".to_string() });
    }
    let place = PathBuf::from(words.join(" "));
    Ok(Arc::new(Tables { place, files, mapping, holdings: OnceLock::new(), surveyed: Mutex::new(None) }))
}

/// Tables that are imported together.
#[derive(Debug)]
struct Tables {
    place: PathBuf,
    files: Vec<Found>,
    mapping: TableMapping,
    holdings: OnceLock<Holdings>,
    /// What was found when the holdings were asked for, for the walk that follows.
    surveyed: Mutex<Option<Survey>>,
}

/// What the columns of all files are.
#[derive(Debug)]
struct Survey {
    columns: Columns,
    shape: Shape,
    roles: Vec<Role>,
    runs: u64,
}

/// Runs that a column tells apart.
#[derive(Default)]
struct Ids {
    seen: HashSet<u64>,
    several: bool,
}

impl Tables {
    fn survey(&self) -> Result<Survey, ImportError> {
        let mut columns = Columns::default();
        let mut stats: Vec<Stat> = Vec::new();
        let mut ids: HashMap<usize, Ids> = HashMap::new();
        let mut count = 0;
        for file in &self.files {
            let mut visit = |row: Row, columns: &Columns| {
                count += 1;
                for (column, cell) in row.cells {
                    if stats.len() <= column {
                        stats.resize_with(column + 1, Stat::default);
                    }
                    if cell.is_empty() {
                        continue;
                    }
                    let stat = &mut stats[column];
                    stat.cells += 1;
                    stat.numbers += u64::from(cell.number().is_some());
                    stat.dates += u64::from(cell.is_dated());
                    if mapping::may_be_run_id(&self.mapping, &columns.names()[column]) {
                        ids.entry(column).or_default().add(&cell.text());
                    }
                }
            };
            // What cannot be read is told when runs are made.
            let _ = rows::read(&file.path, &mut columns, &mut visit);
        }
        stats.resize_with(columns.names().len(), Stat::default);
        let names = columns.names();
        let run_column = mapping::run_columns(&self.mapping, names).first().copied();
        if let (Some(column), None) = (&self.mapping.run_id, run_column) {
            return Err(self.no_column(column, names));
        }
        let shape = match run_column {
            Some(column) => Shape::Column { several: ids.get(&column).is_some_and(|ids| ids.several) },
            None => mapping::shape_without_column(&self.mapping, names, &stats),
        };
        let roles = mapping::roles(&self.mapping, names, &stats, shape).map_err(|c| self.no_column(&c, names))?;
        let runs = match (shape, run_column) {
            (Shape::Column { .. }, Some(column)) => ids.get(&column).map_or(0, |ids| ids.seen.len() as u64),
            (Shape::File, _) => self.files.len() as u64,
            _ => count,
        };
        Ok(Survey { shape, roles, runs, columns })
    }

    fn no_column(&self, column: &str, names: &[String]) -> ImportError {
        let mut known = names.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > 20 {
            known += &format!(" and {} more", names.len() - 20);
        }
        ImportError::NoColumn { path: self.place.clone(), column: column.to_string(), known }
    }

    fn build(&self, survey: Survey, out: &mut Out<'_>) {
        let Survey { mut columns, shape, roles, .. } = survey;
        let plan = Plan::new(columns.names().to_vec(), roles, shape == Shape::File);
        let run_column = plan.roles.iter().position(|role| *role == Role::RunId);
        let mut made = Made { tables: self, plan: &plan, experiments: BTreeSet::new(), configs: HashMap::new(), shape };
        let mut wrong = Wrong::default();
        let mut collected: Vec<(Building, usize)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut occurrences: HashMap<RunId, u64> = HashMap::new();
        for (n, file) in self.files.iter().enumerate() {
            let whole = file.whole();
            let at = whole.display().to_string();
            let mut one = (shape == Shape::File)
                .then(|| Building::new(id::derived("table file", &[&at]), Some(file.run_name()), whole.clone()));
            let (mut without_run, mut rows_seen) = (0_u64, 0_u64);
            let read = {
                let (made, wrong, out) = (&mut made, &mut wrong, &mut *out);
                let mut visit = |row: Row, _: &Columns| {
                    rows_seen += 1;
                    match (&mut one, run_column) {
                        (Some(run), _) => run.row(row, &plan, wrong),
                        (None, Some(column)) => {
                            let Some(key) = row.get(column).filter(|cell| !cell.is_empty()).map(|cell| cell.text())
                            else {
                                without_run += 1;
                                return;
                            };
                            let place = *places.entry(key).or_insert_with_key(|key| {
                                collected.push((Building::new(build::named_id(key), None, whole.clone()), n));
                                collected.len() - 1
                            });
                            collected[place].0.row(row, &plan, wrong);
                        }
                        (None, None) => {
                            // By what was chosen: a table that is sorted anew, or gets more rows, keeps its runs.
                            let is_param = |column: usize| matches!(plan.role(column), Role::Param(_));
                            let chosen = row.cells.iter().filter(|(column, _)| is_param(*column));
                            let mut parts: Vec<[String; 2]> =
                                chosen.map(|(column, cell)| [plan.keys[*column].to_string(), cell.text()]).collect();
                            parts.sort_unstable();
                            if parts.is_empty() {
                                parts.push(["row".to_string(), row.number.to_string()]);
                            }
                            let parts = parts.concat();
                            let chosen =
                                id::derived("table params", &parts.iter().map(String::as_str).collect::<Vec<_>>());
                            let again = occurrences.entry(chosen.clone()).or_default();
                            let parts = [chosen.as_str(), &again.to_string(), &at];
                            *again += 1;
                            let mut run = Building::new(id::derived("table row", &parts), None, whole.clone());
                            run.row(row, &plan, wrong);
                            made.give(run, file, out);
                        }
                    }
                };
                rows::read(&file.path, &mut columns, &mut visit)
            };
            let place = file.path.display();
            match read {
                Ok(Told { lost, left, .. }) => {
                    lost.into_iter().for_each(|reason| out.skip(&place, reason));
                    left.into_iter().for_each(|reason| out.leave(&place, reason));
                }
                Err(reason) => out.skip(&place, reason),
            }
            if without_run > 0 {
                out.skip(&place, format!("{without_run} of its rows name no run"));
            }
            match one {
                Some(run) if rows_seen > 0 => made.give(run, file, out),
                Some(_) => out.leave(&place, "there is no row in it yet"),
                None => {}
            }
            occurrences.clear();
            if out.is_stopped() {
                return;
            }
        }
        for (run, file) in collected {
            made.give(run, &self.files[file], out);
        }
        let late = columns.names().len().saturating_sub(plan.names.len());
        if late > 0 {
            out.leave(self.place.display(), format!("{late} columns appeared while it was read: left for next time"));
        }
        wrong.tell(out);
    }
}

/// Runs on their way out.
struct Made<'a> {
    tables: &'a Tables,
    plan: &'a Plan,
    experiments: BTreeSet<String>,
    /// Params of files beside tables, empty for one that cannot be read.
    configs: HashMap<PathBuf, Vec<(String, ParamValue)>>,
    shape: Shape,
}

impl Made<'_> {
    fn give(&mut self, mut run: Building, file: &Found, out: &mut Out<'_>) {
        if let Some(name) = &self.tables.mapping.params_file {
            let path = file.path.parent().unwrap_or(Path::new("")).join(name);
            let params = self.configs.entry(path).or_insert_with_key(|path| {
                config::read(path).unwrap_or_else(|reason| {
                    out.skip(path.display(), reason);
                    Vec::new()
                })
            });
            run.config(params);
        }
        let said = self.tables.mapping.experiment.clone().or(run.experiment.take());
        let experiment = said.unwrap_or_else(|| file.experiment(self.shape == Shape::File));
        if self.experiments.insert(experiment.clone()) {
            out.experiment(ForeignExperiment { name: experiment.clone(), ..ForeignExperiment::default() });
        }
        let modified = std::fs::metadata(&file.path).and_then(|meta| meta.modified()).ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        out.run(run.finish(experiment, Micros(modified.as_micros() as i64), self.plan));
    }
}

impl Ids {
    fn add(&mut self, id: &str) {
        let mut hash = DefaultHasher::new();
        id.hash(&mut hash);
        self.several |= !self.seen.insert(hash.finish());
    }
}

impl Source for Tables {
    fn kind(&self) -> SourceKind {
        SourceKind::Table
    }

    fn place(&self) -> &Path {
        &self.place
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        if let Some(holdings) = self.holdings.get() {
            return Ok(*holdings);
        }
        let survey = self.survey()?;
        let holdings = Holdings { experiments: 1, runs: survey.runs };
        *self.surveyed.lock().unwrap_or_else(PoisonError::into_inner) = Some(survey);
        Ok(*self.holdings.get_or_init(|| holdings))
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        let paths = self.files.iter().map(|file| file.path.as_path());
        let folders: Vec<PathBuf> = match &self.mapping.params_file {
            Some(name) => self.files.iter().filter_map(|f| Some(f.path.parent()?.join(name))).collect(),
            None => Vec::new(),
        };
        let print = fingerprint::of(paths.chain(folders.iter().map(PathBuf::as_path)))?;
        // A last line that is left out now is taken once the file has lain still.
        let growing = self.files.iter().filter(|file| rows::is_being_written(&file.path)).count();
        Ok(if growing > 0 { blake3::hash(format!("{print}{growing}").as_bytes()).to_hex().to_string() } else { print })
    }

    fn reading(&self) -> String {
        serde_json::to_string(&self.mapping).unwrap_or_default()
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        let surveyed = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let survey = surveyed.map_or_else(|| self.survey(), Ok)?;
        let told = describe::described(survey.columns.names(), &survey.roles, survey.shape);
        out.leave(self.place.display(), told);
        self.build(survey, out);
        Ok(())
    }
}
