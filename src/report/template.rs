//! The page as a template: parameters, conditions, loops, and queries within the text.
//!
//! What a page inserts is held back while its Markdown is read: a mark stands for it, so that no name of a run can act as
//! markup. It is written out where it belongs, in the way that is due there ([`Inserted`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use tokio::runtime::Handle;

use super::error::ReportError;
use crate::export::value::{self as cell, Floats};
use crate::query::{QueryError, Session, quoted};

/// Stand around the number of something that was inserted. No text has a use for them (Unicode's private area).
const BEGIN: char = '\u{F5A0C}';
const END: char = '\u{F5A0D}';

/// Values for the `$name`s of queries and the names of a template.
pub type Params = Vec<(String, ScalarValue)>;

/// Something that a page inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// As text for people.
    pub text: String,
    /// As a constant of SQL.
    pub sql: String,
}

/// A page whose parameters are in.
#[derive(Debug, Default)]
pub struct Filled {
    /// Markdown with marks.
    pub text: String,
    pub inserted: Vec<Inserted>,
    /// Where parts of the text begin, and the line of the source that they come from.
    lines: Vec<(usize, usize)>,
    /// Queries that failed and were told in place.
    pub failures: Vec<ReportError>,
}

impl Filled {
    /// The line of the source that a place in the text comes from.
    pub fn line(&self, at: usize) -> usize {
        let part = self.lines.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        let Some((begin, line)) = self.lines.get(part) else { return 1 };
        line + self.text[*begin..at.max(*begin)].matches('\n').count()
    }

    /// A part of the text as what stands there, and what is inserted behind it.
    pub fn parts<'a>(&'a self, text: &'a str) -> Vec<(&'a str, Option<&'a Inserted>)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, marked)) = rest.split_once(BEGIN) {
            let (number, after) = marked.split_once(END).unwrap_or((marked, ""));
            parts.push((before, number.parse().ok().and_then(|at: usize| self.inserted.get(at))));
            rest = after;
        }
        parts.push((rest, None));
        parts
    }

    /// Replaces the marks in a part of the text.
    pub fn resolve(&self, text: &str, write: impl Fn(&Inserted) -> String) -> String {
        let parts = self.parts(text);
        parts
            .into_iter()
            .map(|(before, inserted)| before.to_string() + &inserted.map(&write).unwrap_or_default())
            .collect()
    }
}

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
    inserted: Vec<Inserted>,
}

