//! A report as workflow commands of GitHub Actions, which show at the lines of the files.

use super::report::{Report, Verdict};

/// One command for each check that does not hold.
pub fn annotations(report: &Report) -> Vec<String> {
    let results = report.results().filter(|(_, result)| result.verdict != Verdict::Passed);
    let command = |(file, result): (&str, &super::report::CheckResult)| {
        let level = if result.verdict == Verdict::Warned { "warning" } else { "error" };
        let title = format!("{}: {}", result.verdict.as_str(), result.name);
        let lines = std::iter::once(&result.detail).chain(&result.messages).chain(&result.hints);
        let text = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
        let (file, title) = (property(file), property(&title));
        format!("::{level} file={file},line={},title={title}::{}", result.line, data(&text))
    };
    results.map(command).collect()
}

/// A command is one line, and `%` begins an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
