//! Columns of zeros and ones.

/// A column of a design that holds 0 and 1 only, a bit a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// All zeros.
    pub fn zeros(rows: usize) -> Bits {
        Bits { words: vec![0; rows.div_ceil(64)] }
    }

    /// Makes a row one.
    pub fn set(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Whether a row is one.
    pub fn get(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Number of ones in rows `from..to`.
    pub fn ones_in(&self, from: usize, to: usize) -> usize {
        if from >= to {
            return 0;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        let low = u64::MAX << (from % 64);
        let high = u64::MAX >> (63 - (to - 1) % 64);
        if first == last {
            return (self.words[first] & low & high).count_ones() as usize;
        }
        let between: u32 = self.words[first + 1..last].iter().map(|word| word.count_ones()).sum();
        ((self.words[first] & low).count_ones() + between + (self.words[last] & high).count_ones()) as usize
    }

    /// Number of rows where both are one.
    pub fn both(&self, other: &Bits) -> usize {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// The rows that are one.
    pub fn ones(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(i * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_are_counted_in_any_range() {
        let rows = [0, 1, 63, 64, 65, 127, 128, 199];
        let mut bits = Bits::zeros(200);
        rows.iter().for_each(|row| bits.set(*row));
        assert_eq!(bits.ones().collect::<Vec<_>>(), rows);
        for from in 0..200 {
            for to in from..=200 {
                let expected = rows.iter().filter(|row| (from..to).contains(*row)).count();
                assert_eq!(bits.ones_in(from, to), expected, "{from}..{to}");
            }
        }
        assert!(bits.get(63) && !bits.get(62));
    }
}
