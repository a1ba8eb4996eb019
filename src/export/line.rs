//! One `name = value` per line and a blank line between rows: for rows too wide for a table.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::value::{Floats, value};
use super::visible::{display_width, escape};
use super::{Output, Result, Sink, Written};

pub(super) struct LineSink<'w> {
    out: Output<'w>,
    /// Padded to one width.
    names: Vec<String>,
    rows: usize,
}

impl<'w> LineSink<'w> {
    pub(super) fn new(out: Output<'w>) -> Self {
        LineSink { out, names: Vec::new(), rows: 0 }
    }
}

impl Sink for LineSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        let names: Vec<_> = schema.fields().iter().map(|field| escape(field.name())).collect();
        let width = names.iter().map(|name| display_width(name)).max().unwrap_or(0);
        self.names = names.iter().map(|name| format!("{}{name}", " ".repeat(width - display_width(name)))).collect();
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut lines = String::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            if self.rows > 0 {
                lines.push('\n');
            }
            for (name, column) in std::iter::zip(&self.names, batch.columns()) {
                text.clear();
                let some = value(column.as_ref(), row).write_text(Floats::Exact, &mut text);
                lines.push_str(name);
                lines.push_str(" = ");
                lines.push_str(&escape(if some { &text } else { "NULL" }));
                lines.push('\n');
            }
            self.rows += 1;
        }
        Ok(self.out.write_all(lines.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
