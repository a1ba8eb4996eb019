//! Bars, dots and boxes: values of categories.

use std::collections::HashMap;

use super::{Ends, MOST_CATEGORIES, Reading};
use crate::report::chart::columns::ChartError;
use crate::report::chart::palette::SERIES;
use crate::report::chart::{BarSeries, Bars, Chart, ChartKind, Dot, Marks};

/// A value with the ends of its interval; where there is none, they are where it is.
fn with_ends(values: &[f64], interval: Option<&Ends>, row: usize) -> (f64, f64, f64) {
    let value = values[row];
    let end = |ends: &Vec<f64>| if ends[row].is_finite() { ends[row] } else { value };
    interval.map_or((value, value, value), |(low, high)| (value, end(low), end(high)))
}

impl Reading<'_> {
    pub(super) fn categories(mut self) -> Result<Chart, ChartError> {
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
        if y.len() > 1 && options.series.is_some() {
            return Err(ChartError::Option("several columns of values are series already".to_string()));
        }
        if y.len() > 1 && interval.is_some() && options.low.is_some() {
            return Err(ChartError::Option("one interval does not go with several columns of values".to_string()));
        }
        let interval = interval.filter(|_| y.len() == 1);
        match options.kind {
            ChartKind::Dot => self.dots(x, y[0], interval),
            _ => self.bars(x, &y, interval),
        }
    }

    fn dots(mut self, x: usize, y: usize, interval: Option<Ends>) -> Result<Chart, ChartError> {
        let options = self.options;
        let names = self.run_names(x);
        let sections = self.named_series()?.map(|at| self.columns.labels(at));
        let values = self.columns.numbers(y, "a dot")?;
        let mut rows: Vec<usize> = (0..values.len()).filter(|row| values[*row].is_finite()).collect();
        self.left_out(values.len() - rows.len());
        if rows.is_empty() {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        if let Some(sections) = &sections {
            // What belongs to a section stands in it, wherever it came.
            let mut first: HashMap<&String, usize> = HashMap::new();
            sections.iter().enumerate().for_each(|(row, section)| _ = first.entry(section).or_insert(row));
            rows.sort_by_key(|row| first[&sections[*row]]);
        }
        self.at_most(&mut rows, MOST_CATEGORIES, "rows");
        let dot = |row: usize| {
            let (value, low, high) = with_ends(&values, interval.as_ref(), row);
            Dot { section: sections.as_ref().map(|all| all[row].clone()), name: names[row].clone(), value, low, high }
        };
        let dots = rows.into_iter().map(dot).collect();
        let up = self.axis(&[y], options.y_label.as_ref(), false)?;
        let along = self.along(Some(x));
        Ok(self.chart(along, up, Marks::Dots(dots)))
    }

    fn bars(mut self, x: usize, y: &[usize], interval: Option<Ends>) -> Result<Chart, ChartError> {
        let options = self.options;
        let categories = self.run_names(x);
        let mut order: Vec<String> = Vec::new();
        let mut places: HashMap<&String, usize> = HashMap::new();
        for category in &categories {
            let next = places.len();
            if *places.entry(category).or_insert(next) == next && next < MOST_CATEGORIES {
                order.push(category.clone());
            }
        }
        self.first_of(places.len(), MOST_CATEGORIES, "categories");
        let groups = self.series(self.named_series()?);
        let single = groups.len() == 1 && options.series.is_none();
        let mut bars = Vec::new();
        let (mut twice, mut left_out) = (false, 0);
        for column in y {
            let values = self.columns.plain_numbers(*column, "a bar, which begins at 0,")?;
            for (name, rows) in &groups {
                let mut found = vec![(f64::NAN, f64::NAN, f64::NAN); order.len()];
                let mut seen = vec![false; order.len()];
                for row in rows.iter().copied() {
                    let at = places[&categories[row]];
                    let Some(seen) = seen.get_mut(at) else { continue };
                    twice |= std::mem::replace(seen, true);
                    match values[row].is_finite() {
                        true => found[at] = with_ends(&values, interval.as_ref(), row),
                        false => left_out += 1,
                    }
                }
                let name = if single && y.len() > 1 { Some(self.named_with_unit(*column)) } else { name.clone() };
                bars.push(BarSeries { name, values: found });
            }
        }
        if twice {
            let name = self.columns.name(x);
            return Err(ChartError::Option(format!(
                "a category of '{name}' comes twice: group by it, or name the column that tells them apart as series"
            )));
        }
        self.not_drawn(left_out, "bar", "without a finite value");
        if bars.iter().all(|series| series.values.iter().all(|(value, ..)| value.is_nan())) {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        self.at_most(&mut bars, SERIES.len(), "series");
        let axis = self.axis(y, options.y_label.as_ref(), false)?;
        let x = self.along(Some(x));
        Ok(self.chart(x, axis, Marks::Bars(Bars { categories: order, series: bars })))
    }

    pub(super) fn boxes(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let x = match options.x.as_deref() {
            Some(name) => self.pick(Some(name), &[], |_, _| true)?,
            None => self.pick(None, &[], |c, at| !c.is_number(at) && !c.is_time(at))?,
        };
        let y = self.values(&["value", "score"])?;
        if y.is_empty() || (y.len() > 1 && options.x.is_some()) {
            return Err(self.missing("a column of numbers, and one of categories where there are several"));
        }
        let axis = self.axis(&y, options.y_label.as_ref(), options.log_y)?;
        let mut boxes: Vec<(String, Vec<f64>)> = Vec::new();
        let (mut left_out, mut below) = (0, 0);
        for column in &y {
            let values = self.columns.numbers(*column, "a box")?;
            let groups = if y.len() > 1 { self.series(None) } else { self.series(x) };
            for (name, rows) in groups {
                let all = rows.len();
                let finite: Vec<f64> = rows.into_iter().map(|row| values[row]).filter(|x| x.is_finite()).collect();
                let there = finite.len();
                let kept: Vec<f64> = finite.into_iter().filter(|x| !options.log_y || *x > 0.0).collect();
                left_out += all - there;
                below += there - kept.len();
                if !kept.is_empty() {
                    boxes.push((name.unwrap_or_else(|| self.named_with_unit(*column)), kept));
                }
            }
        }
        let what = if y.len() > 1 { "value" } else { "row" };
        self.not_drawn(left_out, what, "without a finite value");
        self.below(below, what);
        if boxes.is_empty() {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        self.at_most(&mut boxes, MOST_CATEGORIES, "categories");
        let x = self.along(x.filter(|_| y.len() == 1));
        Ok(self.chart(x, axis, Marks::Boxes(boxes)))
    }
}
