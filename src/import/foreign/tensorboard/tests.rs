//! Log folders made by hand with every trap that has been seen. `tests/import/compare_tensorboard.py` has real writers make some.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::super::testing::{bring, only_source, reason, walked};
use super::super::{Kind, open};
use super::proto::*;
use super::record::framed;
use crate::Store;
use crate::store::ForeignRun;

const FIRST: &str = "events.out.tfevents.1700000000.host.1.0.v2";
const SECOND: &str = "events.out.tfevents.1700000500.host.2.0.v2";

fn event(step: i64) -> Event {
    Event { wall_time: 1_700_000_000.0 + step as f64, step, ..Event::default() }
}

fn version() -> Event {
    Event { wall_time: 1_700_000_000.0, file_version: Some("brain.Event:2".to_string()), ..Event::default() }
}

fn valued(step: i64, values: Vec<Value>) -> Event {
    let value = values.iter().map(|value| Bytes::from(value.encode_to_vec())).collect();
    Event { summary: Some(Summary { value }), ..event(step) }
}

fn simple(tag: &str, value: f32) -> Value {
    Value { tag: tag.to_string(), simple_value: Some(value), ..Value::default() }
}

fn plugin(name: &str, content: Vec<u8>) -> Option<Box<SummaryMetadata>> {
    let plugin_data = Some(PluginData { plugin_name: name.to_string(), content: content.into() });
    Some(Box::new(SummaryMetadata { plugin_data, ..SummaryMetadata::default() }))
}

fn scalar(step: i64, tag: &str, value: f32) -> Event {
    valued(step, vec![simple(tag, value)])
}

fn file(path: &Path, events: &[Event]) -> Vec<u8> {
    let bytes: Vec<u8> = events.iter().flat_map(|event| framed(&event.encode_to_vec())).collect();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, &bytes).unwrap();
    bytes
}

fn points(run: &ForeignRun) -> Vec<String> {
    run.points.iter().map(|p| format!("{} {} {}", p.key, p.step.whole().unwrap(), p.value)).collect()
}

/// A log folder with a run of each kind.
fn folder_in(root: &Path) {
    let tensor = |value: f32| Tensor { dtype: 1, float_val: vec![value], ..Tensor::default() };
    let new = |step, value, metadata| {
        let tensor = Some(Box::new(tensor(value)));
        valued(step, vec![Value { tag: "loss".to_string(), tensor, metadata, ..Value::default() }])
    };
    // Metadata stands beside the first value only; the second file belongs to the same run.
    file(&root.join("new").join(FIRST), &[version(), new(0, 0.5, plugin("scalars", vec![])), new(1, 0.25, None)]);
    file(&root.join("new").join(SECOND), &[version(), new(2, f32::NAN, None), scalar(2, "acc", 0.1)]);
    fs::write(root.join("new/notes.txt"), "no events").unwrap();

    let any = |kind| Any { kind: Some(kind) };
    let start = SessionStart {
        hparams: BTreeMap::from([
            ("lr".to_string(), any(AnyKind::Number(0.01))),
            ("opt".to_string(), any(AnyKind::Text("adam".to_string()))),
            ("bn".to_string(), any(AnyKind::Bool(true))),
            ("spelt".to_string(), any(AnyKind::Text("1e-05".to_string()))),
            ("none".to_string(), any(AnyKind::Null(0))),
        ]),
        group_name: "g1".to_string(),
        start_time_secs: 1_699_999_999.5,
        ..SessionStart::default()
    };
    let name = Some(MetricName { group: String::new(), tag: "loss".to_string() });
    let experiment =
        Experiment { metric_infos: vec![MetricInfo { name, ..MetricInfo::default() }], ..Experiment::default() };
    let end = SessionEnd { status: 2, end_time_secs: 1_700_000_009.0 };
    let said = |tag: &str, data: HParams| {
        valued(
            0,
            vec![Value { tag: tag.to_string(), metadata: plugin("hparams", data.encode_to_vec()), ..Value::default() }],
        )
    };
    file(
        &root.join("tuned").join(FIRST),
        &[
            version(),
            said("_hparams_/experiment", HParams { experiment: Some(experiment), ..HParams::default() }),
            said("_hparams_/session_start_info", HParams { session_start_info: Some(start), ..HParams::default() }),
            scalar(3, "loss", 0.125),
            said("_hparams_/session_end_info", HParams { session_end_info: Some(end), ..HParams::default() }),
        ],
    );
    let words =
        Tensor { dtype: 7, string_val: vec![Bytes::from_static("zwei wörter".as_bytes())], ..Tensor::default() };
    let histo = Histogram { min: 0.0, max: 2.0, bucket_limit: vec![1.0, 2.0], bucket: vec![3.0, 4.0] };
    file(
        &root.join("tuned/validation").join(FIRST),
        &[
            version(),
            valued(
                1,
                vec![
                    Value {
                        tag: "words".to_string(),
                        tensor: Some(Box::new(words)),
                        metadata: plugin("text", vec![]),
                        ..Value::default()
                    },
                    Value { tag: "weights".to_string(), histo: Some(Box::new(histo)), ..Value::default() },
                    Value { tag: "picture".to_string(), image: Some(Bytes::from_static(b"png")), ..Value::default() },
                ],
            ),
            Event { graph_def: Some(Bytes::from_static(b"graph")), ..event(0) },
        ],
    );
}

