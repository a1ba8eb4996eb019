//! From rows to what is drawn.

mod categories;
mod grid;
mod lines;
mod names;
mod points;

use arrow::array::RecordBatch;

use super::columns::{ChartError, Columns, label};
use super::{Axis, Chart, ChartKind, ChartOptions, Marks};

/// Lines that can be told apart.
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
        let mut reading = Reading { columns: Columns::new(rows), options, taken: Vec::new(), notes: Vec::new() };
        reading.check()?;
        reading.reserve();
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
            ("series", options.series.is_some() && matches!(kind, Box | Heat)),
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
        if options.y.len() > 1 && matches!(kind, Dot | Scatter | Heat | Pareto) {
            return Err(ChartError::Option(format!("chart={} takes one column as y", kind.name())));
        }
        if self.columns.len() == 0 {
            return Err(ChartError::Empty("the answer has no rows".to_string()));
        }
        Ok(())
    }

    /// What has a part by name is nothing's default.
    fn reserve(&mut self) {
        let options = self.options;
        let single = [&options.x, &options.series, &options.low, &options.high, &options.value];
        let named = single.into_iter().flatten().chain(&options.y);
        self.taken.extend(named.filter_map(|name| self.columns.find(name)));
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

    /// The column that was named as series.
    fn named_series(&self) -> Result<Option<usize>, ChartError> {
        self.options.series.as_deref().map(|name| self.columns.named(name)).transpose()
    }

    /// The columns of an interval: those that were named, else `low` and `high`. Where the lower end is above the upper one,
    /// there is none.
    fn interval(&mut self) -> Result<Option<Ends>, ChartError> {
        let (low, high) = match (&self.options.low, &self.options.high) {
            (Some(low), Some(high)) => (self.columns.named(low)?, self.columns.named(high)?),
            _ => match (self.columns.find("low"), self.columns.find("high")) {
                (Some(low), Some(high)) if !self.taken.contains(&low) && !self.taken.contains(&high) => (low, high),
                _ => return Ok(None),
            },
        };
        self.taken.extend([low, high]);
        let (mut lows, mut highs) =
            (self.columns.numbers(low, "an interval")?, self.columns.numbers(high, "an interval")?);
        let mut turned = 0;
        for (low, high) in lows.iter_mut().zip(&mut highs).filter(|(low, high)| low > high) {
            (*low, *high) = (f64::NAN, f64::NAN);
            turned += 1;
        }
        self.not_drawn(turned, "interval", "whose low is above its high");
        Ok(Some((lows, highs)))
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

    /// An axis named after its columns, with the unit of the metric where one is known.
    fn axis(&self, columns: &[usize], label: Option<&String>, log: bool) -> Result<Axis, ChartError> {
        let time = columns.first().is_some_and(|at| self.columns.is_time(*at));
        if columns.iter().any(|at| self.columns.is_time(*at) != time) {
            return Err(ChartError::Option("times and numbers do not share an axis".to_string()));
        }
        if let (true, true, [first, ..]) = (log, time, columns) {
            let (name, holds) = (self.columns.name(*first), "times");
            return Err(ChartError::NotNumbers { name, holds, what: "a logarithmic axis" });
        }
        let label = match label {
            Some(label) => super::columns::label(label),
            None => match columns {
                [only] => self.named_with_unit(*only),
                several => self.shared_name(several),
            },
        };
        Ok(Axis { label, log, time })
    }

    /// What several columns have in common: their unit, else all of their names.
    fn shared_name(&self, columns: &[usize]) -> String {
        let units: Vec<_> = columns.iter().map(|at| self.unit(*at)).collect();
        match units.first() {
            Some(Some(unit)) if units.iter().all(|other| other.as_ref() == Some(unit)) => label(unit),
            _ => columns.iter().map(|at| self.named_with_unit(*at)).collect::<Vec<_>>().join(", "),
        }
    }

    /// In rows of series the metric is named in a column of its own.
    fn metric(&self, column: usize) -> String {
        let name = self.columns.name(column);
        let key = ["key", "metric"].iter().find_map(|key| self.columns.find(key)).and_then(|at| {
            let keys = self.columns.labels(at);
            keys.first().filter(|first| keys.iter().all(|key| key == *first)).cloned()
        });
        match key {
            Some(key) if ["value", "score", "mean", "effect", "difference"].contains(&name.as_str()) => key,
            _ => name,
        }
    }

    fn unit(&self, column: usize) -> Option<String> {
        if self.columns.is_duration(column) {
            return Some("s".to_string());
        }
        let metric = self.metric(column);
        let plain = ["metrics.", "best."].iter().find_map(|before| metric.strip_prefix(before)).unwrap_or(&metric);
        self.options.units.get(&metric).or_else(|| self.options.units.get(plain)).cloned()
    }

    fn named_with_unit(&self, column: usize) -> String {
        let name = self.columns.name(column);
        let shown = if name == "value" { self.metric(column) } else { name };
        match self.unit(column) {
            Some(unit) => label(&format!("{shown} ({unit})")),
            None => label(&shown),
        }
    }

    /// The axis of categories, called after its column; `label` would say no more than the names do.
    fn along(&self, column: Option<usize>) -> Axis {
        let name = || column.map(|at| self.columns.name(at)).filter(|name| name != "label").unwrap_or_default();
        let text = self.options.x_label.clone().unwrap_or_else(name);
        Axis { label: super::columns::label(&text), log: false, time: false }
    }

    fn chart(self, x: Axis, y: Axis, marks: Marks) -> Chart {
        Chart { title: self.options.title.as_deref().map(label), x, y, marks, notes: self.notes }
    }

    fn at_most<T>(&mut self, found: &mut Vec<T>, most: usize, what: &str) {
        self.first_of(found.len(), most, what);
        found.truncate(most);
    }

    fn first_of(&mut self, there_are: usize, most: usize, what: &str) {
        if there_are > most {
            self.notes.push(format!("the first {most} of {there_are} {what} are drawn"));
        }
    }

    /// Notes what has no place in the picture.
    fn not_drawn(&mut self, n: usize, what: &str, why: &str) {
        if n > 0 {
            let s = if n == 1 { "" } else { "s" };
            self.notes.push(format!("not drawn: {n} {what}{s} {why}"));
        }
    }

    fn left_out(&mut self, rows: usize) {
        self.not_drawn(rows, "row", "without a finite value");
    }

    fn below(&mut self, n: usize, what: &str) {
        self.not_drawn(n, what, "at or below 0, where a logarithmic axis has no place");
    }
}
