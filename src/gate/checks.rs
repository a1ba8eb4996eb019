//! A file of checks, read.

use super::block::{ALLOW_EMPTY, Block, Head, blocks};
use super::error::{Flaw, Problem};
use super::expect::{self, Expect};
use super::message::Message;
use crate::model::Goal;

/// How much a check matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What fails is a failure.
    Error,
    /// What fails is told, and fails nothing.
    Warn,
}

impl Severity {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warn => "warn",
        }
    }
}

/// A named check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name, unique in its file.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// What it expects.
    pub expect: Expect,
    /// How much it matters.
    pub severity: Severity,
    /// Which way its value gets better, where the file says so.
    pub goal: Option<Goal>,
    /// The metric whose declared goal says so.
    pub metric: Option<String>,
    /// Whether nothing to look at is fine.
    pub allow_empty: bool,
    /// What is said of each row that makes it fail.
    pub message: Option<Message>,
    /// Its statement.
    pub sql: String,
    /// The line that the statement begins on.
    pub sql_line: usize,
}

/// The checks of a file, with what is wrong in it, by line. Stop rules that stand in the same file are passed over.
pub fn parse_checks(text: &str) -> Vec<Result<Check, Flaw>> {
    let (blocks, flaws) = blocks(text);
    let mut found: Vec<Result<Check, Flaw>> = flaws.into_iter().map(Err).collect();
    for block in blocks.into_iter().filter(|block| block.head == Head::Check) {
        match check(block) {
            Ok(check) => found.push(Ok(check)),
            Err(flaws) => found.extend(flaws.into_iter().map(Err)),
        }
    }
    found.sort_by_key(|item| match item {
        Ok(check) => check.line,
        Err(flaw) => flaw.line,
    });
    found
}

fn check(mut block: Block) -> Result<Check, Vec<Flaw>> {
    let mut flaws = std::mem::take(&mut block.flaws);
    let missing = Problem::Missing { key: "expect", usage: expect::USAGE };
    let expect = value(&block, "expect", &mut flaws, Expect::parse);
    if block.value("expect").is_none() {
        flaws.push((block.line, missing));
    }
    let severity = value(&block, "severity", &mut flaws, |text| match text {
        "error" => Ok(Severity::Error),
        "warn" => Ok(Severity::Warn),
        _ => Err("a severity is error or warn".to_string()),
    });
    let goal = goal(&block, &mut flaws);
    let metric = value(&block, "metric", &mut flaws, some_name);
    let message = value(&block, "message", &mut flaws, Message::parse);
    let allow_empty = allow_empty(&block, &mut flaws);
    if block.statement.is_none() {
        flaws.push((block.line, Problem::NoStatement));
    }
    match (expect, block.statement.take()) {
        (Some(expect), Some((sql, sql_line))) if flaws.is_empty() => Ok(Check {
            name: block.name,
            line: block.line,
            expect,
            severity: severity.unwrap_or(Severity::Error),
            goal,
            metric,
            allow_empty,
            message,
            sql,
            sql_line,
        }),
        _ => {
            block.flaws = flaws;
            Err(block.into_flaws().collect())
        }
    }
}

/// The value of a key, read; what is wrong with it is a flaw.
pub(super) fn value<T>(
    block: &Block,
    key: &str,
    flaws: &mut Vec<(usize, Problem)>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let directive = block.value(key)?;
    match read(&directive.value) {
        Ok(value) => Some(value),
        Err(problem) => {
            flaws.push((directive.line, Problem::Value { text: directive.value.clone(), problem }));
            None
        }
    }
}

pub(super) fn goal(block: &Block, flaws: &mut Vec<(usize, Problem)>) -> Option<Goal> {
    value(block, "goal", flaws, |text| {
        text.to_ascii_lowercase()
            .parse()
            .map_err(|_| "a goal is max where greater is better, min where smaller is".to_string())
    })
}

pub(super) fn some_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name of a metric is expected".to_string()),
        name => Ok(name.to_string()),
    }
}

