//! Tables in every shape. `tests/import/compare_table.py` compares with what pandas and DuckDB read.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::super::testing::{Walked, added, bring_source, reason, walked, write};
use super::super::{ImportReport, Kind};
use super::*;
use crate::Store;
use crate::store::ForeignRun;

fn words(paths: &[&Path]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn read(paths: &[&Path], mapping: TableMapping) -> Walked {
    walked(&*open(&words(paths), mapping).unwrap(), reason)
}

async fn bring(paths: &[&Path], mapping: &TableMapping, store: &Store) -> ImportReport {
    let source = open(&words(paths), mapping.clone()).unwrap();
    bring_source(&source, store).await
}

fn params(run: &ForeignRun) -> Vec<String> {
    run.params.iter().map(|(k, v)| format!("{k} {} {}", v.type_name(), v.text().unwrap_or_default())).collect()
}

fn points(run: &ForeignRun) -> Vec<String> {
    run.points.iter().map(|p| format!("{} {:?} {}", p.key, p.step, p.value)).collect()
}

fn named(column: &str) -> TableMapping {
    TableMapping { run_id: Some(column.to_string()), ..TableMapping::default() }
}

#[test]
fn a_row_is_a_run_where_nothing_else_tells_runs_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sweep.csv");
    write(&path, "lr,model,flag,val_auc\n1e-3,gbm,True,0.9\n0.10,None,False,nan\n1e-3,gbm,True,0.8\n,007,,\n");
    let all = read(&[&path], TableMapping::default());
    assert_eq!((all.losses.len(), all.experiments.len(), &*all.experiments[0].name), (0, 1, "sweep"));
    assert_eq!(all.notes, ["each row is a run; params: lr, model, flag; metrics: val_auc"]);
    assert_eq!(params(&all.runs[0]), ["lr float 1e-3", "model text gbm", "flag bool True"]);
    assert_eq!(params(&all.runs[1]), ["lr float 0.10", "model text None", "flag bool False"]);
    assert_eq!(params(&all.runs[3]), ["model text 007"]);
    assert_eq!(points(&all.runs[1]), ["val_auc None NaN"]);
    assert!(all.runs[3].points.is_empty());
    assert_ne!(all.runs[0].id(), all.runs[2].id(), "two runs of the same params are two");
    // Sorted anew, with other columns and rows, they are the same runs.
    write(&path, "val_auc,flag,lr,model\n0.5,True,1,gbm\nnan,False,0.10,None\n0.9,True,1e-3,gbm\n");
    let again = read(&[&path], TableMapping::default());
    let id = |run: &ForeignRun| run.id().clone();
    assert_eq!((id(&again.runs[1]), id(&again.runs[2])), (id(&all.runs[1]), id(&all.runs[0])));
}

#[test]
fn rows_of_one_run_are_collected_from_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
    write(
        &one,
        "run,epoch,loss,opt,when\nr1,0,0.5,adam,2024-01-01 10:00:00\n../x,0,1.5,sgd,2024-01-01 10:00:01\nr1,1,0.25,adam,\n",
    );
    write(
        &two,
        "epoch,run,loss,opt,when,phase\n2,r1,bad,adam,2024-01-02,warm\n3,r1,0.125,adam,2024-01-03T00:00:00Z,cool\n4,,1,,,\n",
    );
    let mapping = TableMapping { time: Some("when".to_string()), ..TableMapping::default() };
    let all = read(&[&one, &two], mapping);
    assert_eq!(
        all.losses,
        [
            "1 of its rows name no run",
            &format!("'bad' in row 1 of '{}' is no number", one.canonicalize().unwrap().display())
        ]
    );
    let [first, second] = all.runs.as_slice() else { panic!("{:?}", all.runs) };
    assert_eq!(first.id().as_str(), "r1");
    assert_eq!(second.id().as_str().len(), 32);
    assert_eq!(points(first), ["loss At(0) 0.5", "loss At(1) 0.25", "loss At(3) 0.125"]);
    let times: Vec<_> = first.points.iter().map(|p| p.time.to_string()).collect();
    assert_eq!(times, ["2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z", "2024-01-03T00:00:00Z"]);
    assert_eq!(first.end_time.unwrap().to_string(), "2024-01-03T00:00:00Z");
    assert_eq!(params(first), ["opt text adam"]);
    let phases: Vec<_> = first.series.iter().map(|p| format!("{} {:?} {}", p.key, p.step, p.payload)).collect();
    assert_eq!(phases, ["phase At(2) warm", "phase At(3) cool"]);
}

