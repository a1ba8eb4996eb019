//! The page as a template: parameters, conditions, loops, and queries within the text.
//!
//! What a page inserts is held back while its Markdown is read: a mark stands for it, so that no name of a run can act as
//! markup. It is written out where it belongs, in the way that is due there ([`super::marks`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use tokio::runtime::Handle;

use super::error::ReportError;
use super::failed::{self, Failed, FailedValue};
use super::marks::{Filled, Inserted, MARKS, mark};
use super::values::{of_cell, of_scalar, sql_of, text_of, to_scalar};
use crate::query::{QueryError, Session};

/// Values for the `$name`s of queries and the names of a template.
pub type Params = Vec<(String, ScalarValue)>;

/// Functions of a page; no parameter can have their names.
const FUNCTIONS: [&str; 2] = ["value", "rows"];

/// What a template asks.
struct Asker {
    session: Arc<Session>,
    params: Params,
    engine: Handle,
    page: String,
    source: String,
    keep_going: bool,
    state: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    failures: Vec<ReportError>,
    /// How many of them stand in the page instead of what failed.
    kept: usize,
    inserted: Vec<Inserted>,
    /// Answers, by query and values, where the page may be read several times.
    answers: HashMap<String, Vec<RecordBatch>>,
}

/// Fills in a page. Its queries are answered on the engine's threads: this one waits.
///
/// Where it keeps going, what fails within `{{ ... }}` is told there.
pub fn fill(
    page: &str,
    source: &str,
    session: Arc<Session>,
    params: &Params,
    engine: Handle,
    keep_going: bool,
) -> Result<Filled, ReportError> {
    if source.contains(MARKS) {
        let [a, b] = MARKS.map(u32::from);
        return Err(ReportError::new(page, None, format!("U+{a:X} and U+{b:X} cannot stand in a page")));
    }
    if let Some((line, tag)) = captures(source) {
        let mut error = ReportError::new(page, Some(line), format!("pages have no `{{% {tag} %}}` that encloses text"));
        error.hint =
            Some("`{% set name = first ~ second %}` puts text together, `{{ name | upper }}` filters it".to_string());
        return Err(error);
    }
    if let Some(name) = FUNCTIONS.iter().find(|name| params.iter().any(|(param, _)| param == *name)) {
        let mut error = ReportError::new(page, None, format!("no parameter can be called '{name}'"));
        error.hint = Some(format!("{name}(...) is a function of pages; give the parameter another name"));
        return Err(error);
    }
    let asker = Arc::new(Asker {
        session,
        params: params.clone(),
        engine,
        page: page.to_string(),
        source: source.to_string(),
        keep_going,
        state: Mutex::default(),
    });
    let mut patched = source.to_string();
    loop {
        let e = match attempt(&asker, &patched) {
            Ok(filled) => return Ok(filled),
            Err(e) => e,
        };
        let failure = asker.failed(&e);
        let mut told = asker.told();
        let next = if keep_going { failed::instead(&patched, &e, told.kept) } else { None };
        let Some(next) = next else { return Err(failure) };
        let kept = told.kept;
        told.failures.truncate(kept);
        told.failures.push(failure);
        told.kept += 1;
        patched = next;
    }
}

/// The first tag that makes a value of the text which it encloses, with its line. What is inserted into such text would no longer
/// be told from it.
fn captures(source: &str) -> Option<(usize, &str)> {
    source.match_indices("{%").find_map(|(at, _)| {
        let tag = source[at + 2..].split("%}").next()?.trim_start_matches(['-', '+']).trim();
        let word = tag.split_whitespace().next()?;
        let captures = word == "filter" || (word == "set" && !tag.contains('='));
        captures.then(|| (source[..at].matches('\n').count() + 1, word))
    })
}

