//! A report as Markdown, its pictures beside it.

use std::ops::Range;

use pulldown_cmark::{Event, Tag, TagEnd};

use super::block::Content;
use super::page::{address, parser, words_of};
use super::template::{Filled, Inserted};
use crate::export::{escape, escape_html, escape_markdown};
use crate::store::AsOf;

/// What a part of the page is, where it is not plain text.
enum Part {
    Block,
    Code,
    Html,
    /// Where a link leads.
    Address,
}

/// The page: its text as it is written, with each block replaced by what it shows.
pub fn page(filled: &Filled, contents: &[Content], as_of: Option<AsOf>) -> String {
    let text = &filled.text;
    let mut contents = contents.iter();
    let mut page = String::new();
    let mut written = 0;
    for (range, part) in parts(text) {
        page += &filled.resolve(&text[written..range.start], prose);
        let within = &text[range.clone()];
        page += &match part {
            Part::Block => {
                let shown = contents.next().map(Content::markdown).unwrap_or_default();
                indented(shown.trim_end(), &text[..range.start])
            }
            Part::Code => filled.resolve(within, code),
            // A line of its own within a tag could be read as Markdown.
            Part::Html => filled.resolve(within, |inserted| escape_html(&inserted.text).replace('\n', "&#10;")),
            Part::Address => address(filled, within),
        };
        written = range.end;
    }
    page += &filled.resolve(&text[written..], prose);
    let mut page = page.trim_end().to_string() + "\n";
    if let Some(as_of) = as_of {
        page += &format!("\nAs of {}\n", escape_markdown(&as_of.to_string()));
    }
    page
}

/// The parts of a page that are not plain text, in order.
fn parts(text: &str) -> Vec<(Range<usize>, Part)> {
    let mut parts = Vec::new();
    let (mut in_block, mut in_code) = (false, false);
    for (event, range) in parser(text) {
        if words_of(&event).is_some() {
            parts.push((range, Part::Block));
            in_block = true;
            continue;
        }
        match event {
            Event::End(TagEnd::CodeBlock) => (in_block, in_code) = (false, false),
            _ if in_block => {}
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::Code(_) => parts.push((range, Part::Code)),
            Event::Text(_) if in_code => parts.push((range, Part::Code)),
            Event::Html(_) | Event::InlineHtml(_) => parts.push((range, Part::Html)),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                if let Some(at) = text[range.clone()].rfind(&*dest_url) {
                    let begin = range.start + at;
                    parts.push((begin..begin + dest_url.len(), Part::Address));
                }
            }
            _ => {}
        }
    }
    // A link is told of before its text, and leads on behind it.
    parts.sort_by_key(|(range, _)| range.start);
    parts
}

/// Something inserted, as text that marks nothing, at the beginning of a line neither.
fn prose(inserted: &Inserted) -> String {
    let text = escape_markdown(&inserted.text);
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match text.chars().next() {
        Some('#' | '+' | '-' | '=' | ':' | '!') if text.parse::<f64>().is_err() => format!("\\{text}"),
        // `1.` would begin a list.
        _ if number.len() < text.len() && number.starts_with(['.', ')']) && text.parse::<f64>().is_err() => {
            let (digits, rest) = text.split_at(text.len() - number.len());
            format!("{digits}\\{rest}")
        }
        _ => text,
    }
}

/// Something inserted into code, which ends with a backtick or its line.
fn code(inserted: &Inserted) -> String {
    escape(&inserted.text.replace('`', "'")).into_owned()
}

/// Text whose further lines are as far in as its first, within lists and quotes.
fn indented(text: &str, before: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let prefix: String = line.chars().map(|c| if c == '>' { '>' } else { ' ' }).collect();
    text.replace('\n', &format!("\n{prefix}"))
}
