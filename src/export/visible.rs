//! Text made safe to show: what would move the cursor, change colours or reorder letters becomes visible.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character acts on a terminal instead of showing, or makes text show other than it reads.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        // What is no character: a page that holds one is no XML.
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c,
            // Marks, embeddings, overrides and isolates that change the direction of the text after them.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators, byte order mark, annotations, tags.
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            | '\u{fdd0}'..='\u{fdef}')
}

/// Text from outside as it may be shown on a terminal: control and direction characters become escapes such as `\n` or
/// `\u{1b}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_unsafe(c) => write!(safe, "\\u{{{:x}}}", c as u32).expect("a string takes all"),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Columns that a text takes on a terminal.
pub fn display_width(text: &str) -> usize {
    text.width()
}

/// A text in at most `width` columns, ending in `…` where something was cut.
pub fn clip(text: &str, width: usize) -> Cow<'_, str> {
    // No character takes more columns than bytes, so most texts need no measuring.
    if text.len() <= width || text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return Cow::Owned(format!("{}…", &text[..at]));
        }
    }
    Cow::Owned(format!("{text}…"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_from_outside_reaches_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mred\u{7}\n\u{9b}2J"), "a\\u{1b}[31mred\\u{7}\\n\\u{9b}2J");
        assert_eq!(escape("user\u{202e}nimda"), "user\\u{202e}nimda");
        assert_eq!(escape("a\u{ffff}\u{fdd0}\u{1fffe}b"), "a\\u{ffff}\\u{fdd0}\\u{1fffe}b");
        // Letters joined on purpose stay as they are.
        assert_eq!(escape("Zoë 👩‍🚀 学习"), "Zoë 👩‍🚀 学习");
    }

    #[test]
    fn a_cut_text_ends_in_an_ellipsis() {
        assert_eq!(clip("gradient", 8), "gradient");
        assert_eq!(clip("gradient", 5), "grad…");
        assert_eq!(clip("学习率", 4), "学…");
        assert_eq!(clip("学习率", 1), "…");
    }

    proptest! {
        #[test]
        fn escaped_text_is_safe_and_cut_text_fits(text: String, width in 1usize..20) {
            let safe = escape(&text);
            prop_assert!(!safe.contains(is_unsafe));
            prop_assert!(display_width(&clip(&safe, width)) <= width);
        }
    }
}
