//! A report as one page of HTML.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Tag, TagEnd};

use super::block::Content;
use super::chart::page_styles;
use super::has_charts;
use super::marks::{Filled, Inserted, MARKS};
use super::markup::Scanner;
use super::page::{address, encoded, parser, words_of};
use crate::export::{escape, escape_html};
use crate::store::AsOf;

const STYLES: &str = include_str!("style.css");

/// The page, with each block where it stands in the text; where it has no text, what failed.
pub fn page(filled: &Filled, contents: &[Content], name: &str, as_of: Option<AsOf>) -> String {
    let mut contents = contents.iter();
    let drawn = if has_charts(contents.as_slice()) { page_styles() } else { String::new() };
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut title = Title::default();
    let mut in_block = false;
    let mut images = 0;
    let mut scanner = Scanner::default();
    let mut raw = |html: &str| scanner.html(filled, html, escape_html).unwrap_or_default();
    for (event, _) in parser(&filled.text) {
        if words_of(&event).is_some() {
            in_block = true;
            continue;
        }
        if in_block {
            if event == Event::End(TagEnd::CodeBlock) {
                in_block = false;
                events.extend(contents.next().map(|content| Event::Html(content.html().into())));
            }
            continue;
        }
        title.hear(&event, filled);
        match event {
            Event::Text(text) if images > 0 => events.push(Event::Text(visible(filled, &text).into())),
            Event::Text(text) => insert(filled, text, &mut events),
            Event::Code(text) => events.push(Event::Code(visible(filled, &text).into())),
            Event::Html(html) => events.push(Event::Html(raw(&html).into())),
            Event::InlineHtml(html) => events.push(Event::InlineHtml(raw(&html).into())),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let address = address(filled, &dest_url, &dest_url, |inserted| encoded(&inserted.text));
                let (dest_url, title) = (address.into(), visible(filled, &title).into());
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                images += 1;
                let address = address(filled, &dest_url, &dest_url, |inserted| encoded(&inserted.text));
                let (dest_url, title) = (address.into(), visible(filled, &title).into());
                events.push(Event::Start(Tag::Image { link_type, dest_url, title, id }));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let info = visible(filled, &info).into();
                events.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))));
            }
            Event::End(TagEnd::Image) => {
                images -= 1;
                events.push(Event::End(TagEnd::Image));
            }
            other => events.push(other),
        }
    }
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, events.into_iter());
    // Left are names of footnotes, where the number of a mark does as well.
    let mut body = body.replace(MARKS, "");
    if filled.text.is_empty() {
        filled.failures.iter().for_each(|failure| body += &failure.html());
    }
    let title = title.found.unwrap_or_else(|| name.to_string());
    let footer = as_of.map(|as_of| format!("<footer>As of {}</footer>\n", escape_html(&as_of.to_string())));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLES}{drawn}</style>\n</head>\n<body>\n<main>\n{body}{}</main>\n</body>\n</html>\n",
        escape_html(&title),
        footer.unwrap_or_default()
    )
}

/// The text of the first heading of the first level.
#[derive(Default)]
struct Title {
    found: Option<String>,
    inside: bool,
    done: bool,
}

impl Title {
    fn hear(&mut self, event: &Event<'_>, filled: &Filled) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) if !self.done => self.inside = true,
            Event::End(TagEnd::Heading(HeadingLevel::H1)) => (self.inside, self.done) = (false, true),
            Event::Text(text) | Event::Code(text) if self.inside => {
                *self.found.get_or_insert_default() += &plain(filled, text);
            }
            _ => {}
        }
    }
}

fn plain(filled: &Filled, text: &str) -> String {
    filled.resolve(text, |inserted| inserted.text.clone())
}

/// Text that the writer escapes.
fn visible(filled: &Filled, text: &str) -> String {
    filled.resolve(text, |inserted| escape(&inserted.text).into_owned())
}

/// Text whose inserted parts keep their direction of writing to themselves.
fn insert<'a>(filled: &Filled, text: CowStr<'a>, events: &mut Vec<Event<'a>>) {
    let isolated = |inserted: &Inserted| match inserted.text.is_ascii() {
        true => escape_html(&inserted.text),
        false => format!("<bdi>{}</bdi>", escape_html(&inserted.text)),
    };
    // What is not inserted is escaped by the writer, so the two go apart.
    let parts = filled.parts(&text);
    if parts.iter().all(|(_, inserted)| inserted.is_none()) {
        events.push(Event::Text(text));
        return;
    }
    for (before, inserted) in parts {
        events.push(Event::Text(before.to_string().into()));
        events.extend(inserted.map(|inserted| Event::InlineHtml(isolated(inserted).into())));
    }
}
