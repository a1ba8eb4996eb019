use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Date32Array, Decimal128Array, RecordBatch, TimestampMicrosecondArray};
use proptest::prelude::*;

use super::*;
use crate::import::{LineOptions, LineReader, Lines};
use crate::model::*;
use crate::store::testing::{Dump, dump, log_everything, new_store};
use crate::store::{Metrics, RunOptions};

const WHOLE: RunsOptions = RunsOptions { whole: true, as_of: None, fetch: false };

/// Writes all runs to a folder and logs them into a store of their own.
async fn round_trip(store: &Store, dir: &Path) -> Store {
    let session = store.session().await.unwrap();
    let rows = session.sql("SELECT run_id FROM runs ORDER BY 1").await.unwrap().collect().await.unwrap();
    let ids = rows.iter().flat_map(|batch| {
        let ids: &arrow::array::StringArray = arrow::array::AsArray::as_string(batch.column(0));
        ids.iter().flatten().map(|id| RunId::parse(id).unwrap()).collect::<Vec<_>>()
    });
    let folder = tempfile::tempdir_in(dir).unwrap();
    write_runs(store, &ids.collect::<Vec<_>>(), WHOLE, folder.path(), |_| ()).await.unwrap();

    let other = Store::create(tempfile::tempdir_in(dir).unwrap().keep().join("s")).unwrap();
    let options = LineOptions { folder: folder.path().to_path_buf(), check_only: false };
    let mut reader = LineReader::new(&other, options);
    let mut lines = Lines::new(Box::new(File::open(folder.path().join(LINES)).unwrap())).unwrap();
    while let Some(raw) = lines.next_line().unwrap() {
        let text = raw.text().unwrap();
        reader.feed(raw.number, text).await.unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
    other
}

/// All rows of a store, save the counts of keys, which deleted runs keep.
async fn rows_of(store: &Store) -> Dump {
    let mut rows = dump(store).await;
    rows.remove("keys");
    rows
}

/// `closed`: the writer of the first store is gone, so runs that have not ended have crashed.
async fn same_rows(store: &Store, dir: &Path, closed: bool) {
    let other = round_trip(store, dir).await;
    if closed {
        other.close_segment().unwrap();
    }
    let (mine, theirs) = (rows_of(store).await, rows_of(&other).await);
    assert_eq!(mine.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (table, rows) in &mine {
        assert_eq!(rows, &theirs[table], "{table}");
    }
}

/// What `log_everything` leaves out.
fn log_more(store: &Store) {
    let run = store.start_run(RunOptions::new("first name")).unwrap();
    run.log_params([
        ("big", ParamValue::Int(i128::MIN)),
        ("spelt", ParamValue::from_spelling("1e-05")),
        ("True", ParamValue::from_spelling("True")),
        ("day", ParamValue::Date("2026-11-23".into())),
        ("no day", ParamValue::Date("soon".into())),
        ("time", ParamValue::Time(Micros(1_763_890_200_000_001))),
        ("spaced", ParamValue::List("[1, 2,18446744073709551616]".into())),
        ("no list", ParamValue::List("[1,".into())),
        ("marked", ParamValue::Dict(r#"{"$float":"NaN"}"#.into())),
        ("dict", ParamValue::Dict(r#"{"a":[1,{"b":null}]}"#.into())),
        ("inf", f64::NEG_INFINITY.into()),
        ("zero", (-0.0).into()),
        ("text", "NaN\u{0}\n\"".into()),
    ])
    .unwrap();
    for value in [1.0, 1.0, 2.0] {
        run.log_metrics(Metrics::new().value("twice", value).value("once", value).step(1).time(Micros(5))).unwrap();
    }
    run.log_metrics(Metrics::new().value("far", 1.0).step(i64::MIN)).unwrap();
    run.log_metrics(Metrics::new().value("far", 1.0).step(Step::Between(1e300))).unwrap();
    run.log_link(Link {
        target: RunId::parse("t").unwrap(),
        kind: "member".into(),
        position: None,
        weight: Some(f64::NAN),
        step: Some(-1),
    })
    .unwrap();
    run.log_series(SeriesPoint {
        key: "h".into(),
        step: Step::None,
        time: Micros(-1),
        kind: SeriesKind::Histogram,
        payload: r#"{"edges": [0, 1], "counts": [2], "more": true}"#.into(),
    })
    .unwrap();
    let typed = RecordBatch::try_from_iter([
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00".as_slice()), None])) as ArrayRef),
        ("day", Arc::new(Date32Array::from(vec![20_000, i32::MAX]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(i64::MAX), Some(1)]).with_timezone("UTC"))),
        (
            "price",
            Arc::new(Decimal128Array::from(vec![-1, 10_000]).with_precision_and_scale(10, 2).unwrap()) as ArrayRef,
        ),
        ("none", arrow::array::new_null_array(&arrow::datatypes::DataType::Float64, 2)),
    ])
    .unwrap();
    run.log_table("typed", &typed).unwrap();
    run.log_artifact_bytes("a", b"a file").unwrap();
    run.log_artifact_bytes("a/b", b"in a folder of its name").unwrap();
    run.log_artifact_bytes_as("odd.png", b"", Some(None)).unwrap();
    run.log_artifact_elsewhere("far.bin".into(), "file:///data/far.bin".into(), 7, String::new(), None).unwrap();
    run.set_name(Some("renamed".into())).unwrap();
    run.finish_with(Status::Failed, Some(Micros(9)), Some("out of memory".into())).unwrap();
    store.edit_experiment(experiment("first name", Some("second name"))).unwrap();
    store.start_run(RunOptions::new("first name")).unwrap().finish(Status::Scheduled).unwrap();
    store.edit_experiment(experiment("empty", None)).unwrap();
    let elsewhere = store.start_run(RunOptions::new("e")).unwrap();
    elsewhere.goes_on_elsewhere(None).unwrap();
    store
        .declare_goal(MetricGoal {
            experiment: "e".into(),
            key: "auc".into(),
            goal: Goal::Max,
            source: "imported".into(),
            unit: Some("1".into()),
            description: Some("d".into()),
        })
        .unwrap();
    let deleted = store.start_run(RunOptions::new("e")).unwrap();
    deleted.log_param("gone", 1).unwrap();
    store.delete_run(deleted.id()).unwrap();
}

fn experiment(name: &str, rename: Option<&str>) -> ExperimentEdit {
    ExperimentEdit {
        experiment: name.into(),
        set: vec![("owner".into(), Some("ä".into())), ("bare".into(), None)],
        remove: Vec::new(),
        repeat_keys: Some(vec!["seed".into(), "big".into()]),
        deleted: None,
        rename: rename.map(str::to_string),
    }
}

#[tokio::test]
async fn a_store_that_holds_everything_comes_back_row_by_row() {
    let (dir, store) = new_store();
    log_everything(&store, "e", 1).finish(Status::Finished).unwrap();
    log_everything(&store, "e", 2);
    log_more(&store);
    same_rows(&store, dir.path(), false).await;
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    same_rows(&store, dir.path(), true).await;
    log_everything(&store, "e", 3).finish(Status::Killed).unwrap();
    same_rows(&store, dir.path(), false).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_or_gone_is_told_and_hides_nothing_else() {
    let (dir, store) = new_store();
    let run = log_everything(&store, "e", 1);
    for name in ["a/gone.bin", "sound.bin"] {
        run.log_artifact_bytes(name, b"content").unwrap();
    }
    let files = dir.path().join("s/artifacts").join(run.id().as_str());
    std::fs::write(files.join("model/weights.bin"), "other").unwrap();
    std::fs::remove_file(files.join("a/gone.bin")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = RunsOptions::default();
    let written = write_runs(&store, &[run.id().clone()], options, folder.path(), |_| ()).await.unwrap();
    let [gone, damaged] = written.lost.as_slice() else { panic!("{:?}", written.lost) };
    assert_eq!((&gone.run, gone.path.as_str(), damaged.path.as_str()), (run.id(), "a/gone.bin", "model/weights.bin"));
    assert!(damaged.reason.contains("is damaged"), "{damaged:?}");
    let lines = std::fs::read_to_string(folder.path().join(LINES)).unwrap();
    assert!(lines.contains("sound.bin") && !lines.contains("weights.bin") && !lines.contains("gone.bin"), "{lines}");
    let copied = folder.path().join(FILES).join(run.id().as_str());
    assert_eq!(std::fs::read(copied.join("sound.bin")).unwrap(), b"content");
    assert!(!copied.join("model/weights.bin").exists() && !copied.join("a/gone.bin").exists());

    let folder = tempfile::tempdir().unwrap();
    let unknown = write_runs(&store, &[RunId::parse("x").unwrap()], options, folder.path(), |_| ()).await;
    assert!(matches!(unknown, Err(RunsError::Store(StoreError::RunNotFound { .. }))), "{unknown:?}");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), r#"[ -~]{0,12}"#, Just(r#"{"$runlake.int":"1"}"#.to_string())]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", any::<String>()].prop_filter("keys are not empty, and none is '_'", |key| {
        !key.is_empty() && key != crate::schema::wide::CONSTANT
    })
}

fn param() -> impl Strategy<Value = ParamValue> {
    prop_oneof![
        Just(ParamValue::Null),
        any::<bool>().prop_map(ParamValue::Bool),
        any::<i128>().prop_map(ParamValue::Int),
        prop::num::f64::ANY.prop_map(ParamValue::Float),
        text().prop_map(ParamValue::Text),
        text().prop_map(ParamValue::List),
        text().prop_map(ParamValue::Dict),
        text().prop_map(ParamValue::Date),
        r"-?[0-9]{1,3}(\.[0-9]{0,2})?(e-?[0-9]{1,2})?".prop_map(|text| ParamValue::from_spelling(&text)),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(|list| ParamValue::List(format!("{list:?}"))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::None),
        any::<i64>().prop_map(Step::At),
        prop::num::f64::NORMAL.prop_map(|x| Step::from_number(x).unwrap()),
    ]
}

fn context_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        text().prop_map(serde_json::Value::from),
        prop::num::f64::NORMAL.prop_map(serde_json::Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_values_come_back(
        params in prop::collection::btree_map(key(), param(), 0..12),
        points in prop::collection::vec((key(), prop::num::f64::ANY, step(), -1_000_000_000_000_000i64..4_000_000_000_000_000), 0..20),
        tags in prop::collection::btree_map(key(), prop::option::of(text()), 0..6),
        texts in prop::collection::vec((key(), step(), text()), 0..6),
        context in prop::collection::btree_map(key(), context_value(), 0..3),
        content in prop::collection::vec(any::<u8>(), 0..50),
        seals in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (dir, store) = new_store();
            let run = store.start_run(RunOptions::new("e").name(content.len().to_string())).unwrap();
            run.log_params(params).unwrap();
            let context: serde_json::Map<_, _> = context.into_iter().collect();
            for (i, (key, value, step, time)) in points.into_iter().enumerate() {
                let metrics = Metrics::new().value(key, value).step(step).time(Micros(time));
                run.log_metrics(if i % 2 == 0 { metrics } else { metrics.context(&context) }).unwrap();
            }
            let set: BTreeMap<_, _> = tags;
            run.edit_tags(set.into_iter().collect(), Vec::new()).unwrap();
            for (key, step, text) in texts {
                run.log_text(key, step, text).unwrap();
            }
            run.log_artifact_bytes("x", &content).unwrap();
            run.finish(Status::Finished).unwrap();
            if seals {
                store.seal().await.unwrap();
            }
            same_rows(&store, dir.path(), false).await;
        });
    }
}
