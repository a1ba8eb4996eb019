//! `--svg`: the answer of a question as a picture.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use runlake::report::chart::{Chart, ChartOptions};
use runlake::report::units;

use super::aside::Aside;
use super::output::say;
use super::question::{Question, collect};
use super::{Failure, Outcome, values};
use crate::cli::Exit;

/// Where a picture goes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SvgArgs {
    /// Draws a chart into this file, light or dark as its reader's page, and shows no rows
    #[arg(long, value_name = "FILE", value_parser = values::svg_file, conflicts_with_all = ["format", "out", "sql"])]
    pub svg: Option<PathBuf>,
}

/// Asks a query and draws its rows.
pub async fn draw(
    question: &Question<'_>,
    sql: &str,
    file: &Path,
    options: impl FnOnce(&RecordBatch) -> ChartOptions,
) -> Outcome {
    let batches = collect(&question.session, sql).await?;
    let Some(first) = batches.first() else { return Err(Failure::new("nothing to draw: the answer has no rows")) };
    let rows = concat_batches(&first.schema(), &batches).map_err(Failure::new)?;
    write(question, &rows, file, options(&rows)).await
}

/// Draws rows.
pub async fn write(question: &Question<'_>, rows: &RecordBatch, file: &Path, options: ChartOptions) -> Outcome {
    let options = ChartOptions { units: units(&question.session).await?, ..options };
    let chart = Chart::of(rows, &options).map_err(Failure::new)?;
    let mut out = Aside::create(file)?;
    out.write_all(chart.svg_file().as_bytes())?;
    out.publish()?;
    for note in chart.notes() {
        say(format_args!("note: {note}"));
    }
    Ok(Exit::Done)
}
