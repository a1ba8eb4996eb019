//! Marks: what stands for something inserted while the text around it is read.
//!
//! A mark is a number between two characters that no text has a use for; what it stands for is kept beside the text, where no
//! reader of Markdown sees it.

use std::ops::Range;

use super::error::ReportError;

/// Stand around something that was inserted. No text has a use for them (Unicode's private area).
const BEGIN: char = '\u{F5A0C}';
const END: char = '\u{F5A0D}';
/// Both of them.
pub const MARKS: [char; 2] = [BEGIN, END];

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

/// A mark for something inserted, as a template writes it.
pub fn mark(number: usize) -> String {
    format!("{BEGIN}{number}{END}")
}

impl Filled {
    /// A page of what a template wrote; `lines` say where its parts begin, and on which line of the source.
    pub fn new(
        text: String,
        lines: Vec<(usize, usize)>,
        inserted: Vec<Inserted>,
        failures: Vec<ReportError>,
    ) -> Filled {
        Filled { text, inserted, lines, failures }
    }

    /// A page of which nothing is there but what is wrong with it.
    pub fn of_failures(failures: Vec<ReportError>) -> Filled {
        Filled { failures, ..Filled::default() }
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
    fn marks_are_found_in_any_part_of_the_text() {
        let known = vec![Inserted { text: "-3".into(), sql: "(-3)".into(), failure: None }];
        let text = format!("a{}b\n{}c", mark(0), mark(0));
        let (second, last) = (text.find('\n').unwrap() + 1, text.len() - 1);
        let filled = Filled::new(text, vec![(0, 1), (last, 7)], known, Vec::new());
        assert_eq!(filled.resolve(&filled.text, |i| i.sql.clone()), "a(-3)b\n(-3)c");
        assert_eq!(filled.resolve("b", |i| i.text.clone()), "b");
        assert_eq!((filled.line(0), filled.line(second), filled.line(last)), (1, 2, 7));
    }
}
