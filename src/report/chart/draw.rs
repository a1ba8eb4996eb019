//! Pictures of charts as SVG.

use std::sync::Arc;

use kuva::backend::svg::SvgBackend;
use kuva::plot::annotations::TextAnnotation;
use kuva::prelude::*;
use kuva::render::render::{Primitive, TextAnchor, render_multiple};

use super::palette::{self, AXIS, FAINT, GRID, INK, RAW, SERIES, SURFACE};
use super::{Bars, Chart, Cloud, CloudLook, Dot, Grid, Line, Marks, Size};
use crate::export::escape_html;

/// What the picture of some marks takes beside them.
struct Picture {
    plots: Vec<Plot>,
    height: f64,
    /// Labels of categories, where an axis has such.
    across: Option<Vec<String>>,
    down: Option<Vec<String>>,
    annotations: Vec<TextAnnotation>,
    /// From where to where the values reach along the horizontal axis, where the crate would begin at 0.
    range: Option<(f64, f64)>,
}

impl Picture {
    fn of(plots: Vec<Plot>, height: f64) -> Self {
        Picture { plots, height, across: None, down: None, annotations: Vec::new(), range: None }
    }
}

impl Size {
    fn width(self) -> f64 {
        match self {
            Size::Wide => 760.0,
            Size::Narrow => 360.0,
        }
    }

    /// Characters of a line of a title.
    fn title_chars(self) -> usize {
        match self {
            Size::Wide => 96,
            Size::Narrow => 44,
        }
    }

    /// Characters of a category beside its axis.
    fn label_chars(self) -> usize {
        match self {
            Size::Wide => 48,
            Size::Narrow => 22,
        }
    }

    /// A name of a category or a series, as far as there is room.
    fn name(self, name: &str) -> String {
        let most = self.label_chars();
        if name.chars().count() <= most {
            return text(name);
        }
        text(&name.chars().take(most - 1).chain(['…']).collect::<String>())
    }

    fn height(self) -> f64 {
        match self {
            Size::Wide => 340.0,
            Size::Narrow => 280.0,
        }
    }
}

impl Chart {
    /// The picture, to stand within a page whose styles are [`super::page_styles`].
    pub fn svg(&self, size: Size) -> String {
        self.framed(size, "")
    }

    /// The picture as a file of its own, light or dark as the reader's page.
    pub fn svg_file(&self) -> String {
        let surface = format!("<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>", SURFACE.light);
        self.framed(Size::Wide, &(palette::picture_styles() + &surface))
    }

