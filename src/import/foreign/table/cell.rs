//! What stands in a row under a column.

use std::collections::HashMap;

use serde_json::Value;

use super::super::json;
use crate::model::{Micros, ParamValue};

/// Columns beyond which a table is refused: keys of objects may be anything.
const MOST_COLUMNS: usize = 20_000;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text; what it spells is looked at where it is used.
    Text(String),
    /// A value with a type.
    Typed(ParamValue),
}

impl Cell {
    /// The value, text typed as what it spells.
    pub fn param(self) -> ParamValue {
        match self {
            Cell::Text(text) => ParamValue::from_spelling(&text),
            Cell::Typed(value) => value,
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Typed(value) => value.text().unwrap_or_default(),
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Cell::Text(text) => matches!(text.trim(), "" | "None" | "null"),
            Cell::Typed(value) => *value == ParamValue::Null,
        }
    }

    /// The number, NaN too; truth values are none.
    pub fn number(&self) -> Option<f64> {
        let read;
        let value = match self {
            Cell::Text(text) => {
                read = ParamValue::from_spelling(text.trim());
                &read
            }
            Cell::Typed(value) => value,
        };
        value.number().or_else(|| (value.type_name() == "float").then_some(f64::NAN))
    }

    /// The time: RFC 3339 text, or seconds, milli-, micro- or nanoseconds since 1970, whichever gives a year that is near.
    pub fn time(&self) -> Option<Micros> {
        if let Cell::Typed(ParamValue::Time(time)) = self {
            return Some(*time);
        }
        let Some(x) = self.number() else { return Micros::parse(&self.text()).ok() };
        let seconds = match x.abs() {
            x if x < 1e11 => 1.0,
            x if x < 1e14 => 1e3,
            x if x < 1e17 => 1e6,
            _ => 1e9,
        };
        Micros::from_seconds(x / seconds)
    }

    /// Whether it looks like a time rather than like a span: text that is one, or a number of this century.
    pub fn is_dated(&self) -> bool {
        self.number().map_or_else(|| self.time().is_some(), |x| x > 9.0e8)
    }
}

/// Names of columns, in the order in which they were met.
#[derive(Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Columns {
    /// The place of a column, which is added where it is new.
    pub fn place(&mut self, name: &str) -> Result<usize, String> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        if self.names.len() >= MOST_COLUMNS {
            return Err(format!("there are more than {MOST_COLUMNS} columns"));
        }
        self.names.push(name.to_string());
        self.places.insert(name.to_string(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    /// All names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A row: the cells that say something, by column.
#[derive(Debug, Default)]
pub struct Row {
    /// Its number in the file, from 1.
    pub number: u64,
    pub cells: Vec<(usize, Cell)>,
}

impl Row {
    /// The cell of a column.
    pub fn get(&self, column: usize) -> Option<&Cell> {
        self.cells.iter().find(|(place, _)| *place == column).map(|(_, cell)| cell)
    }

    /// Takes JSON: the fields of objects are columns of their own, `a.b`.
    pub fn add(&mut self, name: &str, value: Value, columns: &mut Columns) -> Result<(), String> {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    self.add(&format!("{name}.{}", json::text(&key)), value, columns)?;
                }
            }
            Value::String(text) if json::number(&text).is_none() => {
                self.cells.push((columns.place(name)?, Cell::Text(json::text(&text).to_string())));
            }
            value => self.cells.push((columns.place(name)?, Cell::Typed(json::param(&value)))),
        }
        Ok(())
    }
}
