//! Rows become runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::{Out, id};
use super::cell::{Cell, Row};
use super::mapping::Role;
use crate::model::{Micros, ParamValue, RunId, SeriesKind, SeriesPoint, Status, Step};
use crate::store::{ForeignPoint, ForeignRun};

/// Stands for a time that is not known yet.
const UNKNOWN: Micros = Micros(i64::MIN);

/// What columns are, with keys that points share.
pub struct Plan {
    pub names: Vec<String>,
    pub roles: Vec<Role>,
    pub keys: Vec<Arc<str>>,
    /// Whether the first row of a run has a step too where no column says one.
    pub counts_first: bool,
}

impl Plan {
    pub fn new(names: Vec<String>, roles: Vec<Role>, counts_first: bool) -> Plan {
        let key = |role: &Role| match role {
            Role::Param(key) | Role::Metric(key) | Role::Tag(key) | Role::Text(key) => key.as_str().into(),
            _ => "".into(),
        };
        Plan { names, keys: roles.iter().map(key).collect(), roles, counts_first }
    }

    /// The role of a column; one that appeared after the columns were looked at has none.
    pub fn role(&self, column: usize) -> &Role {
        self.roles.get(column).unwrap_or(&Role::Unused)
    }
}

/// What is wrong with cells, by column: how many, and the first of them.
#[derive(Default)]
pub struct Wrong(BTreeMap<(String, &'static str), (u64, String)>);

impl Wrong {
    fn add(&mut self, column: &str, what: &'static str, first: impl FnOnce() -> String) {
        self.0.entry((column.to_string(), what)).or_insert_with(|| (0, first())).0 += 1;
    }

    /// Tells it.
    pub fn tell(self, out: &mut Out<'_>) {
        for ((column, what), (n, first)) in self.0 {
            let more = if n > 1 { format!(", and {} more", n - 1) } else { String::new() };
            out.skip(format!("column '{column}'"), format!("{first} {what}{more}"));
        }
    }
}

/// A run of which rows are collected.
pub struct Building {
    id: RunId,
    name: Option<String>,
    pub experiment: Option<String>,
    /// The first file that has rows of it.
    pub file: PathBuf,
    status: Option<Status>,
    start: Option<Micros>,
    end: Option<Micros>,
    params: Vec<(String, ParamValue)>,
    known: HashMap<usize, Cell>,
    tags: Vec<(String, Option<String>)>,
    points: Vec<ForeignPoint>,
    texts: BTreeMap<usize, Vec<(Step, Micros, Cell)>>,
    rows: i64,
    latest: Option<Micros>,
    earliest: Option<Micros>,
}

/// The id of a run that a table names.
pub fn named_id(text: &str) -> RunId {
    RunId::parse(text).unwrap_or_else(|_| id::derived("table run", &[text]))
}

impl Building {
    pub fn new(id: RunId, name: Option<String>, file: PathBuf) -> Building {
        Building {
            id,
            name,
            experiment: None,
            file,
            status: None,
            start: None,
            end: None,
            params: Vec::new(),
            known: HashMap::new(),
            tags: Vec::new(),
            points: Vec::new(),
            texts: BTreeMap::new(),
            rows: 0,
            latest: None,
            earliest: None,
        }
    }

    /// Takes a row.
    pub fn row(&mut self, row: Row, plan: &Plan, wrong: &mut Wrong) {
        let place = |row: &Row| format!("row {} of '{}'", row.number, self.file.display());
        let of = |wanted: Role| row.cells.iter().find(|(column, _)| *plan.role(*column) == wanted);
        let mut time = |wanted: Role| {
            let (column, cell) = of(wanted).filter(|(_, cell)| !cell.is_empty())?;
            let time = cell.time();
            if time.is_none() {
                let text = || format!("'{}' in {}", short(cell), place(&row));
                wrong.add(&plan.names[*column], "is no time", text);
            }
            time
        };
        let (at, start, end) = (time(Role::Time), time(Role::Start), time(Role::End));
        // Where a run may have one row today and two tomorrow, the first one must not change.
        let mut step = match plan.counts_first || self.rows > 0 {
            true => Step::At(self.rows),
            false => Step::None,
        };
        if let Some((column, cell)) = of(Role::Step).filter(|(_, cell)| !cell.is_empty()) {
            match cell.number().and_then(Step::from_number) {
                Some(at) => step = at,
                None => {
                    wrong.add(&plan.names[*column], "is no step", || format!("'{}' in {}", short(cell), place(&row)))
                }
            }
        }
        self.start = self.start.or(start);
        self.end = end.or(self.end);
        self.latest = at.or(self.latest);
        self.earliest = [self.earliest, at].into_iter().flatten().min();
        self.rows += 1;
        let time = self.latest.unwrap_or(UNKNOWN);
        let file = self.file.display().to_string();
        let number = row.number;
        for (column, cell) in row.cells {
            let key = || plan.keys[column].to_string();
            let name = plan.names.get(column).map(String::as_str).unwrap_or_default();
            let shown = |cell: &Cell| format!("'{}' in row {number} of '{file}'", short(cell));
            match plan.role(column) {
                Role::Metric(_) => {
                    let number = match &cell {
                        Cell::Typed(ParamValue::Bool(b)) => Some(f64::from(*b)),
                        other => other.number(),
                    };
                    match number {
                        Some(value) => {
                            let key = Arc::clone(&plan.keys[column]);
                            self.points.push(ForeignPoint { key, context: None, step, time, value });
                        }
                        None if cell.is_empty() => {}
                        None => wrong.add(name, "is no number", || shown(&cell)),
                    }
                }
                Role::Param(_) => match self.known.get(&column) {
                    None => {
                        self.known.insert(column, cell.clone());
                        self.params.push((key(), cell.param()));
                    }
                    Some(known) if *known != cell => {
                        wrong.add(name, "is another value of a param of its run: the first one stays", || shown(&cell));
                    }
                    Some(_) => {}
                },
                Role::Tag(_) => {
                    let key = key();
                    self.tags.retain(|(k, _)| *k != key);
                    self.tags.push((key, Some(cell.text())));
                }
                Role::Text(_) => self.texts.entry(column).or_default().push((step, time, cell)),
                Role::Name if !cell.is_empty() => self.name = Some(cell.text()),
                Role::Experiment if !cell.is_empty() => self.experiment = self.experiment.take().or(Some(cell.text())),
                Role::Status if !cell.is_empty() => {
                    let text = cell.text();
                    self.status = text.to_ascii_uppercase().parse().ok().or(self.status);
                    // In another tool's words it is worth keeping.
                    if text.to_ascii_uppercase().parse::<Status>().is_err() {
                        self.tags.retain(|(k, _)| k != name);
                        self.tags.push((name.to_string(), Some(text)));
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes params from a file beside the table. A column of the same name counts more.
    pub fn config(&mut self, params: &[(String, ParamValue)]) {
        let taken: HashSet<String> = self.params.iter().map(|(key, _)| key.clone()).collect();
        self.params.extend(params.iter().filter(|(key, _)| !taken.contains(key)).cloned());
    }

    /// The run. `modified` is when its file was last written: the only time there is where the table says none.
    pub fn finish(mut self, experiment: String, modified: Micros, plan: &Plan) -> ForeignRun {
        let undated = self.start.is_none() && self.end.is_none() && self.earliest.is_none();
        let start_time = self.start.or(self.earliest).or(self.end).unwrap_or(modified);
        let mut run = ForeignRun::new(self.id, experiment, start_time);
        run.undated = undated;
        run.start.name = self.name;
        run.status = self.status.unwrap_or(Status::Finished);
        // Rows before the first one with a time.
        let first = self.earliest.or(self.end).unwrap_or(start_time);
        let dated = |time: Micros| if time == UNKNOWN { first } else { time };
        for (column, cells) in std::mem::take(&mut self.texts) {
            let key = &plan.keys[column];
            let (_, _, only) = cells[0].clone();
            if cells.iter().all(|(_, _, cell)| *cell == only) {
                // It counts more than one from a file beside the table.
                self.params.retain(|(known, _)| **known != **key);
                self.params.push((key.to_string(), only.param()));
                continue;
            }
            run.series.extend(cells.into_iter().map(|(step, time, cell)| SeriesPoint {
                key: key.to_string(),
                step,
                time: dated(time),
                kind: SeriesKind::Text,
                payload: cell.text(),
            }));
        }
        self.points.iter_mut().for_each(|point| point.time = dated(point.time));
        run.end_time = match run.status {
            Status::Running | Status::Scheduled => None,
            _ => Some(self.end.or(self.points.iter().map(|point| point.time).max()).unwrap_or(start_time)),
        };
        run.params = self.params;
        run.points = self.points;
        run.tags = self.tags;
        run.environment = vec![("table.file".to_string(), self.file.display().to_string())];
        run
    }
}

/// The beginning of what stands in a cell.
fn short(cell: &Cell) -> String {
    cell.text().chars().take(60).collect()
}
