//! `best(value, goal)`: the greatest or the least value, as the goal says.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// `best(value, goal)`.
pub fn best() -> AggregateUDF {
    create_udaf(
        "best",
        vec![DataType::Float64, DataType::Utf8],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::<Best>::default())),
        Arc::new(vec![DataType::Float64, DataType::Utf8]),
    )
}

/// NULL and NaN are no value; a value without a goal makes the answer an error, as two goals do.
#[derive(Debug, Default)]
struct Best {
    value: Option<f64>,
    goal: Option<String>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (values, goals) = (columns[0].as_primitive::<Float64Type>(), columns[1].as_string::<i32>());
        for row in 0..values.len() {
            if values.is_null(row) || values.value(row).is_nan() {
                continue;
            }
            if goals.is_null(row) {
                return exec_err!("best(value, goal): a value has no goal; it is 'min' or 'max'");
            }
            let (value, goal) = (values.value(row), goals.value(row));
            if self.goal.as_deref().is_some_and(|before| before != goal) {
                return exec_err!("best(value, goal): values of one group have the goals 'min' and 'max'");
            }
            let ahead = match goal {
                "max" => self.value.is_none_or(|best| value > best),
                "min" => self.value.is_none_or(|best| value < best),
                other => return exec_err!("best(value, goal): '{other}' is no goal; it is 'min' or 'max'"),
            };
            if ahead {
                self.value = Some(value);
            }
            if self.goal.is_none() {
                self.goal = Some(goal.to_string());
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Float64(self.value), ScalarValue::Utf8(self.goal.clone())])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.value))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.goal.as_ref().map_or(0, String::capacity)
    }
}
