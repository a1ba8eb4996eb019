//! A report as Markdown, its pictures beside it.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Tag, TagEnd};

use super::block::Content;
use super::marks::Filled;
use super::markup::Scanner;
use super::page::{definitions, parser, words_of};
use super::write::{code, elsewhere, entities, link, prose, target};
use crate::export::{escape_html, escape_markdown};
use crate::store::AsOf;

/// What a part of the page is.
enum Part {
    Block,
    /// Text, and whether it stands in a table.
    Text,
    Code {
        inline: bool,
        table: bool,
    },
    /// Raw HTML, with what is inserted.
    Html(String),
    /// Where a link leads, and what it is called; and the address that it leads to.
    Target {
        begins: &'static str,
        url: String,
    },
    /// `<address>`.
    Autolink(String),
}

/// The page: its text as it is written, with each block replaced by what it shows;
/// where it has no text, what failed.
pub fn page(filled: &Filled, contents: &[Content], as_of: Option<AsOf>) -> String {
    let text = &filled.text;
    let mut contents = contents.iter();
    let mut page = String::new();
    let mut written = 0;
    for (range, part) in parts(filled) {
        // None lies within another, or it is that one's to write.
        if range.start < written {
            continue;
        }
        page += &filled.resolve(&text[written..range.start], elsewhere);
        let within = &text[range.clone()];
        match part {
            Part::Block => {
                let shown = contents.next().map(Content::markdown).unwrap_or_default();
                push_block(&mut page, shown.trim_end(), &text[..range.start], &text[range.end..]);
            }
            Part::Text => prose(filled, range.clone(), &mut page),
            Part::Code { inline, table } => page += &code(filled, within, inline, table),
            Part::Html(html) => page += &html,
            Part::Target { begins, url } => page += &target(filled, within, begins, &url),
            Part::Autolink(url) => page += &link(filled, &url, within),
        }
        written = range.end;
    }
    page += &filled.resolve(&text[written..], elsewhere);
    let mut page = page.trim_end().to_string() + "\n";
    if text.is_empty() {
        filled.failures.iter().for_each(|failure| page += &format!("\n{}", failure.markdown()));
    }
    if let Some(as_of) = as_of {
        page += &format!("\nAs of {}\n", escape_markdown(&as_of.to_string()));
    }
    page
}

/// A link whose end is still to come.
struct Link {
    inline: bool,
    image: bool,
    url: String,
    /// Where what it shows ends, as far as it is read.
    shown: usize,
}

/// The parts of a page that can hold something inserted, in order.
fn parts(filled: &Filled) -> Vec<(Range<usize>, Part)> {
    let text = &filled.text;
    let mut parts = Vec::new();
    let (mut in_block, mut in_code, mut in_table) = (false, false, false);
    let mut links: Vec<Link> = Vec::new();
    let mut scanner = Scanner::default();
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
            Event::Start(Tag::Table(_)) => in_table = true,
            Event::End(TagEnd::Table) => in_table = false,
            Event::Code(_) => parts.push((range.clone(), Part::Code { inline: true, table: in_table })),
            Event::Text(_) if in_code => parts.push((range.clone(), Part::Code { inline: false, table: false })),
            Event::Text(_) => parts.push((range.clone(), Part::Text)),
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = scanner.html(filled, &html, entities).unwrap_or_else(|_| escape_html(&html));
                // A blank line would end what is raw.
                let blank = html.trim().is_empty() && !text[range.clone()].trim().is_empty();
                let html = if blank { "&#8203;".to_string() + &html } else { html };
                parts.push((range.clone(), Part::Html(html)));
            }
            Event::Start(Tag::Link { link_type: LinkType::Autolink | LinkType::Email, dest_url, .. }) => {
                // What it shows lies within.
                parts.push((range.clone(), Part::Autolink(dest_url.to_string())));
            }
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                links.push(Link::new(link_type, dest_url.to_string(), range.start, false));
                continue;
            }
            Event::Start(Tag::Image { link_type, dest_url, .. }) => {
                links.push(Link::new(link_type, dest_url.to_string(), range.start, true));
                continue;
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                let image = event == Event::End(TagEnd::Image);
                if let Some(link) = links.pop_if(|link| link.image == image)
                    && link.inline
                {
                    parts.push((link.shown..range.end, Part::Target { begins: "](", url: link.url }));
                }
            }
            _ => {}
        }
        if let Some(link) = links.last_mut() {
            link.shown = link.shown.max(range.end);
        }
    }
    let defined = definitions(text).into_iter();
    parts.extend(defined.map(|(range, url)| (range, Part::Target { begins: "]:", url })));
    // A link is told of before its text, and leads on behind it.
    parts.sort_by_key(|(range, _)| range.start);
    parts
}

impl Link {
    fn new(link_type: LinkType, url: String, start: usize, image: bool) -> Link {
        Link { inline: link_type == LinkType::Inline, image, url, shown: start + 1 + usize::from(image) }
    }
}

/// Appends a block with blank lines around it, its lines as far in as the first, within lists and quotes.
fn push_block(page: &mut String, shown: &str, before: &str, after: &str) {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let prefix: String = line.chars().map(|c| if c == '>' { '>' } else { ' ' }).collect();
    let blank = |line: &str| line.chars().all(|c| c == '>' || c.is_whitespace());
    let begun = page.len() - page.rsplit('\n').next().unwrap_or_default().len();
    let above = page[..begun].lines().next_back().unwrap_or_default();
    // Behind the sign of a list the block stands in its first line.
    if blank(line) && !blank(above) {
        page.insert_str(begun, &format!("{}\n", prefix.trim_end()));
    }
    for (i, line) in shown.lines().enumerate() {
        if i > 0 {
            page.push('\n');
            page.push_str(if line.is_empty() { prefix.trim_end() } else { &prefix });
        }
        page.push_str(line);
    }
    let next = after.strip_prefix('\n').unwrap_or(after).lines().next().unwrap_or_default();
    if !blank(next) {
        page.push_str(&format!("\n{}", prefix.trim_end()));
    }
}