#[test]
fn a_table_of_mlflow_or_of_this_program_says_what_is_what() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.csv");
    write(
        &path,
        "run_id,status,start_time,end_time,params.lr,metrics.auc,tags.owner,artifact_uri,experiment,name\n\
         abc,FINISHED,2024-01-01T00:00:00Z,2024-01-01T01:00:00Z,0.1,0.9,ana,s3://x,churn,first\n\
         def,PRUNED,1704067200,1704070800000,0.2,,ben,,churn,\n",
    );
    let all = read(&[&path], TableMapping::default());
    let [first, second] = all.runs.as_slice() else { panic!("{:?}", all.runs) };
    assert_eq!((first.start.name.as_deref(), first.start.experiment.as_str()), (Some("first"), "churn"));
    assert_eq!((first.start.start_time, first.end_time), (second.start.start_time, second.end_time));
    assert_eq!((params(first), points(first)), (vec!["lr float 0.1".to_string()], vec!["auc None 0.9".to_string()]));
    let tag = |k: &str, v: &str| (k.to_string(), Some(v.to_string()));
    assert_eq!(first.tags, [tag("owner", "ana"), tag("artifact_uri", "s3://x")]);
    assert_eq!(second.tags, [tag("status", "PRUNED"), tag("owner", "ben")]);
    assert!(!first.undated && all.losses.is_empty());
}

#[test]
fn json_lines_and_parquet_have_types_and_nest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out/metrics.jsonl");
    write(
        &path,
        "{\"step\": 0, \"train\": {\"loss\": NaN, \"acc\": 1}, \"cfg\": {\"opt\": \"adam\", \"b\": [1, 2]}}\n\n\
         {\"step\": 1, \"train\": {\"loss\": -Infinity}, \"cfg\": {\"opt\": \"adam\", \"b\": [1, 2]}}\n[1]\n{\"step\": 2, \"tra",
    );
    let all = read(&[&path], TableMapping::default());
    assert_eq!(all.losses, ["line 4 is no object"]);
    assert_eq!(all.notes[1], "line 5, its last one, has no end yet: left for next time");
    assert_eq!(all.runs[0].start.name.as_deref(), Some("out"));
    assert_eq!(points(&all.runs[0]), ["train.acc At(0) 1", "train.loss At(0) NaN", "train.loss At(1) -inf"]);
    assert_eq!(params(&all.runs[0]), ["cfg.b list [1, 2]", "cfg.opt text adam"]);

    let path = dir.path().join("sweep.parquet");
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None]));
    // JSON, by which lists are read, has no NaN.
    let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.5]));
    let [a, b] = [("a", DataType::Int64), ("loss", DataType::Float64)].map(|(n, t)| Arc::new(Field::new(n, t, true)));
    let deep = StructArray::from(vec![(a, inner), (b, nan)]);
    let deep = StructArray::new(deep.fields().clone(), deep.columns().to_vec(), Some(vec![true, false].into()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec!["r1", "r2"]))),
        ("lr", Arc::new(Float32Array::from(vec![0.5, f32::NAN]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("day", Arc::new(Date32Array::from(vec![19_723, 19_724]))),
        ("kind", Arc::new(["x", "y"].into_iter().collect::<DictionaryArray<Int8Type>>())),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None]), None]))),
        ("deep", Arc::new(deep)),
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1_704_067_200_000_000_000, 1_704_067_201_000_000_000]))),
        ("auc", Arc::new(Float32Array::from(vec![Some(0.25), None]))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let all = read(&[&path], named("id"));
    assert_eq!(all.losses, [""; 0]);
    let mut first = params(&all.runs[0]);
    first.sort();
    assert_eq!(
        first,
        [
            "big int 18446744073709551615",
            "day date 2024-01-01",
            "deep.a int 3",
            "flag bool true",
            "kind text x",
            "list list [1, null]",
            "lr float 0.5"
        ]
    );
    assert_eq!(points(&all.runs[0]), ["deep.loss None NaN", "auc None 0.25"]);
    assert_eq!(points(&all.runs[1]), [""; 0], "the structure of its row is NULL");
    assert_eq!(all.runs[1].start.start_time.to_string(), "2024-01-01T00:00:01Z");
}

