//! Bars and dots: values of categories.

use super::super::palette::{AXIS, GRID, INK, SERIES};
use super::super::{Axis, Bars, Chart, Dot, Size};
use super::canvas::{Anchor, Px, Stroke};
use super::hue;
use super::scale::Scale;
use super::sheet::{EDGE, Sheet, Swatch};
use super::text::{BODY, SECTION};

/// Whether categories go from top to bottom, since their names have no room beside each other; else these are their names.
pub fn standing(names: &[String], size: Size) -> Option<Vec<String>> {
    let room = (size.width() - 60.0) / names.len().max(1) as f64 - 8.0;
    let fits = names.iter().all(|name| BODY.width(name) <= room);
    fits.then(|| names.to_vec())
}

/// Categories beside each other: their axis at the bottom, and the middle of each.
pub struct Standing {
    pub sheet: Sheet,
    pub values: Scale,
    pub middles: Vec<f64>,
    /// How wide a category is.
    pub width: f64,
}

impl Standing {
    pub fn new(chart: &Chart, names: &[String], values: Scale, size: Size) -> Standing {
        let mut sheet = Sheet::new(size, chart.title.as_deref(), &chart.y.label);
        let (top, bottom) = (sheet.down, sheet.down + size.height());
        let values = values.between(bottom, top);
        let ticks = sheet.ticks_up(&values, size.height());
        let widest = ticks.iter().map(|tick| BODY.width(&tick.label)).fold(0.0, f64::max);
        let (left, right) = (EDGE + widest + 8.0, size.width() - EDGE);
        sheet.axis_up(&values, &ticks, left, right);
        let width = (right - left) / names.len() as f64;
        let middles: Vec<f64> = (0..names.len()).map(|i| left + width * (i as f64 + 0.5)).collect();
        for (name, middle) in names.iter().zip(&middles) {
            sheet.canvas.text((*middle, bottom + 16.0), BODY, Anchor::Middle, name);
        }
        sheet.canvas.line((left, bottom), (right, bottom), AXIS.light, 1.0);
        sheet.down = bottom + 20.0;
        sheet.name_across(&chart.x.label, (left + right) / 2.0);
        Standing { sheet, values, middles, width }
    }
}

/// Categories below each other: the sheet, the scale of their values and the middle of each.
pub fn lying(chart: &Chart, names: &[String], values: Scale, row: f64, size: Size) -> (Sheet, Scale, Vec<f64>) {
    let sheet = Sheet::new(size, chart.title.as_deref(), &chart.x.label);
    let middles: Vec<f64> = (0..names.len()).map(|i| sheet.down + row * (i as f64 + 0.5)).collect();
    let bottom = sheet.down + row * names.len() as f64;
    let (sheet, values) = beside(sheet, &chart.y, names, &middles, values, bottom);
    (sheet, values, middles)
}

/// Writes names beside the left axis, and draws both axes.
fn beside(
    mut sheet: Sheet,
    axis: &Axis,
    names: &[String],
    middles: &[f64],
    values: Scale,
    bottom: f64,
) -> (Sheet, Scale) {
    let (short, left) = sheet.room_for(BODY, names);
    let (top, right) = (sheet.down, sheet.size.width() - 14.0);
    let values = values.between(left, right);
    sheet.axis_across(&values, axis, top, bottom);
    for (name, middle) in short.iter().zip(middles) {
        sheet.canvas.text((left - 6.0, middle + 4.0), BODY, Anchor::End, name);
    }
    sheet.canvas.line((left, top), (left, bottom), AXIS.light, 1.0);
    (sheet, values)
}

