//! Gates: files of named checks over a store, and rules that say when to stop a run.
//!
//! A check is a statement under comments that name it and say what it is to return. Its verdict is never a silent pass:
//! what cannot be decided (bad SQL, a metric or an experiment that there is not, an empty table, NULL or NaN, too few
//! pairs) is told as that. Formats are described in `docs/ci.md`, statistics in `docs/statistics.md`.

mod absent;
mod annotations;
mod block;
mod checks;
mod direction;
mod doubt;
mod error;
mod evaluate;
mod expect;
mod junit;
mod keys;
mod markdown;
mod message;
mod named;
mod numbers;
mod pairs;
mod report;
mod rows;
mod scalar;
pub mod stop;
mod syntax;
mod unknown;
mod words;

pub use annotations::annotations;
pub use checks::{Check, Severity, parse_checks};
pub use doubt::{Doubt, Side};
pub use error::{Flaw, Problem};
pub use evaluate::CheckOptions;
pub use expect::{Claim, Expect, Op, Operand, Paired, Tolerance};
pub use junit::junit;
pub use markdown::markdown;
pub use message::Message;
pub use report::{CheckResult, Figures, FileReport, Report, Verdict};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unknown_tests;
