//! Bars, dots and boxes: values of categories.

use kuva::prelude::*;

use super::{Picture, hue, legend_height};
use crate::report::chart::palette::{INK, SERIES};
use crate::report::chart::{Bars, Dot, Size};

/// Whether categories go from top to bottom: many of them, or long names.
fn lie<'a>(categories: impl ExactSizeIterator<Item = &'a String>, size: Size) -> bool {
    let room = size.width() / categories.len().max(1) as f64;
    let longest = categories.map(|name| name.chars().count().min(size.label_chars())).max().unwrap_or(0);
    longest as f64 * 6.5 > room - 12.0
}

pub fn bars(bars: &Bars, size: Size) -> Picture {
    let lies = lie(bars.categories.iter(), size);
    let mut plot = BarPlot::new().with_error_color(INK.light).with_width(0.72);
    let has_interval = |(value, low, high): &(f64, f64, f64)| value.is_finite() && (low < value || high > value);
    let intervals = bars.series.iter().flat_map(|series| &series.values).any(has_interval);
    let mut errors = Vec::new();
    // The crate draws the first category of bars that lie at the bottom.
    let order: Vec<usize> =
        if lies { (0..bars.categories.len()).rev().collect() } else { (0..bars.categories.len()).collect() };
    for at in order {
        let values: Vec<(f64, &str)> = bars
            .series
            .iter()
            .enumerate()
            .map(|(i, series)| {
                let (value, low, high) = series.values[at];
                errors.push(if value.is_finite() { (value - low, high - value) } else { (0.0, 0.0) });
                (if value.is_finite() { value } else { 0.0 }, SERIES[hue(i)].light)
            })
            .collect();
        plot = plot.with_group(size.name(&bars.categories[at]), values);
    }
    if intervals {
        plot = plot.with_asymmetric_error(errors);
    }
    let names: Vec<String> =
        bars.series.iter().filter_map(|series| series.name.as_deref().map(|name| size.name(name))).collect();
    if !names.is_empty() {
        plot = plot.with_legend(names.iter().map(String::as_str).collect());
    }
    let count = bars.categories.len() * bars.series.len();
    let height = if lies { 90.0 + 24.0 * count as f64 } else { size.height() };
    let height = height.max(170.0) + legend_height(names.len(), size);
    Picture { lies, ..Picture::of(vec![plot.with_horizontal(lies).into()], height) }
}

pub fn dots(dots: &[Dot], size: Size) -> Picture {
    let mut plot = ForestPlot::new().with_color(SERIES[0].light).with_marker_size(4.0).with_cap_size(3.0);
    for dot in dots {
        plot = plot.with_row(size.name(&dot.name), dot.value, dot.low, dot.high);
    }
    // Where the values are on both sides of 0, or an interval holds it, 0 is what they are compared with.
    let (least, most) = dots.iter().fold((f64::MAX, f64::MIN), |(a, b), dot| (a.min(dot.low), b.max(dot.high)));
    let around = least <= 0.0 && most >= 0.0;
    let margin = if most > least { (most - least) * 0.06 } else { most.abs().max(1.0) * 0.01 };
    let plot = plot.with_show_null_line(around).with_null_value(0.0);
    Picture {
        range: Some((least - margin, most + margin)),
        ..Picture::of(vec![plot.into()], 100.0 + 22.0 * dots.len() as f64)
    }
}

pub fn boxes(boxes: &[(String, Vec<f64>)], size: Size) -> Picture {
    let lies = lie(boxes.iter().map(|(name, _)| name), size);
    // The crate draws the first category of boxes that lie at the bottom.
    let order: Vec<&(String, Vec<f64>)> = if lies { boxes.iter().rev().collect() } else { boxes.iter().collect() };
    let mut plot = BoxPlot::new().with_color(SERIES[5].light).with_width(0.6).with_horizontal(lies);
    for (name, values) in &order {
        plot = plot.with_group(size.name(name), values.clone());
    }
    let mut plots = vec![plot.into()];
    // Whiskers end at the last value within 1.5 times the distance of the quartiles (Tukey, 1977); the rest are points.
    let mut outside = Vec::new();
    for (i, (_, values)) in order.iter().enumerate() {
        let place = |value| if lies { (value, i as f64 + 1.0) } else { (i as f64 + 1.0, value) };
        outside.extend(outliers(values).into_iter().map(place));
    }
    if !outside.is_empty() {
        plots.push(ScatterPlot::new().with_data(outside).with_color(SERIES[0].light).with_size(2.5).into());
    }
    let names = Some(order.iter().map(|(name, _)| size.name(name)).collect());
    let height = if lies { (90.0 + 34.0 * boxes.len() as f64).max(170.0) } else { size.height() };
    let (across, down) = if lies { (None, names) } else { (names, None) };
    Picture { lies, across, down, ..Picture::of(plots, height) }
}

fn outliers(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = q * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * (at - at.floor())
    };
    let (q1, q3) = (quantile(0.25), quantile(0.75));
    let reach = 1.5 * (q3 - q1);
    sorted.iter().copied().filter(|x| *x < q1 - reach || *x > q3 + reach).collect()
}
