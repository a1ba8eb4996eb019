//! JSON: an array with an object per row, or (NDJSON) an object per line.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::value::{Floats, value, write_json_text};
use super::{Output, Result, Sink, Written, unique_names};

pub(super) struct JsonSink<'w> {
    out: Output<'w>,
    array: bool,
    /// Each with its quotes and colon.
    names: Vec<String>,
    rows: usize,
}

impl<'w> JsonSink<'w> {
    pub(super) fn array(out: Output<'w>) -> Self {
        JsonSink { out, array: true, names: Vec::new(), rows: 0 }
    }

    pub(super) fn lines(out: Output<'w>) -> Self {
        JsonSink { array: false, ..Self::array(out) }
    }
}

impl Sink for JsonSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        for name in unique_names(schema) {
            let mut quoted = String::new();
            write_json_text(&name, &mut quoted);
            quoted.push(':');
            self.names.push(quoted);
        }
        if self.array {
            self.out.write_all(b"[")?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            if self.array {
                text.push_str(if self.rows == 0 { "\n" } else { ",\n" });
            }
            text.push('{');
            for (i, column) in batch.columns().iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&self.names[i]);
                value(column.as_ref(), row).write_json(Floats::Exact, &mut text);
            }
            text.push('}');
            if !self.array {
                text.push('\n');
            }
            self.rows += 1;
        }
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        if self.array {
            self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
