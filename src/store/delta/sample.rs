//! How the values of a column are best laid out, by a look at some of them.
//!
//! A dictionary of values that hardly repeat holds all of them, and the numbers of its entries come on top (9.3 bytes for a
//! random double instead of 7.5). Numbers that hardly get smaller are cheaper to read as they are: unpacking random doubles
//! was a quarter of a scan, for one byte of sixteen.

use std::collections::HashSet;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};

use parquet::basic::ZstdLevel;

use super::encode::Columns;

/// Places that are looked at, spread over the rows, and rows at each.
const PLACES: usize = 8;
const ROWS: usize = 2048;

/// What suits a column or leaf better than a dictionary and compression.
#[derive(Debug, PartialEq)]
pub struct Plain {
    /// Its path.
    pub path: Vec<String>,
    /// Whether compression is no use either.
    pub raw: bool,
}

/// The columns and leaves most of whose values are different.
pub fn without_repeats(rows: &dyn Columns) -> Vec<Plain> {
    let schema = rows.schema();
    let mut found = Vec::new();
    let plain = |path, parts: &[ArrayRef]| Plain { path, raw: !shrinks(parts) };
    for (i, field) in schema.fields().iter().enumerate() {
        let parts = parts(rows, i);
        match field.data_type() {
            DataType::Struct(leaves) => {
                for (n, leaf) in leaves.iter().enumerate() {
                    let leaves: Vec<_> = parts.iter().map(|part| part.as_struct().column(n).clone()).collect();
                    if !repeats(&leaves) {
                        found.push(plain(vec![field.name().clone(), leaf.name().clone()], &leaves));
                    }
                }
            }
            _ if !repeats(&parts) => found.push(plain(vec![field.name().clone()], &parts)),
            _ => {}
        }
    }
    found
}

/// Whether compression takes more than a tenth off. Of text it always does.
fn shrinks(parts: &[ArrayRef]) -> bool {
    let mut bytes = Vec::new();
    for part in parts {
        let Some(values) = part.as_primitive_opt::<Float64Type>() else { return true };
        bytes.extend(values.iter().flatten().flat_map(f64::to_le_bytes));
    }
    let level = ZstdLevel::default().compression_level();
    zstd::bulk::compress(&bytes, level).map_or(true, |packed| packed.len() * 10 < bytes.len() * 9)
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

    /// In [0, 1), with all bits at random.
    fn random(i: usize) -> f64 {
        let hash = blake3::hash(&i.to_le_bytes());
        let bits = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn values_that_differ_get_no_dictionary() {
        let n = 50_000;
        let different: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(random)));
        let few: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(|i| (i % 100) as f64)));
        let leaf = |name| Arc::new(Field::new(name, DataType::Float64, true));
        let both = StructArray::from(vec![(leaf("a"), different), (leaf("b"), few)]);
        let names = StringArray::from_iter_values((0..n).map(|i| format!("run-{i}")));
        let rows =
            RecordBatch::try_from_iter([("s", Arc::new(both) as ArrayRef), ("name", Arc::new(names) as ArrayRef)]);
        let path = |parts: &[&str]| parts.iter().map(|part| part.to_string()).collect();
        let found = without_repeats(&rows.unwrap());
        assert_eq!(found, [Plain { path: path(&["s", "a"]), raw: true }, Plain { path: path(&["name"]), raw: false }]);
    }

    #[test]
    fn numbers_that_shrink_are_compressed() {
        let doubles: ArrayRef = Arc::new(Float64Array::from_iter_values((0..50_000).map(random)));
        let singles = Float64Array::from_iter_values((0..50_000).map(|i| f64::from(random(i) as f32)));
        assert!(!shrinks(&[doubles]));
        assert!(shrinks(&[Arc::new(singles)]));
    }
}
