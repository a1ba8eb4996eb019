//! The columns of an export: what type each has to have, and single cells of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type, Int64Type, Schema, TimeUnit};
use arrow::datatypes::{Decimal128Type, TimestampMicrosecondType};

use crate::model::{Micros, Step};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Step,
    Texts,
    File,
    Histogram,
}

/// All columns that are read; the first four are in every export.
const COLUMNS: &[(&str, Holds)] = &[
    ("project_id", Holds::Text),
    ("run_id", Holds::Text),
    ("attribute_path", Holds::Text),
    ("attribute_type", Holds::Text),
    ("step", Holds::Step),
    ("timestamp", Holds::Time),
    ("int_value", Holds::Int),
    ("float_value", Holds::Float),
    ("string_value", Holds::Text),
    ("bool_value", Holds::Bool),
    ("datetime_value", Holds::Time),
    ("string_set_value", Holds::Texts),
    ("file_value", Holds::File),
    ("histogram_value", Holds::Histogram),
];
const NEEDED: usize = 4;

/// Whether the columns of a file are those of an export.
pub fn are_of_an_export(schema: &Schema) -> bool {
    COLUMNS[..NEEDED].iter().all(|(name, _)| schema.field_with_name(name).is_ok())
}

/// The columns of a file that are read, by their place in it, and the types to read them as; or what is wrong.
///
/// Texts are read as dictionaries: a text that stands once in the file and in a million rows takes its room once.
pub fn chosen(schema: &Schema) -> Result<(Vec<usize>, Schema), String> {
    if let Some((name, _)) = COLUMNS[..NEEDED].iter().find(|(name, _)| schema.field_with_name(name).is_err()) {
        return Err(format!("it has no column '{name}', so it is no part of an export"));
    }
    let mut places = Vec::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let Some((name, holds)) = COLUMNS.iter().find(|(name, _)| name == field.name()) else {
            fields.push(Arc::clone(field));
            continue;
        };
        if !holds.fits(field.data_type()) {
            let (found, expected) = (field.data_type(), holds.words());
            return Err(format!("its column '{name}' holds {found}; it should hold {expected}"));
        }
        places.push(place);
        fields.push(Arc::new(field.as_ref().clone().with_data_type(with_dictionaries(field.data_type()))));
    }
    Ok((places, Schema::new(fields)))
}

/// Columns of a file that are not read.
pub fn unknown(schema: &Schema) -> Vec<&str> {
    let is_known = |name: &str| COLUMNS.iter().any(|(known, _)| *known == name);
    schema.fields().iter().map(|f| f.name().as_str()).filter(|name| !is_known(name)).collect()
}

impl Holds {
    fn fits(self, found: &DataType) -> bool {
        // What programs note of their own types is not read: any text in a file is this one.
        let is_text = |t: &DataType| *t == DataType::Utf8;
        let has = |fields: &Fields, name: &str, fits: &dyn Fn(&DataType) -> bool| {
            fields.find(name).is_some_and(|(_, field)| fits(field.data_type()))
        };
        let is_list =
            |t: &DataType, fits: &dyn Fn(&DataType) -> bool| matches!(t, DataType::List(f) if fits(f.data_type()));
        let is_floats = |t: &DataType| is_list(t, &|t| *t == DataType::Float64);
        match (self, found) {
            // A column of nothing but NULLs.
            (_, DataType::Null) => true,
            (Holds::Text, found) => is_text(found),
            (Holds::Int, found) => found.is_integer(),
            (Holds::Float, found) => found.is_floating(),
            (Holds::Bool, found) => *found == DataType::Boolean,
            (Holds::Time, found) => matches!(found, DataType::Timestamp(_, _)),
            (Holds::Step, DataType::Decimal128(_, scale)) => (0..=18).contains(scale),
            (Holds::Step, found) => found.is_integer() || found.is_floating(),
            (Holds::Texts, found) => is_list(found, &is_text),
            (Holds::File, DataType::Struct(fields)) => has(fields, "path", &is_text),
            (Holds::Histogram, DataType::Struct(fields)) => {
                has(fields, "type", &is_text) && has(fields, "edges", &is_floats) && has(fields, "values", &is_floats)
            }
            (Holds::File | Holds::Histogram, _) => false,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Holds::Text => "text",
            Holds::Int => "whole numbers",
            Holds::Float => "numbers",
            Holds::Bool => "truth values",
            Holds::Time => "times",
            Holds::Step => "decimal numbers",
            Holds::Texts => "lists of texts",
            Holds::File => "structs with a path",
            Holds::Histogram => "structs with a type, edges and values",
        }
    }
}

fn with_dictionaries(found: &DataType) -> DataType {
    let inner = |field: &Field| Arc::new(field.clone().with_data_type(with_dictionaries(field.data_type())));
    match found {
        DataType::Utf8 => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| inner(f)).collect()),
        other => other.clone(),
    }
}

/// A batch of rows, by column.
pub struct Rows {
    columns: Vec<Option<ArrayRef>>,
    count: usize,
}

/// The columns that a value may stand in.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Project = 0,
    Run,
    Path,
    Type,
    Step,
    Time,
    Int,
    Float,
    Text,
    Bool,
    Datetime,
    Texts,
    File,
    Histogram,
}

