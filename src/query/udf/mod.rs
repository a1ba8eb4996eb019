//! Aggregates, window functions and scalar functions for runs and curves that the engine does not have.

mod area;
mod best;
mod ema;
mod extreme;
mod slope;
mod width_bucket;

use datafusion::prelude::SessionContext;

/// Makes them known to an engine.
pub fn register(engine: &SessionContext) {
    engine.register_udaf(extreme::arg_max());
    engine.register_udaf(extreme::arg_min());
    engine.register_udaf(best::best());
    engine.register_udaf(slope::slope());
    engine.register_udaf(area::area_under());
    engine.register_udwf(ema::ema());
    engine.register_udf(width_bucket::width_bucket());
}

#[cfg(test)]
mod tests;
