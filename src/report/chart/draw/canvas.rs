//! What a picture is drawn with: elements of kuva's, which kuva writes as SVG. Numbers of paths, which are most of the bytes, are
//! no longer than the eye needs.

use std::fmt::{self, Write};

use kuva::backend::svg::SvgBackend;
use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive, Scene};

use super::text::Font;

/// A place or a length in pixels, to a tenth.
#[derive(Debug, Clone, Copy)]
pub struct Px(pub f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tenths(f, (self.0 * 10.0).round() as i64)
    }
}

fn tenths(f: &mut impl Write, tenths: i64) -> fmt::Result {
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, part) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    match (whole, part) {
        (whole, 0) => write!(f, "{sign}{whole}"),
        (0, part) => write!(f, "{sign}.{part}"),
        (whole, part) => write!(f, "{sign}{whole}.{part}"),
    }
}

/// Where a text stands from its place.
pub use kuva::render::render::TextAnchor as Anchor;

/// How a path is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Stroke<'a> {
    pub color: &'a str,
    pub width: f64,
    /// Lengths of dashes and gaps.
    pub dashes: Option<&'a str>,
}

impl<'a> Stroke<'a> {
    pub fn new(color: &'a str, width: f64) -> Self {
        Stroke { color, width, dashes: None }
    }
}

/// Elements of kuva's, one behind the other.
#[derive(Debug, Default)]
pub struct Canvas {
    elements: Vec<Primitive>,
}

/// A quarter of a pixel is near enough; kuva writes such numbers in few digits.
fn near(x: f64) -> f64 {
    (x * 4.0).round() / 4.0
}

impl Canvas {
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(near);
        let stroke = stroke.into();
        self.elements.push(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width: width, stroke_dasharray: None });
    }

    /// A rectangle between two corners.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), fill: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(near);
        let (x, y, width, height) = (x1.min(x2), y1.min(y2), (x1 - x2).abs(), (y1 - y2).abs());
        let fill = fill.into();
        self.elements.push(Primitive::Rect {
            x,
            y,
            width,
            height,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
    }

    pub fn circle(&mut self, at: (f64, f64), r: f64, fill: &str) {
        let (cx, cy) = (near(at.0), near(at.1));
        let fill = fill.into();
        let circle = Primitive::Circle { cx, cy, r, fill, fill_opacity: None, stroke: None, stroke_width: None };
        self.elements.push(circle);
    }

    pub fn path(&mut self, d: String, stroke: Stroke<'_>) {
        self.elements.push(Primitive::Path(Box::new(PathData {
            d,
            fill: None,
            stroke: stroke.color.into(),
            stroke_width: stroke.width,
            opacity: None,
            stroke_dasharray: stroke.dashes.map(str::to_string),
        })));
    }

    /// What a path encloses, to be seen through.
    pub fn area(&mut self, d: String, fill: &str) {
        self.elements.push(Primitive::Path(Box::new(PathData {
            d,
            fill: Some(fill.into()),
            stroke: Color::None,
            stroke_width: 0.0,
            opacity: Some(0.15),
            stroke_dasharray: None,
        })));
    }

    /// The dots of a [`Trace`]: circles of their own would take ten times the bytes.
    pub fn dots(&mut self, d: String, color: &str, diameter: f64) {
        let round = Some("stroke-linecap=\"round\"".to_string());
        self.elements.push(Primitive::GroupStart { transform: None, title: None, extra_attrs: round });
        self.path(d, Stroke::new(color, diameter));
        self.elements.push(Primitive::GroupEnd);
    }

    /// A text on its baseline, in the colour of all text.
    pub fn text(&mut self, at: (f64, f64), font: Font, anchor: Anchor, text: &str) {
        self.written(at, font, anchor, text, None, None);
    }

    /// A text of another colour, or turned by so many degrees.
    pub fn written(
        &mut self,
        (x, y): (f64, f64),
        font: Font,
        anchor: Anchor,
        text: &str,
        color: Option<&str>,
        rotate: Option<f64>,
    ) {
        if text.is_empty() {
            return;
        }
        // Between two dollar signs kuva would see a formula.
        let content = text.replace('$', "\\$");
        let (x, y) = (near(x), near(y));
        let (size, bold, color) = (font.size as u32, font.bold, color.map(Color::from));
        self.elements.push(Primitive::Text { x, y, content, size, anchor, rotate, bold, color });
    }

    /// What is drawn, as SVG.
    pub fn svg(self) -> String {
        let mut scene = Scene::new(0.0, 0.0).with_background(None);
        scene.elements = self.elements;
        let svg = SvgBackend::new().render_scene(&scene);
        // The first tag is that of the sheet.
        svg.split_once('>').map_or("", |(_, body)| body).trim_end_matches("</svg>").to_string()
    }
}

/// The places of a path. Steps are relative, which takes half the bytes.
#[derive(Debug, Default)]
pub struct Trace {
    pub d: String,
    at: (i64, i64),
    open: bool,
}

impl Trace {
    /// Begins anew with the next place.
    pub fn lift(&mut self) {
        self.open = false;
    }

    pub fn to(&mut self, (x, y): (f64, f64)) {
        let (x, y) = ((x * 10.0).round() as i64, (y * 10.0).round() as i64);
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        match (self.open, dx, dy) {
            (true, 0, 0) => return,
            (true, dx, 0) => self.step('h', &[dx]),
            (true, 0, dy) => self.step('v', &[dy]),
            (true, dx, dy) => self.step('l', &[dx, dy]),
            (false, ..) => self.step('M', &[x, y]),
        }
        self.at = (x, y);
        self.open = true;
    }

    /// A point of its own, which round ends make a dot.
    pub fn dot(&mut self, at: (f64, f64)) {
        self.lift();
        self.to(at);
        self.d.push_str("h0");
    }

    fn step(&mut self, command: char, numbers: &[i64]) {
        self.d.push(command);
        for (i, number) in numbers.iter().enumerate() {
            if i > 0 && *number >= 0 {
                self.d.push(' ');
            }
            tenths(&mut self.d, *number).expect("a string takes all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.04, -0.04, 0.25, -0.3, 12.0, 12.34, -1.96].map(|x| Px(x).to_string());
        assert_eq!(texts, ["0", "0", "0", ".3", "-.3", "12", "12.3", "-2"]);
        let mut trace = Trace::default();
        [(1.0, 2.0), (1.5, 1.0), (1.5, 1.0), (3.0, 1.0)].into_iter().for_each(|at| trace.to(at));
        trace.dot((5.0, 5.0));
        assert_eq!(trace.d, "M1 2l.5-1h1.5M5 5h0");
    }
}
