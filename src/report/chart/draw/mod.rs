//! Pictures of charts as SVG.

mod categories;
mod grid;
mod lines;
mod points;

use std::sync::Arc;

use kuva::backend::svg::SvgBackend;
use kuva::plot::annotations::TextAnnotation;
use kuva::prelude::*;
use kuva::render::render::{Primitive, TextAnchor, render_multiple};

use super::palette::{self, AXIS, GRID, INK, SERIES, SURFACE};
use super::{Chart, Marks, Size};
use crate::export::escape_html;

/// What the picture of some marks takes beside them.
struct Picture {
    plots: Vec<Plot>,
    height: f64,
    /// Whether categories go from top to bottom, so that the values go along the horizontal axis.
    lies: bool,
    /// Labels of categories, where an axis has such.
    across: Option<Vec<String>>,
    down: Option<Vec<String>>,
    annotations: Vec<TextAnnotation>,
    /// From where to where the values reach along the horizontal axis, where the crate would begin at 0.
    range: Option<(f64, f64)>,
}

impl Picture {
    fn of(plots: Vec<Plot>, height: f64) -> Self {
        Picture { plots, height, lies: false, across: None, down: None, annotations: Vec::new(), range: None }
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
            Marks::Lines(all) => lines::lines(all, size),
            Marks::Bars(bars) => categories::bars(bars, size),
            Marks::Dots(dots) => categories::dots(dots, size),
            Marks::Points(clouds) => points::points(clouds, size, self.x.log, self.y.log),
            Marks::Boxes(boxes) => categories::boxes(boxes, size),
            Marks::Grid(cells) => grid::grid(cells, size),
        };
        let layout = self.layout(&picture, size);
        let mut scene = render_multiple(picture.plots, layout);
        scene.elements.iter_mut().for_each(grid::in_its_cell);
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

    fn layout(&self, picture: &Picture, size: Size) -> Layout {
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
        let (x, y) = if picture.lies { (&self.y, &self.x) } else { (&self.x, &self.y) };
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

/// The crate gives a picture of fixed height to plot and legend; the plot shall not shrink for many series.
fn legend_height(entries: usize, size: Size) -> f64 {
    let columns = if size == Size::Wide { 3 } else { 1 };
    16.0 * entries.saturating_sub(columns).div_ceil(columns) as f64
}
