//! Checksums of the pieces of a Parquet file, in the file itself.
//!
//! Parquet finds everything by offsets that its footer says, so bytes before the footer that nothing points to are nobody's
//! business. There lies, in our files, a block of checksums; numbers are little endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 for each piece | its length (u32) and its CRC32C (u32); pieces follow each other from byte 4 on |
//! | 8 | where the last piece ends (u64): page indexes may follow, then this block |
//! | 4 | number of pieces (u32) |
//! | 4 | CRC32C of all from the end of the last piece to the end of the file, save for these 4 bytes |
//! | 8 | `RLAKSUM1` |
//!
//! Readers fetch pages or whole column chunks, so those are the pieces; of a piece that is fetched in part all is read.

use std::ops::Range;

use super::Mismatch;

const MAGIC: &[u8; 8] = b"RLAKSUM1";
/// The file begins with four bytes that say what it is.
const HEAD: u64 = 4;
/// Length of the footer, and again what the file is.
const END: usize = 8;
const PIECE: usize = 8;
/// What follows the pieces' own numbers.
const TRAILER: usize = 8 + 4 + 4 + MAGIC.len();
/// Longer pieces are cut: their length must fit.
const LONGEST: u64 = 1 << 30;

/// The checksums of a file's pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Where each piece begins, and where the last one ends.
    bounds: Vec<u64>,
    sums: Vec<u32>,
}

/// Adds checksums to a file whose pieces begin at these offsets, save for the last, where they end; ascending, the first is 4.
pub fn add(file: &mut Vec<u8>, bounds: &[u64]) {
    let footer = footer_begin(file, file.len() as u64).expect("a Parquet file has a footer") as usize;
    let mut block = Vec::new();
    let mut pieces = 0u32;
    for pair in bounds.windows(2) {
        for begin in (pair[0]..pair[1]).step_by(LONGEST as usize) {
            let piece = &file[begin as usize..pair[1].min(begin + LONGEST) as usize];
            block.extend_from_slice(&(piece.len() as u32).to_le_bytes());
            block.extend_from_slice(&crc32c::crc32c(piece).to_le_bytes());
            pieces += 1;
        }
    }
    let end = bounds.last().copied().unwrap_or(HEAD);
    block.extend_from_slice(&end.to_le_bytes());
    block.extend_from_slice(&pieces.to_le_bytes());
    let sum = [&file[end as usize..footer], &block, MAGIC, &file[footer..]].into_iter().fold(0, crc32c::crc32c_append);
    block.extend_from_slice(&sum.to_le_bytes());
    block.extend_from_slice(MAGIC);
    file.splice(footer..footer, block);
}

/// A copy of a file with one checksum for all of its pages; `None` when it is no Parquet file, or has checksums already.
pub fn with_one_sum(file: &[u8]) -> Option<Vec<u8>> {
    let footer = footer_begin(file, file.len() as u64).filter(|_| file.starts_with(b"PAR1"))?;
    if has_trailer(file, file.len() as u64) {
        return None;
    }
    let mut copy = Vec::with_capacity(file.len() + PIECE + TRAILER);
    copy.extend_from_slice(file);
    add(&mut copy, &[HEAD, footer]);
    Some(copy)
}

/// Checks a whole file, where it has checksums.
pub fn check(file: &[u8]) -> Result<(), Mismatch> {
    let size = file.len() as u64;
    match Sums::read(file, size)? {
        Some(sums) => sums.check(0..size, file),
        None => Ok(()),
    }
}

/// From which byte on a file of this size has to be read for [`Sums::read`], as far as its last bytes tell; to be asked again
/// with those. `None`: these are enough.
pub fn begin_of_tail(last: &[u8], size: u64) -> Option<u64> {
    let have = size - last.len() as u64;
    let trailer = footer_begin(last, size)?.checked_sub(TRAILER as u64)?;
    if trailer < have {
        return Some(trailer);
    }
    let at = (trailer - have) as usize;
    let end = u64_at(last, at).filter(|_| has_trailer(last, size))?;
    (end < have).then_some(end)
}

