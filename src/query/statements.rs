//! SQL text cut into statements, by the engine's own tokenizer: a `;` within a string, a quoted name or a comment ends
//! nothing.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use super::guard::DIALECT;

/// One statement, without its `;`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'t> {
    /// The statement.
    pub text: &'t str,
    /// Line of the whole text that it begins on, from 1.
    pub line: usize,
}

/// A text in statements.
#[derive(Debug, PartialEq, Eq)]
pub struct Split<'t> {
    /// Those that a `;` ends.
    pub statements: Vec<Statement<'t>>,
    /// What comes after the last `;`, if it is more than blanks and comments.
    pub rest: Option<Statement<'t>>,
    /// Whether the text ends within a string, a quoted name or a comment.
    pub open: bool,
}

impl<'t> Split<'t> {
    /// All statements, the unended last one too.
    pub fn all(self) -> impl Iterator<Item = Statement<'t>> {
        self.statements.into_iter().chain(self.rest)
    }
}

/// A statement, or a comment of its own line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'t> {
    /// What follows `--`, without blanks around it.
    Comment {
        /// The comment.
        text: String,
        /// Its line, from 1.
        line: usize,
        /// Whether it stands in or after a statement that no `;` has ended yet.
        within: bool,
    },
    /// A statement that a `;` ends, or the last one.
    Statement(Statement<'t>),
}

/// Cuts a text into statements.
pub fn split(text: &str) -> Split<'_> {
    let (parts, open, ended) = cut(text);
    let mut statements: Vec<Statement> = parts
        .into_iter()
        .filter_map(|part| match part {
            Part::Statement(statement) => Some(statement),
            Part::Comment { .. } => None,
        })
        .collect();
    let rest = if ended { None } else { statements.pop() };
    Split { statements, rest, open }
}

/// Cuts a text into statements and the `--` comments before, between and within them; a comment within a statement comes
/// before it. Also whether the text ends within a string, a quoted name or a comment.
pub fn parts(text: &str) -> (Vec<Part<'_>>, bool) {
    let (parts, open, _) = cut(text);
    (parts, open)
}

/// The parts, whether the text stops too early, and whether the last statement is ended.
fn cut(text: &str) -> (Vec<Part<'_>>, bool, bool) {
    let mut tokens = Vec::new();
    let end = tokens_of(text, &mut tokens);
    let mut places = Places::new(text);
    let mut parts = Vec::new();
    // Offset and line of the first token since the last `;`.
    let mut begin: Option<(usize, usize)> = None;
    for token in &tokens {
        match &token.token {
            Token::SemiColon => {
                let stop = places.offset(token.span.start.line, token.span.start.column);
                if let Some((start, line)) = begin.take() {
                    parts.push(Part::Statement(Statement { text: text[start..stop].trim_end(), line }));
                }
            }
            Token::Whitespace(Whitespace::SingleLineComment { comment, prefix }) if prefix == "--" => {
                let line = token.span.start.line as usize;
                parts.push(Part::Comment { text: comment.trim().to_string(), line, within: begin.is_some() });
            }
            Token::Whitespace(_) => {}
            _ if begin.is_none() => {
                let start = token.span.start;
                begin = Some((places.offset(start.line, start.column), start.line as usize));
            }
            _ => {}
        }
    }
    if let (None, Err(broken)) = (begin, &end) {
        begin = Some((places.offset(broken.line, broken.column), broken.line as usize));
    }
    if let Some((start, line)) = begin {
        parts.push(Part::Statement(Statement { text: text[start..].trim_end(), line }));
    }
    (parts, end.is_err_and(|broken| broken.open), begin.is_none())
}

/// Where the bracket ends that a text begins with, in bytes and past it; brackets in strings, quoted names and comments
/// do not count.
pub fn closing(text: &str) -> Option<usize> {
    let mut tokens = Vec::new();
    // What comes after the bracket need be no SQL.
    let _ = tokens_of(text, &mut tokens);
    let mut places = Places::new(text);
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(places.offset(token.span.end.line, token.span.end.column));
                }
            }
            _ if i == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Where the tokenizer gave up.
