use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::*;
use crate::{Session, SessionOptions, Store};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    (dir, store)
}

async fn feed(reader: &mut LineReader, lines: &[&str]) {
    for (i, line) in lines.iter().enumerate() {
        reader.feed(i as u64 + 1, line).await.unwrap_or_else(|e| panic!("{e}\n{line}"));
    }
}

async fn refused(reader: &mut LineReader, line: &str) -> String {
    match reader.feed(7, line).await {
        Err(FeedError::Line(e)) => {
            assert_eq!(e.line, 7);
            e.reason
        }
        other => panic!("{line} gave {other:?}"),
    }
}

/// Rows as text, NULL as a dash.
async fn answer(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default().with_null("-");
    let row = |batch: &RecordBatch, i: usize| {
        let cell =
            |c: &arrow::array::ArrayRef| ArrayFormatter::try_new(c.as_ref(), &options).unwrap().value(i).to_string();
        batch.columns().iter().map(cell).collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

const BEGIN: &str = r#"{"type":"run","run":"r1","experiment":"churn"}"#;

#[tokio::test]
async fn each_type_of_line_arrives_in_its_table() {
    let (dir, store) = store();
    std::fs::write(dir.path().join("plot.png"), b"png").unwrap();
    std::fs::write(dir.path().join("empty.bin"), b"").unwrap();
    let options = LineOptions { folder: dir.path().to_path_buf(), check_only: false };
    let mut reader = LineReader::new(&store, options);
    feed(
        &mut reader,
        &[
            r#"{"type":"run","run":"r1","experiment":"churn","name":"a","start_time":"2026-11-23T09:30:00Z","user":"ana","host":"h","command":"c","git_commit":"1","git_branch":"b","git_dirty":true,"git_remote":"o","notes":"n","parent":"r0"}"#,
            "",
            r#"{"type":"params","run":"r1","values":{"lr":0.1,"n":3,"big":18446744073709551616,"u":18446744073709551615,"neg":-170141183460469231731687303715884105728,"t":"1","b":true,"z":null,"l":[1,"a"],"d":{"k":{"x":1}},"ll":[[-18446744073709551617],{"$runlake.int":"1"}],"nan":{"$float":"NaN"},"day":{"$date":"2026-11-23"},"at":{"$datetime":"2026-11-23T09:30:00Z"},"odd":{"$other":1}}}"#,
            r#"{"type":"metrics","run":"r1","step":1,"time":1764000000.5,"values":{"loss":0.5,"auc":"NaN"}}"#,
            r#"{"type":"metrics","run":"r1","step":1.5,"context":{"split":"test","fold":3},"values":{"loss":"Infinity"}}"#,
            r#"{"type":"metric_goal","experiment":"churn","key":"loss","goal":"min","unit":"nats","description":"d"}"#,
            r#"{"type":"tags","run":"r1","values":{"owner":"ana","bare":null,"gone":"x"}}"#,
            r#"{"type":"tags","run":"r1","remove":["gone"]}"#,
            r#"{"type":"note","run":"r1","notes":"other"}"#,
            r#"{"type":"comment","run":"r1","id":"c1","author":"ben","time":0,"comment":"hm"}"#,
            r#"{"type":"comment","run":"r1","id":"c2","comment":"wrong"}"#,
            r#"{"type":"comment","run":"r1","id":"c2","remove":true}"#,
            r#"{"type":"features","run":"r1","features":[{"feature":"age","dtype":"int","importance":0.5,"importance_kind":"gini","feature_tags":["x"]},{"feature":"id","used":false}]}"#,
            r#"{"type":"data","run":"r1","dataset":"d","role":"training","digest":"s","data_version":"v1","n_rows":10,"data_schema":{"a":"int"}}"#,
            r#"{"type":"packages","run":"r1","values":{"numpy":"2.0"}}"#,
            r#"{"type":"environment","run":"r1","values":{"os":"Linux"}}"#,
            r#"{"type":"link","run":"r1","target":"r0","kind":"fork","position":1,"weight":0.5,"step":3}"#,
            r#"{"type":"text","run":"r1","key":"report","text":"fine","step":2}"#,
            r#"{"type":"histogram","run":"r1","key":"w","edges":[0,1,2],"counts":[3,4]}"#,
            r#"{"type":"file","run":"r1","key":"img","source":"plot.png","step":1}"#,
            r#"{"type":"table","run":"r1","name":"predictions","columns":{"y":[1,2],"p":[0.5,"NaN"],"s":["a",null]}}"#,
            r#"{"type":"artifact","run":"r1","path":"a/empty.bin","source":"empty.bin"}"#,
            r#"{"type":"artifact","run":"r1","path":"b/empty.bin","text":""}"#,
            r#"{"type":"artifact","run":"r1","path":"x.bin","base64":"AAEC"}"#,
            r#"{"type":"finish","run":"r1","status":"FAILED","end_time":"2026-11-23T09:31:00Z","error":"E"}"#,
            r#"{"type":"delete","run":"r1"}"#,
            r#"{"type":"restore","run":"r1"}"#,
        ],
    )
    .await;
    assert_eq!(reader.runs(), 1);
    let session = store.session().await.unwrap();
    let a = async |sql: &str| answer(&session, sql).await;
    assert_eq!(
        a("SELECT name, status, error, duration_s, \"user\", git_dirty, notes, parent_run_id FROM runs").await,
        ["a|FAILED|E|60.0|ana|true|other|r0"]
    );
    let params: BTreeMap<_, _> = a("SELECT key || '=' || type || '=' || coalesce(value, '-') FROM params")
        .await
        .into_iter()
        .map(|row| (row.split('=').next().unwrap().to_string(), row.split_once('=').unwrap().1.to_string()))
        .collect();
    for (key, value) in [
        ("lr", "float=0.1"),
        ("n", "int=3"),
        ("big", "int=18446744073709551616"),
        ("u", "int=18446744073709551615"),
        ("neg", "int=-170141183460469231731687303715884105728"),
        ("t", "text=1"),
        ("b", "bool=true"),
        ("z", "null=-"),
        ("l", r#"list=[1,"a"]"#),
        ("d", r#"dict={"k":{"x":1}}"#),
        ("ll", "list=[[-18446744073709551617],1]"),
        ("nan", "float=NaN"),
        ("day", "date=2026-11-23"),
        ("odd", r#"dict={"$other":1}"#),
    ] {
        assert_eq!(params[key], value, "{key}");
    }
    assert!(params["at"].starts_with("datetime=2026-11-23T09:30:00"));
    assert_eq!(
        a("SELECT key, context, step, x, value FROM metrics ORDER BY key, value").await,
        ["auc|-|1|-|NaN", "loss|-|1|-|0.5", r#"loss|{"fold":3,"split":"test"}|-|1.5|inf"#]
    );
    assert_eq!(a("SELECT key, goal, source, unit FROM metric_defs").await, ["loss|min|declared|nats"]);
    assert_eq!(a("SELECT key, value FROM tags ORDER BY key").await, ["bare|-", "owner|ana"]);
    assert_eq!(a("SELECT author, comment FROM comments").await, ["ben|hm"]);
    assert_eq!(
        a("SELECT feature, position, used, importance FROM features ORDER BY position").await,
        ["age|0|true|0.5", "id|1|false|-"]
    );
    assert_eq!(a("SELECT dataset, n_rows, data_schema FROM data_versions").await, [r#"d|10|{"a":"int"}"#]);
    assert_eq!(a("SELECT package, package_version FROM packages").await, ["numpy|2.0"]);
    assert_eq!(a("SELECT key, value FROM environment").await, ["os|Linux"]);
    assert!(a("SELECT kind, target_run_id, weight FROM links").await.contains(&"fork|r0|0.5".to_string()));
    assert_eq!(a("SELECT key, kind FROM series ORDER BY key").await, ["img|file", "report|text", "w|histogram"]);
    assert_eq!(a("SELECT y, p, s FROM frames.predictions ORDER BY y").await, ["1|0.5|a", "2|NaN|-"]);
    assert_eq!(
        a("SELECT path, size FROM artifacts ORDER BY path").await,
        ["a/empty.bin|0", "b/empty.bin|0", "series/img/1/plot.png|3", "x.bin|3"]
    );
}

#[tokio::test]
async fn a_bad_line_says_what_is_wrong_and_changes_nothing() {
    let (_dir, store) = store();
    let mut reader = LineReader::new(&store, LineOptions::default());
    reader.feed(1, BEGIN).await.unwrap();
    for (line, reason) in [
        (r#"{"type":"metrics","run":"r1","stpe":1,"values":{}}"#, "unknown field 'stpe'"),
        (r#"{"type":"metric","run":"r1"}"#, "unknown type 'metric'"),
        (r#"{"run":"r1"}"#, "missing field 'type'"),
        (r#"{"type":"metrics","run":"r1"}"#, "missing field 'values'"),
        (r#"{"type":"metrics","run":"r1","values":{"a":"0.5"}}"#, "expected a number"),
        (r#"{"type":"metrics","run":"r1","values":{"a":1,"a":2}}"#, "'a' stands twice"),
        (r#"{"type":"metrics","run":"r1","values":{"":1}}"#, "needs a name"),
        (r#"{"type":"metrics","run":"r1","step":"1","values":{"a":1}}"#, "a number as step"),
        (r#"{"type":"metrics","run":"r1","time":"yesterday","values":{"a":1}}"#, "is not a time"),
        (r#"{"type":"metrics","run":"r1","context":[1],"values":{"a":1}}"#, "expected an object"),
        (r#"{"type":"params","run":"r1","values":{"a":{"$float":"x"}}}"#, "$float"),
        (r#"{"type":"params","run":"r1","values":{"a":{"$date":"2026-13-01"}}}"#, "$date"),
        (r#"{"type":"params","run":"r1","values":{"a":999999999999999999999999999999999999999999}}"#, "128 bits"),
        (r#"{"type":"params","run":"../x","values":{}}"#, "cannot be a run id"),
        (r#"{"type":"params","run":"r2","values":{"a":1}}"#, "run 'r2' is not known"),
        (r#"{"type":"tags","run":"r1","values":{"a":1}}"#, "expected a string"),
        (r#"{"type":"note","run":"r1"}"#, "missing field 'notes'"),
        (r#"{"type":"comment","run":"r1","remove":true}"#, "needs the 'id'"),
        (r#"{"type":"metric_goal","experiment":"e","key":"k","goal":"best"}"#, "best"),
        (r#"{"type":"data","run":"r1","dataset":"d","role":"t","n_rows":-1}"#, "'n_rows' cannot be negative"),
        (r#"{"type":"histogram","run":"r1","key":"h","edges":[1],"counts":[1]}"#, "one edge more"),
        (r#"{"type":"histogram","run":"r1","key":"h","edges":["NaN",1],"counts":[1]}"#, "finite"),
        (r#"{"type":"file","run":"r1","key":"f","source":"no/such/file"}"#, "no/such/file"),
        (r#"{"type":"file","run":"r1","key":"f","source":"/"}"#, "is not a file"),
        (r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1],"b":[]}}"#, "one length"),
        (r#"{"type":"table","run":"r1","name":"t","columns":{"run_id":[1]}}"#, "run_id"),
        (r#"{"type":"artifact","run":"r1","path":"../x","text":""}"#, "cannot name an artifact"),
        (r#"{"type":"artifact","run":"r1","path":"x"}"#, "one of 'source'"),
        (r#"{"type":"artifact","run":"r1","path":"x","base64":"?"}"#, "cannot be decoded"),
        (r#"{"type":"finish","run":"r1","status":"CRASHED"}"#, "cannot be finished"),
        (r#"{"type":"finish","run":"r1","status":"DONE"}"#, "DONE"),
        (r#"{"type":"run","run":"r1"}"#, "missing field 'experiment'"),
        (
            r#"{"type":"params","run":"r1","values":{"a":{"$param":{"type":"int","value":"x"}}}}"#,
            "no value of the type 'int'",
        ),
        (r#"{"type":"params","run":"r1","values":{"a":{"$param":"1e-05"}}}"#, "is not like"),
        (r#"{"type":"series","run":"r1","key":"k","kind":"video","payload":""}"#, "no kind of series"),
        (r#"{"type":"metric_goal","experiment":"e","key":"k","goal":"min","source":"me"}"#, "not 'me'"),
        (r#"{"type":"experiment","experiment":"e","id":"7"}"#, "16 hex digits"),
        (r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1]},"types":{"b":"text"}}"#, "the column 'b'"),
        (r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1]},"types":{"a":"int"}}"#, "the type 'int'"),
        (r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1]},"types":{"a":"text"}}"#, "1 is not a text"),
        (
            r#"{"type":"table","run":"r1","name":"t","columns":{"a":[[1,"x"]]},"types":{"a":"double[]"}}"#,
            "not a number",
        ),
        (r#"{"type":"artifact","run":"r1","path":"x","text":"","digest":"00"}"#, "64 hex digits"),
        (r#"{"type":"artifact","run":"r1","path":"x","uri":"artifacts/r2/x","size":1}"#, "an address like"),
        (r#"{"type":"artifact","run":"r1","path":"x","uri":"file:///x"}"#, "needs the 'size'"),
        (r#"{"type":"artifact","run":"r1","path":"x","text":"","size":0}"#, "beside 'uri' only"),
        (
            r#"{"type":"artifact","run":"r1","path":"x","text":"","digest":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
            "is not the content that was meant",
        ),
        (r#"{"type":"run","run":"r1","experiment":"x","git_dirty":"yes"}"#, "boolean"),
        ("[1]", "not JSON"),
        (r#"{"type":"run""#, "not JSON"),
        ("garbage", "not JSON"),
        (r#"{"type":"metrics","run":"r","values":{"a":NaN}}"#, "NaN and infinities are the texts"),
    ] {
        let said = refused(&mut reader, line).await;
        if !(reason == "not JSON" && line == "[1]") {
            assert!(said.contains(reason), "{line}: {said}");
        }
    }
    let session = store.session().await.unwrap();
    for table in ["params", "metrics", "tags", "comments", "series", "artifacts", "data_versions", "metric_defs"] {
        assert_eq!(answer(&session, &format!("SELECT count(*) FROM {table}")).await, ["0"], "{table}");
    }
    assert_eq!(answer(&session, "SELECT run_id, status FROM runs").await, ["r1|RUNNING"]);
}

#[tokio::test]
async fn a_param_keeps_its_first_value_within_an_input_and_across_stores() {
    let (_dir, store) = store();
    let mut reader = LineReader::new(&store, LineOptions::default());
    feed(&mut reader, &[BEGIN, r#"{"type":"params","run":"r1","values":{"lr":0.1}}"#]).await;
    let again = r#"{"type":"params","run":"r1","values":{"lr":0.1,"n":1}}"#;
    let other = r#"{"type":"params","run":"r1","values":{"m":2,"lr":0.2}}"#;
    feed(&mut reader, &[again]).await;
    let said = refused(&mut reader, other).await;
    assert!(said.contains("'lr'") && said.contains("0.1") && said.contains("0.2"), "{said}");

    // Another input, live then sealed: with a `run` line that takes the run up, and without.
    for seal in [false, true] {
        if seal {
            store.close_segment().unwrap();
            store.seal().await.unwrap();
        }
        for begin in [false, true] {
            let mut reader = LineReader::new(&store, LineOptions::default());
            if begin {
                reader.feed(1, BEGIN).await.unwrap();
            }
            feed(&mut reader, &[again]).await;
            assert!(refused(&mut reader, other).await.contains("cannot become 0.2"));
        }
    }
    let session = store.session().await.unwrap();
    assert_eq!(answer(&session, "SELECT key, value FROM params ORDER BY key").await, ["lr|0.1", "n|1"]);
}

#[tokio::test]
async fn checking_writes_nothing_and_finds_the_same_lines_bad() {
    let (_dir, store) = store();
    let mut reader = LineReader::new(&store, LineOptions { check_only: true, ..LineOptions::default() });
    feed(
        &mut reader,
        &[
            BEGIN,
            r#"{"type":"params","run":"r1","values":{"lr":0.1}}"#,
            r#"{"type":"artifact","run":"r1","path":"x","text":"x"}"#,
            r#"{"type":"metric_goal","experiment":"churn","key":"a","goal":"max"}"#,
            r#"{"type":"finish","run":"r1"}"#,
            r#"{"type":"delete","run":"r1"}"#,
        ],
    )
    .await;
    assert!(refused(&mut reader, r#"{"type":"params","run":"r1","values":{"lr":1}}"#).await.contains("cannot become"));
    assert!(refused(&mut reader, r#"{"type":"note","run":"r2","notes":""}"#).await.contains("not known"));
    let session = store.session_with(SessionOptions { deleted: true, ..SessionOptions::default() }).await.unwrap();
    assert_eq!(answer(&session, "SELECT count(*) FROM runs").await, ["0"]);
    assert_eq!(answer(&session, "SELECT count(*) FROM metric_defs").await, ["0"]);
}

#[tokio::test]
async fn the_id_of_a_reclaimed_run_is_refused() {
    let (_dir, store) = store();
    let mut reader = LineReader::new(&store, LineOptions::default());
    feed(&mut reader, &[BEGIN, r#"{"type":"finish","run":"r1"}"#, r#"{"type":"delete","run":"r1"}"#]).await;
    store.close_segment().unwrap();
    store.gc(crate::GcOptions { keep: crate::Micros(0) }).await.unwrap();
    let mut reader = LineReader::new(&store, LineOptions::default());
    assert!(refused(&mut reader, BEGIN).await.contains("was deleted and reclaimed"));
}

#[test]
fn lines_come_out_of_plain_and_gzip_inputs_alike() {
    let text = "\u{feff}{\"a\":1}\r\n\nlast without end";
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text.as_bytes()[..5]).unwrap();
    let mut packed = gz.finish().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text.as_bytes()[5..]).unwrap();
    packed.extend(gz.finish().unwrap());
    for bytes in [text.as_bytes().to_vec(), packed] {
        let mut lines = Lines::new(Box::new(Cursor::new(bytes))).unwrap();
        let batch = lines.next_batch(10).unwrap();
        let texts: Vec<_> = batch.iter().map(|l| (l.number, l.text().unwrap().to_string())).collect();
        let wanted = [(1, r#"{"a":1}"#), (2, ""), (3, "last without end")].map(|(n, t)| (n, t.to_string()));
        assert!(texts.len() == 3 && texts == wanted || texts[..2] == wanted[..2], "{texts:?}");
        let rest = lines.next_batch(10).unwrap();
        assert_eq!(texts.len() + rest.len(), 3);
    }
    let mut lines = Lines::new(Box::new(Cursor::new(b"\xff\n".to_vec()))).unwrap();
    assert!(lines.next_line().unwrap().unwrap().text().unwrap_err().reason.contains("not UTF-8 at byte 1"));
    assert!(Lines::new(Box::new(Cursor::new(Vec::new()))).unwrap().next_line().unwrap().is_none());
}

/// Gives some bytes, then fails.
struct Torn(Cursor<Vec<u8>>);

impl Read for Torn {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other("torn")),
            n => Ok(n),
        }
    }
}

#[test]
fn lines_before_a_read_error_are_given_first() {
    let mut lines = Lines::new(Box::new(Torn(Cursor::new(b"a\nb\nhalf".to_vec())))).unwrap();
    let mut seen = Vec::new();
    let error = loop {
        match lines.next_batch(10) {
            Ok(batch) => seen.extend(batch.into_iter().map(|l| l.bytes)),
            Err(e) => break e,
        }
    };
    assert_eq!(seen, [b"a", b"b"]);
    assert_eq!(error.to_string(), "torn");
}

#[tokio::test]
async fn every_line_of_the_sample_is_sound() {
    let (_dir, store) = store();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data");
    let file = std::fs::File::open(folder.join("runs.jsonl.gz")).unwrap();
    let mut reader = LineReader::new(&store, LineOptions { folder, check_only: true });
    let mut lines = Lines::new(Box::new(file)).unwrap();
    while let Some(raw) = lines.next_line().unwrap() {
        reader.feed(raw.number, raw.text().unwrap()).await.unwrap();
    }
    assert_eq!(reader.runs(), 2756);
}

/// A line of each type, to be mutated.
const SEEDS: [&str; 10] = [
    r#"{"type":"table","run":"r1","name":"t","columns":{"a":["1.25",null],"b":[[1],null],"c":["AAEC",""]},"types":{"a":"decimal(5,2)","b":"double[]","c":"binary"}}"#,
    r#"{"type":"params","run":"r1","values":{"a":{"$param":{"type":"datetime","value":"2026-11-23"}}}}"#,
    r#"{"type":"run","run":"r1","experiment":"e","start_time":1764000000.25,"git_dirty":false}"#,
    r#"{"type":"params","run":"r1","values":{"a":18446744073709551616,"b":{"$float":"NaN"},"c":["é\"",1e5],"d":"\\"}}"#,
    r#"{"type":"metrics","run":"r1","step":2.5,"context":{"a":{"b":[1]}},"values":{"x":-0.5e-7,"y":"Infinity"}}"#,
    r#"{"type":"features","run":"r1","features":[{"feature":"f","importance":1,"feature_tags":["t"]}]}"#,
    r#"{"type":"table","run":"r1","name":"t","columns":{"a":[1,null,true],"b":["x",2.5,{}]}}"#,
    r#"{"type":"histogram","run":"r1","key":"h","edges":[0,1],"counts":[2],"time":"2026-11-23T09:30:00+01:00"}"#,
    r#"{"type":"artifact","run":"r1","path":"a/b.txt","base64":"AAEC"}"#,
    r#"{"type":"finish","run":"r1","status":"KILLED","end_time":-62135596800}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_the_reader_panic(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        use_noise in prop::bool::weighted(0.1),
    ) {
        let mut bytes = if use_noise { noise } else { SEEDS[seed].as_bytes().to_vec() };
        for (at, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let i = at.index(bytes.len());
            match kind {
                0 => bytes[i] = byte,
                1 => { bytes.remove(i); }
                _ => bytes.insert(i, b"{}[]\",:0123456789eE-+.$\\"[byte as usize % 24]),
            }
        }
        let raw = RawLine { number: 1, bytes, cut: false };
        if let Ok(text) = raw.text() {
            let _ = super::line::parse(text);
            let _ = super::big::mark_integers(text);
        }
    }

    #[test]
    fn integers_of_any_size_are_kept_exactly(n in any::<i128>()) {
        let line = format!(r#"{{"type":"params","run":"r1","values":{{"n":{n}}}}}"#);
        let super::line::Act::Params(values) = super::line::parse(&line).unwrap().act else { unreachable!() };
        prop_assert_eq!(values, [("n".to_string(), crate::ParamValue::Int(n))]);
    }

    #[test]
    fn floats_are_kept_exactly(x in any::<f64>()) {
        prop_assume!(x.is_finite());
        let line = format!(r#"{{"type":"params","run":"r1","values":{{"x":{x:?}}}}}"#);
        let super::line::Act::Params(values) = super::line::parse(&line).unwrap().act else { unreachable!() };
        prop_assert_eq!(&values, &[("x".to_string(), crate::ParamValue::Float(x))]);
    }
}

#[tokio::test]
async fn a_run_stays_in_its_experiment() {
    let (_dir, store) = store();
    let other = r#"{"type":"run","run":"r1","experiment":"fraud"}"#;
    let wrong = "run 'r1' belongs to experiment 'churn' and cannot be taken up in 'fraud'";
    let mut reader = LineReader::new(&store, LineOptions::default());
    feed(&mut reader, &[BEGIN]).await;
    assert_eq!(refused(&mut reader, other).await, wrong);
    for sealed in [false, true] {
        // Another process: it knows the run from the store.
        let mut reader = LineReader::new(&store, LineOptions::default());
        assert_eq!(refused(&mut reader, other).await, wrong, "sealed: {sealed}");
        feed(&mut reader, &[BEGIN]).await;
        store.flush().unwrap();
        store.seal().await.unwrap();
    }
    store.rename_experiment("churn", "fraud").unwrap();
    let mut reader = LineReader::new(&store, LineOptions::default());
    feed(&mut reader, &[other]).await;
    let mut check = LineReader::new(&store, LineOptions { check_only: true, ..LineOptions::default() });
    feed(&mut check, &[r#"{"type":"run","run":"r2","experiment":"a"}"#]).await;
    assert!(refused(&mut check, r#"{"type":"run","run":"r2","experiment":"b"}"#).await.contains("'a'"));
}
