//! CSV (RFC 4180, with plain line feeds) and TSV: a header, NULL as nothing, empty text as `""`.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::value::{Floats, value};
use super::{Output, Result, Sink, Written};

pub(super) struct CsvSink<'w> {
    out: Output<'w>,
    delimiter: u8,
    rows: usize,
}

impl<'w> CsvSink<'w> {
    pub(super) fn new(out: Output<'w>, delimiter: u8) -> Self {
        CsvSink { out, delimiter, rows: 0 }
    }

    /// Appends a field, quoted where a reader would stumble over it, or take it for NULL.
    fn push(&self, line: &mut String, text: &str) {
        let special = |c: char| c == '"' || c == '\n' || c == '\r' || c == char::from(self.delimiter);
        // Several readers strip spaces around a bare field.
        let bare = !text.is_empty() && !text.contains(special) && text.trim().len() == text.len();
        if bare {
            line.push_str(text);
        } else {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        }
    }

    fn end(&self, line: &mut String, column: usize, columns: usize) {
        line.push(if column + 1 == columns { '\n' } else { char::from(self.delimiter) });
    }
}

impl Sink for CsvSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        let mut line = String::new();
        for (i, field) in schema.fields().iter().enumerate() {
            self.push(&mut line, field.name());
            self.end(&mut line, i, schema.fields().len());
        }
        Ok(self.out.write_all(line.as_bytes())?)
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut lines = String::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (i, column) in batch.columns().iter().enumerate() {
                text.clear();
                if value(column.as_ref(), row).write_text(Floats::Exact, &mut text) {
                    self.push(&mut lines, &text);
                }
                self.end(&mut lines, i, batch.num_columns());
            }
        }
        self.rows += batch.num_rows();
        Ok(self.out.write_all(lines.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
