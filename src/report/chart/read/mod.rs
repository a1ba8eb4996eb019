//! From rows to what is drawn.

mod categories;
mod grid;
mod lines;
mod points;

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::columns::{ChartError, Columns, label};
use super::{Axis, Chart, ChartKind, ChartOptions, Marks};

/// Lines and clouds that can be told apart.
const MOST_SERIES: usize = 16;
/// Categories that have room.
const MOST_CATEGORIES: usize = 60;
/// Points of a line: more than a wide picture has pixels.
const MOST_POINTS: usize = 1600;

impl Chart {
    /// Reads a chart off rows.
    ///
    /// # Errors
    /// [`ChartError`]: a column that is not there or of the wrong type, options that do not fit the kind, nothing to draw.
    pub fn of(rows: &RecordBatch, options: &ChartOptions) -> Result<Chart, ChartError> {
        let reading = Reading { columns: Columns::new(rows), options, taken: Vec::new(), notes: Vec::new() };
        reading.check()?;
        match options.kind {
            ChartKind::Line => reading.line(),
            ChartKind::Bar | ChartKind::Dot => reading.categories(),
            ChartKind::Scatter => reading.scatter(),
            ChartKind::Box => reading.boxes(),
            ChartKind::Heat => reading.heat(),
            ChartKind::Pareto => reading.pareto(),
        }
    }
}

/// Lower and upper ends of intervals.
type Ends = (Vec<f64>, Vec<f64>);

struct Reading<'a> {
    columns: Columns<'a>,
    options: &'a ChartOptions,
    /// Columns that have a part already.
    taken: Vec<usize>,
    notes: Vec<String>,
}

impl Reading<'_> {
    /// Options that the kind has no use for are slips.
    fn check(&self) -> Result<(), ChartError> {
        use ChartKind::*;
        let options = self.options;
        let kind = options.kind;
        let slips = [
            ("series", options.series.is_some() && !matches!(kind, Line | Bar | Scatter)),
            ("low", options.low.is_some() && !matches!(kind, Line | Bar | Dot)),
            ("high", options.high.is_some() && !matches!(kind, Line | Bar | Dot)),
            ("value", options.value.is_some() && kind != Heat),
            ("smooth", options.smooth.is_some() && kind != Line),
            ("log=x", options.log_x && !matches!(kind, Line | Scatter | Pareto)),
            ("log=y", options.log_y && !matches!(kind, Line | Scatter | Pareto | Box)),
        ];
        if let Some((name, _)) = slips.into_iter().find(|(_, slip)| *slip) {
            return Err(ChartError::Option(format!("chart={} has no option {name}", kind.name())));
        }
        if options.low.is_some() != options.high.is_some() {
            return Err(ChartError::Option("an interval takes both low and high".to_string()));
        }
        if options.smooth.is_some_and(|alpha| !(alpha > 0.0 && alpha <= 1.0)) {
            return Err(ChartError::Option("smooth is a number above 0 and at most 1".to_string()));
        }
        if self.columns.len() == 0 {
            return Err(ChartError::Empty("the answer has no rows".to_string()));
        }
        Ok(())
    }

    fn missing(&self, needs: &'static str) -> ChartError {
        ChartError::Missing { kind: self.options.kind.name(), needs, columns: self.columns.listed() }
    }

    /// A column that was named, else the first free one of these names, else the first free one that fits.
    fn pick(
        &mut self,
        named: Option<&str>,
        names: &[&str],
        fits: impl Fn(&Columns, usize) -> bool,
    ) -> Result<Option<usize>, ChartError> {
        let found = match named {
            Some(name) => Some(self.columns.named(name)?),
            None => {
                let free = |at: &usize| !self.taken.contains(at) && fits(&self.columns, *at);
                let usual = names.iter().filter_map(|name| self.columns.find(name)).find(free);
                usual.or_else(|| (0..self.columns.names().len()).find(free))
            }
        };
        self.taken.extend(found);
        Ok(found)
    }

    /// The columns of an interval: those that were named, else `low` and `high`.
    fn interval(&mut self) -> Result<Option<Ends>, ChartError> {
        let (low, high) = match (&self.options.low, &self.options.high) {
            (Some(low), Some(high)) => (self.columns.named(low)?, self.columns.named(high)?),
            _ => match (self.columns.find("low"), self.columns.find("high")) {
                (Some(low), Some(high)) if !self.taken.contains(&low) && !self.taken.contains(&high) => (low, high),
                _ => return Ok(None),
            },
        };
        self.taken.extend([low, high]);
        Ok(Some((self.columns.numbers(low, "an interval")?, self.columns.numbers(high, "an interval")?)))
    }

    /// The columns of values: those that were named, else one.
    fn values(&mut self, usual: &[&str]) -> Result<Vec<usize>, ChartError> {
        let options = self.options;
        if options.y.is_empty() {
            let one = self.pick(None, usual, |c, at| c.is_number(at))?;
            return Ok(one.into_iter().collect());
        }
        let mut found = Vec::new();
        for name in &options.y {
            found.extend(self.pick(Some(name), &[], |_, _| true)?);
        }
        Ok(found)
    }

    /// An axis named after its column, with the unit of the metric where one is known.
    fn axis(&self, columns: &[usize], label: Option<&String>, log: bool) -> Axis {
        let time = columns.first().is_some_and(|at| self.columns.is_time(*at));
        if let Some(label) = label {
            return Axis { label: super::columns::label(label), log, time };
        }
        let [only] = columns else { return Axis { label: String::new(), log, time } };
        let name = self.columns.name(*only);
        // In rows of series the metric is named in a column of its own.
        let key = ["key", "metric"].iter().find_map(|key| self.columns.find(key)).and_then(|at| {
            let keys = self.columns.labels(at);
            keys.first().filter(|first| keys.iter().all(|key| key == *first)).cloned()
        });
        let metric = match key {
            Some(key) if ["value", "score", "mean", "effect", "difference"].contains(&name.as_str()) => key,
            _ => name.clone(),
        };
        let shown = if name == "value" { metric.clone() } else { name };
        let label = match self.options.units.get(&metric) {
            Some(unit) => format!("{shown} ({unit})"),
            None => shown,
        };
        Axis { label: super::columns::label(&label), log, time }
    }

    fn chart(self, x: Axis, y: Axis, marks: Marks) -> Chart {
        Chart { title: self.options.title.as_deref().map(label), x, y, marks, notes: self.notes }
    }

    /// The rows of each series, in the order in which they first come.
    fn series(&self, column: Option<usize>) -> Vec<(Option<String>, Vec<usize>)> {
        let all = 0..self.columns.len();
        let Some(column) = column else { return vec![(None, all.collect())] };
        let mut order: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (row, name) in self.columns.labels(column).into_iter().enumerate() {
            let at = *places.entry(name).or_insert_with_key(|name| {
                order.push((Some(name.clone()), Vec::new()));
                order.len() - 1
            });
            order[at].1.push(row);
        }
        order
    }

    fn at_most<T>(&mut self, found: &mut Vec<T>, most: usize, what: &str) {
        if found.len() > most {
            self.notes.push(format!("the first {most} of {} {what} are drawn", found.len()));
            found.truncate(most);
        }
    }

    fn left_out(&mut self, rows: usize) {
        if rows > 0 {
            self.notes.push(format!("{rows} rows without a finite value are not drawn"));
        }
    }
}
