//! Points of metrics that are not sealed yet: collected in the order of logging, given out sorted like the table.
//!
//! They come by the million, so names are numbers, and what is sorted is series, not points.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, UInt32Type};

use super::parallel;
use crate::model::{Micros, Month, Position, RunId, SeriesStats, Step};
use crate::schema::{MetricRow, Row};

/// One series of a run, with its names as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Series {
    /// Number of the run.
    pub run: u32,
    /// Number of the key.
    pub key: u32,
    /// Number of the context; [`NO_CONTEXT`] for none.
    pub context: u32,
}

/// The number of no context.
pub const NO_CONTEXT: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Point {
    series: u32,
    step: Step,
    time: Micros,
    value: f64,
}

/// Collects points.
#[derive(Debug, Default)]
pub struct PointsBuilder {
    names: Vec<Arc<str>>,
    name_numbers: HashMap<Arc<str>, u32>,
    series: Vec<Series>,
    series_numbers: HashMap<Series, u32>,
    points: Vec<Point>,
}

impl PointsBuilder {
    /// The number of a key or a context.
    pub fn name(&mut self, name: &str) -> u32 {
        if let Some(&n) = self.name_numbers.get(name) {
            return n;
        }
        let (n, name) = (self.names.len() as u32, Arc::<str>::from(name));
        self.names.push(Arc::clone(&name));
        self.name_numbers.insert(name, n);
        n
    }

    /// The number of a series of a run. `guess` is looked at first: a training loop logs the same keys over and over.
    pub fn series(&mut self, run: u32, context: u32, key: &str, guess: Option<u32>) -> u32 {
        if let Some(guess) = guess {
            let series = self.series[guess as usize];
            if series.context == context && series.run == run && &*self.names[series.key as usize] == key {
                return guess;
            }
        }
        let series = Series { run, key: self.name(key), context };
        let next = self.series.len() as u32;
        let n = *self.series_numbers.entry(series).or_insert(next);
        if n == next {
            self.series.push(series);
        }
        n
    }

    /// Adds a point.
    pub fn push(&mut self, series: u32, step: Step, time: Micros, value: f64) {
        self.points.push(Point { series, step, time, value });
    }

    /// Number of points so far.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Number of series so far.
    pub fn series_len(&self) -> usize {
        self.series.len()
    }

    /// Groups the points by series.
    pub fn finish(self) -> Points {
        let PointsBuilder { names, series, points, .. } = self;
        let mut starts = vec![0u32; series.len() + 1];
        for point in &points {
            starts[point.series as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut by_series = vec![0u32; points.len()];
        for (i, point) in points.iter().enumerate() {
            let place = &mut next[point.series as usize];
            by_series[*place as usize] = i as u32;
            *place += 1;
        }
        Points { names, series, points, starts, by_series }
    }
}

/// Points of many series, grouped.
#[derive(Debug, Default)]
pub struct Points {
    names: Vec<Arc<str>>,
    series: Vec<Series>,
    points: Vec<Point>,
    // The points of series `n` are those that `by_series` names from `starts[n]` to `starts[n + 1]`, as logged.
    starts: Vec<u32>,
    by_series: Vec<u32>,
}

/// How many series one task of [`Points::stats`] takes on.
const SERIES_PER_TASK: usize = 1024;

impl Points {
    /// A key or a context.
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number as usize).map(|name| &**name)
    }

    /// Number of points.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    fn of(&self, series: usize) -> &[u32] {
        &self.by_series[self.starts[series] as usize..self.starts[series + 1] as usize]
    }

    /// Every series with its statistics.
    pub fn stats(&self) -> impl Iterator<Item = (Series, SeriesStats)> + '_ {
        let tasks = self.series.len().div_ceil(SERIES_PER_TASK);
        let stats = parallel::each(tasks, |task| {
            let from = task * SERIES_PER_TASK;
            let to = (from + SERIES_PER_TASK).min(self.series.len());
            (from..to).map(|series| self.stats_of(series)).collect::<Vec<_>>()
        });
        self.series.iter().copied().zip(stats.into_iter().flatten())
    }

    fn stats_of(&self, series: usize) -> SeriesStats {
        let position = |&point: &u32| {
            let Point { step, time, value, .. } = self.points[point as usize];
            Position { step, time, value }
        };
        let mut points = self.of(series).iter().map(position);
        let mut stats = SeriesStats::new(points.next().expect("a series begins with a point"));
        points.for_each(|point| stats.add(point));
        stats
    }

    /// The points in the order of the table, by month. `filed` says where a run belongs, by its number; points of a run
    /// that belongs nowhere are left out. `runs` are the runs by number.
    pub fn sorted<'a>(
        &'a self,
        runs: &'a [RunId],
        filed: impl Fn(u32) -> Option<(Month, &'a str)>,
    ) -> BTreeMap<Month, SortedPoints<'a>> {
        let filed: Vec<_> = (0..runs.len() as u32).map(filed).collect();
        let by_run = ranks(runs.iter().map(RunId::as_str));
        let by_name = ranks(self.names.iter().map(|name| &**name));
        let by_experiment = ranks(filed.iter().map(|f| f.map_or("", |(_, experiment)| experiment)));
        let name_rank = |n: u32| by_name.get(n as usize).map_or(0, |rank| rank + 1);
        let mut order: Vec<_> = (0..self.series.len())
            .filter_map(|n| {
                let Series { run, key, context } = self.series[n];
                let (month, _) = filed[run as usize]?;
                let run = run as usize;
                Some((month, by_experiment[run], name_rank(key), by_run[run], name_rank(context), n as u32))
            })
            .collect();
        order.sort_unstable();
        let mut months: BTreeMap<Month, SortedPoints<'a>> = BTreeMap::new();
        // Series of one run and key that differ in their context share the order of their steps.
        for group in order.chunk_by(|a, b| (a.0, a.1, a.2, a.3) == (b.0, b.1, b.2, b.3)) {
            let sorted = months.entry(group[0].0).or_insert_with(|| SortedPoints::new(self, runs, &filed));
            let begin = sorted.order.len();
            for &(.., series) in group {
                sorted.order.extend_from_slice(self.of(series as usize));
            }
            let steps = |&point: &u32| self.points[point as usize].step.whole();
            let added = &mut sorted.order[begin..];
            if !added.is_sorted_by_key(steps) {
                added.sort_by_key(steps);
            }
        }
        months
    }
}

