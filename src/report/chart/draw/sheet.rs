//! What is around the marks of a picture: title, axes, names of rows, legend.

use super::super::{Axis, Size};
use super::canvas::{Anchor, Canvas, Px, Stroke};
use super::palette::{AXIS, GRID, INK};
use super::scale::{Scale, Tick};
use super::text::{AXIS_NAME, BODY, Font, TITLE};
use crate::export::escape_html;

/// A picture from top to bottom.
pub struct Sheet {
    pub size: Size,
    pub canvas: Canvas,
    /// Where the next thing below may begin.
    pub down: f64,
}

/// What stands before a name in a legend.
#[derive(Debug, Clone, Copy)]
pub enum Swatch {
    Line { dashed: bool },
    Dot,
    Square,
}

/// Free at both sides of a picture.
pub const EDGE: f64 = 4.0;
/// Length of the marks at an axis.
const MARK: f64 = 4.0;

impl Size {
    pub(super) fn width(self) -> f64 {
        match self {
            Size::Wide => 760.0,
            Size::Narrow => 360.0,
        }
    }

    /// Of what is between the axes.
    pub(super) fn height(self) -> f64 {
        match self {
            Size::Wide => 260.0,
            Size::Narrow => 210.0,
        }
    }

    /// The most that names beside an axis take.
    pub(super) fn names(self) -> f64 {
        match self {
            Size::Wide => 260.0,
            Size::Narrow => 136.0,
        }
    }
}

impl Sheet {
    /// Begins with a title, and with what the axis from bottom to top shows: above it, where it need not be turned.
    pub fn new(size: Size, title: Option<&str>, up: &str) -> Sheet {
        let mut sheet = Sheet { size, canvas: Canvas::default(), down: 0.0 };
        for (text, font, most) in [(title.unwrap_or_default(), TITLE, 6), (up, AXIS_NAME, 2)] {
            for line in font.wrapped(text, size.width() - 2.0 * EDGE, most) {
                sheet.down += font.size + 4.0;
                sheet.canvas.text((EDGE, sheet.down - 3.0), font, Anchor::Start, &line);
            }
            sheet.down += 4.0;
        }
        sheet.down += 4.0;
        sheet
    }

    /// Ticks of an axis from bottom to top.
    pub fn ticks_up(&self, scale: &Scale, height: f64) -> Vec<Tick> {
        let mut ticks = scale.ticks((height / 40.0).clamp(3.0, 9.0) as usize);
        for tick in &mut ticks {
            if let Some(below) = tick.below.take() {
                tick.label = format!("{below}, {}", tick.label);
            }
        }
        ticks
    }

    /// As many ticks of an axis from left to right as have room.
    fn ticks_across(&self, scale: &Scale) -> Vec<Tick> {
        let most = if self.size == Size::Wide { 9 } else { 6 };
        let mut ticks = Vec::new();
        for count in (2..=most).rev() {
            ticks = scale.ticks(count);
            let apart = |a: &str, b: &str| (BODY.width(a) + BODY.width(b)) / 2.0 + 10.0;
            let fits = |pair: &[Tick]| {
                let needed = apart(&pair[0].label, &pair[1].label);
                let below = pair[0].below.as_deref().zip(pair[1].below.as_deref()).map_or(0.0, |(a, b)| apart(a, b));
                (scale.at(pair[1].at) - scale.at(pair[0].at)).abs() >= needed.max(below)
            };
            if ticks.windows(2).all(fits) {
                break;
            }
        }
        ticks
    }

    /// Draws the axis on the left and lines behind the marks.
    pub fn axis_up(&mut self, scale: &Scale, ticks: &[Tick], left: f64, right: f64) {
        for tick in ticks {
            let y = scale.at(tick.at);
            self.canvas.line((left, y), (right, y), GRID.light, 1.0);
            self.canvas.text((left - 6.0, y + 4.0), BODY, Anchor::End, &tick.label);
        }
        let (bottom, top) = scale.ends();
        self.canvas.line((left, top), (left, bottom), AXIS.light, 1.0);
    }

