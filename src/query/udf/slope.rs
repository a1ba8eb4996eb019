//! `slope(step, value)`: of the least-squares line through a curve.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::regr::{RegrAccumulator, RegrType};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// `slope(step, value)`.
pub fn slope() -> AggregateUDF {
    let mut state = vec![DataType::UInt64];
    state.extend(vec![DataType::Float64; 5]);
    create_udaf(
        "slope",
        vec![DataType::Float64; 2],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Slope(RegrAccumulator::try_new(&RegrType::Slope)?)))),
        Arc::new(state),
    )
}

/// The engine's `regr_slope`, whose arguments stand the other way about: value first.
#[derive(Debug)]
struct Slope(RegrAccumulator);

impl Accumulator for Slope {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&[Arc::clone(&columns[1]), Arc::clone(&columns[0])])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
