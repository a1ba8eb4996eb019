//! Which columns have no use for a dictionary: one of values that hardly repeat holds all of them, and the numbers of its
//! entries come on top (9.3 bytes for a random double instead of 7.5).

use std::collections::HashSet;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};

use super::encode::Columns;

/// Places that are looked at, spread over the rows, and rows at each.
const PLACES: usize = 8;
const ROWS: usize = 2048;

/// Paths of the columns and leaves most of whose values are different.
pub fn without_repeats(rows: &dyn Columns) -> Vec<Vec<String>> {
    let schema = rows.schema();
    let mut paths = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let parts = parts(rows, i);
        match field.data_type() {
            DataType::Struct(leaves) => {
                for (n, leaf) in leaves.iter().enumerate() {
                    let leaves: Vec<_> = parts.iter().map(|part| part.as_struct().column(n).clone()).collect();
                    if !repeats(&leaves) {
                        paths.push(vec![field.name().clone(), leaf.name().clone()]);
                    }
                }
            }
            _ if !repeats(&parts) => paths.push(vec![field.name().clone()]),
            _ => {}
        }
    }
    paths
}

fn parts(rows: &dyn Columns, column: usize) -> Vec<ArrayRef> {
    let all = rows.rows();
    if all <= PLACES * ROWS {
        return vec![rows.column(column, 0..all)];
    }
    (0..PLACES).map(|place| place * (all - ROWS) / (PLACES - 1)).map(|at| rows.column(column, at..at + ROWS)).collect()
}

/// Whether a value mostly comes more than once. Columns of other types than those with many values always say yes.
fn repeats(parts: &[ArrayRef]) -> bool {
    let Some(first) = parts.first() else { return true };
    match first.data_type() {
        DataType::Float64 => {
            count(parts.iter().flat_map(|p| p.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits)))
        }
        DataType::Int64 => count(parts.iter().flat_map(|p| p.as_primitive::<Int64Type>().iter().flatten())),
        DataType::Timestamp(..) => {
            count(parts.iter().flat_map(|p| p.as_primitive::<TimestampMicrosecondType>().iter().flatten()))
        }
        DataType::Utf8 => count(parts.iter().flat_map(|p| p.as_string::<i32>().iter().flatten())),
        _ => true,
    }
}

fn count<T: Hash + Eq>(values: impl Iterator<Item = T>) -> bool {
    let mut different = HashSet::new();
    let mut all = 0;
    for value in values {
        different.insert(value);
        all += 1;
    }
    // Three of four: below, the numbers of the entries are worth their room.
    different.len() * 4 < all * 3
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, RecordBatch, StringArray, StructArray};
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn values_that_differ_get_no_dictionary() {
        let n = 50_000;
        let random = |i: usize| (i as f64 * 0.618_033_988_749_894_9).fract();
        let different: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(random)));
        let few: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(|i| (i % 100) as f64)));
        let leaf = |name| Arc::new(Field::new(name, DataType::Float64, true));
        let both = StructArray::from(vec![(leaf("a"), different), (leaf("b"), few)]);
        let names = StringArray::from_iter_values((0..n).map(|i| format!("run-{i}")));
        let rows =
            RecordBatch::try_from_iter([("s", Arc::new(both) as ArrayRef), ("name", Arc::new(names) as ArrayRef)]);
        assert_eq!(without_repeats(&rows.unwrap()), [vec!["s", "a"], vec!["name"]]);
    }
}
