//! The text of a picture: elements of SVG, their numbers no longer than the eye needs.

use std::fmt::{self, Write};

use super::text::Font;
use crate::export::escape_html;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// Elements, one behind the other.
#[derive(Debug, Default)]
pub struct Canvas {
    pub body: String,
}

impl Canvas {
    pub fn push(&mut self, element: fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("a string takes all");
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>",
            Px(x1),
            Px(y1),
            Px(x2),
            Px(y2),
            Px(width)
        ));
    }

    /// A rectangle between two corners.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), fill: &str) {
        let (x, y) = (from.0.min(to.0), from.1.min(to.1));
        let (width, height) = ((from.0 - to.0).abs(), (from.1 - to.1).abs());
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>",
            Px(x),
            Px(y),
            Px(width),
            Px(height)
        ));
    }

    pub fn circle(&mut self, at: (f64, f64), radius: f64, fill: &str) {
        self.push(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\"/>",
            Px(at.0),
            Px(at.1),
            Px(radius)
        ));
    }

    /// A text on its baseline, in the colour of all text.
    pub fn text(&mut self, at: (f64, f64), font: Font, anchor: Anchor, text: &str) {
        self.written(at, font, anchor, text, "");
    }

    /// A text with more attributes.
    pub fn written(&mut self, at: (f64, f64), font: Font, anchor: Anchor, text: &str, more: &str) {
        if text.is_empty() {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if font.bold { " font-weight=\"600\"" } else { "" };
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight}{anchor}{more}>{}</text>",
            Px(at.0),
            Px(at.1),
            Px(font.size),
            escape_html(text)
        ));
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
