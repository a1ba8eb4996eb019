//! The columns of rows as numbers and labels.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};

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
    #[error("column '{name}' holds {holds}, and {what} takes numbers")]
    NotNumbers {
        /// What it holds.
        holds: &'static str,
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
        self.data_type(at).is_numeric() || self.is_duration(at)
    }

    pub fn is_time(&self, at: usize) -> bool {
        matches!(self.data_type(at), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    }

    /// Whether a column holds how long something took.
    pub fn is_duration(&self, at: usize) -> bool {
        matches!(self.data_type(at), DataType::Duration(_) | DataType::Interval(_))
    }

    /// A column as numbers, times as seconds since 1970 and durations in seconds; NaN for NULL.
    pub fn numbers(&self, at: usize, what: &'static str) -> Result<Vec<f64>, ChartError> {
        let not_numbers = || ChartError::NotNumbers { name: self.name(at), holds: "no numbers", what };
        let array = self.rows.column(at);
        if let DataType::Interval(_) = self.data_type(at) {
            let spans = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano)).map_err(|_| not_numbers())?;
            // A month is no number of seconds.
            let seconds = |span: Option<arrow::datatypes::IntervalMonthDayNano>| match span {
                Some(span) if span.months == 0 => f64::from(span.days) * 86_400.0 + span.nanoseconds as f64 / 1e9,
                _ => f64::NAN,
            };
            return Ok(spans.as_primitive::<IntervalMonthDayNanoType>().iter().map(seconds).collect());
        }
        let (array, per_second): (ArrayRef, f64) = if self.is_time(at) {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
            let array = cast(array, &micros).and_then(|micros| cast(&micros, &DataType::Int64));
            (array.map_err(|_| not_numbers())?, 1e6)
        } else if let DataType::Duration(unit) = self.data_type(at) {
            let per_second = match unit {
                TimeUnit::Second => 1.0,
                TimeUnit::Millisecond => 1e3,
                TimeUnit::Microsecond => 1e6,
                TimeUnit::Nanosecond => 1e9,
            };
            let plain = cast(array, &DataType::Duration(unit)).and_then(|array| cast(&array, &DataType::Int64));
            (plain.map_err(|_| not_numbers())?, per_second)
        } else if self.is_number(at) || matches!(self.data_type(at), DataType::Null | DataType::Boolean) {
            (array.clone(), 1.0)
        } else {
            return Err(not_numbers());
        };
        let array = cast(&array, &DataType::Float64).map_err(|_| not_numbers())?;
        Ok(array.as_primitive::<Float64Type>().iter().map(|x| x.map_or(f64::NAN, |x| x / per_second)).collect())
    }

    /// The same of a column that may not hold times.
    pub fn plain_numbers(&self, at: usize, what: &'static str) -> Result<Vec<f64>, ChartError> {
        match self.is_time(at) {
            true => Err(ChartError::NotNumbers { name: self.name(at), holds: "times", what }),
            false => self.numbers(at, what),
        }
    }

    /// A column as texts that no picture has to fear. Different values have different texts.
    pub fn labels(&self, at: usize) -> Vec<String> {
        let array = self.rows.column(at);
        let text = |row: usize, floats: Floats| {
            let mut text = String::new();
            value(array.as_ref(), row).write_text(floats, &mut text).then_some(text)
        };
        let mut known: HashMap<Option<String>, String> = HashMap::new();
        let mut used: HashSet<String> = HashSet::new();
        let mut labels: Vec<String> = (0..array.len())
            .map(|row| {
                let exact = text(row, Floats::Exact);
                if let Some(label) = known.get(&exact) {
                    return label.clone();
                }
                let readable = text(row, Floats::Readable);
                let shown = |text: &Option<String>| label(text.as_deref().unwrap_or("NULL"));
                let mut found = shown(&readable);
                if used.contains(&found) {
                    found = shown(&exact);
                }
                let plain = found.clone();
                for n in 2.. {
                    if used.insert(found.clone()) {
                        break;
                    }
                    found = format!("{plain} ({n})");
                }
                known.insert(exact, found.clone());
                found
            })
            .collect();
        // Days are known by their dates.
        const MIDNIGHT: &str = "T00:00:00Z";
        if self.is_time(at) && labels.iter().all(|label| label.ends_with(MIDNIGHT) || label == "NULL") {
            labels.iter_mut().for_each(|label| *label = label.trim_end_matches(MIDNIGHT).to_string());
        }
        labels
    }

    /// Which rows are NULL.
    pub fn nulls(&self, at: usize) -> Vec<bool> {
        let nulls = self.rows.column(at).logical_nulls();
        (0..self.len()).map(|row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))).collect()
    }
}

/// Text on one line that acts on nothing.
pub fn label(text: &str) -> String {
    escape(text).into_owned()
}
