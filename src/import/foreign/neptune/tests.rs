//! Exports made here with everything that the exporters ever wrote. `tests/import/compare_neptune.py` makes others with
//! pyarrow, and compares what it reads itself.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Float64Builder, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::super::testing::{added, bring, lost, noted, nothing_is_missing, only_source, rows, walk, write};
use super::super::{Item, Source};
use super::*;
use crate::Store;

const PROJECT: &str = "ws/my-project";
const FOLDER: &str = "ws_my-project-355f88928f91a3e8";
/// 2025-11-01T10:00:00Z in milliseconds.
const START: i64 = 1_761_991_200_000;

/// A row of an export.
#[derive(Debug, Clone, Default)]
struct Line {
    run: String,
    path: String,
    kind: String,
    step: Option<i128>,
    time: Option<i64>,
    int: Option<i64>,
    float: Option<f64>,
    text: Option<String>,
    bool: Option<bool>,
    datetime: Option<i64>,
    set: Option<Vec<&'static str>>,
    file: Option<String>,
    histogram: Option<(&'static str, Vec<f64>, Vec<f64>)>,
}

fn line(run: &str, path: &str, kind: &str) -> Line {
    Line { run: run.into(), path: path.into(), kind: kind.into(), ..Line::default() }
}

fn batch(lines: &[Line]) -> RecordBatch {
    batch_of(PROJECT, lines)
}

fn batch_of(project: &str, lines: &[Line]) -> RecordBatch {
    let texts =
        |get: &dyn Fn(&Line) -> Option<String>| Arc::new(lines.iter().map(get).collect::<StringArray>()) as ArrayRef;
    let times = |get: &dyn Fn(&Line) -> Option<i64>| {
        Arc::new(lines.iter().map(get).collect::<TimestampMillisecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let steps = lines.iter().map(|l| l.step).collect::<Decimal128Array>().with_precision_and_scale(18, 6).unwrap();
    let mut sets = ListBuilder::new(StringBuilder::new());
    let (mut edges, mut values) = (ListBuilder::new(Float64Builder::new()), ListBuilder::new(Float64Builder::new()));
    let mut kinds = StringBuilder::new();
    for l in lines {
        sets.append_option(l.set.as_ref().map(|set| set.iter().map(Some)));
        kinds.append_option(l.histogram.as_ref().map(|h| h.0));
        edges.append_option(l.histogram.as_ref().map(|h| h.1.iter().map(|x| Some(*x))));
        values.append_option(l.histogram.as_ref().map(|h| h.2.iter().map(|x| Some(*x))));
    }
    let structs = |fields: Vec<(&str, ArrayRef)>, valid: &dyn Fn(&Line) -> bool| {
        let (fields, arrays): (Vec<_>, Vec<_>) =
            fields.into_iter().map(|(n, a)| (Arc::new(Field::new(n, a.data_type().clone(), true)), a)).unzip();
        let valid: Vec<bool> = lines.iter().map(valid).collect();
        Arc::new(StructArray::new(fields.into(), arrays, Some(valid.into()))) as ArrayRef
    };
    let file = structs(vec![("path", texts(&|l| l.file.clone()))], &|l| l.file.is_some());
    let histogram = structs(
        vec![
            ("type", Arc::new(kinds.finish())),
            ("edges", Arc::new(edges.finish())),
            ("values", Arc::new(values.finish())),
        ],
        &|l| l.histogram.is_some(),
    );
    RecordBatch::try_from_iter_with_nullable([
        ("project_id", texts(&|_| Some(project.into())), true),
        ("run_id", texts(&|l| Some(l.run.clone())), true),
        ("attribute_path", texts(&|l| Some(l.path.clone())), true),
        ("attribute_type", texts(&|l| Some(l.kind.clone())), true),
        ("step", Arc::new(steps), true),
        ("timestamp", times(&|l| l.time), true),
        ("int_value", Arc::new(lines.iter().map(|l| l.int).collect::<Int64Array>()), true),
        ("float_value", Arc::new(lines.iter().map(|l| l.float).collect::<Float64Array>()), true),
        ("string_value", texts(&|l| l.text.clone()), true),
        ("bool_value", Arc::new(lines.iter().map(|l| l.bool).collect::<BooleanArray>()), true),
        ("datetime_value", times(&|l| l.datetime), true),
        ("string_set_value", Arc::new(sets.finish()), true),
        ("file_value", file, true),
        ("histogram_value", histogram, true),
    ])
    .unwrap()
}

fn save_as(path: &Path, batch: &RecordBatch, compression: Compression) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(options)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn save(path: &Path, lines: &[Line]) {
    save_as(path, &batch(lines), Compression::SNAPPY);
}

fn part(export: &Path, run: &str, number: u32) -> std::path::PathBuf {
    export.join("data").join(FOLDER).join(format!("{run}-8a4618099434c5a0_part_{number}.parquet"))
}

fn text(run: &str, path: &str, value: &str) -> Line {
    Line { text: Some(value.into()), ..line(run, path, "string") }
}

fn loss(run: &str, micro_step: i128, value: Option<f64>, time: Option<i64>) -> Line {
    Line { step: Some(micro_step), time, float: value, ..line(run, "metrics/loss", "float_series") }
}

/// An export with every trap that has been seen.
fn export_in(export: &Path) {
    let time = |offset: i64| Some(START + offset);
    save(
        &part(export, "run-a", 0),
        &[
            text("run-a", "sys/custom_run_id", "run-a"),
            text("run-a", "sys/id", "MY-1"),
            text("run-a", "sys/name", "exp-one"),
            text("run-a", "sys/owner", "ana"),
            text("run-a", "sys/description", "a note"),
            Line { datetime: Some(START), ..line("run-a", "sys/creation_time", "datetime") },
            Line { bool: Some(true), ..line("run-a", "sys/failed", "bool") },
            Line { set: Some(vec!["b", "a"]), ..line("run-a", "sys/tags", "string_set") },
            Line { set: Some(vec!["g"]), ..line("run-a", "sys/group_tags", "string_set") },
            line("run-a", "sys/forking/parent", "string"),
            Line { float: Some(0.1), ..line("run-a", "params/lr", "float") },
            Line { int: Some(3), ..line("run-a", "params/epochs", "int") },
            Line { bool: Some(true), ..line("run-a", "params/flag", "bool") },
            Line { datetime: Some(START), ..line("run-a", "params/when", "datetime") },
            Line { set: Some(vec!["x"]), ..line("run-a", "params/set", "string_set") },
            text("run-a", "params/spelt", "1e-05"),
            text("run-a", "params/none", "None"),
            line("run-a", "params/ghost", "int"),
        ],
    );
    save(
        &part(export, "run-a", 1),
        &[
            loss("run-a", 0, Some(1.0), time(0)),
            loss("run-a", 500_000, Some(0.75), time(500)),
            loss("run-a", 1_000_000, None, time(1000)),
            loss("run-a", 2_000_000, None, None),
            loss("run-a", 999_999_999_999_123_456, Some(f64::INFINITY), time(2000)),
            Line {
                step: Some(0),
                time: time(0),
                text: Some("line 1".into()),
                ..line("run-a", "logs/out", "string_series")
            },
            Line {
                step: Some(250_000),
                time: time(1),
                histogram: Some(("COUNTING", vec![0.0, 1.0, 2.0], vec![3.0, 4.0])),
                ..line("run-a", "hist", "histogram_series")
            },
            Line { file: Some("run-a/files/note.txt".into()), ..line("run-a", "files/note", "file") },
            line("run-a", "files/ghost", "file"),
            Line {
                step: Some(1_500_000),
                time: time(3),
                file: Some("run-a/images/step_1_5.png".into()),
                ..line("run-a", "images", "file_series")
            },
            Line { file: Some("run-a/source".into()), ..line("run-a", "source_code/files", "file_set") },
        ],
    );
    save(
        &part(export, "run-b_with_slash", 0),
        &[
            text("run-b/with slash", "sys/forking/parent", "run-a"),
            Line { float: Some(2.0), ..line("run-b/with slash", "sys/forking/step", "float") },
            Line { bool: Some(true), ..line("run-b/with slash", "sys/trashed", "bool") },
            loss("run-b/with slash", 0, Some(0.5), time(0)),
        ],
    );
    save(&part(export, "unfinished", 1), &[loss("unfinished", 0, Some(0.5), time(0))]);
    write(&export.join("data").join(FOLDER).join("half-8a4618099434c5a0_part_0.parquet.tmp"), "PAR1");
    let files = export.join("files").join(FOLDER);
    write(&files.join("run-a/files/note.txt"), "note");
    write(&files.join("run-a/images/step_1_5.png"), "image");
    write(&files.join("run-a/source/train.py"), "import");
    write(&files.join("run-a/source/deep/er.py"), "x");
}

#[tokio::test]
async fn everything_in_an_export_comes_along() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("exports");
    export_in(&export);
    let store = Store::create(dir.path().join("store")).unwrap();
    let source = only_source(&export);
    assert_eq!((source.kind().to_string(), source.holdings().unwrap().runs), ("Neptune export".to_string(), 2));
    let report = bring(&export, &store).await;
    assert_eq!(lost(&report), Vec::<String>::new());
    let notes = noted(&report).join("\n");
    assert!(notes.contains("the exporter has not finished it"), "{notes}");
    assert!(notes.contains("it has no part 0"), "{notes}");
    for (sql, expected) in [
        (
            "SELECT run_id, experiment, name, status, user, notes, start_time, end_time FROM runs",
            vec!["run-a|ws/my-project|exp-one|FAILED|ana|a note|2025-11-01T10:00:00Z|2025-11-01T10:00:02Z"],
        ),
        (
            "SELECT key, value, type FROM params ORDER BY key",
            vec![
                "params/epochs|3|int",
                "params/flag|true|bool",
                "params/lr|0.1|float",
                "params/none|None|text",
                r#"params/set|["x"]|list"#,
                "params/spelt|1e-05|float",
                "params/when|2025-11-01T10:00:00Z|datetime",
            ],
        ),
        (
            "SELECT key, step, x, time, value FROM metrics ORDER BY time",
            vec![
                "metrics/loss|0|NULL|2025-11-01T10:00:00Z|1.0",
                "metrics/loss|NULL|0.5|2025-11-01T10:00:00.500Z|0.75",
                "metrics/loss|1|NULL|2025-11-01T10:00:01Z|NaN",
                "metrics/loss|NULL|999999999999.1234|2025-11-01T10:00:02Z|inf",
            ],
        ),
        (
            "SELECT key, step, x, kind, payload FROM series ORDER BY key",
            vec![
                r#"hist|NULL|0.25|histogram|{"counts":[3.0,4.0],"edges":[0.0,1.0,2.0]}"#,
                "images|NULL|1.5|file|images/1.5.png",
                "logs/out|0|NULL|text|line 1",
            ],
        ),
        ("SELECT key, value FROM tags ORDER BY key", vec!["a|NULL", "b|NULL", "g|NULL"]),
        (
            "SELECT path, size FROM artifacts ORDER BY path",
            vec![
                "files/note.txt|4",
                "images/1.5.png|5",
                "source_code/files/deep/er.py|1",
                "source_code/files/train.py|6",
            ],
        ),
        (
            "SELECT key, value FROM environment WHERE key LIKE 'neptune%' OR key LIKE 'sys/%tags' OR key = 'sys/id' ORDER BY key",
            vec![
                "neptune.project_id|ws/my-project",
                "neptune.run_id|run-a",
                r#"sys/group_tags|["g"]"#,
                "sys/id|MY-1",
                r#"sys/tags|["b","a"]"#,
            ],
        ),
    ] {
        assert_eq!(rows(&store, sql).await, expected, "{sql}");
    }
    // In Neptune's trash is deleted here.
    let deleted = store.deleted_runs().await.unwrap();
    store.restore_run(&deleted[0]).unwrap();
    let links = "SELECT target_run_id, kind, step FROM links";
    assert_eq!(rows(&store, links).await, ["run-a|fork|2"]);
}

#[tokio::test]
async fn again_brings_nothing_and_a_longer_export_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("exports");
    export_in(&export);
    let store = Store::create(dir.path().join("store")).unwrap();
    bring(&export, &store).await;
    nothing_is_missing(&export, &store).await;
    save(&part(&export, "run-a", 2), &[loss("run-a", 7_000_000, Some(0.25), Some(START + 9000))]);
    save(&part(&export, "unfinished", 0), &[text("unfinished", "sys/name", "late")]);
    let report = bring(&export, &store).await;
    assert_eq!(added(&report), [("runs", 1), ("facts of runs", 2), ("metric points", 2), ("environment", 3)]);
    nothing_is_missing(&export, &store).await;
}

#[tokio::test]
async fn one_bad_part_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("exports");
    export_in(&export);
    let good = fs::read(part(&export, "run-a", 1)).unwrap();
    write(&part(&export, "run-a", 2), &good[..good.len() / 2]);
    write(&part(&export, "run-a", 4), b"PAR1 no parquet PAR1");
    // A column of the wrong type.
    let lines = batch(&[loss("run-c", 0, Some(0.5), Some(START))]);
    let text = arrow::compute::cast(lines.column_by_name("float_value").unwrap(), &DataType::Utf8).unwrap();
    let schema = lines.schema();
    let columns = schema.fields().iter().zip(lines.columns()).map(|(field, column)| {
        let column = if field.name() == "float_value" { Arc::clone(&text) } else { Arc::clone(column) };
        (field.name().clone(), column, true)
    });
    let wrong = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    save_as(&part(&export, "run-c", 0), &wrong, Compression::SNAPPY);
    let other = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    save_as(&part(&export, "run-d", 0), &other, Compression::SNAPPY);
    save(
        &part(&export, "run-e", 0),
        &[
            Line { file: Some("../../secret".into()), ..line("run-e", "leak", "file") },
            Line { file: Some("/etc/passwd".into()), ..line("run-e", "passwd", "file") },
            Line { file: Some("link/secret".into()), ..line("run-e", "link", "file") },
            Line { file: Some("run-a/files/note.txt".into()), ..line("run-e", "../../escape", "file") },
            Line { histogram: Some(("COUNTING", vec![0.0], vec![1.0])), ..line("run-e", "hist", "histogram_series") },
            line("run-e", "odd", "quaternion"),
            Line { int: Some(1), ..line("run-e", "n", "int") },
            Line { int: Some(2), ..line("run-e", "n", "int") },
        ],
    );
    write(&dir.path().join("secret"), "secret");
    write(&export.join("secret"), "secret");
    std::os::unix::fs::symlink(dir.path(), export.join("files").join(FOLDER).join("link")).unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&export, &store).await;
    let lost = lost(&report);
    for part in [
        "part_0.parquet: of the parts 0 to 4 of its run only 4 are there",
        "part_2.parquet: it is no Parquet file, or it was cut short",
        "part_4.parquet: ",
        "part_0.parquet: its column 'float_value' holds Utf8; it should hold numbers",
        "part_0.parquet: it has no column 'project_id', so it is no part of an export",
        "'../../secret' of 'leak': its path leads out of the export",
        "'/etc/passwd' of 'passwd': its path leads out of the export",
        "links are not followed",
        "a histogram of 'hist' cannot be read: it has 1 edges and 1 counts",
        "1 rows are of a type that is not known: 'quaternion'",
        "the attribute 'n' has several values; the first was taken",
    ] {
        assert!(lost.iter().any(|told| told.contains(part)), "{part} in {lost:#?}");
    }
    assert_eq!(lost.len(), 11, "{lost:#?}");
    assert_eq!(rows(&store, "SELECT run_id FROM runs ORDER BY 1").await, ["run-a", "run-e"]);
    assert_eq!(rows(&store, "SELECT path FROM artifacts WHERE run_id = 'run-e'").await, ["run-a/files/note.txt"]);
    assert_eq!(rows(&store, "SELECT key, value FROM params WHERE run_id = 'run-e'").await, ["n|1"]);
    nothing_is_missing(&export, &store).await;
}

