//! Lines.

use super::{MOST_POINTS, MOST_SERIES, Reading};
use crate::report::chart::columns::ChartError;
use crate::report::chart::{Chart, Line, Marks};
use crate::stats::{Smoothing, thin};

impl Reading<'_> {
    pub(super) fn line(mut self) -> Result<Chart, ChartError> {
        const ALONG: [&str; 6] = ["step", "epoch", "x", "time", "start_time", "created"];
        let options = self.options;
        let interval = self.interval()?;
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
        if y.len() > 1 && interval.is_some() && options.low.is_some() {
            return Err(ChartError::Option("one interval does not go with several columns of values".to_string()));
        }
        let band = interval.filter(|_| y.len() == 1);
        let along = self.axis(&[x], options.x_label.as_ref(), options.log_x)?;
        let up = self.axis(&y, options.y_label.as_ref(), options.log_y)?;
        let places = self.columns.numbers(x, "an axis")?;
        let mut values = Vec::new();
        for column in &y {
            values.push(self.columns.numbers(*column, "a line")?);
        }
        // What is drawn of each series; the rest of the work is done for those that are drawn.
        let mut found = Vec::new();
        let (mut nowhere, mut below) = (0, 0);
        for (column, values) in y.iter().zip(&values) {
            for (name, mut rows) in self.series_of_runs(series) {
                rows.retain(|row| {
                    let (x, y) = (places[*row], values[*row]);
                    let low = (options.log_x && x <= 0.0) || (options.log_y && y <= 0.0);
                    nowhere += usize::from(!x.is_finite());
                    below += usize::from(x.is_finite() && low);
                    x.is_finite() && !low
                });
                if rows.iter().any(|row| values[*row].is_finite()) {
                    let name = name.or_else(|| (y.len() > 1).then(|| self.named_with_unit(*column)));
                    found.push((name, values, rows));
                }
            }
        }
        self.not_drawn(nowhere, "point", "without a place along the axis");
        self.below(below, "point");
        if let Some((low, high)) = band.as_ref().filter(|_| options.log_y) {
            self.below(low.iter().chain(high).filter(|end| **end <= 0.0).count(), "interval end");
        }
        if found.is_empty() {
            return Err(ChartError::Empty("no point has a finite value".to_string()));
        }
        self.at_most(&mut found, MOST_SERIES, "series");
        let mut lines = Vec::new();
        let mut twice = Vec::new();
        for (name, values, mut rows) in found {
            rows.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
            if rows.windows(2).any(|pair| places[pair[0]] == places[pair[1]]) {
                twice.push(name.clone().unwrap_or_else(|| self.columns.name(y[0])));
            }
            let finite = |row: usize| if values[row].is_finite() { values[row] } else { f64::NAN };
            let smooth = options.smooth.map(|alpha| {
                let mut smoothing = Smoothing::default();
                rows.iter().map(|row| smoothing.next(values[*row], alpha).unwrap_or(f64::NAN)).collect::<Vec<_>>()
            });
            let kept = thin(&rows.iter().map(|row| finite(*row)).collect::<Vec<_>>(), MOST_POINTS);
            let band = band
                .as_ref()
                .map(|(low, high)| kept.iter().map(|at| (low[rows[*at]], high[rows[*at]])).collect::<Vec<_>>());
            let smooth = smooth.map(|smooth| kept.iter().map(|at| (places[rows[*at]], smooth[*at])).collect());
            let points = kept.iter().map(|at| (places[rows[*at]], finite(rows[*at]))).collect();
            lines.push(Line { name, points, band, smooth });
        }
        if let Some(first) = twice.first() {
            let (which, has) = match twice.len() {
                1 => (format!("'{first}'"), "has"),
                n => (format!("'{first}' and {} other series", n - 1), "have"),
            };
            let x = self.columns.name(x);
            self.notes.push(format!(
                "{which} {has} several points at one {x}: a column that tells them apart can be the series"
            ));
        }
        Ok(self.chart(along, up, Marks::Lines(lines)))
    }
}
