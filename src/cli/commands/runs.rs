//! `runlake runs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use runlake::export::render_table;
use runlake::{QueryError, Session};

use crate::cli::output::{count, put, put_line, say};
use crate::cli::place::Past;
use crate::cli::question::{bracketed, matching_experiments, quoted, quoted_all};
use crate::cli::{Exit, Failure, Outcome, Place, terminal};

/// List the latest runs with the params and metrics that vary among them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake runs
  runlake runs -e churn -n 50
  runlake runs --where \"params.model = 'gbm' AND metrics.auc > 0.9\"
  runlake runs --all | less -S")]
pub struct RunsArgs {
    /// Only runs of this experiment, or of those that a pattern fits: 'churn%'
    #[arg(long, short, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Number of runs
    #[arg(short, long, value_name = "RUNS", default_value_t = 20)]
    pub number: usize,
    /// Only runs for which this SQL condition over `runs` holds
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// All runs, not only the latest, and all params and metrics
    #[arg(long, short)]
    pub all: bool,
    #[command(flatten)]
    pub past: Past,
}

/// Params and metrics that are shown unless all are asked for.
const KEYS: usize = 8;
/// Metrics that stand before the params, so that a narrow terminal shows some of both.
const FIRST_METRICS: usize = 3;

pub async fn run(place: &Place, args: RunsArgs) -> Outcome {
    let store = place.open()?;
    args.past.prepare(&store).await;
    let session = store.session_with(args.past.options()).await?;
    let mut conditions = Vec::new();
    if let Some(name) = &args.experiment {
        let names = matching_experiments(&session, name).await?;
        conditions.push(format!("experiment IN ({})", quoted_all(&names)));
    }
    if let Some(condition) = &args.condition {
        conditions.push(bracketed(condition)?);
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let limit = if args.all { String::new() } else { format!("LIMIT {}", args.number) };
    let runs = rows(
        &session,
        &format!(
            "SELECT run_id, name, experiment, status, date_trunc('second', start_time) AS start_time, duration_s \
             FROM runs {filter} ORDER BY start_time DESC, run_id DESC {limit}"
        ),
    )
    .await?;
    let shown: usize = runs.iter().map(RecordBatch::num_rows).sum();
    if shown == 0 {
        say(match filter.is_empty() {
            true => "no runs yet; `runlake log` appends them, `runlake demo` makes a store with some",
            false => "no runs fit",
        });
        return Ok(Exit::Done);
    }
    let table = Table::read(&session, &runs, args.all).await?;
    put(render_table(&[table.batch(args.all)?], &terminal::table_options(None)))?;
    if !args.all && shown >= args.number {
        let total = rows(&session, &format!("SELECT count(*) FROM runs {filter}")).await?;
        let total = total[0].column(0).as_primitive::<Int64Type>().value(0) as u64;
        if total > shown as u64 {
            put_line(format!(
                "latest {} of {} runs; -n or --all shows more, `runlake show RUN` one in full",
                count(shown as u64),
                count(total)
            ))?;
        }
    }
    Ok(Exit::Done)
}

pub async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    Ok(session.sql(sql).await?.collect().await.map_err(QueryError::from)?)
}

/// Values of keys by run.
type Values<V> = BTreeMap<String, BTreeMap<String, V>>;

