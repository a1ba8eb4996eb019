//! Records of an event file: length, checksum of the length, content, checksum of the content.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::Bytes;

use super::super::tree;

/// Longest record that is read: scalars take hundreds of bytes, images and graphs megabytes.
const LONGEST: u64 = 64 << 20;
/// Bytes before the content.
const HEAD: u64 = 12;
/// Bytes after it.
const FOOT: u64 = 4;

/// What comes next in a file.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The content of a record.
    Record(Bytes),
    /// A record that cannot be read; those behind it can.
    Damaged(String),
    /// Nothing behind this can be read.
    Lost(String),
    /// A record of which only the beginning is there: it is being written, or its writer died.
    Torn {
        /// Where it begins.
        at: u64,
        /// How many bytes of it are there.
        bytes: u64,
    },
    /// The end.
    End,
}

/// An event file.
pub struct Records {
    file: BufReader<File>,
    at: u64,
    size: u64,
}

/// The checksum as TensorFlow stores it: rotated, so that one over bytes that hold one is as good.
pub fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

impl Records {
    /// Opens a file; what is written to it later is not seen.
    pub fn open(path: &Path) -> io::Result<Records> {
        let file = tree::open(path)?;
        let size = file.metadata()?.len();
        Ok(Records { file: BufReader::with_capacity(1 << 16, file), at: 0, size })
    }

    /// Reads on.
    pub fn next(&mut self) -> io::Result<Next> {
        let (at, left) = (self.at, self.size.saturating_sub(self.at));
        if left == 0 {
            return Ok(Next::End);
        }
        let mut head = [0; HEAD as usize];
        if left < HEAD {
            self.at = self.size;
            return Ok(Next::Torn { at, bytes: left });
        }
        self.file.read_exact(&mut head)?;
        let length = u64::from_le_bytes(head[..8].try_into().expect("8 bytes"));
        let stored = u32::from_le_bytes(head[8..].try_into().expect("4 bytes"));
        let computed = masked_crc(&head[..8]);
        if stored != computed {
            self.at = self.size;
            // A file that was made larger before a power cut ends in zeros.
            if head == [0; HEAD as usize] && self.rest_is_zero()? {
                return Ok(Next::Torn { at, bytes: left });
            }
            return Ok(Next::Lost(format!(
                "damaged at byte {at}: the length of a record has checksum {stored:08x}, not {computed:08x}; \
                 the {left} bytes from there on cannot be read"
            )));
        }
        if length > left.saturating_sub(HEAD + FOOT) {
            self.at = self.size;
            return Ok(Next::Torn { at, bytes: left });
        }
        self.at += HEAD + length + FOOT;
        if length > LONGEST {
            self.file.seek_relative((length + FOOT) as i64)?;
            return Ok(Next::Damaged(format!(
                "the record at byte {at} has {length} bytes; the longest that is read has {LONGEST}"
            )));
        }
        // No more than the file has, whatever the record claims.
        let mut content = vec![0; (length + FOOT) as usize];
        self.file.read_exact(&mut content)?;
        let foot = content.split_off(length as usize);
        let stored = u32::from_le_bytes(foot.as_slice().try_into().expect("4 bytes"));
        let computed = masked_crc(&content);
        if stored != computed {
            return Ok(Next::Damaged(format!(
                "damaged at byte {at}: a record of {length} bytes has checksum {stored:08x}, not {computed:08x}"
            )));
        }
        Ok(Next::Record(content.into()))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 1 << 13];
        loop {
            let n = self.file.read(&mut buffer)?;
            if n == 0 {
                return Ok(true);
            }
            if buffer[..n].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }
}

/// A record as it stands in a file.
#[cfg(test)]
pub fn framed(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), content, &masked_crc(content).to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Next> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        std::fs::write(&path, bytes).unwrap();
        let mut records = Records::open(&path).unwrap();
        let mut found = Vec::new();
        loop {
            match records.next().unwrap() {
                Next::End => return found,
                next => found.push(next),
            }
        }
    }

    fn record(text: &'static str) -> Next {
        Next::Record(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn the_checksum_is_that_of_tensorflow() {
        // The head of a file that TensorFlow wrote.
        assert_eq!(masked_crc(&62_u64.to_le_bytes()), 0xe740_d2d9);
    }

    #[test]
    fn records_come_one_by_one_up_to_a_torn_one() {
        let whole = [framed(b"one"), framed(b""), framed(b"three")].concat();
        assert_eq!(all(&whole), [record("one"), record(""), record("three")]);
        let last = whole.len() - framed(b"three").len();
        for cut in last + 1..whole.len() {
            let torn = Next::Torn { at: last as u64, bytes: (cut - last) as u64 };
            assert_eq!(all(&whole[..cut]), [record("one"), record(""), torn], "cut at {cut}");
        }
        let zeros = [whole.as_slice(), &[0; 100]].concat();
        assert_eq!(all(&zeros)[3], Next::Torn { at: whole.len() as u64, bytes: 100 });
    }

    #[test]
    fn damage_is_told_with_its_place_and_lengths_are_not_believed() {
        let mut content = [framed(b"one"), framed(b"two"), framed(b"three")].concat();
        content[19 + 12] ^= 1;
        let found = all(&content);
        assert!(matches!(&found[1], Next::Damaged(why) if why.starts_with("damaged at byte 19: a record of 3 bytes")));
        assert_eq!(found[2], record("three"));
        content[19] ^= 1;
        assert!(matches!(&all(&content)[1], Next::Lost(why) if why.starts_with("damaged at byte 19: the length")));
        for length in [2_u64 << 30, u64::MAX, u64::MAX - 16] {
            let mut huge = length.to_le_bytes().to_vec();
            huge.extend(masked_crc(&huge).to_le_bytes());
            huge.extend([7; 1000]);
            assert_eq!(all(&huge), [Next::Torn { at: 0, bytes: 1012 }]);
        }
    }
}
