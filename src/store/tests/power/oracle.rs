//! What the store is to show, from a list of what was logged and how much of it each writer got through.

use std::collections::BTreeMap;

use crate::model::{RunId, Status};
use crate::store::testing::disk::Dice;
use crate::store::{Metrics, Result, Run, RunOptions, Store};

/// One record. Each changes what is shown, so that an answer tells how many of them there are.
#[derive(Debug, Clone)]
pub enum Op {
    Start(usize),
    Point(usize, &'static str, i64, f64),
    Param(usize, usize),
    Tag(usize, usize),
    Untag(usize),
    Text(usize, i64),
    Rows(usize, i64),
    File(usize, usize),
    Finish(usize),
    Delete(usize),
    Restore(usize),
    Rename(usize),
}

#[derive(Debug, Clone, Default)]
struct Logged {
    ended: bool,
    deleted: bool,
    points: BTreeMap<&'static str, Vec<(i64, f64)>>,
    params: Vec<usize>,
    tag: Option<usize>,
    texts: Vec<i64>,
    rows: Vec<i64>,
    files: Vec<usize>,
}

/// Everything that was logged, as a plain value.
#[derive(Debug, Clone, Default)]
pub struct World {
    runs: BTreeMap<usize, Logged>,
    /// How often the one experiment was renamed last.
    name: usize,
}

pub fn id(run: usize) -> RunId {
    RunId::parse(&format!("r{run:03}")).unwrap()
}

fn experiment(name: usize) -> String {
    format!("e{name}")
}

fn content(n: usize) -> Vec<u8> {
    vec![b'x'; n * 50]
}

impl Op {
    pub fn run(&self) -> Option<usize> {
        match *self {
            Op::Start(run)
            | Op::Point(run, ..)
            | Op::Param(run, _)
            | Op::Tag(run, _)
            | Op::Untag(run)
            | Op::Text(run, _)
            | Op::Rows(run, _)
            | Op::File(run, _)
            | Op::Finish(run)
            | Op::Delete(run)
            | Op::Restore(run) => Some(run),
            Op::Rename(_) => None,
        }
    }

    /// Whether it is durable when it returns.
    pub fn syncs(&self) -> bool {
        matches!(self, Op::Finish(_) | Op::Delete(_) | Op::Restore(_) | Op::Rename(_))
    }

    /// Something to log next. Numbers come from `n`, which is never the same twice.
    pub fn any(dice: &mut Dice, world: &World, owned: &dyn Fn(usize) -> bool, n: usize) -> Op {
        let open: Vec<usize> = world.runs.iter().filter(|(r, l)| owned(**r) && !l.deleted).map(|(r, _)| *r).collect();
        let gone: Vec<usize> = world.runs.iter().filter(|(r, l)| owned(**r) && l.deleted).map(|(r, _)| *r).collect();
        if open.is_empty() || open.len() < 6 && dice.one_in(6) {
            return Op::Start(n);
        }
        let run = open[dice.below(open.len())];
        let logged = &world.runs[&run];
        match dice.below(16) {
            0 => Op::Param(run, n),
            1 => Op::Tag(run, n),
            2 if logged.tag.is_some() => Op::Untag(run),
            3 => Op::Text(run, n as i64),
            4 => Op::Rows(run, n as i64),
            5 => Op::File(run, n),
            6 if !logged.ended => Op::Finish(run),
            7 if open.len() > 2 => Op::Delete(run),
            8 if !gone.is_empty() => Op::Restore(gone[dice.below(gone.len())]),
            k => Op::Point(run, ["loss", "auc"][k % 2], dice.below(5) as i64, n as f64 + 0.5),
        }
    }

