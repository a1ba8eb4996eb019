//! Tensors as numbers and as text.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::Float16Type;
use bytes::Bytes;
use serde_json::Value as Json;

use super::proto::{Histogram, Tensor};

/// Bits of a 16-bit float.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

const STRING: i32 = 7;

impl Tensor {
    /// Sizes of its dimensions; empty for a single value.
    fn shape(&self) -> Vec<i64> {
        self.tensor_shape.iter().flat_map(|shape| &shape.dim).map(|dim| dim.size).collect()
    }

    /// How many values its shape promises.
    fn len(&self) -> Option<usize> {
        let mut product = 1_usize;
        for size in self.shape() {
            product = product.checked_mul(usize::try_from(size).ok()?)?;
        }
        Some(product)
    }

    /// Whether it holds text.
    pub fn is_text(&self) -> bool {
        self.dtype == STRING
    }

    /// Its values as numbers, as many as are written down; `None` for other types.
    fn numbers(&self) -> Option<Vec<f64>> {
        fn wide<const N: usize>(content: &Bytes, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            content.chunks_exact(N).map(|bytes| number(bytes.try_into().expect("N bytes"))).collect()
        }
        let content = &self.tensor_content;
        let listed = content.is_empty();
        let halves = || self.half_val.iter().map(|bits| *bits as u16);
        let ints = || self.int_val.iter().map(|x| f64::from(*x)).collect();
        let half = |bits| Half::from_bits(bits).to_f64();
        let brain = |bits: u16| f64::from(f32::from_bits(u32::from(bits) << 16));
        Some(match (self.dtype, listed) {
            (1, true) => self.float_val.iter().map(|x| f64::from(*x)).collect(),
            (1, false) => wide(content, |b| f32::from_le_bytes(b).into()),
            (2, true) => self.double_val.clone(),
            (2, false) => wide(content, f64::from_le_bytes),
            (3..=6 | 17, true) => ints(),
            (3, false) => wide(content, |b| i32::from_le_bytes(b).into()),
            (4, false) => wide(content, |b| u8::from_le_bytes(b).into()),
            (5, false) => wide(content, |b| i16::from_le_bytes(b).into()),
            (6, false) => wide(content, |b| i8::from_le_bytes(b).into()),
            (17, false) => wide(content, |b| u16::from_le_bytes(b).into()),
            (9, true) => self.int64_val.iter().map(|x| *x as f64).collect(),
            (9, false) => wide(content, |b| i64::from_le_bytes(b) as f64),
            (10, true) => self.bool_val.iter().map(|b| f64::from(*b)).collect(),
            (10, false) => wide(content, |b: [u8; 1]| f64::from(b[0] != 0)),
            (14, true) => halves().map(brain).collect(),
            (14, false) => wide(content, |b| brain(u16::from_le_bytes(b))),
            (19, true) => halves().map(half).collect(),
            (19, false) => wide(content, |b| half(u16::from_le_bytes(b))),
            (22, true) => self.uint32_val.iter().map(|x| f64::from(*x)).collect(),
            (22, false) => wide(content, |b| u32::from_le_bytes(b).into()),
            (23, true) => self.uint64_val.iter().map(|x| *x as f64).collect(),
            (23, false) => wide(content, |b| u64::from_le_bytes(b) as f64),
            _ => return None,
        })
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        let numbers = self.numbers().filter(|_| self.len() == Some(1))?;
        // A zero may be left out.
        Some(numbers.first().copied().unwrap_or(0.0))
    }

    /// The text, if it is text: a single one as it is, several as JSON.
    pub fn text(&self) -> Option<String> {
        if !self.is_text() {
            return None;
        }
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let shape = self.shape();
        Some(match (shape.as_slice(), self.string_val.as_slice()) {
            ([], []) => String::new(),
            (_, [one]) => text(one),
            ([_, columns], all) if *columns > 1 => {
                let rows = all.chunks(usize::try_from(*columns).unwrap_or(1));
                Json::Array(rows.map(|row| row.iter().map(text).collect()).collect()).to_string()
            }
            (_, all) => Json::Array(all.iter().map(|bytes| text(bytes).into()).collect()).to_string(),
        })
    }

    /// The histogram in it, if it is one: a row of left edge, right edge and count for each bucket.
    pub fn histogram(&self) -> Option<String> {
        let shape = self.shape();
        let [rows, 3] = shape.as_slice() else { return None };
        let numbers = self.numbers()?;
        let (buckets, rest) = numbers.as_chunks::<3>();
        if !rest.is_empty() || buckets.len() as i64 != *rows {
            return None;
        }
        // With gaps between them there is no one list of edges.
        if buckets.windows(2).any(|pair| pair[0][1] != pair[1][0]) {
            return None;
        }
        let lefts = buckets.iter().map(|bucket| bucket[0]);
        let mut edges: Vec<f64> = lefts.chain(buckets.last().map(|bucket| bucket[1])).collect();
        if edges.is_empty() {
            edges.push(0.0);
        }
        let counts: Vec<f64> = buckets.iter().map(|bucket| bucket[2]).collect();
        payload(&edges, &counts)
    }
}