impl Sums {
    /// Reads and checks them from the last bytes of a file of this size, as many as [`begin_of_tail`] asks for; `None` when it
    /// has none.
    pub fn read(last: &[u8], size: u64) -> Result<Option<Sums>, Mismatch> {
        if begin_of_tail(last, size).is_some() {
            return Err(Mismatch::Cover);
        }
        if !has_trailer(last, size) {
            return Ok(None);
        }
        let have = size - last.len() as u64;
        let trailer = (footer_begin(last, size).ok_or(Mismatch::Cover)? - have) as usize - TRAILER;
        let number = |at: usize| u32_at(last, at).ok_or(Mismatch::Cover);
        let end = u64_at(last, trailer).ok_or(Mismatch::Cover)?;
        let (pieces, sum) = (number(trailer + 8)? as usize, number(trailer + 12)?);
        let begin = pieces.checked_mul(PIECE).and_then(|len| trailer.checked_sub(len)).ok_or(Mismatch::Cover)?;
        let tail = end.checked_sub(have).map(|at| at as usize).filter(|at| *at <= begin).ok_or(Mismatch::Cover)?;
        let before = crc32c::crc32c(&last[tail..trailer + 12]);
        if crc32c::crc32c_append(before, &last[trailer + 16..]) != sum {
            return Err(Mismatch::Bytes { begin: end, end: size });
        }
        let mut sums = Sums { bounds: vec![HEAD], sums: Vec::with_capacity(pieces) };
        let mut at = HEAD;
        for piece in last[begin..trailer].chunks_exact(PIECE) {
            at += u64::from(u32_at(piece, 0).ok_or(Mismatch::Cover)?);
            sums.bounds.push(at);
            sums.sums.push(u32_at(piece, 4).ok_or(Mismatch::Cover)?);
        }
        if at == end { Ok(Some(sums)) } else { Err(Mismatch::Cover) }
    }

    /// The least range of whole pieces around a range of the file.
    pub fn around(&self, range: &Range<u64>) -> Result<Range<u64>, Mismatch> {
        let begin = self.bounds.partition_point(|bound| *bound <= range.start).checked_sub(1);
        let end = self.bounds.partition_point(|bound| *bound < range.end);
        match (begin, self.bounds.get(end)) {
            (Some(begin), Some(end)) => Ok(self.bounds[begin]..*end),
            _ => Err(Mismatch::Cover),
        }
    }

    /// Checks the pieces that lie whole in a range of the file, whose bytes these are.
    pub fn check(&self, range: Range<u64>, bytes: &[u8]) -> Result<(), Mismatch> {
        let first = self.bounds.partition_point(|begin| *begin < range.start);
        for (bounds, sum) in self.bounds.windows(2).zip(&self.sums).skip(first) {
            if bounds[1] > range.end {
                break;
            }
            let piece = (bounds[0] - range.start) as usize..(bounds[1] - range.start) as usize;
            if bytes.get(piece).map(crc32c::crc32c) != Some(*sum) {
                return Err(Mismatch::Bytes { begin: bounds[0], end: bounds[1] });
            }
        }
        Ok(())
    }

    /// Bytes in memory.
    pub fn memory_size(&self) -> usize {
        self.bounds.len() * size_of::<u64>() + self.sums.len() * size_of::<u32>()
    }
}

/// Where the footer begins in a file of which these are the last bytes.
fn footer_begin(last: &[u8], size: u64) -> Option<u64> {
    let len = u32_at(last, last.len().checked_sub(END)?)?;
    size.checked_sub(END as u64 + u64::from(len))
}