struct Broken {
    line: u64,
    column: u64,
    /// Because the text ended too early.
    open: bool,
}

/// Tokens up to the first that is none.
fn tokens_of(text: &str, tokens: &mut Vec<TokenWithSpan>) -> Result<(), Broken> {
    Tokenizer::new(DIALECT, text).tokenize_with_location_into_buf(tokens).map_err(|e| {
        // The broken token begins where the last whole one ended; the tokenizer itself may point into its middle.
        let (line, column) = tokens.last().map_or((1, 1), |token| (token.span.end.line, token.span.end.column));
        let open =
            ["Unterminated", "Unexpected EOF", "Expected close delimiter"].iter().any(|p| e.message.starts_with(p));
        Broken { line, column, open }
    })
}

/// A piece of SQL for highlighting: what kind of token stands from where to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// From where to where, in bytes.
    pub range: std::ops::Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a highlighter tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name.
    Word,
    /// A name in quotes.
    QuotedName,
    /// A number.
    Number,
    /// Text in quotes.
    Text,
    /// A comment.
    Comment,
    /// `$name`.
    Placeholder,
    /// Anything else, blanks too.
    Other,
}

/// The tokens of a text; what the tokenizer cannot read to its end is one piece of text or comment.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut tokens = Vec::new();
    let end = tokens_of(text, &mut tokens);
    let mut places = Places::new(text);
    let mut pieces: Vec<Piece> = Vec::with_capacity(tokens.len() + 1);
    for token in &tokens {
        let start = places.offset(token.span.start.line, token.span.start.column);
        let stop = places.offset(token.span.end.line, token.span.end.column);
        let kind = match &token.token {
            Token::Word(word) if word.quote_style.is_some() => Kind::QuotedName,
            Token::Word(_) => Kind::Word,
            Token::Number(..) => Kind::Number,
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => Kind::Comment,
            Token::Placeholder(_) => Kind::Placeholder,
            t if is_text(t) => Kind::Text,
            _ => Kind::Other,
        };
        pieces.push(Piece { range: start..stop, kind });
    }
    if end.is_err() {
        let start = pieces.last().map_or(0, |piece| piece.range.end);
        let kind = match &text[start..] {
            rest if rest.starts_with("/*") => Kind::Comment,
            rest if rest.starts_with('"') || rest.starts_with('`') => Kind::QuotedName,
            _ => Kind::Text,
        };
        pieces.push(Piece { range: start..text.len(), kind });
    }
    pieces
}

fn is_text(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
    )
}

