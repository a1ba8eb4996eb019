//! Lines.

use super::{MOST_POINTS, MOST_SERIES, Reading};
use crate::report::chart::columns::{ChartError, label};
use crate::report::chart::{Chart, Line, Marks};
use crate::stats::{Smoothing, thin};

impl Reading<'_> {
    pub(super) fn line(mut self) -> Result<Chart, ChartError> {
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
            let smooth = options.smooth.map(|alpha| {
                let mut smoothing = Smoothing::default();
                rows.iter().map(|row| smoothing.next(values[*row], alpha).unwrap_or(f64::NAN)).collect::<Vec<_>>()
            });
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
}
