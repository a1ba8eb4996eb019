//! A run of Neptune out of the rows of its export, and how it becomes one of ours.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::super::tree::{self, Is};
use super::super::{Out, Scope};
use super::columns::{Column, Histogram, Rows};
use super::{PROJECT, files};
use crate::model::{Link, Micros, ParamValue, RunId, SeriesKind, SeriesPoint, Status, Step};
use crate::store::{ForeignFile, ForeignPoint, ForeignRun, check_artifact_path};

/// The time of what has none; that of the run takes its place.
const NO_TIME: Micros = Micros(i64::MIN);

/// Bytes that may come out of any file, and out of each of its bytes: a text that stands in it once may be the value of
/// a million rows.
const SOME_BYTES: u64 = 256 << 20;
const BYTES_PER_BYTE: u64 = 100;
/// Bytes that a row takes beside its texts.
const ROW_BYTES: u64 = 64;

/// The runs in some parts of an export, by project and id.
#[derive(Default)]
pub struct Collected {
    runs: BTreeMap<(String, String), Raw>,
    nameless: u64,
    /// Bytes that may still come out of a part.
    pub(super) left: u64,
}

/// A file that a row names.
struct FileRow {
    attribute: String,
    path: String,
    /// For a file of a series.
    point: Option<(Step, Micros)>,
}

/// A run as its rows have it.
#[derive(Default)]
struct Raw {
    /// Attributes below `sys/`.
    facts: BTreeMap<String, ParamValue>,
    params: BTreeMap<String, ParamValue>,
    points: Vec<ForeignPoint>,
    keys: HashMap<String, Arc<str>>,
    series: Vec<SeriesPoint>,
    files: Vec<FileRow>,
    /// What is wrong with it.
    told: Vec<String>,
    /// Types that are not known, with the number of rows.
    strange: BTreeMap<String, u64>,
    /// Steps that a double does not hold, by attribute: how many, and the first one.
    rounded: BTreeMap<String, (u64, String)>,
}

impl Collected {
    /// Begins with a part of this length.
    pub fn begin_part(&mut self, length: u64) {
        self.left = SOME_BYTES.saturating_add(length.saturating_mul(BYTES_PER_BYTE));
    }

    /// Takes rows in.
    pub fn take(&mut self, rows: &Rows) -> Result<(), String> {
        let mut last: Option<(String, String)> = None;
        for row in 0..rows.len() {
            let named = (
                rows.text(Column::Project, row),
                rows.text(Column::Run, row),
                rows.text(Column::Path, row),
                rows.text(Column::Type, row),
            );
            let (Some(project), Some(run), Some(path), Some(kind)) = named else {
                self.nameless += 1;
                continue;
            };
            // Rows of a run stand together.
            let id = match last {
                Some(id) if id.0 == project && id.1 == run => id,
                _ => (project.to_string(), run.to_string()),
            };
            if !self.runs.contains_key(&id) {
                self.runs.insert(id.clone(), Raw::default());
            }
            let bytes = self.runs.get_mut(&id).expect("it was just put there").take(rows, row, path, kind);
            let left = self.left.checked_sub(bytes);
            self.left = left.ok_or("more comes out of it than a file of its size holds; the rest was not read")?;
            last = Some(id);
        }
        Ok(())
    }

    /// Rows without what every row has, since the last call.
    pub fn take_nameless(&mut self) -> u64 {
        std::mem::take(&mut self.nameless)
    }

    /// The runs, each with its project. Their files lie below a folder of files, in that of the project.
    pub fn finish(self, files: &Path, folder: &str, out: &mut Out<'_>) -> Vec<(String, ForeignRun)> {
        let runs = self.runs.into_iter();
        runs.map(|((project, id), raw)| (project.clone(), raw.into_run(project, &id, (files, folder), out))).collect()
    }
}

