//! Lines, with their bands.

use kuva::prelude::*;

use super::{Picture, hue, legend_height, text};
use crate::report::chart::palette::{RAW, SERIES};
use crate::report::chart::{Line, Size};

pub fn lines(lines: &[Line], size: Size) -> Picture {
    let mut plots = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        for stretch in stretches(line) {
            if let Some(band) = &line.band {
                let ends = |at: &usize| (line.points[*at].0, band[*at].0, band[*at].1);
                let whole: Vec<_> =
                    stretch.iter().map(ends).filter(|(_, a, b)| a.is_finite() && b.is_finite()).collect();
                let part = |f: fn(&(f64, f64, f64)) -> f64| whole.iter().map(f).collect::<Vec<_>>();
                if whole.len() > 1 {
                    let band = BandPlot::new(part(|p| p.0), part(|p| p.1), part(|p| p.2));
                    plots.push(band.with_color(SERIES[hue(i)].light).with_opacity(0.15).into());
                }
            }
        }
    }
    // Raw lines first, so that no smooth one is under them.
    for (i, line) in lines.iter().enumerate() {
        if line.smooth.is_some() {
            plots.extend(strokes(line, &line.points, RAW[hue(i)].light, 1.0, None, 0));
        }
    }
    for (i, line) in lines.iter().enumerate() {
        let points = line.smooth.as_ref().unwrap_or(&line.points);
        plots.extend(strokes(line, points, SERIES[hue(i)].light, 1.8, line.name.as_deref(), i / SERIES.len()));
    }
    let named = lines.iter().filter(|line| line.name.is_some()).count();
    Picture::of(plots, size.height() + legend_height(named, size))
}

/// Runs of points without a gap, as places in the line.
fn stretches(line: &Line) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for (at, (_, y)) in line.points.iter().enumerate() {
        match all.last_mut() {
            Some(last) if !y.is_nan() => last.push(at),
            _ => all.push(Vec::new()),
        }
    }
    all.retain(|stretch| !stretch.is_empty());
    all
}

fn strokes(line: &Line, points: &[(f64, f64)], color: &str, width: f64, name: Option<&str>, round: usize) -> Vec<Plot> {
    let mut name = name;
    let stroke = |stretch: Vec<usize>| -> Plot {
        let points: Vec<(f64, f64)> = stretch.iter().map(|at| points[*at]).filter(|(_, y)| y.is_finite()).collect();
        let label = name.take();
        if points.len() == 1 {
            let dot = ScatterPlot::new().with_data(points).with_color(color).with_size(width + 1.0);
            return match label {
                Some(label) => dot.with_legend(text(label)).into(),
                None => dot.into(),
            };
        }
        let mut plot = LinePlot::new().with_data(points).with_color(color).with_stroke_width(width);
        if round > 0 {
            plot = plot.with_dashed();
        }
        if let Some(label) = label {
            plot = plot.with_legend(text(label));
        }
        plot.into()
    };
    stretches(line).into_iter().map(stroke).collect()
}
