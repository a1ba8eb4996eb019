//! A report as Markdown, its pictures beside it.

use pulldown_cmark::{Event, Tag, TagEnd};

use super::block::Content;
use super::page::{parser, words_of};
use super::template::{Filled, Inserted};
use crate::export::{escape_html, escape_markdown};
use crate::store::AsOf;

/// The page: its text as it is written, with each block replaced by what it shows.
pub fn page(filled: &Filled, contents: &[Content], as_of: Option<AsOf>) -> String {
    let text = &filled.text;
    let mut contents = contents.iter();
    let mut page = String::new();
    let mut written = 0;
    let mut block: Option<std::ops::Range<usize>> = None;
    let mut in_code = false;
    for (event, range) in parser(text) {
        if words_of(&event).is_some() {
            page += &filled.resolve(&text[written..range.start], prose);
            written = range.end;
            block = Some(range);
            continue;
        }
        match (&event, &block) {
            (Event::End(TagEnd::CodeBlock), Some(range)) => {
                let shown = contents.next().map(Content::markdown).unwrap_or_default();
                page += &indented(shown.trim_end(), &text[..range.start]);
                block = None;
            }
            (_, Some(_)) => {}
            (Event::Start(Tag::CodeBlock(_)), _) => in_code = true,
            (Event::End(TagEnd::CodeBlock), _) => in_code = false,
            (Event::Code(_), _) | (Event::Text(_), _) if in_code || matches!(event, Event::Code(_)) => {
                page += &filled.resolve(&text[written..range.start], prose);
                page += &filled.resolve(&text[range.clone()], code);
                written = range.end;
            }
            (Event::Html(_) | Event::InlineHtml(_), _) => {
                page += &filled.resolve(&text[written..range.start], prose);
                page += &filled.resolve(&text[range.clone()], |inserted| escape_html(&inserted.text));
                written = range.end;
            }
            _ => {}
        }
    }
    page += &filled.resolve(&text[written..], prose);
    let mut page = page.trim_end().to_string() + "\n";
    if let Some(as_of) = as_of {
        page += &format!("\nAs of {}\n", escape_markdown(&as_of.to_string()));
    }
    page
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
    inserted.text.replace('`', "'").replace(['\n', '\r'], " ")
}

/// Text whose further lines are as far in as its first, within lists and quotes.
fn indented(text: &str, before: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let prefix: String = line.chars().map(|c| if c == '>' { '>' } else { ' ' }).collect();
    text.replace('\n', &format!("\n{prefix}"))
}
