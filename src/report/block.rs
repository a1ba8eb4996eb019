//! A block of a page: its query answered, as a table, a picture, or verdicts.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::chart::{Chart, ChartError, ChartOptions, Size};
use super::error::ReportError;
use super::options::{BlockOptions, Show};
use super::page::encoded_path;
use super::table::Table;
use super::{File, Form};
use crate::export::{Format, TableOptions, escape, escape_html, escape_markdown, sink};
use crate::gate::{self, CheckOptions, CheckResult, FileReport, Verdict, parse_checks};
use crate::query::{QueryError, Session};

/// A block as it stands in the page.
#[derive(Debug)]
pub struct Block {
    /// Its line in the page.
    pub line: usize,
    /// The words behind `sql`.
    pub words: String,
    /// The query.
    pub sql: String,
    /// A value in it that failed.
    pub failed: Option<usize>,
    /// A value in it that stands where none can, its line, and what is wrong.
    pub misplaced: Option<(usize, String)>,
}

const NO_ROWS: &str = "no rows";

/// A block as it is shown.
#[derive(Debug)]
pub enum Content {
    Table {
        title: Option<String>,
        table: Table,
        csv: Option<File>,
    },
    /// A picture, and the path that it has where it is a file.
    Chart {
        chart: Chart,
        path: String,
    },
    /// A chart of nothing, and why there is nothing.
    Nothing {
        title: Option<String>,
        why: String,
    },
    Checks(gate::Report),
    Code(String),
    Failed(ReportError),
}

/// What all blocks of a page share.
pub struct Asking<'a> {
    pub session: &'a Arc<Session>,
    pub page: &'a str,
    pub params: &'a super::template::Params,
    /// Folder of the files beside the page.
    pub folder: &'a str,
    /// Units of metrics.
    pub units: &'a std::collections::HashMap<String, String>,
}

impl Asking<'_> {
    /// Answers a block; `name` is what its files are named after.
    pub async fn answer(&self, block: &Block, options: BlockOptions, name: &str) -> Result<Content, ReportError> {
        if let Some((line, why)) = &block.misplaced {
            return Err(ReportError { line: Some(*line), ..self.failed(block, why.clone()) });
        }
        match options.show {
            Show::Code => Ok(Content::Code(block.sql.clone())),
            Show::Checks => Ok(Content::Checks(self.check(block).await)),
            Show::Table { rows, title } => {
                let (schema, batches) = self.ask(block).await?;
                let table = Table::of(&schema, &batches, rows);
                // Where the page shows less than was asked for, the rest is beside it.
                let csv = (table.total > table.shown() || table.rounded)
                    .then(|| File { name: format!("{}/{name}.csv", self.folder), content: csv(&schema, &batches) });
                Ok(Content::Table { title, table, csv })
            }
            Show::Chart(options) => {
                let (schema, batches) = self.ask(block).await?;
                let rows = concat_batches(&schema, &batches).map_err(|e| self.failed(block, e.to_string()))?;
                let options = ChartOptions { units: self.units.clone(), ..*options };
                let title = options.title.clone();
                if rows.num_rows() == 0 {
                    return Ok(Content::Nothing { title, why: NO_ROWS.to_string() });
                }
                match Chart::of(&rows, &options) {
                    Ok(chart) => Ok(Content::Chart { chart, path: format!("{}/{name}.svg", self.folder) }),
                    Err(e @ ChartError::Empty(_)) => Ok(Content::Nothing { title, why: e.to_string() }),
                    Err(e) => Err(self.failed(block, e.to_string())),
                }
            }
        }
    }

    /// An error in this block.
    pub fn failed(&self, block: &Block, message: String) -> ReportError {
        let mut error = ReportError::new(self.page, Some(block.line), message);
        error.sql = Some(block.sql.trim_end().to_string());
        error
    }

    async fn ask(&self, block: &Block) -> Result<(arrow::datatypes::SchemaRef, Vec<RecordBatch>), ReportError> {
        let asked = async {
            let query = self.session.query_with(&block.sql, self.params).await?;
            let schema = Arc::clone(query.frame.schema().inner());
            Ok::<_, crate::Error>((schema, query.frame.collect().await.map_err(QueryError::from)?))
        };
        let (schema, batches) = asked.await.map_err(|e| {
            let mut error = self.failed(block, e.to_string());
            error.source = Some(Box::new(e));
            error
        })?;
        // The engine is more exact about what may be NULL once it has answered.
        Ok((batches.first().map_or(schema, RecordBatch::schema), batches))
    }

    async fn check(&self, block: &Block) -> gate::Report {
        let options = CheckOptions { params: self.params.clone(), timeout: None };
        let mut results = Vec::new();
        for item in parse_checks(&block.sql) {
            results.push(match item {
                Err(flaw) => CheckResult::of_flaw(flaw),
                Ok(check) => check.evaluate(self.session, &options).await,
            });
        }
        gate::Report { files: vec![FileReport { file: self.page.to_string(), results }] }
    }
}

fn csv(schema: &arrow::datatypes::Schema, batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sink = sink(Format::Csv, &mut bytes, &TableOptions::default());
    let mut written = sink.schema(schema);
    for batch in batches {
        written = written.and_then(|()| sink.batch(batch));
    }
    written.and_then(|()| sink.finish()).expect("memory takes all");
    bytes
}

