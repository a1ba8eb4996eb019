use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::*;

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn numbers(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn whole(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn rows(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter(columns.to_vec()).unwrap()
}

fn curves() -> RecordBatch {
    rows(&[
        ("run_id", texts(&["b", "b", "b", "b", "a", "a"])),
        ("step", whole(&[2, 0, 1, 3, 0, 1])),
        ("value", numbers(&[0.25, 1.0, f64::NAN, 0.2, 3.0, 2.0])),
    ])
}

fn options(kind: ChartKind) -> ChartOptions {
    ChartOptions::new(kind)
}

fn chart(rows: &RecordBatch, kind: ChartKind) -> Chart {
    Chart::of(rows, &options(kind)).unwrap()
}

fn lines(chart: &Chart) -> &[Line] {
    let Marks::Lines(lines) = &chart.marks else { panic!("these are lines") };
    lines
}

#[test]
fn lines_are_read_off_series_of_points() {
    let chart = chart(&curves(), ChartKind::Line);
    let lines = lines(&chart);
    assert_eq!(lines.iter().map(|line| line.name.as_deref()).collect::<Vec<_>>(), [Some("b"), Some("a")]);
    let points: Vec<String> = lines[0].points.iter().map(|(x, y)| format!("{x}:{y}")).collect();
    assert_eq!(points, ["0:1", "1:NaN", "2:0.25", "3:0.2"], "in order, the gap where it is");
    assert_eq!((chart.x.label.as_str(), chart.y.label.as_str()), ("step", "value"));
}

#[test]
fn what_has_no_place_on_a_logarithmic_axis_is_told() {
    let options = ChartOptions { log_x: true, ..options(ChartKind::Line) };
    let chart = Chart::of(&curves(), &options).unwrap();
    assert_eq!(lines(&chart)[0].points.len(), 3);
    assert_eq!(chart.notes(), ["2 points without a place on the axes are not drawn"]);
}

#[test]
fn a_smooth_line_has_the_raw_one_under_it() {
    let options = ChartOptions { smooth: Some(0.5), ..options(ChartKind::Line) };
    let chart = Chart::of(&curves(), &options).unwrap();
    let smooth: Vec<f64> = lines(&chart)[0].smooth.as_ref().unwrap().iter().map(|point| point.1).collect();
    assert_eq!(smooth, [1.0, 1.0, 0.625, 0.4125]);
    let svg = chart.svg(Size::Wide);
    assert!(svg.contains(palette::RAW[0].light) && svg.contains(palette::SERIES[0].light));
    for alpha in [0.0, 1.5, f64::NAN] {
        let options = ChartOptions { smooth: Some(alpha), ..options.clone() };
        assert!(Chart::of(&curves(), &options).is_err());
    }
}

#[test]
fn axes_have_the_unit_of_the_metric() {
    let units = HashMap::from([("loss".to_string(), "nats".to_string()), ("fit_time_s".to_string(), "s".to_string())]);
    let keyed = rows(&[("key", texts(&["loss"; 2])), ("step", whole(&[0, 1])), ("value", numbers(&[1.0, 0.5]))]);
    let of =
        |rows: &RecordBatch, kind| Chart::of(rows, &ChartOptions { units: units.clone(), ..options(kind) }).unwrap();
    assert_eq!(of(&keyed, ChartKind::Line).y.label, "loss (nats)");
    let plane = rows(&[("fit_time_s", numbers(&[1.0])), ("auc", numbers(&[0.9]))]);
    let chart = of(&plane, ChartKind::Scatter);
    assert_eq!((chart.x.label.as_str(), chart.y.label.as_str()), ("fit_time_s (s)", "auc"));
}

#[test]
fn bars_take_intervals_and_series() {
    let scores = rows(&[
        ("model", texts(&["gbm", "svm"])),
        ("mean", numbers(&[0.9, 0.8])),
        ("low", numbers(&[0.85, f64::NAN])),
        ("high", numbers(&[0.93, f64::NAN])),
    ]);
    let Marks::Bars(bars) = chart(&scores, ChartKind::Bar).marks else { panic!("these are bars") };
    assert_eq!(bars.series[0].values, [(0.9, 0.85, 0.93), (0.8, 0.8, 0.8)]);
    let twice =
        rows(&[("model", texts(&["gbm", "gbm"])), ("data", texts(&["v1", "v2"])), ("auc", numbers(&[0.9, 0.8]))]);
    let e = Chart::of(&twice, &options(ChartKind::Bar)).unwrap_err().to_string();
    assert!(e.contains("comes twice"), "{e}");
    let series = ChartOptions { series: Some("data".into()), ..options(ChartKind::Bar) };
    let Marks::Bars(bars) = Chart::of(&twice, &series).unwrap().marks else { panic!("these are bars") };
    assert_eq!((bars.categories.len(), bars.series.len()), (1, 2));
}

#[test]
fn cells_of_a_heat_map_go_by_their_categories() {
    let grid =
        rows(&[("depth", whole(&[10, 2, 10])), ("lr", numbers(&[0.1, 0.1, 0.01])), ("auc", numbers(&[0.9, 0.8, 0.7]))]);
    let Marks::Grid(grid) = chart(&grid, ChartKind::Heat).marks else { panic!("this is a grid") };
    assert_eq!((grid.columns, grid.rows), (vec!["2".into(), "10".into()], vec!["0.01".into(), "0.1".to_string()]));
    assert!(grid.values[0][0].is_nan());
    assert_eq!((grid.values[0][1], grid.values[1][0], grid.values[1][1]), (0.7, 0.8, 0.9));
}

#[test]
fn the_front_is_what_has_rank_1() {
    let points = rows(&[
        ("rank", whole(&[1, 2, 1])),
        ("auc", numbers(&[0.9, 0.8, 0.7])),
        ("fit_time_s", numbers(&[3.0, 3.5, 1.0])),
    ]);
    let Marks::Points(clouds) = chart(&points, ChartKind::Pareto).marks else { panic!("these are points") };
    assert_eq!(clouds.iter().map(|cloud| cloud.points.len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(clouds[1].points, [(0.7, 1.0), (0.9, 3.0)]);
    let unranked = rows(&[("auc", numbers(&[0.9])), ("fit_time_s", numbers(&[3.0]))]);
    assert!(Chart::of(&unranked, &options(ChartKind::Pareto)).unwrap_err().to_string().contains("rank"));
}

#[test]
fn slips_are_told_with_the_columns_there_are() {
    let why = |options: ChartOptions| Chart::of(&curves(), &options).unwrap_err().to_string();
    let missing = ChartOptions { x: Some("epoch".into()), ..options(ChartKind::Line) };
    assert_eq!(why(missing), "the answer has no column 'epoch'; it has run_id, step, value");
    let text = ChartOptions { y: vec!["run_id".into()], ..options(ChartKind::Line) };
    assert_eq!(why(text), "column 'run_id' holds no numbers, which a line takes");
    let useless = ChartOptions { smooth: Some(0.1), ..options(ChartKind::Bar) };
    assert_eq!(why(useless), "chart=bar has no option smooth");
    let empty = curves().slice(0, 0);
    assert!(Chart::of(&empty, &options(ChartKind::Line)).unwrap_err().to_string().contains("no rows"));
}

#[test]
fn the_same_rows_give_the_same_picture_whatever_their_names_say() {
    let hostile = ["<script>alert(1)</script>", "a|b", "line\nbreak", "שלום", "$x$ & \"y\"", "\u{202e}evil"];
    let n = hostile.len();
    let numbers = numbers(&(0..n).map(|i| i as f64 + 0.5).collect::<Vec<_>>());
    let of = |columns: &[(&str, ArrayRef)], kind| chart(&rows(columns), kind);
    let pictures = [
        of(&[("name", texts(&hostile)), ("value", Arc::clone(&numbers))], ChartKind::Bar),
        of(&[("name", texts(&hostile)), ("value", Arc::clone(&numbers))], ChartKind::Dot),
        of(&[("name", texts(&hostile)), ("value", Arc::clone(&numbers))], ChartKind::Box),
        of(&[("name", texts(&hostile)), ("step", whole(&[0; 6])), ("value", Arc::clone(&numbers))], ChartKind::Line),
        of(&[("a", texts(&hostile)), ("b", texts(&hostile)), ("value", numbers)], ChartKind::Heat),
    ];
    for picture in pictures {
        let svg = picture.svg_file();
        assert_eq!(svg, picture.svg_file());
        let (text, inner) = (svg.replace("<style>", ""), svg.to_lowercase());
        assert!(!inner.contains("<script") && !svg.contains('\u{202e}'), "{svg}");
        // Every tag is one of the picture's own.
        let tags: std::collections::BTreeSet<&str> =
            text.split('<').skip(1).map(|tag| tag.split([' ', '>', '/']).next().unwrap()).collect();
        let known = [
            "", "!--", "circle", "clipPath", "defs", "g", "line", "path", "polygon", "polyline", "rect", "svg", "text",
            "title",
        ];
        assert!(tags.iter().all(|tag| known.contains(tag)), "{tags:?}");
        assert!(svg.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && svg.contains("line\\nbreak"), "{svg}");
        assert!(svg.contains("$x$ &amp;"), "a dollar begins no formula: {svg}");
    }
}

#[test]
fn times_along_an_axis_are_read_as_times() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 86_400_000_000, 172_800_000_000]));
    let chart = chart(&rows(&[("day", times), ("runs", whole(&[1, 2, 3]))]), ChartKind::Line);
    assert!(chart.x.time);
    assert_eq!(lines(&chart)[0].points[1], (86_400.0, 2.0));
    let svg = chart.svg(Size::Wide);
    assert!(svg.contains("Jan") || svg.contains("01-02"), "{svg}");
}

#[test]
fn a_large_cloud_is_no_larger_than_what_can_be_seen() {
    let n = 100_000;
    let x: Vec<f64> = (0..n).map(|i| f64::from(i % 997)).collect();
    let y: Vec<f64> = (0..n).map(|i| f64::from(i % 991) / 10.0).collect();
    let chart = chart(&rows(&[("x", numbers(&x)), ("y", numbers(&y))]), ChartKind::Scatter);
    let svg = chart.svg(Size::Wide);
    assert!(svg.len() < 8_000_000, "{}", svg.len());
}
