//! Aligned columns for people: fits a width, shows what was cut, and lets nothing through to the terminal.
//!
//! Columns share the width like this: all get what they ask for if that fits; else the widest texts are cut first,
//! numbers and times never; if even short texts do not fit, the last columns are left out and named below the table.

use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::value::{Floats, is_number, value};
use super::visible::{clip, display_width, escape};
use super::{Output, Result, Sink, Written};

/// Between two columns.
const GAP: &str = "  ";
/// A text column is not cut below this.
const NARROWEST: usize = 12;

/// How a table is laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns of the terminal; `None`: as wide as the widest row.
    pub width: Option<usize>,
    /// Rows shown; `None`: all.
    pub max_rows: Option<usize>,
    /// Whether headers, NULLs and notes are set apart by terminal styles.
    pub color: bool,
}

impl TableOptions {
    fn styled(&self, style: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }
}

/// Lays out rows as a table; ends with a line break. What was left out is said in a line below.
pub fn render_table(batches: &[RecordBatch], options: &TableOptions) -> String {
    let Some(first) = batches.first() else { return String::new() };
    let total = batches.iter().map(RecordBatch::num_rows).sum();
    render(&first.schema(), batches, total, options).0
}

/// A column on its way to the page.
struct Column {
    header: String,
    /// `None` is NULL.
    cells: Vec<Option<String>>,
    right: bool,
    /// Stands in full or not at all: half a number or half a time would mislead.
    rigid: bool,
    /// Columns of the terminal that it asks for, then gets.
    width: usize,
}

impl Column {
    /// The least it takes.
    fn floor(&self) -> usize {
        if self.rigid { self.width } else { self.width.min(NARROWEST) }
    }
}

fn render(schema: &Schema, batches: &[RecordBatch], total: usize, options: &TableOptions) -> (String, Written) {
    let shown = total.min(options.max_rows.unwrap_or(usize::MAX));
    let mut columns = columns(schema, batches, shown);
    let hidden = options.width.map(|width| fit(&mut columns, width)).unwrap_or_default();

    let mut text = String::new();
    write_row(&mut text, &columns, |column| (column.header.as_str(), Style::Header), options);
    let rules: Vec<String> = columns.iter().map(|column| "─".repeat(column.width)).collect();
    let _ = writeln!(text, "{}", options.dim(&rules.join(GAP)));
    for row in 0..shown {
        let cell = |column: &Column| match &column.cells[row] {
            Some(_) => Style::Plain,
            None => Style::Null,
        };
        write_row(&mut text, &columns, |c| (c.cells[row].as_deref().unwrap_or("NULL"), cell(c)), options);
    }

    let mut notes = Vec::new();
    if total > shown {
        let rows = if total == 1 { "row" } else { "rows" };
        notes.push(format!("{shown} of {total} {rows} shown"));
    }
    if !hidden.is_empty() {
        let columns = if hidden.len() == 1 { "column" } else { "columns" };
        notes.push(format!("{} {columns} not shown: {}", hidden.len(), hidden.join(", ")));
    }
    for note in notes {
        let note = options.width.map_or(note.as_str().into(), |width| clip(&note, width.max(NARROWEST)));
        let _ = writeln!(text, "{}", options.dim(&note));
    }
    (text, Written { rows: total, hidden_rows: total - shown, hidden_columns: hidden })
}

fn columns(schema: &Schema, batches: &[RecordBatch], shown: usize) -> Vec<Column> {
    let column = |(i, field): (usize, &arrow::datatypes::FieldRef)| {
        let header = escape(field.name()).into_owned();
        let mut width = display_width(&header).max(1);
        let mut cells = Vec::with_capacity(shown);
        for batch in batches {
            let array = batch.column(i);
            for row in 0..batch.num_rows().min(shown - cells.len()) {
                let mut text = String::new();
                let some = value(array.as_ref(), row).write_text(Floats::Readable, &mut text);
                let cell = some.then(|| escape(&text).into_owned());
                width = width.max(cell.as_deref().map_or(4, display_width));
                cells.push(cell);
            }
        }
        let right = is_number(field.data_type());
        let rigid = right || field.data_type().is_temporal() || *field.data_type() == DataType::Boolean;
        Column { header, cells, right, rigid, width }
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// Cuts columns to a width; gives the names of those that found no room.
fn fit(columns: &mut Vec<Column>, width: usize) -> Vec<String> {
    let mut room = 0;
    let mut kept = 0;
    for column in columns.iter() {
        let gap = if kept == 0 { 0 } else { GAP.len() };
        if kept > 0 && room + gap + column.floor() > width {
            break;
        }
        room += gap + column.floor();
        kept += 1;
    }
    let hidden = columns.drain(kept..).map(|column| column.header).collect();

    // The largest cap under which everything fits: texts longer than it are cut to it.
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let fits = |cap: usize| columns.iter().map(|c| c.width.min(cap.max(c.floor()))).sum::<usize>() + gaps <= width;
    let (mut low, mut high) = (0, width);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    for column in columns.iter_mut() {
        // Only a first column that is wider than all the room gets less than its floor.
        column.width = column.width.min(low.max(column.floor())).min(width.max(1));
    }
    hidden
}

enum Style {
    Header,
    Plain,
    Null,
}

fn write_row<'a>(
    text: &mut String,
    columns: &'a [Column],
    cell: impl Fn(&'a Column) -> (&'a str, Style),
    options: &TableOptions,
) {
    let mut pending = 0;
    for (i, column) in columns.iter().enumerate() {
        let (content, style) = cell(column);
        let content = clip(content, column.width);
        let space = column.width.saturating_sub(display_width(&content));
        let (before, after) = if column.right { (space, 0) } else { (0, space) };
        // Spaces wait for what follows them, so that no line ends in any.
        pending += before + if i == 0 { 0 } else { GAP.len() };
        if !content.is_empty() {
            text.extend(std::iter::repeat_n(' ', pending));
            pending = 0;
            text.push_str(&match style {
                Style::Header => options.bold(&content),
                Style::Null => options.dim(&content),
                Style::Plain => content.into_owned(),
            });
        }
        pending += after;
    }
    text.push('\n');
}

/// Keeps the rows to be shown and counts the rest.
pub(super) struct TableSink<'w> {
    out: Output<'w>,
    options: TableOptions,
    schema: Option<SchemaRef>,
    batches: Vec<RecordBatch>,
    kept: usize,
    rows: usize,
}