fn has_trailer(last: &[u8], size: u64) -> bool {
    let have = size - last.len() as u64;
    let footer = footer_begin(last, size).and_then(|footer| footer.checked_sub(have));
    let Some(footer) = footer.map(|at| at as usize).filter(|at| *at >= TRAILER) else { return false };
    last[..footer].ends_with(MAGIC)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::arrow::ArrowWriter;
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use bytes::Bytes;

    use super::*;

    fn rows() -> RecordBatch {
        let texts: ArrayRef = Arc::new((0..60).map(|n| Some(format!("text {}", n % 7))).collect::<StringArray>());
        let doubles: ArrayRef = Arc::new((0..60).map(|n| Some(f64::from(n).sqrt())).collect::<Float64Array>());
        RecordBatch::try_from_iter([("texts", texts), ("doubles", doubles)]).unwrap()
    }

    /// A file as a library writes it, and where its column chunks begin and end.
    fn plain() -> (Vec<u8>, Vec<u64>) {
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, rows().schema(), None).unwrap();
        writer.write(&rows()).unwrap();
        let footer = writer.close().unwrap();
        let chunks: Vec<_> = footer.row_group(0).columns().iter().map(|chunk| chunk.byte_range()).collect();
        let bounds = vec![chunks[0].0, chunks[1].0, chunks[1].0 + chunks[1].1];
        (file, bounds)
    }

    fn read(file: Vec<u8>) -> Option<RecordBatch> {
        // A library may come to grief over nonsense.
        let read = move || ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).ok()?.build().ok()?.next()?.ok();
        std::panic::catch_unwind(read).ok().flatten()
    }

    #[test]
    fn every_flipped_bit_is_found_or_means_nothing() {
        let (file, bounds) = plain();
        let mut pieces = file.clone();
        add(&mut pieces, &bounds);
        let whole = with_one_sum(&file).unwrap();
        assert_eq!(with_one_sum(&whole), None, "it has one");
        for file in [pieces, whole] {
            assert_eq!(check(&file), Ok(()));
            assert_eq!(read(file.clone()).unwrap(), rows(), "other engines read it as they did");
            let mut missed = 0;
            for bit in 0..file.len() * 8 {
                let mut flipped = file.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if check(&flipped).is_err() {
                    continue;
                }
                missed += 1;
                assert!(read(flipped).is_none_or(|found| found == rows()), "bit {bit} of {}", file.len() * 8);
            }
            // What the file is, at both ends, where the footer begins, and that there are checksums.
            assert!(missed <= (4 + 4 + 4 + 8) * 8, "{missed}");
        }
    }

    #[test]
    fn a_piece_is_read_and_checked_as_a_whole() {
        let (mut file, bounds) = plain();
        add(&mut file, &bounds);
        let size = file.len() as u64;
        let sums = Sums::read(&file, size).unwrap().unwrap();
        let (first, second) = (bounds[0]..bounds[1], bounds[1]..bounds[2]);
        let part = |file: &[u8], range: &Range<u64>| file[range.start as usize..range.end as usize].to_vec();
        file[second.start as usize + 3] ^= 4;
        let check = |range: Range<u64>| sums.check(range.clone(), &part(&file, &range));
        let mismatch = Err(Mismatch::Bytes { begin: second.start, end: second.end });
        assert_eq!(check(first.clone()), Ok(()));
        assert_eq!(check(second.clone()), mismatch);
        assert_eq!(check(first.start..second.end), mismatch);
        assert_eq!(sums.check(second.clone(), b"short"), mismatch);
        for (part, whole) in [
            (first.clone(), first.clone()),
            (first.start + 1..first.end - 1, first.clone()),
            (second.end - 1..second.end, second.clone()),
            (first.end - 1..second.start + 1, first.start..second.end),
        ] {
            assert_eq!(sums.around(&part), Ok(whole));
        }
        for outside in [0..first.end, second.start..second.end + 1, size - 8..size] {
            assert_eq!(sums.around(&outside), Err(Mismatch::Cover));
        }
    }

    #[test]
    fn the_end_of_a_file_is_enough() {
        let (mut file, bounds) = plain();
        let size = file.len() as u64;
        assert_eq!(
            begin_of_tail(&file[file.len() - 8..], size),
            Some(footer_begin(&file, size).unwrap() - TRAILER as u64)
        );
        assert_eq!((begin_of_tail(&file, size), Sums::read(&file, size)), (None, Ok(None)), "it has none");
        add(&mut file, &bounds);
        let size = file.len() as u64;
        let whole = Sums::read(&file, size).unwrap();
        assert!(whole.is_some());
        for have in 8..file.len() {
            let mut begin = file.len() - have;
            for round in 0.. {
                assert!(round < 3);
                let Some(earlier) = begin_of_tail(&file[begin..], size) else { break };
                assert!(earlier < begin as u64);
                begin = earlier as usize;
            }
            assert_eq!(Sums::read(&file[begin..], size).unwrap(), whole);
            assert_eq!(begin, (file.len() - have).min(bounds[2] as usize));
        }
        for nonsense in [&b""[..], b"PAR1", b"\xff\xff\xff\xffPAR1", b"RLAKSUM1\0\0\0\0PAR1"] {
            assert_eq!((check(nonsense), with_one_sum(nonsense)), (Ok(()), None));
        }
    }
}