/// The place of each text among all different ones.
fn ranks<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<u32> {
    let mut different: Vec<&str> = texts.clone().collect();
    different.sort_unstable();
    different.dedup();
    let places: HashMap<&str, u32> = different.into_iter().zip(0..).collect();
    texts.map(|text| places[text]).collect()
}

/// Points in the order of their table, all of one month.
pub struct SortedPoints<'a> {
    points: &'a Points,
    order: Vec<u32>,
    runs: ArrayRef,
    experiments: ArrayRef,
    names: ArrayRef,
}

impl<'a> SortedPoints<'a> {
    fn new(points: &'a Points, runs: &[RunId], filed: &[Option<(Month, &str)>]) -> Self {
        let text = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
        SortedPoints {
            points,
            order: Vec::new(),
            runs: text(runs.iter().map(RunId::as_str).collect()),
            // One for each run, not for each experiment: a number less to look up.
            experiments: text(filed.iter().map(|f| f.map_or("", |(_, experiment)| experiment)).collect()),
            names: text(points.names.iter().map(|name| &**name).collect()),
        }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The columns, as the table declares them.
    pub fn schema(&self) -> SchemaRef {
        MetricRow::schema()
    }

    /// Some rows of one column; text comes as a dictionary.
    pub fn column(&self, column: usize, rows: Range<usize>) -> ArrayRef {
        let order = &self.order[rows];
        let points = order.iter().map(|&point| &self.points.points[point as usize]);
        let series = points.clone().map(|point| &self.points.series[point.series as usize]);
        let names = MetricRow::columns();
        match names[column].name {
            "run_id" => text(series.map(|s| s.run).collect(), &self.runs),
            "experiment_id" => text(series.map(|s| s.run).collect(), &self.experiments),
            "key" => text(series.map(|s| s.key).collect(), &self.names),
            "context" => {
                let valid: NullBuffer = series.clone().map(|s| s.context != NO_CONTEXT).collect();
                let keys: Vec<u32> = series.map(|s| if s.context == NO_CONTEXT { 0 } else { s.context }).collect();
                let keys = UInt32Array::new(keys.into(), Some(valid).filter(|valid| valid.null_count() > 0));
                Arc::new(dictionary(keys, &self.names))
            }
            "step" => Arc::new(Int64Array::from_iter(points.map(|p| p.step.whole()))),
            "x" => Arc::new(Float64Array::from_iter(points.map(|p| p.step.fraction()))),
            "time" => {
                let times = TimestampMicrosecondArray::from_iter_values(points.map(|p| p.time.0));
                Arc::new(times.with_timezone("UTC"))
            }
            "value" => Arc::new(Float64Array::from_iter_values(points.map(|p| p.value))),
            other => unreachable!("metrics has no column {other}"),
        }
    }

    /// The smallest and the greatest text in a column that holds one in every row.
    pub fn range(&self, column: &str) -> Option<(String, String)> {
        let values = match column {
            "run_id" => &self.runs,
            "experiment_id" => &self.experiments,
            "key" => &self.names,
            _ => return None,
        };
        let values = values.as_string::<i32>();
        let mut seen = vec![false; values.len()];
        for &point in &self.order {
            let series = &self.points.series[self.points.points[point as usize].series as usize];
            seen[if column == "key" { series.key } else { series.run } as usize] = true;
        }
        let texts = || (0..values.len()).filter(|&i| seen[i]).map(|i| values.value(i));
        Some((texts().min()?.to_string(), texts().max()?.to_string()))
    }

    /// All rows, with the types of the table.
    pub fn to_batch(&self) -> RecordBatch {
        let schema = self.schema();
        let columns = schema.fields().iter().enumerate().map(|(i, field)| {
            let column = self.column(i, 0..self.len());
            match field.data_type() {
                DataType::Utf8 => cast(&column, &DataType::Utf8).expect("a dictionary of text is text"),
                _ => column,
            }
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("the columns follow the schema")
    }
}

fn text(keys: Vec<u32>, values: &ArrayRef) -> ArrayRef {
    Arc::new(dictionary(UInt32Array::from(keys), values))
}

fn dictionary(keys: UInt32Array, values: &ArrayRef) -> DictionaryArray<UInt32Type> {
    DictionaryArray::new(keys, Arc::clone(values))
}
