//! What can go wrong with a report.

use std::fmt;

use crate::export::escape_html;

/// A part of a report that cannot be rendered.
#[derive(Debug)]
pub struct ReportError {
    /// The page, as it was named.
    pub page: String,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// What happened.
    pub message: String,
    /// The query at fault.
    pub sql: Option<String>,
    /// How to mend it.
    pub hint: Option<String>,
    /// What the engine or the store said.
    pub source: Option<Box<crate::Error>>,
}

impl ReportError {
    pub(super) fn new(page: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        ReportError { page: page.to_string(), line, message: message.into(), sql: None, hint: None, source: None }
    }

    /// The same error at another place.
    pub(super) fn again(&self) -> ReportError {
        let (page, message) = (self.page.clone(), self.message.clone());
        ReportError { page, line: self.line, message, sql: self.sql.clone(), hint: self.hint.clone(), source: None }
    }

    /// As it stands in a page of HTML.
    pub(super) fn html(&self) -> String {
        format!("<pre class=\"failed\">{}</pre>\n", escape_html(&self.to_string()))
    }

    /// As it stands in a page of Markdown.
    pub(super) fn markdown(&self) -> String {
        super::block::fenced("text", &self.to_string())
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.page)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        for line in self.sql.iter().flat_map(|sql| sql.lines()) {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ReportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