/// Turns lines and columns, both from 1 and in characters, into offsets; asked in rising order.
struct Places<'t> {
    text: &'t str,
    offset: usize,
    line: u64,
    column: u64,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        Places { text, offset: 0, line: 1, column: 1 }
    }

    fn offset(&mut self, line: u64, column: u64) -> usize {
        for c in self.text[self.offset..].chars() {
            if (self.line, self.column) >= (line, column) {
                break;
            }
            self.offset += c.len_utf8();
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).all().map(|statement| statement.text).collect()
    }

    #[test]
    fn only_a_semicolon_that_is_one_ends_a_statement() {
        assert_eq!(
            texts("SELECT ';'; -- a; b\nSELECT \"a;b\" /* ; */;;\n ; SELECT 'it''s;' "),
            ["SELECT ';'", "SELECT \"a;b\" /* ; */", "SELECT 'it''s;'"]
        );
        assert_eq!(texts(" -- nothing\n/* at all */ ;"), [] as [&str; 0]);
        assert_eq!(
            texts("SELECT $$a;b$$, $k; SELECT 'Zoë 学;习'; x"),
            ["SELECT $$a;b$$, $k", "SELECT 'Zoë 学;习'", "x"]
        );
    }

    #[test]
    fn a_text_that_stops_in_a_string_is_open() {
        for text in ["SELECT 'a;", "SELECT 1; SELECT \"a;", "/* a;", "SELECT $$a;", "SELECT 1 /* a;\n"] {
            assert!(split(text).open, "{text}");
            assert!(split(text).rest.is_some(), "{text}");
        }
        assert!(!split("SELECT 1").open);
        assert_eq!(split("SELECT 1; 'a;b").rest.map(|rest| rest.text), Some("'a;b"));
    }

    #[test]
    fn statements_know_their_line() {
        let split = split("SELECT 1;\n\n-- two\nSELECT\n2;\nSELECT 3");
        let lines: Vec<usize> = split.all().map(|statement| statement.line).collect();
        assert_eq!(lines, [1, 4, 6]);
    }

    #[test]
    fn comments_say_where_they_stand() {
        let (parts, open) = parts("-- a\nSELECT 1 -- b\n  -- c;\n, 2; /* d */ -- e");
        let comment = |text: &str, line, within| Part::Comment { text: text.to_string(), line, within };
        let statement = Part::Statement(Statement { text: "SELECT 1 -- b\n  -- c;\n, 2", line: 2 });
        let expected = [comment("a", 1, false), comment("b", 2, true), comment("c;", 3, true), statement];
        assert_eq!(parts[..4], expected);
        assert_eq!(parts[4..], [comment("e", 4, false)]);
        assert!(!open);
    }

    #[test]
    fn a_bracket_ends_where_its_pair_stands() {
        assert_eq!(closing("(a (b) ')' \")\" /* ) */ $$)$$) by 1"), Some(29));
        assert_eq!(closing("(é) 5%"), Some(4));
        for text in ["", "a (b)", "((a)", ")", "('a)", "( -- )"] {
            assert_eq!(closing(text), None, "{text}");
        }
    }

    #[test]
    fn pieces_cover_what_stands_there() {
        let text = "SELECT 'é', \"n\", 1.5 -- c\nFROM runs WHERE x = $k AND 'open";
        for piece in pieces(text) {
            let word = &text[piece.range.clone()];
            match piece.kind {
                Kind::Text => assert!(word.starts_with('\''), "{word}"),
                Kind::Comment => assert_eq!(word.trim_end(), "-- c"),
                Kind::Number => assert_eq!(word, "1.5"),
                Kind::Placeholder => assert_eq!(word, "$k"),
                Kind::QuotedName => assert_eq!(word, "\"n\""),
                _ => {}
            }
        }
        assert_eq!(pieces(text).last().unwrap().range.end, text.len());
    }

    /// What may stand between two semicolons.
    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z_]{1,8}".prop_map(|word| format!("x{word}")),
            "[0-9]{1,4}",
            "[^']{0,12}".prop_map(|text| format!("'{text}'")),
            "[^\"]{1,12}".prop_map(|text| format!("\"{text}\"")),
            // `/*!` is no comment to every dialect.
            "[^*/!]{0,12}".prop_map(|text| format!("/*{text}*/")),
            "[^\n\r]{0,12}".prop_map(|text| format!("--{text}\n")),
            Just("学 <= >= != ( ) , .".to_string()),
        ]
    }

    proptest! {
        #[test]
        fn joined_statements_come_apart_again(
            statements in prop::collection::vec(prop::collection::vec(part(), 0..6), 0..6)
        ) {
            let statements: Vec<String> = statements.iter().map(|parts| format!("SELECT {}", parts.join(" "))).collect();
            let text = statements.iter().map(|s| format!("{s};")).collect::<Vec<_>>().join("\n");
            let expected: Vec<&str> = statements.iter().map(|s| s.trim_end()).collect();
            prop_assert_eq!(texts(&text), expected);
        }

        #[test]
        fn no_text_is_lost_or_makes_it_fail(text in "[-a-z'\"/*;$ \n学]{0,40}") {
            let parts = split(&text);
            let kept: usize = parts.statements.iter().map(|s| s.text.len()).sum::<usize>()
                + parts.rest.map_or(0, |rest| rest.text.len());
            prop_assert!(kept <= text.len());
            let covered = pieces(&text);
            for pair in covered.windows(2) {
                prop_assert_eq!(pair[0].range.end, pair[1].range.start);
            }
        }
    }
}
