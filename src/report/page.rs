//! The blocks of a page, found the same way for every form of it.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::block::Block;
use super::error::ReportError;
use super::marks::{Filled, Inserted};
use super::markup::Scanner;
use super::options::BlockOptions;
use super::sql::with_constants;

/// The Markdown that GitHub reads, as far as reports need it.
const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_GFM);

/// What Markdown is made of, each with its place.
pub fn parser(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, OPTIONS).into_offset_iter()
}

/// Where addresses are defined (`[name]: address`), and the addresses.
pub fn definitions(text: &str) -> Vec<(Range<usize>, String)> {
    let parser = Parser::new_ext(text, OPTIONS);
    let definitions = parser.reference_definitions().iter();
    definitions.map(|(_, definition)| (definition.span.clone(), definition.dest.to_string())).collect()
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
    let mut open: Option<(Block, String)> = None;
    for (event, range) in parser(&filled.text) {
        if let Some(words) = words_of(&event) {
            let failed = filled.parts(&words).iter().find_map(|(_, inserted)| inserted.as_ref()?.failure);
            let words = one_word_each(filled, &words);
            let block = Block { line: filled.line(range.start), words, sql: String::new(), failed, misplaced: None };
            open = Some((block, String::new()));
            continue;
        }
        match (event, &mut open) {
            (Event::Text(text), Some((_, sql))) => *sql += &text,
            (Event::End(TagEnd::CodeBlock), Some(_)) => {
                blocks.extend(open.take().map(|(block, sql)| with_sql(block, filled, &sql)));
            }
            _ => {}
        }
    }
    blocks
}

/// Words of a block in which what is inserted is neither the end of a text nor a word of its own.
fn one_word_each(filled: &Filled, words: &str) -> String {
    let mut whole = String::new();
    for (before, inserted) in filled.parts(words) {
        whole += before;
        let Some(inserted) = inserted else { continue };
        let text = inserted.text.replace('"', "'");
        let quote = if whole.matches('"').count().is_multiple_of(2) { "\"" } else { "" };
        whole += &format!("{quote}{text}{quote}");
    }
    whole
}

fn with_sql(mut block: Block, filled: &Filled, sql: &str) -> Block {
    let parts = filled.parts(sql);
    let failed = parts.iter().find_map(|(_, inserted)| inserted.as_ref()?.failure);
    block.failed = block.failed.or(failed);
    let as_it_is = filled.resolve(sql, |inserted| inserted.sql.clone());
    // Code is shown, not asked.
    block.sql = match BlockOptions::parse(&block.words) {
        Ok(options) if !options.is_code() => with_constants(parts, options.is_checks()).unwrap_or_else(|wrong| {
            block.misplaced = Some((block.line + 1 + wrong.lines, wrong.message));
            as_it_is
        }),
        _ => as_it_is,
    };
    block
}

/// Whether the values of a page stand where they act on nothing.
///
/// # Errors
/// The first that does not, with its line.
pub fn check(page: &str, filled: &Filled) -> Result<(), ReportError> {
    let mut scanner = Scanner::default();
    let mut in_block = false;
    for (event, range) in parser(&filled.text) {
        in_block = (in_block || words_of(&event).is_some()) && event != Event::End(TagEnd::CodeBlock);
        let told = match &event {
            Event::Html(html) | Event::InlineHtml(html) => scanner.html(filled, html, str::to_string).map(|_| ()),
            Event::Text(text) | Event::Code(text) if !in_block && Filled::marked(text) => {
                scanner.text().map_err(|why| (0, why))
            }
            _ => Ok(()),
        };
        told.map_err(|(at, why)| ReportError::new(page, Some(filled.line(range.start + at)), why))?;
    }
    Ok(())
}

/// An address. What is inserted into one ends it nowhere, and leads to a page or to nowhere; `url` is what the address
/// reads as, `written` how it is written.
pub fn address(filled: &Filled, url: &str, written: &str, write: impl Fn(&Inserted) -> String) -> String {
    let whole = filled.resolve(url, |inserted| inserted.text.clone());
    match !Filled::marked(url) || safe_scheme(&whole) {
        true => filled.resolve(written, write),
        false => "#".to_string(),
    }
}

/// Whether an address leads to a page, a mailbox, or nowhere.
pub fn safe_scheme(url: &str) -> bool {
    // Browsers read over them.
    let url = url.replace(['\t', '\n', '\r'], "");
    let url = url.trim_start_matches(|c: char| c.is_control() || c.is_whitespace());
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.is_empty()
        || scheme.contains(['/', '?', '#'])
        || ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Text with all but what stands for itself in an address as bytes (RFC 3986).
pub fn encoded(text: &str) -> String {
    bytes(text, b"-._~/:?#@!$&'*+,;=%")
}

/// The same for one name within an address.
pub fn encoded_path(path: &str) -> String {
    bytes(path, b"-._~/")
}

fn bytes(text: &str, plain: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    let byte = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
