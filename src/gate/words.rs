//! A line of words, numbers and SQL in brackets, read from left to right.

use crate::query::statements::closing;

/// What is left of a line.
#[derive(Debug, Clone)]
pub struct Words<'t> {
    rest: &'t str,
}

/// Why a line cannot be read, as a sentence.
pub type Wrong = String;

impl<'t> Words<'t> {
    pub fn new(text: &'t str) -> Self {
        Words { rest: text.trim() }
    }

    /// Takes words that stand next, in any case: `not worse than`.
    pub fn take(&mut self, words: &str) -> bool {
        let mut left = self.clone();
        for word in words.split(' ') {
            let (next, rest) = left.next_word();
            if !next.eq_ignore_ascii_case(word) {
                return false;
            }
            left = Words { rest };
        }
        *self = left;
        true
    }

    fn next_word(&self) -> (&'t str, &'t str) {
        let end = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
        (&self.rest[..end], self.rest[end..].trim_start())
    }

    /// Takes a mark that stands next: `>=`, `%`, `,`.
    pub fn mark(&mut self, mark: &str) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// Takes a number, which is finite.
    pub fn number(&mut self) -> Result<f64, Wrong> {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c))).unwrap_or(self.rest.len());
        let text = &self.rest[..end];
        match text.parse::<f64>() {
            // `inf` and `nan` are numbers to the parser, but nothing to compare with.
            Ok(number) if number.is_finite() && text.contains(|c: char| c.is_ascii_digit()) => {
                self.rest = self.rest[end..].trim_start();
                Ok(number)
            }
            _ => Err(format!("a number is expected {}", self.here())),
        }
    }

    /// Takes a whole number that no double holds; leaves any other number.
    pub fn large(&mut self) -> Option<i128> {
        let mut left = self.clone();
        let number = left.number().ok()?;
        let text = self.rest[..self.rest.len() - left.rest.len()].trim();
        let whole: i128 = text.parse().ok()?;
        if number as i128 == whole {
            return None;
        }
        *self = left;
        Some(whole)
    }

    /// Takes a text in single quotes, where one stands next; two quotes within are one.
    pub fn text(&mut self) -> Result<Option<String>, Wrong> {
        let Some(rest) = self.rest.strip_prefix('\'') else { return Ok(None) };
        let (mut text, mut left) = (String::new(), rest);
        loop {
            let end = left.find('\'').ok_or("a quoted text is not closed")?;
            text.push_str(&left[..end]);
            left = &left[end + 1..];
            match left.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    left = more;
                }
                None => break,
            }
        }
        self.rest = left.trim_start();
        Ok(Some(text))
    }

    /// Takes a count, which is whole and not negative.
    pub fn count(&mut self) -> Result<u64, Wrong> {
        let before = self.clone();
        let number = self.number()?;
        if number < 0.0 || number.fract() != 0.0 || number > 1e15 {
            return Err(format!("a whole number is expected {}", before.here()));
        }
        Ok(number as u64)
    }

    /// Takes a statement in brackets; gives it without them.
    pub fn sql(&mut self) -> Result<String, Wrong> {
        if !self.rest.starts_with('(') {
            return Err(format!("a statement in brackets is expected {}", self.here()));
        }
        let end = closing(self.rest).ok_or("a bracket is not closed")?;
        let sql = self.rest[1..end - 1].trim();
        if sql.is_empty() {
            return Err("there is no statement in the brackets".to_string());
        }
        self.rest = self.rest[end..].trim_start();
        Ok(sql.to_string())
    }

    /// Takes the name of a column, quoted or not.
    pub fn column(&mut self) -> Result<String, Wrong> {
        if let Some(rest) = self.rest.strip_prefix('"') {
            let end = rest.find('"').filter(|end| *end > 0).ok_or("a quoted name is empty or not closed")?;
            self.rest = rest[end + 1..].trim_start();
            return Ok(rest[..end].to_string());
        }
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("the name of a column is expected {}", self.here()));
        }
        let name = self.rest[..end].to_string();
        self.rest = self.rest[end..].trim_start();
        Ok(name)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses what is left.
    pub fn end(&self) -> Result<(), Wrong> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(format!("nothing more is expected {}", self.here())),
        }
    }

    /// Where reading stands, for a message.
    pub fn here(&self) -> String {
        match self.rest.split_whitespace().next() {
            Some(word) => format!("at '{word}'"),
            None => "at the end".to_string(),
        }
    }
}
