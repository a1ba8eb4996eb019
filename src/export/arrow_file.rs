//! An Arrow IPC file (also known as Feather, version 2).

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;

use super::{ExportError, Output, Result, Sink, Written, file_schema, with_schema};

pub(super) struct ArrowSink<'w> {
    out: Option<Output<'w>>,
    writer: Option<(FileWriter<Output<'w>>, SchemaRef)>,
    rows: usize,
}

impl<'w> ArrowSink<'w> {
    pub(super) fn new(out: Output<'w>) -> Self {
        ArrowSink { out: Some(out), writer: None, rows: 0 }
    }
}

impl Sink for ArrowSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        let schema = file_schema(schema);
        let out = self.out.take().expect("the schema comes once");
        let writer = FileWriter::try_new(out, &schema).map_err(ExportError::arrow)?;
        self.writer = Some((writer, schema));
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let (writer, schema) = self.writer.as_mut().expect("the schema comes before rows");
        let batch = with_schema(schema, batch).map_err(ExportError::arrow)?;
        self.rows += batch.num_rows();
        writer.write(&batch).map_err(ExportError::arrow)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        if let Some((mut writer, _)) = self.writer {
            writer.finish().map_err(ExportError::arrow)?;
        }
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
