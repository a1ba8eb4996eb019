//! Rows that came from SQL, and rows that go back to it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, ListBuilder, RecordBatch, StringArray,
    StringBuilder, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, SchemaRef};

use crate::query::error::QueryError;

/// All rows of a statement.
#[derive(Debug)]
pub struct Rows(RecordBatch);

impl Rows {
    /// From the batches of a statement.
    pub fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Rows, QueryError> {
        let schema = batches.first().map_or_else(|| Arc::clone(schema), RecordBatch::schema);
        Ok(Rows(concat_batches(&schema, batches).map_err(engine)?))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// The rows as they are.
    pub fn batch(&self) -> &RecordBatch {
        &self.0
    }

    fn column(&self, name: &str, data_type: &DataType) -> Result<ArrayRef, QueryError> {
        let column = self.0.column_by_name(name).unwrap_or_else(|| panic!("a statement of ours selects {name}"));
        cast(column, data_type).map_err(engine)
    }

    /// A column as text.
    pub fn texts(&self, name: &str) -> Result<StringArray, QueryError> {
        Ok(self.column(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// A column as doubles.
    pub fn floats(&self, name: &str) -> Result<Float64Array, QueryError> {
        Ok(self.column(name, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    /// A column as whole numbers.
    pub fn ints(&self, name: &str) -> Result<Int64Array, QueryError> {
        Ok(self.column(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    /// A column of true and false.
    pub fn bools(&self, name: &str) -> Result<BooleanArray, QueryError> {
        Ok(self.column(name, &DataType::Boolean)?.as_boolean().clone())
    }

    /// A column of lists of text.
    pub fn lists(&self, name: &str) -> Result<ListArray, QueryError> {
        let items = Arc::new(Field::new_list_field(DataType::Utf8, true));
        Ok(self.column(name, &DataType::List(items))?.as_list::<i32>().clone())
    }
}

/// The value in a row, `None` for NULL.
pub fn text(column: &StringArray, row: usize) -> Option<&str> {
    (!arrow::array::Array::is_null(column, row)).then(|| column.value(row))
}

/// The value in a row, `None` for NULL.
pub fn float(column: &Float64Array, row: usize) -> Option<f64> {
    (!arrow::array::Array::is_null(column, row)).then(|| column.value(row))
}

/// The value in a row, `None` for NULL.
pub fn int(column: &Int64Array, row: usize) -> Option<i64> {
    (!arrow::array::Array::is_null(column, row)).then(|| column.value(row))
}

/// The texts of a list, `None` for NULL. NULLs in it are left out.
pub fn list(column: &ListArray, row: usize) -> Option<impl Iterator<Item = &str>> {
    let offsets = column.value_offsets();
    let items = offsets[row] as usize..offsets[row + 1] as usize;
    let values = column.values().as_string::<i32>();
    (!arrow::array::Array::is_null(column, row)).then(|| items.filter_map(|item| text(values, item)))
}

/// The columns of an answer, one after the other.
#[derive(Debug, Default)]
pub struct Columns(Vec<(String, ArrayRef)>);

impl Columns {
    /// None yet.
    pub fn new() -> Self {
        Columns::default()
    }

    /// Adds a column as it is.
    pub fn array(mut self, name: impl Into<String>, values: ArrayRef) -> Self {
        self.0.push((name.into(), values));
        self
    }

    /// Adds a column of text.
    pub fn text<T: AsRef<str>>(self, name: impl Into<String>, values: impl IntoIterator<Item = Option<T>>) -> Self {
        self.array(name, Arc::new(values.into_iter().collect::<StringArray>()))
    }

    /// Adds a column of doubles.
    pub fn float(self, name: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.array(name, Arc::new(values.into_iter().collect::<Float64Array>()))
    }

    /// Adds a column of whole numbers.
    pub fn int(self, name: impl Into<String>, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.array(name, Arc::new(values.into_iter().collect::<Int64Array>()))
    }

    /// Adds a column of counts, which are never NULL.
    pub fn count(self, name: impl Into<String>, values: impl IntoIterator<Item = usize>) -> Self {
        self.int(name, values.into_iter().map(|n| Some(n as i64)))
    }

    /// Adds a column of true and false.
    pub fn bool(self, name: impl Into<String>, values: impl IntoIterator<Item = Option<bool>>) -> Self {
        self.array(name, Arc::new(values.into_iter().collect::<BooleanArray>()))
    }

    /// Adds a column of lists of text.
    pub fn texts<T: AsRef<str>>(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = Option<Vec<T>>>,
    ) -> Self {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for list in values {
            let present = list.is_some();
            list.iter().flatten().for_each(|text| lists.values().append_value(text));
            lists.append(present);
        }
        self.array(name, Arc::new(lists.finish()))
    }

    /// Lists out of some texts, each as places in these: millions of items are copied at once.
    pub fn picks<'a>(
        self,
        name: impl Into<String>,
        texts: &[String],
        lists: impl IntoIterator<Item = &'a [u32]>,
    ) -> Self {
        let (mut places, mut lengths) = (Vec::new(), Vec::new());
        for list in lists {
            places.extend_from_slice(list);
            lengths.push(list.len());
        }
        let texts = StringArray::from_iter_values(texts);
        let items = take(&texts, &UInt32Array::from(places), None).expect("each place is that of a text");
        let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
        self.array(name, Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None)))
    }

    /// The rows.
    pub fn finish(self) -> Result<RecordBatch, QueryError> {
        let columns = self.0.into_iter().map(|(name, values)| (name, values, true));
        RecordBatch::try_from_iter_with_nullable(columns).map_err(engine)
    }
}

fn engine(e: arrow::error::ArrowError) -> QueryError {
    QueryError::from(datafusion::error::DataFusionError::from(e))
}