/// Fills in a page once, up to the first error that cannot be told in its place.
fn attempt(asker: &Arc<Asker>, source: &str) -> Result<Filled, Error> {
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // What is inserted is made harmless where it stands, and not before: then it cannot be known what is due there.
    for name in ["e", "escape"] {
        environment.add_filter(name, move |_: Value| -> Result<Value, Error> {
            let why = format!("there is no need for `| {name}`: values act as markup nowhere");
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
    }
    environment.add_filter("sql", |value: Value| sql_of(&value));
    let asking = Arc::clone(asker);
    environment.add_function("value", move |sql: String, args: Kwargs| asking.value(&sql, &args));
    let asking = Arc::clone(asker);
    environment.add_function("rows", move |sql: String, args: Kwargs| asking.rows(&sql, &args));
    if asker.keep_going {
        failed::pass_through_filters(&mut environment);
        let asking = Arc::clone(asker);
        environment.add_function(failed::FUNCTION, move |at: usize| asking.stand_in(at));
    }
    let inserting = Arc::clone(asker);
    environment.set_formatter(move |out, _, value| {
        // An unknown name has failed before; this is an `if` without `else`.
        if value.is_undefined() {
            return Ok(());
        }
        if value.is_safe() {
            return out.write_str(&value.to_string()).map_err(Error::from);
        }
        let failure = value.downcast_object_ref::<FailedValue>().map(|failed| failed.at);
        let inserted = Inserted { text: text_of(value), sql: sql_of(value), failure };
        let mut told = inserting.told();
        out.write_str(&mark(told.inserted.len())).map_err(Error::from)?;
        told.inserted.push(inserted);
        Ok(())
    });
    let params = asker.params.iter();
    let context: BTreeMap<_, _> = params.map(|(name, value)| (name.clone(), of_scalar(value))).collect();
    {
        let mut told = asker.told();
        let kept = told.kept;
        told.failures.truncate(kept);
        told.inserted.clear();
    }
    let template = environment.template_from_named_str(&asker.page, source)?;
    let (text, spans) = template.render_with_spans(Value::from(context))?;
    let mut told = asker.told();
    let lines = spans.iter().map(|span| (span.output_range().start, span.line())).collect();
    let (inserted, failures) = (std::mem::take(&mut told.inserted), std::mem::take(&mut told.failures));
    Ok(Filled::new(text, lines, inserted, failures))
}

impl Asker {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What a template could not do. A failed query is told as such, with the line that the template knows.
    fn failed(&self, e: &Error) -> ReportError {
        let mut told = self.told();
        if let Some(at) = failed::cause(e).filter(|at| (told.kept..told.failures.len()).contains(at)) {
            let mut failure = told.failures.remove(at);
            failure.line = e.line().or(failure.line);
            return failure;
        }
        let what = match e.kind() {
            ErrorKind::SyntaxError => "this is no template",
            ErrorKind::UndefinedError => "a name here is not known",
            _ => "the template failed",
        };
        let detail = e.detail().map_or_else(|| e.kind().to_string(), str::to_string);
        let mut error = ReportError::new(&self.page, e.line(), format!("{what}: {detail}"));
        if e.kind() == ErrorKind::UndefinedError && !error.message.contains('.') {
            error.hint = Some(match self.params.as_slice() {
                [] => "`--param NAME=VALUE` gives it a value; `{{ NAME | default('...') }}` does where none is given"
                    .to_string(),
                known => {
                    let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
                    format!("there are values for {}; `--param NAME=VALUE` adds one", names.join(", "))
                }
            });
        }
        error
    }

    /// Remembers a failure; the error leads to it.
    fn fail(&self, failure: ReportError) -> Error {
        let mut told = self.told();
        let error = Error::new(ErrorKind::InvalidOperation, failure.message.clone());
        told.failures.push(failure);
        error.with_source(Failed(told.failures.len() - 1))
    }

    /// A failure as a value, where the page goes on.
    fn stand_in(&self, at: usize) -> Value {
        let message = self.told().failures.get(at).map(|failure| failure.message.clone());
        FailedValue::value(at, &message.unwrap_or_default())
    }

    fn or_stand_in(&self, asked: Result<Value, Error>) -> Result<Value, Error> {
        match asked {
            Err(e) if self.keep_going => failed::cause(&e).map(|at| self.stand_in(at)).ok_or(e),
            other => other,
        }
    }

    fn ask(&self, sql: &str, args: &Kwargs) -> Result<Vec<RecordBatch>, Error> {
        let flawed = |message: String| {
            let mut failure = ReportError::new(&self.page, self.line_of(sql), message);
            failure.sql = Some(sql.to_string());
            failure
        };
        let mut params = self.params.clone();
        for name in args.args() {
            let value: Value = args.get(name)?;
            if let Some(failed) = value.downcast_object_ref::<FailedValue>() {
                return Err(Error::new(ErrorKind::InvalidOperation, "a value failed").with_source(Failed(failed.at)));
            }
            let Some(scalar) = to_scalar(&value) else {
                return Err(self.fail(flawed(format!("${name} takes one value, not {}", value.kind()))));
            };
            params.retain(|(known, _)| known != name);
            params.push((name.to_string(), scalar));
        }
        let key = format!("{sql}\n{params:?}");
        if let Some(answer) = self.told().answers.get(&key) {
            return Ok(answer.clone());
        }
        let answer = self.engine.block_on(async {
            let frame = self.session.query_with(sql, &params).await?.frame;
            Ok::<_, crate::Error>(frame.collect().await.map_err(QueryError::from)?)
        });
        let answer = answer.map_err(|e| {
            let mut failure = ReportError::new(&self.page, self.line_of(sql), e.to_string());
            failure.sql = Some(sql.to_string());
            failure.source = Some(Box::new(e));
            self.fail(failure)
        })?;
        if self.keep_going {
            self.told().answers.insert(key, answer.clone());
        }
        Ok(answer)
    }

    /// Where a query stands in the source, as far as it is written there as it is.
    fn line_of(&self, sql: &str) -> Option<usize> {
        self.source.find(sql).map(|at| self.source[..at].matches('\n').count() + 1)
    }

    fn value(&self, sql: &str, args: &Kwargs) -> Result<Value, Error> {
        self.or_stand_in(self.ask(sql, args).and_then(|batches| self.only(sql, &batches)))
    }

    fn only(&self, sql: &str, batches: &[RecordBatch]) -> Result<Value, Error> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let columns = batches.first().map_or(1, RecordBatch::num_columns);
        if (rows, columns) == (1, 1) {
            let batch = batches.iter().find(|batch| batch.num_rows() == 1).expect("there is a row");
            return Ok(of_cell(batch.column(0).as_ref(), 0));
        }
        let message = format!("value(...) takes a query with one row of one column, not {rows} of {columns}");
        let mut failure = ReportError::new(&self.page, self.line_of(sql), message);
        failure.sql = Some(sql.to_string());
        Err(self.fail(failure))
    }

    fn rows(&self, sql: &str, args: &Kwargs) -> Result<Value, Error> {
        self.or_stand_in(self.ask(sql, args).map(|batches| {
            let row = |batch: &RecordBatch, row: usize| -> Value {
                let schema = batch.schema();
                let cells = schema.fields().iter().zip(batch.columns());
                let cells = cells.map(|(field, column)| (field.name().clone(), of_cell(column.as_ref(), row)));
                Value::from(cells.collect::<BTreeMap<_, _>>())
            };
            let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i)));
            Value::from(rows.collect::<Vec<_>>())
        }))
    }
}