/// The id of a run: as it is where it can be one here, else derived from it and its project.
pub fn run_id(project: &str, text: &str) -> RunId {
    RunId::parse(text).unwrap_or_else(|_| {
        let hash = blake3::hash(format!("neptune run\n{project}\n{text}").as_bytes()).to_hex();
        RunId::parse(&hash[..32]).expect("hex digits are an id")
    })
}

impl Raw {
    /// Takes a row; gives the bytes that it takes up, about.
    fn take(&mut self, rows: &Rows, row: usize, path: &str, kind: &str) -> u64 {
        let value = match kind {
            "int" => rows.int(row).map(|i| ParamValue::Int(i.into())),
            "float" => rows.float(row).map(ParamValue::Float),
            "string" => rows.text(Column::Text, row).map(ParamValue::from_spelling),
            "bool" => rows.bool(row).map(ParamValue::Bool),
            "datetime" => rows.time(Column::Datetime, row).map(ParamValue::Time),
            "string_set" => rows.texts(row).map(|texts| ParamValue::List(Value::from(texts).to_string())),
            "float_series" | "string_series" | "histogram_series" => return self.point(rows, row, path, kind),
            "file" | "file_set" | "artifact" | "file_series" => {
                let time = rows.time(Column::Time, row).unwrap_or(NO_TIME);
                let point = (kind == "file_series").then(|| (rows.step(row).unwrap_or(Step::None), time));
                let Some(file) = rows.file(row) else { return 0 };
                self.look_at_step(rows, row, path);
                self.files.push(FileRow { attribute: path.to_string(), path: file.to_string(), point });
                return ROW_BYTES + (path.len() + file.len()) as u64;
            }
            other => {
                *self.strange.entry(other.to_string()).or_default() += 1;
                return other.len() as u64;
            }
        };
        // The exporter asks for the attributes of many runs at once: one that this run lacks has a row without a value.
        let Some(value) = value else { return 0 };
        let bytes = ROW_BYTES + path.len() as u64 + value.text().map_or(0, |text| text.len() as u64);
        let map = if path.starts_with("sys/") { &mut self.facts } else { &mut self.params };
        match map.get(path) {
            None => drop(map.insert(path.to_string(), value)),
            Some(known) if *known == value => {}
            Some(_) => self.told.push(format!("the attribute '{path}' has several values; the first was taken")),
        }
        bytes
    }

    fn look_at_step(&mut self, rows: &Rows, row: usize, path: &str) {
        if let Some(digits) = rows.rounded_step(row) {
            self.rounded.entry(path.to_string()).or_insert((0, digits)).0 += 1;
        }
    }

    fn point(&mut self, rows: &Rows, row: usize, path: &str, kind: &str) -> u64 {
        self.look_at_step(rows, row, path);
        let time = rows.time(Column::Time, row);
        let step = rows.step(row).unwrap_or(Step::None);
        let series = |kind, payload| {
            Some(SeriesPoint { key: path.to_string(), step, time: time.unwrap_or(NO_TIME), kind, payload })
        };
        let point = match kind {
            "float_series" => {
                // The exporter writes NaN as nothing; a row that has not even a time is no point.
                let value = rows.float(row).or(time.map(|_| f64::NAN));
                if let Some(value) = value {
                    let key = match self.keys.get(path) {
                        Some(key) => Arc::clone(key),
                        None => Arc::clone(self.keys.entry(path.to_string()).or_insert_with(|| path.into())),
                    };
                    let time = time.unwrap_or(NO_TIME);
                    self.points.push(ForeignPoint { key, context: None, step, time, value });
                }
                return ROW_BYTES;
            }
            "string_series" => rows.text(Column::Text, row).and_then(|text| series(SeriesKind::Text, text.to_string())),
            _ => match rows.histogram(row).map(histogram) {
                Some(Ok(payload)) => series(SeriesKind::Histogram, payload),
                Some(Err(e)) => {
                    self.told.push(format!("a histogram of '{path}' cannot be read: {e}"));
                    None
                }
                None => None,
            },
        };
        let Some(point) = point else { return 0 };
        let bytes = ROW_BYTES + (path.len() + point.payload.len()) as u64;
        self.series.push(point);
        bytes
    }

