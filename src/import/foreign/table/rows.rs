//! Rows of a file, whatever its format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::super::{json, tree};
use super::cell::{Cell, Columns, Row};
use super::columnar;

/// Longest row, in bytes.
const LONGEST: u64 = 16 << 20;
/// How long a file has to lie still before a last line without an end is taken for whole.
const STILL: Duration = Duration::from_secs(60);
/// Rows of a file that are told one by one when they cannot be read.
const TOLD: u64 = 10;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Values with a separator between them.
    Csv,
    /// An object a line.
    Json,
    /// Parquet.
    Parquet,
}

impl Format {
    /// The format of a file, by its name.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Some(Format::Csv),
            "jsonl" | "ndjson" | "json" => Some(Format::Json),
            "parquet" | "pq" => Some(Format::Parquet),
            _ => None,
        }
    }
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Told {
    /// What could not be read.
    pub lost: Vec<String>,
    /// What a later import will bring, and the like.
    pub left: Vec<String>,
    more: u64,
}

impl Told {
    /// Tells of something that could not be read.
    pub fn lose(&mut self, reason: String) {
        match (self.lost.len() as u64) < TOLD {
            true => self.lost.push(reason),
            false => self.more += 1,
        }
    }

    fn finish(mut self) -> Told {
        if self.more > 0 {
            self.lost.push(format!("{} more of its rows cannot be read whole", self.more));
        }
        self
    }
}

/// Takes a row, with the columns that were met so far.
pub type Visit<'a> = &'a mut dyn FnMut(Row, &Columns);

/// Reads the rows of a file. An error is one of the file as a whole; what came before it counts.
pub fn read(path: &Path, columns: &mut Columns, visit: Visit<'_>) -> Result<Told, String> {
    let mut told = Told::default();
    let file = tree::open(path).map_err(|e| e.to_string())?;
    match Format::of(path) {
        Some(Format::Csv) => csv_rows(path, file, columns, visit, &mut told)?,
        Some(Format::Json) => json_rows(path, file, columns, visit, &mut told)?,
        Some(Format::Parquet) => columnar::rows(file, columns, visit)?,
        None => return Err("its name does not end in .csv, .tsv, .jsonl, .ndjson or .parquet".to_string()),
    }
    Ok(told.finish())
}

/// Whether the last line of a file of text may be one that is being written.
pub fn is_being_written(path: &Path) -> bool {
    let ends = || -> io::Result<bool> {
        let mut file = tree::open(path)?;
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(matches!(last, [b'\n' | b'\r']))
    };
    let age = std::fs::metadata(path).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    Format::of(path) == Some(Format::Csv) && !ends().unwrap_or(true) && age.is_none_or(|age| age < STILL)
}

/// Gives an error when a row goes on and on: a quote that nobody closes reaches to the end of the file.
struct Capped<R> {
    inner: R,
    left: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a row is longer than {LONGEST} bytes")));
        }
        let n = self.inner.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(n as u64));
        Ok(n)
    }
}

fn csv_rows(path: &Path, file: File, columns: &mut Columns, visit: Visit<'_>, told: &mut Told) -> Result<(), String> {
    let left = std::rc::Rc::new(std::cell::Cell::new(LONGEST));
    let mut input = BufReader::new(Capped { inner: file, left: std::rc::Rc::clone(&left) });
    let separator = separator(input.fill_buf().map_err(|e| e.to_string())?);
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
    let header = reader.byte_headers().map_err(|e| e.to_string())?.clone();
    let mut places = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (i, name) in header.iter().enumerate() {
        let name = std::str::from_utf8(name).map_err(|_| format!("the name of column {} is not UTF-8", i + 1))?.trim();
        let name = name.trim_start_matches('\u{feff}');
        let free = (2..).map(|n| format!("{name}_{n}"));
        let own = [name.to_string()].into_iter().chain(free).find(|name| !seen.contains(name)).expect("numbers go on");
        if own != name {
            told.left.push(format!("it has several columns '{name}'; one of them is called '{own}' here"));
        }
        seen.insert(own.clone());
        places.push(columns.place(&own)?);
    }
    let is_growing = is_being_written(path);
    let (mut record, mut number) = (csv::ByteRecord::new(), 0);
    let mut waiting: Option<Row> = None;
    loop {
        left.set(LONGEST);
        let more = match reader.read_byte_record(&mut record) {
            Ok(more) => more,
            Err(e) => {
                waiting.into_iter().for_each(|row| visit(row, columns));
                return Err(format!("row {}: {e}", number + 1));
            }
        };
        // What lies behind the last record tells whether it is whole.
        let torn = !more && is_growing && waiting.is_some();
        if torn {
            told.left.push(format!("row {number}, its last one, has no end yet: left for next time"));
            return Ok(());
        }
        waiting.take().into_iter().for_each(|row| visit(row, columns));
        if !more {
            return Ok(());
        }
        number += 1;
        let (cells, under) = (record.len(), places.len());
        if cells != under {
            let what = match cells.checked_sub(under) {
                None if under - cells == 1 => "the last one is taken for empty".to_string(),
                None => format!("the last {} are taken for empty", under - cells),
                Some(1) => "the last one is left out".to_string(),
                Some(n) => format!("the last {n} are left out"),
            };
            let one = if cells == 1 { "cell" } else { "cells" };
            told.lose(format!("row {number} has {cells} {one} for {under} columns: {what}, the rest is imported"));
        }
        let mut row = Row { number, cells: Vec::with_capacity(record.len()) };
        for (place, cell) in places.iter().zip(&record) {
            match std::str::from_utf8(cell) {
                Ok("") => {}
                Ok(text) => row.cells.push((*place, Cell::Text(text.to_string()))),
                Err(_) => {
                    let column = &columns.names()[*place];
                    told.lose(format!("row {number}, column '{column}' is not UTF-8: taken for empty"));
                }
            }
        }
        waiting = Some(row);
    }
}

/// What stands between values, by the first line.
fn separator(start: &[u8]) -> u8 {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| line.iter().filter(|byte| **byte == separator).count();
    // The comma wins where there are as many of another.
    b"\t;,".iter().copied().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

fn json_rows(path: &Path, file: File, columns: &mut Columns, visit: Visit<'_>, told: &mut Told) -> Result<(), String> {
    let mut input = BufReader::new(file);
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        let n = (&mut input).take(LONGEST + 1).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if n == 0 {
            return Ok(());
        }
        number += 1;
        let has_end = line.ends_with(b"\n");
        if !has_end && n as u64 > LONGEST {
            return Err(format!("line {number} is longer than {LONGEST} bytes"));
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            told.lose(format!("line {number} is not UTF-8"));
            continue;
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        match json::parse(text) {
            Ok(serde_json::Value::Object(fields)) => {
                let mut row = Row { number, cells: Vec::new() };
                for (key, value) in fields {
                    row.add(json::text(&key), value, columns)?;
                }
                visit(row, columns);
            }
            // An object ends with its brace, so a torn one cannot be read.
            Err(_) if !has_end => {
                told.left.push(format!("line {number}, its last one, has no end yet: left for next time"));
            }
            Ok(_) if number == 1 && text.starts_with('[') => {
                return Err(format!("'{}' holds one list; an object a line is read", path.display()));
            }
            Ok(_) => told.lose(format!("line {number} is no object")),
            Err(e) => told.lose(format!("line {number}: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_separates() {
        for (line, by) in [("a,b\n1;2;3", b','), ("a;b;c,d\n", b';'), ("a\tb", b'\t'), ("one", b','), ("", b',')] {
            assert_eq!(separator(line.as_bytes()), by, "{line}");
        }
    }
}
