//! Statistics over plain slices: no tables, no runs. Formulas and their sources stand in `docs/statistics.md`.
//!
//! Nothing here guesses: where there is too little to say, the answer is `None`, never a number that looks like one.

mod many;
mod paired;
mod summary;
mod thin;

pub use many::benjamini_hochberg;
pub use paired::{Difference, one_sided_bounds, paired};
pub use summary::{Summary, interval_of_mean, t_critical, t_two_sided};
pub use thin::thin;