    fn framed(&self, size: Size, head: &str) -> String {
        let picture = match &self.marks {
            Marks::Lines(lines) => draw_lines(lines, size),
            Marks::Bars(bars) => draw_bars(bars, size),
            Marks::Dots(dots) => draw_dots(dots, size),
            Marks::Points(clouds) => draw_points(clouds, size, self.x.log, self.y.log),
            Marks::Boxes(boxes) => draw_boxes(boxes, size),
            Marks::Grid(grid) => draw_grid(grid, size),
        };
        let sideways = match &self.marks {
            Marks::Bars(bars) => lie(bars.categories.iter(), size),
            Marks::Boxes(boxes) => lie(boxes.iter().map(|(name, _)| name), size),
            _ => false,
        };
        let layout = self.layout(&picture, size, sideways);
        let mut scene = render_multiple(picture.plots, layout);
        scene.elements.iter_mut().for_each(in_its_cell);
        let ends = scene.elements.iter_mut().map(fits_the_eye);
        let (right, bottom) = ends.fold((scene.width, scene.height), |(r, b), (x, y)| (r.max(x), b.max(y)));
        let svg = SvgBackend::new().render_scene(&scene);
        // The first tag is ours: it scales, and says what the picture shows. So is the title: the crate's is in the middle of
        // the plot, where a long one leaves the picture.
        let body = own_ids(svg.split_once('>').map_or("", |(_, body)| body).trim_end_matches("</svg>"));
        let name = escape_html(&self.description());
        let lines = self.title.as_deref().map(|title| wrapped(title, size.title_chars())).unwrap_or_default();
        let title: String = lines
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let y = 16.0 + TITLE_LINE * i as f64;
                format!("<text x=\"4\" y=\"{y}\" font-size=\"14\" font-weight=\"600\">{}</text>", escape_html(line))
            })
            .collect();
        let down = TITLE_LINE * lines.len() as f64;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{name}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" \
             fill=\"{ink}\"><title>{name}</title>{head}{title}<g transform=\"translate(0,{down})\">{body}</g></svg>",
            w = right.ceil(),
            h = (bottom + down).ceil(),
            ink = INK.light,
        )
    }

    fn layout(&self, picture: &Picture, size: Size, sideways: bool) -> Layout {
        let color = |color: palette::Color| color.light.to_string();
        let theme = Theme {
            background: "none".to_string(),
            axis_color: color(AXIS),
            grid_color: color(GRID),
            tick_color: color(AXIS),
            text_color: color(INK),
            legend_bg: "none".to_string(),
            legend_border: "none".to_string(),
            pie_leader: color(AXIS),
            box_median: color(INK),
            violin_border: color(AXIS),
            colorbar_border: "none".to_string(),
            font_family: None,
            show_grid: true,
        };
        let (x, y) = if sideways { (&self.y, &self.x) } else { (&self.x, &self.y) };
        let mut layout = Layout::auto_from_plots(&picture.plots)
            .with_theme(theme)
            .with_width(size.width())
            .with_height(picture.height)
            .with_label_size(12)
            .with_tick_size(11)
            .with_body_size(11)
            .with_x_label(text(&x.label))
            .with_y_label(text(&y.label))
            .with_legend_position(LegendPosition::OutsideBottomColumns)
            .with_legend_box(false)
            .with_tick_format(TickFormat::Custom(Arc::new(tick)));
        if size == Size::Narrow {
            layout = layout.with_ticks(4).with_legend_col_limit(1);
            if x.log {
                layout = layout.with_x_tick_format(TickFormat::Custom(Arc::new(decade)));
            }
        }
        if let Some(labels) = &picture.across {
            layout = layout.with_x_categories(labels.clone());
        }
        if let Some(labels) = &picture.down {
            layout = layout.with_y_categories(labels.clone());
        }
        if x.log {
            layout = layout.with_log_x();
        }
        if y.log {
            layout = layout.with_log_y();
        }
        if self.x.time
            && let Some((first, last)) = self.times()
        {
            layout = layout.with_x_datetime(DateTimeAxis::auto(first, last));
        }
        for annotation in &picture.annotations {
            layout = layout.with_annotation(annotation.clone());
        }
        if let Some((least, most)) = picture.range {
            layout = layout.with_x_axis_min(least).with_x_axis_max(most);
        }
        layout
    }

    /// From when to when.
    fn times(&self) -> Option<(f64, f64)> {
        let all: Vec<f64> = match &self.marks {
            Marks::Lines(lines) => lines.iter().flat_map(|line| line.points.iter().map(|p| p.0)).collect(),
            Marks::Points(clouds) => clouds.iter().flat_map(|cloud| cloud.points.iter().map(|p| p.0)).collect(),
            _ => return None,
        };
        let least = all.iter().copied().min_by(f64::total_cmp)?;
        Some((least, all.iter().copied().max_by(f64::total_cmp)?))
    }
}

/// The crate numbers the areas that it clips through the life of the process. A picture has names that follow from what it
/// shows, so that its bytes do not change, and that differ from those of other pictures on its page.
fn own_ids(body: &str) -> String {
    // Within text a quote is escaped.
    const MADE: [&str; 2] = ["id=\"kuva-clip-", "clip-path=\"url(#kuva-clip-"];
    let mut numbers: Vec<&str> = Vec::new();
    let mut parts: Vec<(&str, Option<usize>)> = Vec::new();
    let mut rest = body;
    while let Some((at, made)) = MADE.iter().filter_map(|made| rest.find(made).map(|at| (at, made))).min() {
        let (before, after) = rest.split_at(at + made.len());
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let place = numbers.iter().position(|number| *number == &after[..end]).unwrap_or_else(|| {
            numbers.push(&after[..end]);
            numbers.len() - 1
        });
        parts.push((before, Some(place)));
        rest = &after[end..];
    }
    parts.push((rest, None));
    let mut hash = blake3::Hasher::new();
    parts.iter().for_each(|(text, _)| _ = hash.update(text.as_bytes()));
    let name = &hash.finalize().to_hex()[..12];
    parts.iter().map(|(text, place)| place.map_or(text.to_string(), |place| format!("{text}{name}-{place}"))).collect()
}

/// Height of a line of the title.
const TITLE_LINE: f64 = 20.0;

/// Text in lines of at most so many characters, words whole where they fit.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// The crate makes some texts too small to read, and leaves no room for a long legend: gives where a text ends, to the right
/// and below.
fn fits_the_eye(element: &mut Primitive) -> (f64, f64) {
    const SMALLEST: u32 = 9;
    let Primitive::Text { size, x, y, content, anchor: TextAnchor::Start, rotate: None, .. } = element else {
        return (0.0, 0.0);
    };
    *size = (*size).max(SMALLEST);
    // Letters are about 0.56 times as wide as they are high.
    (*x + 0.56 * f64::from(*size) * content.chars().count() as f64, *y + 10.0)
}

