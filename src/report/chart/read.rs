//! From rows to what is drawn.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::columns::{ChartError, Columns, label};
use super::{Axis, BarSeries, Bars, Chart, ChartKind, ChartOptions, Cloud, CloudLook, Dot, Grid, Line, Marks};
use crate::stats::thin;

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
/// The columns along both axes, and the points that they make.
type Plane = (usize, usize, Vec<(f64, f64)>);

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

    fn line(mut self) -> Result<Chart, ChartError> {
        const ALONG: [&str; 6] = ["step", "epoch", "x", "time", "start_time", "created"];
        let options = self.options;
        let interval_first = self.interval()?;
        let x = self.pick(options.x.as_deref(), &ALONG, |c, at| c.is_number(at) || c.is_time(at))?;
        let y = self.values(&["value", "score", "mean"])?;
        let (Some(x), false) = (x, y.is_empty()) else {
            return Err(self.missing("a column of numbers or times along the axis and one of values"));
        };
        let names = ["series", "run", "name", "run_name", "run_id", "context"];
        let series = match y.len() {
            1 => self.pick(options.series.as_deref(), &names, |c, at| !c.is_number(at) && !c.is_time(at))?,
            _ if options.series.is_some() => {
                return Err(ChartError::Option("several columns of values are series already".to_string()));
            }
            _ => None,
        };
        if y.len() > 1 && interval_first.is_some() && options.low.is_some() {
            return Err(ChartError::Option("one interval does not go with several columns of values".to_string()));
        }
        let band = interval_first.filter(|_| y.len() == 1);
        let places = self.columns.numbers(x, "an axis")?;
        let drawn = |x: f64, y: f64| {
            x.is_finite() && !(options.log_x && x <= 0.0) && (y.is_nan() || !(options.log_y && y <= 0.0))
        };
        let mut lines = Vec::new();
        let mut dropped = 0;
        for (column, (name, rows)) in
            y.iter().flat_map(|column| self.series(series).into_iter().map(move |series| (*column, series)))
        {
            let values = self.columns.numbers(column, "a line")?;
            let mut rows = rows;
            rows.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
            let before = rows.len();
            rows.retain(|row| drawn(places[*row], values[*row]));
            dropped += before - rows.len();
            let finite = |row: usize| if values[row].is_finite() { values[row] } else { f64::NAN };
            let smooth = options.smooth.map(|alpha| averaged(rows.iter().map(|row| finite(*row)), alpha));
            let kept = thin(&rows.iter().map(|row| finite(*row)).collect::<Vec<_>>(), MOST_POINTS);
            let point = |at: usize| (places[rows[at]], finite(rows[at]));
            let band = band
                .as_ref()
                .map(|(low, high)| kept.iter().map(|at| (low[rows[*at]], high[rows[*at]])).collect::<Vec<_>>());
            let name = name.or_else(|| (y.len() > 1).then(|| label(&self.columns.name(column))));
            let smooth = smooth.map(|smooth| kept.iter().map(|at| (places[rows[*at]], smooth[*at])).collect());
            let points: Vec<_> = kept.iter().map(|at| point(*at)).collect();
            if points.iter().any(|(_, y)| !y.is_nan()) {
                lines.push(Line { name, points, band, smooth });
            }
        }
        if dropped > 0 {
            self.notes.push(format!("{dropped} points without a place on the axes are not drawn"));
        }
        if lines.is_empty() {
            return Err(ChartError::Empty("no point has a finite value".to_string()));
        }
        self.at_most(&mut lines, MOST_SERIES, "series");
        let x = self.axis(&[x], options.x_label.as_ref(), options.log_x);
        let y = self.axis(&y, options.y_label.as_ref(), options.log_y);
        Ok(self.chart(x, y, Marks::Lines(lines)))
    }

    fn categories(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let usual = ["name", "run_name", "feature", "param", "label", "config"];
        let x = self.pick(options.x.as_deref(), &usual, |c, at| !c.is_number(at))?;
        // Numbers may be categories, such as depths.
        let Some(x) = x.map_or_else(|| self.pick(None, &[], |_, _| true), |x| Ok(Some(x)))? else {
            return Err(self.missing("a column of categories and one of numbers"));
        };
        let interval = self.interval()?;
        let y = self.values(&["value", "score", "mean", "effect", "difference"])?;
        if y.is_empty() {
            return Err(self.missing("a column of categories and one of numbers"));
        }
        if y.len() > 1 && (options.series.is_some() || options.kind == ChartKind::Dot) {
            return Err(ChartError::Option("one column of values is enough here".to_string()));
        }
        if y.len() > 1 && interval.is_some() && options.low.is_some() {
            return Err(ChartError::Option("one interval does not go with several columns of values".to_string()));
        }
        let interval = interval.filter(|_| y.len() == 1);
        let value = |values: &[f64], row: usize| {
            let end = |ends: &Vec<f64>| if ends[row].is_finite() { ends[row] } else { values[row] };
            match &interval {
                Some((low, high)) => (values[row], end(low), end(high)),
                None => (values[row], values[row], values[row]),
            }
        };
        let categories = self.columns.labels(x);
        if options.kind == ChartKind::Dot {
            let values = self.columns.numbers(y[0], "a dot")?;
            let finite = (0..values.len()).filter(|row| values[*row].is_finite());
            let mut dots: Vec<Dot> = finite
                .map(|row| {
                    let (value, low, high) = value(&values, row);
                    Dot { name: categories[row].clone(), value, low, high }
                })
                .collect();
            self.left_out(values.len() - dots.len());
            if dots.is_empty() {
                return Err(ChartError::Empty("no value is a finite number".to_string()));
            }
            self.at_most(&mut dots, MOST_CATEGORIES, "rows");
            let x = self.axis(&y, options.y_label.as_ref(), false);
            let y = Axis { label: options.x_label.as_deref().map(label).unwrap_or_default(), log: false, time: false };
            return Ok(self.chart(x, y, Marks::Dots(dots)));
        }
        let series = match &options.series {
            Some(name) => Some(self.columns.named(name)?),
            None => None,
        };
        let mut order: Vec<String> = Vec::new();
        for category in &categories {
            if !order.contains(category) && order.len() <= MOST_CATEGORIES {
                order.push(category.clone());
            }
        }
        let distinct = categories.iter().collect::<std::collections::BTreeSet<_>>().len();
        if distinct > MOST_CATEGORIES {
            order.truncate(MOST_CATEGORIES);
            self.notes.push(format!("the first {MOST_CATEGORIES} of {distinct} categories are drawn"));
        }
        let mut bars = Vec::new();
        let mut twice = false;
        for column in &y {
            let values = self.columns.numbers(*column, "a bar")?;
            for (name, rows) in self.series(series) {
                let mut found = vec![(f64::NAN, f64::NAN, f64::NAN); order.len()];
                let mut seen = vec![false; order.len()];
                for row in rows {
                    let Some(at) = order.iter().position(|category| *category == categories[row]) else { continue };
                    twice |= std::mem::replace(&mut seen[at], true);
                    if values[row].is_finite() {
                        found[at] = value(&values, row);
                    }
                }
                let name = name.or_else(|| (y.len() > 1).then(|| label(&self.columns.name(*column))));
                bars.push(BarSeries { name, values: found });
            }
        }
        if twice {
            let name = self.columns.name(x);
            return Err(ChartError::Option(format!(
                "a category of '{name}' comes twice: group by it, or name the column that tells them apart as series"
            )));
        }
        if bars.iter().all(|series| series.values.iter().all(|(value, ..)| value.is_nan())) {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        self.at_most(&mut bars, super::palette::SERIES.len(), "series");
        let axis = self.axis(&y, options.y_label.as_ref(), false);
        let named = match options.x_label.as_deref() {
            Some(text) => label(text),
            None if series.is_some() => label(&self.columns.name(x)),
            None => String::new(),
        };
        let x = Axis { label: named, log: false, time: false };
        Ok(self.chart(x, axis, Marks::Bars(Bars { categories: order, series: bars })))
    }

    fn left_out(&mut self, rows: usize) {
        if rows > 0 {
            self.notes.push(format!("{rows} rows without a finite value are not drawn"));
        }
    }

    /// Two columns of numbers, as points that have a place on the axes.
    fn plane(&mut self) -> Result<Plane, ChartError> {
        let options = self.options;
        let x = self.pick(options.x.as_deref(), &[], |c, at| c.is_number(at) || c.is_time(at))?;
        let named = options.y.first().map(String::as_str);
        let y = self.pick(named, &[], |c, at| c.is_number(at))?;
        let (Some(x), Some(y)) = (x, y) else { return Err(self.missing("two columns of numbers")) };
        if options.y.len() > 1 {
            return Err(ChartError::Option("one column along each axis".to_string()));
        }
        let (xs, ys) = (self.columns.numbers(x, "a point")?, self.columns.numbers(y, "a point")?);
        Ok((x, y, xs.into_iter().zip(ys).collect()))
    }

    fn has_place(&self, (x, y): (f64, f64)) -> bool {
        let options = self.options;
        x.is_finite() && y.is_finite() && !(options.log_x && x <= 0.0) && !(options.log_y && y <= 0.0)
    }

    fn scatter(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let series = match &options.series {
            Some(name) => Some(self.columns.named(name)?),
            None => None,
        };
        self.taken.extend(series);
        let (x, y, points) = self.plane()?;
        let groups = self.series(series);
        let mut clouds: Vec<Cloud> = Vec::new();
        for (name, rows) in groups {
            let points: Vec<_> = rows.into_iter().map(|row| points[row]).filter(|at| self.has_place(*at)).collect();
            if !points.is_empty() {
                clouds.push(Cloud { name, points, look: CloudLook::Series });
            }
        }
        let drawn: usize = clouds.iter().map(|cloud| cloud.points.len()).sum();
        self.left_out(points.len() - drawn);
        if clouds.is_empty() {
            return Err(ChartError::Empty("no row has two finite numbers".to_string()));
        }
        self.at_most(&mut clouds, super::palette::SERIES.len(), "series");
        let (x, y) = (
            self.axis(&[x], options.x_label.as_ref(), options.log_x),
            self.axis(&[y], options.y_label.as_ref(), options.log_y),
        );
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    fn pareto(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let rank = self.columns.find("rank");
        let usual: Vec<usize> =
            ["rank", "n_runs", "n_configs", "n_blocks"].iter().filter_map(|name| self.columns.find(name)).collect();
        self.taken.extend(usual);
        let (x, y, points) = self.plane()?;
        let placed: Vec<usize> = (0..points.len()).filter(|row| self.has_place(points[*row])).collect();
        self.left_out(points.len() - placed.len());
        let on_front: Vec<bool> = match rank {
            Some(rank) => self.columns.numbers(rank, "a front")?.iter().map(|rank| *rank == 1.0).collect(),
            None => return Err(self.missing("a column rank, which pareto(scope, objectives, rank) gives")),
        };
        let part = |front: bool| {
            let mut part: Vec<_> =
                placed.iter().filter(|row| on_front[**row] == front).map(|row| points[*row]).collect();
            part.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            part
        };
        let (front, beaten) = (part(true), part(false));
        if front.is_empty() {
            return Err(ChartError::Empty("no row of rank 1 has two finite numbers".to_string()));
        }
        let mut clouds = Vec::new();
        if !beaten.is_empty() {
            clouds.push(Cloud { name: Some("beaten".to_string()), points: beaten, look: CloudLook::Beaten });
        }
        clouds.push(Cloud { name: Some("front".to_string()), points: front, look: CloudLook::Front });
        let (x, y) = (
            self.axis(&[x], options.x_label.as_ref(), options.log_x),
            self.axis(&[y], options.y_label.as_ref(), options.log_y),
        );
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    fn boxes(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let x = match options.x.as_deref() {
            Some(name) => self.pick(Some(name), &[], |_, _| true)?,
            None => self.pick(None, &[], |c, at| !c.is_number(at) && !c.is_time(at))?,
        };
        let y = self.values(&["value", "score"])?;
        if y.is_empty() || (y.len() > 1 && options.x.is_some()) {
            return Err(self.missing("a column of numbers, and one of categories where there are several"));
        }
        let mut boxes: Vec<(String, Vec<f64>)> = Vec::new();
        let mut left_out = 0;
        for column in &y {
            let values = self.columns.numbers(*column, "a box")?;
            let groups = if y.len() > 1 { self.series(None) } else { self.series(x) };
            for (name, rows) in groups {
                let fits = |x: &f64| x.is_finite() && !(options.log_y && *x <= 0.0);
                let all = rows.len();
                let kept: Vec<f64> = rows.into_iter().map(|row| values[row]).filter(fits).collect();
                left_out += all - kept.len();
                if !kept.is_empty() {
                    boxes.push((name.unwrap_or_else(|| label(&self.columns.name(*column))), kept));
                }
            }
        }
        self.left_out(left_out);
        if boxes.is_empty() {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        self.at_most(&mut boxes, MOST_CATEGORIES / 2, "categories");
        let axis = self.axis(&y, options.y_label.as_ref(), options.log_y);
        let x = Axis { label: options.x_label.as_deref().map(label).unwrap_or_default(), log: false, time: false };
        Ok(self.chart(x, axis, Marks::Boxes(boxes)))
    }

    fn heat(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let value = match options.value.as_deref() {
            Some(name) => self.pick(Some(name), &[], |_, _| true)?,
            // Numbers may well be categories here, so the cell's is the last.
            None => {
                let names = self.columns.names().len();
                let usual = ["value", "score", "mean"].iter().find_map(|name| self.columns.find(name));
                let value = usual.or_else(|| (0..names).rev().find(|at| self.columns.is_number(*at)));
                self.taken.extend(value);
                value
            }
        };
        let x = self.pick(options.x.as_deref(), &[], |_, _| true)?;
        let y = self.pick(options.y.first().map(String::as_str), &[], |_, _| true)?;
        let (Some(value), Some(x), Some(y)) = (value, x, y) else {
            return Err(self.missing("two columns of categories and one of numbers"));
        };
        let (columns, rows) = (self.levels(x), self.levels(y));
        if columns.len() > MOST_CATEGORIES || rows.len() > MOST_CATEGORIES {
            return Err(ChartError::Option(format!("a heat map has at most {MOST_CATEGORIES} rows and columns")));
        }
        let (xs, ys) = (self.columns.labels(x), self.columns.labels(y));
        let numbers = self.columns.numbers(value, "a cell")?;
        let mut values = vec![vec![f64::NAN; columns.len()]; rows.len()];
        let mut seen = vec![vec![false; columns.len()]; rows.len()];
        for (row, number) in numbers.into_iter().enumerate() {
            let at = |levels: &[String], level: &String| levels.iter().position(|l| l == level).expect("it is one");
            let (i, j) = (at(&rows, &ys[row]), at(&columns, &xs[row]));
            if std::mem::replace(&mut seen[i][j], true) {
                return Err(ChartError::Option("a cell comes twice: group by both categories".to_string()));
            }
            values[i][j] = if number.is_finite() { number } else { f64::NAN };
        }
        if values.iter().flatten().all(|x| x.is_nan()) {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        let (across, down) =
            (self.axis(&[x], options.x_label.as_ref(), false), self.axis(&[y], options.y_label.as_ref(), false));
        let label = self.axis(&[value], None, false).label;
        Ok(self.chart(across, down, Marks::Grid(Grid { rows, columns, values, label })))
    }

    /// The categories of a column: numbers in their order, other things as they first come.
    fn levels(&self, column: usize) -> Vec<String> {
        let labels = self.columns.labels(column);
        let mut order: Vec<usize> = (0..labels.len()).collect();
        if let Ok(numbers) = self.columns.numbers(column, "")
            && (self.columns.is_number(column) || self.columns.is_time(column))
        {
            order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        }
        let mut levels: Vec<String> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for row in order {
            if seen.insert(&labels[row]) {
                levels.push(labels[row].clone());
            }
        }
        levels
    }
}

/// `ema(value, alpha)` of the engine: a gap repeats what came before.
fn averaged(values: impl Iterator<Item = f64>, alpha: f64) -> Vec<f64> {
    let mut before = f64::NAN;
    values
        .map(|value| {
            before = match (before.is_nan(), value.is_nan()) {
                (_, true) => before,
                (true, false) => value,
                (false, false) => alpha * value + (1.0 - alpha) * before,
            };
            before
        })
        .collect()
}
