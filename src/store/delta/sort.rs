//! Rows in the order of their table.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Int64Type};

use crate::schema::Table;
use crate::store::error::{Result, StoreError};

/// Sorts rows as their table wants it, NULL first.
///
/// Each column becomes the place of its value among all different ones: keys and experiments are few and runs come in
/// order, so texts are compared a few times and numbers many.
pub fn sort(table: &Table, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<_> = table
        .sort_columns()
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|values| ranks(values).map_err(StoreError::arrow(table)))
        .collect::<Result<_>>()?;
    let key = |&row: &u32| {
        let mut key = [0u32; 4];
        for (place, ranks) in key.iter_mut().zip(&columns) {
            *place = ranks[row as usize];
        }
        key
    };
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    if order.is_sorted_by_key(key) {
        return Ok(rows.clone());
    }
    order.sort_by_cached_key(key);
    take_record_batch(rows, &UInt32Array::from(order)).map_err(StoreError::arrow(table))
}

/// The place of each value among the different ones of its column, from 1; 0 for NULL.
fn ranks(values: &ArrayRef) -> std::result::Result<Vec<u32>, arrow::error::ArrowError> {
    if let Some(values) = values.as_primitive_opt::<Int64Type>() {
        return Ok(ranks_of(values.iter()));
    }
    let values = arrow::compute::cast(values, &DataType::Utf8)?;
    Ok(ranks_of(values.as_string::<i32>().iter()))
}

fn ranks_of<T: Copy + Ord + std::hash::Hash>(values: impl Iterator<Item = Option<T>>) -> Vec<u32> {
    let mut numbers: HashMap<T, u32> = HashMap::new();
    let mut different: Vec<T> = Vec::new();
    let mut last: Option<(T, u32)> = None;
    // First in the order of appearance, from 1.
    let mut places: Vec<u32> = values
        .map(|value| {
            let Some(value) = value else { return 0 };
            if let Some((same, number)) = last
                && same == value
            {
                return number;
            }
            let number = *numbers.entry(value).or_insert_with(|| {
                different.push(value);
                different.len() as u32
            });
            last = Some((value, number));
            number
        })
        .collect();
    let mut order: Vec<u32> = (0..different.len() as u32).collect();
    order.sort_unstable_by_key(|&i| different[i as usize]);
    let mut rank = vec![0u32; different.len() + 1];
    for (place, i) in order.into_iter().enumerate() {
        rank[i as usize + 1] = place as u32 + 1;
    }
    places.iter_mut().for_each(|place| *place = rank[*place as usize]);
    places
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_ordered_by_text_then_number_null_first() {
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let rows = RecordBatch::try_from_iter([
            ("experiment_id", text(vec![Some("b"), Some("a"), Some("a"), Some("a"), Some("a")])),
            ("key", text(vec![Some("k"), Some("z"), Some("k"), Some("k"), None])),
            ("run_id", text(vec![Some("r"); 5])),
            ("step", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(30), Some(-4), None])) as ArrayRef),
        ]);
        let sorted = sort(&Table::Metrics, &rows.unwrap()).unwrap();
        let steps: Vec<_> = sorted.column(3).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(steps, [None, Some(-4), Some(30), Some(2), Some(1)]);
    }
}