struct Table {
    ids: Vec<String>,
    head: Vec<(&'static str, ArrayRef)>,
    params: Values<String>,
    metrics: Values<f64>,
    goals: BTreeSet<String>,
    id_length: usize,
}

impl Table {
    async fn read(session: &Session, runs: &[RecordBatch], all: bool) -> Result<Table, Failure> {
        let one = arrow::compute::concat_batches(&runs[0].schema(), runs).map_err(Failure::new)?;
        let ids: Vec<String> = one.column(0).as_string::<i32>().iter().flatten().map(str::to_string).collect();
        let filter = if all {
            String::new()
        } else {
            format!("AND run_id IN ({})", ids.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(", "))
        };
        let mut params = Values::new();
        for batch in
            rows(session, &format!("SELECT run_id, key, value FROM params WHERE value IS NOT NULL {filter}")).await?
        {
            let column = |i: usize| batch.column(i).as_string::<i32>();
            for i in 0..batch.num_rows() {
                let runs: &mut BTreeMap<_, _> = params.entry(column(1).value(i).to_string()).or_default();
                runs.insert(column(0).value(i).to_string(), column(2).value(i).to_string());
            }
        }
        let mut metrics = Values::new();
        let sql =
            format!("SELECT run_id, key, last FROM metric_stats WHERE context IS NULL AND last IS NOT NULL {filter}");
        for batch in rows(session, &sql).await? {
            let column = |i: usize| batch.column(i).as_string::<i32>();
            let last = batch.column(2).as_primitive::<Float64Type>();
            for i in 0..batch.num_rows() {
                let runs: &mut BTreeMap<_, _> = metrics.entry(column(1).value(i).to_string()).or_default();
                runs.insert(column(0).value(i).to_string(), last.value(i));
            }
        }
        let mut goals = BTreeSet::new();
        // What has a unit is a cost more often than a score.
        for batch in rows(session, "SELECT DISTINCT key FROM metric_defs WHERE unit IS NULL").await? {
            goals.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_string));
        }
        let several = one.column(2).as_string::<i32>().iter().collect::<BTreeSet<_>>().len() > 1;
        let mut head = vec![("name", Arc::clone(one.column(1)))];
        if several || all {
            head.push(("experiment", Arc::clone(one.column(2))));
        }
        head.extend([
            ("status", Arc::clone(one.column(3))),
            ("start_time", Arc::clone(one.column(4))),
            ("duration_s", Arc::clone(one.column(5))),
        ]);
        let id_length = unique_length(session, &ids).await?;
        Ok(Table { ids, head, params, metrics, goals, id_length })
    }

    /// Keys worth a column: first those that most of the runs hold.
    fn chosen<V>(&self, values: &Values<V>, varies: impl Fn(&BTreeMap<String, V>) -> bool, all: bool) -> Vec<String> {
        let mut keys: Vec<_> = values.iter().filter(|(_, runs)| all || varies(runs)).collect();
        keys.sort_by_key(|(key, runs)| (!self.goals.contains(*key), std::cmp::Reverse(runs.len()), (*key).clone()));
        let most = if all { usize::MAX } else { KEYS };
        keys.into_iter().take(most).map(|(key, _)| key.clone()).collect()
    }

    fn batch(&self, all: bool) -> Result<RecordBatch, Failure> {
        let ids: ArrayRef =
            Arc::new(self.ids.iter().map(|id| Some(short(id, self.id_length))).collect::<StringArray>());
        let mut columns: Vec<(String, ArrayRef)> = vec![("run".to_string(), ids)];
        columns.extend(self.head.iter().map(|(name, array)| (name.to_string(), Arc::clone(array))));
        let n = self.ids.len();
        // A key that only some runs hold varies too.
        let params =
            self.chosen(&self.params, |runs| runs.len() < n || runs.values().collect::<BTreeSet<_>>().len() > 1, all);
        let differ =
            |runs: &BTreeMap<String, f64>| runs.values().map(|x| x.to_bits()).collect::<BTreeSet<_>>().len() > 1;
        let metrics = self.chosen(&self.metrics, |runs| runs.len() < n || differ(runs), all);
        let metric = |key: &String| -> (String, ArrayRef) {
            let values = &self.metrics[key];
            let array: Float64Array = self.ids.iter().map(|id| values.get(id).copied()).collect();
            (format!("metrics.{key}"), Arc::new(array))
        };
        let (first, rest) = metrics.split_at(metrics.len().min(FIRST_METRICS));
        columns.extend(first.iter().map(metric));
        for key in params {
            let values = &self.params[&key];
            columns.push((format!("params.{key}"), texts_or_numbers(self.ids.iter().map(|id| values.get(id)))));
        }
        columns.extend(rest.iter().map(metric));
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .map_err(Failure::new)
    }
}

fn texts_or_numbers<'a>(values: impl Iterator<Item = Option<&'a String>> + Clone) -> ArrayRef {
    if values.clone().flatten().all(|v| v.parse::<i64>().is_ok()) {
        return Arc::new(values.map(|v| v?.parse().ok()).collect::<Int64Array>());
    }
    if values.clone().flatten().all(|v| v.parse::<f64>().is_ok_and(f64::is_finite)) {
        return Arc::new(values.map(|v| v?.parse().ok()).collect::<Float64Array>());
    }
    Arc::new(values.map(|v| v.cloned()).collect::<StringArray>())
}

fn short(id: &str, length: usize) -> &str {
    // Ids are ASCII.
    &id[..length.min(id.len())]
}

/// How many characters tell these ids from all others of the store; 8 at least.
async fn unique_length(session: &Session, ids: &[String]) -> Result<usize, Failure> {
    let batches = rows(session, "SELECT run_id FROM runs").await?;
    let mut all: Vec<&str> = batches.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten()).collect();
    all.sort_unstable();
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let needed = ids.iter().map(|id| {
        let at = all.partition_point(|other| *other < id.as_str());
        let before = at.checked_sub(1).map_or(0, |i| common(all[i], id));
        let after = all[at..].iter().find(|other| **other != id.as_str()).map_or(0, |other| common(other, id));
        before.max(after) + 1
    });
    Ok(needed.max().unwrap_or(0).max(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_numbers_is_one() {
        let column = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|v| v.to_string()).collect();
            texts_or_numbers(values.iter().map(Some)).data_type().to_string()
        };
        assert_eq!(column(&["1", "2"]), "Int64");
        assert_eq!(column(&["1", "0.5"]), "Float64");
        assert_eq!(column(&["1", "sqrt"]), "Utf8");
        assert_eq!(column(&["1", "NaN"]), "Utf8");
    }
}
