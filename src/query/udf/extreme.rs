//! `arg_max(value, by)` and `arg_min(value, by)`: the value in the row where another one is greatest or least.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// `arg_max(value, by)`.
pub fn arg_max() -> AggregateUDF {
    AggregateUDF::from(Extreme::new("arg_max", true))
}

/// `arg_min(value, by)`.
pub fn arg_min() -> AggregateUDF {
    AggregateUDF::from(Extreme::new("arg_min", false))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    name: &'static str,
    greatest: bool,
    signature: Signature,
}

impl Extreme {
    fn new(name: &'static str, greatest: bool) -> Self {
        Extreme { name, greatest, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let types: Vec<DataType> = args.exprs.iter().map(|e| e.data_type(args.schema)).collect::<Result<_>>()?;
        Ok(Box::new(Holder {
            greatest: self.greatest,
            value: ScalarValue::try_from(&types[0])?,
            by: ScalarValue::try_from(&types[1])?,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name: &str, i: usize| -> FieldRef {
            Arc::new(Field::new(format!("{}[{name}]", args.name), args.input_fields[i].data_type().clone(), true))
        };
        Ok(vec![field("value", 0), field("by", 1)])
    }
}

/// The row that is ahead so far. Rows whose `by` is NULL or NaN do not count; where two are equal, the least value wins,
/// so that the answer does not depend on the order of rows.
#[derive(Debug)]
struct Holder {
    greatest: bool,
    value: ScalarValue,
    by: ScalarValue,
}

impl Holder {
    fn ahead(&self, order: Ordering) -> bool {
        order == if self.greatest { Ordering::Greater } else { Ordering::Less }
    }
}

fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(number)) => number.is_nan(),
        ScalarValue::Float32(Some(number)) => number.is_nan(),
        _ => false,
    }
}

impl Accumulator for Holder {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [values, by] = columns else { unreachable!("the signature has two arguments") };
        let compare = make_comparator(by, by, SortOptions::default())?;
        let compare_values = make_comparator(values, values, SortOptions::default())?;
        let mut best: Option<usize> = None;
        for row in 0..by.len() {
            if by.is_null(row) || is_nan_at(by, row) {
                continue;
            }
            let better = best.is_none_or(|best| match compare(row, best) {
                Ordering::Equal => compare_values(row, best) == Ordering::Less,
                order => self.ahead(order),
            });
            if better {
                best = Some(row);
            }
        }
        let Some(row) = best else { return Ok(()) };
        let (value, by) = (ScalarValue::try_from_array(values, row)?, ScalarValue::try_from_array(by, row)?);
        let takes_over = self.by.is_null()
            || match by.partial_cmp(&self.by) {
                Some(Ordering::Equal) => value.partial_cmp(&self.value) == Some(Ordering::Less),
                Some(order) => self.ahead(order),
                None => false,
            };
        if takes_over && !is_nan(&by) {
            (self.value, self.by) = (value, by);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.by.clone()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() + self.by.size()
    }
}

fn is_nan_at(array: &ArrayRef, row: usize) -> bool {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float32Type, Float64Type};
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).is_nan(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).is_nan(),
        _ => false,
    }
}
