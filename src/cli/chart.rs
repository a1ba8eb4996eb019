//! Line charts made of characters: several series over one axis, with labels and a legend.
//!
//! A point that is no number, or has no place on a logarithmic axis, is a gap: the line breaks there and the axis is
//! marked below it. Names are shown as they are, so whoever draws escapes them first.

use std::fmt::Write;

use runlake::export::{clip, display_width};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As it stands in the legend.
    pub name: String,
    /// Places and values, by place.
    pub points: Vec<(f64, f64)>,
}

/// Which characters lines are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Fine lines of dots, told apart by colours.
    Dots,
    /// A mark per line.
    Marks,
    /// A mark per line, ASCII throughout.
    Plain,
}

/// How a chart looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the whole, axis labels included.
    pub width: usize,
    /// Lines of the plot, without axis and legend.
    pub height: usize,
    /// Characters.
    pub style: Style,
    /// Whether the terminal shows colours.
    pub color: bool,
    /// Whether values stand on a logarithmic axis.
    pub log: bool,
}

/// Series that can be told apart.
pub const MOST: usize = 8;
const COLORS: [u8; MOST] = [36, 33, 35, 32, 34, 31, 37, 90];
const MARKS: [char; MOST] = ['●', '▲', '■', '◆', '○', '△', '□', '◇'];
const ASCII_MARKS: [char; MOST] = ['*', 'o', '+', 'x', '#', '@', '%', '&'];
const NARROWEST: usize = 20;
const LABELS: usize = 5;

/// Draws series; ends with a line break. Empty if there is no point to draw.
pub fn draw(series: &[Series], x_title: &str, look: &Look) -> String {
    let points = || series.iter().flat_map(|s| &s.points);
    let places = points().map(|point| point.0).filter(|x| x.is_finite());
    let values = points().filter(|point| look.shows(point)).map(|point| point.1);
    let (Some(x), Some(y)) = (Scale::of_places(places), Scale::of(values, look.log)) else { return String::new() };
    let height = look.height.max(2);
    let labels = y.labels(height);
    let margin = labels.iter().flatten().map(|label| label.len()).max().unwrap_or(0);
    let width = look.width.saturating_sub(margin + 2).max(NARROWEST);
    let mut canvas = Canvas::new(width, height, look.style);
    for (i, line) in series.iter().enumerate() {
        canvas.line(i, line, &x, &y, look);
    }

    let plain = look.style == Style::Plain;
    let (tick, side, corner, floor, gap) =
        if plain { ('+', '|', '+', '-', '!') } else { ('┤', '│', '└', '─', '×') };
    let mut text = String::new();
    for (row, label) in labels.iter().enumerate() {
        let edge = if label.is_some() { tick } else { side };
        let label = label.as_deref().unwrap_or("");
        let _ = writeln!(text, "{label:>margin$} {edge}{}", canvas.row(row, look));
    }
    let axis: String = canvas.gaps.iter().map(|gap_here| if *gap_here { gap } else { floor }).collect();
    let _ = writeln!(text, "{:margin$} {corner}{axis}", "");
    let _ = writeln!(text, "{:margin$}  {}", "", x_labels(&x, x_title, width).trim_end());
    for (i, line) in series.iter().enumerate() {
        let mark = if plain {
            ASCII_MARKS[i % MOST]
        } else if look.style == Style::Dots {
            '━'
        } else {
            MARKS[i % MOST]
        };
        let mark = look.colored(i, &mark.to_string());
        let _ = writeln!(text, "{mark} {}", clip_to(&legend(line, look), look.width.max(NARROWEST) - 2, plain));
    }
    text
}

