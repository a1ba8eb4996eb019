//! A Markdown table that shows the text as it is, whatever marks it holds.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::value::{Floats, is_number, value};
use super::visible::escape;
use super::{Output, Result, Sink, Written};

pub(super) struct MarkdownSink<'w> {
    out: Output<'w>,
    rows: usize,
}

impl<'w> MarkdownSink<'w> {
    pub(super) fn new(out: Output<'w>) -> Self {
        MarkdownSink { out, rows: 0 }
    }
}

/// Appends text with everything escaped that Markdown or HTML within it would take for a mark.
fn push(line: &mut String, text: &str) {
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line.push_str("<br>"),
            '\r' if chars.peek() == Some(&'\n') => {}
            '&' => line.push_str("&amp;"),
            '<' => line.push_str("&lt;"),
            '>' => line.push_str("&gt;"),
            // Escaped, it would still end code that begins before.
            '`' => line.push_str("&#96;"),
            '\\' | '|' | '*' | '[' | ']' | '~' | '$' => line.extend(['\\', c]),
            // Within a word, as in max_depth, it marks nothing.
            '_' if before.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric()) => {
                line.push('_')
            }
            '_' => line.push_str("\\_"),
            c => line.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
        before = c;
    }
}

/// Text as it stands in a cell.
pub(crate) fn escape_markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    push(&mut safe, text);
    safe
}

/// Rows as a table.
pub(crate) fn markdown_table(rows: &RecordBatch) -> String {
    let mut bytes = Vec::new();
    let mut sink: Box<dyn Sink + '_> = Box::new(MarkdownSink::new(&mut bytes));
    let written = sink.schema(&rows.schema()).and_then(|()| sink.batch(rows)).and_then(|()| sink.finish());
    written.expect("memory takes all");
    String::from_utf8(bytes).expect("it is text")
}

impl Sink for MarkdownSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        let mut text = String::from("|");
        for field in schema.fields() {
            text.push(' ');
            push(&mut text, field.name());
            text.push_str(" |");
        }
        text.push_str("\n|");
        for field in schema.fields() {
            text.push_str(if is_number(field.data_type()) { " ---: |" } else { " --- |" });
        }
        text.push('\n');
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut lines = String::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            lines.push('|');
            for column in batch.columns() {
                text.clear();
                lines.push(' ');
                if value(column.as_ref(), row).write_text(Floats::Exact, &mut text) {
                    push(&mut lines, &text);
                }
                lines.push_str(" |");
            }
            lines.push('\n');
        }
        self.rows += batch.num_rows();
        Ok(self.out.write_all(lines.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
