//! What a Parquet file claims of its sizes, checked before the reader believes it.
//!
//! The reader makes room for as many bytes as the header of a page claims, and for as many values. A file of one
//! kilobyte may claim two gigabytes; here it is refused instead. Headers are Thrift in its compact protocol, of which
//! only the three sizes and the number of values matter.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::file::metadata::ParquetMetaData;

/// What a page may always hold, however small it is when compressed.
const SMALL: u64 = 64 << 10;
/// How many times smaller a page may be when compressed: more than any codec does with text or numbers.
const RATIO: u64 = 2000;
/// Values in a page. Runs of equal ones take next to no bytes, so bytes say nothing of this.
const MOST_VALUES: i64 = 1 << 24;
/// Rows that any file may have, and rows per byte beyond these. Runs of equal values take next to no bytes.
const SOME_ROWS: u64 = 1 << 20;
const ROWS_PER_BYTE: u64 = 100;
/// Longest header of a page. It holds extremes of the column, which may be long texts.
const LONGEST_HEADER: u64 = 1 << 20;
/// How deep structs may lie in each other in a header.
const DEEPEST: usize = 16;

/// Checks all that a file claims; an error says what cannot be.
pub fn check(file: &mut File, length: u64, metadata: &ParquetMetaData) -> Result<(), String> {
    let rows = u64::try_from(metadata.file_metadata().num_rows()).map_err(|_| "it claims fewer than no rows")?;
    if rows > SOME_ROWS.saturating_add(length.saturating_mul(ROWS_PER_BYTE)) {
        return Err(format!("it claims {rows} rows in {length} bytes"));
    }
    for group in metadata.row_groups() {
        for column in group.columns() {
            let name = column.column_path().string();
            let begin = column.dictionary_page_offset().filter(|at| *at > 0).unwrap_or(i64::MAX);
            let begin = u64::try_from(begin.min(column.data_page_offset()));
            let size = u64::try_from(column.compressed_size());
            let (Ok(begin), Ok(size)) = (begin, size) else {
                return Err(format!("column '{name}' claims to lie before the file"));
            };
            if begin.checked_add(size).is_none_or(|end| end > length) {
                return Err(format!("column '{name}' claims to end behind the file"));
            }
            pages(file, begin, begin + size).map_err(|e| format!("column '{name}': {e}"))?;
        }
    }
    Ok(())
}

fn pages(file: &mut File, mut at: u64, end: u64) -> Result<(), String> {
    while at < end {
        let mut bytes = Vec::new();
        // Most headers are short.
        for most in [4 << 10, LONGEST_HEADER] {
            bytes.clear();
            file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
            file.by_ref().take(most.min(end - at)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            match header(&bytes) {
                Ok(header) => {
                    header.check()?;
                    at = at.saturating_add(header.length).saturating_add(header.compressed as u64);
                    break;
                }
                Err(_) if (bytes.len() as u64) == most && most < LONGEST_HEADER => {}
                Err(e) => return Err(format!("a page at byte {at} has no header that can be read: {e}")),
            }
        }
        if at > end {
            return Err("its last page claims to end behind it".to_string());
        }
    }
    Ok(())
}

/// What the header of a page claims.
#[derive(Debug, Default)]
struct Header {
    /// Bytes of the header itself.
    length: u64,
    uncompressed: i64,
    compressed: i64,
    values: i64,
}

impl Header {
    fn check(&self) -> Result<(), String> {
        let Header { uncompressed, compressed, values, .. } = *self;
        if uncompressed < 0 || compressed < 0 || values < 0 {
            return Err("a page claims fewer than no bytes or values".to_string());
        }
        if uncompressed as u64 > SMALL.saturating_add((compressed as u64).saturating_mul(RATIO)) {
            return Err(format!("a page of {compressed} bytes claims to hold {uncompressed}"));
        }
        if values > MOST_VALUES {
            return Err(format!("a page claims to hold {values} values; the most are {MOST_VALUES}"));
        }
        Ok(())
    }
}

fn header(bytes: &[u8]) -> Result<Header, &'static str> {
    let mut input = Input(bytes);
    let mut header = Header::default();
    let mut id = 0;
    while let Some(kind) = input.field(&mut id)? {
        match (id, kind) {
            (2, I32) => header.uncompressed = input.int()?,
            (3, I32) => header.compressed = input.int()?,
            // Headers of a data page, a dictionary page, a data page of the second kind: values come first in each.
            (5 | 7 | 8, STRUCT) => {
                let mut inner = 0;
                while let Some(kind) = input.field(&mut inner)? {
                    match (inner, kind) {
                        (1, I32) => header.values = header.values.max(input.int()?),
                        _ => input.skip(kind, DEEPEST)?,
                    }
                }
            }
            _ => input.skip(kind, DEEPEST)?,
        }
    }
    header.length = (bytes.len() - input.0.len()) as u64;
    Ok(header)
}

