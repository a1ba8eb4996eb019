//! What the store holds of a group of runs, to compare a source with: each table is read once for all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::foreign::ForeignPoint;
use super::rows;
use crate::model::{Micros, RunId, RunState, SeriesPoint};
use crate::schema::{MetricRow, Row, SeriesRow, Table};
use crate::store::copy::frame_columns;
use crate::store::error::{Result, StoreError};
use crate::store::frame;
use crate::store::merge::{self, Merged};
use crate::store::missing::{Multiset, canonical_bits, subtract};
use crate::store::snapshot::Snapshot;

/// What the store holds of a group of runs.
pub(super) struct Known {
    runs: BTreeSet<RunId>,
    merged: Option<Merged>,
    points: Points,
    series: BTreeMap<RunId, Vec<SeriesRow>>,
    frames: BTreeMap<String, Frame>,
}

impl Known {
    /// Reads it; of tables that runs logged, those that are named.
    pub async fn read(snapshot: &Snapshot, runs: BTreeSet<RunId>, frames: BTreeSet<String>) -> Result<Known> {
        let mut known =
            Known { merged: None, points: Points::default(), series: BTreeMap::new(), frames: BTreeMap::new(), runs };
        if known.runs.is_empty() {
            return Ok(known);
        }
        known.merged = Some(merge::merge_runs(snapshot, &known.runs).await?);
        known.points = Points::read(snapshot, &known.runs).await?;
        for row in rows::rows::<SeriesRow>(snapshot, &Table::Series, Some(&known.runs)).await? {
            known.series.entry(RunId::parse(&row.run_id)?).or_default().push(row);
        }
        for name in frames {
            if let Some(frame) = Frame::read(snapshot, &name, &known.runs).await? {
                known.frames.insert(name, frame);
            }
        }
        Ok(known)
    }

    pub fn state(&self, run: &RunId) -> Option<&RunState> {
        let merged = self.merged.as_ref().filter(|_| self.runs.contains(run))?;
        merged.runs.get(run).map(|run| &run.state)
    }

    /// The points of a run that are not here as often as it has them. One whose context is `superseded` may be here
    /// without it.
    pub fn new_points<'a>(
        &mut self,
        run: &RunId,
        points: &'a [ForeignPoint],
        superseded: Option<&Arc<str>>,
    ) -> Vec<&'a ForeignPoint> {
        let Points { names, of_run } = &mut self.points;
        let Some(known) = of_run.get_mut(run) else { return points.iter().collect() };
        // Points of a series follow each other, and share its names.
        let mut last: Option<(&ForeignPoint, [Option<u32>; 2])> = None;
        let mut new = Vec::new();
        for p in points {
            let context = p.context.as_ref();
            let is_same = |(other, _): &(&ForeignPoint, _)| {
                Arc::ptr_eq(&other.key, &p.key) && other.context.as_ref().map(Arc::as_ptr) == context.map(Arc::as_ptr)
            };
            let series = match last.filter(is_same) {
                Some((_, series)) => series,
                None => {
                    let was_moved = superseded.is_some() && context == superseded;
                    let bare = was_moved.then(|| names.find(&p.key, None)).flatten();
                    [names.find(&p.key, context.map(|c| &**c)), bare]
                }
            };
            last = Some((p, series));
            if !series.into_iter().flatten().any(|series| known.take(&Point::of(p, series))) {
                new.push(p);
            }
        }
        new
    }

    /// The points of series of a run that are not here as often as it has them.
    pub fn new_series<'a>(&self, run: &RunId, points: &'a [SeriesPoint]) -> Vec<&'a SeriesPoint> {
        let mut known: Multiset<SeriesKey<'_>> = Multiset::default();
        let there = self.series.get(run);
        for r in there.into_iter().flatten() {
            known.add((&r.key, r.step, r.x.map(f64::to_bits), r.time, &r.kind, &r.payload));
        }
        let mut new = Vec::new();
        for p in points {
            let (step, x) = (p.step.whole(), p.step.fraction().map(f64::to_bits));
            if !known.take(&(&p.key, step, x, p.time, p.kind.as_str(), &p.payload)) {
                new.push(p);
            }
        }
        new
    }

    /// The table that runs of the group logged; its rows are compared with [`Frame::new_rows`].
    pub fn frame(&self, name: &str) -> Option<&Frame> {
        self.frames.get(name)
    }
}

/// What makes two points of series of a run the same.
type SeriesKey<'a> = (&'a str, Option<i64>, Option<u64>, Micros, &'a str, &'a str);

/// Names of series, as numbers.
#[derive(Default)]
struct Names(HashMap<Arc<str>, HashMap<Option<Arc<str>>, u32>>, u32);

