//! Stop rules: what the median rule would have saved on real learning curves and what it would have cost, and how long a training
//! loop waits for an answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Bench;
use super::common::Random;
use super::timing::{median, shown, time};
use runlake::gate::stop::{DEFAULT_MIN_RUNS, StopAnswer, behind_median, parse_rules};
use runlake::{Goal, Metrics, RunOptions, Status, Store};

/// The metric that a workload is judged by, and its goal.
const JUDGED: [(&str, &str, Goal); 6] = [
    ("wmt", "validation/bleu", Goal::Max),
    ("fastmri", "validation/ssim", Goal::Max),
    ("imagenet", "validation/accuracy", Goal::Max),
    ("ogbg", "validation/mean_average_precision", Goal::Max),
    ("librispeech", "validation/wer", Goal::Min),
    ("criteo", "validation/loss", Goal::Min),
];

/// Runs start one after the other in a random order; the figures are means over so many orders.
const ORDERS: u64 = 5;

/// A curve, by step; values that are not finite are left out, as the rule does.
struct Curve {
    steps: Vec<f64>,
    values: Vec<f64>,
}

/// What others see of a run: its steps, and at each what it is compared by.
struct Seen {
    steps: Vec<f64>,
    compared: Vec<f64>,
}

/// What a run is compared with.
#[derive(Clone, Copy, PartialEq)]
enum Against {
    /// The others' running averages: the rule.
    Averages,
    /// The others' values at the step, as Optuna's pruner has it.
    Values,
}

