//! Reading segments: a whole prefix of records, and what is wrong after it.

use std::fmt;
use std::io;

use super::frame::{self, FORMAT, Header, NoFrame};
use crate::model::{Micros, Record, Version};
use crate::store::io::Io;

/// A record with its place in the order of writes.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRecord {
    /// When it was logged and by whom.
    pub version: Version,
    /// What was logged.
    pub record: Record,
}

/// What ended a scan before the end of the file, other than a torn tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset of the first frame that does not check.
    pub offset: u64,
    /// Records before it.
    pub intact: u64,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it is only newer than what this code reads.
    pub newer: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is damaged at byte {}: {}; {} records before it are intact", self.offset, self.problem, self.intact)
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Offset after the last whole record.
    pub end: u64,
    /// Number of records that were read.
    pub records: u64,
    /// Sequence of the record that would follow; 0 where there is no header.
    pub next_sequence: u64,
    /// What stopped the scan; `None` at the end of the file or a torn tail.
    pub damage: Option<Damage>,
}

/// Reads the header of a segment; also gives the offset of the first record.
pub fn read_header(io: &dyn Io, path: &str) -> io::Result<Result<(Header, u64), Damage>> {
    let len = io.stat(path)?.len.min(64 * 1024);
    let head = io.read_range(path, 0..len)?;
    Ok(decode_header(&head))
}

fn decode_header(bytes: &[u8]) -> Result<(Header, u64), Damage> {
    let damage = |problem| Damage { offset: 0, intact: 0, problem, newer: false };
    let (header, end) = frame::decode_header(bytes).map_err(damage)?;
    if header.format > FORMAT {
        let problem = format!("it has format {}, and this runlake reads up to {FORMAT}", header.format);
        return Err(Damage { newer: true, ..damage(problem) });
    }
    Ok((header, end as u64))
}

/// Reads the records of a segment from byte `from` (0: from the first one on) and hands each to `each`.
///
/// `bytes` is the segment as a whole. Offsets in the answer are within the file.
pub fn scan(bytes: &[u8], from: u64, mut each: impl FnMut(SegmentRecord)) -> Scan {
    let (header, first) = match decode_header(bytes) {
        Ok(found) => found,
        Err(damage) => return Scan { end: 0, records: 0, next_sequence: 0, damage: Some(damage) },
    };
    let mut at = first;
    let mut index = 0;
    let mut records = 0;
    let damage = loop {
        let rest = &bytes[at as usize..];
        if rest.is_empty() {
            break None;
        }
        let frame = match frame::decode(rest) {
            Ok(frame) => frame,
            Err(NoFrame::Torn) => break None,
            Err(NoFrame::Checksum { stored, computed }) => {
                break Some(format!("checksum {stored:08x} stored, {computed:08x} computed"));
            }
            Err(NoFrame::Length(length)) => {
                break Some(format!("the head of a record, which says {length} bytes, does not check"));
            }
        };
        // Records that a cut has absorbed are only counted: their sequence numbers belong to them.
        if at >= from {
            match postcard::from_bytes::<(Micros, Record)>(frame.payload) {
                Ok((time, record)) => {
                    let version = Version { time, writer: header.writer, sequence: header.first_sequence + index };
                    each(SegmentRecord { version, record });
                    records += 1;
                }
                Err(e) => break Some(format!("a record of kind {} cannot be read ({e})", frame.kind)),
            }
        }
        index += 1;
        at += frame.len as u64;
    };
    let damage = damage.map(|problem| Damage { offset: at, intact: index, problem, newer: false });
    Scan { end: at, records, next_sequence: header.first_sequence + index, damage }
}
