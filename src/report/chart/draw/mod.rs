//! Pictures of charts as SVG.
//!
//! A picture is written from top to bottom: what it is, what stands at its left axis, the marks between the axes, what stands at
//! the lower one, and the names of its series. Widths of texts are known beforehand, so none is cut off and none is on another.

mod boxes;
mod canvas;
mod categories;
mod grid;
mod lines;
mod points;
mod scale;
mod sheet;
mod text;
mod time;

use super::palette::{self, SERIES, SURFACE};
use super::{Chart, Marks, Size};
use scale::Scale;
use sheet::{EDGE, Sheet};

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
        let sheet = match &self.marks {
            Marks::Lines(all) => lines::lines(self, all, size),
            Marks::Bars(bars) => categories::bars(self, bars, size),
            Marks::Dots(dots) => categories::dots(self, dots, size),
            Marks::Points(clouds) => points::points(self, clouds, size),
            Marks::Boxes(all) => boxes::boxes(self, all, size),
            Marks::Grid(cells) => grid::grid(self, cells, size),
        };
        sheet.finish(&self.description(), head)
    }

    /// A sheet with two axes of numbers, and their scales.
    fn plane(&self, size: Size, x: Scale, y: Scale) -> (Sheet, Scale, Scale) {
        let mut sheet = Sheet::new(size, self.title.as_deref(), &self.y.label);
        let (top, bottom) = (sheet.down, sheet.down + size.height());
        let y = y.between(bottom, top);
        let ticks = sheet.ticks_up(&y, size.height());
        let widest = ticks.iter().map(|tick| text::BODY.width(&tick.label)).fold(0.0, f64::max);
        let (left, right) = (EDGE + widest + 8.0, size.width() - 14.0);
        let x = x.between(left, right);
        sheet.axis_up(&y, &ticks, left, right);
        sheet.axis_across(&x, &self.x, top, bottom);
        (sheet, x, y)
    }
}

fn hue(i: usize) -> usize {
    i % SERIES.len()
}