    fn fact(&self, name: &str) -> Option<&ParamValue> {
        self.facts.get(&format!("sys/{name}"))
    }

    fn fact_text(&self, name: &str) -> Option<String> {
        self.fact(name)?.text().filter(|text| !text.is_empty())
    }

    fn fact_time(&self, name: &str) -> Option<Micros> {
        match self.fact(name)? {
            ParamValue::Time(time) => Some(*time),
            _ => None,
        }
    }

    fn is(&self, name: &str) -> bool {
        matches!(self.fact(name), Some(ParamValue::Bool(true)))
    }

    fn into_run(mut self, project: String, text: &str, files: (&Path, &str), out: &mut Out<'_>) -> ForeignRun {
        let id = run_id(&project, text);
        let place = format!("run '{text}' of {project}");
        let times = self.points.iter().map(|p| p.time).chain(self.series.iter().map(|p| p.time));
        let times: Vec<Micros> = times.chain(self.files.iter().filter_map(|f| Some(f.point?.1))).collect();
        let times = || times.iter().copied().filter(|t| *t != NO_TIME);
        let begin = self.fact_time("creation_time").or(times().min()).unwrap_or(Micros(0));
        let last = times().max().or(self.fact_time("ping_time")).or(self.fact_time("modification_time"));

        let mut run = ForeignRun::new(id.clone(), project.clone(), begin);
        let start = &mut run.start;
        start.name = self.fact_text("name");
        start.user = self.fact_text("owner");
        start.host = self.fact_text("hostname");
        start.notes = self.fact_text("description");
        start.command = self.params.get("source_code/entrypoint").and_then(ParamValue::text).filter(|t| !t.is_empty());
        // Nobody writes to Neptune any more: whatever it is, it has ended.
        run.status = if self.is("failed") { Status::Failed } else { Status::Finished };
        run.end_time = Some(last.unwrap_or(begin).max(begin));
        run.deleted = self.is("archived") || self.is("trashed");
        let mut tags = Vec::new();
        for name in ["tags", "group_tags"] {
            if let Some(ParamValue::List(json)) = self.fact(name) {
                tags.extend(serde_json::from_str::<Vec<String>>(json).unwrap_or_default());
            }
        }
        tags.sort();
        tags.dedup();
        run.tags = tags.into_iter().map(|tag| (tag, None)).collect();
        if let Some(parent) = self.fact_text("forking/parent") {
            let step = self.fact("forking/step").and_then(ParamValue::number).and_then(Step::from_number);
            let (target, step) = (run_id(&project, &parent), step.and_then(Step::whole));
            run.links.push(Link { target, kind: "fork".into(), position: None, weight: None, step });
        }
        run.scope = Some(Scope { key: PROJECT, value: project.clone() });
        run.environment.push((PROJECT.to_string(), project));
        run.environment.push(("neptune.run_id".to_string(), text.to_string()));
        let facts = std::mem::take(&mut self.facts);
        run.environment.extend(facts.into_iter().filter_map(|(path, value)| Some((path, value.text()?))));

        for (path, (n, first)) in std::mem::take(&mut self.rounded) {
            let steps = if n == 1 { "1 step".to_string() } else { format!("{n} steps") };
            let what = format!("{steps} of '{path}' with more digits than a double has, {first} first");
            out.leave(&place, format!("{what}: the nearest double stands there"));
        }
        for told in std::mem::take(&mut self.told) {
            out.skip(&place, told);
        }
        for (kind, rows) in std::mem::take(&mut self.strange) {
            out.skip(&place, format!("{rows} rows are of a type that is not known: '{kind}'"));
        }
        let mut placed =
            Placed { root: files.0, folder: files.1, place: &place, taken: HashSet::new(), files: Vec::new(), out };
        for file in std::mem::take(&mut self.files) {
            let Some(payload) = placed.take(&file) else { continue };
            if let Some((step, time)) = file.point {
                let (key, kind) = (file.attribute, SeriesKind::File);
                self.series.push(SeriesPoint { key, step, time, kind, payload });
            }
        }
        run.files = placed.files;
        run.params = self.params.into_iter().collect();
        run.points = self.points;
        run.series = self.series;
        let timeless = run.points.iter_mut().map(|p| &mut p.time).chain(run.series.iter_mut().map(|p| &mut p.time));
        timeless.filter(|time| **time == NO_TIME).for_each(|time| *time = begin);
        run
    }
}