/// Fills in a page. Its queries are answered on the engine's threads: this one waits.
pub fn fill(
    page: &str,
    source: &str,
    session: Arc<Session>,
    params: &Params,
    engine: Handle,
    keep_going: bool,
) -> Result<Filled, ReportError> {
    if source.contains([BEGIN, END]) {
        let message = format!("U+{:X} and U+{:X} cannot stand in a page", u32::from(BEGIN), u32::from(END));
        return Err(ReportError::new(page, None, message));
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
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let asking = Arc::clone(&asker);
    environment.add_function("value", move |sql: String, args: Kwargs| asking.value(&sql, &args));
    let asking = Arc::clone(&asker);
    environment.add_function("rows", move |sql: String, args: Kwargs| asking.rows(&sql, &args));
    let inserting = Arc::clone(&asker);
    environment.set_formatter(move |out, _, value| {
        // An unknown name has failed before; this is an `if` without `else`.
        if value.is_undefined() {
            return Ok(());
        }
        if value.is_safe() {
            return out.write_str(&value.to_string()).map_err(Error::from);
        }
        let mut told = inserting.told();
        told.inserted.push(Inserted { text: text_of(value), sql: sql_of(value) });
        write!(out, "{BEGIN}{}{END}", told.inserted.len() - 1).map_err(Error::from)
    });
    let context: BTreeMap<_, _> = params.iter().map(|(name, value)| (name.clone(), of_scalar(value))).collect();
    let done =
        environment.template_from_named_str(page, source).and_then(|t| t.render_with_spans(Value::from(context)));
    // The functions within the environment hold it as well.
    drop(environment);
    let told = std::mem::take(&mut *asker.told());
    match done {
        Ok((text, spans)) => {
            let lines = spans.iter().map(|span| (span.output_range().start, span.line())).collect();
            Ok(Filled { text, inserted: told.inserted, lines, failures: told.failures })
        }
        Err(e) => Err(failed(page, &e, told.failures, params)),
    }
}

/// What a template could not do. A failed query is told as such, with the line that the template knows.
fn failed(page: &str, e: &Error, failures: Vec<ReportError>, params: &Params) -> ReportError {
    if let Some(mut failure) = failures.into_iter().next_back() {
        failure.line = e.line().or(failure.line);
        return failure;
    }
    let what = match e.kind() {
        ErrorKind::SyntaxError => "this is no template",
        ErrorKind::UndefinedError => "a name here is not known",
        _ => "the template failed",
    };
    let detail = e.detail().map_or_else(|| e.kind().to_string(), str::to_string);
    let mut error = ReportError::new(page, e.line(), format!("{what}: {detail}"));
    if e.kind() == ErrorKind::UndefinedError && !error.message.contains('.') {
        error.hint = Some(match params.as_slice() {
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

impl Asker {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ask(&self, sql: &str, args: &Kwargs) -> Result<Vec<RecordBatch>, Error> {
        let mut params = self.params.clone();
        for name in args.args() {
            let value: Value = args.get(name)?;
            params.retain(|(known, _)| known != name);
            params.push((name.to_string(), to_scalar(&value)));
        }
        let answer = self.engine.block_on(async {
            let frame = self.session.query_with(sql, &params).await?.frame;
            Ok::<_, crate::Error>(frame.collect().await.map_err(QueryError::from)?)
        });
        answer.map_err(|e| {
            let mut failure = ReportError::new(&self.page, self.line_of(sql), e.to_string());
            failure.sql = Some(sql.to_string());
            failure.source = Some(Box::new(e));
            let detail = failure.message.clone();
            self.told().failures.push(failure);
            Error::new(ErrorKind::InvalidOperation, detail)
        })
    }

    /// Where a query stands in the source, as far as it is written there as it is.
    fn line_of(&self, sql: &str) -> Option<usize> {
        self.source.find(sql).map(|at| self.source[..at].matches('\n').count() + 1)
    }

    fn value(&self, sql: &str, args: &Kwargs) -> Result<Value, Error> {
        match self.ask(sql, args).and_then(|batches| self.only(sql, &batches)) {
            Err(_) if self.keep_going => Ok(Value::from("(failed, see below)")),
            other => other,
        }
    }

    fn only(&self, sql: &str, batches: &[RecordBatch]) -> Result<Value, Error> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let columns = batches.first().map_or(1, RecordBatch::num_columns);
        if (rows, columns) == (1, 1) {
            let batch = batches.iter().find(|batch| batch.num_rows() == 1).expect("there is a row");
            return Ok(of_cell(batch.column(0).as_ref(), 0));
        }
        let message = format!("value(...) takes a query with one row of one column, not {rows} of {columns}");
        let mut failure = ReportError::new(&self.page, self.line_of(sql), message.clone());
        failure.sql = Some(sql.to_string());
        self.told().failures.push(failure);
        Err(Error::new(ErrorKind::InvalidOperation, message))
    }

    fn rows(&self, sql: &str, args: &Kwargs) -> Result<Value, Error> {
        let batches = match self.ask(sql, args) {
            Err(_) if self.keep_going => return Ok(Value::from(Vec::<Value>::new())),
            other => other?,
        };
        let row = |batch: &RecordBatch, row: usize| -> Value {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns());
            let cells = cells.map(|(field, column)| (field.name().clone(), of_cell(column.as_ref(), row)));
            Value::from(cells.collect::<BTreeMap<_, _>>())
        };
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i)));
        Ok(Value::from(rows.collect::<Vec<_>>()))
    }
}

/// A value of a template as people read it.
fn text_of(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "NULL".to_string(),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(x) => cell::float(x, Floats::Readable),
            Err(_) => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// A value of a template as a constant of SQL; a list as one for `IN`.
fn sql_of(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "NULL".to_string(),
        ValueKind::Bool => value.to_string(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(x) if x.is_finite() => format!("{x:?}"),
            Ok(x) => format!("CAST('{x}' AS DOUBLE)"),
            Err(_) => value.to_string(),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map(|items| items.map(|item| sql_of(&item)).collect::<Vec<_>>());
            format!("({})", items.unwrap_or_default().join(", "))
        }
        _ => quoted(&value.to_string()),
    }
}

fn of_scalar(scalar: &ScalarValue) -> Value {
    match scalar.to_array() {
        Ok(array) => of_cell(array.as_ref(), 0),
        Err(_) => Value::from(scalar.to_string()),
    }
}

fn to_scalar(value: &Value) -> ScalarValue {
    match value.kind() {
        ValueKind::None => ScalarValue::Null,
        ValueKind::Bool => ScalarValue::from(value.is_true()),
        ValueKind::Number if value.is_integer() => match i64::try_from(value.clone()) {
            Ok(i) => ScalarValue::from(i),
            Err(_) => ScalarValue::from(value.to_string()),
        },
        ValueKind::Number => f64::try_from(value.clone()).map_or(ScalarValue::Null, ScalarValue::from),
        _ => ScalarValue::from(value.to_string()),
    }
}

fn of_cell(array: &dyn Array, row: usize) -> Value {
    use cell::Value as Cell;
    match cell::value(array, row) {
        Cell::Null => Value::from(()),
        Cell::Bool(b) => Value::from(b),
        Cell::Int(i) => Value::from(i),
        Cell::UInt(u) => Value::from(u),
        Cell::Float(x) => Value::from(x),
        Cell::Float32(x) => Value::from(f64::from(x)),
        Cell::List(items) if !matches!(array.data_type(), DataType::Dictionary(..)) => {
            Value::from((0..items.len()).map(|i| of_cell(items.as_ref(), i)).collect::<Vec<_>>())
        }
        other => {
            let mut text = String::new();
            other.write_text(Floats::Exact, &mut text);
            Value::from(text)
        }
    }
}