impl Names {
    fn number(&mut self, key: &str, context: Option<&str>) -> u32 {
        if let Some(number) = self.find(key, context) {
            return number;
        }
        self.1 += 1;
        self.0.entry(key.into()).or_default().insert(context.map(Arc::from), self.1);
        self.1
    }

    fn find(&self, key: &str, context: Option<&str>) -> Option<u32> {
        let of_key = self.0.get(key)?;
        match context {
            None => of_key.get(&None).copied(),
            Some(context) => of_key.get(&Some(Arc::from(context))).copied(),
        }
    }
}

/// What makes two points of a run the same.
#[derive(PartialEq, Eq, Hash)]
struct Point {
    series: u32,
    step: Option<i64>,
    x: Option<u64>,
    time: Micros,
    value: u64,
}

impl Point {
    fn of(p: &ForeignPoint, series: u32) -> Point {
        let (step, x) = (p.step.whole(), p.step.fraction().map(f64::to_bits));
        Point { series, step, x, time: p.time, value: canonical_bits(p.value) }
    }
}

/// Points of metrics, by run.
#[derive(Default)]
struct Points {
    names: Names,
    of_run: HashMap<RunId, Multiset<Point>>,
}

impl Points {
    async fn read(snapshot: &Snapshot, runs: &BTreeSet<RunId>) -> Result<Points> {
        let mut points = Points::default();
        rows::stream(snapshot, &Table::Metrics, &MetricRow::schema(), runs, |batch| points.add(&batch)).await?;
        Ok(points)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str| batch.column_by_name(name).expect("the columns were asked for");
        let [ids, keys, contexts] = ["run_id", "key", "context"].map(|name| column(name).as_string::<i32>());
        let steps = column("step").as_primitive::<Int64Type>();
        let [xs, values] = ["x", "value"].map(|name| column(name).as_primitive::<Float64Type>());
        let times = column("time").as_primitive::<TimestampMicrosecondType>();
        let context = |i: usize| contexts.is_valid(i).then(|| contexts.value(i));
        let same = |a: usize, b: usize| {
            ids.value(a) == ids.value(b) && keys.value(a) == keys.value(b) && context(a) == context(b)
        };
        let mut from = 0;
        while from < batch.num_rows() {
            let to = (from + 1..batch.num_rows()).find(|i| !same(from, *i)).unwrap_or(batch.num_rows());
            let series = self.names.number(keys.value(from), context(from));
            let known = self.of_run.entry(RunId::parse(ids.value(from))?).or_default();
            for i in from..to {
                known.add(Point {
                    series,
                    step: steps.is_valid(i).then(|| steps.value(i)),
                    x: xs.is_valid(i).then(|| xs.value(i).to_bits()),
                    time: Micros(times.value(i)),
                    value: canonical_bits(values.value(i)),
                });
            }
            from = to;
        }
        Ok(())
    }
}

/// A table that runs logged.
pub(super) struct Frame {
    columns: SchemaRef,
    of_run: HashMap<String, Vec<RecordBatch>>,
}

impl Frame {
    async fn read(snapshot: &Snapshot, name: &str, runs: &BTreeSet<RunId>) -> Result<Option<Frame>> {
        let table = Table::Frame(name.to_string());
        let Some(columns) = frame_columns(snapshot, &table).await? else { return Ok(None) };
        let mut fields = vec![Arc::new(Field::new("run_id", DataType::Utf8, true))];
        fields.extend(columns.fields().iter().cloned());
        let mut of_run: HashMap<String, Vec<RecordBatch>> = HashMap::new();
        rows::stream(snapshot, &table, &Arc::new(Schema::new(fields)), runs, |batch| {
            let ids = batch.column(0).as_string::<i32>();
            let logged: Vec<usize> = (1..batch.num_columns()).collect();
            let logged = batch.project(&logged).map_err(StoreError::arrow(&table))?;
            let mut from = 0;
            while from < ids.len() {
                let same = (from..ids.len()).take_while(|&i| ids.value(i) == ids.value(from)).count();
                of_run.entry(ids.value(from).to_string()).or_default().push(logged.slice(from, same));
                from += same;
            }
            Ok(())
        })
        .await?;
        Ok(Some(Frame { columns, of_run }))
    }

    /// The rows of a run that are not here as often as it has them.
    pub fn new_rows(&self, run: &RunId, mine: &RecordBatch, table: &Table) -> Result<RecordBatch> {
        let Some(there) = self.of_run.get(run.as_str()) else { return Ok(mine.clone()) };
        let there = concat_batches(&self.columns, there).map_err(StoreError::arrow(table))?;
        let all = frame::union(&mine.schema(), &self.columns);
        subtract(mine, &there, &all).map_err(StoreError::arrow(table))
    }
}
