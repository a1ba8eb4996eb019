//! Clouds of points.

use std::collections::HashSet;

use super::super::palette::{FAINT, SERIES};
use super::super::{Chart, Cloud, CloudLook, Size, Steps};
use super::canvas::{Stroke, Trace};
use super::hue;
use super::scale::Scale;
use super::sheet::{Sheet, Swatch};

/// Clouds of more points than this are drawn on a coarse grid.
const MANY: usize = 2000;

pub fn points(chart: &Chart, clouds: &[Cloud], size: Size) -> Sheet {
    let all = || clouds.iter().flat_map(|cloud| &cloud.points);
    let (x, y) = (all().map(|point| point.0), all().map(|point| point.1));
    let (mut sheet, x, y) = chart.plane(size, Scale::fit(x, &chart.x, 0.03), Scale::fit(y, &chart.y, 0.05));
    let mut entries = Vec::new();
    for cloud in clouds {
        let color = match cloud.look {
            CloudLook::Beaten => FAINT.light,
            CloudLook::Series(i) => SERIES[hue(i)].light,
        };
        if let Some(steps) = cloud.steps {
            front(&mut sheet, &cloud.points, steps, &x, &y, color);
        }
        let radius = match cloud.points.len() {
            ..=300 => 3.5,
            301..=MANY => 2.5,
            _ => 1.75,
        };
        let mut trace = Trace::default();
        let mut seen = HashSet::new();
        for (px, py) in cloud.points.iter().map(|point| (x.at(point.0), y.at(point.1))) {
            // Of points that would cover each other all but one: a cloud of 100,000 runs is no larger than what can be seen.
            let (px, py) = match cloud.points.len() {
                ..=MANY => (px, py),
                _ => ((px / 2.0).round() * 2.0, (py / 2.0).round() * 2.0),
            };
            if seen.insert(((px * 10.0).round() as i32, (py * 10.0).round() as i32)) {
                trace.dot((px, py));
            }
        }
        sheet.canvas.dots(trace.d, color, 2.0 * radius);
        entries.extend(cloud.name.clone().map(|name| (name, color, Swatch::Dot)));
    }
    sheet.legend(&entries);
    sheet
}

/// What can be had along a front: between two of its points no more than the worse one gives, so it goes in steps.
fn front(sheet: &mut Sheet, points: &[(f64, f64)], steps: Steps, x: &Scale, y: &Scale, color: &str) {
    let mut trace = Trace::default();
    let mut last: Option<(f64, f64)> = None;
    for (px, py) in points.iter().map(|point| (x.at(point.0), y.at(point.1))) {
        if let Some((from_x, from_y)) = last {
            trace.to(match steps {
                Steps::AcrossFirst => (px, from_y),
                Steps::UpFirst => (from_x, py),
            });
        }
        trace.to((px, py));
        last = Some((px, py));
    }
    sheet.canvas.path(trace.d, Stroke::new(color, 1.25));
}