pub fn bars(chart: &Chart, bars: &Bars, size: Size) -> Sheet {
    let all = bars.series.iter().flat_map(|series| &series.values).flat_map(|(value, low, high)| [*value, *low, *high]);
    // They begin at 0, and are free of it only at their other end.
    let values = Scale::fit(all.chain([0.0]), &chart.y, 0.05);
    let count = bars.series.len() as f64;
    let (mut sheet, values, lies, middles, width) = match standing(&bars.categories, size) {
        Some(names) => {
            let Standing { sheet, values, middles, width } = Standing::new(chart, &names, values, size);
            (sheet, values, false, middles, width)
        }
        None => {
            let row = if bars.series.len() == 1 { 24.0 } else { 15.0 * count + 12.0 };
            let (sheet, values, middles) = lying(chart, &bars.categories, values, row, size);
            (sheet, values, true, middles, row)
        }
    };
    let group = (width * 0.74).min(72.0 * count);
    let one = group / count;
    let place = |value: f64, along: f64| if lies { (value, along) } else { (along, value) };
    for (i, series) in bars.series.iter().enumerate() {
        for (middle, (value, low, high)) in
            middles.iter().zip(&series.values).filter(|(_, (value, ..))| value.is_finite())
        {
            let from = middle - group / 2.0 + one * i as f64;
            let free = if bars.series.len() > 1 && one > 6.0 { 0.5 } else { 0.0 };
            let (a, b) = (place(values.at(0.0), from + free), place(values.at(*value), from + one - free));
            sheet.canvas.rect(a, b, SERIES[hue(i)].light);
            if low < value || high > value {
                interval(&mut sheet, &values, (*low, *high), from + one / 2.0, (one * 0.3).min(4.0), lies, INK.light);
            }
        }
    }
    let (from, to) = (middles[0] - width / 2.0, middles[middles.len() - 1] + width / 2.0);
    let zero = values.at(0.0);
    sheet.canvas.line(place(zero, from), place(zero, to), AXIS.light, 1.0);
    let entry = |(i, name): (usize, &String)| (name.clone(), SERIES[hue(i)].light, Swatch::Square);
    let names = bars.series.iter().filter_map(|series| series.name.as_ref());
    let entries: Vec<_> = names.enumerate().map(entry).collect();
    sheet.legend(&entries);
    sheet
}

/// A line from end to end of an interval, with a small one across each end.
fn interval(sheet: &mut Sheet, values: &Scale, (low, high): (f64, f64), along: f64, cap: f64, lies: bool, color: &str) {
    let (a, b) = (values.at(low), values.at(high));
    let d = match lies {
        true => format!(
            "M{a} {y}H{b}M{a} {t}v{c}M{b} {t}v{c}",
            a = Px(a),
            b = Px(b),
            y = Px(along),
            t = Px(along - cap),
            c = Px(2.0 * cap)
        ),
        false => format!(
            "M{x} {a}V{b}M{l} {a}h{c}M{l} {b}h{c}",
            a = Px(a),
            b = Px(b),
            x = Px(along),
            l = Px(along - cap),
            c = Px(2.0 * cap)
        ),
    };
    sheet.canvas.path(d, Stroke::new(color, 1.5));
}

pub fn dots(chart: &Chart, dots: &[Dot], size: Size) -> Sheet {
    const ROW: f64 = 22.0;
    let all = dots.iter().flat_map(|dot| [dot.value, dot.low, dot.high]);
    let values = Scale::fit(all.clone(), &chart.y, 0.05);
    let sheet = Sheet::new(size, chart.title.as_deref(), &chart.x.label);
    // Dots of a section have its name above them.
    let mut down = sheet.down;
    let (mut middles, mut sections) = (Vec::new(), Vec::new());
    let mut last: Option<&String> = None;
    for dot in dots {
        if dot.section.as_ref() != last
            && let Some(section) = &dot.section
        {
            down += if last.is_some() { ROW + 6.0 } else { ROW };
            sections.push((down - 6.0, section));
        }
        last = dot.section.as_ref();
        middles.push(down + ROW / 2.0);
        down += ROW;
    }
    let names: Vec<String> = dots.iter().map(|dot| dot.name.clone()).collect();
    let top = sheet.down;
    let (mut sheet, values) = beside(sheet, &chart.y, &names, &middles, values, down);
    // Where the values are on both sides of 0, or an interval holds it, 0 is what they are compared with.
    let (least, most) = all.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    if least <= 0.0 && most >= 0.0 && !chart.y.time {
        let zero = format!("M{} {}V{}", Px(values.at(0.0)), Px(top), Px(down));
        sheet.canvas.path(zero, Stroke { dashes: Some("4 3"), ..Stroke::new(AXIS.light, 1.0) });
    }
    for (y, section) in sections {
        let text = SECTION.shortened(section, size.width() - 2.0 * EDGE);
        let width = SECTION.width(&text);
        // The lines behind end at the name.
        sheet.canvas.rect((EDGE - 2.0, y - 11.0), (EDGE + width + 4.0, y + 4.0), super::SURFACE.light);
        sheet.canvas.text((EDGE, y), SECTION, Anchor::Start, &text);
        sheet.canvas.line((EDGE + width + 8.0, y - 4.0), (size.width() - 14.0, y - 4.0), GRID.light, 1.0);
    }
    for (dot, middle) in dots.iter().zip(middles) {
        if dot.low < dot.high {
            interval(&mut sheet, &values, (dot.low, dot.high), middle, 3.5, true, SERIES[0].light);
        }
        sheet.canvas.circle((values.at(dot.value), middle), 4.0, SERIES[0].light);
    }
    sheet
}
