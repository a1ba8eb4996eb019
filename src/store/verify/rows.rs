//! What the rows of tables say of each other, in memory that does not grow with them.
//!
//! Whether the statistics of series fit their points is a sum: each side adds its counts, times a random number that
//! belongs to the series, to one of a few thousand buckets; where both sides are the same, all sums are. Only the series
//! of buckets that differ are then looked at by name. Runs are compared by 128-bit hashes, a few million at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};

use super::{VerifyReport, plural, some};
use crate::schema::{MetricStatRow, Row, SchemaMismatch, Table, column};
use crate::store::cut::Cut;
use crate::store::error::Result;
use crate::store::layout;

/// A series: run, key, context.
type Series = (String, String, Option<String>);

const BUCKETS: usize = 4096;
/// Buckets whose series are looked at by name: a small part of all.
const NAMED_BUCKETS: usize = 64;

/// Points and NaN points of series, as table `metrics` has them less what table `metric_stats` says.
pub struct SeriesSums {
    place: RandomState,
    nan: RandomState,
    sums: Vec<u64>,
}

/// Calls `each` with run, key, context, number of points and of NaN points of each stretch of rows of one series.
fn stretches(
    table: &Table,
    rows: &RecordBatch,
    mut each: impl FnMut(&str, &str, Option<&str>, i64, i64),
) -> Result<(), SchemaMismatch> {
    match table {
        Table::Metrics => {
            let text = |name| column(rows, name, &DataType::Utf8);
            let (runs, keys, contexts) = (text("run_id")?, text("key")?, text("context")?);
            let (runs, keys, contexts) =
                (runs.as_string::<i32>(), keys.as_string::<i32>(), contexts.as_string::<i32>());
            let values = column(rows, "value", &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            let context = |i: usize| contexts.is_valid(i).then(|| contexts.value(i));
            let mut at = 0;
            while at < rows.num_rows() {
                let (run, key, of) = (runs.value(at), keys.value(at), context(at));
                let (mut count, mut nan) = (0, 0);
                while at < rows.num_rows() && (runs.value(at), keys.value(at), context(at)) == (run, key, of) {
                    count += 1;
                    nan += i64::from(values.value(at).is_nan());
                    at += 1;
                }
                each(run, key, of, count, nan);
            }
        }
        Table::MetricStats => {
            for r in MetricStatRow::from_batch(rows)? {
                each(&r.run_id, &r.key, r.context.as_deref(), r.count, r.nan_count);
            }
        }
        _ => {}
    }
    Ok(())
}

impl SeriesSums {
    /// No point yet.
    pub fn new() -> Self {
        SeriesSums { place: RandomState::new(), nan: RandomState::new(), sums: vec![0; BUCKETS] }
    }

    fn bucket(&self, run: &str, key: &str, context: Option<&str>) -> (usize, u64) {
        let hash = self.place.hash_one((run, key, context));
        ((hash % BUCKETS as u64) as usize, hash)
    }

    /// Takes in rows of one of the two tables.
    pub fn add(&mut self, table: &Table, rows: &RecordBatch) -> Result<(), SchemaMismatch> {
        let mut sums = std::mem::take(&mut self.sums);
        let added = stretches(table, rows, |run, key, context, count, nan| {
            let (bucket, hash) = self.bucket(run, key, context);
            let nan_hash = self.nan.hash_one((run, key, context));
            let sum = hash.wrapping_mul(count as u64).wrapping_add(nan_hash.wrapping_mul(nan as u64));
            let there = &mut sums[bucket];
            *there = if *table == Table::Metrics { there.wrapping_add(sum) } else { there.wrapping_sub(sum) };
        });
        self.sums = sums;
        added
    }

    /// The buckets in which the tables differ; `None` when they fit.
    pub fn different(&self) -> Option<DifferentSeries<'_>> {
        let buckets: BTreeSet<usize> = (0..BUCKETS).filter(|&i| self.sums[i] != 0).collect();
        let all = buckets.len() <= NAMED_BUCKETS;
        let buckets: BTreeSet<usize> = buckets.into_iter().take(NAMED_BUCKETS).collect();
        (!buckets.is_empty()).then(|| DifferentSeries { sums: self, buckets, all, counts: HashMap::new() })
    }
}

/// The series of those buckets, by name.
pub struct DifferentSeries<'a> {
    sums: &'a SeriesSums,
    buckets: BTreeSet<usize>,
    /// Whether there are no more.
    all: bool,
    /// Points and NaN points in `metrics`, then in `metric_stats`.
    counts: HashMap<Series, [(i64, i64); 2]>,
}

