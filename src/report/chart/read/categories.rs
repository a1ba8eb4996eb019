//! Bars, dots and boxes: values of categories.

use super::{MOST_CATEGORIES, Reading};
use crate::report::chart::columns::{ChartError, label};
use crate::report::chart::palette::SERIES;
use crate::report::chart::{Axis, BarSeries, Bars, Chart, ChartKind, Dot, Marks};

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
        self.at_most(&mut bars, SERIES.len(), "series");
        let axis = self.axis(&y, options.y_label.as_ref(), false);
        let named = match options.x_label.as_deref() {
            Some(text) => label(text),
            None if series.is_some() => label(&self.columns.name(x)),
            None => String::new(),
        };
        let x = Axis { label: named, log: false, time: false };
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
}
