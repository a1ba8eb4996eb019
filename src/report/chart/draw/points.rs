//! Clouds of points.

use kuva::prelude::*;

use super::{Picture, hue, legend_height, text};
use crate::report::chart::palette::{FAINT, SERIES};
use crate::report::chart::{Cloud, CloudLook, Size};

pub fn points(clouds: &[Cloud], size: Size, log_x: bool, log_y: bool) -> Picture {
    let mut plots: Vec<Plot> = Vec::new();
    for (i, cloud) in clouds.iter().enumerate() {
        let color = match cloud.look {
            CloudLook::Series => SERIES[hue(i)].light,
            CloudLook::Beaten => FAINT.light,
            CloudLook::Front => SERIES[1].light,
        };
        if cloud.look == CloudLook::Front && cloud.points.len() > 1 {
            plots.push(LinePlot::new().with_data(cloud.points.clone()).with_color(color).with_stroke_width(1.2).into());
        }
        let mut plot = ScatterPlot::new().with_color(color).with_size(if cloud.points.len() > 300 { 2.5 } else { 3.5 });
        plot = plot.with_data(apart(&cloud.points, clouds, log_x, log_y));
        if let Some(name) = &cloud.name {
            plot = plot.with_legend(text(name));
        }
        plots.push(plot.into());
    }
    let named = clouds.iter().filter(|cloud| cloud.name.is_some()).count();
    Picture::of(plots, size.height() + legend_height(named, size))
}

/// Of points that would cover each other all but the first: a cloud of 100,000 runs is no larger than what can be seen.
fn apart(points: &[(f64, f64)], all: &[Cloud], log_x: bool, log_y: bool) -> Vec<(f64, f64)> {
    const CELLS: f64 = 400.0;
    if points.len() < 2000 {
        return points.to_vec();
    }
    let scaled = |x: f64, log: bool| if log { x.ln() } else { x };
    let range = |of: fn(&(f64, f64)) -> f64, log: bool| {
        let values = all.iter().flat_map(|cloud| &cloud.points).map(|point| scaled(of(point), log));
        values.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)))
    };
    let cell = |x: f64, (least, most): (f64, f64)| {
        if most > least { ((x - least) / (most - least) * CELLS).round() as i32 } else { 0 }
    };
    let (across, up) = (range(|p| p.0, log_x), range(|p| p.1, log_y));
    let mut seen = std::collections::HashSet::new();
    let first = |(x, y): &&(f64, f64)| seen.insert((cell(scaled(*x, log_x), across), cell(scaled(*y, log_y), up)));
    points.iter().filter(first).copied().collect()
}