#[test]
fn folders_are_runs_and_their_files_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("logs");
    folder_in(&root);
    let all = walked(&*only_source(&root), reason);
    assert_eq!(all.losses, [""; 0]);
    assert_eq!(
        all.notes,
        ["graphs (1, in 1 of the runs) are not imported", "images (1, in 1 of the runs) are not imported"]
    );
    let [new, tuned, below] = all.runs.as_slice() else { panic!("{:?}", all.runs) };
    let names: Vec<_> = all.runs.iter().map(|run| run.start.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["new", "tuned", "tuned/validation"]);
    assert_eq!(points(new), ["loss 0 0.5", "loss 1 0.25", "loss 2 NaN", "acc 2 0.10000000149011612"]);
    assert_eq!((new.status.as_str(), new.end_time.unwrap().0), ("FINISHED", 1_700_000_002_000_000));
    assert_eq!((tuned.status.as_str(), tuned.end_time.unwrap().0), ("FAILED", 1_700_000_009_000_000));
    assert_eq!(tuned.start.start_time.0, 1_699_999_999_500_000);
    let params: Vec<_> = tuned.params.iter().map(|(k, v)| format!("{k} {} {:?}", v.type_name(), v.text())).collect();
    assert_eq!(
        params,
        [
            "bn bool Some(\"true\")",
            "lr float Some(\"0.01\")",
            "none null None",
            "opt text Some(\"adam\")",
            "spelt float Some(\"1e-05\")"
        ]
    );
    assert!(
        tuned.environment.iter().any(|(k, v)| k == "tensorboard.hparams.experiment" && v.contains("\"tag\":\"loss\""))
    );
    assert_eq!(below.start.parent.as_ref(), Some(tuned.id()));
    let series: Vec<_> = below.series.iter().map(|p| format!("{} {} {}", p.key, p.kind.as_str(), p.payload)).collect();
    assert_eq!(series, ["words text zwei wörter", r#"weights histogram {"counts":[3.0,4.0],"edges":[0.0,1.0,2.0]}"#]);
}

#[tokio::test]
async fn a_restart_sets_points_aside_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let (clean, followed) = (dir.path().join("clean"), dir.path().join("followed"));
    let (clean, followed) = (Store::create(clean).unwrap(), Store::create(followed).unwrap());
    let begin = Event { session_log: Some(SessionLog { status: 1, ..SessionLog::default() }), ..event(2) };
    let before: Vec<Event> = (0..5).map(|step| scalar(step, "loss", step as f32)).collect();
    file(&root.join(FIRST), &[&[version()], before.as_slice()].concat());
    assert_eq!(bring(&root, &followed).await.added[Kind::Points], 5);
    file(&root.join(SECOND), &[version(), begin, scalar(2, "loss", 20.0), scalar(3, "loss", 30.0)]);
    let all = walked(&*only_source(&root), reason);
    let void: Vec<_> = all.runs[0].points.iter().filter(|p| p.context.is_some()).map(|p| p.value).collect();
    assert_eq!((all.runs[0].points.len(), void), (7, vec![2.0, 3.0, 4.0]));
    assert_eq!(all.runs[0].series[0].payload, "START");
    assert!(all.notes[0].starts_with("it was restarted: 3 points"), "{:?}", all.notes);
    // What came along before the restart stays where it is, and does not come again.
    for (store, new) in [(&clean, 7), (&followed, 2), (&clean, 0), (&followed, 0)] {
        assert_eq!(bring(&root, store).await.added[Kind::Points], new);
    }

    // Without a version, a step that goes back hides later ones of the same tag.
    file(&root.join(FIRST), &[before.as_slice(), &[scalar(0, "acc", 0.5), scalar(2, "loss", 20.0)]].concat());
    fs::remove_file(root.join(SECOND)).unwrap();
    assert!(walked(&*only_source(&root), reason).notes[0].starts_with("it was restarted: 3 points"));
}

