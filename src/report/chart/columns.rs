//! The columns of rows as numbers and labels.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};

use crate::export::escape;
use crate::export::value::{Floats, value};

/// Rows that cannot be drawn as was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    /// A column that the answer does not have.
    #[error("the answer has no column '{name}'; it has {columns}")]
    NoColumn {
        /// What was asked for.
        name: String,
        /// What there is.
        columns: String,
    },
    /// A column that should hold numbers.
    #[error("column '{name}' holds no numbers, which {what} takes")]
    NotNumbers {
        /// The column.
        name: String,
        /// What it was to be.
        what: &'static str,
    },
    /// Nothing fits.
    #[error("{kind} takes {needs}; the answer has {columns}")]
    Missing {
        /// What was to be drawn.
        kind: &'static str,
        /// What it lacks.
        needs: &'static str,
        /// What there is.
        columns: String,
    },
    /// An option that the chart has no use for, or one that is missing.
    #[error("{0}")]
    Option(String),
    /// Nothing to draw.
    #[error("nothing to draw: {0}")]
    Empty(String),
}

/// Rows by column.
pub struct Columns<'a> {
    rows: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub fn new(rows: &'a RecordBatch) -> Self {
        Columns { rows }
    }

    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    pub fn names(&self) -> Vec<String> {
        self.rows.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The names in words.
    pub fn listed(&self) -> String {
        match self.names().as_slice() {
            [] => "no columns".to_string(),
            names => names.join(", "),
        }
    }

    /// Where a column of this name is, whatever its case where only one fits.
    pub fn find(&self, name: &str) -> Option<usize> {
        let names = self.names();
        let exact = names.iter().position(|n| n == name);
        exact.or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(name)))
    }

    pub fn named(&self, name: &str) -> Result<usize, ChartError> {
        let missing = || ChartError::NoColumn { name: name.to_string(), columns: self.listed() };
        self.find(name).ok_or_else(missing)
    }

    pub fn name(&self, at: usize) -> String {
        self.rows.schema().field(at).name().clone()
    }

    fn data_type(&self, at: usize) -> DataType {
        match self.rows.schema().field(at).data_type() {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        }
    }

    pub fn is_number(&self, at: usize) -> bool {
        self.data_type(at).is_numeric()
    }

    pub fn is_time(&self, at: usize) -> bool {
        matches!(self.data_type(at), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    }

    /// A column as numbers, times as seconds since 1970; NaN for NULL.
    pub fn numbers(&self, at: usize, what: &'static str) -> Result<Vec<f64>, ChartError> {
        let not_numbers = || ChartError::NotNumbers { name: self.name(at), what };
        let array = self.rows.column(at);
        let (array, per_second): (ArrayRef, f64) = if self.is_time(at) {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
            let array = cast(array, &micros).and_then(|micros| cast(&micros, &DataType::Int64));
            (array.map_err(|_| not_numbers())?, 1e6)
        } else if self.is_number(at) || matches!(self.data_type(at), DataType::Null | DataType::Boolean) {
            (array.clone(), 1.0)
        } else {
            return Err(not_numbers());
        };
        let array = cast(&array, &DataType::Float64).map_err(|_| not_numbers())?;
        Ok(array.as_primitive::<Float64Type>().iter().map(|x| x.map_or(f64::NAN, |x| x / per_second)).collect())
    }

    /// A column as short texts that no picture has to fear.
    pub fn labels(&self, at: usize) -> Vec<String> {
        let array = self.rows.column(at);
        let label = |row| {
            let mut text = String::new();
            if !value(array.as_ref(), row).write_text(Floats::Readable, &mut text) {
                text.push_str("NULL");
            }
            label(&text)
        };
        (0..array.len()).map(label).collect()
    }
}

/// Text on one line, not too long, that acts on nothing.
pub fn label(text: &str) -> String {
    const LONGEST: usize = 48;
    let text = escape(text);
    if text.chars().count() <= LONGEST {
        return text.into_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}
