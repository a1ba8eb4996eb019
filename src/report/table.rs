//! Rows as a table of a report: numbers aligned, and rounded to what tells them apart.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};

use crate::export::value::{Floats, float, is_number, value};
use crate::export::{escape_html, escape_markdown};

/// A table whose cells are text.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    headers: Vec<Header>,
    /// `None` is NULL.
    rows: Vec<Vec<Option<String>>>,
    /// Rows of the answer, shown or not.
    pub total: usize,
    /// Whether a number has more digits than are shown.
    pub rounded: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Header {
    name: String,
    right: bool,
}

impl Table {
    /// The first rows of an answer.
    pub fn of(schema: &Schema, batches: &[RecordBatch], most: usize) -> Table {
        let total = batches.iter().map(RecordBatch::num_rows).sum();
        let shown = most.min(total);
        let mut rows: Vec<Vec<Option<String>>> = vec![Vec::new(); shown];
        let mut headers = Vec::new();
        let mut rounded = false;
        for (i, field) in schema.fields().iter().enumerate() {
            headers.push(Header { name: field.name().clone(), right: is_number(field.data_type()) });
            let cells = match field.data_type() {
                DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                    let (cells, all) = numbers(batches, i, shown);
                    rounded |= !all;
                    cells
                }
                _ => {
                    let (cells, all) = texts(batches, i, shown);
                    rounded |= !all;
                    cells
                }
            };
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
        Table { headers, rows, total, rounded }
    }

    /// A table of texts.
    pub fn texts(headers: &[&str], rows: Vec<Vec<String>>) -> Table {
        let headers = headers.iter().map(|name| Header { name: name.to_string(), right: false }).collect();
        let total = rows.len();
        let rows = rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
        Table { headers, rows, total, rounded: false }
    }

    /// How many rows stand there.
    pub fn shown(&self) -> usize {
        self.rows.len()
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let class = |header: &Header| if header.right { " class=\"n\"" } else { "" };
        let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
        for header in &self.headers {
            html += &format!("<th{}>{}</th>", class(header), escape_html(&header.name));
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            html += "<tr>";
            for (cell, header) in row.iter().zip(&self.headers) {
                match cell {
                    Some(text) => html += &format!("<td{}>{}</td>", class(header), escape_html(text)),
                    None => html += &format!("<td{}><span class=\"null\">NULL</span></td>", class(header)),
                }
            }
            html += "</tr>\n";
        }
        html + "</tbody>\n</table></div>\n"
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("|");
        self.headers.iter().for_each(|header| text += &format!(" {} |", escape_markdown(&header.name)));
        text += "\n|";
        self.headers.iter().for_each(|header| text += if header.right { " ---: |" } else { " --- |" });
        for row in &self.rows {
            text += "\n|";
            row.iter().for_each(|cell| text += &format!(" {} |", escape_markdown(cell.as_deref().unwrap_or("NULL"))));
        }
        text + "\n"
    }
}

/// Other cells, and whether the floats within them, such as in lists, have all their digits.
fn texts(batches: &[RecordBatch], column: usize, shown: usize) -> (Vec<Option<String>>, bool) {
    let mut all = true;
    let mut cells = Vec::new();
    for batch in batches {
        let array = batch.column(column);
        for row in 0..array.len().min(shown - cells.len()) {
            let cell = value(array.as_ref(), row);
            let (mut text, mut exact) = (String::new(), String::new());
            cells.push(cell.write_text(Floats::Readable, &mut text).then(|| text.clone()));
            if array.data_type().is_nested() {
                cell.write_text(Floats::Exact, &mut exact);
                all &= exact == text;
            }
        }
    }
    (cells, all)
}

/// Floats of a column with as many decimals for all, and whether these are all digits there are.
fn numbers(batches: &[RecordBatch], column: usize, shown: usize) -> (Vec<Option<String>>, bool) {
    let mut values: Vec<Option<f64>> = Vec::new();
    for batch in batches {
        let array = cast(batch.column(column), &DataType::Float64).expect("a float is a double");
        values.extend(array.as_primitive::<Float64Type>().iter());
        if values.len() >= shown {
            break;
        }
    }
    values.truncate(shown);
    let finite: Vec<f64> = values.iter().flatten().copied().filter(|x| x.is_finite()).collect();
    let decimals = decimals(&finite);
    let text = |x: f64| match decimals {
        Some(decimals) if x.is_finite() => fixed(x, decimals),
        _ => float(x, Floats::Readable),
    };
    let all = finite.iter().all(|x| text(*x).parse() == Ok(*x));
    (values.into_iter().map(|x| x.map(text)).collect(), all)
}

