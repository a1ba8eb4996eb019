//! The protocol of operations as a model, every order of whose steps is looked at; and the real code held against it.
//!
//! The model ([`protocol`]) has sealers without a lock, compactors, a reader, a writer, and crashes at any step; [`explore`]
//! goes through all states that can be reached. That the real operations take the same steps is seen by running both on the
//! same schedules: another process at every change that one makes, with the first going on after it or dead.

mod explore;
mod protocol;

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::reopened::shown;
use crate::model::RunId;
use crate::store::testing::disk::{Disk, Event, Process};
use crate::store::*;
use explore::{Start, broken, explore, log, sealed};
use protocol::{At, Rules, Step, Task, Worker, check};

fn start(before: u8, records: u8, workers: &[Task], crashes: u8) -> Start {
    Start { records, before, workers: workers.to_vec(), crashes, reader: true }
}

#[test]
fn in_no_order_of_steps_is_a_record_lost_or_there_twice() {
    use Task::{Compact, Seal};
    let mut starts = vec![
        start(0, 1, &[Seal, Seal], 1),
        start(0, 2, &[Seal, Seal], 0),
        start(2, 0, &[Seal, Seal, Compact], 1),
        start(2, 1, &[Seal, Compact], 1),
        start(2, 0, &[Compact, Compact], 1),
    ];
    if std::env::var_os("RUNLAKE_CRASH_ROUNDS").is_some() {
        starts.push(start(1, 1, &[Seal, Seal, Compact], 1));
    }
    let mut all = 0;
    for start in starts {
        let states = explore(&start, &Rules::ALL).unwrap_or_else(|violation| panic!("{start:?}: {violation}"));
        println!("{states} states of {start:?}");
        all += states;
    }
    assert!(all > 200_000, "{all} states");
}

#[test]
fn without_any_one_of_the_rules_the_model_goes_wrong() {
    use Task::{Compact, Seal};
    for (name, rules) in broken() {
        let workers: &[Task] = if name == "swaps_what_is_there" { &[Compact, Compact] } else { &[Seal, Compact] };
        let records = u8::from(name != "swaps_what_is_there");
        let found = explore(&start(2, records, workers, 1), &rules);
        let violation = found.err().unwrap_or_else(|| panic!("nothing is wrong without {name}"));
        println!("without {name}: {:?} after {} steps", violation.what, violation.steps.len());
    }
}

