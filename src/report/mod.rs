//! Reports: a Markdown page with queries in it becomes a finished page, with tables and charts.
//!
//! A page is a template first (parameters, conditions, loops, values of queries within the text), then Markdown. Its fenced
//! `sql` blocks are asked and shown. The same page, parameters and state of the store give the same bytes; what users wrote,
//! such as names of runs, acts as markup nowhere. The page's language is described in `docs/reports.md`.

mod block;
pub mod chart;
mod error;
mod failed;
mod html;
mod markdown;
mod marks;
mod markup;
mod options;
mod page;
mod sql;
mod table;
mod template;
mod values;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use tokio::runtime::Handle;

pub use error::ReportError;

use self::block::{Asking, Block, Content};
use self::marks::Filled;
use self::options::BlockOptions;
use crate::error::Result;
use crate::gate::{self, Verdict};
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
    /// What each check says, by blocks.
    pub checks: Vec<gate::Report>,
    /// What a reader of the store should know, such as damage.
    pub warnings: Vec<String>,
}

impl Report {
    /// A page by its text; errors name it by this name.
    pub fn new(name: impl Into<String>, source: impl Into<String>) -> Report {
        let source: String = source.into();
        let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
        Report { name: name.into(), source: source.replace("\r\n", "\n") }
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
                Ok(filled) => filled.and_then(|filled| page::check(&self.name, &filled).map(|()| filled)),
                Err(e) => std::panic::resume_unwind(e.into_panic()),
            }
        };
        let filled = match filled {
            // Nothing of the page can be shown, but what is wrong with it.
            Err(e) if options.keep_going => Filled::of_failures(vec![e]),
            other => other?,
        };
        let (filled, blocks) = match page::blocks(&filled) {
            // What failed and stands nowhere has decided something: what the page says from there on may be wrong.
            blocks if !told(&filled, &blocks) => (Filled::of_failures(filled.failures), Vec::new()),
            blocks => (filled, blocks),
        };
        let contents = self.contents(&session, &filled, &blocks, options).await?;
        let page = match options.form {
            Form::Html => html::page(&filled, &contents, &self.name, options.as_of),
            Form::Markdown => markdown::page(&filled, &contents, options.as_of),
        };
        let files = contents.iter().filter_map(|content| content.file(options.form)).collect();
        let mut failures = filled.failures;
        let mut checks = Vec::new();
        for content in contents {
            match content {
                // A block that lacks a value tells of it again.
                Content::Failed(e) if failures.iter().all(|known| known.to_string() != e.to_string()) => {
                    failures.push(e)
                }
                Content::Checks(report) => checks.push(report),
                _ => {}
            }
        }
        let verdict = checks.iter().map(gate::Report::verdict).max_by_key(|verdict| severity(*verdict));
        Ok(Rendered { page, files, failures, verdict, checks, warnings: session.warnings() })
    }

    /// What the blocks of the page become.
    async fn contents(
        &self,
        session: &Arc<Session>,
        filled: &Filled,
        blocks: &[Block],
        options: &ReportOptions,
    ) -> Result<Vec<Content>> {
        let draws = blocks.iter().any(|block| block.words.contains("chart="));
        let units = if draws { units(session).await? } else { HashMap::new() };
        let asking = Asking {
            session,
            page: &self.name,
            params: &options.params,
            folder: options.folder.as_deref().unwrap_or("files"),
            units: &units,
        };
        let parsed: Vec<_> = blocks.iter().map(|block| BlockOptions::parse(&block.words)).collect();
        let named = parsed.iter().flatten().filter_map(|options| options.name.as_deref());
        let mut names = Names { wanted: named.map(str::to_lowercase).collect(), taken: HashSet::new() };
        let mut contents = Vec::new();
        for (i, (block, parsed)) in blocks.iter().zip(parsed).enumerate() {
            let missing = block.failed.and_then(|at| filled.failures.get(at));
            let answer = match (missing, parsed) {
                (Some(missing), _) => Err(missing.again()),
                (None, Ok(parsed)) => {
                    let name = names.of(i + 1, parsed.name.as_deref());
                    asking.answer(block, parsed, &name).await
                }
                (None, Err(why)) => Err(asking.failed(block, why)),
            };
            contents.push(match answer {
                Err(e) if options.keep_going => Content::Failed(e),
                other => other?,
            });
        }
        Ok(contents)
    }
}

/// Whether all that failed in a template is told where it stands.
fn told(filled: &Filled, blocks: &[Block]) -> bool {
    let in_text = filled.inserted.iter().filter_map(|inserted| inserted.failure);
    let told: HashSet<usize> = in_text.chain(blocks.iter().filter_map(|block| block.failed)).collect();
    (0..filled.failures.len()).all(|at| told.contains(&at))
}

/// Names of files, each given once, whatever the case.
struct Names {
    /// What blocks ask for.
    wanted: HashSet<String>,
    taken: HashSet<String>,
}

impl Names {
    /// The name of a block's files: as it asks for, else its number, with another number where that is taken, as in a loop.
    fn of(&mut self, number: usize, wanted: Option<&str>) -> String {
        let base = wanted.map_or_else(|| number.to_string(), str::to_string);
        let mut name = base.clone();
        let mut times = 1;
        while self.taken.contains(&name.to_lowercase())
            || (times > 1 || wanted.is_none()) && self.wanted.contains(&name.to_lowercase())
        {
            times += 1;
            name = format!("{base}-{times}");
        }
        self.taken.insert(name.to_lowercase());
        name
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

/// The page about reports, whose example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/reports.md")]
struct Documented;