/// Name, last value, extremes and gaps of a line.
fn legend(line: &Series, look: &Look) -> String {
    let values = || line.points.iter().filter(|point| point.1.is_finite());
    let gaps = line.points.iter().filter(|point| !look.shows(point)).count();
    let mut text = line.name.clone();
    // First, since a narrow terminal cuts the end.
    if gaps > 0 {
        let why = if look.log { "NaN, infinite or not above 0" } else { "NaN or infinite" };
        let points = if gaps == 1 { "point" } else { "points" };
        let _ = write!(text, ", {gaps} {points} {why}");
    }
    if let Some(last) = values().next_back() {
        let least = values().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there is a last one");
        let most = values().max_by(|a, b| a.1.total_cmp(&b.1)).expect("there is a last one");
        let at = |point: &(f64, f64)| format!("{} at {}", short(point.1, 6), short(point.0, 12));
        let _ = write!(text, "  last {}, min {}, max {}", short(last.1, 6), at(least), at(most));
    }
    text
}

/// Cut to a width, without the ellipsis where only ASCII is wanted.
fn clip_to(text: &str, width: usize, plain: bool) -> String {
    let cut = clip(text, width);
    if plain && cut.len() != text.len() { cut.replace('…', "~") } else { cut.into_owned() }
}

impl Look {
    /// Whether a point has a place.
    fn shows(&self, (x, y): &(f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (!self.log || *y > 0.0)
    }

    fn colored(&self, series: usize, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", COLORS[series % MOST]) } else { text.to_string() }
    }
}

/// An axis: where a value lies between two ends.
struct Scale {
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, log: bool) -> Option<Scale> {
        let (from, to) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        match (from, to) {
            _ if from > to => None,
            // A flat line runs through the middle.
            _ if from == to && log => {
                // Neither end may leave what a double holds.
                Some(Scale { from: (from / 2.0).max(f64::from_bits(1)), to: (to * 2.0).min(f64::MAX), log })
            }
            _ if from == to => {
                let room = if from == 0.0 { 1.0 } else { (from / 2.0).abs() };
                Some(Scale { from: (from - room).max(f64::MIN), to: (to + room).min(f64::MAX), log })
            }
            _ => Some(Scale { from, to, log }),
        }
    }

    /// The axis that points lie along, which begins with the first of them: there is no step -1.
    fn of_places(places: impl Iterator<Item = f64>) -> Option<Scale> {
        let (from, to) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let room = if from.abs() < 1e15 { 1.0 } else { from.abs() / 2.0 };
        match from + room {
            _ if from > to => None,
            _ if from < to => Some(Scale { from, to, log: false }),
            beyond if beyond.is_finite() => Some(Scale { from, to: beyond, log: false }),
            _ => Some(Scale { from: from - room, to, log: false }),
        }
    }

    /// 0 at one end, 1 at the other.
    fn share(&self, value: f64) -> f64 {
        // Halves: the span of two doubles may be none.
        let [from, to, value] = [self.from, self.to, value].map(|v| if self.log { v.ln() } else { v / 2.0 });
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }

    fn value(&self, share: f64) -> f64 {
        match (self.log, share) {
            (_, 0.0) => self.from,
            (_, 1.0) => self.to,
            (true, _) => (self.from.ln() * (1.0 - share) + self.to.ln() * share).exp(),
            (false, _) => self.from * (1.0 - share) + self.to * share,
        }
    }

    /// Labels of some rows, the highest first, with digits enough to tell them apart.
    fn labels(&self, rows: usize) -> Vec<Option<String>> {
        let count = LABELS.min(rows);
        let places: Vec<usize> = (0..count).map(|i| i * (rows - 1) / (count - 1).max(1)).collect();
        let values = places.iter().map(|row| self.value(1.0 - *row as f64 / (rows - 1) as f64));
        let values: Vec<f64> = values.collect();
        let texts = apart(&values);
        let mut labels = vec![None; rows];
        for (row, text) in places.into_iter().zip(texts) {
            labels[row] = Some(text);
        }
        labels
    }
}

/// Numbers with as few digits as tell them apart, three at least.
fn apart(values: &[f64]) -> Vec<String> {
    (3..=17)
        .map(|digits| values.iter().map(|v| short(*v, digits)).collect::<Vec<_>>())
        .find(|texts| texts.iter().zip(texts.iter().skip(1)).all(|(a, b)| a != b))
        .unwrap_or_else(|| values.iter().map(|v| v.to_string()).collect())
}

