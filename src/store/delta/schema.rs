//! Arrow schemas as Delta schemas.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::kernel::Action;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use serde_json::json;

use crate::schema::Table;
use crate::store::error::{Result, StoreError};

/// The actions that make a table: protocol and metadata.
pub fn creation(table: &Table, columns: &SchemaRef) -> Result<Vec<Action>> {
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let protocol = serde_json::from_value(protocol).expect("it is written as the Delta protocol says");
    Ok(vec![protocol, metadata(table, columns)?])
}

/// The action that gives a table this schema.
pub fn metadata(table: &Table, columns: &SchemaRef) -> Result<Action> {
    let mut fields: Vec<_> = columns.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let mut partitions = Vec::new();
    if table.by_month() {
        fields.push(Field::new("month", DataType::Utf8, true));
        partitions.push("month");
    }
    let arrow = Schema::new(fields);
    let kernel: deltalake::kernel::StructType = (&arrow).try_into_kernel().map_err(StoreError::arrow(table))?;
    let text = serde_json::to_string(&kernel).expect("a Delta schema is JSON");
    // The id is derived, so that two sealers that both make the table write the same.
    let id = blake3::hash(table.to_string().as_bytes());
    let id = uuid::Uuid::from_slice(&id.as_bytes()[..16]).expect("16 bytes");
    let metadata = json!({"metaData": {
        "id": id.to_string(),
        "name": null,
        "description": null,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": text,
        "partitionColumns": partitions,
        "configuration": {},
        "createdTime": 0,
    }});
    Ok(serde_json::from_value(metadata).expect("it is written as the Delta protocol says"))
}

/// The columns of a table without its partition, as Arrow types of ours.
pub fn columns(stored: &Schema) -> SchemaRef {
    let fields = stored.fields().iter().filter(|f| f.name() != "month");
    Schema::new(fields.map(|f| Field::new(f.name(), plain(f.data_type()), true)).collect::<Vec<_>>()).into()
}

/// The library calls the items of a list `element`; our files call them `item`, and the two must not look like a change.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Field::new("item", plain(item.data_type()), true).into())
        }
        other => other.clone(),
    }
}
