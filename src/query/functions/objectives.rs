//! Objectives as text: `auc max, "loss (v2)" min, params.depth min`.

use std::iter::Peekable;
use std::str::Chars;

use crate::model::Goal;

/// What is asked of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A metric.
    Metric(String),
    /// A param that is a number.
    Param(String),
    /// A number that every run may have.
    Column(&'static str),
}

/// Columns of `runs` that may be objectives, where no metric is called so.
pub const COLUMNS: [&str; 2] = ["duration_s", "n_features"];

/// One objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// What is asked.
    pub source: Source,
    /// Which way it gets better, where the text says so.
    pub goal: Option<Goal>,
}

impl Objective {
    /// Its name as a column of the answer.
    pub fn name(&self) -> String {
        match &self.source {
            Source::Metric(key) => key.clone(),
            Source::Param(key) => format!("params.{key}"),
            Source::Column(column) => column.to_string(),
        }
    }
}

/// Reads objectives that are divided by commas. Each one is a key, then perhaps min or max. A key in double quotes is a
/// metric whatever it holds; `params."batch size"` is a param.
pub fn parse(given: &str) -> Result<Vec<Objective>, String> {
    let mut chars = given.chars().peekable();
    let mut objectives: Vec<Objective> = Vec::new();
    loop {
        let objective = one(&mut chars)?;
        let name = objective.name();
        if objectives.iter().any(|other| other.name() == name) {
            return Err(format!("objective '{name}' stands there twice"));
        }
        objectives.push(objective);
        if chars.next().is_none() {
            return Ok(objectives);
        }
    }
}

/// One objective, up to its comma or the end.
fn one(chars: &mut Peekable<Chars<'_>>) -> Result<Objective, String> {
    let mut words: Vec<(String, bool)> = Vec::new();
    while chars.peek().is_some_and(|c| *c != ',') {
        if chars.next_if(|c| c.is_whitespace()).is_none() {
            words.push(word(chars)?);
        }
    }
    let goal = match words.as_slice() {
        [] => return Err("an objective is empty".to_string()),
        [_] => None,
        [_, (goal, false)] => match goal.to_lowercase().as_str() {
            "max" => Some(Goal::Max),
            "min" => Some(Goal::Min),
            _ => return Err(format!("'{goal}' is neither min nor max; a key with spaces stands in double quotes")),
        },
        more => {
            let text = more.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" ");
            return Err(format!("'{text}' is no key and a goal; a key with spaces stands in double quotes"));
        }
    };
    let (key, quoted) = &words[0];
    let source = match key.strip_prefix("params.") {
        Some(param) if !quoted => Source::Param(param.to_string()),
        _ if *quoted => Source::Metric(key.clone()),
        _ => Source::Metric(key.strip_prefix("metrics.").unwrap_or(key).to_string()),
    };
    Ok(Objective { source, goal })
}

/// A word, and whether all of it stands in quotes. Quotes inside a word are taken off, `""` in them is one of them.
fn word(chars: &mut Peekable<Chars<'_>>) -> Result<(String, bool), String> {
    let mut word = String::new();
    let quoted = chars.peek() == Some(&'"');
    while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ',') {
        if c != '"' {
            word.push(c);
            continue;
        }
        loop {
            match chars.next() {
                Some('"') if chars.next_if_eq(&'"').is_some() => word.push('"'),
                Some('"') => break,
                Some(c) => word.push(c),
                None => return Err(format!("the quote of '{word}' has no end")),
            }
        }
    }
    Ok((word, quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(Source, Option<Goal>)> {
        parse(text).unwrap().into_iter().map(|o| (o.source, o.goal)).collect()
    }

    fn metric(key: &str) -> Source {
        Source::Metric(key.to_string())
    }

    #[test]
    fn keys_and_goals_are_read() {
        assert_eq!(
            read("auc max, fit_time_s MIN ,val/loss"),
            [(metric("auc"), Some(Goal::Max)), (metric("fit_time_s"), Some(Goal::Min)), (metric("val/loss"), None)]
        );
        assert_eq!(
            read(r#""loss, ""best"" (v2)" min, params."batch size" max, params.depth min, metrics.auc"#),
            [
                (metric(r#"loss, "best" (v2)"#), Some(Goal::Min)),
                (Source::Param("batch size".to_string()), Some(Goal::Max)),
                (Source::Param("depth".to_string()), Some(Goal::Min)),
                (metric("auc"), None),
            ]
        );
        // A metric that is called like a param, and one that is called max.
        assert_eq!(
            read(r#""params.depth", max max"#),
            [(metric("params.depth"), None), (metric("max"), Some(Goal::Max))]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "is empty"),
            ("auc max,", "is empty"),
            ("val loss min", "double quotes"),
            ("auc up", "neither min nor max"),
            ("\"auc max", "no end"),
            ("auc max, auc min", "twice"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
