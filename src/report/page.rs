//! The blocks of a page, found the same way for every form of it.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::block::Block;
use super::template::Filled;

/// The Markdown that GitHub reads, as far as reports need it.
pub fn parser(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM;
    Parser::new_ext(text, options).into_offset_iter()
}

/// The words behind `sql` of a block that begins here.
pub fn words_of(event: &Event<'_>) -> Option<String> {
    let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event else { return None };
    let (language, words) = info.split_once(char::is_whitespace).unwrap_or((info, ""));
    language.eq_ignore_ascii_case("sql").then(|| words.trim().to_string())
}

/// All blocks of a page, in order.
pub fn blocks(filled: &Filled) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in parser(&filled.text) {
        if let Some(words) = words_of(&event) {
            // A quote in what is inserted ends no text.
            let words = filled.resolve(&words, |inserted| inserted.text.replace('"', "'"));
            open = Some(Block { line: filled.line(range.start), words, sql: String::new() });
            continue;
        }
        match (event, &mut open) {
            (Event::Text(text), Some(block)) => block.sql += &filled.resolve(&text, |inserted| inserted.sql.clone()),
            (Event::End(TagEnd::CodeBlock), Some(_)) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// An address. What is inserted into one ends it nowhere, and leads to a page or to nowhere.
pub fn address(filled: &Filled, url: &str) -> String {
    let resolved = filled.resolve(url, |inserted| encoded(&inserted.text));
    let scheme = filled.resolve(url, |inserted| inserted.text.clone());
    let scheme = scheme.trim_start().split_once(':').map_or("", |(scheme, _)| scheme);
    let safe = scheme.is_empty()
        || scheme.contains(['/', '?', '#'])
        || ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if safe || filled.resolve(url, |_| String::new()) == url { resolved } else { "#".to_string() }
}

/// Text with all but what stands for itself in an address as bytes (RFC 3986).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:?#@!$&'*+,;=%".contains(&byte);
    let byte = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