    /// Logs it.
    pub fn log(&self, store: &Store, world: &World, runs: &mut BTreeMap<usize, Run>) -> Result<()> {
        if let Op::Start(run) = self {
            let options = RunOptions::new(experiment(world.name)).id(id(*run));
            runs.insert(*run, store.start_run(options)?);
            return Ok(());
        }
        if let Op::Rename(to) = self {
            return store.rename_experiment(&experiment(world.name), &experiment(*to));
        }
        let number = self.run().expect("the others are of a run");
        match self {
            Op::Delete(_) => return store.delete_run(&id(number)),
            Op::Restore(_) => return store.restore_run(&id(number)),
            _ => {}
        }
        let run = match runs.get(&number) {
            Some(run) => run.clone(),
            None => {
                let run = store.attach(id(number))?;
                runs.insert(number, run.clone());
                run
            }
        };
        match *self {
            Op::Point(_, key, step, value) => run.log_metrics(Metrics::new().value(key, value).step(step)),
            Op::Param(_, n) => run.log_param(format!("p{n}"), n as i64),
            Op::Tag(_, n) => run.set_tag("tag", n.to_string()),
            Op::Untag(_) => run.remove_tag("tag"),
            Op::Text(_, n) => run.log_text("text", n, "text"),
            Op::Rows(_, n) => {
                let column = arrow::array::Int64Array::from(vec![n, -n]);
                let rows = arrow::array::RecordBatch::try_from_iter([("n", std::sync::Arc::new(column) as _)]);
                run.log_table("rows", &rows.unwrap())
            }
            Op::File(_, n) => run.log_artifact_bytes(&format!("f{n}"), &content(n)).map(|_| ()),
            Op::Finish(_) => run.finish(Status::Finished),
            Op::Start(_) | Op::Delete(_) | Op::Restore(_) | Op::Rename(_) => unreachable!("done above"),
        }
    }
}

impl World {
    pub fn apply(&mut self, op: &Op) {
        if let Op::Rename(to) = op {
            self.name = *to;
            return;
        }
        let run = self.runs.entry(op.run().expect("the others are of a run")).or_default();
        match *op {
            Op::Start(_) => {}
            Op::Point(_, key, step, value) => run.points.entry(key).or_default().push((step, value)),
            Op::Param(_, n) => run.params.push(n),
            Op::Tag(_, n) => run.tag = Some(n),
            Op::Untag(_) => run.tag = None,
            Op::Text(_, n) => run.texts.push(n),
            Op::Rows(_, n) => run.rows.push(n),
            Op::File(_, n) => run.files.push(n),
            Op::Finish(_) => run.ended = true,
            Op::Delete(_) => run.deleted = true,
            Op::Restore(_) => run.deleted = false,
            Op::Rename(_) => unreachable!("done above"),
        }
    }

    /// Numbers of the runs.
    pub fn runs(&self) -> impl Iterator<Item = usize> {
        self.runs.keys().copied()
    }

    /// What is shown of the experiment.
    pub fn experiment(&self) -> String {
        experiment(self.name)
    }

    /// What is shown of a run when nobody is alive.
    pub fn lines(&self, run: usize) -> Vec<String> {
        let Some(logged) = self.runs.get(&run).filter(|run| !run.deleted) else { return Vec::new() };
        let mut lines = vec![format!("runs {}", if logged.ended { "FINISHED" } else { "CRASHED" })];
        for (key, points) in &logged.points {
            lines.extend(points.iter().map(|(step, value)| format!("metrics {key} {step} {value:?}")));
            let min = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
            let max = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
            lines.push(format!("metric_stats {key} {} {min:?} {max:?}", points.len()));
        }
        lines.extend(logged.params.iter().map(|n| format!("params p{n} {n}")));
        lines.extend(logged.tag.iter().map(|n| format!("tags tag {n}")));
        lines.extend(logged.texts.iter().map(|n| format!("series text {n} text")));
        lines.extend(logged.rows.iter().flat_map(|n| [format!("frames.rows {n}"), format!("frames.rows -{n}")]));
        for n in &logged.files {
            lines.push(format!("artifacts f{n} {} {}", n * 50, blake3::hash(&content(*n)).to_hex()));
        }
        lines.sort();
        lines
    }

    /// The files that runs which are shown have logged, relative to the store, with their sizes.
    pub fn files(&self) -> impl Iterator<Item = (String, usize)> {
        let shown = self.runs.iter().filter(|(_, logged)| !logged.deleted);
        shown.flat_map(|(run, logged)| {
            logged.files.iter().map(|n| (format!("artifacts/{}/f{n}", id(*run)), content(*n).len()))
        })
    }
}
