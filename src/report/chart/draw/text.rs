//! Texts of a picture: how wide they are, and how they are made to fit.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthChar;

/// Widths of the printable characters of ASCII in thousandths of the font's size, in DejaVu Sans: none of the fonts that
/// pictures ask for is wider.
const WIDTHS: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
];

/// A font of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Font {
    pub size: f64,
    pub bold: bool,
}

/// Titles.
pub const TITLE: Font = Font { size: 14.0, bold: true };
/// What an axis shows.
pub const AXIS_NAME: Font = Font { size: 12.0, bold: false };
/// Everything else.
pub const BODY: Font = Font { size: 11.0, bold: false };
/// A name above some rows.
pub const SECTION: Font = Font { size: 11.0, bold: true };

impl Font {
    fn advance(self, c: char) -> f64 {
        let thousandths = match c {
            ' '..='~' => f64::from(WIDTHS[c as usize - 32]),
            '…' => 1000.0,
            _ => match c.width() {
                Some(0) | None => 0.0,
                Some(1) => 740.0,
                _ => 1050.0,
            },
        };
        thousandths / 1000.0 * self.size * if self.bold { 1.13 } else { 1.0 }
    }

    /// Pixels that a text takes, rather more than less.
    pub fn width(self, text: &str) -> f64 {
        text.chars().map(|c| self.advance(c)).sum()
    }

    /// A text within so many pixels. Names mostly differ at their ends, so what goes is in the middle.
    pub fn shortened(self, text: &str, most: f64) -> String {
        if self.width(text) <= most {
            return text.to_string();
        }
        let room = (most - self.advance('…')).max(0.0);
        let fill = |chars: &mut dyn Iterator<Item = char>, room: f64| {
            let (mut taken, mut left) = (Vec::new(), room);
            for c in chars {
                left -= self.advance(c);
                if left < 0.0 {
                    break;
                }
                taken.push(c);
            }
            taken
        };
        let end = fill(&mut text.chars().rev(), room / 2.0);
        let rest = room - end.iter().map(|c| self.advance(*c)).sum::<f64>();
        let begin: String = fill(&mut text.chars(), rest).into_iter().collect();
        begin + "…" + &end.into_iter().rev().collect::<String>()
    }

    /// Different names within so many pixels each, so that they stay different.
    pub fn apart(self, names: &[String], most: f64) -> Vec<String> {
        let mut short: Vec<String> = names.iter().map(|name| self.shortened(name, most)).collect();
        // First by showing where they begin to differ, then by numbers.
        for group in clashes(names, &short) {
            let common = group.iter().skip(1).map(|at| common_prefix(&names[group[0]], &names[*at])).min().unwrap_or(0);
            for at in group {
                let tail: String = names[at].chars().skip(common.saturating_sub(3)).collect();
                short[at] = self.shortened(&format!("…{tail}"), most);
            }
        }
        for group in clashes(names, &short) {
            let mut numbers = BTreeMap::new();
            for at in group {
                let next = numbers.len() + 1;
                let mark = format!(" ({})", numbers.entry(&names[at]).or_insert(next));
                short[at] = self.shortened(&names[at], most - self.width(&mark)) + &mark;
            }
        }
        short
    }

    /// Text in lines of at most so many pixels, words whole where they fit; what is beyond the last line is cut.
    pub fn wrapped(self, text: &str, width: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let words: Vec<&str> = text.split_whitespace().collect();
        for (i, word) in words.iter().enumerate() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer {
                Some(longer) if self.width(&longer) <= width => *lines.last_mut().expect("there is one") = longer,
                _ if lines.len() == most => {
                    let last = lines.pop().unwrap_or_default() + " " + &words[i..].join(" ");
                    let mut cut: String = last.chars().take(400).collect();
                    while self.width(&cut) + self.advance('…') > width && cut.pop().is_some() {}
                    lines.push(cut.trim_end().to_string() + "…");
                    return lines;
                }
                _ => lines.push(self.shortened(word, width)),
            }
        }
        lines
    }
}

/// Places of different names that look alike.
fn clashes(names: &[String], short: &[String]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    short.iter().enumerate().for_each(|(at, text)| groups.entry(text).or_default().push(at));
    let differ = |group: &Vec<usize>| group.iter().map(|at| &names[*at]).collect::<BTreeSet<_>>().len() > 1;
    groups.into_values().filter(differ).collect()
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_anywhere_stay_apart() {
        let long = |a: &str, b: &str| format!("{a}{}{b}", "resnet-".repeat(30));
        let names = [long("", "1"), long("", "2"), long("a", "2"), "short".to_string(), "short".to_string()];
        let short = BODY.apart(&names, 120.0);
        assert_eq!(short.iter().collect::<BTreeSet<_>>().len(), 4, "{short:?}");
        assert!(short.iter().all(|text| BODY.width(text) <= 120.0), "{short:?}");
        let middle = ["x", "y"].map(|c| "a".repeat(60) + c + &"b".repeat(60));
        let short = BODY.apart(&middle, 100.0);
        assert!(short[0].contains('x') && short[1].contains('y'), "{short:?}");
        // They differ at two places.
        let twice = ["xy", "yx", "xx"].map(|c| format!("{}{}{}{}", "a".repeat(60), &c[..1], "b".repeat(99), &c[1..]));
        let short = BODY.apart(&twice.map(|name| name + &"c".repeat(60)), 100.0);
        assert_eq!(short.iter().collect::<BTreeSet<_>>().len(), 3, "{short:?}");
    }

    #[test]
    fn lines_are_no_wider_than_asked() {
        let text = "a very long title that wraps somewhere ".repeat(9) + &"x".repeat(300);
        for most in [2, 4, 99] {
            let lines = TITLE.wrapped(&text, 340.0, most);
            assert!(lines.len() <= most && lines.iter().all(|line| TITLE.width(line) <= 341.0), "{lines:?}");
        }
        assert!(TITLE.wrapped(&text, 340.0, 2)[1].ends_with('…'));
    }
}