    /// Draws the axis at the bottom, its name below, and lines behind the marks.
    pub fn axis_across(&mut self, scale: &Scale, axis: &Axis, top: f64, bottom: f64) {
        let ticks = self.ticks_across(scale);
        let mut two = false;
        for tick in &ticks {
            let x = scale.at(tick.at);
            self.canvas.line((x, top), (x, bottom), GRID.light, 1.0);
            self.canvas.line((x, bottom), (x, bottom + MARK), AXIS.light, 1.0);
            let half = tick_width(tick) / 2.0;
            let x = x.clamp(half + 1.0, (self.size.width() - half - 1.0).max(half + 1.0));
            self.canvas.text((x, bottom + 16.0), BODY, Anchor::Middle, &tick.label);
            if let Some(below) = &tick.below {
                two = true;
                self.canvas.text((x, bottom + 30.0), BODY, Anchor::Middle, below);
            }
        }
        let (left, right) = scale.ends();
        self.canvas.line((left, bottom), (right, bottom), AXIS.light, 1.0);
        self.down = bottom + if two { 34.0 } else { 20.0 };
        self.name_across(&axis.label, (left + right) / 2.0);
    }

    /// What the axis at the bottom shows.
    pub fn name_across(&mut self, name: &str, middle: f64) {
        let width = self.size.width() - 2.0 * EDGE;
        for line in AXIS_NAME.wrapped(name, width, 2) {
            self.down += AXIS_NAME.size + 4.0;
            let half = AXIS_NAME.width(&line) / 2.0;
            let x = middle.clamp((EDGE + half).min(width / 2.0), (width - half).max(width / 2.0));
            self.canvas.text((x, self.down - 2.0), AXIS_NAME, Anchor::Middle, &line);
        }
        self.down += 4.0;
    }

    /// Names of series, in rows as wide as the picture.
    pub fn legend(&mut self, entries: &[(String, &str, Swatch)]) {
        if entries.is_empty() {
            return;
        }
        let (before, after) = (20.0, 18.0);
        let width = self.size.width() - 2.0 * EDGE;
        let names: Vec<String> = entries.iter().map(|(name, ..)| name.clone()).collect();
        let names = BODY.apart(&names, (width - before).min(340.0));
        // In columns where there are several rows.
        let widest = names.iter().map(|name| BODY.width(name) + before + after).fold(0.0, f64::max);
        let total: f64 = names.iter().map(|name| BODY.width(name) + before + after).sum();
        let columns = ((width + after) / widest).floor().max(1.0);
        let mut x = EDGE;
        self.down += 18.0;
        for (i, ((_, color, swatch), name)) in entries.iter().zip(&names).enumerate() {
            if total - after > width {
                let column = i % columns as usize;
                if column == 0 && i > 0 {
                    self.down += 17.0;
                }
                x = EDGE + column as f64 * widest;
            }
            let middle = self.down - 4.0;
            match swatch {
                Swatch::Dot => self.canvas.circle((x + 7.0, middle), 4.0, color),
                Swatch::Square => self.canvas.rect((x + 2.0, middle - 5.0), (x + 12.0, middle + 5.0), color),
                Swatch::Line { dashed } => {
                    let stroke = Stroke { dashes: dashed.then_some("5 3"), ..Stroke::new(color, 2.5) };
                    self.canvas.path(format!("M{} {}h14", Px(x), Px(middle)), stroke);
                }
            }
            self.canvas.text((x + before, self.down), BODY, Anchor::Start, name);
            x += BODY.width(name) + before + after;
        }
        self.down += 6.0;
    }

    /// Names beside the left axis, each around its place; gives where the axis can stand.
    pub fn room_for(&self, font: Font, names: &[String]) -> (Vec<String>, f64) {
        let names = font.apart(names, self.size.names());
        let widest = names.iter().map(|name| font.width(name)).fold(0.0, f64::max);
        (names, EDGE + widest + 8.0)
    }

    /// The picture.
    pub fn finish(self, name: &str, head: &str) -> String {
        let name = escape_html(name);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{name}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" \
             stroke-linejoin=\"round\" fill=\"{ink}\"><title>{name}</title>{head}{body}</svg>",
            w = self.size.width(),
            h = (self.down + 4.0).ceil(),
            ink = INK.light,
            body = self.canvas.svg(),
        )
    }
}

fn tick_width(tick: &Tick) -> f64 {
    let below = tick.below.as_deref().map_or(0.0, |below| BODY.width(below));
    BODY.width(&tick.label).max(below)
}
