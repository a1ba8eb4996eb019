//! Checks put to a store.

use std::time::{Duration, Instant};

use datafusion::common::ScalarValue;

use super::absent;
use super::checks::{Check, Severity};
use super::direction::direction;
use super::doubt::{Doubt, Side};
use super::expect::{Expect, Op, Operand, Paired, Tolerance};
use super::numbers::plain;
use super::pairs::{self, SCORE};
use super::report::{CheckResult, Figures, Verdict};
use super::rows::{Rows, ask};
use super::scalar::Scalar;
use super::unknown::{self, Bound};
use crate::export::value::{Floats, float};
use crate::model::Goal;
use crate::query::{Session, within};

/// Rows that are kept to explain a verdict.
const KEPT: usize = 20;

/// How checks are put.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Values for `$name` in statements.
    pub params: Vec<(String, ScalarValue)>,
    /// How long one check may take.
    pub timeout: Option<Duration>,
}

impl Check {
    /// Puts the check to a store, as a session sees it.
    pub async fn evaluate(&self, session: &Session, options: &CheckOptions) -> CheckResult {
        let begun = Instant::now();
        let found = within(options.timeout, Asking { session, options, check: self }.find()).await;
        let mut result = match found.map_err(Doubt::from).and_then(|found| found) {
            Ok(found) => self.told(found),
            Err(doubt) => self.in_doubt(doubt),
        };
        result.seconds = begun.elapsed().as_secs_f64();
        result
    }

    /// The result where the check could not be run at all.
    pub fn not_run(&self, why: &str) -> CheckResult {
        self.in_doubt(Doubt::NotRun(why.to_string()))
    }

    fn in_doubt(&self, doubt: Doubt) -> CheckResult {
        // The parser counts lines from where the statement begins.
        let line = if matches!(doubt, Doubt::Failed(_)) { self.sql_line } else { self.line };
        CheckResult {
            name: self.name.clone(),
            line,
            expect: self.expect.to_string(),
            severity: self.severity,
            ..CheckResult::of_doubt(doubt)
        }
    }

    fn told(&self, found: Found) -> CheckResult {
        let Found { holds, detail, figures, rows } = found;
        let verdict = match (holds, self.severity) {
            (true, _) => Verdict::Passed,
            (false, Severity::Error) => Verdict::Failed,
            (false, Severity::Warn) => Verdict::Warned,
        };
        let mut result = CheckResult {
            name: self.name.clone(),
            line: self.line,
            expect: self.expect.to_string(),
            severity: self.severity,
            verdict,
            detail,
            messages: Vec::new(),
            hints: Vec::new(),
            doubt: None,
            figures,
            rows: None,
            n_rows: Some(rows.n),
            seconds: 0.0,
        };
        if !holds {
            self.explain(&rows, &mut result);
        }
        result
    }

    /// Adds what the check says of the rows that made it fail, and those rows.
    fn explain(&self, rows: &Rows, result: &mut CheckResult) {
        if let Some(message) = &self.message {
            let n = match self.expect {
                Expect::NoRows => rows.batch.num_rows().min(KEPT),
                // Of scores in pairs no row is at fault; the text is said once, with the figures.
                _ => 1,
            };
            let figures = result.figures;
            for row in 0..n {
                let of_row = |name: &str| {
                    let cell = rows.find(name).filter(|_| row < rows.batch.num_rows() && !self.is_paired());
                    cell.map(|column| rows.text(column, row))
                };
                let text = |name: &str| {
                    let figure = |x| float(x, Floats::Readable).trim_end_matches(".0").to_string();
                    of_row(name).or_else(|| figures.named(name).map(figure))
                };
                result.messages.push(message.fill(text));
            }
            let unknown: Vec<&str> = message
                .columns()
                .filter(|name| rows.find(name).is_none_or(|_| self.is_paired()) && figures.named(name).is_none())
                .collect();
            if let Some(name) = unknown.first() {
                result
                    .hints
                    .push(format!("the message names {{{name}}}, but the statement returns {}", rows.columns()));
            }
        }
        // One value alone is in the reason already.
        if rows.n > 0 && (self.expect == Expect::NoRows || rows.batch.num_columns() > 1) {
            result.rows = Some(rows.first(KEPT));
        }
    }