#[tokio::test]
async fn runs_of_one_id_in_two_projects_stay_two() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    // The second export has both projects; its fork is one of the run in its own project.
    for (export, project, lr) in [("one", "ws/a", 0.1), ("two", "ws/a", 0.1), ("two", "ws/b", 0.2)] {
        let lines = [
            Line { float: Some(lr), ..line("run-1", "lr", "float") },
            loss("run-1", 0, Some(lr), Some(START)),
            text("run-2", "sys/forking/parent", "run-1"),
        ];
        let folder = dir.path().join(export).join("data").join(project.replace('/', "_"));
        for run in ["run-1", "run-2"] {
            let lines: Vec<_> = lines.iter().filter(|l| l.run == run).cloned().collect();
            save_as(&folder.join(format!("{run}_part_0.parquet")), &batch_of(project, &lines), Compression::SNAPPY);
        }
    }
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    bring(&one, &store).await;
    for _ in 0..3 {
        let report = bring(&two, &store).await;
        assert_eq!(lost(&report), Vec::<String>::new());
        let notes = noted(&report);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("its id is that of another run here, which is not of neptune.project_id 'ws/b'"));
        assert_eq!(added(&bring(&one, &store).await), []);
        store.close_segment().unwrap();
        store.seal().await.unwrap();
    }
    let runs = "SELECT experiment, e.value, params.lr, metrics['metrics/loss'] FROM runs JOIN environment e USING \
                (run_id) WHERE e.key = 'neptune.run_id' ORDER BY 1, 2";
    assert_eq!(
        rows(&store, runs).await,
        ["ws/a|run-1|0.1|0.1", "ws/a|run-2|NULL|NULL", "ws/b|run-1|0.2|0.2", "ws/b|run-2|NULL|NULL"]
    );
    let forks = "SELECT r.experiment, t.experiment FROM links JOIN runs r USING (run_id) JOIN runs t ON t.run_id = \
                 target_run_id ORDER BY 1";
    assert_eq!(rows(&store, forks).await, ["ws/a|ws/a", "ws/b|ws/b"]);
    assert_eq!(rows(&store, "SELECT count(*) FROM runs WHERE run_id IN ('run-1', 'run-2')").await, ["2"]);
    nothing_is_missing(&two, &store).await;
}

