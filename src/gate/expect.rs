//! What a check expects: the text after `-- expect:`.

use std::fmt;

use super::words::{Words, Wrong};
use crate::query::quoted;

/// What may stand there, for messages.
pub const USAGE: &str = "`no rows`, `some rows`, `value >= 0.9`, `value within 2% of (SQL)`, \
    or `not worse than (SQL) by 0.005 at 95%, paired by seed`";

/// What a check expects of its statement.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Expect {
    /// The statement returns nothing.
    NoRows,
    /// It returns something.
    SomeRows,
    /// Its one value compares so.
    Value {
        /// How.
        op: Op,
        /// With what.
        than: Operand,
    },
    /// Its one value is not worse than another by more than a tolerance, in the direction of the goal.
    Within {
        /// By how much it may be worse.
        tolerance: Tolerance,
        /// The statement of the other value.
        of: String,
    },
    /// Its scores against those of another statement, in pairs.
    Paired(Paired),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `>=`
    Ge,
    /// `>`
    Gt,
    /// `<=`
    Le,
    /// `<`
    Lt,
    /// `=`
    Eq,
    /// `<>`
    Ne,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A number.
    Number(f64),
    /// A whole number that no double holds.
    Large(i128),
    /// A text or a time.
    Text(String),
    /// True or false.
    Bool(bool),
    /// The value of a statement.
    Sql(String),
}

/// By how much a value may be worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// A share of the other value's absolute value: 0.02 is 2%.
    Share(f64),
    /// As it is.
    Absolute(f64),
}

/// A claim about paired scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// What is claimed.
    pub claim: Claim,
    /// The statement of the scores to compare with.
    pub baseline: String,
    /// The margin, in units of the score.
    pub margin: f64,
    /// How sure, one-sided: 0.95.
    pub level: f64,
    /// Columns that make a pair.
    pub by: Vec<String>,
}

/// What is claimed of paired scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing shows that they are worse by more than the margin.
    NotWorse,
    /// They are shown to be no worse than by the margin.
    ShownNotWorse,
    /// They are shown to be better by more than the margin.
    Better,
}

const OPS: [(&str, Op); 7] =
    [(">=", Op::Ge), ("<=", Op::Le), ("<>", Op::Ne), ("!=", Op::Ne), (">", Op::Gt), ("<", Op::Lt), ("=", Op::Eq)];

impl Op {
    /// Takes one that stands next.
    pub(super) fn take(words: &mut Words<'_>) -> Option<Op> {
        OPS.iter().find(|(mark, _)| words.mark(mark)).map(|(_, op)| *op)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        OPS.iter().find(|(_, op)| *op == self).map_or("", |(mark, _)| mark)
    }

    /// Whether it holds; both are numbers.
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Op::Ge => a >= b,
            Op::Gt => a > b,
            Op::Le => a <= b,
            Op::Lt => a < b,
            Op::Eq => a == b,
            Op::Ne => a != b,
        }
    }
}

impl Claim {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Claim::NotWorse => "not worse than",
            Claim::ShownNotWorse => "shown not worse than",
            Claim::Better => "better than",
        }
    }
}

impl Expect {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence that says what is expected where.
    pub fn parse(text: &str) -> Result<Expect, Wrong> {
        let mut words = Words::new(text);
        let expect = if words.take("no rows") {
            Expect::NoRows
        } else if words.take("some rows") {
            Expect::SomeRows
        } else if words.take("value within") {
            let amount = not_negative(&mut words)?;
            let share = words.mark("%");
            let tolerance = if share { Tolerance::Share(amount / 100.0) } else { Tolerance::Absolute(amount) };
            if !words.take("of") {
                return Err(format!("`of (SQL)` is expected {}", words.here()));
            }
            Expect::Within { tolerance, of: words.sql()? }
        } else if words.take("value") {
            let op = Op::take(&mut words)
                .ok_or_else(|| format!("one of >=, >, <=, <, =, <> or `within` is expected {}", words.here()))?;
            let than = match words.clone().mark("(") {
                true => Operand::Sql(words.sql()?),
                false => literal(&mut words)?,
            };
            Expect::Value { op, than }
        } else {
            let claims = [Claim::NotWorse, Claim::ShownNotWorse, Claim::Better];
            match claims.into_iter().find(|claim| words.take(claim.as_str())) {
                Some(claim) => Expect::Paired(paired(claim, &mut words)?),
                None => return Err(format!("an expectation is {USAGE}")),
            }
        };
        words.end()?;
        Ok(expect)
    }
}

fn literal(words: &mut Words<'_>) -> Result<Operand, Wrong> {
    for truth in [true, false] {
        if words.take(if truth { "true" } else { "false" }) {
            return Ok(Operand::Bool(truth));
        }
    }
    if let Some(text) = words.text()? {
        return Ok(Operand::Text(text));
    }
    match words.large() {
        Some(whole) => Ok(Operand::Large(whole)),
        None => Ok(Operand::Number(words.number()?)),
    }
}

