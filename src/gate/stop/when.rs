//! When a rule stops a run: the text after `-- stop when:`.

use std::fmt;

use crate::gate::expect::Op;
use crate::gate::words::{Words, Wrong};

/// What may stand there, for messages.
pub const USAGE: &str = "`median of others at this step after step 100 min runs 5`, `no improvement in 10 steps min delta 0.001`, \
    `not a number`, `value > 100`, or `some rows` with a statement";

/// So many other runs say nothing yet, unless a rule wants fewer or more. That of Optuna's pruner.
pub const DEFAULT_MIN_RUNS: u64 = 5;

/// When a rule stops a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// Its best value is worse than the median of what the others had at this step.
    Median {
        /// Asked at steps after this one only.
        after: Option<u64>,
        /// Other runs that must have come so far.
        min_runs: u64,
    },
    /// It has not got better for so many steps.
    NoImprovement {
        /// How many.
        steps: u64,
        /// What counts as better: more than this.
        min_delta: f64,
        /// Asked at steps after this one only.
        after: Option<u64>,
    },
    /// Its latest value is NaN or infinite.
    NotANumber,
    /// Its latest value, or that of a statement, compares so.
    Value {
        /// How.
        op: Op,
        /// With what.
        than: f64,
        /// Asked at steps after this one only.
        after: Option<u64>,
    },
    /// The rule's statement returns something.
    SomeRows,
    /// The rule's statement returns nothing.
    NoRows,
}

impl When {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence that says what is expected where.
    pub fn parse(text: &str) -> Result<When, Wrong> {
        let mut words = Words::new(text);
        let when = if words.take("median of others") {
            words.take("at this step");
            let (mut after, mut min_runs) = (None, None);
            loop {
                if after.is_none() && words.take("after step") {
                    after = Some(words.count()?);
                } else if min_runs.is_none() && words.take("min runs") {
                    let before = words.clone();
                    let runs = words.count()?;
                    if runs == 0 {
                        return Err(format!("at least one run is needed for a median, {}", before.here()));
                    }
                    min_runs = Some(runs);
                } else {
                    break;
                }
            }
            When::Median { after, min_runs: min_runs.unwrap_or(DEFAULT_MIN_RUNS) }
        } else if words.take("no improvement in") {
            let before = words.clone();
            let steps = words.count()?;
            if steps == 0 {
                return Err(format!("a number of steps above 0 is expected {}", before.here()));
            }
            if !words.take("steps") && !words.take("step") {
                return Err(format!("`steps` is expected {}", words.here()));
            }
            let (mut min_delta, mut after) = (None, None);
            loop {
                let before = words.clone();
                if min_delta.is_none() && words.take("min delta") {
                    let delta = words.number()?;
                    if delta < 0.0 {
                        return Err(format!("a number that is not negative is expected {}", before.here()));
                    }
                    min_delta = Some(delta);
                } else if after.is_none() && words.take("after step") {
                    after = Some(words.count()?);
                } else {
                    break;
                }
            }
            When::NoImprovement { steps, min_delta: min_delta.unwrap_or(0.0), after }
        } else if words.take("not a number") {
            When::NotANumber
        } else if words.take("value") {
            let op = Op::take(&mut words);
            let op = op.ok_or_else(|| format!("one of >=, >, <=, <, =, <> is expected {}", words.here()))?;
            let than = words.number()?;
            let after = if words.take("after step") { Some(words.count()?) } else { None };
            When::Value { op, than, after }
        } else if words.take("some rows") {
            When::SomeRows
        } else if words.take("no rows") {
            When::NoRows
        } else {
            return Err(format!("a rule is {USAGE}"));
        };
        words.end()?;
        Ok(when)
    }
}

impl When {
    /// The step after which it is asked, where it waits for one.
    pub fn after(&self) -> Option<u64> {
        match self {
            When::Median { after, .. } | When::NoImprovement { after, .. } | When::Value { after, .. } => *after,
            When::NotANumber | When::SomeRows | When::NoRows => None,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Median { min_runs, .. } => write!(f, "median of others at this step min runs {min_runs}")?,
            When::NoImprovement { steps, min_delta, .. } => {
                write!(f, "no improvement in {steps} steps min delta {min_delta}")?;
            }
            When::NotANumber => f.write_str("not a number")?,
            When::Value { op, than, .. } => write!(f, "value {} {than}", op.as_str())?,
            When::SomeRows => f.write_str("some rows")?,
            When::NoRows => f.write_str("no rows")?,
        }
        match self.after() {
            Some(step) => write!(f, " after step {step}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        let median = |after, min_runs| Ok(When::Median { after, min_runs });
        assert_eq!(When::parse("median of others at this step"), median(None, 5));
        assert_eq!(When::parse("Median of others min runs 3 after step 1e3"), median(Some(1000), 3));
        let stalled = |min_delta, after| Ok(When::NoImprovement { steps: 10, min_delta, after });
        assert_eq!(When::parse("no improvement in 10 steps"), stalled(0.0, None));
        assert_eq!(When::parse("no improvement in 10 steps min delta 0.001 after step 5"), stalled(0.001, Some(5)));
        assert_eq!(When::parse("not a number"), Ok(When::NotANumber));
        let above = |after| Ok(When::Value { op: Op::Gt, than: 1e6, after });
        assert_eq!(When::parse("value > 1e6"), above(None));
        assert_eq!(When::parse("value>1e6 after step 3"), above(Some(3)));
        assert_eq!(When::parse("some rows"), Ok(When::SomeRows));
        assert_eq!(When::parse("no rows"), Ok(When::NoRows));
    }

    #[test]
    fn nonsense_says_what_is_expected() {
        for (text, says) in [
            ("", "a rule is"),
            ("it hurts", "a rule is"),
            ("median", "a rule is"),
            ("median of others after step", "a number is expected at the end"),
            ("median of others after step 1.5", "a whole number"),
            ("median of others after step -1", "a whole number"),
            ("median of others min runs 0", "at least one run"),
            ("median of others min runs 3 min runs 4", "nothing more is expected at 'min'"),
            ("no improvement in", "a number is expected"),
            ("no improvement in 0 steps", "above 0"),
            ("no improvement in 5 epochs", "`steps` is expected at 'epochs'"),
            ("no improvement in 5 steps min delta -1", "not negative"),
            ("value > nan", "a number is expected"),
            ("value 5", "one of >="),
            ("value > (SELECT 1)", "a number is expected"),
            ("not a number ever", "nothing more"),
        ] {
            let why = When::parse(text).expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(after in prop::option::of(0u64..1000), n in 1u64..1000, x in -1e9f64..1e9) {
            for when in [
                When::Median { after, min_runs: n },
                When::NoImprovement { steps: n, min_delta: x.abs(), after },
                When::Value { op: Op::Le, than: x, after },
            ] {
                prop_assert_eq!(When::parse(&when.to_string()), Ok(when));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, piece in "(median of others|no improvement in|value|after step|min runs|steps|>|[0-9.e-]| ){0,10}") {
            let _ = When::parse(&text);
            let _ = When::parse(&piece);
        }
    }
}
