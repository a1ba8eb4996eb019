//! Arguments of a call.

use datafusion::common::ScalarValue;

use super::TableFunction;
use super::error::FunctionError;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL: as if it were left out.
    Null,
    /// true or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// A bound value, where it is of one of these types.
    pub fn of_scalar(value: &ScalarValue) -> Option<Value> {
        if value.is_null() {
            return Some(Value::Null);
        }
        match value {
            ScalarValue::Boolean(truth) => truth.map(Value::Bool),
            ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
                text.clone().map(Value::Text)
            }
            number => match number.cast_to(&arrow::datatypes::DataType::Float64).ok()? {
                ScalarValue::Float64(number) => number.map(Value::Number),
                _ => None,
            },
        }
    }
}

/// The arguments of one call, taken one by one in their order.
#[derive(Debug)]
pub struct Args {
    function: &'static TableFunction,
    given: std::vec::IntoIter<Value>,
    named: Vec<(String, Value)>,
}

impl Args {
    /// Those of a call.
    pub fn new(function: &'static TableFunction, given: Vec<Value>, named: Vec<(String, Value)>) -> Args {
        Args { function, given: given.into_iter(), named }
    }

    /// The error that something is wrong with these arguments.
    pub fn wrong(&self, problem: String) -> FunctionError {
        let TableFunction { name: function, arguments: usage, help, .. } = *self.function;
        FunctionError::Argument { function, usage, help, problem }
    }

    /// The next one in order, else the one of this name.
    fn next(&mut self, name: &str) -> Option<Value> {
        let value = self.given.next().or_else(|| {
            let at = self.named.iter().position(|(given, _)| given == name)?;
            Some(self.named.swap_remove(at).1)
        });
        value.filter(|value| *value != Value::Null)
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str) -> Result<String, FunctionError> {
        match self.optional_text(name)? {
            Some(text) => Ok(text),
            None => Err(self.wrong(format!("there is no {name}"))),
        }
    }

    /// A text that may be left out.
    pub fn optional_text(&mut self, name: &str) -> Result<Option<String>, FunctionError> {
        match self.next(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(format!("{name} is text, in single quotes"))),
        }
    }

    /// All texts that are left, one at least.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, FunctionError> {
        let mut texts = vec![self.text(name)?];
        while let Some(text) = self.optional_text(name)? {
            texts.push(text);
        }
        Ok(texts)
    }

    /// A number that may be left out.
    pub fn number(&mut self, name: &str) -> Result<Option<f64>, FunctionError> {
        match self.next(name) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_finite() => Ok(Some(number)),
            Some(_) => Err(self.wrong(format!("{name} is a number"))),
        }
    }

    /// A whole number from 1 on, that may be left out.
    pub fn count(&mut self, name: &str) -> Result<Option<usize>, FunctionError> {
        match self.number(name)? {
            None => Ok(None),
            Some(n) if n >= 1.0 && n.fract() == 0.0 && n < 1e15 => Ok(Some(n as usize)),
            Some(_) => Err(self.wrong(format!("{name} is a whole number from 1 on"))),
        }
    }

    /// Refuses what was not asked for.
    pub fn end(&mut self) -> Result<(), FunctionError> {
        if let Some((name, _)) = self.named.first() {
            return Err(self.wrong(format!("it has no argument '{name}', or it was given before")));
        }
        match self.given.next() {
            None => Ok(()),
            Some(_) => Err(self.wrong("there are too many arguments".to_string())),
        }
    }
}