fn not_negative(words: &mut Words<'_>) -> Result<f64, Wrong> {
    let before = words.clone();
    match words.number()? {
        number if number >= 0.0 => Ok(number),
        _ => Err(format!("a number that is not negative is expected {}", before.here())),
    }
}

fn paired(claim: Claim, words: &mut Words<'_>) -> Result<Paired, Wrong> {
    let baseline = words.sql()?;
    let margin = if words.take("by") { not_negative(words)? } else { 0.0 };
    if words.mark("%") {
        return Err("the margin is in units of the score: 0.005, not 0.5%".to_string());
    }
    let level = if words.take("at") {
        let percent = words.number()?;
        if !(words.mark("%") && percent > 50.0 && percent < 100.0) {
            return Err("the level is a percentage between 50% and 100%, such as 95%".to_string());
        }
        percent / 100.0
    } else {
        0.95
    };
    words.mark(",");
    if !words.take("paired by") {
        return Err(format!("`paired by seed` is expected {}: the columns that both statements share", words.here()));
    }
    let mut by = vec![words.column()?];
    while words.mark(",") {
        by.push(words.column()?);
    }
    Ok(Paired { claim, baseline, margin, level, by })
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Number(number) => write!(f, "{number}"),
            Operand::Large(whole) => write!(f, "{whole}"),
            Operand::Text(text) => f.write_str(&quoted(text)),
            Operand::Bool(truth) => write!(f, "{truth}"),
            Operand::Sql(sql) => write!(f, "({sql})"),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Share(share) => write!(f, "{}%", percent(*share)),
            Tolerance::Absolute(amount) => write!(f, "{amount}"),
        }
    }
}

