//! What goes into a format comes out of it again; what is for people is shown as written here.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use bytes::Bytes;
use insta::assert_snapshot;
use serde_json::Value as Json;

use super::*;

const FLOATS: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, 0.1, f64::MAX, 1234567890123456.7];
const TEXTS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("a,\"b\"\r\nc\td"),
    Some("\u{1b}[31mred\u{202e}"),
    Some("学习率 👩‍🚀 | *x*"),
    Some("NULL"),
    Some(" padded "),
    Some("<script>alert('&')</script>\\_"),
];

/// Every kind of column, with the values that formats get wrong.
fn tricky() -> RecordBatch {
    let ids = [i64::MIN, i64::MAX, 0, -1, 9_007_199_254_740_993, 5, 6, 7];
    let times = [-1, 0, 1, 1_763_890_304_123_456, 1_763_890_304_000_000, 5, 6, -62_135_596_800_000_000];
    let list: ListArray = ListArray::from_iter_primitive::<Float64Type, _, _>(
        FLOATS.iter().enumerate().map(|(i, x)| (i != 2).then(|| vec![Some(*x), None])),
    );
    let inner = StructArray::from(vec![
        (
            Arc::new(Field::new("train loss (v2)", DataType::Float64, true)),
            Arc::new(Float64Array::from(FLOATS.to_vec())) as ArrayRef,
        ),
        (Arc::new(Field::new("owner", DataType::Utf8, true)), Arc::new(StringArray::from(TEXTS.to_vec())) as ArrayRef),
    ]);
    let dictionary: DictionaryArray<Int32Type> =
        ["a", "b", "a", "b", "", "a", "b", "c"].into_iter().map(|t| (!t.is_empty()).then_some(t)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(FLOATS.to_vec())), true),
        ("text", Arc::new(StringArray::from(TEXTS.to_vec())), true),
        ("view", Arc::new(StringViewArray::from(TEXTS.to_vec())), true),
        ("ok", Arc::new(BooleanArray::from_iter((0..8).map(|i| (i % 3 != 0).then_some(i % 2 == 0)))), true),
        ("time", Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")), true),
        ("day", Arc::new(Date32Array::from_iter_values(19_000..19_008)), true),
        ("list", Arc::new(list), true),
        ("params", Arc::new(inner), true),
        ("word", Arc::new(dictionary), true),
    ])
    .unwrap()
}

