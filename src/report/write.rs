//! What is inserted, as it is written into Markdown: it marks nothing there.

use std::ops::Range;

use super::marks::{Filled, Inserted};
use super::page::{address, encoded};
use crate::export::{escape, escape_markdown};

/// Appends a part of the text of the page, with what is inserted as text that marks nothing.
///
/// What was no tag and no link while marks stood there becomes none with what is inserted.
pub fn prose(filled: &Filled, range: Range<usize>, page: &mut String) {
    let text = &filled.text;
    for (place, inserted) in filled.places(&text[range.clone()]) {
        let (begin, end) = (range.start + place.start, range.start + place.end);
        for (at, c) in text[begin..end].char_indices() {
            let (before, after) = (&text[..begin + at], &text[begin + at + c.len_utf8()..]);
            let tag = c == '<'
                && after.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c) || !c.is_ascii())
                || "(:".contains(c) && before.ends_with(']');
            if tag && !escaped(before) {
                page.push('\\');
            }
            page.push(c);
        }
        let Some(inserted) = inserted else { continue };
        let after = &text[range.start + place.end..];
        // Behind the mark itself.
        let after =
            after.find(super::marks::MARKS[1]).map_or("", |at| &after[at + super::marks::MARKS[1].len_utf8()..]);
        let written = between(&inserted.text, page, after);
        *page += &written;
    }
}

/// Whether a backslash before takes its meaning from what follows.
fn escaped(before: &str) -> bool {
    (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
}

/// Text between what stands before and after it.
fn between(text: &str, before: &str, after: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    // What may stand before the first word of a line, within lists and quotes.
    let begins = line.chars().all(|c| c.is_ascii_digit() || " \t>-+*.)".contains(c));
    if text.is_empty() {
        let apart = |c: char| c.is_whitespace() || c == '|';
        // A footnote is not without text.
        let note = line.trim_start().starts_with('[') && line.trim_end().ends_with(':');
        let nothing = !begins && !note && line.ends_with(apart) && (after.is_empty() || after.starts_with(apart));
        return if nothing { String::new() } else { "&#8203;".to_string() };
    }
    let mut safe = escape_markdown(text);
    let number = text.parse::<f64>().is_ok();
    let rest = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).to_string();
    let (first, numbered) = (safe.chars().next().unwrap_or_default(), rest(&safe));
    let digits = safe.len() - numbered.len();
    let ends = |text: &str| text.starts_with(['.', ')']) && !text[1..].starts_with(|c: char| !c.is_whitespace());
    if before.ends_with('[') && first.is_ascii() && !"\\&<".contains(first)
        || numbered.is_empty() && begins && rest(after).starts_with(['.', ')'])
    {
        // A sign, a name or a number of a list together with what stands around it.
        safe.replace_range(..1, &format!("&#{};", first as u32));
    } else if digits > 0 && ends(&numbered) {
        safe.insert(digits, '\\');
    } else if "#+-=:!.)^".contains(first) && !number || first == '(' && before.ends_with(']') {
        safe.insert(0, '\\');
    }
    if safe.starts_with("<br>") {
        // Alone on a line it would begin a block of HTML.
        safe.insert_str(0, "&#32;");
    }
    // Between words a space is one; elsewhere it could make a line, or end what is bold.
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || super::marks::MARKS.contains(&c));
    if safe.starts_with(' ') && !word(before.chars().next_back()) {
        safe.replace_range(..1, "&#32;");
    }
    if safe.ends_with(' ') && !word(after.chars().next()) {
        safe.replace_range(safe.len() - 1.., "&#32;");
    }
    if safe.ends_with('!') && !safe.ends_with("\\!") {
        safe.insert(safe.len() - 1, '\\');
    }
    if escaped(before) {
        safe.insert(0, '\\');
    }
    safe
}

/// A part of code with what is inserted, which ends neither the code nor its line nor the cell that it stands in.
pub fn code(filled: &Filled, within: &str, inline: bool, table: bool) -> String {
    let write = |inserted: &Inserted| {
        let text = inserted.text.replace('`', "'");
        let text = if inline { text } else { text.replace("~~~", "---") };
        let text = escape(&text).into_owned();
        match text.is_empty() && inline {
            // Two backticks would begin another code.
            true => " ".to_string(),
            false if table => text.replace('|', "\\|"),
            false => text,
        }
    };
    let code = filled.resolve(within, write);
    // A block does not begin with a blank line.
    let blank = !inline && Filled::marked(within) && code.trim().is_empty();
    if blank { format!("\u{200b}{code}") } else { code }
}

/// Where a link leads, and what it is called: `begins` is what the address stands behind.
pub fn target(filled: &Filled, within: &str, begins: &str, url: &str) -> String {
    let found = if begins == "]:" { label_end(within) } else { within.find(begins) };
    let begin = found.map_or(0, |at| at + begins.len());
    let begin = within.len() - within[begin..].trim_start().len();
    let end = begin + address_end(&within[begin..]);
    let mut safe = link(filled, url, &within[begin..end]);
    if safe.is_empty() {
        // The next word would become the address.
        safe.push_str("<>");
    }
    let named = |inserted: &Inserted| entities(&inserted.text);
    filled.resolve(&within[..begin], elsewhere) + &safe + &filled.resolve(&within[end..], named)
}

/// An address. What is inserted into it makes no entity.
pub fn link(filled: &Filled, url: &str, written: &str) -> String {
    address(filled, url, written, |inserted| encoded(&inserted.text).replace('&', "&amp;"))
}

/// Something inserted where nothing shows it: words behind a language, names of references.
pub fn elsewhere(inserted: &Inserted) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = inserted.text.chars().map(plain).collect();
    if name.is_empty() { "_".to_string() } else { name }
}

/// Where the name of a definition ends.
fn label_end(text: &str) -> Option<usize> {
    text.match_indices("]:").map(|(at, _)| at).find(|at| !escaped(&text[..*at]))
}

/// Where an address ends that a text begins with.
fn address_end(text: &str) -> usize {
    if text.starts_with('<') {
        return text.find('>').map_or(text.len(), |at| at + 1);
    }
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            c if c.is_ascii_whitespace() => return at,
            '(' if !escaped(&text[..at]) => depth += 1,
            ')' if !escaped(&text[..at]) => {
                depth -= 1;
                if depth < 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Text with entities for all that could be a sign, for HTML and for titles.
pub fn entities(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("&#10;"),
            c if c.is_ascii_alphanumeric() || " .,-/:?".contains(c) => safe.push(c),
            c if c.is_ascii() && !c.is_control() => safe.push_str(&format!("&#{};", c as u32)),
            c => safe.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    safe
}