#[tokio::test]
async fn a_tree_of_tables_with_configs_is_followed_without_times() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (run, lr) in [("a", "0.1"), ("b", "0.2")] {
        write(&out.join(run).join("metrics.csv"), "loss,acc,kind\n0.5,0.1,x\n0.25,0.2,x\n");
        write(&out.join(run).join("config.yaml"), format!("opt:\n  lr: {lr}\nkind: y\n"));
    }
    write(&out.join("c/metrics.csv"), "loss,acc\n0.5,0.1\n");
    write(&out.join("c/config.yaml"), "opt: [1");
    let store = Store::create(dir.path().join("store")).unwrap();
    let pattern = out.join("*/metrics.csv");
    let mapping =
        TableMapping { run_from_path: true, params_file: Some("config.yaml".to_string()), ..TableMapping::default() };
    let first = bring(&[&pattern], &mapping, &store).await;
    assert_eq!((first.added[Kind::Runs], first.added[Kind::Params], first.added[Kind::Points]), (3, 4, 10));
    assert_eq!(first.losses(), 1);
    assert!(
        first
            .skipped
            .iter()
            .any(|s| s.place.ends_with("c/config.yaml") && s.reason.starts_with("it cannot be read as YAML"))
    );
    // Written again later: other times of the file, the same rows and one more.
    write(&out.join("a/metrics.csv"), "loss,acc,kind\n0.5,0.1,x\n0.25,0.2,x\n0.125,0.3,x\n");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5000);
    fs::File::options().append(true).open(out.join("b/metrics.csv")).unwrap().set_modified(later).unwrap();
    write(&out.join("c/config.yaml"), "opt: 1");
    let next =
        bring(&[&out.join("a/metrics.csv"), &out.join("b/metrics.csv"), &out.join("c/metrics.csv")], &mapping, &store)
            .await;
    assert_eq!((next.added[Kind::Runs], next.added[Kind::Params], next.added[Kind::Points]), (0, 1, 2));
    assert_eq!((next.losses(), next.added[Kind::RunFacts]), (0, 0));
    store.seal().await.unwrap();
    assert!(
        walked(&*open(&words(&[&pattern]), mapping.clone()).unwrap(), reason).runs[0]
            .params
            .contains(&("kind".to_string(), "x".into()))
    );
    let audit = bring(&[&pattern], &mapping, &store).await;
    assert_eq!(added(&audit), []);
}

#[tokio::test]
async fn a_run_that_gets_a_second_row_keeps_its_first_point() {
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().join("a.csv"), Store::create(dir.path().join("store")).unwrap());
    let mapping = TableMapping { metrics: vec!["auc".to_string()], ..named("id") };
    write(&path, "id,auc\nr1,0.5\nr2,0.6\n");
    bring(&[&path], &mapping, &store).await;
    write(&path, "id,auc\nr1,0.5\nr2,0.6\nr1,0.7\n");
    assert_eq!(bring(&[&path], &mapping, &store).await.added[Kind::Points], 1);
    let all = read(&[&path], mapping);
    assert_eq!(points(&all.runs[0]), ["auc None 0.5", "auc At(1) 0.7"]);
}

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write(&path("a.csv"), "step,loss\n0,0.5\n1\n2,0.25,9\nx,0.125\n4,\"0.5\n5,1\n");
    write(&path("b.csv"), [&b"step,loss,t\n0,0.5,"[..], &[0xff], b"\n1,"].concat());
    write(&path("c.parquet"), "PAR1 is not enough");
    write(&path("d.csv"), "step,loss,loss\n0,1,2\n");
    std::os::unix::fs::symlink(path("d.csv"), path("e.csv")).unwrap();
    write(&path("f.csv"), "");
    let all =
        read(&[&path("*.csv"), &path("c.parquet")], TableMapping { run_from_path: true, ..TableMapping::default() });
    let has = |list: &[String], start: &str| assert!(list.iter().any(|s| s.starts_with(start)), "{start}: {list:#?}");
    has(&all.losses, "row 2 has 1 cell for 2 columns: the last one is taken for empty");
    has(&all.losses, "row 3 has 3 cells for 2 columns: the last one is left out");
    has(&all.losses, "'x' in row 4 of");
    has(&all.losses, "row 1, column 't' is not UTF-8");
    has(&all.losses, "Parquet error");
    has(&all.losses, "it is not a regular file");
    has(&all.notes, "it has several columns 'loss'; one of them is called 'loss_2' here");
    has(&all.notes, "row 2, its last one, has no end yet: left for next time");
    let names: Vec<_> = all.runs.iter().map(|run| run.start.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["a", "b", "d"]);
    assert_eq!(points(&all.runs[1]), ["loss At(0) 0.5"]);
    assert_eq!(points(&all.runs[2]), ["loss At(0) 1", "loss_2 At(0) 2"]);

    let wrong = open(&words(&[&path("d.csv")]), named("run")).unwrap().holdings().unwrap_err();
    assert_eq!(
        wrong.to_string(),
        format!("no column 'run' in '{}'; it has step, loss, loss_2", path("d.csv").display())
    );
}