/// Edges, counts and the word for what counts are.
pub type Histogram = (Option<String>, Vec<f64>, Vec<f64>);

impl Rows {
    /// Brings the columns into one type each, whatever the exporter of the day wrote.
    pub fn new(batch: &RecordBatch) -> Result<Rows, String> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let mut columns = Vec::with_capacity(COLUMNS.len());
        for (name, holds) in COLUMNS {
            let column = match batch.column_by_name(name) {
                None => None,
                Some(column) if *column.data_type() == DataType::Null => None,
                Some(column) => Some(match holds {
                    Holds::Int => cast(column, &DataType::Int64),
                    Holds::Float => cast(column, &DataType::Float64),
                    Holds::Time => cast(column, &micros),
                    Holds::Step if column.data_type().is_integer() => cast(column, &DataType::Int64),
                    Holds::Step if column.data_type().is_floating() => cast(column, &DataType::Float64),
                    _ => Ok(Arc::clone(column)),
                }),
            };
            columns.push(column.transpose().map_err(|e| format!("its column '{name}' cannot be read: {e}"))?);
        }
        Ok(Rows { columns, count: batch.num_rows() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    fn cell(&self, column: Column, row: usize) -> Option<&ArrayRef> {
        self.columns[column as usize].as_ref().filter(|array| array.is_valid(row))
    }

    /// A text.
    pub fn text(&self, column: Column, row: usize) -> Option<&str> {
        text(self.cell(column, row)?, row)
    }

    /// A whole number.
    pub fn int(&self, row: usize) -> Option<i64> {
        Some(self.cell(Column::Int, row)?.as_primitive::<Int64Type>().value(row))
    }

    /// A number.
    pub fn float(&self, row: usize) -> Option<f64> {
        Some(self.cell(Column::Float, row)?.as_primitive::<Float64Type>().value(row))
    }

    /// A truth value.
    pub fn bool(&self, row: usize) -> Option<bool> {
        Some(self.cell(Column::Bool, row)?.as_boolean().value(row))
    }

    /// A time; none outside of the years 1 to 9999.
    pub fn time(&self, column: Column, row: usize) -> Option<Micros> {
        const YEARS: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;
        let micros = self.cell(column, row)?.as_primitive::<TimestampMicrosecondType>().value(row);
        YEARS.contains(&micros).then_some(Micros(micros))
    }

    /// A step, exactly.
    pub fn step(&self, row: usize) -> Option<Step> {
        let column = self.cell(Column::Step, row)?;
        match column.data_type() {
            DataType::Decimal128(_, scale) => {
                let decimal = column.as_primitive::<Decimal128Type>();
                let (value, unit) = (decimal.value(row), 10_i128.pow(u32::try_from(*scale).ok()?));
                match i64::try_from(value / unit) {
                    Ok(whole) if value % unit == 0 => Some(Step::At(whole)),
                    // By its digits: a division would round twice.
                    _ => decimal.value_as_string(row).parse().ok().and_then(Step::from_number),
                }
            }
            DataType::Int64 => Some(Step::At(column.as_primitive::<Int64Type>().value(row))),
            _ => Step::from_number(column.as_primitive::<Float64Type>().value(row)),
        }
    }

    /// A step that a double does not hold: its digits.
    pub fn rounded_step(&self, row: usize) -> Option<String> {
        let Some(Step::Between(x)) = self.step(row) else { return None };
        let column = self.cell(Column::Step, row)?;
        let DataType::Decimal128(_, scale) = column.data_type() else { return None };
        let decimal = column.as_primitive::<Decimal128Type>();
        // Digits that the column has room for say which decimal number a double means.
        let back = format!("{x:.*}", usize::try_from(*scale).ok()?);
        let digits = decimal.value_as_string(row);
        (back != digits).then_some(digits)
    }

    /// A set of texts.
    pub fn texts(&self, row: usize) -> Option<Vec<String>> {
        let list = self.cell(Column::Texts, row)?.as_list::<i32>().value(row);
        Some((0..list.len()).filter_map(|i| text(&list, i).map(str::to_string)).collect())
    }

    /// The path of a file.
    pub fn file(&self, row: usize) -> Option<&str> {
        text(self.cell(Column::File, row)?.as_struct().column_by_name("path")?, row)
    }

    /// A histogram.
    pub fn histogram(&self, row: usize) -> Option<Histogram> {
        let parts = self.cell(Column::Histogram, row)?.as_struct();
        let numbers = |name: &str| -> Option<Vec<f64>> {
            let list = parts.column_by_name(name)?.as_list::<i32>();
            if list.is_null(row) {
                return None;
            }
            let numbers = list.value(row);
            let numbers = numbers.as_primitive::<Float64Type>();
            Some(numbers.iter().map(|x| x.unwrap_or(f64::NAN)).collect())
        };
        let kind = text(parts.column_by_name("type")?, row).map(str::to_string);
        Some((kind, numbers("edges")?, numbers("values")?))
    }
}

fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let values = dictionary.values().as_string_opt::<i32>()?;
    let key = dictionary.key(row)?;
    values.is_valid(key).then(|| values.value(key))
}
