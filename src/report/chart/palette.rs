//! Colours that tell apart for people who see few of them, on white and on black.
//!
//! A picture has the colours of the light page as its attributes, so that every program shows it. Style sheets replace them,
//! one by one, where the reader's page is dark.

use std::fmt::Write;

/// A colour on a light page and on a dark one. Each light one has a single meaning.
#[derive(Debug, Clone, Copy)]
pub struct Color {
    pub light: &'static str,
    dark: &'static str,
}

const fn color(light: &'static str, dark: &'static str) -> Color {
    Color { light, dark }
}

/// Behind everything.
pub const SURFACE: Color = color("#fffffe", "#0d1117");
/// Text.
pub const INK: Color = color("#24292f", "#e6edf3");
/// Axes and their ticks.
pub const AXIS: Color = color("#8c959f", "#6e7681");
/// Lines behind the marks.
pub const GRID: Color = color("#e4e7eb", "#262c36");
/// Points that do not matter.
pub const FAINT: Color = color("#b6bec7", "#4b545e");
/// Text in coloured cells, which are the same on every page.
pub const ON_DARK: &str = "#fefefe";
/// The same for light cells, and lines across boxes.
pub const ON_LIGHT: &str = "#121417";

/// After Okabe and Ito (2008, "Color Universal Design"); yellow is darker, so that it shows on white.
pub const SERIES: [Color; 8] = [
    color("#0072b2", "#4aa8e8"),
    color("#d55e00", "#ff8c42"),
    color("#009e73", "#2ecc9b"),
    color("#cc79a7", "#e79ac4"),
    color("#e69f00", "#f2bb4a"),
    color("#56b4e9", "#8fd0f7"),
    color("#6e5a9c", "#ab97da"),
    color("#8a7a1d", "#cdbb58"),
];

/// The same, as lines under smoothed ones.
pub const RAW: [Color; 8] = [
    color("#a6cbe2", "#1f4560"),
    color("#f0c3a1", "#6b3d20"),
    color("#a1dac9", "#175743"),
    color("#ecd0df", "#614256"),
    color("#f6dca1", "#665024"),
    color("#c4e3f7", "#3d5768"),
    color("#cbc3dc", "#493f5e"),
    color("#d5cfaa", "#575029"),
];

fn all() -> impl Iterator<Item = Color> {
    [SURFACE, INK, AXIS, GRID, FAINT].into_iter().chain(SERIES).chain(RAW)
}

fn dark_rules(before: &str) -> String {
    let mut rules = String::new();
    for Color { light, dark } in all() {
        let _ = write!(rules, "{before}[fill=\"{light}\"]{{fill:{dark}}}{before}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    rules
}

/// Style sheet of a picture that stands alone.
pub fn picture_styles() -> String {
    format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>", dark_rules(""))
}

/// Rules for pictures within a page.
pub fn page_styles() -> String {
    format!("@media screen and (prefers-color-scheme:dark){{{}}}\n", dark_rules(".chart "))
}

/// Colours of a heat map, dark blue to yellow: cividis (Nuñez et al., 2018), which people see alike.
pub fn heat(share: f64) -> (u8, u8, u8) {
    const STOPS: [(f64, f64, f64); 6] = [
        (0.0, 34.0, 78.0),
        (53.0, 69.0, 108.0),
        (102.0, 105.0, 112.0),
        (148.0, 142.0, 119.0),
        (200.0, 182.0, 102.0),
        (254.0, 232.0, 56.0),
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let (i, part) = (at.floor().min((STOPS.len() - 2) as f64), at);
    let ((r, g, b), (to_r, to_g, to_b)) = (STOPS[i as usize], STOPS[i as usize + 1]);
    let mix = |from: f64, to: f64| (from + (to - from) * (part - i)).round() as u8;
    (mix(r, to_r), mix(g, to_g), mix(b, to_b))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_colour_has_one_meaning() {
        let mut seen: BTreeSet<&str> = [ON_DARK, ON_LIGHT].into();
        for color in all() {
            assert!(seen.insert(color.light), "{} is there twice", color.light);
        }
        assert_eq!(heat(0.0), (0, 34, 78));
        assert_eq!(heat(1.0), (254, 232, 56));
        assert_eq!(heat(0.2), (53, 69, 108));
    }
}