/// A histogram as JSON; `type` only where counts are none.
fn histogram((kind, edges, counts): Histogram) -> Result<String, String> {
    if edges.len() != counts.len() + 1 {
        return Err(format!("it has {} edges and {} counts", edges.len(), counts.len()));
    }
    if edges.iter().chain(&counts).any(|x| !x.is_finite()) {
        return Err("edges and counts are finite numbers".to_string());
    }
    Ok(match kind.as_deref() {
        None | Some("COUNTING") => serde_json::json!({"edges": edges, "counts": counts}),
        Some(kind) => serde_json::json!({"edges": edges, "counts": counts, "type": kind}),
    }
    .to_string())
}

/// Gives names to the files of a run.
struct Placed<'a, 'b> {
    root: &'a Path,
    folder: &'a str,
    place: &'a str,
    taken: HashSet<String>,
    files: Vec<ForeignFile>,
    out: &'a mut Out<'b>,
}

impl Placed<'_, '_> {
    /// Takes a file, or a folder of them; gives its name.
    fn take(&mut self, row: &FileRow) -> Option<String> {
        let found = files::find(self.root, Some(self.folder), &row.path);
        // At first, paths were those below the folder of all projects.
        let found = found.or_else(|e| files::find(self.root, None, &row.path).map_err(|_| e));
        let (source, is) = match found {
            Ok(found) => found,
            Err(e) => {
                self.out.skip(self.place, format!("the file '{}' of '{}': {e}", row.path, row.attribute));
                return None;
            }
        };
        let wanted = match row.point {
            None => files::name(&row.attribute, &row.path),
            Some((step, _)) => files::name(&format!("{}/{}", row.attribute, shown(step)), &row.path),
        };
        if is == Is::Folder {
            let inner = tree::artifacts(&source, &format!("{}/", row.attribute), self.out);
            self.files.extend(inner.into_iter().filter(|file| self.taken.insert(file.path.clone())));
            return Some(row.attribute.clone());
        }
        let Is::File(size) = is else { return None };
        let path = self.free(wanted, row)?;
        self.files.push(ForeignFile { path: path.clone(), source, size });
        Some(path)
    }

    /// The name that is wanted, or that of the file in the export where it cannot be had.
    fn free(&mut self, wanted: String, row: &FileRow) -> Option<String> {
        let is_free = |path: &String| check_artifact_path(path).is_ok() && !self.taken.contains(path);
        let beside = row.path.replace('\\', "/");
        let path = if is_free(&wanted) {
            wanted
        } else if is_free(&beside) {
            let what =
                format!("the file of '{}' is called '{beside}' here: '{wanted}' is taken or no name", row.attribute);
            self.out.leave(self.place, what);
            beside
        } else {
            self.out.skip(self.place, format!("there is another file of '{}', which was taken", row.attribute));
            return None;
        };
        self.taken.insert(path.clone());
        Some(path)
    }
}

fn shown(step: Step) -> String {
    match step {
        Step::None => "none".to_string(),
        Step::At(step) => step.to_string(),
        Step::Between(x) => x.to_string(),
    }
}
