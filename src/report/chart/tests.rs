use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::*;

mod drawn;

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
    assert_eq!(chart.notes(), ["not drawn: 2 points at or below 0, where a logarithmic axis has no place"]);
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
    assert_eq!(why(text), "column 'run_id' holds no numbers, and a line takes numbers");
    let useless = ChartOptions { smooth: Some(0.1), ..options(ChartKind::Bar) };
    assert_eq!(why(useless), "chart=bar has no option smooth");
    let empty = curves().slice(0, 0);
    assert!(Chart::of(&empty, &options(ChartKind::Line)).unwrap_err().to_string().contains("no rows"));
}

#[test]
fn names_are_told_apart_however_long_they_are() {
    let long: Vec<String> = (0..9).map(|i| format!("{}-{i}", "resnet50-imagenet-augmented-".repeat(3))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let values = numbers(&[1.0; 9]);
    let bars = chart(&rows(&[("name", texts(&long)), ("value", Arc::clone(&values))]), ChartKind::Bar);
    let Marks::Bars(all) = &bars.marks else { panic!("these are bars") };
    assert_eq!(all.categories.len(), 9);
    for size in [Size::Wide, Size::Narrow] {
        assert!((0..9).all(|i| bars.svg(size).contains(&format!("-{i}</text>"))), "the ends of names are to be seen");
    }
    let lines = chart(&rows(&[("name", texts(&long)), ("step", whole(&[0; 9])), ("value", values)]), ChartKind::Line);
    assert_eq!(self::lines(&lines).len(), 9);
    // What looks alike as text is not the same either.
    let alike: ArrayRef =
        Arc::new(StringArray::from(vec![Some("NULL"), None, Some("a\nb"), Some("a\\nb"), Some("NULL (2)")]));
    let bars = chart(&rows(&[("name", alike), ("value", numbers(&[1.0; 5]))]), ChartKind::Bar);
    let Marks::Bars(all) = &bars.marks else { panic!("these are bars") };
    assert_eq!(all.categories.len(), 5);
    let close = rows(&[("lr", numbers(&[0.12345671, 0.12345672])), ("value", numbers(&[1.0, 2.0]))]);
    let Marks::Bars(all) = chart(&close, ChartKind::Bar).marks else { panic!("these are bars") };
    assert_eq!(all.categories, ["0.123457", "0.12345672"]);
}

#[test]
fn runs_of_one_name_are_a_line_each() {
    let ids = ["0123456789aa", "0123456789aa", "0123456789bb", "0123456789bb", "77", "77"];
    let runs = rows(&[
        ("run_id", texts(&ids)),
        ("name", texts(&["gbm", "gbm", "gbm", "gbm", "svm", "svm"])),
        ("step", whole(&[0, 1, 0, 1, 0, 1])),
        ("value", numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    ]);
    for series in [None, Some("name".to_string())] {
        let chart = Chart::of(&runs, &ChartOptions { series, ..options(ChartKind::Line) }).unwrap();
        let names: Vec<_> = lines(&chart).iter().map(|line| line.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["gbm 0123456789a", "gbm 0123456789b", "svm"]);
        assert!(chart.notes().is_empty());
    }
    let joined = ChartOptions { series: Some("run_id".into()), ..options(ChartKind::Line) };
    assert_eq!(lines(&Chart::of(&runs, &joined).unwrap()).len(), 3);
    let without = runs.project(&[1, 2, 3]).unwrap();
    let chart = chart(&without, ChartKind::Line);
    assert_eq!(
        chart.notes(),
        ["'gbm' has several points at one step: a column that tells them apart can be the series"]
    );
}

#[test]
fn a_column_that_is_named_has_no_second_part() {
    let plane = rows(&[("a", numbers(&[1.0, 2.0])), ("b", numbers(&[3.0, 4.0])), ("c", numbers(&[5.0, 6.0]))]);
    let of = |kind, y: &[&str]| {
        let y = y.iter().map(|name| name.to_string()).collect();
        Chart::of(&plane, &ChartOptions { y, ..options(kind) })
    };
    for kind in [ChartKind::Scatter, ChartKind::Line] {
        let chart = of(kind, &["a"]).unwrap();
        assert_eq!((chart.x.label.as_str(), chart.y.label.as_str()), ("b", "a"), "{kind:?}");
    }
    let Marks::Grid(grid) = of(ChartKind::Heat, &["c"]).unwrap().marks else { panic!("this is a grid") };
    assert_eq!((grid.label.as_str(), grid.columns[0].as_str()), ("b", "1.0"));
    let why = of(ChartKind::Heat, &["a", "b"]).unwrap_err().to_string();
    assert_eq!(why, "chart=heat takes one column as y");
    let sets =
        rows(&[("dataset", texts(&["v1", "v2"])), ("model", texts(&["gbm", "gbm"])), ("value", numbers(&[1.0, 2.0]))]);
    let by = ChartOptions { series: Some("dataset".into()), ..options(ChartKind::Bar) };
    let Marks::Bars(bars) = Chart::of(&sets, &by).unwrap().marks else { panic!("these are bars") };
    assert_eq!((bars.categories.len(), bars.series.len()), (1, 2));
}

#[test]
fn durations_are_seconds() {
    let took: ArrayRef = Arc::new(arrow::array::DurationMicrosecondArray::from(vec![1_500_000, 2_000_000]));
    let chart = chart(&rows(&[("name", texts(&["a", "b"])), ("took", took)]), ChartKind::Bar);
    let Marks::Bars(bars) = &chart.marks else { panic!("these are bars") };
    assert_eq!((bars.series[0].values[0].0, chart.y.label.as_str()), (1.5, "took (s)"));
}

#[test]
fn units_are_those_of_the_metric_behind_a_column() {
    let units: HashMap<_, _> =
        [("fit_time_s", "s"), ("predict_s", "s"), ("auc", "1")].map(|(a, b)| (a.to_string(), b.to_string())).into();
    let plane = rows(&[
        ("params.C", numbers(&[1.0])),
        ("metrics.fit_time_s", numbers(&[2.0])),
        ("best.predict_s", numbers(&[2.0])),
        ("auc", numbers(&[2.0])),
    ]);
    let label = |kind, y: &[&str]| {
        let y = y.iter().map(|name| name.to_string()).collect();
        Chart::of(&plane, &ChartOptions { units: units.clone(), y, ..options(kind) }).unwrap().y.label
    };
    assert_eq!(label(ChartKind::Scatter, &[]), "metrics.fit_time_s (s)");
    assert_eq!(label(ChartKind::Line, &["metrics.fit_time_s", "best.predict_s"]), "s");
    assert_eq!(label(ChartKind::Line, &["metrics.fit_time_s", "auc"]), "metrics.fit_time_s (s), auc (1)");
}

#[test]
fn fronts_of_blocks_are_steps_of_their_own() {
    let points = |experiment: &str, xs: &[f64], ys: &[f64], ranks: &[i64]| {
        rows(&[
            ("rank", whole(ranks)),
            ("experiment", texts(&vec![experiment; ranks.len()])),
            ("auc", numbers(ys)),
            ("cost", numbers(xs)),
        ])
    };
    let options = ChartOptions { x: Some("cost".into()), y: vec!["auc".into()], ..options(ChartKind::Pareto) };
    let a = points("a", &[1.0, 2.0, 3.0], &[0.7, 0.8, 0.75], &[1, 1, 2]);
    let b = points("b", &[1.0, 2.0, 3.0], &[0.3, 0.4, 0.35], &[1, 1, 2]);
    let both = arrow::compute::concat_batches(&a.schema(), &[a.clone(), b]).unwrap();
    let told = |rows: &RecordBatch| {
        let Marks::Points(clouds) = Chart::of(rows, &options).unwrap().marks else { panic!("these are points") };
        clouds.into_iter().map(|cloud| (cloud.name.unwrap(), cloud.points.len(), cloud.steps)).collect::<Vec<_>>()
    };
    let text = |name: &str| name.to_string();
    let across = Some(Steps::AcrossFirst);
    assert_eq!(told(&a), [(text("beaten"), 1, None), (text("front"), 2, across)]);
    assert_eq!(told(&both), [(text("beaten"), 2, None), (text("a"), 2, across), (text("b"), 2, across)]);
    let up = points("a", &[3.0, 2.0, 1.0], &[0.7, 0.8, 0.75], &[1, 1, 2]);
    assert_eq!(told(&up)[1].2, Some(Steps::UpFirst), "more is better along both axes");
    // With a third objective the front is no line in the plane of two.
    let third = points("a", &[1.0, 2.0, 3.0, 2.5], &[0.7, 0.8, 0.75, 0.2], &[1, 1, 1, 1]);
    assert_eq!(told(&third), [(text("front"), 4, None)]);
    let unknown = points("a", &[1.0, 2.0], &[0.7, 0.8], &[1, 1]);
    assert_eq!(told(&unknown)[0].2, None, "nothing says which way is better");
}

#[test]
fn a_line_of_each_of_many_runs_is_read_in_no_time() {
    let n = 20_000;
    let ids: Vec<String> = (0..n).map(|i| format!("run-{i}")).collect();
    let ids: Vec<&str> = ids.iter().flat_map(|id| [id.as_str(); 5]).collect();
    let answer = rows(&[
        ("run_id", texts(&ids)),
        ("step", whole(&(0..5 * n).map(|i| i % 5).collect::<Vec<_>>())),
        ("value", numbers(&(0..5 * n).map(|i| i as f64).collect::<Vec<_>>())),
    ]);
    let begun = std::time::Instant::now();
    let chart = chart(&answer, ChartKind::Line);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert_eq!(chart.notes(), ["the first 16 of 20000 series are drawn"]);
}