#[tokio::test]
async fn a_run_that_is_being_written_is_followed_and_may_be_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (root, store) = (dir.path().join("logs"), Store::create(dir.path().join("store")).unwrap());
    let events: Vec<Event> = (0..40).map(|step| scalar(step, "loss", step as f32)).collect();
    let path = root.join("a").join(FIRST);
    let whole = file(&path, &[&[version()], events.as_slice()].concat());
    let mut found = 0;
    for part in [0, 30, 1000, 1007, whole.len()] {
        fs::write(&path, &whole[..part]).unwrap();
        let report = bring(&root, &store).await;
        assert_eq!(report.losses(), 0);
        found += report.added[Kind::Points];
        assert_eq!(report.found[Kind::Points], found);
    }
    assert_eq!(found, 40);
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(root.join("a"), dir.path().join("a")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(dir.path().join("a"), elsewhere.join("a")).unwrap();
    for place in [elsewhere.clone(), elsewhere.join("a"), elsewhere.join("a").join(FIRST)] {
        let again = bring(&place, &store).await;
        assert_eq!((again.added[Kind::Runs], again.added[Kind::Points]), (0, 0), "{place:?}");
    }
    // A copy under the same name is another run.
    fs::create_dir_all(elsewhere.join("b/a")).unwrap();
    fs::copy(elsewhere.join("a").join(FIRST), elsewhere.join("b/a").join(FIRST)).unwrap();
    let copy = bring(&elsewhere, &store).await;
    assert_eq!((copy.added[Kind::Runs], copy.losses()), (1, 0));
    assert_eq!(bring(&elsewhere, &store).await.added[Kind::Runs], 0);
}

#[test]
fn damage_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("logs");
    folder_in(&root);
    let path = root.join("new").join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 10] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::write(root.join("new/events.out.tfevents.9.jsonl.gz"), [0x1f_u8; 100]).unwrap();
    fs::create_dir(root.join("none")).unwrap();
    fs::write(root.join("none").join(FIRST), [7_u8; 100]).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", root.join("new/events.out.tfevents.link")).unwrap();
    file(&root.join("odd").join(FIRST), &[Event { wall_time: f64::NAN, ..scalar(1, "x", 1.0) }, scalar(2, "", 1.0)]);
    let garbage = framed(&[0xff, 0xff, 0xff]);
    fs::write(root.join("odd").join(SECOND), garbage).unwrap();
    let all = walked(&*only_source(&root), reason);
    let has = |list: &[String], start: &str| assert!(list.iter().any(|s| s.starts_with(start)), "{start}: {list:?}");
    has(&all.losses, "it is no file; links are not followed");
    has(&all.losses, &format!("damaged at byte {}: a record of", end - 47));
    has(&all.losses, "damaged at byte 0: the length of a record has checksum 07070707");
    has(&all.losses, "a record is no event");
    has(&all.losses, "1 of its values left out: NaN is no time in seconds");
    has(&all.losses, "1 of its values left out: it has no tag");
    assert_eq!(all.losses.len(), 6);
    has(&all.notes, "it is no event file, for all that its name says");
    has(&all.notes, "there is no event in its files yet");
    assert_eq!(points(&all.runs[0]), ["loss 0 0.5", "loss 2 NaN", "acc 2 0.10000000149011612"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_bytes_are_an_error_or_told(
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..6),
        cut in prop::option::of(0.0..1.0_f64),
        fix in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        folder_in(dir.path());
        let path = dir.path().join("tuned").join(FIRST);
        let damage = |bytes: &mut Vec<u8>| {
            for (at, byte) in &changes {
                let place = (at * bytes.len() as f64) as usize;
                bytes[place] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate((cut * bytes.len() as f64) as usize);
            }
        };
        let mut bytes = fs::read(&path).unwrap();
        if fix {
            // Past the checksums: into the messages.
            let mut records = super::record::Records::open(&path).unwrap();
            bytes.clear();
            while let super::record::Next::Record(content) = records.next().unwrap() {
                let mut content = content.to_vec();
                damage(&mut content);
                bytes.extend(framed(&content));
            }
        } else {
            damage(&mut bytes);
        }
        fs::write(&path, bytes).unwrap();
        let found = open(dir.path().to_str().unwrap(), None).unwrap();
        let all = walked(&*found[0], reason);
        prop_assert!(all.runs.iter().any(|run| run.start.name.as_deref() == Some("new")));
    }

    #[test]
    fn any_message_is_an_error_or_an_event(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FIRST), framed(&bytes)).unwrap();
        walked(&*open(dir.path().to_str().unwrap(), None).unwrap()[0], reason);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let mut list = Any { kind: Some(AnyKind::Bool(true)) };
    for _ in 0..60 {
        list = Any { kind: Some(AnyKind::List(ListValue { values: vec![list] })) };
    }
    let mut bytes = list.encode_to_vec();
    // Far deeper than a message that can be built without running out of stack.
    for _ in 0..5_000 {
        let inner = bytes;
        bytes = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend(inner);
        let list = bytes;
        bytes = vec![0x32];
        prost::encoding::encode_varint(list.len() as u64, &mut bytes);
        bytes.extend(list);
    }
    assert!(Any::decode(bytes.as_slice()).is_err());
}