fn fixed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    // What rounds to nothing has no sign.
    match text.strip_prefix('-') {
        Some(positive) if positive.bytes().all(|b| b == b'0' || b == b'.') => positive.to_string(),
        _ => text,
    }
}

/// Decimals that a column takes: four digits of its largest number, up to seven while numbers that differ look the same, none
/// where all are whole. `None` where sizes are too far apart for one number of decimals.
fn decimals(values: &[f64]) -> Option<usize> {
    let sizes = || values.iter().map(|x| x.abs()).filter(|x| *x > 0.0);
    let (least, most) = sizes().fold((f64::MAX, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
    if most == 0.0 {
        return Some(0);
    }
    if !(1e-6..1e12).contains(&most) || most / least > 1e7 {
        return None;
    }
    if values.iter().all(|x| x.fract() == 0.0) {
        return Some(0);
    }
    let of = |digits: i32| (digits - 1 - most.log10().floor() as i32).max(0) as usize;
    let mut distinct = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let apart = |decimals: usize| distinct.windows(2).all(|pair| fixed(pair[0], decimals) != fixed(pair[1], decimals));
    // No more than it takes to say each of them exactly.
    let exact = |decimals: usize| values.iter().all(|x| fixed(*x, decimals).parse() == Ok(*x));
    let wanted = (4..7).map(of).find(|decimals| apart(*decimals)).unwrap_or_else(|| of(7));
    (1..wanted).find(|decimals| exact(*decimals)).or(Some(wanted))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray};

    use super::*;

    fn shown(values: &[f64]) -> Vec<String> {
        let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let batch = RecordBatch::try_from_iter([("x", array)]).unwrap();
        numbers(&[batch], 0, values.len()).0.into_iter().map(Option::unwrap).collect()
    }

    #[test]
    fn floats_of_a_column_have_the_digits_that_tell_them_apart() {
        assert_eq!(shown(&[0.98765432, 0.5, 0.25]), ["0.9877", "0.5000", "0.2500"]);
        assert_eq!(shown(&[0.5, 0.25]), ["0.50", "0.25"]);
        assert_eq!(shown(&[0.981234, 0.981231]), ["0.981234", "0.981231"]);
        assert_eq!(shown(&[1234.5678, 0.5, 0.25]), ["1234.6", "0.5", "0.2"]);
        assert_eq!(shown(&[3.0, 12.0, -1.0]), ["3", "12", "-1"]);
        assert_eq!(shown(&[1e-9, 0.5]), ["1e-9", "0.5"], "one number of decimals would make one of them nothing");
        assert_eq!(shown(&[-0.0001, 123.456]), ["0.0", "123.5"]);
        assert_eq!(shown(&[f64::NAN, 0.5, f64::INFINITY]), ["NaN", "0.5", "Infinity"]);
        assert_eq!(shown(&[0.0, -0.0]), ["0", "0"]);
    }

    #[test]
    fn long_tables_are_cut_and_cells_are_inert() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("<b>|*x*"), None, Some("c\nd")]));
        let counts: ArrayRef = Arc::new(Int64Array::from(vec![1, 20, 300]));
        let batch = RecordBatch::try_from_iter([("a|b", names), ("n", counts)]).unwrap();
        let table = Table::of(&batch.schema(), std::slice::from_ref(&batch), 2);
        assert_eq!((table.total, table.shown(), table.rounded), (3, 2, false));
        assert!(table.html().contains("<td>&lt;b&gt;|*x*</td><td class=\"n\">1</td>"), "{}", table.html());
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(0.5), Some(1.234567891)])]);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
        assert!(Table::of(&batch.schema(), &[batch], 5).rounded);
        let markdown = "| a\\|b | n |\n| --- | ---: |\n| &lt;b&gt;\\|\\*x\\* | 1 |\n| NULL | 20 |\n";
        assert_eq!(table.markdown(), markdown);
    }
}