impl DifferentSeries<'_> {
    /// Takes in rows of one of the two tables.
    pub fn add(&mut self, table: &Table, rows: &RecordBatch) -> Result<(), SchemaMismatch> {
        stretches(table, rows, |run, key, context, count, nan| {
            if self.buckets.contains(&self.sums.bucket(run, key, context).0) {
                let series = (run.to_string(), key.to_string(), context.map(str::to_string));
                let side = &mut self.counts.entry(series).or_default()[usize::from(*table == Table::MetricStats)];
                *side = (side.0 + count, side.1 + nan);
            }
        })
    }

    /// Says which series differ.
    pub fn report(self, report: &mut VerifyReport) {
        let mut wrong: Vec<_> = self.counts.iter().filter(|(_, [points, stats])| points != stats).collect();
        wrong.sort();
        let Some(((run, key, _), [(points, _), (stats, _)])) = wrong.first() else { return };
        let n = if wrong.len() == 1 { "one series".to_string() } else { format!("{} series", wrong.len()) };
        let n = if self.all { n } else { format!("at least {n}") };
        let points = plural(*points as u64, "point");
        let problem = format!(
            "does not fit table metrics in {n}; the first is '{key}' of run '{run}', with {points} in one and {stats} in \
             the other"
        );
        report.find(layout::table(&Table::MetricStats), problem, "statistics of series");
    }
}

/// Hashes of run ids in memory at once: 64 MiB.
const RUNS_AT_ONCE: u64 = 4 << 20;

/// Calls with the path of a file and the run ids of some of its rows, for each file of a table.
pub trait Ids {
    /// Reads the run ids of a table.
    async fn each(&self, table: &Table, seen: &mut dyn FnMut(&str, &str)) -> Result<()>;
}

/// Checks that each run has one row in `runs`, and that no other table, nor the cut, knows of others.
///
/// `complete` is false where some rows could not be read, so that what is missing proves nothing.
pub async fn runs(
    ids: &impl Ids,
    count: u64,
    tables: &[Table],
    cut: &Cut,
    complete: bool,
    report: &mut VerifyReport,
) -> Result<()> {
    let parts = count / RUNS_AT_ONCE + 1;
    let states = [RandomState::new(), RandomState::new()];
    let hash = |id: &str| (u128::from(states[0].hash_one(id)) << 64) | u128::from(states[1].hash_one(id));
    let mut strangers: BTreeMap<Table, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut unknown: BTreeSet<&str> = BTreeSet::new();
    for part in 0..parts {
        let mine = |hash: u128| hash % u128::from(parts) == u128::from(part);
        let mut known: Vec<u128> = Vec::new();
        ids.each(&Table::Runs, &mut |_, id| known.extend(Some(hash(id)).filter(|h| mine(*h)))).await?;
        known.sort_unstable();
        let twice: BTreeSet<u128> = known.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if !twice.is_empty() {
            let mut places: BTreeMap<String, String> = BTreeMap::new();
            ids.each(&Table::Runs, &mut |path, id| {
                if twice.contains(&hash(id)) {
                    places.insert(id.to_string(), path.to_string());
                }
            })
            .await?;
            for (run, path) in places {
                report.find(path, format!("holds run '{run}' a second time"), format!("the row of run '{run}'"));
            }
        }
        if !complete {
            continue;
        }
        let is_unknown = |id: &str| {
            let hash = hash(id);
            mine(hash) && known.binary_search(&hash).is_err()
        };
        for table in tables {
            ids.each(table, &mut |path, id| {
                if is_unknown(id) {
                    let (_, runs) = strangers.entry(table.clone()).or_insert_with(|| (path.into(), BTreeSet::new()));
                    runs.insert(id.to_string());
                }
            })
            .await?;
        }
        let named = cut.open_runs.iter().map(|o| o.run.as_str()).chain(cut.hidden_runs.iter().map(String::as_str));
        unknown.extend(named.filter(|id| is_unknown(id)));
    }
    for (table, (path, runs)) in strangers {
        let runs = some(runs.iter().map(String::as_str));
        report.find(path, format!("holds rows of runs that table runs lacks: {runs}"), format!("table {table}"));
    }
    if !unknown.is_empty() {
        let problem = format!("names runs that table runs lacks: {}", some(unknown));
        report.find(layout::cut(cut.n), problem, "which runs have not ended or are deleted");
    }
    Ok(())
}