#[test]
fn a_row_without_an_end_is_read_once_the_file_lies_still() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    write(&path, "step,loss\n0,0.5\n1,0.2");
    let source = open(&words(&[&path]), TableMapping::default()).unwrap();
    assert_eq!(points(&walked(&*source, reason).runs[0]), ["loss At(0) 0.5"]);
    let fresh = source.fingerprint().unwrap();
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    fs::File::options().append(true).open(&path).unwrap().set_modified(earlier).unwrap();
    assert_eq!(points(&walked(&*source, reason).runs[0]), ["loss At(0) 0.5", "loss At(1) 0.2"]);
    assert_ne!(source.fingerprint().unwrap(), fresh);
}

#[test]
fn what_spreadsheets_write_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    write(&path, "\u{feff}run_id;lr;val auc\r\nr1;0.1;0.5\r\n\r\nr2;0.2; 0.75 \r\n");
    let all = read(&[&path], TableMapping::default());
    assert_eq!((all.losses.len(), all.runs.len()), (0, 2));
    assert_eq!(
        (params(&all.runs[1]), points(&all.runs[1])),
        (vec!["lr float 0.2".to_string()], vec!["val auc None 0.75".to_string()])
    );
}

#[test]
fn hostile_tables_take_no_memory_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quote.csv");
    write(&path, [b"a,b\n1,\"".as_slice(), &vec![b'x'; 40 << 20]].concat());
    let all = read(&[&path], TableMapping::default());
    assert!(all.losses[0].contains("a row is longer than 16777216 bytes"), "{:?}", all.losses);
    let path = dir.path().join("long.jsonl");
    write(&path, [b"{\"a\": \"".as_slice(), &vec![b'x'; 20 << 20]].concat());
    assert!(read(&[&path], TableMapping::default()).losses[0].contains("line 1 is longer than"));
    let path = dir.path().join("deep.jsonl");
    write(&path, format!("{}\n{{\"a\": 1}}\n", "{\"a\":".repeat(100_000)));
    assert!(read(&[&path], TableMapping::default()).losses[0].contains("recursion limit"));
    let path = dir.path().join("keys.jsonl");
    let keys: String = (0..30_000).map(|n| format!("{{\"k{n}\": 1}}\n")).collect();
    write(&path, keys);
    assert!(read(&[&path], TableMapping::default()).losses[0].contains("more than 20000 columns"));
}

fn damaged(name: &str, bytes: &[u8], changes: &[(f64, u8)], cut: Option<f64>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let mut bytes = bytes.to_vec();
    for (at, byte) in changes {
        let place = (at * bytes.len() as f64) as usize;
        bytes[place] = *byte;
    }
    bytes.truncate((cut.unwrap_or(1.0) * bytes.len() as f64) as usize);
    write(&path, bytes);
    if let Ok(source) = open(&words(&[&path]), TableMapping::default()) {
        walked(&*source, reason);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn damaged_files_are_an_error_or_told(
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..4),
        cut in prop::option::of(0.0..1.0_f64),
    ) {
        damaged("a.csv", b"run_id,step,loss,time\nr1,0,0.5,2024-01-01\n\"r2\",1e3,nan,1704067200\n", &changes, cut);
        damaged("a.jsonl", b"{\"run_id\": \"r1\", \"a\": {\"b\": [1, NaN]}, \"loss\": 0.5}\n{\"step\": 1e400}\n", &changes, cut);
        let batch = RecordBatch::try_from_iter([
            ("run_id", Arc::new(StringArray::from(vec!["r1", "r2"])) as ArrayRef),
            ("loss", Arc::new(Float32Array::from(vec![0.5, 0.25]))),
        ]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        damaged("a.parquet", &writer.into_inner().unwrap(), &changes, cut);
    }

    #[test]
    fn any_text_is_an_error_or_told(text in "[a-z0-9,;\"\n\r\t {}:.-]{0,80}") {
        damaged("a.csv", text.as_bytes(), &[], None);
        damaged("a.jsonl", text.as_bytes(), &[], None);
    }
}
