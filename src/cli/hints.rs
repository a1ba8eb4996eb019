//! How to mend an error, in the words of the command line.

use datafusion::error::DataFusionError;
use runlake::import::foreign::ImportError;
use runlake::{Error, FunctionError, QueryError, StoreError};

use super::question::quoted;
use super::shell::word;

/// Hints for an error, a line each.
pub fn of(e: &Error) -> Vec<String> {
    match e {
        Error::Store(e) | Error::Query(QueryError::Store(e)) => of_store(e),
        Error::Query(QueryError::Function(e)) => of_function(e),
        Error::Query(e) => of_query(e),
        Error::Import(ImportError::NotRecognised { .. }) => {
            vec![
                "docs/import.md says what can be imported, and how it is recognised".to_string(),
                "tables in a folder are named: `runlake import table 'FOLDER/*.csv'`".to_string(),
            ]
        }
        Error::Import(ImportError::Elsewhere { .. }) => {
            let server = "a server of MLflow keeps its runs where its --backend-store-uri says";
            vec![format!("{server}: name that folder, or that file as `sqlite:///mlflow.db`")]
        }
        Error::Import(ImportError::NoColumn { .. }) => {
            vec!["a column is named as it stands there, or by a pattern such as 'val_*'".to_string()]
        }
        _ => Vec::new(),
    }
}

fn of_store(e: &StoreError) -> Vec<String> {
    let hint = match e {
        StoreError::NotAStore { path } => {
            format!("`runlake init {}` makes a store there; `runlake demo` makes one with sample runs", word(path))
        }
        StoreError::NotEmpty { .. } => "name another folder, or an empty one".to_string(),
        StoreError::StoreExists { path } => format!("`runlake --store {} info` shows what is in it", word(path)),
        StoreError::NewerFormat { .. } => "use a newer runlake for this store".to_string(),
        StoreError::Damaged { .. }
        | StoreError::Schema { .. }
        | StoreError::Parquet { .. }
        | StoreError::Delta { .. } => {
            "`runlake verify` checks every file; `runlake verify --repair` sets aside what is damaged".to_string()
        }
        StoreError::RunNotFound { .. } => {
            "`runlake runs` lists the latest runs; a deleted one comes back with `runlake restore`".to_string()
        }
        StoreError::AmbiguousRun { .. } => "give more characters of the id".to_string(),
        StoreError::ExperimentNotFound { .. } => {
            "`runlake sql -c 'SELECT experiment FROM experiments'` lists them".to_string()
        }
        StoreError::ExperimentExists { .. } => "choose another name".to_string(),
        StoreError::ParamConflict { .. } => {
            "a param is set once; a value that changes over time is a metric or a tag".to_string()
        }
        StoreError::Busy { .. } => "try again".to_string(),
        StoreError::BeforeHistory { earliest: Some(_), .. } => {
            "`runlake history` lists the states there are".to_string()
        }
        StoreError::BeforeHistory { earliest: None, .. } => {
            "without --as-of what is not sealed is read too; `runlake seal` makes a state to come back to".to_string()
        }
        StoreError::NoState { .. } => "`runlake history` lists the states there are".to_string(),
        _ => return Vec::new(),
    };
    vec![hint]
}

