//! How charts look.

use super::*;

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
        let known = ["", "!--", "circle", "g", "line", "path", "rect", "svg", "text", "title"];
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
    assert_eq!(shown(&chart), ["Jan 1", "1970", "Jan 2", "Jan 3"]);
}

/// The texts of a picture that stand below its horizontal axis.
fn shown(chart: &Chart) -> Vec<String> {
    let svg = chart.svg(Size::Wide);
    let texts =
        svg.split("<text ").skip(1).filter(|text| text.contains("middle") && !text.contains("font-size=\"12\""));
    texts.map(|text| text.split(['>', '<']).nth(1).unwrap().to_string()).collect()
}

#[test]
fn a_large_cloud_is_no_larger_than_what_can_be_seen() {
    let n = 100_000;
    let x: Vec<f64> = (0..n).map(|i| f64::from(i % 997)).collect();
    let y: Vec<f64> = (0..n).map(|i| f64::from(i % 991) / 10.0).collect();
    let chart = chart(&rows(&[("x", numbers(&x)), ("y", numbers(&y))]), ChartKind::Scatter);
    let bytes = chart.svg(Size::Wide).len() + chart.svg(Size::Narrow).len();
    assert!(bytes < 1_000_000, "{bytes}");
    let names = texts(&["a"; 100_000]);
    let spread: Vec<f64> = (0..n).map(|i| f64::from(i % 997) * f64::from(i % 991).powi(3)).collect();
    let boxes = self::chart(&rows(&[("name", names), ("value", numbers(&spread))]), ChartKind::Box);
    assert!(boxes.svg(Size::Wide).len() < 20_000);
}

fn times(seconds: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(seconds.map(|s| s * 1_000_000).collect::<Vec<_>>()))
}

#[test]
fn axes_of_times_have_few_ticks_at_every_range() {
    let day = 86_400;
    for range in [3, 60, 3_600, 2 * day, 60 * day, 400 * day, 3_650 * day] {
        let start = 1_790_000_000;
        let answer = rows(&[
            ("time", times((0..=200).map(|i| start + range * i / 200))),
            ("value", numbers(&(0..=200).map(f64::from).collect::<Vec<_>>())),
        ]);
        let chart = chart(&answer, ChartKind::Line);
        for (size, most) in [(Size::Wide, 9), (Size::Narrow, 6)] {
            let svg = chart.svg(size);
            let ticks = svg.matches("v4\"").count() + svg.matches("stroke=\"#8c959f\"").count() - 2;
            assert!((2..=most).contains(&ticks), "{range}: {ticks}");
        }
        assert!(shown(&chart).iter().any(|text| text.contains("202")), "{range}: {:?}", shown(&chart));
    }
    let one = chart(&rows(&[("time", times([0].into_iter())), ("value", numbers(&[1.0]))]), ChartKind::Line);
    assert_eq!(shown(&one), ["Jan 1, 1970"]);
}

#[test]
fn times_are_no_numbers_where_those_are_taken() {
    let answer = rows(&[("n", whole(&[1, 2])), ("end_time", times([0, 86_400].into_iter()))]);
    let of = |kind, log_y| {
        Chart::of(&answer, &ChartOptions { y: vec!["end_time".into()], log_y, ..options(kind) })
            .map_err(|e| e.to_string())
    };
    let up = of(ChartKind::Line, false).unwrap();
    assert!(up.y.time && up.svg(Size::Wide).contains("1970, Jan 1"), "{}", up.svg(Size::Wide));
    let why = of(ChartKind::Scatter, true).unwrap_err();
    assert_eq!(why, "column 'end_time' holds times, and a logarithmic axis takes numbers");
    let why = of(ChartKind::Bar, false).unwrap_err();
    assert_eq!(why, "column 'end_time' holds times, and a bar, which begins at 0, takes numbers");
}

#[test]
fn what_is_missing_is_not_drawn_and_told() {
    let answer = rows(&[
        ("name", texts(&["a", "b", "c"])),
        ("value", numbers(&[1.0, f64::NAN, 3.0])),
        ("low", numbers(&[0.5, 0.0, 4.0])),
        ("high", numbers(&[1.5, 9.0, 2.0])),
    ]);
    let bars = chart(&answer, ChartKind::Bar);
    let turned = "not drawn: 1 interval whose low is above its high";
    assert_eq!(bars.notes(), [turned, "not drawn: 1 bar without a finite value"]);
    let svg = bars.svg(Size::Wide);
    assert_eq!((svg.matches("<rect").count(), svg.matches("stroke-width=\"1.5\"").count()), (2, 1), "{svg}");
    let dots = chart(&answer, ChartKind::Dot);
    assert_eq!(dots.notes(), [turned, "not drawn: 1 row without a finite value"]);
    let log = ChartOptions { log_y: true, ..options(ChartKind::Box) };
    let boxes = Chart::of(&rows(&[("value", numbers(&[0.0, -1.0, 2.0]))]), &log).unwrap();
    assert_eq!(boxes.notes(), ["not drawn: 2 rows at or below 0, where a logarithmic axis has no place"]);
}

#[test]
fn bars_that_lie_stand_in_the_order_of_their_legend() {
    let names =
        ["a long name of a config that goes on", "another long name of a config, and so on", "third ".repeat(9).leak()];
    let many: Vec<&str> = names.iter().flat_map(|name| [*name; 2]).collect();
    let answer = rows(&[
        ("name", texts(&many)),
        ("data", texts(&["v1", "v2", "v1", "v2", "v1", "v2"])),
        ("value", numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    ]);
    let chart = Chart::of(&answer, &ChartOptions { series: Some("data".into()), ..options(ChartKind::Bar) }).unwrap();
    let svg = chart.svg(Size::Narrow);
    let first = |color: palette::Color| {
        let rect = svg.split("<rect ").find(|rect| rect.contains(color.light)).unwrap();
        rect.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(first(palette::SERIES[0]) < first(palette::SERIES[1]), "{svg}");
}
