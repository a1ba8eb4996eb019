//! Columns as Rust types: how a field of a row struct becomes an Arrow column and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use crate::model::Micros;

/// A type that a column of a table can hold.
pub trait Cell: Sized {
    /// Collects values into a column.
    type Builder: Default;
    /// The Arrow type of the column.
    fn data_type() -> DataType;
    /// Adds one value.
    fn push(builder: &mut Self::Builder, value: Self);
    /// Ends the column.
    fn finish(builder: Self::Builder) -> ArrayRef;
    /// Reads one value; `array` has type `data_type()`.
    fn get(array: &dyn Array, row: usize) -> Self;
}

/// The type of every time in the store: microseconds, UTC.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

macro_rules! cell {
    ($type:ty, $builder:ty, $data_type:expr, |$array:ident, $row:ident| $get:expr, |$v:ident| $put:expr, $wrap:expr) => {
        impl Cell for $type {
            type Builder = $builder;
            fn data_type() -> DataType {
                $data_type
            }
            fn push(builder: &mut $builder, $v: $type) {
                builder.append_value($put);
            }
            fn finish(mut builder: $builder) -> ArrayRef {
                ($wrap)(builder.finish())
            }
            fn get($array: &dyn Array, $row: usize) -> $type {
                $get
            }
        }

        impl Cell for Option<$type> {
            type Builder = $builder;
            fn data_type() -> DataType {
                $data_type
            }
            fn push(builder: &mut $builder, value: Option<$type>) {
                match value {
                    Some($v) => builder.append_value($put),
                    None => builder.append_null(),
                }
            }
            fn finish(mut builder: $builder) -> ArrayRef {
                ($wrap)(builder.finish())
            }
            fn get(array: &dyn Array, row: usize) -> Option<$type> {
                array.is_valid(row).then(|| <$type as Cell>::get(array, row))
            }
        }
    };
}

fn plain<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

cell!(String, StringBuilder, DataType::Utf8, |a, i| a.as_string::<i32>().value(i).to_string(), |v| v, plain);
cell!(i64, Int64Builder, DataType::Int64, |a, i| a.as_primitive::<Int64Type>().value(i), |v| v, plain);
cell!(f64, Float64Builder, DataType::Float64, |a, i| a.as_primitive::<Float64Type>().value(i), |v| v, plain);
cell!(bool, BooleanBuilder, DataType::Boolean, |a, i| a.as_boolean().value(i), |v| v, plain);
cell!(Vec<u8>, BinaryBuilder, DataType::Binary, |a, i| a.as_binary::<i32>().value(i).to_vec(), |v| v, plain);
cell!(
    Micros,
    TimestampMicrosecondBuilder,
    timestamp(),
    |a, i| Micros(a.as_primitive::<TimestampMicrosecondType>().value(i)),
    |v| v.0,
    |array: arrow::array::TimestampMicrosecondArray| plain(array.with_timezone("UTC"))
);

impl Cell for Option<Vec<String>> {
    type Builder = ListBuilder<StringBuilder>;
    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
    }
    fn push(builder: &mut Self::Builder, value: Self) {
        match value {
            Some(items) => {
                for item in items {
                    builder.values().append_value(item);
                }
                builder.append(true);
            }
            None => builder.append(false),
        }
    }
    fn finish(mut builder: Self::Builder) -> ArrayRef {
        plain(builder.finish())
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        array.is_valid(row).then(|| {
            let items = array.as_list::<i32>().value(row);
            let items = items.as_string::<i32>();
            (0..items.len()).map(|i| items.value(i).to_string()).collect()
        })
    }
}