/// A tick of a logarithmic axis with little room: powers of ten only.
fn decade(x: f64) -> String {
    let exponent = x.log10();
    if (exponent - exponent.round()).abs() < 1e-9 { tick(x) } else { String::new() }
}

/// Text that the crate takes as it is: between two dollar signs it would see a formula.
fn text(text: &str) -> String {
    text.replace('$', "\\$")
}

/// A number at an axis: four digits are enough, and no zeros behind them.
fn tick(x: f64) -> String {
    if x == 0.0 {
        return "0".to_string();
    }
    let size = x.abs();
    if !(1e-4..1e6).contains(&size) {
        let scientific = format!("{x:.2e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (4 - size.log10().floor() as i32).max(0) as usize;
    let fixed = format!("{x:.decimals$}");
    if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.').to_string() } else { fixed }
}

fn hue(i: usize) -> usize {
    i % SERIES.len()
}

fn draw_lines(lines: &[Line], size: Size) -> Picture {
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

/// The crate gives a picture of fixed height to plot and legend; the plot shall not shrink for many series.
fn legend_height(entries: usize, size: Size) -> f64 {
    let columns = if size == Size::Wide { 3 } else { 1 };
    16.0 * entries.saturating_sub(columns).div_ceil(columns) as f64
}

/// Whether categories go from top to bottom: many of them, or long names.
fn lie<'a>(categories: impl ExactSizeIterator<Item = &'a String>, size: Size) -> bool {
    let room = size.width() / categories.len().max(1) as f64;
    let longest = categories.map(|name| name.chars().count().min(size.label_chars())).max().unwrap_or(0);
    longest as f64 * 6.5 > room - 12.0
}

fn draw_bars(bars: &Bars, size: Size) -> Picture {
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
    Picture::of(vec![plot.with_horizontal(lies).into()], height.max(170.0) + legend_height(names.len(), size))
}

fn draw_dots(dots: &[Dot], size: Size) -> Picture {
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

fn draw_points(clouds: &[Cloud], size: Size, log_x: bool, log_y: bool) -> Picture {
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

fn draw_boxes(boxes: &[(String, Vec<f64>)], size: Size) -> Picture {
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
    Picture { across, down, ..Picture::of(plots, height) }
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

fn draw_grid(grid: &Grid, size: Size) -> Picture {
    let finite = || grid.values.iter().flatten().copied().filter(|x| x.is_finite());
    let (least, most) = finite().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    let share = |x: f64| if most > least { (x - least) / (most - least) } else { 0.5 };
    let map = |t: f64| {
        if t.is_nan() {
            return "none".to_string();
        }
        let (r, g, b) = palette::heat(t);
        format!("#{r:02x}{g:02x}{b:02x}")
    };
    // The crate draws the first row at the bottom.
    let rows: Vec<&Vec<f64>> = grid.values.iter().rev().collect();
    let mut plot = Heatmap::new().with_color_map(ColorMap::Custom(Arc::new(map))).with_legend(text(&grid.label));
    plot = plot.with_data(rows.iter().map(|row| row.to_vec()));
    let mut annotations = Vec::new();
    // Numbers have room in cells of about 44 pixels.
    if (grid.columns.len() as f64) * 44.0 < size.width() - 160.0 {
        for (i, row) in rows.iter().enumerate() {
            for (j, value) in row.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let mark = if share(*value) < 0.55 { ON_DARK_CELL } else { ON_LIGHT_CELL };
                let content = format!("{mark}{}", tick(round_to(*value, 3)));
                annotations.push(TextAnnotation::new(content, j as f64 + 1.0, i as f64 + 1.0).with_font_size(11));
            }
        }
    }
    let across = Some(grid.columns.iter().map(|name| size.name(name)).collect());
    let down = Some(grid.rows.iter().rev().map(|name| size.name(name)).collect());
    let height = (110.0 + 34.0 * grid.rows.len() as f64).max(200.0);
    Picture { annotations, across, down, ..Picture::of(vec![plot.into()], height) }
}

/// The crate writes annotations above their place, in the colour of all text: these marks tell which belong into a cell.
const ON_DARK_CELL: char = '\u{F5A0E}';
const ON_LIGHT_CELL: char = '\u{F5A0F}';

fn in_its_cell(element: &mut Primitive) {
    let Primitive::Text { content, y, color, .. } = element else { return };
    let ink = match content.chars().next() {
        Some(ON_DARK_CELL) => palette::ON_DARK,
        Some(ON_LIGHT_CELL) => palette::ON_LIGHT,
        _ => return,
    };
    *content = content.chars().skip(1).collect();
    *color = Some(ink.into());
    // From above the middle of the cell to around it.
    *y += 10.0;
}

/// A number with so many digits that count.
fn round_to(x: f64, digits: i32) -> f64 {
    format!("{x:.*e}", digits as usize - 1).parse().unwrap_or(x)
}