impl<'w> TableSink<'w> {
    pub(super) fn new(out: Output<'w>, options: TableOptions) -> Self {
        TableSink { out, options, schema: None, batches: Vec::new(), kept: 0, rows: 0 }
    }
}

impl Sink for TableSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        self.schema = Some(schema.clone().into());
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        let room = self.options.max_rows.unwrap_or(usize::MAX) - self.kept;
        if room > 0 {
            let batch = batch.slice(0, batch.num_rows().min(room));
            self.kept += batch.num_rows();
            self.batches.push(batch);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Some(schema) = self.schema else { return Ok(Written::default()) };
        let (text, written) = render(&schema, &self.batches, self.rows, &self.options);
        self.out.write_all(text.as_bytes())?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("gbm-3"), None, Some("\u{1b}[2Jfor\nest")])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(20_000), None]))),
            ("auc", Arc::new(Float64Array::from(vec![Some(0.91), Some(f64::NAN), Some(1.0 / 3.0)]))),
            ("note", Arc::new(StringArray::from(vec!["a long remark about this run", "", "学习率 too high"]))),
        ])
        .unwrap()
    }

    #[test]
    fn numbers_stand_right_and_texts_left() {
        assert_snapshot!(render_table(&[batch()], &TableOptions::default()), @r"
        name                   n       auc  note
        ─────────────────  ─────  ────────  ────────────────────────────
        gbm-3                  1      0.91  a long remark about this run
        NULL               20000       NaN
        \u{1b}[2Jfor\nest   NULL  0.333333  学习率 too high
        ");
    }

    #[test]
    fn long_texts_are_cut_first_then_columns_then_rows() {
        let options = |width, max_rows| TableOptions { width: Some(width), max_rows, color: false };
        assert_snapshot!(render_table(&[batch()], &options(50, None)), @r"
        name                 n       auc  note
        ───────────────  ─────  ────────  ───────────────
        gbm-3                1      0.91  a long remark …
        NULL             20000       NaN
        \u{1b}[2Jfor\n…   NULL  0.333333  学习率 too high
        ");
        assert_snapshot!(render_table(&[batch()], &options(30, Some(1))), @r"
        name   n   auc  note
        ─────  ─  ────  ──────────────
        gbm-3  1  0.91  a long remark…
        1 of 3 rows shown
        ");
    }

    #[test]
    fn styles_are_there_only_when_asked_for() {
        let options = TableOptions { color: true, max_rows: Some(2), ..Default::default() };
        let text = render_table(&[batch()], &options);
        assert!(text.contains("\x1b[1mname\x1b[0m") && text.contains("\x1b[2mNULL\x1b[0m"));
        assert!(!render_table(&[batch()], &TableOptions::default()).contains('\x1b'));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            rows in prop::collection::vec((".*", any::<f64>(), "[a-z ]{0,60}"), 0..6),
            width in 24usize..120,
        ) {
            let (a, b, c): (Vec<_>, Vec<_>, Vec<_>) = rows.into_iter().fold(Default::default(), |mut all, row| {
                all.0.push(row.0);
                all.1.push(row.1);
                all.2.push(row.2);
                all
            });
            let batch = RecordBatch::try_from_iter([
                ("a text", Arc::new(StringArray::from(a)) as ArrayRef),
                ("a number", Arc::new(Float64Array::from(b))),
                ("another text", Arc::new(StringArray::from(c))),
            ])
            .unwrap();
            let lines = batch.num_rows() + 2;
            let text = render_table(&[batch], &TableOptions { width: Some(width), max_rows: None, color: false });
            prop_assert!(text.lines().count() >= lines && text.lines().count() <= lines + 1);
            for line in text.lines() {
                prop_assert!(display_width(line) <= width, "{line:?}");
            }
        }
    }
}
