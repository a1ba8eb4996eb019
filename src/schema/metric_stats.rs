//! `metric_stats`: one row per series, what a question about whole series needs without reading its points.

use super::rows;
use crate::model::SeriesStats;

rows! {
    /// One row per run, metric and context.
    MetricStatRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The metric.
        key: String,
        /// Canonical JSON of what qualifies the series; NULL for most.
        context: Option<String>,
        /// Value at the greatest (step, time, value); NULL when that is NaN.
        last: Option<f64>,
        /// Value at the least (step, time, value); NULL when that is NaN.
        first: Option<f64>,
        /// Smallest value, NaN left out.
        min: Option<f64>,
        /// Greatest value, NaN left out.
        max: Option<f64>,
        /// Arithmetic mean, NaN left out.
        mean: Option<f64>,
        /// Sample variance (divisor n - 1), NaN left out; NULL for fewer than two values or where a double overflows.
        variance: Option<f64>,
        /// Number of points, NaN included.
        count: i64,
        /// Number of NaN points.
        nan_count: i64,
        /// Step of the last point.
        last_step: Option<i64>,
        /// First step where the smallest value was reached.
        min_step: Option<i64>,
        /// First step where the greatest value was reached.
        max_step: Option<i64>,
    }
}

impl MetricStatRow {
    /// The row of one series.
    pub fn new(run_id: String, experiment_id: String, key: &str, context: Option<&str>, stats: &SeriesStats) -> Self {
        MetricStatRow {
            run_id,
            experiment_id,
            key: key.to_string(),
            context: context.map(str::to_string),
            last: stats.last(),
            first: stats.first(),
            min: stats.min(),
            max: stats.max(),
            mean: stats.mean(),
            variance: stats.variance(),
            count: stats.count() as i64,
            nan_count: stats.nan_count() as i64,
            last_step: stats.last_step(),
            min_step: stats.min_step(),
            max_step: stats.max_step(),
        }
    }
}
