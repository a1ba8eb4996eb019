//! Table functions: questions of the field, asked in a `FROM` and answered as rows.
//!
//! Their arguments are constants. So each call in a statement is answered before the statement is planned, by SQL over
//! the same session and by what SQL cannot do well, and stands in the plan as a table of its rows.

mod args;
mod best_runs;
mod call;
mod calls;
mod configs;
mod error;
mod feature_effects;
mod feature_sets;
mod goal;
mod importance;
mod objectives;
mod pareto;
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
        name: "best_runs",
        arguments: "scope, metric [, k]",
        help: "the best k runs (10) by the metric's goal, with their score and the step where it was reached",
        call: |call| Box::pin(best_runs::answer(call)),
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

/// The function of a name, in any case.
pub fn find(name: &str) -> Option<&'static TableFunction> {
    ALL.iter().find(|function| function.name.eq_ignore_ascii_case(name))
}
