//! How the values of a column are best laid out, by a look at some of them.
//!
//! A dictionary of values that hardly repeat holds all of them, and the numbers of its entries come on top (9.3 bytes for a
//! random double instead of 7.5). What hardly gets smaller is cheaper to read as it is: unpacking random doubles was a
//! quarter of a scan, for one byte of sixteen, and packed numbers of entries that come at random do not shrink either.

use std::collections::HashMap;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};

use parquet::basic::ZstdLevel;

use super::encode::Columns;

/// Places that are looked at, spread over the rows, and rows at each.
const PLACES: usize = 8;
const ROWS: usize = 2048;
/// Of fewer rows the time to unpack them does not matter.
const ROWS_TO_UNPACK: usize = 4096;

/// What suits a column or leaf better than a dictionary and compression.
#[derive(Debug, PartialEq)]
pub struct Layout {
    /// Its path.
    pub path: Vec<String>,
    /// Whether a dictionary is of use.
    pub dictionary: bool,
    /// Whether compression is no use.
    pub raw: bool,
}

/// The columns and leaves that are better off without a dictionary, or without compression.
pub fn layouts(rows: &dyn Columns) -> Vec<Layout> {
    let schema = rows.schema();
    let mut found = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let parts = parts(rows, i);
        match field.data_type() {
            DataType::Struct(leaves) => {
                for (n, leaf) in leaves.iter().enumerate() {
                    let leaves: Vec<_> = parts.iter().map(|part| part.as_struct().column(n).clone()).collect();
                    found.extend(layout(vec![field.name().clone(), leaf.name().clone()], &leaves));
                }
            }
            _ => found.extend(layout(vec![field.name().clone()], &parts)),
        }
    }
    found
}

fn layout(path: Vec<String>, parts: &[ArrayRef]) -> Option<Layout> {
    let entries = Entries::of(parts)?;
    match entries.repeat() {
        false => Some(Layout { path, dictionary: false, raw: !numbers_shrink(parts) }),
        true if entries.numbers.len() >= ROWS_TO_UNPACK && !entries.shrink() => {
            Some(Layout { path, dictionary: true, raw: true })
        }
        true => None,
    }
}

/// Whether compression is of use for numbers. For text it always is.
fn numbers_shrink(parts: &[ArrayRef]) -> bool {
    let mut bytes = Vec::new();
    for part in parts {
        let Some(values) = part.as_primitive_opt::<Float64Type>() else { return true };
        bytes.extend(values.iter().flatten().flat_map(f64::to_le_bytes));
    }
    shrinks(&bytes)
}

/// Whether compression takes more than a tenth off.
fn shrinks(bytes: &[u8]) -> bool {
    let level = ZstdLevel::default().compression_level();
    zstd::bulk::compress(bytes, level).map_or(true, |packed| packed.len() * 10 < bytes.len() * 9)
}

fn parts(rows: &dyn Columns, column: usize) -> Vec<ArrayRef> {
    let all = rows.rows();
    if all <= PLACES * ROWS {
        return vec![rows.column(column, 0..all)];
    }
    (0..PLACES).map(|place| place * (all - ROWS) / (PLACES - 1)).map(|at| rows.column(column, at..at + ROWS)).collect()
}

/// Values as a dictionary would have them.
struct Entries {
    /// Different values, and the bytes that they take.
    different: usize,
    bytes: usize,
    /// Of each value the number of its entry.
    numbers: Vec<u32>,
}

impl Entries {
    /// `None` for columns of other types than those with many values.
    fn of(parts: &[ArrayRef]) -> Option<Entries> {
        Some(match parts.first()?.data_type() {
            DataType::Float64 => {
                let values = parts.iter().flat_map(|p| p.as_primitive::<Float64Type>().iter().flatten());
                Entries::count(values.map(f64::to_bits), |_| 8)
            }
            DataType::Int64 => {
                Entries::count(parts.iter().flat_map(|p| p.as_primitive::<Int64Type>().iter().flatten()), |_| 8)
            }
            DataType::Timestamp(..) => {
                let values = parts.iter().flat_map(|p| p.as_primitive::<TimestampMicrosecondType>().iter().flatten());
                Entries::count(values, |_| 8)
            }
            DataType::Utf8 => {
                let values = parts.iter().flat_map(|p| p.as_string::<i32>().iter().flatten());
                Entries::count(values, |text| text.len())
            }
            _ => return None,
        })
    }

    fn count<T: Hash + Eq + Copy>(values: impl Iterator<Item = T>, bytes: impl Fn(T) -> usize) -> Entries {
        let mut entries: HashMap<T, u32> = HashMap::new();
        let numbers = values
            .map(|value| {
                let next = entries.len() as u32;
                *entries.entry(value).or_insert(next)
            })
            .collect();
        Entries { different: entries.len(), bytes: entries.keys().map(|value| bytes(*value)).sum(), numbers }
    }

    /// Whether a value mostly comes more than once.
    fn repeat(&self) -> bool {
        // Three of four: below, the numbers of the entries are worth their room.
        self.different * 4 < self.numbers.len() * 3
    }

    /// Whether compression is of use: for the numbers in as few bits as they need, or for entries that take much room.
    fn shrink(&self) -> bool {
        let width = usize::BITS - self.different.saturating_sub(1).leading_zeros();
        let mut packed = Vec::new();
        let (mut held, mut bits) = (0u64, 0);
        for number in &self.numbers {
            held |= u64::from(*number) << bits;
            bits += width;
            while bits >= 8 {
                packed.push(held as u8);
                held >>= 8;
                bits -= 8;
            }
        }
        self.bytes * 4 > packed.len() || shrinks(&packed)
    }
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

    fn text<T: ToString>(value: impl Fn(usize) -> T) -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..50_000).map(|i| value(i).to_string())))
    }

    #[test]
    fn values_that_differ_get_no_dictionary_and_what_does_not_shrink_is_not_packed() {
        let doubles = |value: &dyn Fn(usize) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values((0..50_000).map(value)))
        };
        let leaf = |name| Arc::new(Field::new(name, DataType::Float64, true));
        let both = StructArray::from(vec![
            (leaf("all differ"), doubles(&random)),
            (leaf("in single precision"), doubles(&|i| f64::from(random(i) as f32))),
            (leaf("one after the other"), doubles(&|i| (i % 100) as f64)),
            (leaf("at random"), doubles(&|i| (random(i) * 100.0).floor())),
        ]);
        let rows = RecordBatch::try_from_iter([
            ("numbers", Arc::new(both) as ArrayRef),
            ("names", text(|i| format!("run-{i}"))),
            ("few at random", text(|i| ["gbm", "svm", "mlp", "forest", "linear"][(random(i) * 5.0) as usize])),
            ("one", text(|_| "gbm")),
            ("long at random", text(|i| format!("{:0100}", (random(i) * 300.0) as usize))),
        ]);
        let found = layouts(&rows.unwrap());
        let found = found.iter().map(|Layout { path, dictionary, raw }| (path.join("."), *dictionary, *raw));
        let expected = [
            ("numbers.all differ", false, true),
            ("numbers.in single precision", false, false),
            ("numbers.at random", true, true),
            ("names", false, false),
            ("few at random", true, true),
        ];
        assert_eq!(
            found.collect::<Vec<_>>(),
            expected.map(|(path, dictionary, raw)| (path.to_string(), dictionary, raw))
        );
    }
}
