//! Table functions: questions of the field, asked in a `FROM` and answered as rows.
//!
//! Their arguments are constants. So each call in a statement is answered before the statement is planned, by SQL over
//! the same session and by what SQL cannot do well, and stands in the plan as a table of its rows.

mod ablations;
mod args;
mod at_best;
mod best_runs;
mod call;
mod calls;
mod compare_groups;
mod compare_runs;
mod comparison;
mod config_scores;
mod configs;
mod data_version_effects;
#[cfg(test)]
mod effects_tests;
mod error;
mod feature_effects;
mod feature_sets;
mod goal;
mod importance;
mod metric_history;
mod objectives;
mod param_effect;
mod param_effects;
mod pareto;
mod repeats;
mod rows;
mod scope;
mod scores;
mod select_features;
mod subsets;

use std::pin::Pin;

use arrow::array::RecordBatch;

pub use args::Args;
pub use call::Call;
pub use calls::{Found, take};
pub use error::FunctionError;
pub use scope::quoted;

use super::error::QueryError;

/// What a function gives.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<RecordBatch, QueryError>> + Send + 'a>>;

/// A table function.
pub struct TableFunction {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its arguments, in order; those in brackets may be left out or named: `k => 5`.
    pub arguments: &'static str,
    /// What it returns, in a line.
    pub help: &'static str,
    call: for<'a> fn(Call<'a>) -> Answer<'a>,
}

impl std::fmt::Debug for TableFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.name, self.arguments)
    }
}

impl TableFunction {
    /// Its rows.
    pub async fn answer(&self, call: Call<'_>) -> Result<RecordBatch, QueryError> {
        (self.call)(call).await
    }
}

/// All of them, by name.
pub const ALL: &[TableFunction] = &[
    TableFunction {
        name: "ablations",
        arguments: "scope, metric, run [, ignore]",
        help: "the configs that differ from a run in exactly one param or one feature, with the change in score",
        call: |call| Box::pin(ablations::answer(call)),
    },
    TableFunction {
        name: "at_best",
        arguments: "scope, metric",
        help: "every metric of each run at the step where this one was best",
        call: |call| Box::pin(at_best::answer(call)),
    },
    TableFunction {
        name: "best_runs",
        arguments: "scope, metric [, k]",
        help: "the best k runs (10) by the metric's goal, with their score and the step where it was reached",
        call: |call| Box::pin(best_runs::answer(call)),
    },
    TableFunction {
        name: "compare_groups",
        arguments: "scope_a, scope_b, metric",
        help: "the difference of two groups of runs, within blocks and paired where they pair, with interval and test",
        call: |call| Box::pin(compare_groups::answer(call)),
    },
    TableFunction {
        name: "compare_runs",
        arguments: "run, run, ...",
        help: "what two or more runs logged, side by side, and whether it differs",
        call: |call| Box::pin(compare_runs::answer(call)),
    },
    TableFunction {
        name: "config_scores",
        arguments: "scope, metric",
        help: "mean, spread and interval of each config over its repeats, and the params that vary",
        call: |call| Box::pin(config_scores::answer(call)),
    },
    TableFunction {
        name: "data_version_effects",
        arguments: "scope, metric",
        help: "what each version of a data set changed against the one before, paired by config",
        call: |call| Box::pin(data_version_effects::answer(call)),
    },
    TableFunction {
        name: "feature_effects",
        arguments: "scope, metric [, family, importance_kind]",
        help: "what each feature does to the metric beside the other features, and what its presence alone suggests",
        call: |call| Box::pin(feature_effects::answer(call)),
    },
    TableFunction {
        name: "feature_sets",
        arguments: "scope, metric",
        help: "each distinct subset of features in each block, with the score of its best config",
        call: |call| Box::pin(feature_sets::answer(call)),
    },
    TableFunction {
        name: "metric_history",
        arguments: "run, metric [, points]",
        help: "the points of a series, thinned to at most so many in a way that keeps every extreme",
        call: |call| Box::pin(metric_history::answer(call)),
    },
    TableFunction {
        name: "param_effects",
        arguments: "scope, metric",
        help: "what each param does to the score within blocks: rank correlation of numbers, omega squared of others",
        call: |call| Box::pin(param_effects::answer(call)),
    },
    TableFunction {
        name: "pareto",
        arguments: "scope, objectives [, rank, by, within]",
        help: "the runs or configs that no other one beats in every objective ('auc max, fit_time_s min')",
        call: |call| Box::pin(pareto::answer(call)),
    },
    TableFunction {
        name: "select_features",
        arguments: "scope, metric [, max_features, tolerance, confirm]",
        help: "the smallest subset of features in each block whose score is within a tolerance of the best",
        call: |call| Box::pin(select_features::answer(call)),
    },
];

/// Whether a name is that of a table function.
pub fn is_function(name: &str) -> bool {
    find(name).is_some()
}

/// The function of a name, in any case.
pub fn find(name: &str) -> Option<&'static TableFunction> {
    ALL.iter().find(|function| function.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
