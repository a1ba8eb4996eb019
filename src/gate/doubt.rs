//! Why a check or a rule cannot be decided.

use crate::error::Error;

/// Why something cannot be decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// The statement failed.
    #[error(transparent)]
    Failed(#[from] Error),
    /// A baseline's statement failed.
    #[error("baseline: {0}")]
    BaselineFailed(Error),
    /// A table that is read has no rows at all.
    #[error("table '{table}' is empty, so nothing was checked; `-- allow empty` lets that pass")]
    EmptyTable {
        /// The table.
        table: String,
    },
    /// An experiment that is asked for does not exist.
    #[error("there is no experiment '{name}', so nothing was checked{near}; `-- allow empty` lets that pass", near = closest(.near))]
    NoExperiment {
        /// The experiment.
        name: String,
        /// The nearest names there are.
        near: Vec<String>,
    },
    /// A key that is asked for does not exist.
    #[error("no run has a key '{key}', so nothing was checked{near}; `-- allow empty` lets that pass", near = closest(.near))]
    NoKey {
        /// The key.
        key: String,
        /// The nearest keys there are.
        near: Vec<String>,
    },
    /// A word that is compared with a status and is none.
    #[error("{what}: there is no such status, so nothing was checked{near}; `-- allow empty` lets that pass", near = closest(.near))]
    NoStatus {
        /// The comparison.
        what: String,
        /// The nearest ones there are.
        near: Vec<String>,
    },
    /// A name that no row has.
    #[error("nothing has {what}, so nothing was checked{near}; `-- allow empty` lets that pass", near = closest(.near))]
    NothingHas {
        /// The comparison.
        what: String,
        /// The nearest names there are.
        near: Vec<String>,
    },
    /// One value is wanted and there is none.
    #[error("{of} returned no rows, so there is no value{allow}", allow = if *.allowed { "" } else { "; `-- allow empty` lets that pass" })]
    NoRows {
        /// The statement or the baseline.
        of: Side,
        /// Whether that is allowed, but not here.
        allowed: bool,
    },
    /// One value is wanted and there are several.
    #[error("{of} returned {n} rows where one value is expected: aggregate them, or take one with LIMIT 1")]
    ManyRows {
        /// The statement or the baseline.
        of: Side,
        /// How many.
        n: usize,
    },
    /// There are several columns, and none says that it is the one.
    #[error("{of} returns several columns ({columns}) and none is called 'value': name the one that counts so")]
    ManyColumns {
        /// The statement or the baseline.
        of: Side,
        /// Their names.
        columns: String,
    },
    /// A value that is no number.
    #[error(
        "column '{column}' of {of} holds {data_type} where a number is expected: CAST({column} AS DOUBLE) makes one of it"
    )]
    NotNumber {
        /// The statement or the baseline.
        of: Side,
        /// The column.
        column: String,
        /// What it holds.
        data_type: String,
    },
    /// Two values of different kinds.
    #[error(
        "the statement returned {value}, which cannot be compared with {than}: CAST makes one type of both; a time is written like '2026-11-23T09:00:00Z'"
    )]
    NotAlike {
        /// The value, with what it is.
        value: String,
        /// The other one, likewise.
        than: String,
    },
    /// A value that is missing.
    #[error("{of} returned NULL{place}: it may have looked at nothing; `WHERE ... IS NOT NULL` leaves such rows out")]
    Null {
        /// The statement or the baseline.
        of: Side,
        /// Where.
        place: String,
    },
    /// A value that is NaN or infinite.
    #[error(
        "{of} returned {value}{place}, which is nothing to compare: look at the run, or leave it out with `WHERE NOT isnan(...)`"
    )]
    NotFinite {
        /// The statement or the baseline.
        of: Side,
        /// What it is.
        value: f64,
        /// Where.
        place: String,
    },
    /// Nothing says which way the value gets better.
    #[error(
        "nothing says whether greater is better: `-- goal: max` or `-- goal: min` does, or `-- metric: NAME` with a declared goal"
    )]
    NoGoal,
    /// A metric that no goal was declared for.
    #[error("metric '{metric}' has no declared goal: `-- goal: max` or `-- goal: min` says which way it gets better")]
    UndeclaredGoal {
        /// The metric.
        metric: String,
    },
    /// A metric that has both goals.
    #[error(
        "metric '{metric}' is declared max in some experiments and min in others: `-- goal: max` or `-- goal: min` says which counts"
    )]
    GoalsDiffer {
        /// The metric.
        metric: String,
    },
    /// A column that pairs are made by is not there.
    #[error("{of} has no column '{column}' to pair by; it returns {columns}")]
    NoPairColumn {
        /// The statement or the baseline.
        of: Side,
        /// The column.
        column: String,
        /// What there is.
        columns: String,
    },
    /// The rows of a statement do not tell pairs apart.
    #[error("{of} returned {pair} more than once: average the scores (GROUP BY), or pair by more columns")]
    SamePair {
        /// The statement or the baseline.
        of: Side,
        /// The columns with their values.
        pair: String,
    },
    /// Too few pairs.
    #[error("at least 3 pairs are needed, and there are {n}: the statement has {left}, the baseline {right}")]
    FewPairs {
        /// How many.
        n: usize,
        /// Rows of the statement.
        left: usize,
        /// Rows of the baseline.
        right: usize,
    },
    /// Rows of the baseline without a partner.
    #[error(
        "{n} of {of} rows of the baseline have no partner: what the statement lost may be what it was worse in; leave them out of the baseline where that is meant"
    )]
    NoPartner {
        /// How many.
        n: usize,
        /// Of how many.
        of: usize,
    },
    /// A condition that is neither true nor false.
    #[error(
        "the condition is NULL for {n} of the rows, as where a figure could not be told: `... IS NOT NULL` leaves them out, and `reason` says why"
    )]
    NullCondition {
        /// For how many.
        n: String,
    },
    /// The part of a condition that chooses rows chooses none.
    #[error("no row fits `{condition}`, so nothing was checked; `-- allow empty` lets that pass")]
    NothingFits {
        /// That part.
        condition: String,
    },
    /// Of all rows it is unknown.
    #[error("`{what}` is NULL for {all}, so nothing was compared; `-- allow empty` lets that pass", all = all(*.n))]
    NothingCompared {
        /// The condition, or what is aggregated.
        what: String,
        /// How many rows there are.
        n: i64,
    },
    /// A value of NaN was passed over.
    #[error(
        "`{what}` cannot be told for {n} of {of} rows, where NaN was logged: look at the run, or leave it out with `{guard}`"
    )]
    PassedOverNaN {
        /// The condition, or what is aggregated.
        what: String,
        /// Of how many rows.
        n: i64,
        /// Of how many in all.
        of: i64,
        /// What would leave them out.
        guard: String,
    },
    /// The two sides of a comparison are different metrics.
    #[error(
        "the statement is of metric '{metric}', the baseline of '{baseline}': `-- metric: {metric}` says that this is meant"
    )]
    MetricsDiffer {
        /// The metric of the statement.
        metric: String,
        /// The metric of the baseline.
        baseline: String,
    },
    /// A comparison with NULL, which nothing passes.
    #[error("{what}: nothing equals NULL, so nothing was checked; `IS NULL` finds what is missing")]
    EqualsNull {
        /// The comparison.
        what: String,
    },
    /// A metric that the run has logged under contexts only.
    #[error(
        "'{metric}' has only series with a context, such as {context}; rules look at the one without: a statement over `metrics` looks at others"
    )]
    OnlyContexts {
        /// The metric.
        metric: String,
        /// One of the contexts.
        context: String,
    },
    /// A metric that no run of the experiment has.
    #[error("no run of experiment '{experiment}' has a metric '{metric}'{near}", near = closest(.near))]
    NoMetric {
        /// The metric.
        metric: String,
        /// The experiment.
        experiment: String,
        /// The nearest metrics there are.
        near: Vec<String>,
    },
    /// The latest value of a metric is no number.
    #[error(
        "the latest value of '{metric}' is {value}, which is nothing to compare; `-- stop when: not a number` stops such a run"
    )]
    LatestNotFinite {
        /// The metric.
        metric: String,
        /// What it is.
        value: f64,
    },
    /// The statement that names the other runs returns no run ids.
    #[error("`-- others:` returns {columns} where a column run_id is expected")]
    NoRunIds {
        /// What it returns.
        columns: String,
    },
    /// It is not understood at all.
    #[error("{0}")]
    Flaw(super::error::Flaw),
    /// Whoever runs the checks could not run this one.
    #[error("it could not be run: {0}")]
    NotRun(String),
}

impl Doubt {
    /// The error behind it, where there is one.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Doubt::Failed(e) | Doubt::BaselineFailed(e) => Some(e),
            _ => None,
        }
    }
}

impl From<crate::query::QueryError> for Doubt {
    fn from(e: crate::query::QueryError) -> Self {
        Doubt::Failed(e.into())
    }
}

/// Which statement of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its own.
    Statement,
    /// The one in brackets.
    Baseline,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Statement => "the statement",
            Side::Baseline => "the baseline",
        })
    }
}

fn all(n: i64) -> String {
    match n {
        1 => "the one row".to_string(),
        n => format!("all {n} rows"),
    }
}

fn closest(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; closest: {}", near.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")),
    }
}