/// Without the digits that only the division has made.
pub(super) fn percent(share: f64) -> f64 {
    format!("{:.10}", share * 100.0).parse().unwrap_or(share * 100.0)
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::NoRows => f.write_str("no rows"),
            Expect::SomeRows => f.write_str("some rows"),
            Expect::Value { op, than } => write!(f, "value {} {than}", op.as_str()),
            Expect::Within { tolerance, of } => write!(f, "value within {tolerance} of ({of})"),
            Expect::Paired(paired) => {
                let by = paired.by.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
                let Paired { claim, baseline, margin, level, .. } = paired;
                let level = percent(*level);
                write!(f, "{} ({baseline}) by {margin} at {level}%, paired by {by}", claim.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(text: &str) -> String {
        Expect::parse(text).expect_err(text)
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(Expect::parse(" No  Rows "), Ok(Expect::NoRows));
        assert_eq!(Expect::parse("some rows"), Ok(Expect::SomeRows));
        for (mark, op) in OPS {
            for text in [format!("value {mark} -0.90"), format!("value{mark}-9e-1")] {
                assert_eq!(Expect::parse(&text), Ok(Expect::Value { op, than: Operand::Number(-0.9) }), "{text}");
            }
        }
        for (text, than) in [
            ("'v2-clean'", Operand::Text("v2-clean".to_string())),
            ("'it''s'", Operand::Text("it's".to_string())),
            ("''", Operand::Text(String::new())),
            ("TRUE", Operand::Bool(true)),
            ("false", Operand::Bool(false)),
            ("9007199254740993", Operand::Large(9_007_199_254_740_993)),
            ("9007199254740992", Operand::Number(9_007_199_254_740_992.0)),
        ] {
            assert_eq!(Expect::parse(&format!("value = {text}")), Ok(Expect::Value { op: Op::Eq, than }), "{text}");
        }
        let sql = "SELECT ')' , max(x) FROM t";
        let than = Operand::Sql(sql.to_string());
        assert_eq!(Expect::parse(&format!("value >= ( {sql} )")), Ok(Expect::Value { op: Op::Ge, than }));
        let within = |tolerance| Ok(Expect::Within { tolerance, of: sql.to_string() });
        assert_eq!(Expect::parse(&format!("value within 2% of ({sql})")), within(Tolerance::Share(0.02)));
        assert_eq!(Expect::parse(&format!("value within 0.5 of ({sql})")), within(Tolerance::Absolute(0.5)));
    }

    #[test]
    fn a_paired_claim_has_a_margin_a_level_and_columns() {
        let paired = |claim, margin, level, by: &[&str]| {
            let by = by.iter().map(|column| column.to_string()).collect();
            Ok(Expect::Paired(Paired { claim, baseline: "SELECT 1".to_string(), margin, level, by }))
        };
        assert_eq!(
            Expect::parse("not worse than (SELECT 1) by 0.005 at 95%, paired by seed"),
            paired(Claim::NotWorse, 0.005, 0.95, &["seed"])
        );
        assert_eq!(
            Expect::parse("better than (SELECT 1) at 99 % paired by seed , \"data set\""),
            paired(Claim::Better, 0.0, 0.99, &["seed", "data set"])
        );
        assert_eq!(
            Expect::parse("shown not worse than (SELECT 1)\nby .5, paired by fold"),
            paired(Claim::ShownNotWorse, 0.5, 0.95, &["fold"])
        );
    }

    #[test]
    fn nonsense_says_what_is_expected() {
        for (text, says) in [
            ("", "an expectation is"),
            ("rows", "an expectation is"),
            ("no rowss", "an expectation is"),
            ("no rows please", "at 'please'"),
            ("value", "at the end"),
            ("value >> 3", "at '>'"),
            ("value => 3", "at '>'"),
            ("value >= high", "a number is expected at 'high'"),
            ("value >= nan", "a number is expected"),
            ("value >= inf", "a number is expected"),
            ("value >= 1e999", "a number is expected"),
            ("value >= 0.9 0.8", "nothing more"),
            ("value = 'v2", "a quoted text is not closed"),
            ("value = 'v2' 'v3'", "nothing more"),
            ("value = v2", "a number is expected at 'v2'"),
            ("value >= 90%", "nothing more is expected at '%'"),
            ("value >= (SELECT 1", "not closed"),
            ("value >= ()", "no statement"),
            ("value within 2%", "`of (SQL)`"),
            ("value within -2% of (SELECT 1)", "not negative"),
            ("value within 2% of baseline", "in brackets"),
            ("not worse than", "in brackets"),
            ("not worse than (SELECT 1)", "paired by seed"),
            ("not worse than (SELECT 1) by 1% at 95%, paired by seed", "units of the score"),
            ("not worse than (SELECT 1) by -1 at 95%, paired by seed", "not negative"),
            ("not worse than (SELECT 1) by 1 at 0.95, paired by seed", "between 50% and 100%"),
            ("not worse than (SELECT 1) by 1 at 100%, paired by seed", "between 50% and 100%"),
            ("not worse than (SELECT 1) by 1 at 5%, paired by seed", "between 50% and 100%"),
            ("not worse than (SELECT 1) paired by", "name of a column"),
            ("not worse than (SELECT 1) paired by seed,", "name of a column"),
            ("not worse than (SELECT 1) paired by \"seed", "not closed"),
            ("not worse than (SELECT 1) paired by seed fold", "nothing more"),
        ] {
            assert!(wrong(text).contains(says), "{text}: {}", wrong(text));
        }
    }

    /// Any expectation.
    fn expect() -> impl Strategy<Value = Expect> {
        let sql = || "SELECT [a-z ]{1,8}( '[^']{0,4}')?( \\([a-z]{1,4}\\))?".prop_map(|sql| sql.trim().to_string());
        let number = || -1e6f64..1e6;
        let op = prop::sample::select(OPS.map(|(_, op)| op).to_vec());
        let claim = prop::sample::select(vec![Claim::NotWorse, Claim::ShownNotWorse, Claim::Better]);
        prop_oneof![
            Just(Expect::NoRows),
            Just(Expect::SomeRows),
            (
                op,
                prop_oneof![
                    number().prop_map(Operand::Number),
                    any::<i64>().prop_map(|n| match i128::from(n as f64 as i64) == n.into() && n != i64::MAX {
                        true => Operand::Number(n as f64),
                        false => Operand::Large(n.into()),
                    }),
                    "[a-zé' ]{0,6}".prop_map(Operand::Text),
                    any::<bool>().prop_map(Operand::Bool),
                    sql().prop_map(Operand::Sql),
                ]
            )
                .prop_map(|(op, than)| Expect::Value { op, than }),
            (0u32..500, sql())
                .prop_map(|(n, of)| Expect::Within { tolerance: Tolerance::Share(f64::from(n) / 100.0), of }),
            (0f64..9.0, sql()).prop_map(|(n, of)| Expect::Within { tolerance: Tolerance::Absolute(n), of }),
            (claim, sql(), 0f64..1.0, 51u32..100, prop::collection::vec("[a-zé_ ]{1,6}", 1..4)).prop_map(
                |(claim, baseline, margin, level, by)| {
                    Expect::Paired(Paired { claim, baseline, margin, level: f64::from(level) / 100.0, by })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(expect in expect()) {
            prop_assert_eq!(Expect::parse(&expect.to_string()), Ok(expect));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, piece in "(not worse than|value|within|by|at|paired|\\(|\\)|%|,|>=|[0-9.e-]| ){0,12}") {
            let _ = Expect::parse(&text);
            let _ = Expect::parse(&piece);
        }
    }
}
