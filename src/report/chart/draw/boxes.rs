//! Boxes: how the values of categories are spread.

use std::collections::BTreeSet;

use super::super::palette::{ON_LIGHT, SERIES};
use super::super::{Chart, Size};
use super::canvas::{Px, Stroke, Trace};
use super::categories::{Standing, lying, standing};
use super::scale::Scale;
use super::sheet::Sheet;

pub fn boxes(chart: &Chart, boxes: &[(String, Vec<f64>)], size: Size) -> Sheet {
    let values = Scale::fit(boxes.iter().flat_map(|(_, values)| values).copied(), &chart.y, 0.04);
    let names: Vec<String> = boxes.iter().map(|(name, _)| name.clone()).collect();
    let (mut sheet, values, lies, middles, width) = match standing(&names, size) {
        Some(names) => {
            let Standing { sheet, values, middles, width } = Standing::new(chart, &names, values, size);
            (sheet, values, false, middles, width)
        }
        None => {
            let row = if boxes.len() > 20 { 22.0 } else { 32.0 };
            let (sheet, values, middles) = lying(chart, &names, values, row, size);
            (sheet, values, true, middles, row)
        }
    };
    let half = (width * 0.3).min(28.0);
    let (mut outside, mut whiskers, mut medians) = (Trace::default(), String::new(), String::new());
    for ((_, all), middle) in boxes.iter().zip(middles) {
        let spread = Spread::of(all);
        let place = |value: f64, along: f64| if lies { (values.at(value), along) } else { (along, values.at(value)) };
        let stroke = |d: &mut String, from: (f64, f64), to: (f64, f64)| {
            *d += &format!("M{} {}L{} {}", Px(from.0), Px(from.1), Px(to.0), Px(to.1));
        };
        // One value is spread over nothing.
        if all.len() == 1 {
            outside.dot(place(spread.median, middle));
            continue;
        }
        for (end, quartile) in [(spread.least, spread.lower), (spread.most, spread.upper)] {
            stroke(&mut whiskers, place(quartile, middle), place(end, middle));
            stroke(&mut whiskers, place(end, middle - half / 2.0), place(end, middle + half / 2.0));
        }
        sheet.canvas.rect(place(spread.lower, middle - half), place(spread.upper, middle + half), SERIES[5].light);
        stroke(&mut medians, place(spread.median, middle - half), place(spread.median, middle + half));
        // What would cover another point is not drawn.
        let mut seen = BTreeSet::new();
        for value in spread.outside {
            if seen.insert(values.at(value).round() as i64) {
                outside.dot(place(value, middle));
            }
        }
    }
    sheet.canvas.path(whiskers, Stroke::new(SERIES[0].light, 1.5));
    sheet.canvas.path(medians, Stroke::new(ON_LIGHT, 2.0));
    if !outside.d.is_empty() {
        sheet.canvas.dots(outside.d, SERIES[0].light, 5.0);
    }
    sheet
}

/// Quartiles; whiskers end at the last value within 1.5 times their distance (Tukey, 1977), and the rest are points.
struct Spread {
    least: f64,
    lower: f64,
    median: f64,
    upper: f64,
    most: f64,
    outside: Vec<f64>,
}

impl Spread {
    fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let at = q * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            below + (above - below) * (at - at.floor())
        };
        let (lower, median, upper) = (quantile(0.25), quantile(0.5), quantile(0.75));
        let reach = 1.5 * (upper - lower);
        let within = |x: &&f64| **x >= lower - reach && **x <= upper + reach;
        let inside: Vec<f64> = sorted.iter().filter(within).copied().collect();
        let outside = sorted.iter().filter(|x| !within(x)).copied().collect();
        // Between values quartiles may lie beyond the last one within reach.
        let (least, most) =
            (inside.first().map_or(lower, |x| x.min(lower)), inside.last().map_or(upper, |x| x.max(upper)));
        Spread { least, lower, median, upper, most, outside }
    }
}