/// A count with its thousands apart.
fn count(n: usize) -> String {
    let digits = n.to_string();
    let group = |(i, digit): (usize, char)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(group).collect()
}

impl Content {
    /// The files that belong to it in a form of the page.
    pub fn file(&self, form: Form) -> Option<File> {
        match self {
            Content::Table { csv, .. } => csv.clone(),
            // HTML has the picture within.
            Content::Chart { chart, path } if form == Form::Markdown => {
                Some(File { name: path.clone(), content: chart.svg_file().into_bytes() })
            }
            _ => None,
        }
    }

    pub fn html(&self) -> String {
        match self {
            Content::Table { title, table, csv } => {
                let title = title.as_ref().map(|t| format!("<figcaption>{}</figcaption>\n", escape_html(t)));
                let note = csv.as_ref().map(|file| {
                    format!(
                        "<p class=\"note\">{}<a href=\"{}\">{}</a></p>\n",
                        cut(table),
                        encoded_path(&file.name),
                        "all rows and digits as CSV"
                    )
                });
                let (title, note) = (title.unwrap_or_default(), note.unwrap_or_default());
                if table.total == 0 {
                    return format!("<figure>{title}{}<p class=\"note\">{NO_ROWS}</p></figure>\n", table.html());
                }
                format!("<figure>{title}{}{note}</figure>\n", table.html())
            }
            Content::Chart { chart, .. } => {
                let notes: Vec<_> = chart.notes().iter().map(|note| escape_html(note)).collect();
                let notes = match notes.as_slice() {
                    [] => String::new(),
                    notes => format!("<p class=\"note\">{}</p>\n", notes.join("; ")),
                };
                format!(
                    "<figure class=\"chart\"><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>\n{notes}</figure>\n",
                    chart.svg(Size::Wide),
                    chart.svg(Size::Narrow)
                )
            }
            Content::Nothing { title, why } => {
                let title = title.as_ref().map(|t| format!("<figcaption>{}</figcaption>\n", escape_html(t)));
                let title = title.unwrap_or_default();
                format!("<figure>{title}<p class=\"note\">{}</p></figure>\n", escape_html(why))
            }
            Content::Checks(report) => {
                let (table, told) = verdicts(report);
                let told: String = told.iter().map(|line| format!("<li>{}</li>\n", escape_html(line))).collect();
                let told = if told.is_empty() { told } else { format!("<ul class=\"told\">\n{told}</ul>\n") };
                format!("<figure>{}{told}</figure>\n", table.html())
            }
            Content::Code(sql) => format!("<pre><code>{}</code></pre>\n", escape_html(sql)),
            Content::Failed(e) => e.html(),
        }
    }

    pub fn markdown(&self) -> String {
        match self {
            Content::Table { title, table, csv } => {
                let title = title.as_ref().map(|t| format!("**{}**\n\n", escape_markdown(t))).unwrap_or_default();
                let note = match csv {
                    Some(file) => {
                        format!("\n{}[all rows and digits as CSV]({})\n", cut(table), encoded_path(&file.name))
                    }
                    None if table.total == 0 => format!("\n{NO_ROWS}\n"),
                    None => String::new(),
                };
                title + &table.markdown() + &note
            }
            Content::Chart { chart, path } => {
                let notes: String = chart.notes().iter().map(|note| format!("\n{}\n", escape_markdown(note))).collect();
                format!("![{}]({})\n{notes}", escape_markdown(&chart.description()), encoded_path(path))
            }
            Content::Nothing { title, why } => {
                let title = title.as_ref().map(|t| format!("**{}**\n\n", escape_markdown(t))).unwrap_or_default();
                title + &escape_markdown(why) + "\n"
            }
            Content::Checks(report) => {
                let (table, told) = verdicts(report);
                let told: String = told.iter().map(|line| format!("- {}\n", escape_markdown(line))).collect();
                table.markdown() + if told.is_empty() { "" } else { "\n" } + &told
            }
            Content::Code(sql) => fenced("sql", sql),
            Content::Failed(e) => e.markdown(),
        }
    }
}

/// Code that no fence within it ends.
pub fn fenced(language: &str, code: &str) -> String {
    let code: Vec<_> = code.trim_end().lines().map(escape).collect();
    let code = code.join("\n");
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{code}\n{fence}\n")
}

fn cut(table: &Table) -> String {
    match table.total > table.shown() {
        true => format!("{} of {} rows; ", count(table.shown()), count(table.total)),
        false => String::new(),
    }
}

/// Verdicts as a table, and what explains those that are not good.
fn verdicts(report: &gate::Report) -> (Table, Vec<String>) {
    let row = |result: &CheckResult| {
        vec![
            format!("{}\u{a0}{}", mark(result.verdict), result.verdict.as_str()),
            result.name.clone(),
            result.expect.clone(),
            result.detail.clone(),
        ]
    };
    let table = Table::texts(
        &["verdict", "check", "expected", "found"],
        report.results().map(|(_, result)| row(result)).collect(),
    );
    let mut told = Vec::new();
    for (_, result) in report.results().filter(|(_, result)| result.verdict != Verdict::Passed) {
        told.extend(result.messages.iter().chain(&result.hints).map(|text| format!("{}: {text}", result.name)));
    }
    (table, told)
}

/// A verdict at a glance, in characters that every font has.
fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Passed => '✓',
        Verdict::Warned => '!',
        Verdict::Failed => '✗',
        Verdict::Undecided => '?',
    }
}
