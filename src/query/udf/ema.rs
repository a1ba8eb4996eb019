//! `ema(value, alpha) OVER (... ORDER BY step)`: a curve smoothed exponentially.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;

use crate::stats::Smoothing;

/// `ema(value, alpha)`.
pub fn ema() -> WindowUDF {
    let signature = Signature::exact(vec![DataType::Float64; 2], Volatility::Immutable);
    WindowUDF::from(Ema { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ema {
    signature: Signature,
}

impl WindowUDFImpl for Ema {
    fn name(&self) -> &str {
        "ema"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Partition))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Float64, true)))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

#[derive(Debug)]
struct Partition;

impl PartitionEvaluator for Partition {
    fn evaluate_all(&mut self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let (values, alphas) = (columns[0].as_primitive::<Float64Type>(), columns[1].as_primitive::<Float64Type>());
        let mut smoothing = Smoothing::default();
        let mut smooth = Float64Array::builder(rows);
        for row in 0..rows {
            let alpha = if alphas.is_null(row) { f64::NAN } else { alphas.value(row) };
            if !(alpha > 0.0 && alpha <= 1.0) {
                return exec_err!("ema(value, alpha): alpha is greater than 0 and at most 1, not {alpha}");
            }
            let value = if values.is_null(row) { f64::NAN } else { values.value(row) };
            smooth.append_option(smoothing.next(value, alpha));
        }
        Ok(Arc::new(smooth.finish()))
    }
}
