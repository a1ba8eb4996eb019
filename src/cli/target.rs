//! Where the rows of an answer go: stdout, or a file that appears when it is whole.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use runlake::export::{Format, TableOptions, Written, sink};

use super::answer::{Answer, Stopped};
use super::aside::Aside;
use super::{Failure, terminal};

/// Refuses a binary format on a terminal, and more than one answer in a file of it.
pub fn check_binary(format: Format, out: Option<&Path>, statements: usize) -> Result<(), Failure> {
    if !format.is_binary() {
        return Ok(());
    }
    if out.is_none() && io::stdout().is_terminal() {
        return Err(Failure::usage(format!("{format} is not for a terminal")).hint("`--out FILE` writes it to a file"));
    }
    if statements > 1 {
        return Err(Failure::usage(format!(
            "a file of {format} holds the rows of one statement; there are {statements}"
        )));
    }
    Ok(())
}

/// Where rows go, and in which format.
pub struct Target {
    out: Out,
    format: Format,
    table: TableOptions,
}

enum Out {
    Stdout(Box<dyn Write + Send>),
    File(Aside),
}

impl Target {
    /// Begins a file, or takes stdout: a path that cannot be written is known before any work is done.
    pub fn open(out: Option<&Path>, format: Format, max_rows: Option<usize>) -> Result<Self, Failure> {
        let asked = max_rows.filter(|rows| *rows > 0);
        match out {
            Some(path) => {
                let table = TableOptions { max_rows: asked, ..TableOptions::default() };
                Ok(Target { out: Out::File(Aside::create(path)?), format, table })
            }
            None => {
                let rows = match max_rows {
                    None if io::stdout().is_terminal() => Some(terminal::ROWS),
                    _ => asked,
                };
                Ok(Target { out: Out::Stdout(terminal::stdout(format)), format, table: terminal::table_options(rows) })
            }
        }
    }

    /// Writes the rows of an answer; `seen` hears how many there are so far.
    pub async fn write(&mut self, answer: Answer, seen: impl Fn(usize)) -> Result<Written, Stopped> {
        let written = answer.write(sink(self.format, &mut self.out, &self.table), seen).await?;
        // Rows are out before the next statement fails.
        self.out.flush()?;
        Ok(written)
    }

    /// Writes rows that no statement gave.
    pub fn write_batch(&mut self, batch: &RecordBatch) -> Result<Written, Failure> {
        let mut sink = sink(self.format, &mut self.out, &self.table);
        let written = sink.schema(&batch.schema()).and_then(|()| sink.batch(batch)).and_then(|()| sink.finish());
        written.map_err(Failure::new)
    }

    /// Sets two answers apart.
    pub fn blank_line(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }

    /// Gives the file its name.
    pub fn publish(self) -> Result<(), Failure> {
        match self.out {
            Out::File(file) => Ok(file.publish()?),
            Out::Stdout(_) => Ok(()),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stdout(out) => out.write(bytes),
            Out::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout(out) => out.flush(),
            Out::File(out) => out.flush(),
        }
    }
}
