//! What stands in a page for values that failed, where the rest of it is rendered all the same.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Rest, Value};
use minijinja::{Environment, Error, ErrorKind};

/// The function that gives a failure as a value.
pub const FUNCTION: &str = "failed_value";

/// The failure that an error of a template tells of.
#[derive(Debug)]
pub struct Failed(pub usize);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a query failed")
    }
}

impl std::error::Error for Failed {}

/// The failure that an error comes from.
pub fn cause(e: &Error) -> Option<usize> {
    let mut source = std::error::Error::source(e);
    while let Some(e) = source {
        if let Some(Failed(at)) = e.downcast_ref() {
            return Some(*at);
        }
        source = e.source();
    }
    None
}

/// A value that failed; so has all that is got out of it. As a list it has one item, which failed.
#[derive(Debug)]
pub struct FailedValue {
    pub at: usize,
    message: String,
}

impl FailedValue {
    pub fn value(at: usize, message: &str) -> Value {
        let words: Vec<_> = message.split_whitespace().collect();
        Value::from_object(FailedValue { at, message: format!("(failed: {})", words.join(" ")) })
    }

    fn again(self: &Arc<Self>) -> Value {
        Value::from_dyn_object(Arc::clone(self))
    }
}

impl Object for FailedValue {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(self.again())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(vec![self.again()])
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Makes filters give back what failed instead of failing at it.
pub fn pass_through_filters(environment: &mut Environment<'_>) {
    const NUMBERS_AND_TEXT: [&str; 18] = [
        "format",
        "round",
        "abs",
        "int",
        "float",
        "string",
        "length",
        "count",
        "join",
        "upper",
        "lower",
        "title",
        "capitalize",
        "replace",
        "trim",
        "first",
        "last",
        "sum",
    ];
    let plain = Arc::new(Environment::new());
    for name in NUMBERS_AND_TEXT {
        let plain = Arc::clone(&plain);
        environment.add_filter(name, move |args: Rest<Value>| {
            match args.iter().find(|arg| arg.downcast_object_ref::<FailedValue>().is_some()) {
                Some(failed) => Ok(failed.clone()),
                None => plain.empty_state().apply_filter(name, &args),
            }
        });
    }
}

/// The page with the `{{ ... }}` that an error comes from replaced by a failure, its lines kept.
pub fn instead(source: &str, e: &Error, at: usize) -> Option<String> {
    if e.kind() == ErrorKind::SyntaxError {
        return None;
    }
    let range = e.range()?;
    let open = source.get(..range.start)?.rfind("{{")?;
    let close = range.end.max(open) + source.get(range.end..)?.find("}}")?;
    let within = &source[open + 2..close];
    if within.contains("}}") || within.contains("{%") || within.contains(FUNCTION) {
        return None;
    }
    let (trim_before, trim_after) = (within.starts_with('-'), within.ends_with('-'));
    let dash = |trim: bool| if trim { "-" } else { "" };
    let lines = "\n".repeat(within.matches('\n').count());
    let call = format!("{{{{{} {FUNCTION}({at}){lines} {}}}}}", dash(trim_before), dash(trim_after));
    Some(format!("{}{call}{}", &source[..open], &source[close + 2..]))
}
