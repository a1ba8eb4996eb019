//! A Parquet file, compressed with Zstandard, written row group by row group.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{ExportError, Output, Result, Sink, Written, file_schema, with_schema};

pub(super) struct ParquetSink<'w> {
    out: Option<Output<'w>>,
    writer: Option<(ArrowWriter<Output<'w>>, SchemaRef)>,
    rows: usize,
}

impl<'w> ParquetSink<'w> {
    pub(super) fn new(out: Output<'w>) -> Self {
        ParquetSink { out: Some(out), writer: None, rows: 0 }
    }
}

impl Sink for ParquetSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        let schema = file_schema(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(128 * 1024))
            .build();
        let out = self.out.take().expect("the schema comes once");
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(ExportError::parquet)?;
        self.writer = Some((writer, schema));
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let (writer, schema) = self.writer.as_mut().expect("the schema comes before rows");
        let batch = with_schema(schema, batch).map_err(|e| ExportError::parquet(e.into()))?;
        self.rows += batch.num_rows();
        writer.write(&batch).map_err(ExportError::parquet)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        if let Some((writer, _)) = self.writer {
            writer.close().map_err(ExportError::parquet)?;
        }
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