/// The step of the model that a change of a real process is; `None` for changes that the model does not have.
fn step(event: &Event, made: bool) -> Option<Step> {
    let table = |path: &str| match path.split('/').next() {
        Some("metrics") => Some(0),
        Some("runs") => Some(1),
        _ => None,
    };
    let inside = |path: &Path| path.strip_prefix("/store").unwrap().to_str().unwrap().to_string();
    match event {
        Event::Remove(path) if made && path.extension().is_some_and(|e| e == "seg") => Some(Step::RemoveSegments),
        Event::Link(_, to) => {
            let path = inside(to);
            let name = path.rsplit('/').next().unwrap();
            if path.starts_with("live/batch-") {
                Some(Step::CreateBatch { made })
            } else if path.starts_with("cuts/") {
                Some(Step::CreateCut { made })
            } else if path.contains("/_delta_log/") && layout::commit_version(name).is_some() {
                table(&path).filter(|_| made).map(|table| Step::Commit { table, made })
            } else if path.ends_with(".parquet") && path.contains("/month=") {
                table(&path).map(Step::WriteFile)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Another process, and when it comes in between.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    first: Task,
    second: Task,
    /// Before which change of the first, 0 being its first one.
    at: usize,
    /// Whether the first is dead then.
    dies: bool,
}

/// What two processes changed, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    first: Vec<Step>,
    /// `None`: the first ended before the second was to come.
    second: Option<Vec<Step>>,
}

/// Does the next step; gives it where it changes something that can be seen of the real thing. There a commit that is too
/// late is noticed before it is tried, and what is gone is not removed again.
fn change(worker: &mut Worker, store: &mut protocol::Store) -> Option<Step> {
    let changing = worker.changes();
    let before = store.segments;
    match worker.step(store, &Rules::ALL) {
        Step::Commit { made: false, .. } => None,
        Step::RemoveSegments if store.segments == before => None,
        step => changing.then_some(step),
    }
}

fn to_its_end(mut worker: Worker, store: &mut protocol::Store) -> Vec<Step> {
    let mut changes = Vec::new();
    while worker.at != At::End {
        changes.extend(change(&mut worker, store));
    }
    changes
}

fn modelled(schedule: Schedule, store: &mut protocol::Store) -> Changes {
    let mut changes = Changes::default();
    let mut first = Worker::new(schedule.first);
    while first.at != At::End {
        if first.changes() && changes.first.len() == schedule.at && changes.second.is_none() {
            changes.second = Some(to_its_end(Worker::new(schedule.second), store));
            if schedule.dies {
                break;
            }
        }
        changes.first.extend(change(&mut first, store));
    }
    changes
}

/// Does the real thing, in a thread of its own since it may be called from within another.
fn real_task(process: &Process, task: Task) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = Store::open_at(process.io(), "s".into(), WriterOptions::default())?;
    runtime.block_on(async {
        match task {
            Task::Seal => ops::seal(store.tables()).await.map(|_| ()),
            Task::Compact => store.compact(2).await.map(|_| ()),
        }
    })
}

fn real(schedule: Schedule, disk: &Disk) -> Changes {
    let changes = Arc::new(Mutex::new(Changes::default()));
    let process = disk.process();
    let (told, other, me) = (Arc::clone(&changes), disk.clone(), process.clone());
    process.watch(move |event, made| match made {
        Some(made) => told.lock().unwrap().first.extend(step(event, made)),
        None if step(event, true).is_some() => {
            let due = {
                let mut told = told.lock().unwrap();
                let due = told.first.len() == schedule.at && told.second.is_none();
                if due {
                    told.second = Some(Vec::new());
                }
                due
            };
            if due {
                if schedule.dies {
                    me.kill();
                }
                let process = other.process();
                let seen = Arc::clone(&told);
                process.watch(move |event, made| {
                    if let Some(step) = made.and_then(|made| step(event, made)) {
                        seen.lock().unwrap().second.as_mut().unwrap().push(step);
                    }
                });
                let done = std::thread::spawn(move || real_task(&process, schedule.second)).join().unwrap();
                done.unwrap_or_else(|e| panic!("{schedule:?}: the second: {e}"));
            }
        }
        None => {}
    });
    let done = real_task(&process, schedule.first);
    assert!(done.is_ok() || process.is_dead(), "{schedule:?}: {done:?}");
    std::mem::take(&mut *changes.lock().unwrap())
}

/// A store like one of the model: two records that were sealed one by one, and one that is live, each in a segment.
async fn like_the_model() -> Disk {
    let disk = Disk::new();
    Store::create_at(disk.io(), "s".into()).unwrap();
    let id = RunId::parse("r").unwrap();
    for n in 0..3 {
        let process = disk.process();
        let store = Store::open_at(process.io(), "s".into(), WriterOptions::default()).unwrap();
        // The run does not end, so that its rows stay in the file that every seal replaces.
        let run = match n {
            0 => store.start_run(RunOptions::new("e").id(id.clone())).unwrap(),
            _ => store.attach(id.clone()).unwrap(),
        };
        run.log_metric_at("loss", n as f64, n).unwrap();
        store.flush().unwrap();
        process.kill();
        if n < 2 {
            ops::seal(&delta::Tables::new(disk.io())).await.unwrap();
        }
    }
    disk
}

#[test]
fn the_real_operations_take_the_steps_of_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prepared = runtime.block_on(like_the_model());
    let before = runtime.block_on(shown(&prepared));
    assert_eq!(before["r"].iter().filter(|line| line.starts_with("metrics ")).count(), 3);
    let mut schedules = 0;
    for (first, second) in
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| ([Task::Seal, Task::Compact][a], [Task::Seal, Task::Compact][b]))
    {
        for dies in [false, true] {
            for at in 0.. {
                let schedule = Schedule { first, second, at, dies };
                let mut store = sealed(2);
                log(&mut store);
                let expected = modelled(schedule, &mut store);
                let disk = prepared.branch();
                assert_eq!(real(schedule, &disk), expected, "{schedule:?}");
                assert_eq!(runtime.block_on(shown(&disk)), before, "{schedule:?}");
                let cut = cut::Cut::newest(disk.io().as_ref()).unwrap();
                assert_eq!(cut.n, store.newest() as u64, "{schedule:?}");
                let live = store.segments & !store.cut(store.newest()).sealed;
                for table in 0..protocol::TABLES {
                    check(&store, table, store.newest(), live, store.logged).unwrap();
                }
                let snapshot = snapshot::Snapshot::newest(delta::Tables::new(disk.io())).unwrap();
                assert_eq!(snapshot.live().points.len(), live.count_ones() as usize, "{schedule:?}");
                if expected.second.is_none() {
                    break;
                }
                schedules += 1;
            }
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 30);
}
