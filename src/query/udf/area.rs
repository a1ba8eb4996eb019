//! `area_under(step, value)`: of a curve, by trapezoids between its points.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// `area_under(step, value)`.
pub fn area_under() -> AggregateUDF {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
    create_udaf(
        "area_under",
        vec![DataType::Float64; 2],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::<Area>::default())),
        Arc::new(vec![list; 2]),
    )
}

/// The points of a curve, in any order. Those without a step or a value do not count; NaN makes the area NaN.
#[derive(Debug, Default)]
struct Area(Vec<(f64, f64)>);

impl Area {
    fn add(&mut self, steps: &Float64Array, values: &Float64Array) {
        let points = (0..steps.len()).filter(|i| !steps.is_null(*i) && !values.is_null(*i));
        self.0.extend(points.map(|i| (steps.value(i), values.value(i))));
    }
}

impl Accumulator for Area {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(columns[0].as_primitive(), columns[1].as_primitive());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (steps, values) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for row in (0..steps.len()).filter(|row| !steps.is_null(*row)) {
            let (steps, values) = (steps.value(row), values.value(row));
            self.add(steps.as_primitive::<Float64Type>(), values.as_primitive::<Float64Type>());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |of: fn(&(f64, f64)) -> f64| {
            let array: ArrayRef = Arc::new(self.0.iter().map(of).map(Some).collect::<Float64Array>());
            SingleRowListArrayBuilder::new(array).build_list_scalar()
        };
        Ok(vec![list(|point| point.0), list(|point| point.1)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Points of one step enclose nothing, but their order decides what lies beside them.
        self.0.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let area = self.0.windows(2).map(|two| (two[1].0 - two[0].0) * (two[0].1 + two[1].1) / 2.0).sum::<f64>();
        Ok(ScalarValue::Float64((self.0.len() > 1).then_some(area)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.capacity() * size_of::<(f64, f64)>()
    }
}
