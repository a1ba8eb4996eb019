//! The line editor's helper: when a statement is whole, how it is coloured, what Tab and the history offer.

use std::borrow::Cow;
use std::cell::RefCell;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Result};

use super::commands::is_command;
use super::words::{Completion, KEYWORDS, Names, complete};
use crate::cli::statements::{Kind, pieces, split};

/// Reads the names that Tab completes.
pub type LoadNames = Box<dyn Fn() -> Option<Names>>;

pub struct LineHelper {
    color: bool,
    load: LoadNames,
    /// Read at the first Tab of a line, since runs come and go meanwhile.
    names: RefCell<Option<Names>>,
    paths: FilenameCompleter,
    history: HistoryHinter,
}

impl LineHelper {
    pub fn new(color: bool, load: LoadNames) -> Self {
        LineHelper {
            color,
            load,
            names: RefCell::new(None),
            paths: FilenameCompleter::new(),
            history: HistoryHinter::new(),
        }
    }

    /// Forgets the names, which the next Tab reads anew.
    pub fn forget(&self) {
        self.names.take();
    }
}

impl Helper for LineHelper {}

/// Whether Enter ends the input: a command of the shell, nothing but blanks, or statements that all end with `;`.
pub fn is_whole(input: &str) -> bool {
    is_command(input) || {
        let parts = split(input);
        parts.rest.is_none() && !parts.open
    }
}

impl Validator for LineHelper {
    fn validate(&self, context: &mut ValidationContext) -> Result<ValidationResult> {
        Ok(if is_whole(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// The style of a piece of SQL.
fn style(kind: Kind, text: &str) -> Option<&'static str> {
    match kind {
        Kind::Word => KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(text)).then_some("1;34"),
        Kind::Text => Some("32"),
        Kind::Number => Some("36"),
        Kind::Placeholder => Some("35"),
        Kind::Comment => Some("2"),
        Kind::QuotedName | Kind::Other => None,
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if !self.color || is_command(line) {
            return Cow::Borrowed(line);
        }
        let mut styled = String::with_capacity(line.len() * 2);
        let mut at = 0;
        for piece in pieces(line) {
            styled.push_str(&line[at..piece.range.start]);
            let text = &line[piece.range.clone()];
            match style(piece.kind, text) {
                Some(style) => styled.extend(["\x1b[", style, "m", text, "\x1b[0m"]),
                None => styled.push_str(text),
            }
            at = piece.range.end;
        }
        styled.push_str(&line[at..]);
        Cow::Owned(styled)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.color { Cow::Owned(format!("\x1b[2m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.color && kind != CmdKind::MoveCursor
    }
}

/// The rest of an older line.
pub struct Rest {
    whole: String,
    /// Up to the end of its line: more would push the screen about with every key.
    first: usize,
}

impl Hint for Rest {
    fn display(&self) -> &str {
        &self.whole[..self.first]
    }

    fn completion(&self) -> Option<&str> {
        Some(&self.whole)
    }
}

impl Hinter for LineHelper {
    type Hint = Rest;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Rest> {
        // Without colours a suggestion could not be told from what was typed.
        if !self.color {
            return None;
        }
        let whole = self.history.hint(line, pos, context)?;
        let first = whole.find('\n').unwrap_or(whole.len());
        (first > 0).then_some(Rest { whole, first })
    }
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _context: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let mut names = self.names.borrow_mut();
        if names.is_none() {
            *names = (self.load)();
        }
        let none = Names::default();
        match complete(line, pos, names.as_ref().unwrap_or(&none)) {
            Completion::Path(start) => {
                let (at, pairs) = self.paths.complete_path(&line[start..pos], pos - start)?;
                Ok((start + at, pairs))
            }
            Completion::Words(start, words) => {
                let pair =
                    |word: String| Pair { display: runlake::export::escape(&word).into_owned(), replacement: word };
                Ok((start, words.into_iter().map(pair).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_whole_at_its_semicolon() {
        for whole in ["SELECT 1;", "SELECT ';';  -- done", "", "  ", ".help", "\\d", "quit", "-- only a remark"] {
            assert!(is_whole(whole), "{whole}");
        }
        for begun in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "/* ;", "SELECT 1 -- ;"] {
            assert!(!is_whole(begun), "{begun}");
        }
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let helper = |color| LineHelper::new(color, Box::new(|| None));
        let sql = "SELECT 'a', 1.5, name -- x\nFROM runs WHERE k = $k AND t = 'open";
        let styled = helper(true).highlight(sql, 0).into_owned();
        assert!(styled.contains("\x1b[1;34mFROM\x1b[0m") && styled.contains("\x1b[32m'open\x1b[0m"));
        let mut plain = styled;
        for style in ["1;34", "32", "36", "35", "2", "0"] {
            plain = plain.replace(&format!("\x1b[{style}m"), "");
        }
        assert_eq!(plain, sql);
        assert_eq!(helper(false).highlight(sql, 0), sql);
    }
}
