//! Tables that runs log: brought into types that Delta knows, carried as Arrow IPC, read back with the run's columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::schema::timestamp;

/// Columns that every frame begins with.
pub const OWN_COLUMNS: [&str; 2] = ["run_id", "experiment_id"];

/// Names that a logged column may not have: `month` is the partition.
const RESERVED: [&str; 3] = ["run_id", "experiment_id", "month"];

/// A column's name as Delta tells it from others: without case, that of all letters.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Makes the bytes of a record; columns get types that every reader of the store knows.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut names = std::collections::BTreeSet::new();
    for field in rows.schema().fields() {
        let name = field.name();
        if name.is_empty() || RESERVED.contains(&folded(name).as_str()) {
            return Err(ArrowError::SchemaError(format!("a column of a logged table cannot be called '{name}'")));
        }
        if !names.insert(folded(name)) {
            return Err(ArrowError::SchemaError(format!("two columns are called '{name}', save for case")));
        }
    }
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        let data_type = storable(field.data_type()).ok_or_else(|| {
            let (name, data_type) = (field.name(), field.data_type());
            ArrowError::SchemaError(format!("column '{name}' has type {data_type}, which a table cannot hold"))
        })?;
        fields.push(Field::new(field.name(), data_type.clone(), true));
        columns.push(cast(array, &data_type)?);
    }
    let rows = RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows())),
    )?;
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, rows.schema().as_ref())?;
    writer.write(&rows)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// Reads the bytes of a record; the run's id and experiment come first.
pub fn decode(run: &str, experiment: &str, ipc: &[u8]) -> Result<RecordBatch, ArrowError> {
    let reader = StreamReader::try_new(ipc, None)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let rows = concat_batches(&schema, &batches)?;
    let n = rows.num_rows();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; n])) as ArrayRef;
    let mut fields: Vec<_> = OWN_COLUMNS.iter().map(|c| Arc::new(Field::new(*c, DataType::Utf8, true))).collect();
    fields.extend(schema.fields().iter().cloned());
    let mut columns = vec![text(run), text(experiment)];
    columns.extend(rows.columns().iter().cloned());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The nearest type that Delta knows; `None` when there is none.
fn storable(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match data_type {
        Boolean | Utf8 | Int64 | Float64 | Date32 | Binary => data_type.clone(),
        Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 => Int64,
        // Beyond the greatest bigint the cast fails, which is told.
        UInt64 => Int64,
        Float16 | Float32 => Float64,
        LargeUtf8 | Utf8View => Utf8,
        LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        Date64 => Date32,
        Timestamp(..) => timestamp(),
        Null => Utf8,
        Dictionary(_, value) => storable(value)?,
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            List(Arc::new(Field::new("item", storable(item.data_type())?, true)))
        }
        Decimal128(p, s) if *s >= 0 => Decimal128(*p, *s),
        Duration(TimeUnit::Microsecond) => Int64,
        _ => return None,
    })
}

/// The columns that hold the rows of both, in the order of their first appearance. Numbers of two types become doubles,
/// anything else of two types becomes text.
pub fn union(a: &SchemaRef, b: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = a.fields().iter().map(|f| f.as_ref().clone()).collect();
    for new in b.fields() {
        match fields.iter_mut().find(|f| folded(f.name()) == folded(new.name())) {
            None => fields.push(new.as_ref().clone()),
            Some(old) if old.data_type() == new.data_type() => {}
            Some(old) => {
                let number = |t: &DataType| matches!(t, DataType::Int64 | DataType::Float64);
                let both = number(old.data_type()) && number(new.data_type());
                *old = Field::new(old.name(), if both { DataType::Float64 } else { DataType::Utf8 }, true);
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// Rows with the columns of `schema`: missing ones are NULL, others are cast.
pub fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let found = rows.schema().fields().iter().position(|f| folded(f.name()) == folded(field.name()));
        match found {
            Some(i) => cast(rows.column(i), field.data_type()),
            None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
