//! Reading one Parquet file of an export, batch by batch.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::super::tree;
use super::claims;
use super::columns::{self, Rows};

/// Rows that are read at once.
const BATCH: usize = 1024;
/// Longest footer: it grows with the row groups, of which the exporter writes some for each attribute.
const LONGEST_FOOTER: u64 = 256 << 20;

/// Whether a file is a part of an export, by its columns.
pub fn is_one(path: &Path) -> bool {
    guarded(|| open(path)).is_ok_and(|(_, metadata)| columns::are_of_an_export(metadata.schema()))
}

/// Hands over the rows of a file in batches. Gives the columns that nobody reads.
pub fn read(path: &Path, mut each: impl FnMut(&Rows) -> Result<(), String>) -> Result<Vec<String>, String> {
    guarded(|| {
        let (mut file, metadata) = open(path)?;
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        claims::check(&mut file, length, metadata.metadata())?;
        let (places, schema) = columns::chosen(metadata.schema())?;
        let unknown = columns::unknown(metadata.schema()).into_iter().map(str::to_string).collect();
        let metadata = with_schema(&metadata, schema)?;
        let mask = ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), places);
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(BATCH)
            .with_projection(mask)
            .build()
            .map_err(|e| e.to_string())?;
        for batch in batches {
            each(&Rows::new(&batch.map_err(|e| e.to_string())?)?)?;
        }
        Ok(unknown)
    })
}

fn open(path: &Path) -> Result<(File, ArrowReaderMetadata), String> {
    let file = tree::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    footer(&file, length)?;
    // What some program noted of its own types counts less than what is in the file.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options).map_err(|e| e.to_string())?;
    Ok((file, metadata))
}

/// Checks the length of the footer before it is read whole.
fn footer(mut file: &File, length: u64) -> Result<(), String> {
    let mut end = [0; 8];
    let at = length.checked_sub(8).ok_or("it is too short for a Parquet file")?;
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut end)).map_err(|e| e.to_string())?;
    let claimed = u64::from(u32::from_le_bytes(end[..4].try_into().expect("4 bytes")));
    match &end[4..] {
        b"PAR1" if claimed <= at.min(LONGEST_FOOTER) => Ok(()),
        b"PAR1" => Err(format!("its footer claims to have {claimed} bytes")),
        _ => Err("it is no Parquet file, or it was cut short".to_string()),
    }
}

fn with_schema(metadata: &ArrowReaderMetadata, schema: Schema) -> Result<ArrowReaderMetadata, String> {
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(|e| e.to_string())
}

/// The reader of Parquet files is not ours, and some of what is damaged makes it panic.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("the Parquet reader gave up on it: {}", said.unwrap_or("it said nothing")))
    })
}
