//! What can be wrong with a call.

use crate::error::ErrorKind;

/// An error of a table function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// An argument that has to be computed.
    #[error("an argument of {function} is no constant: {text}")]
    NotConstant {
        /// The function.
        function: &'static str,
        /// The argument as it is written.
        text: String,
    },
    /// A name where a text is wanted.
    #[error("argument {place} of {function} is a name: {text}")]
    Unquoted {
        /// The function.
        function: &'static str,
        /// Which argument, from 1 on.
        place: usize,
        /// The name.
        text: String,
    },
    /// An argument that is missing, of a wrong type, or one too many.
    #[error("{function}({usage}): {problem}")]
    Argument {
        /// The function.
        function: &'static str,
        /// Its arguments.
        usage: &'static str,
        /// What it returns.
        help: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// No experiment fits a scope.
    #[error("no experiment is called or like '{scope}'")]
    NoExperiment {
        /// The scope.
        scope: String,
        /// The nearest names there are, best first.
        near: Vec<String>,
    },
    /// The query of a scope gives no run ids.
    #[error("the query of a scope returns a column run_id, this one returns {columns}")]
    ScopeColumns {
        /// What it returns.
        columns: String,
    },
    /// There is no run in a scope.
    #[error("there are no runs in '{scope}'")]
    EmptyScope {
        /// The scope.
        scope: String,
    },
    /// No run of a scope has a metric.
    #[error("no run in '{scope}' has a metric '{metric}'")]
    UnknownMetric {
        /// The metric.
        metric: String,
        /// The scope.
        scope: String,
        /// The nearest metrics there are, best first.
        near: Vec<String>,
    },
    /// A param that no run has.
    #[error("no run has a param '{param}'")]
    UnknownParam {
        /// The param.
        param: String,
        /// The nearest params there are, best first.
        near: Vec<String>,
    },
    /// No run of a scope says which features it used.
    #[error("no run in '{scope}' that has a score in '{metric}' says which features it used")]
    NoFeatures {
        /// The scope.
        scope: String,
        /// The metric.
        metric: String,
    },
    /// No run of a scope that has a metric can be compared by it.
    #[error("no run in '{scope}' has a score in '{metric}': {why}")]
    NoScores {
        /// The scope.
        scope: String,
        /// The metric.
        metric: String,
        /// What became of the runs that logged it.
        why: String,
    },
    /// A param that is no number in any run, where a number is wanted.
    #[error("param '{param}' is text in '{scope}': an objective is a number")]
    TextObjective {
        /// The param.
        param: String,
        /// The scope.
        scope: String,
    },
    /// No run of a scope has all objectives.
    #[error("no finished run in '{scope}' has all of {objectives}")]
    NothingToCompare {
        /// The scope.
        scope: String,
        /// The objectives.
        objectives: String,
    },
    /// A metric whose series all have a context that says more than the fold.
    #[error("every series of '{metric}' in '{scope}' has a context, such as {context}, so that no run has a score")]
    OnlyContexts {
        /// The metric.
        metric: String,
        /// The scope.
        scope: String,
        /// A context.
        context: String,
    },
    /// A metric that was logged as something that is no number.
    #[error("metric '{metric}' was logged as {kind} in '{scope}', not as numbers")]
    NotNumbers {
        /// The metric.
        metric: String,
        /// The scope.
        scope: String,
        /// What it was logged as.
        kind: String,
    },
    /// Nobody said which way a metric gets better.
    #[error("metric '{metric}' has no goal in experiment '{experiment}': min or max")]
    NoGoal {
        /// The metric.
        metric: String,
        /// The experiment.
        experiment: String,
    },
    /// Experiments that say different things of a metric.
    #[error("metric '{metric}' has different goals: max in '{max}', min in '{min}'")]
    GoalsDiffer {
        /// The metric.
        metric: String,
        /// An experiment where it is to be great.
        max: String,
        /// An experiment where it is to be small.
        min: String,
    },
    /// Two groups that share runs.
    #[error("{runs} runs are in both groups: '{scope_a}' and '{scope_b}'")]
    ScopesOverlap {
        /// The first group.
        scope_a: String,
        /// The second one.
        scope_b: String,
        /// How many.
        runs: usize,
    },
    /// A run that cannot be compared, as it has no score.
    #[error("run '{run}' has no score in '{metric}': {why}")]
    NoScore {
        /// The run.
        run: String,
        /// The metric.
        metric: String,
        /// Why it has none.
        why: String,
    },
}

impl FunctionError {
    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            FunctionError::NoExperiment { .. }
            | FunctionError::UnknownMetric { .. }
            | FunctionError::UnknownParam { .. } => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        }
    }
}
