//! A file of stop rules, read.

use super::when::{USAGE, When};
use crate::gate::block::{Block, Head, blocks};
use crate::gate::checks::{allow_empty, goal, some_name, value};
use crate::gate::error::{Flaw, Problem};
use crate::gate::message::Message;
use crate::model::Goal;

/// A named rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, unique in its file.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// When it stops a run.
    pub when: When,
    /// The metric that it looks at; none where it has a statement.
    pub metric: Option<String>,
    /// Which way the metric gets better, where the file says so.
    pub goal: Option<Goal>,
    /// A statement that returns the `run_id` of the runs to compare with; else they are those of the experiment.
    pub others: Option<String>,
    /// Whether its statement may read what is not there.
    pub allow_empty: bool,
    /// What is said when it stops a run.
    pub message: Option<Message>,
    /// Its statement.
    pub sql: Option<String>,
}

/// The rules of a file. Checks that stand in the same file are passed over.
///
/// # Errors
/// All that is wrong with the file, by line: a run is not stopped, and not let go on, by half of its rules.
pub fn parse_rules(text: &str) -> Result<Vec<Rule>, Vec<Flaw>> {
    let (blocks, mut flaws) = blocks(text);
    let mut rules = Vec::new();
    for block in blocks.into_iter().filter(|block| block.head == Head::Rule) {
        match rule(block) {
            Ok(rule) => rules.push(rule),
            Err(found) => flaws.extend(found),
        }
    }
    flaws.sort_by_key(|flaw| flaw.line);
    if flaws.is_empty() { Ok(rules) } else { Err(flaws) }
}

fn rule(mut block: Block) -> Result<Rule, Vec<Flaw>> {
    let mut flaws = std::mem::take(&mut block.flaws);
    let when = value(&block, "stop when", &mut flaws, When::parse);
    if block.value("stop when").is_none() {
        flaws.push((block.line, Problem::Missing { key: "stop when", usage: USAGE }));
    }
    let metric = value(&block, "metric", &mut flaws, some_name);
    let goal = goal(&block, &mut flaws);
    let message = value(&block, "message", &mut flaws, Message::parse);
    let others = value(&block, "others", &mut flaws, |text| {
        let sql = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text).trim();
        match sql.is_empty() {
            true => Err("a statement that returns run_id is expected".to_string()),
            false => Ok(sql.to_string()),
        }
    });
    let allow_empty = allow_empty(&block, &mut flaws);
    let statement = block.statement.take();
    match &when {
        Some(When::SomeRows | When::NoRows) if statement.is_none() => flaws.push((block.line, Problem::NoStatement)),
        Some(When::SomeRows | When::NoRows) | None => {}
        Some(When::Value { .. }) if statement.is_some() => {}
        Some(_) => {
            if let Some((_, line)) = &statement {
                flaws.push((*line, Problem::NeedlessStatement));
            }
            if block.value("metric").is_none() {
                flaws
                    .push((block.line, Problem::Missing { key: "metric", usage: "the metric that the rule looks at" }));
            }
        }
    }
    if let (Some(when), Some(written)) = (&when, block.value("stop when")) {
        let mut needless = |line, text: &str, problem: &str| {
            flaws.push((line, Problem::Value { text: text.to_string(), problem: problem.to_string() }));
        };
        if statement.is_some() && when.after().is_some() {
            needless(
                written.line,
                &written.value,
                "`after step` is for rules over a metric; a statement has its own WHERE",
            );
        }
        if let (false, Some(others)) = (matches!(when, When::Median { .. }), block.value("others")) {
            needless(others.line, &others.value, "only `median of others` compares with other runs");
        }
    }
    match when {
        Some(when) if flaws.is_empty() => Ok(Rule {
            name: block.name,
            line: block.line,
            when,
            metric,
            goal,
            others,
            allow_empty,
            message,
            sql: statement.map(|(sql, _)| sql),
        }),
        _ => {
            block.flaws = flaws;
            Err(block.into_flaws().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_need_no_statement() {
        let rules = parse_rules(
            "-- rule: behind\n-- metric: auc\n-- stop when: median of others at this step\n\
             -- others: (SELECT run_id FROM runs\n--   WHERE experiment = 'a')\n-- rule: nan\n-- metric: loss\n\
             -- stop when: not a number\n\n-- rule: slow\n-- stop when: some rows\nSELECT 1 FROM runs WHERE run_id = $run;\n\
             -- check: a\n-- expect: no rows\nSELECT 1",
        )
        .unwrap();
        let names: Vec<_> = rules.iter().map(|rule| (rule.name.as_str(), rule.sql.is_some())).collect();
        assert_eq!(names, [("behind", false), ("nan", false), ("slow", true)]);
        assert_eq!(rules[0].others.as_deref(), Some("SELECT run_id FROM runs\nWHERE experiment = 'a'"));
    }

    #[test]
    fn flaws_name_their_line() {
        for (text, line, says) in [
            ("-- rule: a\n-- metric: loss", 1, "`-- stop when: ...` is missing"),
            ("-- rule: a\n-- stop when: not a number", 1, "`-- metric: ...` is missing"),
            ("-- rule: a\n-- stop when: some rows", 1, "no statement"),
            ("-- rule: a\n-- metric: x\n-- stop when: not a number\nSELECT 1", 4, "takes no statement"),
            ("-- rule: a\n-- metric: x\n-- stop when: never", 3, "a rule is"),
            ("-- rule: a\n-- metric: x\n-- stop when: not a number\n-- expect: no rows", 4, "nothing that a rule has"),
            ("-- rule: a\n-- metric: x\n-- stop when: median of others\n-- others:", 4, "run_id is expected"),
            (
                "-- rule: a\n-- metric: x\n-- stop when: not a number\n-- others: SELECT run_id FROM runs",
                4,
                "only `median",
            ),
            ("-- rule: a\n-- stop when: value > 1 after step 3\nSELECT 1", 2, "is for rules over a metric"),
            ("SELECT 1", 1, "has no name"),
        ] {
            let flaws = parse_rules(text).expect_err(text);
            assert!(flaws.iter().any(|f| f.line == line && f.to_string().contains(says)), "{text}: {flaws:?}");
        }
        assert_eq!(parse_rules(""), Ok(Vec::new()));
    }
}
