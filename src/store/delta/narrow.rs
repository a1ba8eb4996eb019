//! Footers of the columns alone that a query reads.
//!
//! What is read of `runs` are a few of its columns, and each that a footer names costs time in every file: of 36,000
//! columns twice as much as reading the footer did.
//!
//! A footer says as well as which types its columns are to be read. Texts in structs are read as views: a repeated value
//! is not copied for every row, and a comparison looks at the view alone (a text filter over a million runs: half the
//! time).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::ConvertedType;
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// Footers of so few columns serve as they are when there is no struct among them.
const FEW_COLUMNS: usize = 64;

/// A type with views for the texts in its structs.
pub fn text_views(data_type: &DataType) -> DataType {
    let leaf = |leaf: &FieldRef| match leaf.data_type() {
        DataType::Utf8 => Arc::new(leaf.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(leaf),
    };
    match data_type {
        DataType::Struct(leaves) => DataType::Struct(leaves.iter().map(leaf).collect()),
        other => other.clone(),
    }
}

/// The footer as if its file had no other columns than these, to be read as these types where they can be.
pub fn narrowed(footer: Arc<ParquetMetaData>, wanted: &Schema) -> Result<Arc<ParquetMetaData>> {
    let file = footer.file_metadata();
    let (all, root) = (file.schema_descr(), file.schema_descr().root_schema());
    if all.num_columns() <= FEW_COLUMNS && !root.get_fields().iter().any(|column| is_struct(column)) {
        return Ok(footer);
    }
    // A file without any column is none: rows are counted by those that there are.
    let Some(chosen) = Chosen::of(root, wanted)?.filter(|chosen| !chosen.leaves.is_empty()) else { return Ok(footer) };
    let types = encode_arrow_schema(&Schema::new(chosen.fields));
    let types = KeyValue::new(ARROW_SCHEMA_META_KEY.to_string(), types);
    let root = Type::group_type_builder(root.name()).with_fields(chosen.columns).build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let leaves = &chosen.leaves;
    let groups = footer.row_groups().iter().zip(0..).map(|(group, ordinal)| {
        let columns = leaves.iter().map(|&leaf| group.column(leaf).clone()).collect();
        RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(columns)
            .set_ordinal(ordinal)
            .build()
    });
    let groups = groups.collect::<Result<_>>()?;
    let orders = file.column_orders().map(|orders| leaves.iter().map(|&leaf| orders[leaf]).collect());
    let (version, rows, by) = (file.version(), file.num_rows(), file.created_by().map(str::to_string));
    let file = FileMetaData::new(version, rows, by, Some(vec![types]), schema, orders);
    Ok(Arc::new(
        ParquetMetaDataBuilder::new(file)
            .set_row_groups(groups)
            .set_column_index(footer.column_index().map(|index| picked(index, leaves)))
            .set_offset_index(footer.offset_index().map(|index| picked(index, leaves)))
            .build(),
    ))
}

/// Of each row group what belongs to these columns.
fn picked<T: Clone>(groups: &[Vec<T>], leaves: &[usize]) -> Vec<Vec<T>> {
    groups.iter().map(|group| leaves.iter().map(|&leaf| group[leaf].clone()).collect()).collect()
}

/// Columns of a file that are wanted.
#[derive(Default)]
struct Chosen {
    /// Their places among the Parquet columns.
    leaves: Vec<usize>,
    columns: Vec<TypePtr>,
    fields: Vec<Field>,
}

impl Chosen {
    /// `None` where a column is of another shape than the wanted one: what comes of that is for others to say.
    fn of(root: &Type, wanted: &Schema) -> Result<Option<Chosen>> {
        let wanted = by_name(wanted.fields());
        let mut chosen = Chosen::default();
        let mut next = 0;
        for column in root.get_fields() {
            let first = next;
            next += leaves(column);
            let Some(field) = wanted.get(column.name()) else { continue };
            match field.data_type() {
                DataType::Struct(fields) if is_struct(column) => chosen.add_struct(first, column, field, fields)?,
                DataType::List(_) if is_list(column) => chosen.add(first..next, column, field.as_ref().clone()),
                data_type if column.is_primitive() && !data_type.is_nested() => {
                    chosen.add(first..next, column, field.as_ref().clone());
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(chosen))
    }

    fn add(&mut self, leaves: Range<usize>, column: &TypePtr, field: Field) {
        self.leaves.extend(leaves);
        self.columns.push(Arc::clone(column));
        self.fields.push(field);
    }

    /// The wanted leaves of a struct; of one that has none nothing is left.
    fn add_struct(&mut self, first: usize, column: &Type, field: &Field, wanted: &Fields) -> Result<()> {
        let wanted = by_name(wanted);
        let (mut columns, mut fields) = (Vec::new(), Vec::new());
        let mut next = first;
        for leaf in column.get_fields() {
            let first = next;
            next += leaves(leaf);
            if let Some(field) = wanted.get(leaf.name()) {
                self.leaves.extend(first..next);
                columns.push(Arc::clone(leaf));
                fields.push(Arc::clone(field));
            }
        }
        if !columns.is_empty() {
            let column = Type::group_type_builder(column.name())
                .with_repetition(column.get_basic_info().repetition())
                .with_fields(columns);
            self.columns.push(Arc::new(column.build()?));
            self.fields.push(field.clone().with_data_type(DataType::Struct(fields.into())));
        }
        Ok(())
    }
}

fn by_name(fields: &Fields) -> HashMap<&str, &FieldRef> {
    fields.iter().map(|field| (field.name().as_str(), field)).collect()
}

/// Number of Parquet columns of a column.
fn leaves(column: &Type) -> usize {
    match column.is_group() {
        true => column.get_fields().iter().map(|field| leaves(field)).sum(),
        false => 1,
    }
}

fn is_struct(column: &Type) -> bool {
    column.is_group() && column.get_basic_info().converted_type() == ConvertedType::NONE
}

fn is_list(column: &Type) -> bool {
    column.is_group() && column.get_basic_info().converted_type() == ConvertedType::LIST
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
    use arrow::datatypes::{Float64Type, Int32Type};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
    };
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    use parquet::file::properties::WriterProperties;

    use super::*;

    const ROWS: i64 = 1000;

    /// A file of several row groups and pages with a struct of texts, one of numbers, a list and plain columns.
    fn file() -> Bytes {
        let texts = |prefix: &str| -> ArrayRef {
            Arc::new((0..ROWS).map(|n| (n % 3 != 0).then(|| format!("{prefix}{n}"))).collect::<StringArray>())
        };
        let of = |leaves: Vec<(&str, ArrayRef)>| -> ArrayRef { Arc::new(StructArray::try_from(leaves).unwrap()) };
        let lists = (0..ROWS).map(|n| Some((0..n as i32 % 4).map(Some)));
        let doubles = |by: f64| -> ArrayRef { Arc::new((0..ROWS).map(|n| n as f64 * by).collect::<Float64Array>()) };
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef),
            ("texts", of(vec![("a", texts("a")), ("b", texts("b")), ("c", texts("c"))])),
            ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
            ("numbers", of(vec![("x", doubles(0.5)), ("y", doubles(-1.0))])),
            ("last", texts("z")),
        ]);
        let rows = rows.unwrap();
        let options = WriterProperties::builder()
            .set_max_row_group_row_count(Some(400))
            .set_data_page_row_count_limit(50)
            .set_write_batch_size(50)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(options)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        bytes.into()
    }

    fn footer(file: &Bytes) -> Arc<ParquetMetaData> {
        let read = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        Arc::new(read.parse_and_finish(file).unwrap())
    }

    fn field(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    fn structure(name: &str, leaves: Vec<Field>) -> Field {
        Field::new(name, DataType::Struct(leaves.into()), true)
    }

    /// The rows from 430 to 470, by the index of pages.
    fn rows(file: &Bytes, footer: &Arc<ParquetMetaData>) -> RecordBatch {
        let read = ArrowReaderMetadata::try_new(Arc::clone(footer), ArrowReaderOptions::new()).unwrap();
        let selected = vec![RowSelector::skip(430), RowSelector::select(40)];
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), read)
            .with_row_selection(RowSelection::from(selected));
        reader.build().unwrap().next().unwrap().unwrap()
    }

    #[test]
    fn the_columns_that_are_left_read_as_they_did() {
        let file = file();
        let whole = footer(&file);
        let wanted = Schema::new(vec![
            field("last", DataType::Utf8),
            structure("numbers", vec![field("y", DataType::Float64), field("none", DataType::Float64)]),
            structure("texts", vec![field("c", DataType::Utf8View), field("b", DataType::Utf8)]),
            Field::new("list", DataType::List(Arc::new(field("item", DataType::Int32))), true),
            field("nowhere", DataType::Utf8),
        ]);
        let narrow = narrowed(Arc::clone(&whole), &wanted).unwrap();
        let columns = narrow.file_metadata().schema_descr().columns();
        let paths: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
        assert_eq!(paths, ["texts.b", "texts.c", "list.list.item", "numbers.y", "last"]);
        assert_eq!(narrow.num_row_groups(), 3);
        assert!(narrow.row_groups().iter().all(|group| group.num_columns() == 5));

        let (left, all) = (rows(&file, &narrow), rows(&file, &whole));
        assert_eq!(left.num_rows(), 40);
        assert_eq!(left.column_by_name("list"), all.column_by_name("list"));
        assert_eq!(left.column_by_name("last"), all.column_by_name("last"));
        let leaf = |rows: &RecordBatch, column: &str, leaf: &str| {
            Arc::clone(rows.column_by_name(column).unwrap().as_struct().column_by_name(leaf).unwrap())
        };
        assert_eq!(leaf(&left, "texts", "b").as_string::<i32>(), leaf(&all, "texts", "b").as_string::<i32>());
        let (views, texts) = (leaf(&left, "texts", "c"), leaf(&all, "texts", "c"));
        assert!(views.as_string_view().iter().eq(texts.as_string::<i32>().iter()), "read as views");
        assert_eq!(leaf(&left, "numbers", "y").as_primitive::<Float64Type>().value(0), -430.0);
    }

    #[test]
    fn a_footer_stays_whole_where_nothing_is_left_or_a_column_has_another_shape() {
        let file = file();
        let whole = footer(&file);
        for wanted in [
            vec![],
            vec![field("nowhere", DataType::Utf8)],
            vec![structure("numbers", vec![field("none", DataType::Float64)])],
            vec![field("numbers", DataType::Float64)],
            vec![structure("id", vec![field("x", DataType::Float64)])],
            vec![structure("list", vec![field("x", DataType::Float64)])],
        ] {
            let same = narrowed(Arc::clone(&whole), &Schema::new(wanted.clone())).unwrap();
            assert!(Arc::ptr_eq(&same, &whole), "{wanted:?}");
        }
    }
}
