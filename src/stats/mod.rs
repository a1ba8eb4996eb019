//! Statistics over plain slices: no tables, no runs. Formulas and their sources stand in `docs/statistics.md`.
//!
//! Nothing here guesses: where there is too little to say, the answer is `None`, never a number that looks like one.

mod bits;
mod blocked;
mod many;
mod paired;
mod pareto;
mod ranks;
mod smoothing;
mod sphericity;
mod summary;
mod thin;
mod two_way;
mod welch;

pub use bits::Bits;
pub use blocked::{Certainty, Coefficient, Column, Unsure, least_squares};
pub use many::benjamini_hochberg;
pub use paired::{Difference, one_sided_bounds, paired, paired_by_fold};
pub use pareto::fronts;
pub use ranks::{pooled_correlation, spearman};
pub use smoothing::Smoothing;
pub use sphericity::epsilon;
pub use summary::{Summary, interval_of_mean, mean};
pub use thin::thin;
pub use two_way::{Cell, factor, level_values};
pub use welch::welch;
