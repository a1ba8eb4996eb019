//! A report as Markdown, for the summary of a build.

use std::fmt::Write;

use super::report::{CheckResult, Report, Verdict};
use crate::export::escape_markdown;

/// Rows of a failed check that a summary shows.
const ROWS: usize = 10;

/// The page: a verdict, a table of all checks, and what made some fail.
pub fn markdown(report: &Report) -> String {
    let mut page = format!("## Checks: {}\n\n{}\n\n", report.verdict().as_str(), report.counts());
    page.push_str("| | check | expected | found |\n| --- | --- | --- | --- |\n");
    for (_, result) in report.results() {
        let _ = writeln!(
            page,
            "| {} {} | {} | {} | {} |",
            mark(result.verdict),
            result.verdict.as_str(),
            escape_markdown(&result.name),
            escape_markdown(&result.expect),
            escape_markdown(&result.detail)
        );
    }
    for (file, result) in report.results().filter(|(_, result)| result.verdict != Verdict::Passed) {
        explain(&mut page, file, result);
    }
    page
}

fn explain(page: &mut String, file: &str, result: &CheckResult) {
    let heading = format!("{}: {}", result.verdict.as_str(), result.name);
    let place = format!("{file}:{}", result.line);
    let _ = write!(page, "\n### {}\n\n{}\n\n", escape_markdown(&heading), escape_markdown(&place));
    for line in std::iter::once(&result.detail).chain(&result.messages).chain(&result.hints) {
        let _ = writeln!(page, "- {}", escape_markdown(line));
    }
    if let Some(rows) = &result.rows {
        let _ = write!(page, "\n{}", crate::export::markdown_table(&rows.slice(0, rows.num_rows().min(ROWS))));
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✅",
        Verdict::Warned => "⚠️",
        Verdict::Failed => "❌",
        Verdict::Undecided => "❔",
    }
}
