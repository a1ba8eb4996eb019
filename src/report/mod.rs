//! Reports: a Markdown page with queries in it becomes a finished page, with tables and charts.
//!
//! A page is a template first (parameters, conditions, loops, values of queries within the text), then Markdown. Its fenced
//! `sql` blocks are asked and shown. The same page, parameters and state of the store give the same bytes; what users wrote,
//! such as names of runs, acts as markup nowhere. The page's language is described in `docs/reports.md`.

mod block;
pub mod chart;
mod error;
mod html;
mod markdown;
mod options;
mod page;
mod table;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use tokio::runtime::Handle;

pub use error::ReportError;

use self::block::{Asking, Content};
use self::options::BlockOptions;
use crate::error::Result;
use crate::gate::Verdict;
use crate::query::{QueryError, Session, SessionOptions};
use crate::store::{AsOf, Store};

/// A page to be rendered.
#[derive(Debug, Clone)]
pub struct Report {
    name: String,
    source: String,
}

/// What a report becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One file that needs nothing else to be read.
    #[default]
    Html,
    /// A page for GitHub and the like, with its pictures beside it.
    Markdown,
}

/// How a report is rendered.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// What it becomes.
    pub form: Form,
    /// Values for the names of the template and the `$name`s of queries.
    pub params: Vec<(String, ScalarValue)>,
    /// Reads this sealed state instead of the newest with what is live.
    pub as_of: Option<AsOf>,
    /// Puts the error of a block in its place and goes on.
    pub keep_going: bool,
    /// Folder, beside the page, of the files that belong to it [default: `files`]
    pub folder: Option<String>,
}

/// A file beside a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from the page's folder.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A finished report.
#[derive(Debug)]
pub struct Rendered {
    /// The page.
    pub page: String,
    /// What lies beside it.
    pub files: Vec<File>,
    /// What failed and is told in its place; empty unless it was to be so.
    pub failures: Vec<ReportError>,
    /// What the checks of the page say, where it has some.
    pub verdict: Option<Verdict>,
    /// What a reader of the store should know, such as damage.
    pub warnings: Vec<String>,
}

impl Report {
    /// A page by its text; errors name it by this name.
    pub fn new(name: impl Into<String>, source: impl Into<String>) -> Report {
        Report { name: name.into(), source: source.into() }
    }

    /// Renders the page.
    ///
    /// Queries are answered one after the other by one thread each, so that sums are added up in the same order every time.
    ///
    /// # Errors
    /// [`ReportError`]: what cannot be answered or shown, with its place in the page; nothing is given then, unless
    /// [`ReportOptions::keep_going`] asks for the rest. Errors of opening the state that was asked for.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn render(&self, store: &Store, options: &ReportOptions) -> Result<Rendered> {
        let session = SessionOptions { as_of: options.as_of, threads: Some(1), ..SessionOptions::default() };
        let session = Arc::new(store.session_with(session).await?);
        let filled = {
            let (name, source) = (self.name.clone(), self.source.clone());
            let (session, params) = (Arc::clone(&session), options.params.clone());
            let (engine, keep_going) = (Handle::current(), options.keep_going);
            let work = move || template::fill(&name, &source, session, &params, engine, keep_going);
            match tokio::task::spawn_blocking(work).await {
                Ok(filled) => filled?,
                Err(e) => std::panic::resume_unwind(e.into_panic()),
            }
        };
        let blocks = page::blocks(&filled);
        let draws = blocks.iter().any(|block| block.words.contains("chart="));
        let units = if draws { units(&session).await? } else { HashMap::new() };
        let asking = Asking {
            session: &session,
            page: &self.name,
            params: &options.params,
            folder: options.folder.as_deref().unwrap_or("files"),
            units: &units,
        };
        let mut contents = Vec::new();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (i, block) in blocks.iter().enumerate() {
            let answer = match BlockOptions::parse(&block.words) {
                Ok(options) => {
                    let name = options.name.clone().unwrap_or_else(|| (i + 1).to_string());
                    // A block within a loop comes several times.
                    let times = names.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
                    let name = if *times > 1 { format!("{name}-{times}") } else { name };
                    asking.answer(block, options, &name).await
                }
                Err(why) => Err(asking.failed(block, why)),
            };
            contents.push(match answer {
                Err(e) if options.keep_going => Content::Failed(e),
                other => other?,
            });
        }
        let page = match options.form {
            Form::Html => html::page(&filled, &contents, &self.name, options.as_of),
            Form::Markdown => markdown::page(&filled, &contents, options.as_of),
        };
        let files = contents.iter().filter_map(|content| content.file(options.form)).collect();
        let verdicts = contents.iter().filter_map(|content| match content {
            Content::Checks(report) => Some(report.verdict()),
            _ => None,
        });
        let verdict = verdicts.max_by_key(|verdict| severity(*verdict));
        let mut failures = filled.failures;
        failures.extend(contents.into_iter().filter_map(|content| match content {
            Content::Failed(e) => Some(e),
            _ => None,
        }));
        Ok(Rendered { page, files, failures, verdict, warnings: session.warnings() })
    }
}

/// What is worse comes later: a check that fails hides one that could not be decided, as in `runlake check`.
fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => 0,
        Verdict::Warned => 1,
        Verdict::Undecided => 2,
        Verdict::Failed => 3,
    }
}

/// Units of metrics by their names, where all experiments agree on them.
///
/// # Errors
/// Of the query.
pub async fn units(session: &Session) -> Result<HashMap<String, String>> {
    let sql = "SELECT key, min(unit) AS unit FROM metric_defs WHERE unit IS NOT NULL \
               GROUP BY key HAVING count(DISTINCT unit) = 1";
    let batches = session.sql(sql).await?.collect().await.map_err(QueryError::from)?;
    let mut units = HashMap::new();
    for batch in &batches {
        let text = |at: usize| cast(batch.column(at), &DataType::Utf8).expect("it is text");
        let (keys, found) = (text(0), text(1));
        for (key, unit) in keys.as_string::<i32>().iter().zip(found.as_string::<i32>().iter()) {
            units.extend(key.zip(unit).map(|(key, unit)| (key.to_string(), unit.to_string())));
        }
    }
    Ok(units)
}

/// Whether a page has pictures; a page without needs no colours for them.
fn has_charts(contents: &[Content]) -> bool {
    contents.iter().any(|content| matches!(content, Content::Chart { .. }))
}
