//! Bytes of a segment: frames, the header, and one frame per record.

use serde::{Deserialize, Serialize};

use crate::model::{Micros, Record, WriterId};

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"RLAKSEG1";
/// Version of the segment format that this code writes.
pub const FORMAT: u16 = 1;
/// Bytes before the payload of a frame: length, checksum of kind and payload, kind, and a check of these nine bytes.
///
/// The last one is there for the length: a flipped bit in it would make a frame seem to reach beyond the end of the file,
/// which looks like a torn tail, and all that follows would be lost without a word.
pub const FRAME_HEAD: usize = 11;
const KIND: usize = 8;
/// Kind of the header frame; records count from 1.
const HEADER_KIND: u8 = 0;
/// Kind of a record of metrics.
pub const METRICS: u8 = 4;
/// No frame is longer: a longer length is damage, not a reason to ask for memory.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// Who writes a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u16,
    /// The writer.
    pub writer: WriterId,
    /// Number of the segment within its writer.
    pub number: u32,
    /// Sequence of the first record.
    pub first_sequence: u64,
    /// Name of the machine.
    pub host: String,
    /// Process.
    pub pid: u32,
    /// When the segment was begun.
    pub started: Micros,
}

/// The header of the first segment of a writer, for the same purpose.
pub fn header_for(writer: WriterId) -> Vec<u8> {
    let (host, started) = (String::new(), Micros(0));
    encode_header(&Header { format: FORMAT, writer, number: 0, first_sequence: 0, host, pid: 0, started })
}

/// Appends a frame that checks, whatever its payload: past the checksums, for those who look for inputs that break the
/// reader.
pub fn enclose(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let write = |mut out: Vec<u8>| {
        out.extend_from_slice(bytes);
        Ok(out)
    };
    frame(out, kind, write).expect("bytes are written as they are");
}

/// Appends one frame to `out`; `payload` writes the payload.
fn frame(
    out: &mut Vec<u8>,
    kind: u8,
    payload: impl FnOnce(Vec<u8>) -> postcard::Result<Vec<u8>>,
) -> postcard::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    out[start + KIND] = kind;
    let taken = std::mem::take(out);
    *out = payload(taken)?;
    let length = out.len() - start - FRAME_HEAD;
    let crc = checksum(kind, &out[start + FRAME_HEAD..]);
    let head = &mut out[start..start + FRAME_HEAD];
    head[..4].copy_from_slice(&(length as u32).to_le_bytes());
    head[4..KIND].copy_from_slice(&crc.to_le_bytes());
    let check = head_check(head);
    head[KIND + 1..].copy_from_slice(&check.to_le_bytes());
    Ok(())
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload)
}

fn head_check(head: &[u8]) -> u16 {
    crc32c::crc32c(&head[..=KIND]) as u16
}

/// The beginning of a segment: magic and header frame.
pub fn encode_header(header: &Header) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    frame(&mut out, HEADER_KIND, |buffer| postcard::to_extend(header, buffer))
        .expect("a header holds nothing that postcard cannot write");
    out
}

/// Appends the frame of a record.
pub fn encode_record(out: &mut Vec<u8>, time: Micros, record: &Record) {
    frame(out, kind(record), |buffer| postcard::to_extend(&(time, record), buffer))
        .expect("a record holds nothing that postcard cannot write");
}

/// The kind byte of a record's frame, so that a scan can skip what it does not need. A promise of the format.
pub fn kind(record: &Record) -> u8 {
    match record {
        Record::Start(_) => 1,
        Record::Attach { .. } => 2,
        Record::Params { .. } => 3,
        Record::Metrics(_) => METRICS,
        Record::Goal(_) => 5,
        Record::Tags { .. } => 6,
        Record::Notes { .. } => 7,
        Record::Comment { .. } => 8,
        Record::RemoveComment { .. } => 9,
        Record::Features { .. } => 10,
        Record::Data { .. } => 11,
        Record::Packages { .. } => 12,
        Record::Environment { .. } => 13,
        Record::Link { .. } => 14,
        Record::Series { .. } => 15,
        Record::Table { .. } => 16,
        Record::Artifact { .. } => 17,
        Record::Finish { .. } => 18,
        Record::Delete { .. } => 19,
        Record::Restore { .. } => 20,
        Record::Experiment(_) => 21,
        Record::Name { .. } => 22,
        Record::Origin(_) => 23,
    }
}

/// A frame that was found whole.
pub struct Frame<'a> {
    /// What it holds.
    pub kind: u8,
    /// Its content.
    pub payload: &'a [u8],
    /// Bytes of the whole frame.
    pub len: usize,
}

/// Why there is no frame at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFrame {
    /// The bytes end within it: it is being written, or its writer died over it.
    Torn,
    /// It is all there and does not check.
    Checksum {
        /// As stored.
        stored: u32,
        /// As the bytes have it.
        computed: u32,
    },
    /// Its length cannot be, or is not what was written.
    Length(u32),
}

/// Reads the frame at the start of `bytes`, which reach to the end of the file.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, NoFrame> {
    // Zeros up to the end: a power cut left the file longer than what was written to it.
    if bytes.len() < FRAME_HEAD || bytes.iter().take(4096).all(|&b| b == 0) && bytes.iter().all(|&b| b == 0) {
        return Err(NoFrame::Torn);
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (length, stored) = (word(0), word(4));
    let check = u16::from_le_bytes(bytes[KIND + 1..FRAME_HEAD].try_into().expect("two bytes"));
    if length as usize > MAX_PAYLOAD || check != head_check(&bytes[..FRAME_HEAD]) {
        return Err(NoFrame::Length(length));
    }
    let len = FRAME_HEAD + length as usize;
    if bytes.len() < len {
        return Err(NoFrame::Torn);
    }
    let computed = checksum(bytes[KIND], &bytes[FRAME_HEAD..len]);
    if stored != computed {
        return Err(NoFrame::Checksum { stored, computed });
    }
    Ok(Frame { kind: bytes[KIND], payload: &bytes[FRAME_HEAD..len], len })
}

/// Reads magic and header; gives the header and the offset of the first record.
pub fn decode_header(bytes: &[u8]) -> Result<(Header, usize), String> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or("it does not begin like a segment")?;
    let frame = decode(rest).map_err(|e| format!("its header is damaged ({e:?})"))?;
    if frame.kind != HEADER_KIND {
        return Err(format!("its first frame has kind {}, not that of a header", frame.kind));
    }
    let header: Header = postcard::from_bytes(frame.payload).map_err(|e| format!("its header cannot be read ({e})"))?;
    Ok((header, MAGIC.len() + frame.len))
}
