//! A report as JUnit XML, which GitLab, Jenkins, Azure and the reporters for GitHub read.
//!
//! A failed check is a `failure`, an undecided one an `error`, and a warning passes with its text in `system-out`: the
//! format knows no warnings.

use std::fmt::Write;

use super::report::{CheckResult, FileReport, Report, Verdict};
use crate::export::is_unsafe;

/// The document.
pub fn junit(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&CheckResult> = report.results().map(|(_, result)| result).collect();
    let _ = writeln!(xml, "<testsuites name=\"runlake check\"{}>", totals(&all));
    for file in &report.files {
        suite(&mut xml, file);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, file: &FileReport) {
    let results: Vec<&CheckResult> = file.results.iter().collect();
    let name = attribute(&file.file);
    let _ = writeln!(xml, "  <testsuite name=\"{name}\"{}>", totals(&results));
    for result in &file.results {
        let _ = write!(
            xml,
            "    <testcase classname=\"{name}\" name=\"{}\" file=\"{name}\" line=\"{}\" time=\"{:.3}\"",
            attribute(&result.name),
            result.line,
            result.seconds
        );
        let text = content(&result.explained());
        let message = attribute(&result.detail);
        let _ = match result.verdict {
            Verdict::Passed => writeln!(xml, "/>"),
            Verdict::Warned => {
                writeln!(xml, ">\n      <system-out>warning: {text}</system-out>\n    </testcase>")
            }
            Verdict::Failed => {
                writeln!(
                    xml,
                    ">\n      <failure type=\"failed\" message=\"{message}\">{text}</failure>\n    </testcase>"
                )
            }
            Verdict::Undecided => {
                writeln!(
                    xml,
                    ">\n      <error type=\"undecided\" message=\"{message}\">{text}</error>\n    </testcase>"
                )
            }
        };
    }
    xml.push_str("  </testsuite>\n");
}

fn totals(results: &[&CheckResult]) -> String {
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count();
    let seconds: f64 = results.iter().map(|result| result.seconds).sum();
    format!(
        " tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{seconds:.3}\"",
        results.len(),
        count(Verdict::Failed),
        count(Verdict::Undecided)
    )
}

fn attribute(text: &str) -> String {
    escape(text, true)
}

fn content(text: &str) -> String {
    escape(text, false)
}

/// Everything that is a mark in XML is written as a reference; what XML cannot hold at all, control characters among it, as
/// `\u{1b}`.
///
/// So is what would reorder letters: names of runs stand in it.
fn escape(text: &str, attribute: bool) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            // Readers make blanks of line breaks in attributes, and of a carriage return a line break.
            '\n' | '\t' if attribute => {
                let _ = write!(safe, "&#{};", c as u32);
            }
            '\r' => safe.push_str("&#13;"),
            '\n' | '\t' => safe.push(c),
            // What XML allows and discourages is among it.
            c if is_unsafe(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(safe, "\\u{{{:x}}}", c as u32);
            }
            c => safe.push(c),
        }
    }
    safe
}
