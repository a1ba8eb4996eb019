//! Heat maps.

use std::collections::HashMap;

use super::{MOST_CATEGORIES, Reading};
use crate::report::chart::columns::ChartError;
use crate::report::chart::{Chart, Grid, Marks};

impl Reading<'_> {
    pub(super) fn heat(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let value = match options.value.as_deref() {
            Some(name) => self.pick(Some(name), &[], |_, _| true)?,
            // Numbers may well be categories here, so the cell's is the last.
            None => {
                let free = |at: &usize| !self.taken.contains(at) && self.columns.is_number(*at);
                let usual = ["value", "score", "mean"].iter().filter_map(|name| self.columns.find(name)).find(free);
                let value = usual.or_else(|| (0..self.columns.names().len()).rev().find(free));
                self.taken.extend(value);
                value
            }
        };
        let x = self.pick(options.x.as_deref(), &["x"], |_, _| true)?;
        let y = self.pick(options.y.first().map(String::as_str), &["y"], |_, _| true)?;
        let (Some(value), Some(x), Some(y)) = (value, x, y) else {
            return Err(self.missing("two columns of categories and one of numbers"));
        };
        let (mut columns, mut rows) = (self.levels(x), self.levels(y));
        self.at_most(&mut columns, MOST_CATEGORIES, "columns");
        self.at_most(&mut rows, MOST_CATEGORIES, "rows");
        let places = |levels: &[String]| -> HashMap<String, usize> {
            levels.iter().enumerate().map(|(i, level)| (level.clone(), i)).collect()
        };
        let (column_of, row_of) = (places(&columns), places(&rows));
        let (xs, ys) = (self.columns.labels(x), self.columns.labels(y));
        let numbers = self.columns.plain_numbers(value, "a cell")?;
        let mut values = vec![vec![f64::NAN; columns.len()]; rows.len()];
        let mut seen = vec![vec![false; columns.len()]; rows.len()];
        for (row, number) in numbers.into_iter().enumerate() {
            let (Some(i), Some(j)) = (row_of.get(&ys[row]), column_of.get(&xs[row])) else { continue };
            if std::mem::replace(&mut seen[*i][*j], true) {
                return Err(ChartError::Option("a cell comes twice: group by both categories".to_string()));
            }
            values[*i][*j] = if number.is_finite() { number } else { f64::NAN };
        }
        if values.iter().flatten().all(|x| x.is_nan()) {
            return Err(ChartError::Empty("no value is a finite number".to_string()));
        }
        let across = self.axis(&[x], options.x_label.as_ref(), false)?;
        let down = self.axis(&[y], options.y_label.as_ref(), false)?;
        let label = self.named_with_unit(value);
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