pub(super) fn allow_empty(block: &Block, flaws: &mut Vec<(usize, Problem)>) -> bool {
    value(block, ALLOW_EMPTY, flaws, |text| match text {
        "" => Ok(()),
        _ => Err("`-- allow empty` takes no value".to_string()),
    })
    .is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ok(text: &str) -> Vec<Check> {
        parse_checks(text).into_iter().map(|check| check.unwrap_or_else(|e| panic!("line {}: {e}", e.line))).collect()
    }

    /// Line and message of each flaw.
    fn flaws(text: &str) -> Vec<(usize, String)> {
        parse_checks(text).into_iter().filter_map(|c| c.err()).map(|flaw| (flaw.line, flaw.to_string())).collect()
    }

    #[test]
    fn a_file_holds_named_checks() {
        let checks = ok("\u{feff}-- About this file: a; b.\n\n-- check: no failed runs\n-- expect: no rows\n\
            -- Note: what is here for people begins with a capital, or is no key\r\n\
            -- message: {name} failed\n-- severity: warn\n-- allow empty\n\
            SELECT name, ';' FROM runs -- a; b\nWHERE status = 'FAILED';\n\n\
            -- see https://example.org\n-- CHECK : second: one\n-- Goal: MAX\n-- metric: val/auc\n-- Expect: value within 2% of (SELECT\n--   max(x)\n-- note: of all\n-- FROM t)\nSELECT 1");
        assert_eq!(checks.len(), 2);
        assert_eq!((checks[0].name.as_str(), checks[0].line, checks[0].sql_line), ("no failed runs", 3, 9));
        assert_eq!(checks[0].severity, Severity::Warn);
        assert!(checks[0].allow_empty && checks[0].message.is_some() && checks[0].goal.is_none());
        assert!(checks[0].sql.starts_with("SELECT name, ';' FROM") && checks[0].sql.ends_with("'FAILED'"));
        assert_eq!((checks[1].name.as_str(), checks[1].goal), ("second: one", Some(Goal::Max)));
        assert_eq!(checks[1].metric.as_deref(), Some("val/auc"));
        let Expect::Within { of, .. } = &checks[1].expect else { panic!("{:?}", checks[1].expect) };
        assert_eq!(of, "SELECT\nmax(x)\nnote: of all\nFROM t");
        assert_eq!(checks[1].severity, Severity::Error);
    }

    #[test]
    fn nothing_is_passed_over() {
        let check = "-- check: a\n-- expect: no rows\n";
        for (text, line, says) in [
            ("SELECT 1", 1, "has no name"),
            ("-- expect: no rows\nSELECT 1", 1, "belongs to nothing"),
            (&format!("{check}SELECT 1; SELECT 2"), 3, "has no name"),
            (&format!("{check}SELECT 1;\n-- severity: warn"), 4, "belongs to nothing"),
            (&format!("{check}SELECT\n-- severity: warn\n1"), 4, "within a statement"),
            (&format!("{check}SELECT 1\n-- check: b\n-- expect: no rows\nSELECT 2"), 4, "within a statement"),
            (check, 1, "no statement after it"),
            (&format!("{check}-- check: b\n-- expect: no rows\nSELECT 1"), 1, "no statement after it"),
            ("-- check: a\nSELECT 1", 1, "`-- expect: ...` is missing"),
            ("-- check:\n-- expect: no rows\nSELECT 1", 1, "has no name"),
            (&format!("{check}SELECT 1;\n{check}SELECT 1"), 4, "of that name in line 1"),
            (&format!("{check}-- expect: some rows\nSELECT 1"), 3, "twice"),
            (&format!("{check}-- expct: some rows\nSELECT 1"), 3, "closest is `expect`"),
            (&format!("{check}-- owner: ana\nSELECT 1"), 3, "there are `check`"),
            (&format!("{check}-- severity: fatal\nSELECT 1"), 3, "error or warn"),
            (&format!("{check}-- goal: up\nSELECT 1"), 3, "max where greater is better"),
            (&format!("{check}-- metric:\nSELECT 1"), 3, "name of a metric"),
            (&format!("{check}-- allow empty: maybe\nSELECT 1"), 3, "takes no value"),
            (&format!("{check}-- message: {{name\nSELECT 1"), 3, "not closed"),
            (&format!("{check}-- stop when: not a number\nSELECT 1"), 3, "nothing that a check has"),
            ("-- check: a\n-- expect: value > x\nSELECT 1", 2, "a number is expected at 'x'"),
            (&format!("{check}SELECT 'a"), 3, "is not closed"),
        ] {
            let found = flaws(text);
            assert!(found.iter().any(|(at, why)| *at == line && why.contains(says)), "{text}\n{found:?}");
        }
    }

    #[test]
    fn a_flaw_leaves_the_other_checks_standing() {
        let found = parse_checks("-- check: a\nSELECT 1;\n-- check: b\n-- expect: no rows\nSELECT 1;\n/* not closed");
        let names: Vec<_> = found.iter().map(|c| c.as_ref().map(|c| &*c.name).map_err(|e| e.line)).collect();
        assert_eq!(names, [Err(1), Ok("b"), Err(6)]);
        assert_eq!(found[0].as_ref().unwrap_err().name.as_deref(), Some("a"));
        assert!(parse_checks("").is_empty() && parse_checks("-- nothing").is_empty());
        let rules =
            "-- rule: r\n-- metric: loss\n-- stop when: not a number\n-- check: a\n-- expect: no rows\nSELECT 1";
        assert_eq!(ok(rules).len(), 1);
    }

    proptest! {
        /// Lines that matter in any order, among any others: each statement is checked or flawed, none is lost.
        #[test]
        fn any_file_is_read_or_refused(lines in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "-- check: a", "-- check: b", "-- expect: no rows", "-- expect: value within 1% of (", "--)", "SELECT 1;",
                "SELECT 2", ";", "'", "/*", "*/", "-- allow empty", "-- rule: r", "-- severity: warn", "\"", "$$",
            ]).prop_map(str::to_string),
            "[ -~é\t]{0,12}",
        ], 0..14), any_text: String) {
            let text = lines.join("\n");
            for item in parse_checks(&text) {
                let line = match &item {
                    Ok(check) => {
                        prop_assert!(text.contains(&check.sql));
                        check.line
                    }
                    Err(flaw) => flaw.line,
                };
                prop_assert!(line >= 1 && line <= text.lines().count().max(1), "line {line} of\n{text}");
            }
            let _ = parse_checks(&any_text);
        }
    }
}
