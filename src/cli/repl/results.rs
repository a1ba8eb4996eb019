//! Where the shell's results go: the terminal, a pager, or a file.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use runlake::export::{Format, TableOptions, Written, escape, sink};

use super::programs;
use super::spinner::Spinner;
use crate::cli::answer::{Answer, Stopped};
use crate::cli::output::counted;
use crate::cli::{Failure, terminal};

/// How and where results are shown.
pub struct Results {
    pub format: Format,
    /// Rows of a table that a terminal shows; `None`: all.
    pub rows: Option<usize>,
    pub pager: bool,
    file: Option<OutputFile>,
}

/// A file that takes results one after the other.
struct OutputFile {
    file: std::fs::File,
    path: PathBuf,
    format: Option<Format>,
    results: usize,
}

impl Results {
    /// On a terminal tables are cut; elsewhere everything is shown.
    pub fn new() -> Self {
        let rows = io::stdout().is_terminal().then_some(terminal::ROWS);
        Results { format: Format::Table, rows, pager: false, file: None }
    }

    /// Sends what follows to a file, whose ending may tell the format; `None`: to the screen again.
    pub fn redirect(&mut self, path: Option<&Path>) -> Result<(), Failure> {
        self.file = match path {
            None => None,
            Some(path) => {
                let file = std::fs::File::create(path)
                    .map_err(|e| Failure::new(format!("cannot write '{}': {e}", path.display())))?;
                Some(OutputFile { file, path: path.to_path_buf(), format: Format::of_path(path), results: 0 })
            }
        };
        Ok(())
    }

    /// Writes the rows of a statement; says what was left out, and how to see it.
    pub async fn show(&mut self, answer: Answer, spinner: &Spinner) -> Result<Written, Stopped> {
        if self.file.is_some() {
            return self.show_in_file(answer, spinner).await;
        }
        let format = self.format;
        if format.is_binary() {
            return Err(Failure::new(format!("{format} is not for a terminal"))
                .hint(format!("`.output FILE.{format}` sends the rows of the next statement to a file"))
                .into());
        }
        if self.pager && io::stdout().is_terminal() {
            let options = TableOptions { color: terminal::has_color(&io::stdout()), ..TableOptions::default() };
            let mut text = Vec::new();
            let written = answer.write(sink(format, &mut text, &options), |rows| spinner.rows(rows)).await?;
            if !format.is_terminal_safe() {
                text = visible(&text);
            }
            spinner.stop();
            programs::page(&text).map_err(|e| Failure::new(e).hint("`.pager off` does without it"))?;
            return Ok(written);
        }
        let mut out = terminal::stdout(format);
        let options = terminal::table_options(self.rows);
        let seen = |rows| match format {
            // Shown at the end, all at once.
            Format::Table => spinner.rows(rows),
            _ => spinner.stop(),
        };
        let written = {
            let sink = sink(format, &mut out, &options);
            // The table is printed by the sink's last act.
            answer.write(Box::new(Cleared { sink, spinner }), seen).await?
        };
        out.flush()?;
        if written.hidden_rows > 0 {
            eprintln!("note: `.rows all` shows all rows, `.pager on` lets you scroll them");
        }
        if !written.hidden_columns.is_empty() {
            eprintln!("note: `.mode line` shows all columns");
        }
        Ok(written)
    }

    async fn show_in_file(&mut self, answer: Answer, spinner: &Spinner) -> Result<Written, Stopped> {
        let target = self.file.as_mut().expect("there is a file");
        let format = target.format.unwrap_or(self.format);
        let mut out = io::BufWriter::new(&target.file);
        if target.results > 0 && !format.is_self_delimiting() {
            out.write_all(b"\n")?;
        }
        let sink = sink(format, &mut out, &TableOptions::default());
        let written = answer.write(sink, |rows| spinner.rows(rows)).await?;
        out.flush()?;
        drop(out);
        target.results += 1;
        let rows = counted(written.rows as u64, "row");
        eprintln!("{rows} written to {} as {format}", escape(&target.path.display().to_string()));
        if format.is_binary() {
            // Such a file holds one result.
            self.file = None;
        }
        Ok(written)
    }
}

/// Clears the spinner away before a sink that writes at its end does so.
struct Cleared<'s> {
    sink: Box<dyn runlake::export::Sink + 's>,
    spinner: &'s Spinner,
}

impl runlake::export::Sink for Cleared<'_> {
    fn schema(&mut self, schema: &arrow::datatypes::Schema) -> runlake::export::Result<()> {
        self.sink.schema(schema)
    }

    fn batch(&mut self, batch: &arrow::array::RecordBatch) -> runlake::export::Result<()> {
        self.sink.batch(batch)
    }

    fn finish(self: Box<Self>) -> runlake::export::Result<Written> {
        self.spinner.stop();
        self.sink.finish()
    }
}

fn visible(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => format!("{}\n", escape(line)),
        None => escape(line).into_owned(),
    });
    lines.collect::<String>().into_bytes()
}