/// Replays the rule over the curves.
pub fn replay(bench: &mut Bench) {
    let data = std::env::var_os("RUNLAKE_BENCH_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("learning_curves");
    if !folder.join("metrics.parquet").is_file() {
        return bench.note("skipped: there is no learning_curves/metrics.parquet in RUNLAKE_BENCH_DATA");
    }
    let sweeps = read(&folder);
    let curves: usize = sweeps.values().map(|(_, curves)| curves.len()).sum();
    bench
        .note(&format!("{curves} curves of a judged metric in {} sweeps (workload, framework, ruleset)", sweeps.len()));
    let mut recommended = None;
    for against in [Against::Averages, Against::Values] {
        bench.note(match against {
            Against::Averages => "against the median of the others' running averages:",
            Against::Values => "were it the median of the others' values at the step:",
        });
        for after in [0.0, 0.05, 0.1, 0.25] {
            let found = total(&sweeps, after, against);
            bench.note(&format!(
                "  after {:>2.0}% of the longest run: {:.0} runs stopped, {:.1}% of the steps saved; \
                 the best run lost in {:.1} of {} sweeps, of the best tenth {:.1} of {}",
                after * 100.0,
                found.stopped,
                100.0 * found.saved,
                found.best_lost,
                sweeps.len(),
                found.top_lost,
                found.top
            ));
            if after == 0.1 && against == Against::Averages {
                recommended = Some(found);
            }
        }
    }
    let found = recommended.expect("it is among them");
    let share = found.best_lost / sweeps.len() as f64;
    bench.mark(
        "median rule after 10%: steps saved; best runs lost",
        format!("{:.1}%; {:.1} of {}", 100.0 * found.saved, found.best_lost, sweeps.len()),
        ">= 10%; <= 2%",
        found.saved >= 0.1 && share <= 0.02,
    );
}

type Sweeps = BTreeMap<String, (Goal, Vec<Curve>)>;

#[derive(Default)]
struct Outcome {
    stopped: f64,
    saved: f64,
    best_lost: f64,
    top_lost: f64,
    top: usize,
}

fn total(sweeps: &Sweeps, after: f64, against: Against) -> Outcome {
    let mut sum = Outcome::default();
    let (mut steps, mut saved) = (0.0, 0.0);
    for order in 0..ORDERS {
        let mut random = Random::new(order + 1);
        for (goal, curves) in sweeps.values() {
            let mut queue: Vec<usize> = (0..curves.len()).collect();
            for i in (1..queue.len()).rev() {
                queue.swap(i, random.below(i as u64 + 1) as usize);
            }
            let stops = sweep(*goal, curves, &queue, after, against);
            let finals: Vec<f64> = curves.iter().map(|curve| best(*goal, &curve.values)).collect();
            // A run is lost when it was stopped before it had its best value.
            let lost = |i: usize| stops[i].is_some_and(|at| best(*goal, &curves[i].values[..=at]) != finals[i]);
            let mut ranked: Vec<usize> = (0..curves.len()).collect();
            ranked.sort_by(|a, b| match goal {
                Goal::Max => finals[*b].total_cmp(&finals[*a]),
                Goal::Min => finals[*a].total_cmp(&finals[*b]),
            });
            let top = curves.len().div_ceil(10);
            sum.best_lost += f64::from(u8::from(lost(ranked[0])));
            sum.top_lost += ranked[..top].iter().filter(|i| lost(**i)).count() as f64;
            sum.top += top;
            for (curve, stop) in curves.iter().zip(&stops) {
                let last = curve.steps.last().copied().unwrap_or(0.0);
                steps += last;
                if let Some(at) = stop {
                    saved += last - curve.steps[*at];
                    sum.stopped += 1.0;
                }
            }
        }
    }
    let orders = ORDERS as f64;
    Outcome {
        stopped: sum.stopped / orders,
        saved: saved / steps,
        best_lost: sum.best_lost / orders,
        top_lost: sum.top_lost / orders,
        top: sum.top / ORDERS as usize,
    }
}

fn best(goal: Goal, values: &[f64]) -> f64 {
    let of = if goal == Goal::Max { f64::max } else { f64::min };
    values.iter().copied().reduce(of).unwrap_or(f64::NAN)
}

/// The point at which each run of a sweep is stopped before its end. Later runs see of a stopped one what it had until then.
fn sweep(goal: Goal, curves: &[Curve], queue: &[usize], after: f64, against: Against) -> Vec<Option<usize>> {
    let longest = curves.iter().filter_map(|curve| curve.steps.last().copied()).fold(0.0, f64::max);
    let mut seen: Vec<Seen> = Vec::new();
    let mut stops = vec![None; curves.len()];
    for &i in queue {
        let curve = &curves[i];
        let mut reached = curve.values.len();
        for at in 0..curve.values.len() - 1 {
            let step = curve.steps[at];
            if after > 0.0 && step <= after * longest {
                continue;
            }
            let mut others: Vec<f64> = seen.iter().filter_map(|run| run.up_to(step)).collect();
            if (others.len() as u64) < DEFAULT_MIN_RUNS {
                continue;
            }
            let so_far = best(goal, &curve.values[..=at]);
            if behind_median(goal, so_far, &mut others).is_some_and(|behind| behind.stop) {
                stops[i] = Some(at);
                reached = at + 1;
                break;
            }
        }
        let mut sum = 0.0;
        let compared = curve.values[..reached].iter().enumerate().map(|(n, value)| {
            sum += value;
            if against == Against::Averages { sum / (n + 1) as f64 } else { *value }
        });
        seen.push(Seen { compared: compared.collect(), steps: curve.steps[..reached].to_vec() });
    }
    stops
}

impl Seen {
    /// What the run is compared by at a step, where it came so far.
    fn up_to(&self, step: f64) -> Option<f64> {
        let points = self.steps.partition_point(|s| *s <= step);
        let reached = self.steps.last().is_some_and(|last| *last >= step);
        (reached && points > 0).then(|| self.compared[points - 1])
    }
}

fn read(folder: &Path) -> Sweeps {
    let mut sweep_of: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for batch in batches(&folder.join("runs.parquet")) {
        let columns: Vec<_> = ["run_id", "workload", "leaderboard", "ruleset"].map(|name| texts(&batch, name)).into();
        for i in 0..batch.num_rows() {
            let value = |c: usize| (!columns[c].is_null(i)).then(|| columns[c].as_string::<i32>().value(i).to_string());
            let (Some(run), Some(workload)) = (value(0), value(1)) else { continue };
            let Some(judged) = JUDGED.iter().position(|(prefix, ..)| workload.starts_with(prefix)) else { continue };
            let sweep = format!("{workload} {} {}", value(2).unwrap_or_default(), value(3).unwrap_or_default());
            sweep_of.insert(run, (sweep, judged));
        }
    }
    let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for batch in batches(&folder.join("metrics.parquet")) {
        let (ids, keys) = (texts(&batch, "run_id"), texts(&batch, "metric"));
        let (ids, keys) = (ids.as_string::<i32>(), keys.as_string::<i32>());
        let (steps, values) = (doubles(&batch, "step"), doubles(&batch, "value"));
        let (steps, values) = (steps.as_primitive::<Float64Type>(), values.as_primitive::<Float64Type>());
        for i in 0..batch.num_rows() {
            let judged = sweep_of.get(ids.value(i)).is_some_and(|(_, judged)| JUDGED[*judged].1 == keys.value(i));
            if judged && values.value(i).is_finite() {
                points.entry(ids.value(i).to_string()).or_default().push((steps.value(i), values.value(i)));
            }
        }
    }
    let mut sweeps = Sweeps::new();
    for (run, mut points) in points {
        let (sweep, judged) = &sweep_of[&run];
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (steps, values) = points.into_iter().unzip();
        let entry = sweeps.entry(sweep.clone()).or_insert_with(|| (JUDGED[*judged].2, Vec::new()));
        entry.1.push(Curve { steps, values });
    }
    sweeps
}

fn batches(path: &Path) -> impl Iterator<Item = RecordBatch> {
    let file = File::open(path).expect("it is a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).expect("it is Parquet");
    reader.map(|batch| batch.expect("it can be read"))
}

fn column(batch: &RecordBatch, name: &str, to: &DataType) -> arrow::array::ArrayRef {
    let found = batch.column_by_name(name).unwrap_or_else(|| panic!("it has a column {name}"));
    cast(found, to).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn texts(batch: &RecordBatch, name: &str) -> arrow::array::ArrayRef {
    column(batch, name, &DataType::Utf8)
}

fn doubles(batch: &RecordBatch, name: &str) -> arrow::array::ArrayRef {
    column(batch, name, &DataType::Float64)
}

const RULES: &str = "-- rule: behind\n-- metric: val_loss\n-- stop when: median of others at this step\n\
    -- rule: stalled\n-- metric: val_loss\n-- stop when: no improvement in 20 steps\n\
    -- rule: broken\n-- metric: loss\n-- stop when: not a number\n";

/// Asks about a live run beside 10,000 sealed ones of the same experiment, 30 points each of two metrics.
pub fn ask(bench: &mut Bench) {
    let store = Store::create(bench.place("stopping")).expect("the folder is empty");
    store.set_goal("sweep", "val_loss", Goal::Min).expect("it can be logged");
    let mut random = Random::new(11);
    let mut curve = |name: String, steps: i64| {
        let run = store.start_run(RunOptions::new("sweep").name(name)).expect("it can be logged");
        for step in 0..steps {
            let loss = random.unit() + 1.0 / (step + 1) as f64;
            let metrics = Metrics::new().value("loss", loss).value("val_loss", loss * 1.1).step(step);
            run.log_metrics(metrics).expect("it can be logged");
        }
        run
    };
    for n in 0..10_000 {
        curve(format!("run-{n}"), 30).finish(Status::Finished).expect("it can be logged");
    }
    bench.runtime.block_on(store.seal()).expect("it can be sealed");
    let live = curve("live".to_string(), 15);
    store.flush().expect("the disk takes it");
    let rules = parse_rules(RULES).expect("they are rules");
    let answer = || {
        let asked = async {
            let session = store.session().await?;
            StopAnswer::ask(&session, live.id(), &rules, &[], None).await
        };
        time(|| drop(bench.runtime.block_on(asked).expect("it can be asked")))
    };
    answer();
    let library = median((0..15).map(|_| answer()).collect());
    let file = bench.place("stop.sql");
    std::fs::write(&file, RULES).expect("the disk takes it");
    let process = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
        command.args(["--store", store.place(), "check", "--run", live.id().as_str(), "--stop-rules", &file]);
        time(|| {
            let output = command.output().expect("it can be started");
            // To go on or to stop; anything else is no answer.
            assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
        })
    };
    process();
    let command = median((0..15).map(|_| process()).collect());
    let met = library.max(command) < Duration::from_millis(100);
    let figure = format!("{}; {}", shown(library), shown(command));
    bench.mark("three stop rules, 10,000 runs: library; process", figure, "< 100 ms", met);
}