fn of_function(e: &FunctionError) -> Vec<String> {
    let closest = |near: &[String]| match near {
        [] => None,
        near => Some(format!("closest: {}", near.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", "))),
    };
    let hint = match e {
        FunctionError::NotConstant { .. } => {
            "arguments are constants: 'text', 5, true; `--param e=churn` gives $e a value".to_string()
        }
        FunctionError::Unquoted { text, .. } => format!("text stands in single quotes: '{text}'"),
        FunctionError::NoExperiment { near, .. } => closest(near)
            .unwrap_or_else(|| "`runlake sql -c 'SELECT experiment FROM experiments'` lists them".to_string()),
        FunctionError::OnlyContexts { metric, .. } => {
            format!("`SELECT context, max(value) FROM metrics WHERE key = {} GROUP BY context` reads them", quoted(metric))
        }
        FunctionError::Argument { function, help, .. } => format!("{function} gives {help}"),
        FunctionError::ScopeColumns { .. } => {
            "for example \"SELECT run_id FROM runs WHERE params.lr < 0.1\"".to_string()
        }
        FunctionError::UnknownMetric { near, .. } => closest(near).unwrap_or_else(|| {
            "`runlake sql -c 'SELECT DISTINCT key FROM metric_stats'` lists all metrics".to_string()
        }),
        FunctionError::UnknownParam { near, .. } => closest(near).unwrap_or_else(|| {
            "`runlake sql -c 'SELECT DISTINCT key FROM params'` lists all params".to_string()
        }),
        FunctionError::NoFeatures { .. } => {
            "lines of type 'features' say it, see docs/log.md; `runlake sql -c 'SELECT DISTINCT experiment_id FROM features'` shows who does"
                .to_string()
        }
        FunctionError::NothingToCompare { .. } => {
            "`runlake sql -c \"SELECT key, count(*) FROM metric_stats GROUP BY key\"` counts the runs of each metric".to_string()
        }
        FunctionError::EmptyScope { .. } => {
            "`runlake sql -c 'SELECT experiment, n_runs FROM experiments'` counts the runs of each".to_string()
        }
        FunctionError::NotNumbers { .. } => {
            "`runlake sql -c 'SELECT DISTINCT key FROM metric_stats'` lists the metrics that are numbers".to_string()
        }
        FunctionError::NoScores { .. } => {
            "a score takes a run that is finished, and a value that is finite; `runlake runs` shows what was logged".to_string()
        }
        FunctionError::TextObjective { param, .. } => format!(
            "`runlake top METRIC --by param {}` ranks the values of a text; `--where` takes one of them alone",
            word(param)
        ),
        FunctionError::NoGoal { metric, experiment } => {
            let (metric, experiment) = (word(metric), word(experiment));
            format!("`runlake goal {metric} max -e {experiment}` says that greater is better, min that smaller is")
        }
        FunctionError::GoalsDiffer { .. } => {
            "ask for one experiment, or give both the same goal with `runlake goal`".to_string()
        }
        FunctionError::ScopesOverlap { .. } => {
            "give each group runs of its own, for example \"SELECT run_id FROM runs WHERE params.model = 'svm'\""
                .to_string()
        }
        FunctionError::NoScore { metric, .. } => {
            format!("`runlake sql -c \"SELECT * FROM best_runs('EXPERIMENT', {})\"` lists runs that have one", quoted(metric))
        }
        _ => return Vec::new(),
    };
    vec![hint]
}

fn of_query(e: &QueryError) -> Vec<String> {
    match e {
        QueryError::UnknownKey { group, near, keys, .. } => {
            let closest = match near.as_slice() {
                [] => return vec![format!("`runlake sql -c 'DESCRIBE runs'` shows all {keys} keys of {group}")],
                near => near.iter().take(3).map(|key| format!("'{group}.{key}'")).collect::<Vec<_>>().join(", "),
            };
            let verb = if near.len() == 1 { "closest is" } else { "closest are" };
            vec![format!("{verb} {closest}; `runlake sql -c 'DESCRIBE runs'` shows all {keys} keys of {group}")]
        }
        QueryError::AmbiguousKey { group, fits, .. } => {
            vec![format!("write one of them in brackets: {group}['{}']", fits.first().map_or("", String::as_str))]
        }
        QueryError::KeyType { group, key, literal, number, .. } => vec![match (group.as_str(), number) {
            ("params" | "params_text", true) => {
                format!("params_num['{key}'] holds the values that are numbers; as text the constant is '{literal}'")
            }
            ("params", false) => format!("params_text['{key}'] holds every value as it was logged"),
            (_, true) => format!("as text the constant is '{literal}'"),
            (_, false) => "compare it with a number".to_string(),
        }],
        QueryError::UnknownColumn { near, .. } => {
            let all = "`runlake sql -c 'DESCRIBE runs'` lists columns and keys of runs, likewise for other tables";
            match near.iter().take(3).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => vec![all.to_string()],
                near => vec![format!("near are {near}; {all}")],
            }
        }
        QueryError::UnknownTable { tables, .. } => vec![format!("tables are {}", tables.join(", "))],
        QueryError::ReadOnly { .. } => {
            vec!["`runlake tag`, `note`, `delete`, `rename` and `log` change runs; SQL only reads them".to_string()]
        }
        QueryError::Timeout { .. } => vec!["`--timeout` sets the time that a query may take".to_string()],
        QueryError::Memory { .. } => more_memory(),
        QueryError::Engine(e) if matches!(e.find_root(), DataFusionError::ResourcesExhausted(_)) => more_memory(),
        _ => Vec::new(),
    }
}

