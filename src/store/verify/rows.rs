//! What the rows of tables say of each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};

use super::files::Logged;
use super::{VerifyReport, plural, some};
use crate::schema::{ArtifactRow, MetricStatRow, Row, SchemaMismatch, Table, column};
use crate::store::cut::Cut;
use crate::store::layout;

/// A series: run, key, context.
type Series = (String, String, Option<String>);

/// What was gathered from the data files.
#[derive(Default)]
pub struct Facts {
    /// Whether some rows could not be read, so that what is missing proves nothing.
    pub incomplete: bool,
    /// Files that runs logged.
    pub artifacts: BTreeSet<Logged>,
    // Run to the file of its row.
    runs: BTreeMap<String, String>,
    twice: BTreeMap<String, String>,
    // By table, the runs that have rows in it, each with one file.
    used: BTreeMap<Table, BTreeMap<String, String>>,
    // Points and NaN points of each series, counted and as the statistics say.
    points: HashMap<Series, (i64, i64)>,
    stats: HashMap<Series, (i64, i64)>,
}

impl Facts {
    /// Takes in the rows of a file.
    pub fn add(&mut self, table: &Table, path: &str, rows: &RecordBatch) -> Result<(), SchemaMismatch> {
        if !table.by_month() {
            return Ok(());
        }
        let ids = column(rows, "run_id", &DataType::Utf8)?;
        let ids = ids.as_string::<i32>();
        if *table == Table::Runs {
            for id in ids.iter().flatten() {
                if self.runs.insert(id.to_string(), path.to_string()).is_some() {
                    self.twice.insert(id.to_string(), path.to_string());
                }
            }
            return Ok(());
        }
        let used = self.used.entry(table.clone()).or_default();
        let mut last = None;
        for id in ids.iter().flatten().filter(|id| last.replace(*id) != Some(*id)) {
            if !used.contains_key(id) {
                used.insert(id.to_string(), path.to_string());
            }
        }
        match table {
            Table::Metrics => self.add_points(rows)?,
            Table::MetricStats => {
                for r in MetricStatRow::from_batch(rows)? {
                    self.stats.insert((r.run_id, r.key, r.context), (r.count, r.nan_count));
                }
            }
            Table::Artifacts => {
                let rows = ArtifactRow::from_batch(rows)?.into_iter();
                self.artifacts.extend(rows.map(|r| Logged {
                    uri: r.uri,
                    size: r.size as u64,
                    digest: r.digest,
                    run: r.run_id,
                    path: r.path,
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_points(&mut self, rows: &RecordBatch) -> Result<(), SchemaMismatch> {
        let text = |name| column(rows, name, &DataType::Utf8);
        let (runs, keys, contexts) = (text("run_id")?, text("key")?, text("context")?);
        let values = column(rows, "value", &DataType::Float64)?;
        let (runs, keys, contexts) = (runs.as_string::<i32>(), keys.as_string::<i32>(), contexts.as_string::<i32>());
        let values = values.as_primitive::<Float64Type>();
        let mut at = 0;
        while at < rows.num_rows() {
            let context = |i: usize| contexts.is_valid(i).then(|| contexts.value(i));
            let series = (runs.value(at), keys.value(at), context(at));
            let (mut count, mut nan) = (0, 0);
            while at < rows.num_rows() && (runs.value(at), keys.value(at), context(at)) == series {
                count += 1;
                nan += i64::from(values.value(at).is_nan());
                at += 1;
            }
            let series = (series.0.to_string(), series.1.to_string(), series.2.map(str::to_string));
            let entry = self.points.entry(series).or_default();
            *entry = (entry.0 + count, entry.1 + nan);
        }
        Ok(())
    }

    /// Says what does not fit together.
    pub fn check(&self, cut: &Cut, report: &mut VerifyReport) {
        for (run, path) in &self.twice {
            report.find(path, format!("holds run '{run}' a second time"), format!("the row of run '{run}'"));
        }
        // Rows that could not be read were told of; what seems to be missing lies in them.
        if self.incomplete {
            return;
        }
        for (table, used) in &self.used {
            let strangers: Vec<_> = used.iter().filter(|(run, _)| !self.runs.contains_key(*run)).collect();
            if let Some((_, path)) = strangers.first() {
                let runs = some(strangers.iter().map(|(run, _)| run.as_str()));
                report.find(
                    *path,
                    format!("holds rows of runs that table runs lacks: {runs}"),
                    format!("table {table}"),
                );
            }
        }
        self.check_stats(report);
        let known = |run: &&str| self.runs.contains_key(*run);
        let named = cut.open_runs.iter().map(|o| o.run.as_str()).chain(cut.hidden_runs.iter().map(String::as_str));
        let missing: Vec<_> = named.filter(|run| !known(run)).collect();
        if !missing.is_empty() {
            let problem = format!("names runs that table runs lacks: {}", some(missing));
            report.find(layout::cut(cut.n), problem, "which runs have not ended or are deleted");
        }
    }

    fn check_stats(&self, report: &mut VerifyReport) {
        let mut wrong = Vec::new();
        for (series, points) in &self.points {
            if self.stats.get(series) != Some(points) {
                wrong.push(series);
            }
        }
        wrong.extend(self.stats.keys().filter(|series| !self.points.contains_key(*series)));
        wrong.sort();
        if let Some((run, key, _)) = wrong.first() {
            let count = |of: &HashMap<Series, (i64, i64)>| of.get(wrong[0]).map_or(0, |(n, _)| *n);
            let (points, stats) = (count(&self.points), count(&self.stats));
            let problem = format!(
                "does not fit table metrics in {}; the first is '{key}' of run '{run}', with {} in one and {stats} in the \
                 other",
                plural(wrong.len() as u64, "series").replace("seriess", "series"),
                plural(points as u64, "point"),
            );
            report.find(layout::table(&Table::MetricStats), problem, "statistics of series");
        }
    }
}
