//! What the statements of checks and rules return.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use futures::StreamExt;

use super::doubt::{Doubt, Side};
use crate::error::Result;
use crate::export::value::{Floats, value};
use crate::query::{QueryError, Session};
use crate::schema::sql_type;

/// Values for `$name`.
pub type Params = [(String, ScalarValue)];

/// The first rows of a statement, and how many there are.
#[derive(Debug)]
pub struct Rows {
    /// The first rows.
    pub batch: RecordBatch,
    /// The number of all.
    pub n: usize,
}

/// Answers a statement, keeping so many rows.
pub async fn ask(session: &Session, sql: &str, params: &Params, keep: usize) -> Result<Rows> {
    let frame = session.query_with(sql, params).await?.frame;
    let mut rows = frame.execute_stream().await.map_err(QueryError::from)?;
    let schema = rows.schema();
    let (mut kept, mut n) = (Vec::new(), 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(QueryError::from)?;
        if n < keep {
            kept.push(batch.slice(0, batch.num_rows().min(keep - n)));
        }
        n += batch.num_rows();
    }
    let batch = concat_batches(&schema, &kept).map_err(|e| QueryError::from(DataFusionError::from(e)))?;
    Ok(Rows { batch, n })
}

impl Rows {
    /// The place of a column: by its name, else by the only name that fits without case.
    pub fn find(&self, name: &str) -> Option<usize> {
        let schema = self.batch.schema();
        let fields = schema.fields();
        let exact = fields.iter().position(|field| field.name() == name);
        exact.or_else(|| {
            let mut fits = fields.iter().enumerate().filter(|(_, f)| f.name().eq_ignore_ascii_case(name));
            let (only, more) = (fits.next()?.0, fits.next());
            more.is_none().then_some(only)
        })
    }

    /// The names of its columns, for a message.
    pub fn columns(&self) -> String {
        let schema = self.batch.schema();
        match schema.fields().len() {
            0 => "no columns".to_string(),
            _ => schema.fields().iter().map(|field| format!("'{}'", field.name())).collect::<Vec<_>>().join(", "),
        }
    }

    /// What a cell holds, as text; `NULL` for none.
    pub fn text(&self, column: usize, row: usize) -> String {
        let mut text = String::new();
        match value(self.batch.column(column).as_ref(), row).write_text(Floats::Exact, &mut text) {
            true => text,
            false => "NULL".to_string(),
        }
    }

    /// A column as finite numbers.
    pub fn numbers(&self, column: usize, of: Side) -> Result<Vec<f64>, Doubt> {
        let array = self.batch.column(column);
        let numeric = match array.data_type() {
            DataType::Dictionary(_, values) => values.is_numeric(),
            // NULL alone has no type.
            DataType::Null => true,
            other => other.is_numeric(),
        };
        if !numeric {
            let column = self.batch.schema().field(column).name().clone();
            let data_type = match array.data_type() {
                DataType::Utf8View | DataType::LargeUtf8 => "text".to_string(),
                other => sql_type(other),
            };
            return Err(Doubt::NotNumber { of, column, data_type });
        }
        let numbers = cast(array, &DataType::Float64).map_err(|e| QueryError::from(DataFusionError::from(e)))?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let place = |row: usize| if self.n > 1 { format!(" in row {}", row + 1) } else { String::new() };
        (0..numbers.len())
            .map(|row| match numbers.is_null(row) {
                true => Err(Doubt::Null { of, place: place(row) }),
                false if !numbers.value(row).is_finite() => {
                    Err(Doubt::NotFinite { of, value: numbers.value(row), place: place(row) })
                }
                false => Ok(numbers.value(row)),
            })
            .collect()
    }

    /// The column that holds the value of a check: the one of that name, else the only one.
    pub fn value_column(&self, of: Side) -> Result<usize, Doubt> {
        match (self.find("value"), self.batch.num_columns()) {
            (Some(column), _) => Ok(column),
            (None, 1) => Ok(0),
            (None, _) => Err(Doubt::ManyColumns { of, columns: self.columns() }),
        }
    }

    /// The one value; `None` where there are no rows.
    pub fn one_value(&self, of: Side) -> Result<Option<f64>, Doubt> {
        let column = self.value_column(of)?;
        match self.n {
            0 => Ok(None),
            1 => Ok(self.numbers(column, of)?.first().copied()),
            n => Err(Doubt::ManyRows { of, n }),
        }
    }

    /// What tells a row from others in a column. 3 and 3.0 are the same seed.
    pub fn key(&self, column: usize, row: usize) -> Option<String> {
        let array = self.batch.column(column);
        if array.is_null(row) {
            return None;
        }
        if array.data_type().is_floating()
            && let Ok(numbers) = cast(&array.slice(row, 1), &DataType::Float64)
        {
            let number = numbers.as_primitive::<Float64Type>().value(0);
            return Some(format!("{number}"));
        }
        Some(self.text(column, row))
    }

    /// Its first rows only.
    pub fn first(&self, rows: usize) -> RecordBatch {
        self.batch.slice(0, self.batch.num_rows().min(rows))
    }
}

/// The texts of the first column of a statement.
pub async fn texts(session: &Session, sql: &str) -> Result<Vec<String>> {
    let rows = ask(session, sql, &[], usize::MAX).await?;
    let column = cast(rows.batch.column(0), &DataType::Utf8).map_err(|e| QueryError::from(DataFusionError::from(e)))?;
    let column = Arc::clone(&column);
    Ok(column.as_string::<i32>().iter().flatten().map(str::to_string).collect())
}
