//! Every order in which the steps of several processes, a writer, a reader and crashes can happen.

use std::collections::{HashMap, VecDeque};

use super::protocol::{At, Reader, Rules, Store, TABLES, Task, Version, Worker, Wrong, check};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    workers: Vec<Worker>,
    reader: Reader,
    /// Records that are still to be logged.
    to_log: u8,
    /// How many more processes may die.
    crashes: u8,
}

/// Where the search begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// Records that a writer logs, each into a segment of its own, at any time.
    pub records: u8,
    /// How many of them are sealed one by one before, so that there is something to join.
    pub before: u8,
    pub workers: Vec<Task>,
    pub crashes: u8,
    pub reader: bool,
}

/// What went wrong, and how it came to it.
#[derive(Debug)]
pub struct Violation {
    pub what: Wrong,
    pub steps: Vec<String>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} after {:#?}", self.what, self.steps)
    }
}

/// A store of so many records that were sealed one by one.
pub fn sealed(records: u8) -> Store {
    let mut store = Store::default();
    for _ in 0..records {
        log(&mut store);
        let mut worker = Worker::new(Task::Seal);
        while worker.at != At::End {
            worker.step(&mut store, &Rules::ALL);
        }
    }
    store
}

fn initial(start: &Start) -> State {
    State {
        store: sealed(start.before),
        workers: start.workers.iter().map(|task| Worker::new(*task)).collect(),
        reader: if start.reader { Reader::Begin } else { Reader::End },
        to_log: start.records,
        crashes: start.crashes,
    }
}

/// Logs one more record.
pub fn log(store: &mut Store) {
    let record = 1 << store.logged.count_ones();
    store.logged |= record;
    store.segments |= record;
}

/// The same state with files numbered in the order in which they are found, so that states which only differ in who wrote
/// first are one.
fn renumbered(mut state: State) -> State {
    let mut numbers = HashMap::new();
    let mut number = |id: &mut u8| {
        let next = numbers.len() as u8 + 1;
        *id = *numbers.entry(*id).or_insert(next);
    };
    let version = |v: &mut Version, number: &mut dyn FnMut(&mut u8)| v.files.iter_mut().for_each(|f| number(&mut f.id));
    for table in &mut state.store.tables {
        table.iter_mut().for_each(|v| version(v, &mut number));
    }
    // Who of those that do the same is called what matters as little.
    state.workers.sort();
    for work in state.store.batches.iter_mut().chain(state.workers.iter_mut().flat_map(Worker::works)) {
        work.files().into_iter().for_each(|file| number(&mut file.id));
    }
    for worker in &mut state.workers {
        worker.loose_files().into_iter().for_each(|file| number(&mut file.id));
    }
    state.store.files = numbers.len() as u8;
    state
}

/// Looks at every state that can be reached; gives their number.
pub fn explore(start: &Start, rules: &Rules) -> Result<usize, Box<Violation>> {
    let mut known: HashMap<State, usize> = HashMap::new();
    // For each state, the one it came from, and by which step.
    let mut came: Vec<(usize, String)> = Vec::new();
    let mut queue = VecDeque::new();
    let first = renumbered(initial(start));
    known.insert(first.clone(), 0);
    came.push((0, "the beginning".to_string()));
    queue.push_back((first, 0));
    while let Some((state, number)) = queue.pop_front() {
        let mut successors: Vec<(State, String)> = Vec::new();
        let mut wrong = None;
        if state.to_log > 0 {
            let mut next = state.clone();
            log(&mut next.store);
            next.to_log -= 1;
            successors.push((next, "a record is logged".to_string()));
        }
        for (i, worker) in state.workers.iter().enumerate().filter(|(_, worker)| worker.at != At::End) {
            let mut next = state.clone();
            let step = next.workers[i].step(&mut next.store, rules);
            successors.push((next, format!("{:?} {i}: {step:?}", worker.task)));
            if state.crashes > 0 && worker.at != Worker::new(worker.task).at {
                let mut next = state.clone();
                next.workers[i] = Worker::new(worker.task);
                next.crashes -= 1;
                successors.push((next, format!("{:?} {i} dies, and another begins", worker.task)));
            }
        }
        if state.reader != Reader::End {
            let mut next = state.clone();
            match next.reader.step(&state.store, rules) {
                Ok(step) => successors.push((next, format!("reader: {step:?}"))),
                Err(found) => wrong = Some((found, "the reader sees it")),
            }
        }
        // With all at rest, the newest state and what is live hold everything once.
        if successors.is_empty() {
            let n = state.store.newest();
            let live = state.store.segments & !state.store.cut(n).sealed;
            let at_rest = (0..TABLES).try_for_each(|table| check(&state.store, table, n, live, state.store.logged));
            wrong = wrong.or(at_rest.err().map(|found| (found, "all are at rest")));
        }
        if let Some((what, last)) = wrong {
            let mut steps = vec![last.to_string()];
            let mut at = number;
            while at != 0 {
                steps.push(came[at].1.clone());
                at = came[at].0;
            }
            steps.reverse();
            return Err(Box::new(Violation { what, steps }));
        }
        for (next, step) in successors {
            let next = renumbered(next);
            let fresh = known.len();
            if let std::collections::hash_map::Entry::Vacant(entry) = known.entry(next.clone()) {
                entry.insert(fresh);
                came.push((number, step));
                queue.push_back((next, fresh));
            }
        }
    }
    Ok(known.len())
}

/// The rules with one left out, by its name.
pub fn broken() -> [(&'static str, Rules); 6] {
    let all = Rules::ALL;
    [
        ("looks_for_operation", Rules { looks_for_operation: false, ..all }),
        ("commits_on_what_it_read", Rules { commits_on_what_it_read: false, ..all }),
        ("swaps_what_is_there", Rules { swaps_what_is_there: false, ..all }),
        ("removes_after_cut", Rules { removes_after_cut: false, ..all }),
        ("lists_before_cut", Rules { lists_before_cut: false, ..all }),
        ("begins_again", Rules { begins_again: false, ..all }),
    ]
}