/// A number with so many significant digits.
fn short(value: f64, digits: usize) -> String {
    let rounded: f64 = format!("{:.*e}", digits.max(1) - 1, value).parse().expect("a number reads back");
    match rounded.abs() {
        size if size != 0.0 && !(1e-4..1e7).contains(&size) => format!("{rounded:e}"),
        _ => format!("{rounded}"),
    }
}

/// The ends of the axis, and its title between them.
fn x_labels(x: &Scale, title: &str, width: usize) -> String {
    let ends = apart_ends(x);
    let room = width.saturating_sub(ends[0].len() + ends[1].len());
    let title = if display_width(title) + 2 <= room { title } else { "" };
    let before = (room - display_width(title)) / 2;
    let after = room - display_width(title) - before;
    format!("{}{:before$}{title}{:after$}{}", ends[0], "", "", ends[1])
}

fn apart_ends(x: &Scale) -> [String; 2] {
    let whole = |v: f64| v.fract() == 0.0 && v.abs() < 1e15;
    match whole(x.from) && whole(x.to) {
        true => [x.from.to_string(), x.to.to_string()],
        false => {
            let mut texts = apart(&[x.from, x.to]);
            let last = texts.pop().unwrap_or_default();
            [texts.pop().unwrap_or_default(), last]
        }
    }
}

/// Cells of the plot.
struct Canvas {
    width: usize,
    style: Style,
    cells: Vec<Cell>,
    /// Columns in which something is no number.
    gaps: Vec<bool>,
    size: (usize, usize),
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    dots: u8,
    series: Option<usize>,
}

