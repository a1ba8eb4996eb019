//! `compare_runs(a, b, ...)`.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::rows::{Columns, text};
use super::scope::quoted;
use crate::query::error::QueryError;

/// Runs that one answer has columns for.
const MOST: usize = 26;

/// Sections that are tables: name, the key of a row, its value. Values are texts as SQL shows them.
const TABLES: [(&str, &str, &str); 7] = [
    ("params", "key", "value"),
    ("metrics", "CASE WHEN context IS NULL THEN key ELSE key || ' ' || context END", METRIC),
    ("tags", "key", "coalesce(value, '')"),
    ("features", "feature", "CASE WHEN used THEN 'used' ELSE 'not used' END"),
    ("data_versions", "role || ': ' || dataset", DATA),
    ("packages", "package", "package_version"),
    ("environment", "key", "value"),
];
const METRIC: &str = "CASE WHEN last IS NULL THEN 'NaN' ELSE CAST(last AS VARCHAR) END";
const DATA: &str = "concat_ws(' ', data_version, digest)";

/// Columns of `runs` by section.
const FACTS: [(&str, &[&str]); 2] = [
    (
        "run",
        &[
            "experiment",
            "name",
            "status",
            "error",
            "start_time",
            "duration_s",
            "user",
            "host",
            "command",
            "parent_run_id",
            "config_id",
            "feature_set",
            "n_features",
            "notes",
        ],
    ),
    ("git", &["git_remote", "git_branch", "git_commit", "git_dirty"]),
];

/// Values of the runs, in their order.
type Values = Vec<Option<String>>;

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let given = call.args.texts("run")?;
    call.args.end()?;
    if given.len() < 2 || given.len() > MOST {
        return Err(call.args.wrong(format!("it compares 2 to {MOST} runs, not {}", given.len())).into());
    }
    let mut runs: Vec<String> = Vec::new();
    for prefix in &given {
        runs.push(call.session().find_run(prefix).await?.to_string());
    }
    let list = runs.iter().map(|run| quoted(run)).collect::<Vec<_>>().join(", ");
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, run) in runs.iter().enumerate() {
        // The same run may be given twice.
        places.entry(run).or_default().push(i);
    }

    let mut sections: Vec<(&str, Vec<(String, Values)>)> = Vec::new();
    let columns = FACTS.iter().flat_map(|(_, names)| *names);
    let columns = columns.map(|name| format!("CAST({name} AS VARCHAR) AS {name}")).collect::<Vec<_>>().join(", ");
    let rows = call.ask(&format!("SELECT run_id, {columns} FROM runs WHERE run_id IN ({list})")).await?;
    let ids = rows.texts("run_id")?;
    for (section, names) in FACTS {
        let mut facts = Vec::new();
        for name in names {
            let column = rows.texts(name)?;
            let mut values: Values = vec![None; runs.len()];
            for row in 0..rows.len() {
                for place in places.get(ids.value(row)).into_iter().flatten() {
                    values[*place] = text(&column, row).map(str::to_string);
                }
            }
            facts.push((name.to_string(), values));
        }
        sections.push((section, facts));
    }
    for (section, key, value) in TABLES {
        let table = if section == "metrics" { "metric_stats" } else { section };
        let sql = format!("SELECT run_id, {key} AS key, {value} AS value FROM {table} WHERE run_id IN ({list})");
        let rows = call.ask(&sql).await?;
        let (ids, keys, cells) = (rows.texts("run_id")?, rows.texts("key")?, rows.texts("value")?);
        let mut by_key: BTreeMap<&str, Values> = BTreeMap::new();
        for row in 0..rows.len() {
            let values = by_key.entry(keys.value(row)).or_insert_with(|| vec![None; runs.len()]);
            for place in places.get(ids.value(row)).into_iter().flatten() {
                values[*place] = text(&cells, row).map(str::to_string);
            }
        }
        sections.push((section, by_key.into_iter().map(|(key, values)| (key.to_string(), values)).collect()));
    }
    // What a run does not say at all is no row.
    for (_, rows) in &mut sections {
        rows.retain(|(_, values)| values.iter().any(Option::is_some));
    }

    let rows: Vec<(&str, &str, &Values)> = sections
        .iter()
        .flat_map(|(section, rows)| rows.iter().map(|(key, values)| (*section, key.as_str(), values)))
        .collect();
    let mut columns = Columns::new()
        .text("section", rows.iter().map(|row| Some(row.0)))
        .text("key", rows.iter().map(|row| Some(row.1)))
        .bool("differs", rows.iter().map(|row| Some(row.2.iter().any(|value| *value != row.2[0]))));
    for (i, letter) in ('a'..='z').enumerate().take(runs.len()) {
        columns = columns.text(letter, rows.iter().map(|row| row.2[i].as_ref()));
    }
    if runs.len() == 2 {
        let number = |value: &Option<String>| value.as_ref()?.parse::<f64>().ok().filter(|number| number.is_finite());
        let difference = |section: &str, values: &Values| match section {
            "params" | "metrics" | "run" => {
                Some(number(&values[0])? - number(&values[1])?).filter(|difference| difference.is_finite())
            }
            _ => None,
        };
        columns = columns.float("difference", rows.iter().map(|row| difference(row.0, row.2)));
    }
    columns.finish()
}