// Types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

const SHORT: &str = "it ends too early";

/// Thrift in its compact protocol.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    fn pass(&mut self, n: u64) -> Result<(), &'static str> {
        let n = usize::try_from(n).map_err(|_| SHORT)?;
        self.0 = self.0.get(n..).ok_or(SHORT)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    fn int(&mut self) -> Result<i64, &'static str> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// The type of the next field of a struct, whose number goes into `id`; `None` at its end.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>, &'static str> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => self.int()?,
            more => id.checked_add(i64::from(more)).ok_or("a field has no number")?,
        };
        Ok(Some(byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), &'static str> {
        let depth = depth.checked_sub(1).ok_or("structs lie too deep in each other")?;
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(|_| ()),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | SET => {
                let byte = self.byte()?;
                let (kind, n) = (byte & 0x0f, u64::from(byte >> 4));
                let n = if n == 15 { self.varint()? } else { n };
                // Each takes a byte at least; one without bytes would be a loop that costs nothing to ask for.
                if n > self.0.len() as u64 {
                    return Err(SHORT);
                }
                for _ in 0..n {
                    match kind {
                        TRUE | FALSE => self.pass(1)?,
                        kind => self.skip(kind, depth)?,
                    }
                }
                Ok(())
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth)?;
                }
                Ok(())
            }
            _ => Err("it has a type that no header has"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Field 1: type, 2: uncompressed, 3: compressed, 5: a struct with the number of values.
    fn page(uncompressed: i64, compressed: i64, values: i64) -> Vec<u8> {
        let int = |mut n: u64| {
            let mut bytes = Vec::new();
            while n > 0x7f {
                bytes.push(n as u8 | 0x80);
                n >>= 7;
            }
            bytes.push(n as u8);
            bytes
        };
        let zigzag = |n: i64| int((n << 1 ^ n >> 63) as u64);
        let mut bytes = vec![0x15, 0];
        for n in [uncompressed, compressed] {
            bytes.push(0x15);
            bytes.extend(zigzag(n));
        }
        bytes.extend([0x2c, 0x15]);
        bytes.extend(zigzag(values));
        // An encoding, and a text as an extreme.
        bytes.extend([0x15, 0, 0x18, 2, b'a', b'b', 0, 0]);
        bytes
    }

    #[test]
    fn sizes_of_pages_are_read_and_checked() {
        let bytes = page(1000, 700, 12);
        let header = header(&bytes).unwrap();
        let read = (header.uncompressed, header.compressed, header.values, header.length);
        assert_eq!(read, (1000, 700, 12, bytes.len() as u64));
        assert_eq!(header.check(), Ok(()));
        for (uncompressed, compressed, values, told) in [
            (1 << 31, 100, 12, "a page of 100 bytes claims to hold 2147483648"),
            (100, 100, 1 << 30, "claims to hold 1073741824 values"),
            (-1, 100, 1, "fewer than no"),
            (1 << 62, (1 << 62) - 1, 1 << 62, "values"),
        ] {
            let error = super::header(&page(uncompressed, compressed, values)).unwrap().check().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        for bytes in [&[][..], &[0x15], &[0x18, 0xff, 0xff, 0xff, 0x7f], &[0x19, 0xfc, 0xff, 0xff, 0x7f], &[0x1f, 0]] {
            assert!(header(bytes).is_err(), "{bytes:?}");
        }
        let deep: Vec<u8> = std::iter::repeat_n(0x1c, 1000).collect();
        assert_eq!(header(&deep).unwrap_err(), "structs lie too deep in each other");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = header(&bytes) {
                prop_assert!(header.length > 0 && header.length <= bytes.len() as u64);
                let _ = header.check();
            }
        }
    }
}