impl Histogram {
    /// The histogram, its outermost empty buckets left out: they reach to the greatest double.
    pub fn histogram(&self) -> Option<String> {
        if self.bucket.len() != self.bucket_limit.len() {
            return None;
        }
        let is_filled = |count: &f64| *count > 0.0;
        let Some(first) = self.bucket.iter().position(is_filled) else { return payload(&[self.min], &[]) };
        let last = self.bucket.iter().rposition(is_filled).expect("there is one");
        let inner = self.bucket_limit[first..last].iter().copied();
        let edges: Vec<f64> = [self.min].into_iter().chain(inner).chain([self.max]).collect();
        payload(&edges, &self.bucket[first..=last])
    }
}

fn payload(edges: &[f64], counts: &[f64]) -> Option<String> {
    let is_plain = edges.iter().chain(counts).all(|x| x.is_finite());
    is_plain.then(|| serde_json::json!({"edges": edges, "counts": counts}).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::proto::{Dim, TensorShape};
    use super::*;

    fn shaped(dtype: i32, sizes: &[i64]) -> Tensor {
        let dim = sizes.iter().map(|size| Dim { size: *size }).collect();
        Tensor { dtype, tensor_shape: Some(TensorShape { dim }), ..Tensor::default() }
    }

    #[test]
    fn a_number_of_any_type_is_read() {
        let content =
            |dtype, bytes: &[u8]| Tensor { tensor_content: Bytes::copy_from_slice(bytes), ..shaped(dtype, &[]) };
        for (tensor, number) in [
            (Tensor { float_val: vec![0.5], ..shaped(1, &[]) }, 0.5),
            (content(1, &0.5_f32.to_le_bytes()), 0.5),
            (Tensor { double_val: vec![0.1], ..shaped(2, &[1]) }, 0.1),
            (content(2, &0.1_f64.to_le_bytes()), 0.1),
            (Tensor { int_val: vec![-3], ..shaped(3, &[]) }, -3.0),
            (content(6, &[0xff]), -1.0),
            (content(17, &[0xff, 0xff]), 65535.0),
            (Tensor { int64_val: vec![1 << 40], ..shaped(9, &[1, 1]) }, (1_u64 << 40) as f64),
            (Tensor { bool_val: vec![true], ..shaped(10, &[]) }, 1.0),
            (Tensor { half_val: vec![0x3f80], ..shaped(14, &[]) }, 1.0),
            (Tensor { half_val: vec![0x3c00], ..shaped(19, &[]) }, 1.0),
            (content(19, &[0x00, 0xc0]), -2.0),
            (Tensor { uint64_val: vec![7], ..shaped(23, &[]) }, 7.0),
            (shaped(1, &[]), 0.0),
        ] {
            assert_eq!(tensor.number(), Some(number), "{tensor:?}");
        }
        for tensor in
            [shaped(1, &[2]), shaped(1, &[0]), shaped(7, &[]), shaped(1, &[i64::MAX, i64::MAX]), shaped(1, &[-1])]
        {
            assert_eq!(tensor.number(), None, "{tensor:?}");
        }
    }

    #[test]
    fn text_and_histograms_are_read() {
        let strings = |all: &[&str]| all.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
        let text =
            |sizes: &[i64], all: &[&str]| Tensor { string_val: strings(all), ..shaped(7, sizes) }.text().unwrap();
        assert_eq!(text(&[], &["a"]), "a");
        assert_eq!(text(&[1], &["a"]), "a");
        assert_eq!(text(&[2], &["a", "b"]), r#"["a","b"]"#);
        assert_eq!(text(&[2, 2], &["a", "b", "c", "d"]), r#"[["a","b"],["c","d"]]"#);
        let buckets = Tensor { double_val: vec![0.0, 1.0, 5.0, 1.0, 2.0, 7.0], ..shaped(2, &[2, 3]) };
        assert_eq!(buckets.histogram().unwrap(), r#"{"counts":[5.0,7.0],"edges":[0.0,1.0,2.0]}"#);
        let gap = Tensor { double_val: vec![0.0, 1.0, 5.0, 1.5, 2.0, 7.0], ..shaped(2, &[2, 3]) };
        assert_eq!(gap.histogram(), None);
        let old = Histogram {
            min: -1.0,
            max: 3.0,
            bucket_limit: vec![-2.0, 0.0, 2.0, f64::MAX],
            bucket: vec![0.0, 1.0, 0.0, 4.0],
        };
        assert_eq!(old.histogram().unwrap(), r#"{"counts":[1.0,0.0,4.0],"edges":[-1.0,0.0,2.0,3.0]}"#);
        assert_eq!(Histogram::default().histogram().unwrap(), r#"{"counts":[],"edges":[0.0]}"#);
    }
}
