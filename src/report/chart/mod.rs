//! Charts of rows: what is drawn is read off the columns, and what the columns do not say is told.
//!
//! A chart is plain data first ([`Chart`]), then a picture as SVG ([`Chart::svg`]). The same chart gives the same bytes.

mod columns;
mod draw;
mod palette;
mod read;

use std::collections::HashMap;
use std::str::FromStr;

pub use columns::ChartError;
pub use palette::page_styles;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    /// Values along an axis, a line for each series.
    Line,
    /// A bar for each category, from 0.
    Bar,
    /// A dot for each category, with its interval.
    Dot,
    /// A point for each row.
    Scatter,
    /// Median, quartiles and the rest of the values of each category.
    Box,
    /// A coloured cell for each pair of categories.
    Heat,
    /// Two objectives, and the points that nothing beats in both.
    Pareto,
}

impl ChartKind {
    /// Every kind, in the order in which texts list them.
    pub const ALL: [ChartKind; 7] = [
        ChartKind::Line,
        ChartKind::Bar,
        ChartKind::Dot,
        ChartKind::Scatter,
        ChartKind::Box,
        ChartKind::Heat,
        ChartKind::Pareto,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ChartKind::Line => "line",
            ChartKind::Bar => "bar",
            ChartKind::Dot => "dot",
            ChartKind::Scatter => "scatter",
            ChartKind::Box => "box",
            ChartKind::Heat => "heat",
            ChartKind::Pareto => "pareto",
        }
    }
}

impl FromStr for ChartKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ChartKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = ChartKind::ALL.map(ChartKind::name).join(", ");
            format!("there is no chart '{text}'; there are {names}")
        })
    }
}

/// How rows become a chart. What is not said is chosen by the columns' types and names, see `docs/reports.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartOptions {
    /// What is drawn.
    pub kind: ChartKind,
    /// Column along the horizontal axis; of categories in bars, dots and boxes.
    pub x: Option<String>,
    /// Columns of values; several are a series each.
    pub y: Vec<String>,
    /// Column that tells series apart; of dots the sections, of a front what is compared with each other.
    pub series: Option<String>,
    /// Column of the lower ends of intervals.
    pub low: Option<String>,
    /// Column of the upper ends.
    pub high: Option<String>,
    /// Column of the colours of a heat map.
    pub value: Option<String>,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the axis of values is logarithmic.
    pub log_y: bool,
    /// Weight of the newest point, above 0 and at most 1, of an exponential moving average drawn over the raw line.
    pub smooth: Option<f64>,
    /// Written above.
    pub title: Option<String>,
    /// Written along the horizontal axis [default: the column's name].
    pub x_label: Option<String>,
    /// Written along the axis of values [default: the column's name].
    pub y_label: Option<String>,
    /// Units of metrics by their names.
    pub units: HashMap<String, String>,
}

impl ChartOptions {
    /// All by default.
    pub fn new(kind: ChartKind) -> Self {
        ChartOptions {
            kind,
            x: None,
            y: Vec::new(),
            series: None,
            low: None,
            high: None,
            value: None,
            log_x: false,
            log_y: false,
            smooth: None,
            title: None,
            x_label: None,
            y_label: None,
            units: HashMap::new(),
        }
    }
}

/// How wide a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For a page on a desk: 760 pixels.
    Wide,
    /// For a phone: 360 pixels.
    Narrow,
}

/// What is to be drawn, read off rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    title: Option<String>,
    x: Axis,
    y: Axis,
    marks: Marks,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Axis {
    label: String,
    log: bool,
    /// Seconds since 1970, in UTC.
    time: bool,
}

/// What stands between the axes.
#[derive(Debug, Clone, PartialEq)]
enum Marks {
    Lines(Vec<Line>),
    Bars(Bars),
    Dots(Vec<Dot>),
    Points(Vec<Cloud>),
    Boxes(Vec<(String, Vec<f64>)>),
    Grid(Grid),
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: Option<String>,
    /// NaN is a gap.
    points: Vec<(f64, f64)>,
    /// Lower and upper ends at each point; NaN where there is none.
    band: Option<Vec<(f64, f64)>>,
    smooth: Option<Vec<(f64, f64)>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Bars {
    categories: Vec<String>,
    series: Vec<BarSeries>,
}

#[derive(Debug, Clone, PartialEq)]
struct BarSeries {
    name: Option<String>,
    /// A value and its interval for each category; NaN where there is none.
    values: Vec<(f64, f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Dot {
    /// Written above the first dot of its section.
    section: Option<String>,
    name: String,
    value: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Cloud {
    name: Option<String>,
    points: Vec<(f64, f64)>,
    look: CloudLook,
    /// Of a front that is drawn as a line.
    steps: Option<Steps>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CloudLook {
    /// In the colour of so many.
    Series(usize),
    /// What another point beats.
    Beaten,
}

/// How a front goes from one of its points to the next on the right.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Steps {
    /// Less is better along the axis: whoever pays more has at least what less gave.
    AcrossFirst,
    /// More is better along the axis.
    UpFirst,
}

#[derive(Debug, Clone, PartialEq)]
struct Grid {
    rows: Vec<String>,
    columns: Vec<String>,
    /// Of each row its columns; NaN where there is none.
    values: Vec<Vec<f64>>,
    label: String,
}

impl Chart {
    /// What was left out of the picture, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Its title, else what it shows; for those who do not see it.
    pub fn description(&self) -> String {
        match &self.title {
            Some(title) => title.clone(),
            None => match &self.marks {
                Marks::Grid(grid) => format!("{} by {} and {}", grid.label, self.x.label, self.y.label),
                _ if self.x.label.is_empty() => self.y.label.clone(),
                _ => format!("{} by {}", self.y.label, self.x.label),
            },
        }
    }
}

#[cfg(test)]
mod tests;
