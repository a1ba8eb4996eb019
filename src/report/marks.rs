//! Marks: what stands for something inserted while the text around it is read.
//!
//! A mark carries its text, so that filters of the template change it as they change all text. Once the template is done,
//! the text goes behind the mark, where no reader of Markdown sees it ([`Filled`]).

use std::ops::Range;

use super::error::ReportError;

/// Stand around something that was inserted. No text has a use for them (Unicode's private area).
const BEGIN: char = '\u{F5A0C}';
const END: char = '\u{F5A0D}';
/// Between the number of a mark and its text.
const TEXT: char = '\u{F5A0E}';
/// All of them.
pub const MARKS: [char; 3] = [BEGIN, END, TEXT];

/// Something that a page inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// As text for people.
    pub text: String,
    /// As a constant of SQL.
    pub sql: String,
    /// The failure that stands here instead of a value.
    pub failure: Option<usize>,
}

impl Inserted {
    /// Text, which nothing more is known of.
    fn of_text(text: String) -> Inserted {
        Inserted { sql: crate::query::quoted(&text), text, failure: None }
    }
}

/// A page whose parameters are in.
#[derive(Debug, Default)]
pub struct Filled {
    /// Markdown with marks.
    pub text: String,
    pub inserted: Vec<Inserted>,
    /// Where parts of the text begin, and the line of the source that they come from.
    lines: Vec<(usize, usize)>,
    /// What failed and is told in place.
    pub failures: Vec<ReportError>,
}

/// A piece of what a template wrote.
enum Piece<'a> {
    Plain(&'a str),
    /// A number, and the text as it is now.
    Mark(Option<usize>, &'a str),
}

/// A mark for something inserted, as a template writes it.
pub fn mark(number: usize, text: &str) -> String {
    format!("{BEGIN}{number}{TEXT}{text}{END}")
}

/// Text without marks: what is inserted as it reads.
pub fn flat(text: &str) -> String {
    if !text.contains(MARKS) {
        return text.to_string();
    }
    let pieces = pieces(text).into_iter().map(|(_, piece)| match piece {
        Piece::Plain(text) | Piece::Mark(_, text) => text.replace(MARKS, ""),
    });
    pieces.collect()
}

/// What was written with its marks apart, each with its place. Marks that a filter broke are no marks.
fn pieces(text: &str) -> Vec<(usize, Piece<'_>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(begin) = text[at..].find(MARKS).map(|found| at + found) {
        pieces.push((at, Piece::Plain(&text[at..begin])));
        let after = begin + BEGIN.len_utf8();
        let whole = text[begin..].starts_with(BEGIN).then(|| text[after..].find(END)).flatten();
        at = match whole {
            Some(length) => {
                let within = &text[after..after + length];
                let (number, text) = within.split_once(TEXT).unwrap_or(("", within));
                pieces.push((begin, Piece::Mark(number.parse().ok(), text)));
                after + length + END.len_utf8()
            }
            None => after,
        };
    }
    pieces.push((at, Piece::Plain(&text[at..])));
    pieces
}

/// What a template wrote, in parts, and what is inserted behind each.
pub fn written(text: &str, inserted: &[Inserted]) -> Vec<(String, Option<Inserted>)> {
    let mut parts = vec![(String::new(), None)];
    for (_, piece) in pieces(text) {
        match piece {
            Piece::Plain(text) => parts.last_mut().expect("there is a part").0 += text,
            Piece::Mark(number, text) => {
                parts.last_mut().expect("there is a part").1 = Some(changed(number, text, inserted));
                parts.push((String::new(), None));
            }
        }
    }
    parts
}

/// What a mark stands for: what was inserted, or what a filter has made of it.
fn changed(number: Option<usize>, text: &str, inserted: &[Inserted]) -> Inserted {
    match number.and_then(|number| inserted.get(number)) {
        Some(known) if known.text == text => known.clone(),
        _ => Inserted::of_text(text.replace(MARKS, "")),
    }
}

impl Filled {
    /// A page of what a template wrote; `spans` say where its parts begin, and on which line of the source.
    pub fn new(
        written: &str,
        spans: impl Iterator<Item = (usize, usize)>,
        inserted: &[Inserted],
        failures: Vec<ReportError>,
    ) -> Filled {
        let mut filled = Filled { failures, ..Filled::default() };
        let mut spans = spans.peekable();
        for (at, piece) in pieces(written) {
            let now = filled.text.len();
            let (begin, end) = match piece {
                Piece::Plain(text) => {
                    filled.text += text;
                    (at, at + text.len())
                }
                Piece::Mark(number, text) => {
                    filled.text += &format!("{BEGIN}{}{END}", filled.inserted.len());
                    filled.inserted.push(changed(number, text, inserted));
                    // All of a mark stands where it begins.
                    (at, at)
                }
            };
            while let Some((place, line)) = spans.next_if(|(place, _)| *place <= end) {
                filled.lines.push((now + place.saturating_sub(begin), line));
            }
        }
        filled
    }

    /// A page of which nothing is there but what is wrong with it.
    pub fn of_failure(failure: ReportError) -> Filled {
        Filled { failures: vec![failure], ..Filled::default() }
    }

    /// The line of the source that a place in the text comes from.
    pub fn line(&self, at: usize) -> usize {
        let part = self.lines.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        let Some((begin, line)) = self.lines.get(part) else { return 1 };
        line + self.text[*begin..at.max(*begin)].matches('\n').count()
    }

    /// Whether something is inserted in a part of the text.
    pub fn marked(text: &str) -> bool {
        text.contains(BEGIN)
    }

    /// A part of the text as what stands there, and what is inserted behind it.
    pub fn parts<'a>(&'a self, text: &'a str) -> Vec<(&'a str, Option<&'a Inserted>)> {
        self.places(text).into_iter().map(|(range, inserted)| (&text[range], inserted)).collect()
    }

    /// The same as places in the text.
    pub fn places(&self, text: &str) -> Vec<(Range<usize>, Option<&Inserted>)> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(begin) = text[at..].find(BEGIN).map(|found| at + found) {
            let number = begin + BEGIN.len_utf8();
            let end = text[number..].find(END).map_or(text.len(), |length| number + length);
            parts.push((at..begin, text[number..end].parse().ok().and_then(|i: usize| self.inserted.get(i))));
            at = (end + END.len_utf8()).min(text.len());
        }
        parts.push((at..text.len(), None));
        parts
    }

    /// Replaces the marks in a part of the text.
    pub fn resolve(&self, text: &str, write: impl Fn(&Inserted) -> String) -> String {
        let parts = self.parts(text);
        parts
            .into_iter()
            .map(|(before, inserted)| before.to_string() + &inserted.map(&write).unwrap_or_default())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_whatever_was_done_to_them() {
        let known = [Inserted { text: "-3".into(), sql: "(-3)".into(), failure: None }];
        let text = format!("a{}b{}c", mark(0, "-3"), mark(0, "X"));
        let filled = Filled::new(&text, [(0, 1), (text.len() - 1, 7)].into_iter(), &known, Vec::new());
        assert_eq!(filled.resolve(&filled.text, |i| i.sql.clone()), "a(-3)b'X'c");
        assert_eq!(filled.line(filled.text.len() - 1), 7);
        assert_eq!(flat(&text), "a-3bXc");
        let broken: String = text.chars().rev().collect();
        assert_eq!(flat(&broken), "cX0b3-0a");
        assert!(!flat(&text[..text.len() - 5]).contains(MARKS));
    }
}
