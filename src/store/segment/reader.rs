//! Reading segments: a whole prefix of records, and what is wrong after it.

use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use serde::Deserialize;

use super::frame::{self, FORMAT, Frame, Header, METRICS, NoFrame};
use crate::model::{InvalidRunId, Micros, Record, Step, Version};
use crate::store::io::Io;

/// A record with its place in the order of writes.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRecord {
    /// When it was logged and by whom.
    pub version: Version,
    /// What was logged.
    pub record: Record,
}

/// A record as it lies in a segment, for whoever reads millions of points: their names are borrowed.
#[derive(Debug, Clone, PartialEq)]
pub enum RawRecord<'a> {
    /// Values of metrics.
    Metrics(RawPoints<'a>),
    /// Anything else.
    Other(Record),
}

/// [`crate::model::MetricPoints`] with borrowed names; the fields are the same in the same order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RawPoints<'a> {
    /// The run; whether it can name one is for the reader to check.
    pub run: &'a str,
    /// Canonical JSON of what qualifies the series.
    pub context: Option<&'a str>,
    /// Where on the axis.
    pub step: Step,
    /// When.
    pub time: Micros,
    /// Metric to value.
    #[serde(borrow)]
    pub values: Vec<(&'a str, f64)>,
}

impl<'a> RawRecord<'a> {
    fn decode(frame: &Frame<'a>) -> postcard::Result<(Micros, RawRecord<'a>)> {
        if frame.kind == METRICS {
            // What stands between the time and the points is the number of the variant of `Record`.
            let (time, _, points) = postcard::from_bytes::<(Micros, u32, RawPoints<'a>)>(frame.payload)?;
            return Ok((time, RawRecord::Metrics(points)));
        }
        let (time, record) = postcard::from_bytes(frame.payload)?;
        Ok((time, RawRecord::Other(record)))
    }
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
    /// Number of records before it in the segment.
    pub index: u64,
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

/// The bytes of a segment, as a whole or from some record on.
#[derive(Debug)]
pub struct Content {
    /// Where in the file they begin.
    start: u64,
    bytes: Bytes,
    /// The header and the number of records before, where the bytes do not begin with the file.
    skipped: Option<(Header, u64)>,
}

impl Content {
    /// All bytes of a segment.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Content { start: 0, bytes: bytes.into(), skipped: None }
    }

    /// Reads what stands behind byte `from`; `before` is the number of records up to there. Where that is not known, or is
    /// more than the file has, the segment is read as a whole.
    pub fn read(io: &dyn Io, path: &str, from: u64, before: Option<u64>) -> io::Result<Self> {
        let Some(before) = before.filter(|_| from > 0) else { return io.read(path).map(Content::whole) };
        let len = io.stat(path)?.len;
        match read_header(io, path)? {
            Ok((header, _)) if len >= from => {
                let bytes = io.read_range(path, from..len)?;
                Ok(Content { start: from, bytes, skipped: Some((header, before)) })
            }
            _ => io.read(path).map(Content::whole),
        }
    }

    /// Size of the file.
    pub fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Forgets what stands behind a byte of the file.
    pub fn truncate(&mut self, end: u64) {
        self.bytes.truncate(end.saturating_sub(self.start) as usize);
    }

    /// The bytes in a range of the file, which must not begin before what was read.
    pub fn range(&self, range: Range<u64>) -> &[u8] {
        &self.bytes[(range.start - self.start) as usize..(range.end - self.start) as usize]
    }
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
/// Offsets in the answer are within the file.
pub fn scan(content: &Content, from: u64, mut each: impl FnMut(SegmentRecord)) -> Scan {
    walk(content, from, |version, frame| {
        let decoded = postcard::from_bytes::<(Micros, Record)>(frame.payload);
        let (time, record) = decoded.map_err(|e| e.to_string())?;
        each(SegmentRecord { version: Version { time, ..version }, record });
        Ok(ControlFlow::Continue(()))
    })
}

/// Like [`scan`], without a copy of the names in records of metrics; `each` also gets the size of the record in bytes. It
/// may end the scan after a record; one that it refuses ends it as damage.
pub fn scan_raw<'a>(
    content: &'a Content,
    from: u64,
    mut each: impl FnMut(Version, RawRecord<'a>, usize) -> Result<ControlFlow<()>, InvalidRunId>,
) -> Scan {
    walk(content, from, |version, frame| {
        let (time, record) = RawRecord::decode(frame).map_err(|e| e.to_string())?;
        each(Version { time, ..version }, record, frame.len).map_err(|e| e.to_string())
    })
}

/// Finds the whole frames of a segment; the version that `each` gets lacks the time, which is in the payload.
fn walk<'a>(
    content: &'a Content,
    from: u64,
    mut each: impl FnMut(Version, &Frame<'a>) -> Result<ControlFlow<()>, String>,
) -> Scan {
    let (header, mut at, mut index) = match &content.skipped {
        Some((header, before)) => (header.clone(), content.start, *before),
        None => match decode_header(&content.bytes) {
            Ok((header, first)) => (header, first, 0),
            Err(damage) => return Scan { end: 0, index: 0, records: 0, next_sequence: 0, damage: Some(damage) },
        },
    };
    let mut records = 0;
    let damage = loop {
        let rest = &content.bytes[(at - content.start) as usize..];
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
        let mut flow = ControlFlow::Continue(());
        if at >= from {
            let sequence = header.first_sequence + index;
            match each(Version { time: Micros(0), writer: header.writer, sequence }, &frame) {
                Ok(next) => flow = next,
                Err(e) => break Some(format!("a record of kind {} cannot be read ({e})", frame.kind)),
            }
            records += 1;
        }
        index += 1;
        at += frame.len as u64;
        if flow.is_break() {
            break None;
        }
    };
    let damage = damage.map(|problem| Damage { offset: at, intact: index, problem, newer: false });
    Scan { end: at, index, records, next_sequence: header.first_sequence + index, damage }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MetricPoints, RunId};

    #[test]
    fn raw_records_are_the_records() {
        let run = RunId::parse("r-1").unwrap();
        let points = MetricPoints {
            run: run.clone(),
            context: Some(r#"{"fold":1}"#.into()),
            step: Step::Between(0.5),
            time: Micros(-7),
            values: vec![("loss".into(), f64::INFINITY), ("ü".into(), -0.0)],
        };
        for record in [Record::Metrics(points), Record::Notes { run, notes: Some("n".into()) }] {
            let mut bytes = Vec::new();
            frame::encode_record(&mut bytes, Micros(42), &record);
            let frame = frame::decode(&bytes).unwrap_or_else(|e| panic!("{e:?}"));
            let (time, raw) = RawRecord::decode(&frame).unwrap();
            let back = match raw {
                RawRecord::Other(record) => record,
                RawRecord::Metrics(raw) => Record::Metrics(MetricPoints {
                    run: RunId::parse(raw.run).unwrap(),
                    context: raw.context.map(str::to_string),
                    step: raw.step,
                    time: raw.time,
                    values: raw.values.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
                }),
            };
            assert_eq!((time, back), (Micros(42), record));
        }
    }
}