fn more_memory() -> Vec<String> {
    vec!["`runlake sql --memory SIZE` sets what a query may take".to_string()]
}

#[cfg(test)]
mod tests {
    use runlake::RunId;

    use super::*;

    #[test]
    fn errors_that_users_meet_have_a_way_out() {
        let text = || "x".to_string();
        let run = RunId::parse("x").unwrap();
        let errors: Vec<Error> = vec![
            StoreError::NotAStore { path: text() }.into(),
            StoreError::NotEmpty { path: text() }.into(),
            StoreError::StoreExists { path: text() }.into(),
            StoreError::NewerFormat { what: text(), found: 9, known: 1 }.into(),
            StoreError::Damaged { path: text(), problem: text() }.into(),
            StoreError::RunNotFound { run: text() }.into(),
            StoreError::AmbiguousRun { prefix: text(), count: 2, examples: text() }.into(),
            StoreError::ExperimentNotFound { experiment: text() }.into(),
            StoreError::ExperimentExists { experiment: text() }.into(),
            StoreError::BeforeHistory { time: text(), earliest: None }.into(),
            StoreError::BeforeHistory { time: text(), earliest: Some(text()) }.into(),
            StoreError::ParamConflict { run, key: text(), old: text(), new: text() }.into(),
            QueryError::UnknownKey { group: text(), key: text(), near: vec![text()], keys: 3 }.into(),
            QueryError::UnknownKey { group: text(), key: text(), near: vec![], keys: 3 }.into(),
            QueryError::AmbiguousKey { group: text(), key: text(), fits: vec![text(), text()] }.into(),
            QueryError::KeyType { group: text(), key: text(), data_type: "text", literal: text(), number: true }.into(),
            QueryError::UnknownTable { table: text(), tables: vec![text()] }.into(),
            QueryError::UnknownColumn { column: text(), near: vec![text()] }.into(),
            QueryError::ReadOnly { statement: text() }.into(),
            QueryError::Timeout { seconds: 1.0 }.into(),
            QueryError::Memory { taken: 2, allowed: 1 }.into(),
            QueryError::from(DataFusionError::ResourcesExhausted(text())).into(),
            QueryError::from(FunctionError::EmptyScope { scope: text() }).into(),
            QueryError::from(FunctionError::NotNumbers { metric: text(), scope: text(), kind: text() }).into(),
            QueryError::from(FunctionError::NoScores { metric: text(), scope: text(), why: text() }).into(),
            QueryError::from(FunctionError::TextObjective { param: text(), scope: text() }).into(),
            QueryError::from(FunctionError::ScopesOverlap { scope_a: text(), scope_b: text(), runs: 2 }).into(),
            QueryError::from(FunctionError::NoScore { run: text(), metric: text(), why: text() }).into(),
        ];
        for e in &errors {
            let hints = of(e);
            assert!(!hints.is_empty() && hints.iter().all(|h| !h.ends_with('.')), "{e}: {hints:?}");
        }
    }
}
