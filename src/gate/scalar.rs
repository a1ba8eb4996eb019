//! The one value that a check compares, in its own type: as doubles, two large ids could be equal that are not.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use chrono::{DateTime, SecondsFormat};
use datafusion::error::DataFusionError;

use super::doubt::{Doubt, Side};
use super::expect::Op;
use super::numbers::plain;
use super::rows::Rows;
use crate::model::Micros;
use crate::query::QueryError;

/// A value of a statement, or what one is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A whole number.
    Whole(i128),
    /// A finite number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// Nanoseconds since 1970.
    Time(i128),
}

impl Scalar {
    /// Whether `self op other` holds; `None` where the two are not of one kind.
    pub fn compares(&self, op: Op, other: &Scalar) -> Option<bool> {
        let order = match (self, other) {
            (Scalar::Whole(a), Scalar::Whole(b)) => a.cmp(b),
            // Both are finite.
            (Scalar::Number(a), Scalar::Number(b)) => a.partial_cmp(b)?,
            (Scalar::Whole(a), Scalar::Number(b)) => whole_and_number(*a, *b),
            (Scalar::Number(a), Scalar::Whole(b)) => whole_and_number(*b, *a).reverse(),
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
            (Scalar::Time(a), Scalar::Time(b)) => a.cmp(b),
            // A time is written as text.
            (Scalar::Time(a), Scalar::Text(b)) => a.cmp(&time(b)?),
            (Scalar::Text(a), Scalar::Time(b)) => time(a)?.cmp(b),
            _ => return None,
        };
        Some(match op {
            Op::Ge => order.is_ge(),
            Op::Gt => order.is_gt(),
            Op::Le => order.is_le(),
            Op::Lt => order.is_lt(),
            Op::Eq => order.is_eq(),
            Op::Ne => order.is_ne(),
        })
    }

    /// As a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Whole(whole) => Some(*whole as f64),
            Scalar::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Scalar::Whole(_) | Scalar::Number(_) => "a number",
            Scalar::Bool(_) => "a boolean",
            Scalar::Text(_) => "a text",
            Scalar::Time(_) => "a timestamp",
        }
    }
}

fn whole_and_number(whole: i128, number: f64) -> Ordering {
    // Beyond the whole numbers that there are the sign decides; `as` saturates there.
    let floor = number.floor();
    whole.cmp(&(floor as i128)).then(if number > floor { Ordering::Less } else { Ordering::Equal })
}

fn time(text: &str) -> Option<i128> {
    Some(i128::from(Micros::parse(text).ok()?.0) * 1000)
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Whole(whole) => write!(f, "{whole}"),
            Scalar::Number(number) => f.write_str(&plain(*number)),
            Scalar::Bool(truth) => write!(f, "{truth}"),
            Scalar::Text(text) => write!(f, "'{text}'"),
            Scalar::Time(nanos) => {
                let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
                let part = nanos.rem_euclid(1_000_000_000) as u32;
                match DateTime::from_timestamp(seconds, part) {
                    Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                    None => write!(f, "{nanos} ns"),
                }
            }
        }
    }
}

impl Rows {
    /// The one value, in its own type; `None` where there are no rows.
    pub fn one_scalar(&self, of: Side) -> Result<Option<Scalar>, Doubt> {
        let column = self.value_column(of)?;
        match self.n {
            0 => Ok(None),
            1 => self.scalar(column, of).map(Some),
            n => Err(Doubt::ManyRows { of, n }),
        }
    }

    fn scalar(&self, column: usize, of: Side) -> Result<Scalar, Doubt> {
        let mut array = self.batch.column(column).slice(0, 1);
        let as_type = |array: &dyn Array, data_type: &DataType| {
            cast(array, data_type).map_err(|e| Doubt::from(QueryError::from(DataFusionError::from(e))))
        };
        if let DataType::Dictionary(_, values) = array.data_type() {
            array = as_type(&array, &values.clone())?;
        }
        if array.is_null(0) {
            return Err(Doubt::Null { of, place: String::new() });
        }
        Ok(match array.data_type() {
            DataType::UInt64 => Scalar::Whole(array.as_primitive::<UInt64Type>().value(0).into()),
            whole if whole.is_integer() => {
                Scalar::Whole(as_type(&array, &DataType::Int64)?.as_primitive::<Int64Type>().value(0).into())
            }
            DataType::Boolean => Scalar::Bool(array.as_boolean().value(0)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Scalar::Text(as_type(&array, &DataType::Utf8)?.as_string::<i32>().value(0).to_string())
            }
            DataType::Timestamp(unit, _) => Scalar::Time(match unit {
                TimeUnit::Second => i128::from(array.as_primitive::<TimestampSecondType>().value(0)) * 1_000_000_000,
                TimeUnit::Millisecond => {
                    i128::from(array.as_primitive::<TimestampMillisecondType>().value(0)) * 1_000_000
                }
                TimeUnit::Microsecond => i128::from(array.as_primitive::<TimestampMicrosecondType>().value(0)) * 1_000,
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(0).into(),
            }),
            DataType::Date32 | DataType::Date64 => {
                let seconds = as_type(&array, &DataType::Timestamp(TimeUnit::Second, None))?;
                Scalar::Time(i128::from(seconds.as_primitive::<TimestampSecondType>().value(0)) * 1_000_000_000)
            }
            float if float.is_floating() => {
                let value = as_type(&array, &DataType::Float64)?.as_primitive::<Float64Type>().value(0);
                if !value.is_finite() {
                    return Err(Doubt::NotFinite { of, value, place: String::new() });
                }
                Scalar::Number(value)
            }
            // Decimals, and what is refused.
            _ => Scalar::Number(self.numbers(column, of)?[0]),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_and_doubles_compare_by_what_they_are() {
        let large = 1i128 << 53;
        for (whole, number, order) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (-2, -1.5, Ordering::Less),
            (large + 1, large as f64, Ordering::Greater),
            (large, large as f64, Ordering::Equal),
            (i128::from(i64::MAX), 1e300, Ordering::Less),
            (i128::from(i64::MIN), -1e300, Ordering::Greater),
        ] {
            assert_eq!(whole_and_number(whole, number), order, "{whole} {number}");
        }
    }

    proptest! {
        #[test]
        fn small_whole_numbers_compare_as_doubles_do(whole in -1000i32..1000, number in -1000f64..1000.0) {
            let order = f64::from(whole).partial_cmp(&number).unwrap();
            prop_assert_eq!(whole_and_number(whole.into(), number), order);
        }
    }
}