    fn is_paired(&self) -> bool {
        matches!(self.expect, Expect::Paired(_))
    }
}

/// What was found.
struct Found {
    holds: bool,
    detail: String,
    figures: Figures,
    rows: Rows,
}

struct Asking<'a> {
    session: &'a Session,
    options: &'a CheckOptions,
    check: &'a Check,
}

impl Asking<'_> {
    async fn find(&self) -> Result<Found, Doubt> {
        let (check, params) = (self.check, &self.options.params);
        if !check.allow_empty {
            absent::look(self.session, &check.sql, params).await?;
            if let Some(sql) = check.expect.baseline() {
                absent::look(self.session, sql, params).await.map_err(of_baseline)?;
            }
        }
        let keep = if check.is_paired() { usize::MAX } else { KEPT };
        let rows = ask(self.session, &check.sql, params, keep).await?;
        match &check.expect {
            Expect::NoRows | Expect::SomeRows => {
                let holds = (rows.n == 0) == (check.expect == Expect::NoRows);
                let n = counted(rows.n);
                let detail = match (holds, rows.n) {
                    (true, _) => n,
                    (false, 0) => "no rows where some are expected".to_string(),
                    (false, _) => format!("{n} where none are expected"),
                };
                let found = Found { holds, detail, figures: Figures::default(), rows };
                // One row is enough for the other claim, whatever else there is.
                if check.expect == Expect::NoRows { self.passed_over(found, Bound::Other).await } else { Ok(found) }
            }
            Expect::Value { op, than } => self.value(rows, *op, than).await,
            Expect::Within { tolerance, of } => self.within(rows, *tolerance, of).await,
            Expect::Paired(claim) => self.paired(rows, claim).await,
        }
    }

    /// Adds what statements passed over to a check that holds.
    async fn passed_over(&self, mut found: Found, bound: Bound) -> Result<Found, Doubt> {
        if !found.holds || self.check.allow_empty {
            return Ok(found);
        }
        let params = &self.options.params;
        let mut notes = unknown::look(self.session, &self.check.sql, params, bound).await?;
        if let Some(sql) = self.check.expect.baseline() {
            let of_baseline = unknown::look(self.session, sql, params, bound).await?;
            notes.extend(of_baseline.into_iter().map(|note| format!("in the baseline {note}")));
        }
        for note in notes {
            found.detail += &format!("; {note}");
        }
        Ok(found)
    }

    /// The value of the statement; `None` where there are no rows and that is allowed.
    fn own_value(&self, rows: &Rows) -> Result<Option<f64>, Doubt> {
        match rows.one_value(Side::Statement)? {
            None if !self.check.allow_empty => Err(Doubt::NoRows { of: Side::Statement, allowed: false }),
            value => Ok(value),
        }
    }

    async fn baseline_value(&self, sql: &str) -> Result<f64, Doubt> {
        let rows = self.ask_baseline(sql, KEPT).await?;
        let missing = Doubt::NoRows { of: Side::Baseline, allowed: true };
        rows.one_value(Side::Baseline)?.ok_or(missing)
    }

    async fn ask_baseline(&self, sql: &str, keep: usize) -> Result<Rows, Doubt> {
        ask(self.session, sql, &self.options.params, keep).await.map_err(Doubt::BaselineFailed)
    }

    async fn value(&self, rows: Rows, op: Op, than: &Operand) -> Result<Found, Doubt> {
        let value = match rows.one_scalar(Side::Statement)? {
            Some(value) => value,
            None if self.check.allow_empty => return Ok(Found::nothing(rows)),
            None => return Err(Doubt::NoRows { of: Side::Statement, allowed: false }),
        };
        let (baseline, of) = match than {
            Operand::Number(number) => (Scalar::Number(*number), None),
            Operand::Large(whole) => (Scalar::Whole(*whole), None),
            Operand::Text(text) => (Scalar::Text(text.clone()), None),
            Operand::Bool(truth) => (Scalar::Bool(*truth), None),
            Operand::Sql(sql) => {
                let rows = self.ask_baseline(sql, KEPT).await?;
                let missing = Doubt::NoRows { of: Side::Baseline, allowed: true };
                (rows.one_scalar(Side::Baseline)?.ok_or(missing)?, Some(rows))
            }
        };
        let Some(holds) = value.compares(op, &baseline) else {
            // Where one side is a number, the other one is what is wrong.
            let sides =
                [(&value, &baseline, Some(&rows), Side::Statement), (&baseline, &value, of.as_ref(), Side::Baseline)];
            for (wrong, right, rows, of) in sides {
                if let (None, Some(_), Some(rows)) = (wrong.number(), right.number(), rows) {
                    rows.numbers(rows.value_column(of)?, of)?;
                }
            }
            return Err(Doubt::NotAlike {
                value: format!("{} {value}", value.kind()),
                than: format!("{} {baseline}", baseline.kind()),
            });
        };
        let not = if holds { "" } else { "not " };
        let detail = format!("{value} is {not}{} {baseline}", op.as_str());
        let figures = Figures { value: value.number(), baseline: baseline.number(), ..Figures::default() };
        self.passed_over(Found { holds, detail, figures, rows }, op.into()).await
    }

    async fn within(&self, rows: Rows, tolerance: Tolerance, of: &str) -> Result<Found, Doubt> {
        let goal = direction(self.session, self.check, &self.options.params, &["value"], &[]).await?;
        let Some(value) = self.own_value(&rows)? else { return Ok(Found::nothing(rows)) };
        let baseline = self.baseline_value(of).await?;
        let allowed = match tolerance {
            Tolerance::Share(share) => share * baseline.abs(),
            Tolerance::Absolute(amount) => amount,
        };
        let (limit, holds) = match goal {
            Goal::Max => (baseline - allowed, value >= baseline - allowed),
            Goal::Min => (baseline + allowed, value <= baseline + allowed),
        };
        let side = match (goal, holds) {
            (Goal::Max, true) => "at least",
            (Goal::Max, false) => "below",
            (Goal::Min, true) => "at most",
            (Goal::Min, false) => "above",
        };
        let sign = if goal == Goal::Max { "less" } else { "plus" };
        let (value_text, limit_text, baseline_text) = (plain(value), plain(limit), plain(baseline));
        let detail = format!("{value_text} is {side} {limit_text}, the baseline {baseline_text} {sign} {tolerance}");
        let figures = Figures { value: Some(value), baseline: Some(baseline), ..Figures::default() };
        self.passed_over(Found { holds, detail, figures, rows }, goal.into()).await
    }

    async fn paired(&self, rows: Rows, claim: &Paired) -> Result<Found, Doubt> {
        let goal = direction(self.session, self.check, &self.options.params, &SCORE, &claim.by).await?;
        let baseline = self.ask_baseline(&claim.baseline, usize::MAX).await?;
        let compared = pairs::compare(claim, goal, &rows, &baseline)?;
        let figures = Figures {
            value: Some(compared.means.0),
            baseline: Some(compared.means.1),
            difference: Some(compared.gain),
            low: Some(compared.bounds.0),
            high: Some(compared.bounds.1),
            n_pairs: Some(compared.n),
        };
        let found = Found { holds: compared.holds, detail: compared.detail, figures, rows };
        self.passed_over(found, Bound::Other).await
    }
}

impl Found {
    fn nothing(rows: Rows) -> Found {
        Found { holds: true, detail: "no rows, which is allowed".to_string(), figures: Figures::default(), rows }
    }
}

impl Expect {
    /// The statement in brackets.
    pub(super) fn baseline(&self) -> Option<&str> {
        match self {
            Expect::Value { than: Operand::Sql(sql), .. } | Expect::Within { of: sql, .. } => Some(sql),
            Expect::Paired(paired) => Some(&paired.baseline),
            _ => None,
        }
    }
}

fn of_baseline(doubt: Doubt) -> Doubt {
    match doubt {
        Doubt::Failed(e) => Doubt::BaselineFailed(e),
        other => other,
    }
}

fn counted(n: usize) -> String {
    match n {
        0 => "no rows".to_string(),
        1 => "1 row".to_string(),
        n => format!("{n} rows"),
    }
}
