//! What stdout and stderr are: a terminal of some width, with or without colours, or something else.

use std::io::{self, IsTerminal, Write};

use runlake::export::{Format, TableOptions, escape};

/// Rows of a table that a terminal shows unless told otherwise.
pub const ROWS: usize = 100;

/// Columns and lines of the terminal that stdout is.
pub fn size() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(io::stdout())?;
    // A pty nobody has told its size has 0 columns.
    (width.0 > 0).then_some((width.0.into(), height.0.into()))
}

/// Whether a stream may have colours: it is a terminal, and neither `NO_COLOR` nor `TERM=dumb` forbids them.
pub fn has_color(stream: &impl IsTerminal) -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !forbidden && !dumb
}

/// How tables look on stdout: cut to a terminal, whole elsewhere.
pub fn table_options(max_rows: Option<usize>) -> TableOptions {
    if io::stdout().is_terminal() {
        TableOptions { width: size().map(|(width, _)| width), max_rows, color: has_color(&io::stdout()) }
    } else {
        TableOptions { max_rows, ..TableOptions::default() }
    }
}

/// Stdout for a format: what could act on a terminal is shown as an escape if stdout is one.
pub fn stdout(format: Format) -> Box<dyn Write + Send> {
    let out = io::BufWriter::with_capacity(64 * 1024, io::stdout());
    if io::stdout().is_terminal() && !format.is_terminal_safe() { Box::new(Visible(out)) } else { Box::new(out) }
}

/// Shows control characters as escapes, save line breaks and tabs.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Sinks write whole strings, so nothing is torn here.
        for line in String::from_utf8_lossy(bytes).split_inclusive(['\n', '\t']) {
            let end = line.len() - usize::from(line.ends_with(['\n', '\t']));
            self.0.write_all(escape(&line[..end]).as_bytes())?;
            self.0.write_all(&line.as_bytes()[end..])?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_escapes_from_values() {
        let mut out = Visible(Vec::new());
        out.write_all("a\tb\n\u{1b}[2J,é\r\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "a\tb\n\\u{1b}[2J,é\\r\n");
    }
}
