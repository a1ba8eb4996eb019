use proptest::prelude::*;

use super::*;
use crate::model::{Step, WriterId};

fn run() -> RunId {
    RunId::parse("r1").unwrap()
}

fn version(time: i64, writer: u128, sequence: u64) -> Version {
    Version { time: Micros(time), writer: WriterId(writer), sequence }
}

fn tag(set: &[(&str, &str)], remove: &[&str]) -> Record {
    Record::Tags {
        run: run(),
        set: set.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect(),
        remove: remove.iter().map(|k| k.to_string()).collect(),
    }
}

fn start(time: i64) -> Record {
    Record::Start(RunStart::new(run(), "e", Micros(time)))
}

fn finish(status: Status) -> Record {
    Record::Finish { run: run(), status, end_time: Micros(9), error: None }
}

#[test]
fn the_first_value_of_a_param_stays_and_the_other_is_told() {
    let mut state = RunState::new(run());
    let set = |v: i64| Record::Params { run: run(), values: vec![("lr".into(), v.into())] };
    state.apply(version(5, 1, 0), set(2));
    state.apply(version(3, 2, 0), set(1));
    let conflict = state.param_conflicts().next().unwrap();
    assert_eq!((conflict.kept, conflict.refused), (&1.into(), &2.into()));
}

#[test]
fn a_run_that_starts_again_is_running_until_it_ends_again() {
    let mut state = RunState::new(run());
    state.apply(version(1, 1, 0), start(1));
    state.apply(version(2, 1, 1), finish(Status::Finished));
    assert_eq!(state.status(), Status::Finished);
    state.apply(version(3, 1, 2), start(3));
    assert_eq!((state.status(), state.end_time(), state.start_time()), (Status::Running, None, Micros(1)));
    state.apply(version(4, 1, 3), finish(Status::Failed));
    assert_eq!(state.status(), Status::Failed);
}

fn any_record() -> impl Strategy<Value = Record> {
    let key = prop_oneof![Just("a"), Just("b")];
    prop_oneof![
        (key.clone(), any::<bool>(), 0i64..3).prop_map(|(k, remove, v)| if remove {
            tag(&[], &[k])
        } else {
            tag(&[(k, &v.to_string())], &[])
        }),
        (key.clone(), 0i64..3).prop_map(|(k, v)| Record::Params { run: run(), values: vec![(k.into(), v.into())] }),
        (key, 0i64..4, -2.0f64..2.0).prop_map(|(k, step, v)| Record::Metrics(crate::model::MetricPoints {
            run: run(),
            context: None,
            step: Step::At(step),
            time: Micros(0),
            values: vec![(k.into(), v)],
        })),
        Just(Record::Delete { run: run() }),
        Just(Record::Restore { run: run() }),
        Just(finish(Status::Finished)),
        Just(start(1)),
    ]
}

proptest! {
    /// Whatever the order and however the history is split, the run is the same.
    #[test]
    fn any_order_and_any_split_give_one_state(
        records in prop::collection::vec((any_record(), 0i64..5, 1u128..3), 1..25),
        order in any::<u64>(),
        cut in 0usize..25,
    ) {
        let versioned: Vec<_> =
            records.into_iter().enumerate().map(|(i, (r, t, w))| (version(t, w, i as u64), r)).collect();
        let mut forward = RunState::new(run());
        for (v, r) in &versioned {
            forward.apply(*v, r.clone());
        }
        let mut shuffled = versioned.clone();
        let mut seed = order | 1;
        for i in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let cut = cut.min(shuffled.len());
        let (mut left, mut right) = (RunState::new(run()), RunState::new(run()));
        shuffled[..cut].iter().for_each(|(v, r)| left.apply(*v, r.clone()));
        shuffled[cut..].iter().for_each(|(v, r)| right.apply(*v, r.clone()));
        left.merge(right);
        prop_assert_eq!(view(&left), view(&forward));
    }
}

fn view(state: &RunState) -> String {
    let metrics: Vec<_> = state.metrics().map(|(k, _, s)| (k, s.last(), s.min(), s.mean(), s.count())).collect();
    let conflicts: Vec<_> = state.param_conflicts().map(|c| (c.key, c.refused.text())).collect();
    let params: Vec<_> = state.params().map(|(k, v)| (k, v.text())).collect();
    let tags: Vec<_> = state.tags().collect();
    format!("{:?} {:?} {params:?} {conflicts:?} {tags:?} {metrics:?}", state.status(), state.is_deleted())
}
