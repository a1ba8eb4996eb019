//! Heat maps.

use super::super::palette::{self, GRID};
use super::super::{Chart, Grid, Size};
use super::canvas::{Anchor, Px, Stroke};
use super::scale::{digits, number};
use super::sheet::{EDGE, Sheet};
use super::text::{AXIS_NAME, BODY};

pub fn grid(chart: &Chart, grid: &Grid, size: Size) -> Sheet {
    let mut sheet = Sheet::new(size, chart.title.as_deref(), &chart.y.label);
    let (names, left) = sheet.room_for(BODY, &grid.rows);
    let (right, top) = (size.width() - EDGE, sheet.down);
    let width = ((right - left) / grid.columns.len() as f64).min(150.0);
    let height = match grid.rows.len() {
        ..=12 => 32.0,
        13..=30 => 22.0,
        _ => 15.0,
    };
    let bottom = top + height * grid.rows.len() as f64;
    let finite = || grid.values.iter().flatten().copied().filter(|x| x.is_finite());
    let (least, most) = finite().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    let share = |x: f64| if most > least { (x / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0) } else { 0.5 };
    let shown = numbers(grid, width);
    for (i, row) in grid.values.iter().enumerate() {
        let y = top + height * i as f64;
        for (j, value) in row.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let x = left + width * j as f64;
            let free = if width > 12.0 { 0.5 } else { 0.0 };
            sheet.canvas.rect((x + free, y + free), (x + width - free, y + height - free), &color(share(*value)));
            if let Some(digits_shown) = shown {
                let ink = if share(*value) < 0.48 { palette::ON_DARK } else { palette::ON_LIGHT };
                let at = (x + width / 2.0, y + height / 2.0 + 4.0);
                let text = digits(*value, digits_shown);
                sheet.canvas.written(at, BODY, Anchor::Middle, &text, Some(ink), None);
            }
        }
        sheet.canvas.text((left - 6.0, y + height / 2.0 + 4.0), BODY, Anchor::End, &names[i]);
    }
    let (x, y, w, h) = (Px(left), Px(top), Px(width * grid.columns.len() as f64), Px(bottom - top));
    sheet.canvas.path(format!("M{x} {y}h{w}v{h}H{x}z"), Stroke::new(GRID.light, 1.0));
    sheet.down = bottom + columns(&mut sheet, grid, left, width, bottom);
    sheet.name_across(&chart.x.label, left + width * grid.columns.len() as f64 / 2.0);
    colors(&mut sheet, &grid.label, least, most);
    sheet
}

fn color(share: f64) -> String {
    let (r, g, b) = palette::heat(share);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Digits of numbers that have room in their cells.
fn numbers(grid: &Grid, width: f64) -> Option<usize> {
    let fits = |most: &usize| {
        let finite = grid.values.iter().flatten().filter(|x| x.is_finite());
        finite.map(|x| BODY.width(&digits(*x, *most))).all(|text| text <= width - 6.0)
    };
    [4, 3, 2].into_iter().find(|most| grid.columns.len() <= 30 && fits(most))
}

/// Names below the columns: turned where they have no room beside each other; gives how high they are.
fn columns(sheet: &mut Sheet, grid: &Grid, left: f64, width: f64, bottom: f64) -> f64 {
    const TURNED: f64 = 150.0;
    let middle = |j: usize| left + width * (j as f64 + 0.5);
    if grid.columns.iter().all(|name| BODY.width(name) <= width - 6.0) {
        for (j, name) in grid.columns.iter().enumerate() {
            sheet.canvas.text((middle(j), bottom + 16.0), BODY, Anchor::Middle, name);
        }
        return 20.0;
    }
    let names = BODY.apart(&grid.columns, TURNED);
    // Where columns are narrower than a line is high, every so many have a name; of numbers fewer are enough.
    let numbers = names.iter().all(|name| name.parse::<f64>().is_ok());
    let every = (if numbers { 20.0 } else { 11.0 } / width).ceil().max(1.0) as usize;
    let mut highest: f64 = 0.0;
    for (j, name) in names.iter().enumerate().step_by(every) {
        let (x, y) = (middle(j) + 4.0, bottom + 6.0);
        sheet.canvas.written((x, y), BODY, Anchor::End, name, None, Some(-90.0));
        highest = highest.max(BODY.width(name));
    }
    highest + 10.0
}

/// What the colours mean.
fn colors(sheet: &mut Sheet, label: &str, least: f64, most: f64) {
    const PARTS: usize = 40;
    let width = sheet.size.width();
    let ends = [number(least), number(most)];
    let (bar, right) = (160.0, if most > least { BODY.width(&ends[1]) + 8.0 } else { 0.0 });
    let taken = bar + right + BODY.width(&ends[0]) + 8.0;
    let name = AXIS_NAME.shortened(label, width - 2.0 * EDGE);
    sheet.down += 20.0;
    let mut x = EDGE;
    sheet.canvas.text((x, sheet.down), AXIS_NAME, Anchor::Start, &name);
    if EDGE + AXIS_NAME.width(&name) + 14.0 + taken > width - EDGE {
        sheet.down += 18.0;
    } else if !name.is_empty() {
        x += AXIS_NAME.width(&name) + 14.0;
    }
    let (top, baseline) = (sheet.down - 10.0, sheet.down);
    if most > least {
        sheet.canvas.text((x, baseline), BODY, Anchor::Start, &ends[0]);
        x += BODY.width(&ends[0]) + 8.0;
        for i in 0..PARTS {
            // Each part reaches to the end, under those that follow: no seams show between them.
            let from = x + bar * i as f64 / PARTS as f64;
            let share = (i as f64 + 0.5) / PARTS as f64;
            sheet.canvas.rect((from, top), (x + bar, baseline + 1.0), &color(share));
        }
        sheet.canvas.text((x + bar + 8.0, baseline), BODY, Anchor::Start, &ends[1]);
    } else {
        sheet.canvas.rect((x, top), (x + 18.0, baseline + 1.0), &color(0.5));
        sheet.canvas.text((x + 26.0, baseline), BODY, Anchor::Start, &ends[0]);
    }
    sheet.down += 8.0;
}
