//! What checks have given: verdicts, and the rows or figures that explain them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

use super::checks::Severity;
use super::doubt::Doubt;
use super::error::Flaw;
use crate::export::{TableOptions, render_table};

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold, and is only to be told.
    Warned,
    /// It does not hold.
    Failed,
    /// Nobody can say.
    Undecided,
}

impl Verdict {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Warned => "warned",
            Verdict::Failed => "failed",
            Verdict::Undecided => "undecided",
        }
    }
}

/// The numbers behind a verdict; none where they play no part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// The value, or the mean score of the pairs.
    pub value: Option<f64>,
    /// What it is compared with: the number, the other value, the mean score of the baseline's pairs.
    pub baseline: Option<f64>,
    /// Mean difference of pairs, positive where the statement is better.
    pub difference: Option<f64>,
    /// One-sided lower bound of the difference.
    pub low: Option<f64>,
    /// One-sided upper bound of the difference.
    pub high: Option<f64>,
    /// Number of pairs.
    pub n_pairs: Option<usize>,
}

impl Figures {
    /// One of them by its name, for messages.
    pub(super) fn named(&self, name: &str) -> Option<f64> {
        match name {
            "value" => self.value,
            "baseline" => self.baseline,
            "difference" => self.difference,
            "low" => self.low,
            "high" => self.high,
            "n_pairs" => self.n_pairs.map(|n| n as f64),
            _ => None,
        }
    }
}

/// What became of a check, and why.
#[derive(Debug)]
pub struct CheckResult {
    /// Its name; for a flaw outside of any check `line N`.
    pub name: String,
    /// Its line.
    pub line: usize,
    /// What it expects, as it is written; empty for a flaw.
    pub expect: String,
    /// How much it matters.
    pub severity: Severity,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub detail: String,
    /// What the check says of the rows that make it fail.
    pub messages: Vec<String>,
    /// How to mend it; front ends add to this.
    pub hints: Vec<String>,
    /// Why it could not be decided.
    pub doubt: Option<Doubt>,
    /// The numbers behind it.
    pub figures: Figures,
    /// The first rows that make it fail.
    pub rows: Option<RecordBatch>,
    /// Number of rows that the statement returned.
    pub n_rows: Option<usize>,
    /// How long it took.
    pub seconds: f64,
}

impl CheckResult {
    /// What became of a part of a file that is no check.
    pub fn of_flaw(flaw: Flaw) -> CheckResult {
        let name = flaw.name.clone().unwrap_or_else(|| format!("line {}", flaw.line));
        CheckResult { name, line: flaw.line, ..CheckResult::of_doubt(Doubt::Flaw(flaw)) }
    }

    /// Nobody can say, for this reason.
    pub(super) fn of_doubt(doubt: Doubt) -> CheckResult {
        CheckResult {
            name: String::new(),
            line: 0,
            expect: String::new(),
            severity: Severity::Error,
            verdict: Verdict::Undecided,
            detail: doubt.to_string(),
            messages: Vec::new(),
            hints: Vec::new(),
            doubt: Some(doubt),
            figures: Figures::default(),
            rows: None,
            n_rows: None,
            seconds: 0.0,
        }
    }
}

impl CheckResult {
    /// All there is to say: the reason, the messages, the hints, and the rows as a table.
    pub fn explained(&self) -> String {
        let lines = std::iter::once(&self.detail).chain(&self.messages).chain(&self.hints);
        let mut text = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
        if let Some(rows) = &self.rows {
            text.push('\n');
            text.push_str(&render_table(std::slice::from_ref(rows), &TableOptions::default()));
        }
        text
    }
}

/// A file with what became of its checks.
#[derive(Debug)]
pub struct FileReport {
    /// The file, as it was named.
    pub file: String,
    /// Its checks, by line.
    pub results: Vec<CheckResult>,
}

/// All files.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they were read.
    pub files: Vec<FileReport>,
}

impl Report {
    /// Every check with its file.
    pub fn results(&self) -> impl Iterator<Item = (&str, &CheckResult)> {
        self.files.iter().flat_map(|file| file.results.iter().map(|result| (file.file.as_str(), result)))
    }

    /// How many checks came to a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.results().filter(|(_, result)| result.verdict == verdict).count()
    }

    /// The verdict on all: failed when any check failed, else undecided when any could not be decided. A gate that is
    /// known to fail is not less so because another could not be decided. No check at all decides nothing.
    pub fn verdict(&self) -> Verdict {
        let any = |verdict| self.count(verdict) > 0;
        match () {
            () if any(Verdict::Failed) => Verdict::Failed,
            () if any(Verdict::Undecided) || self.results().next().is_none() => Verdict::Undecided,
            () if any(Verdict::Warned) => Verdict::Warned,
            () => Verdict::Passed,
        }
    }

    /// How many there are of each: `4 checks: 2 passed, 1 warned, 1 failed`.
    pub fn counts(&self) -> String {
        let n = self.results().count();
        let all = [Verdict::Passed, Verdict::Warned, Verdict::Failed, Verdict::Undecided];
        let counts = all.iter().filter_map(|verdict| match self.count(*verdict) {
            0 => None,
            n => Some(format!("{n} {}", verdict.as_str())),
        });
        let counts: Vec<String> = counts.collect();
        let counts = if counts.is_empty() { "nothing was checked".to_string() } else { counts.join(", ") };
        format!("{n} check{}: {counts}", if n == 1 { "" } else { "s" })
    }

    /// One row per check.
    pub fn batch(&self) -> RecordBatch {
        type Figure = fn(&Figures) -> Option<f64>;
        let text = |of: &dyn Fn(&str, &CheckResult) -> Option<String>| -> ArrayRef {
            Arc::new(self.results().map(|(file, result)| of(file, result)).collect::<StringArray>())
        };
        let int = |of: &dyn Fn(&CheckResult) -> Option<usize>| -> ArrayRef {
            Arc::new(self.results().map(|(_, result)| of(result).map(|n| n as i64)).collect::<Int64Array>())
        };
        let float = |of: &dyn Fn(&CheckResult) -> Option<f64>| -> ArrayRef {
            Arc::new(self.results().map(|(_, result)| of(result)).collect::<Float64Array>())
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let lines = |lines: &[String]| some(&lines.join("\n"));
        let figures: [(&str, Figure); 5] = [
            ("value", |f| f.value),
            ("baseline", |f| f.baseline),
            ("difference", |f| f.difference),
            ("low", |f| f.low),
            ("high", |f| f.high),
        ];
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("file", text(&|file, _| Some(file.to_string()))),
            ("line", int(&|r| Some(r.line))),
            ("check", text(&|_, r| Some(r.name.clone()))),
            ("verdict", text(&|_, r| Some(r.verdict.as_str().to_string()))),
            ("severity", text(&|_, r| Some(r.severity.as_str().to_string()))),
            ("expect", text(&|_, r| some(&r.expect))),
            ("detail", text(&|_, r| some(&r.detail))),
            ("message", text(&|_, r| lines(&r.messages))),
            ("hint", text(&|_, r| lines(&r.hints))),
            ("n_rows", int(&|r| r.n_rows)),
        ];
        columns.extend(figures.map(|(name, figure)| (name, float(&|r| figure(&r.figures)))));
        columns.push(("n_pairs", int(&|r| r.figures.n_pairs)));
        columns.push(("duration_s", float(&|r| Some(r.seconds))));
        let columns = columns.into_iter().map(|(name, values)| (name, values, true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("the columns are equally long")
    }
}
