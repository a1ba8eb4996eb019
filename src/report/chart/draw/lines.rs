//! Lines, with their bands.

use super::super::palette::{RAW, SERIES};
use super::super::{Chart, Line, Size};
use super::canvas::{Stroke, Trace};
use super::hue;
use super::scale::Scale;
use super::sheet::{Sheet, Swatch};
use crate::stats::thin;

/// Lines of fewer points show each of them.
const FEW: usize = 24;

pub fn lines(chart: &Chart, lines: &[Line], size: Size) -> Sheet {
    let xs = lines.iter().flat_map(|line| &line.points).map(|point| point.0);
    let ys = lines.iter().flat_map(|line| {
        let band = line.band.iter().flatten().flat_map(|(low, high)| [*low, *high]);
        let smooth = line.smooth.iter().flatten().map(|point| point.1);
        line.points.iter().map(|point| point.1).chain(smooth).chain(band)
    });
    let (x, y) = (Scale::fit(xs, &chart.x, 0.01), Scale::fit(ys, &chart.y, 0.05));
    let (mut sheet, x, y) = chart.plane(size, x, y);
    for (i, line) in lines.iter().enumerate() {
        band(&mut sheet, line, &x, &y, SERIES[hue(i)].light);
    }
    // Raw lines first, so that no smooth one is under them.
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| line.smooth.is_some()) {
        stroke(&mut sheet, &line.points, &x, &y, RAW[hue(i)].light, 1.0, false);
    }
    for (i, line) in lines.iter().enumerate() {
        // A gap is one of the smooth line too.
        let seen = |(point, smooth): (&(f64, f64), &(f64, f64))| if point.1.is_nan() { *point } else { *smooth };
        let smooth = line.smooth.as_ref().map(|smooth| line.points.iter().zip(smooth).map(seen).collect::<Vec<_>>());
        stroke(
            &mut sheet,
            smooth.as_ref().unwrap_or(&line.points),
            &x,
            &y,
            SERIES[hue(i)].light,
            1.75,
            i >= SERIES.len(),
        );
    }
    let entry = |(i, line): (usize, &Line)| {
        let swatch = Swatch::Line { dashed: i >= SERIES.len() };
        line.name.clone().map(|name| (name, SERIES[hue(i)].light, swatch))
    };
    let entries: Vec<_> = lines.iter().enumerate().filter_map(entry).collect();
    sheet.legend(&entries);
    sheet
}

/// What the ends of the intervals enclose, stretch by stretch.
fn band(sheet: &mut Sheet, line: &Line, x: &Scale, y: &Scale, color: &str) {
    let Some(band) = &line.band else { return };
    let whole = |at: &usize| line.points[*at].1.is_finite() && band[*at].0.is_finite() && band[*at].1.is_finite();
    let all: Vec<usize> = (0..band.len()).collect();
    let mut trace = Trace::default();
    for stretch in all.chunk_by(|a, b| whole(a) == whole(b)).filter(|stretch| stretch.len() > 1 && whole(&stretch[0])) {
        trace.lift();
        stretch.iter().for_each(|at| trace.to((x.at(line.points[*at].0), y.at(band[*at].1))));
        stretch.iter().rev().for_each(|at| trace.to((x.at(line.points[*at].0), y.at(band[*at].0))));
        trace.d.push('z');
    }
    if !trace.d.is_empty() {
        sheet.canvas.area(trace.d, color);
    }
}

/// A line with its gaps; a point between two of them is a dot.
fn stroke(sheet: &mut Sheet, points: &[(f64, f64)], x: &Scale, y: &Scale, color: &str, width: f64, dashed: bool) {
    let values: Vec<f64> = points.iter().map(|point| point.1).collect();
    let kept = thin(&values, 2 * sheet.size.width() as usize);
    let (mut trace, mut dots) = (Trace::default(), Trace::default());
    let gap = |at: &usize| points[*at].1.is_nan();
    for stretch in kept.chunk_by(|a, b| gap(a) == gap(b)).filter(|stretch| !gap(&stretch[0])) {
        trace.lift();
        let places = stretch.iter().map(|at| (x.at(points[*at].0), y.at(points[*at].1)));
        if stretch.len() > 1 {
            places.clone().for_each(|at| trace.to(at));
        }
        if stretch.len() == 1 || (points.len() <= FEW && width > 1.0) {
            places.for_each(|at| dots.dot(at));
        }
    }
    let canvas = &mut sheet.canvas;
    if !trace.d.is_empty() {
        canvas.path(trace.d, Stroke { dashes: dashed.then_some("5 3"), ..Stroke::new(color, width) });
    }
    if !dots.d.is_empty() {
        canvas.dots(dots.d, color, width + 3.25);
    }
}