fn small() -> RecordBatch {
    let tags = StructArray::from(vec![(
        Arc::new(Field::new("own|er", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec![Some("<zoë>"), None, Some("a\nb")])) as ArrayRef,
    )]);
    RecordBatch::try_from_iter_with_nullable([
        ("run_id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, true),
        ("max_depth|", Arc::new(StringArray::from(vec![Some("a|b*c"), None, Some("")])), true),
        ("auc", Arc::new(Float64Array::from(vec![Some(0.1 + 0.2), None, Some(f64::NAN)])), true),
        ("tags", Arc::new(tags), true),
    ])
    .unwrap()
}

fn write(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sink = sink(format, &mut out, &TableOptions::default());
    sink.schema(&batches[0].schema()).unwrap();
    for batch in batches {
        sink.batch(batch).unwrap();
    }
    let written = sink.finish().unwrap();
    assert_eq!(written.rows, batches.iter().map(RecordBatch::num_rows).sum::<usize>());
    out
}

fn text(format: Format, batches: &[RecordBatch]) -> String {
    String::from_utf8(write(format, batches)).unwrap()
}

/// In two batches, so that nothing rests on there being one.
fn halves(batch: &RecordBatch) -> [RecordBatch; 2] {
    [batch.slice(0, 3), batch.slice(3, batch.num_rows() - 3)]
}

/// Reads CSV by the book; an unquoted empty field is NULL.
fn parse_csv(text: &str, delimiter: char) -> Vec<Vec<Option<String>>> {
    let (mut rows, mut row, mut chars) = (Vec::new(), Vec::new(), text.chars().peekable());
    while chars.peek().is_some() {
        let mut field = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        let end = loop {
            match chars.next() {
                Some('"') if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
                Some('"') if quoted => break chars.next(),
                Some(c) if !quoted && (c == delimiter || c == '\n') => break Some(c),
                Some(c) => field.push(c),
                None => break None,
            }
        };
        row.push((quoted || !field.is_empty()).then_some(field));
        match end {
            Some(c) if c == delimiter => {}
            Some('\n') => rows.push(std::mem::take(&mut row)),
            other => panic!("a field ends in {other:?}"),
        }
    }
    rows
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

#[test]
fn csv_and_tsv_give_every_value_back() {
    for (format, delimiter) in [(Format::Csv, ','), (Format::Tsv, '\t')] {
        let rows = parse_csv(&text(format, &halves(&tricky())), delimiter);
        assert_eq!(rows.len(), 9);
        assert_eq!(rows[0].iter().flatten().take(3).collect::<Vec<_>>(), ["id", "x", "text"]);
        for (i, row) in rows[1..].iter().enumerate() {
            assert_eq!(
                row[0].as_deref().unwrap().parse::<i64>().unwrap(),
                tricky()["id"].as_primitive::<Int64Type>().value(i)
            );
            let x = row[1].as_deref().unwrap();
            assert!(same(x.parse().unwrap(), FLOATS[i]), "{x}");
            assert_eq!(row[2].as_deref(), TEXTS[i]);
            assert_eq!(row[3].as_deref(), TEXTS[i]);
            let nested: Json = serde_json::from_str(row[8].as_deref().unwrap()).unwrap();
            assert_eq!(nested["owner"].as_str(), TEXTS[i]);
        }
        assert_eq!(rows[3][7], None, "a NULL list");
        assert_eq!(rows[4][5].as_deref(), Some("2025-11-23T09:31:44.123456Z"));
        assert_eq!(rows[1][6].as_deref(), Some("2022-01-08"));
    }
}

#[test]
fn json_and_ndjson_give_every_value_back() {
    let array: Vec<Json> = serde_json::from_slice(&write(Format::Json, &halves(&tricky()))).unwrap();
    let lines = text(Format::Ndjson, &halves(&tricky()));
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(array, lines);
    assert_eq!(array.len(), 8);
    let number = |json: &Json| match json {
        Json::String(text) => text.parse::<f64>().unwrap(),
        json => json.as_f64().unwrap(),
    };
    for (i, row) in array.iter().enumerate() {
        assert_eq!(row["id"].as_i64().unwrap(), tricky()["id"].as_primitive::<Int64Type>().value(i));
        assert!(same(number(&row["x"]), FLOATS[i]), "{}", row["x"]);
        assert!(same(number(&row["params"]["train loss (v2)"]), FLOATS[i]));
        assert_eq!(row["view"].as_str(), TEXTS[i]);
        assert_eq!(row["ok"].as_bool(), (i % 3 != 0).then_some(i % 2 == 0));
    }
    assert_eq!(array[1]["list"], serde_json::json!(["Infinity", null]));
    assert_eq!(array[2]["list"], Json::Null);
    assert_eq!(array[1]["time"], "1970-01-01T00:00:00Z");
    assert_eq!(text(Format::Json, &[tricky().slice(0, 0)]), "[]\n");
}

/// The same values; NaN equals itself here.
fn assert_same_rows(read: Vec<RecordBatch>, expected: &RecordBatch) {
    let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
    assert_eq!(read.num_columns(), expected.num_columns());
    for (i, column) in expected.columns().iter().enumerate() {
        assert_eq!(read.column(i).data_type(), column.data_type());
        let (a, b) = (format!("{:?}", read.column(i)), format!("{column:?}"));
        assert_eq!(a, b, "column {}", expected.schema().field(i).name());
    }
}

#[test]
fn parquet_gives_every_value_back() {
    let bytes = Bytes::from(write(Format::Parquet, &halves(&tricky())));
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 1024).unwrap();
    assert_same_rows(reader.map(|batch| batch.unwrap()).collect(), &tricky());
}

#[test]
fn arrow_gives_every_value_back() {
    let bytes = write(Format::Arrow, &[tricky()]);
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    assert_same_rows(reader.map(|batch| batch.unwrap()).collect(), &tricky());
}

#[test]
fn columns_of_one_name_are_told_apart_where_they_must_be() {
    let schema = Schema::new(["a", "a", "a_2", "a"].map(|name| Field::new(name, DataType::Int64, false)).to_vec());
    assert_eq!(unique_names(&schema), ["a", "a_3", "a_2", "a_4"]);
}

#[test]
fn binary_formats_hold_columns_without_a_type_or_rows() {
    let batch = RecordBatch::try_from_iter([("nothing", Arc::new(NullArray::new(2)) as ArrayRef)]).unwrap();
    for format in [Format::Parquet, Format::Arrow] {
        assert!(!write(format, std::slice::from_ref(&batch)).is_empty());
        assert!(!write(format, &[batch.slice(0, 0)]).is_empty());
    }
}

#[test]
fn markdown_shows_text_as_it_is() {
    assert_snapshot!(text(Format::Markdown, &[small()]), @r#"
    | run_id | max_depth\| | auc | tags |
    | ---: | --- | ---: | --- |
    | 1 | a\|b\*c | 0.30000000000000004 | {"own\|er":"&lt;zoë&gt;"} |
    | 2 |  |  | {"own\|er":null} |
    | 3 |  | NaN | {"own\|er":"a\\nb"} |
    "#);
}

#[test]
fn html_escapes_everything() {
    let html = text(Format::Html, &[small()]);
    assert_snapshot!(html.split_once("<table>").unwrap().1, @r#"
    <thead><tr><th class="n">run_id</th><th>max_depth|</th><th class="n">auc</th><th>tags</th></tr></thead>
    <tbody>
    <tr><td class="n">1</td><td>a|b*c</td><td class="n">0.30000000000000004</td><td>{&quot;own|er&quot;:&quot;&lt;zoë&gt;&quot;}</td></tr>
    <tr><td class="n">2</td><td class="null">NULL</td><td class="null">NULL</td><td>{&quot;own|er&quot;:null}</td></tr>
    <tr><td class="n">3</td><td></td><td class="n">NaN</td><td>{&quot;own|er&quot;:&quot;a\nb&quot;}</td></tr>
    </tbody>
    </table>
    </body>
    </html>
    "#);
    assert!(!text(Format::Html, &[tricky()]).contains("<script>"));
}

#[test]
fn line_shows_a_value_per_line() {
    assert_snapshot!(text(Format::Line, &[small()]), @r#"
        run_id = 1
    max_depth| = a|b*c
           auc = 0.30000000000000004
          tags = {"own|er":"<zoë>"}

        run_id = 2
    max_depth| = NULL
           auc = NULL
          tags = {"own|er":null}

        run_id = 3
    max_depth| = 
           auc = NaN
          tags = {"own|er":"a\nb"}
    "#);
}

#[test]
fn text_for_people_cannot_act_on_a_terminal() {
    for format in Format::ALL.into_iter().filter(|format| format.is_terminal_safe()) {
        let text = text(format, &[tricky()]);
        let bad: Vec<char> = text.chars().filter(|c| *c != '\n' && *c != '\t' && visible::is_unsafe(*c)).collect();
        assert!(bad.is_empty(), "{format}: {bad:?}");
    }
}

#[test]
fn formats_are_found_by_name_and_by_ending() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert_eq!(Format::of_path(Path::new("a/b.JSONL")), Some(Format::Ndjson));
    assert_eq!(Format::of_path(Path::new("a/b.txt")), None);
    assert_snapshot!("xml".parse::<Format>().unwrap_err(), @"no format 'xml'; there are table, csv, tsv, json, ndjson, markdown, html, line, parquet, arrow");
}