#[test]
fn exports_are_recognised_by_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("deep/exports");
    export_in(&export);
    let places = |path: &Path| {
        let mut found = Vec::new();
        detect(path, &mut found).unwrap();
        found.iter().map(|source: &Arc<dyn Source>| source.place().to_path_buf()).collect::<Vec<_>>()
    };
    let this = std::slice::from_ref(&export);
    assert_eq!(places(&export), this);
    assert_eq!(places(&export.join("data")), [export.join("data")]);
    assert_eq!(places(&dir.path().join("deep")), this);
    assert_eq!(places(dir.path()), [] as [std::path::PathBuf; 0]);
    // The first exporters wrote all runs of a project into one file.
    let early = dir.path().join("early/data/my-project/part_0.parquet");
    let mut all = vec![text("r1", "sys/name", "one"), text("r2", "sys/name", "two")];
    save(&early, &all);
    let found = only_source(&dir.path().join("early"));
    let runs = walk(found.as_ref()).into_iter().filter(|item| matches!(item, Item::Run(_))).count();
    assert_eq!(runs, 2);
    // Parquet of somebody else.
    all.truncate(1);
    let other = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    save_as(&dir.path().join("spark/data/t/x_part_0.parquet"), &other, Compression::SNAPPY);
    assert_eq!(places(&dir.path().join("spark")), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_text_that_stands_once_and_counts_a_million_times_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bomb.parquet");
    let of = |long: usize| {
        let text = "a".repeat(long);
        let one = |i| Line { step: Some(i), text: Some(text.clone()), ..line("r", "log", "string_series") };
        save_as(&file, &batch(&(0..200).map(one).collect::<Vec<_>>()), Compression::ZSTD(ZstdLevel::default()));
        fs::metadata(&file).unwrap().len()
    };
    let length = of(50_000);
    assert!(length < 50_000, "{length}");
    let mut collected = run::Collected::default();
    collected.left = 100 * length;
    let error = super::part::read(&file, |rows| collected.take(rows)).unwrap_err();
    assert!(error.contains("more comes out of it than a file of its size holds"), "{error}");
    of(1_000_000);
    collected.begin_part(length);
    let error = super::part::read(&file, |rows| collected.take(rows)).unwrap_err();
    assert!(error.contains("claims to hold 1000"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_part_is_an_error_or_an_answer(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        near_the_end in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let export = dir.path().join("exports");
        export_in(&export);
        let path = part(&export, "run-a", 1);
        let mut bytes = fs::read(&path).unwrap();
        // The footer says where everything is and how large: half of the hits go there.
        let from = if near_the_end { bytes.len() - bytes.len() / 3 } else { 0 };
        for (at, byte) in hits { let at = from + at.index(bytes.len() - from); bytes[at] = byte; }
        if let Some(cut) = cut { bytes.truncate(cut.index(bytes.len())) }
        fs::write(&path, bytes).unwrap();
        let source = export::Export::recognise(&export).unwrap();
        let runs = walk(&source).into_iter().filter(|item| matches!(item, Item::Run(_))).count();
        prop_assert!(runs >= 2);
    }
}

#[tokio::test]
async fn a_run_whose_import_was_killed_as_it_began_is_no_other_run() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("exports");
    let created = Line { datetime: Some(START), ..line("run-a", "sys/creation_time", "datetime") };
    let lines =
        [text("run-a", "sys/name", "one"), text("run-a", "sys/owner", "ana"), text("run-a", "model", "gbm"), created];
    save(&part(&export, "run-a", 0), &lines);
    let items = walk(&*only_source(&export));
    let run = items.iter().find_map(|item| if let Item::Run(run) = item { Some(run) } else { None }).unwrap();
    for sealed in [false, true] {
        let store = Store::create(dir.path().join(format!("store {sealed}"))).unwrap();
        let start = crate::model::Record::Start(run.start.clone());
        store.log(&start, crate::Durability::Buffered).unwrap();
        if sealed {
            store.close_segment().unwrap();
            store.seal().await.unwrap();
        }
        let report = bring(&export, &store).await;
        assert!(!noted(&report).iter().any(|note| note.contains("another run")), "{:?}", noted(&report));
        let sql = "SELECT run_id, name, experiment, status, params.model FROM runs";
        assert_eq!(rows(&store, sql).await, [format!("run-a|one|{PROJECT}|FINISHED|gbm")]);
        nothing_is_missing(&export, &store).await;
    }
    // One that somebody else began under that id stays another one.
    let store = Store::create(dir.path().join("other")).unwrap();
    let mine = crate::model::RunStart::new(run.start.run.clone(), "mine".to_string(), crate::Micros(1));
    store.log(&crate::model::Record::Start(mine), crate::Durability::Buffered).unwrap();
    bring(&export, &store).await;
    assert_eq!(rows(&store, "SELECT count(*) FROM runs").await, ["2"]);
}

#[tokio::test]
async fn a_step_that_a_double_does_not_hold_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let point = |path: &str, step| Line {
        step: Some(step),
        time: Some(START),
        float: Some(0.5),
        ..line("R-1", path, "float_series")
    };
    // 17 and 18 digits, of which a double holds some; what is whole is exact.
    let rows_of = |path: &str| {
        let steps = [
            500_000,
            12_345_678_901_500_000,
            123_456_789_012_345_678,
            987_654_321_098_765_432,
            999_999_999_999_000_000,
        ];
        steps.map(|step| point(path, step))
    };
    let lines: Vec<Line> = rows_of("loss").into_iter().chain([point("acc", 1_000_001)]).collect();
    save_as(&dir.path().join("data").join(FOLDER).join("R-1_part_0.parquet"), &batch(&lines), Compression::SNAPPY);
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(dir.path(), &store).await;
    let told = noted(&report);
    let said = "run 'R-1' of ws/my-project: 2 steps of 'loss' with more digits than a double has, 123456789012.345678 first: \
                the nearest double stands there";
    assert!(told.iter().any(|told| told == said), "{told:#?}");
    assert!(told.iter().all(|told| !told.contains("'acc'")), "{told:#?}");
    assert_eq!(
        rows(&store, "SELECT step FROM metrics WHERE key = 'loss' AND step IS NOT NULL").await,
        ["999999999999"]
    );
}
