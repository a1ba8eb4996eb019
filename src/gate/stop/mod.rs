//! Rules that say when to stop a run, for a training loop to ask.

mod ask;
mod history;
mod rules;
#[cfg(test)]
mod tests;
mod when;

pub use ask::{Decision, RuleResult, StopAnswer};
pub use history::{Behind, Point, behind_median, best_so_far, since_improved};
pub use rules::{Rule, parse_rules};
pub use when::{DEFAULT_MIN_RUNS, When};
