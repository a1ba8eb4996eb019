//! Heat maps.

use std::sync::Arc;

use kuva::plot::annotations::TextAnnotation;
use kuva::prelude::*;
use kuva::render::render::Primitive;

use super::{Picture, text, tick};
use crate::report::chart::palette;
use crate::report::chart::{Grid, Size};

pub fn grid(grid: &Grid, size: Size) -> Picture {
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

pub fn in_its_cell(element: &mut Primitive) {
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
