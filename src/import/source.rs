//! Lines out of a file or a pipe, plain or gzip, with bounded memory.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// Longest line, in bytes; a longer one is skipped and told of.
const LONGEST: usize = 256 << 20;

/// A line as it stands in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes without the line end.
    pub bytes: Vec<u8>,
    /// Whether it was longer than any line may be; `bytes` holds its beginning.
    pub cut: bool,
}

impl RawLine {
    /// The text, or what is wrong with it.
    pub fn text(&self) -> Result<&str, super::LineError> {
        let bad = |reason: String| super::LineError { line: self.number, reason };
        if self.cut {
            return Err(bad(format!("longer than {} MiB", LONGEST >> 20)));
        }
        let bytes = match self.bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.number == 1 => rest,
            _ => &self.bytes,
        };
        std::str::from_utf8(bytes).map_err(|e| bad(format!("not UTF-8 at byte {}", e.valid_up_to() + 1)))
    }
}

/// Reads lines; gzip is told by its first bytes.
pub struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
    /// An error that comes after lines which were read before it.
    late: Option<io::Error>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// Reads from an input. Waits for its first two bytes.
    pub fn new(mut input: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = Vec::new();
        input.by_ref().take(2).read_to_end(&mut head)?;
        let gzip = head == [0x1f, 0x8b];
        let whole = Cursor::new(head).chain(input);
        let input: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(BufReader::new(whole))) } else { Box::new(whole) };
        Ok(Lines { input: BufReader::with_capacity(1 << 20, input), number: 0, late: None })
    }

    /// The next line; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let mut bytes = Vec::new();
        let limit = LONGEST as u64 + 1;
        if self.input.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut cut = false;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() > LONGEST {
            cut = true;
            bytes.truncate(1 << 10);
            bytes.shrink_to_fit();
            self.input.skip_until(b'\n')?;
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(RawLine { number: self.number, bytes, cut }))
    }

    /// Whether the next line may have to be waited for.
    pub fn may_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }

    /// The next lines: what is there without waiting, at least one and at most `most`, or about 4 MiB. Empty at the end.
    pub fn next_batch(&mut self, most: usize) -> io::Result<Vec<RawLine>> {
        if let Some(e) = self.late.take() {
            return Err(e);
        }
        let mut lines = Vec::new();
        let mut size = 0;
        while lines.len() < most && size < 4 << 20 {
            if !lines.is_empty() && self.may_wait() {
                break;
            }
            match self.next_line() {
                Ok(Some(line)) => {
                    size += line.bytes.len();
                    lines.push(line);
                }
                Ok(None) => break,
                Err(e) if lines.is_empty() => return Err(e),
                Err(e) => {
                    self.late = Some(e);
                    break;
                }
            }
        }
        Ok(lines)
    }
}