/// Dots of a cell, from top left, as Unicode numbers them.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl Canvas {
    fn new(width: usize, height: usize, style: Style) -> Canvas {
        let fine = if style == Style::Dots { (2, 4) } else { (1, 1) };
        let size = (width * fine.0, height * fine.1);
        Canvas { width, style, cells: vec![Cell::default(); width * height], gaps: vec![false; width], size }
    }

    fn line(&mut self, series: usize, line: &Series, x: &Scale, y: &Scale, look: &Look) {
        let (right, bottom) = ((self.size.0 - 1) as f64, (self.size.1 - 1) as f64);
        let mut before: Option<(f64, f64)> = None;
        for point in &line.points {
            let column = x.share(point.0) * right;
            if !look.shows(point) {
                let cell = if point.0.is_finite() { (column.round() as usize * self.width) / self.size.0 } else { 0 };
                self.gaps[cell] = true;
                before = None;
                continue;
            }
            let here = (column, (1.0 - y.share(point.1)) * bottom);
            let from = before.unwrap_or(here);
            let steps = (here.0 - from.0).abs().max((here.1 - from.1).abs()).ceil().max(1.0);
            for step in 0..=steps as usize {
                let part = step as f64 / steps;
                let at = |a: f64, b: f64| (a + (b - a) * part).round() as usize;
                self.set(at(from.0, here.0), at(from.1, here.1), series);
            }
            before = Some(here);
        }
    }

    fn set(&mut self, column: usize, row: usize, series: usize) {
        let (fine_x, fine_y) = (self.size.0 / self.width, self.size.1 * self.width / self.cells.len());
        let cell = &mut self.cells[row / fine_y * self.width + column / fine_x];
        cell.series = Some(series);
        cell.dots |= DOTS[row % fine_y][column % fine_x];
    }

    fn row(&self, row: usize, look: &Look) -> String {
        let cells = &self.cells[row * self.width..(row + 1) * self.width];
        let used = cells.iter().rposition(|cell| cell.series.is_some()).map_or(0, |last| last + 1);
        let mut text = String::new();
        // One colour code per stretch, not per cell.
        for stretch in cells[..used].chunk_by(|a, b| a.series == b.series) {
            let shown: String = stretch.iter().map(|cell| self.shown(cell)).collect();
            match stretch[0].series {
                Some(series) => text.push_str(&look.colored(series, &shown)),
                None => text.push_str(&shown),
            }
        }
        text
    }

    fn shown(&self, cell: &Cell) -> char {
        match (cell.series, self.style) {
            (None, _) => ' ',
            (Some(_), Style::Dots) => char::from_u32(0x2800 + u32::from(cell.dots)).expect("a braille pattern"),
            (Some(series), Style::Marks) => MARKS[series % MOST],
            (Some(series), Style::Plain) => ASCII_MARKS[series % MOST],
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    const LOOK: Look = Look { width: 40, height: 8, style: Style::Plain, color: false, log: false };

    fn series(name: &str, values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(step, value)| (step as f64, *value)).collect();
        Series { name: name.to_string(), points }
    }

    fn falling(from: f64) -> Vec<f64> {
        (0..20).map(|step| from * 0.8f64.powi(step)).collect()
    }

    #[test]
    fn two_lines_in_ascii() {
        let lines = [series("fast", &falling(1.0)), series("slow", &[1.0, 0.9, 0.8, 0.7, 0.65])];
        assert_snapshot!(draw(&lines, "step", &LOOK));
        assert!(draw(&lines, "step", &LOOK).is_ascii());
    }

    #[test]
    fn one_line_in_dots() {
        assert_snapshot!(draw(&[series("loss", &falling(1.0))], "step", &Look { style: Style::Dots, ..LOOK }));
    }

    #[test]
    fn a_logarithmic_axis_makes_decay_straight() {
        let look = Look { style: Style::Marks, log: true, ..LOOK };
        assert_snapshot!(draw(&[series("loss", &falling(100.0)), series("a", &[1.0, 0.0, -1.0, 2.0])], "step", &look));
    }

    #[test]
    fn what_is_no_number_is_a_gap() {
        let values = [1.0, 2.0, f64::NAN, f64::INFINITY, 4.0, 3.0, 2.0];
        assert_snapshot!(draw(&[series("loss", &values)], "step", &LOOK));
    }

    #[test]
    fn one_point_and_a_flat_line_have_an_axis() {
        assert_snapshot!(draw(&[series("one", &[0.5])], "step", &LOOK));
        assert_snapshot!(draw(&[series("flat", &[0.0, 0.0, 0.0])], "step", &LOOK));
    }

    #[test]
    fn nothing_to_draw_is_nothing() {
        assert_eq!(draw(&[], "step", &LOOK), "");
        assert_eq!(draw(&[series("a", &[f64::NAN, f64::NAN])], "step", &LOOK), "");
        assert_eq!(draw(&[series("a", &[-1.0])], "step", &Look { log: true, ..LOOK }), "");
    }

    #[test]
    fn numbers_are_as_short_as_tells_them_apart() {
        assert_eq!(apart(&[0.5, 1.0]), ["0.5", "1"]);
        assert_eq!(apart(&[0.99612, 0.99613]), ["0.99612", "0.99613"]);
        assert_eq!(apart(&[1e-9, 1.0]), ["1e-9", "1"]);
        assert_eq!(short(1234567.0, 3), "1230000");
    }

    proptest! {
        #[test]
        fn any_values_fit_the_width(
            values in prop::collection::vec((any::<f64>(), any::<f64>()), 0..30),
            width in 0usize..120, height in 0usize..20, log: bool, style in 0..3,
        ) {
            let style = [Style::Dots, Style::Marks, Style::Plain][style as usize];
            let look = Look { width, height, style, color: false, log };
            let mut points = values;
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let text = draw(&[Series { name: "a".to_string(), points }], "step", &look);
            // Labels are never cut, so a narrow chart may be a little wider.
            for line in text.lines() {
                prop_assert!(display_width(line) <= width.max(NARROWEST + 56), "{line}");
            }
        }
    }
}
