//! `experiments` with the counts of their runs, made when it is read.

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use datafusion::prelude::{coalesce, col};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::QueryError;
use crate::schema::{ExperimentRow, Row};
use crate::store::merge::Overlay;

/// Columns beside those of the stored table.
pub const COUNTS: [(&str, &str); 7] = [
    ("n_runs", "Number of its runs"),
    ("n_finished", "Of them, those that ended well"),
    ("n_failed", "Of them, those that ended with an error, were killed or crashed"),
    ("n_running", "Of them, those that have not ended"),
    ("n_configs", "Number of different configs"),
    ("first_start", "When the first run began"),
    ("last_start", "When the last run began"),
];

/// The columns of `runs` that the counts are made of.
pub fn columns_of_runs() -> BTreeSet<String> {
    ["experiment_id", "status", "config_id", "start_time"].map(str::to_string).into()
}

/// The plan of `experiments` over that of `runs`, which has at least these columns.
pub fn plan(overlay: &Overlay, runs: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let shown = overlay.experiments.values().filter(|e| !overlay.hidden_experiments.contains(e.id.as_str()));
    let rows = ExperimentRow::to_batch(shown.map(ExperimentRow::new));
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    let status_in = |statuses: &[&str]| ident("status").in_list(statuses.iter().map(|s| lit(*s)).collect(), false);
    let count_of =
        |statuses: &[&str]| -> Result<Expr, QueryError> { Ok(count(lit(1i64)).filter(status_in(statuses)).build()?) };
    let counts = LogicalPlanBuilder::from(runs)
        .aggregate(
            vec![ident("experiment_id").alias("counted")],
            vec![
                count(lit(1i64)).alias("n_runs"),
                count_of(&["FINISHED"])?.alias("n_finished"),
                count_of(&["FAILED", "KILLED", "CRASHED"])?.alias("n_failed"),
                count_of(&["RUNNING", "SCHEDULED"])?.alias("n_running"),
                datafusion::functions_aggregate::expr_fn::count_distinct(ident("config_id")).alias("n_configs"),
                min(ident("start_time")).alias("first_start"),
                max(ident("start_time")).alias("last_start"),
            ],
        )?
        .alias("counts")?
        .build()?;
    let joined = LogicalPlanBuilder::scan("experiments", provider_as_source(Arc::new(table)), None)?.join(
        counts,
        JoinType::Left,
        (vec!["experiments.experiment_id"], vec!["counts.counted"]),
        None,
    )?;
    let mut columns: Vec<Expr> =
        ExperimentRow::columns().iter().map(|c| col(format!("experiments.{}", c.name)).alias(c.name)).collect();
    for (name, _) in COUNTS {
        let value = col(format!("counts.{name}"));
        columns.push(match name.starts_with("n_") {
            true => coalesce(vec![cast(value, DataType::Int64), lit(0i64)]).alias(name),
            false => value.alias(name),
        });
    }
    Ok(joined.project(columns)?.build()?)
}
