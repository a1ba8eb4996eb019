//! What is inserted into SQL: constants, each where one can stand.

use super::marks::Inserted;
use crate::export::escape;

/// Keys of checks that hold text.
const TEXTS: [&str; 5] = ["check", "severity", "goal", "metric", "message"];

/// A value that stands where it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Line ends before it.
    pub lines: usize,
    /// What is wrong.
    pub message: String,
}

/// Where a place in SQL is.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Code,
    /// Within `'...'`; whether a backslash escapes what follows.
    Text(bool),
    /// Within `"..."` or `` `...` ``.
    Name(char),
    /// Within `$tag$...$tag$`.
    Dollar(String),
    Line,
    /// Within `/* ... */`, so deep.
    Block(usize),
}

/// SQL with constants for what is inserted; a name where it stands in `"..."`. In a block of `checks`, comments take
/// values too: they are its claims.
pub fn with_constants<'a>(
    parts: impl IntoIterator<Item = (&'a str, Option<&'a Inserted>)>,
    checks: bool,
) -> Result<String, Misplaced> {
    let mut reader = Reader::new();
    let mut claims = Claims { reader: Reader::new(), line: String::new(), keyed: false, expects: false };
    let mut sql = String::new();
    for (text, inserted) in parts {
        for c in text.chars() {
            let commented = reader.place == Place::Line;
            reader.read(c);
            if reader.place == Place::Line {
                if !commented {
                    claims.begin();
                }
                claims.read(c);
            }
        }
        sql += text;
        let Some(inserted) = inserted else { continue };
        let written = match &reader.place {
            Place::Line if checks => claims.write(inserted),
            place => write(place, inserted),
        };
        sql += &written.map_err(|message| Misplaced { lines: sql.matches('\n').count(), message: message.into() })?;
        reader.passed();
    }
    Ok(sql)
}

fn write(place: &Place, inserted: &Inserted) -> Result<String, &'static str> {
    match place {
        Place::Code => Ok(inserted.sql.clone()),
        Place::Name(quote) => Ok(inserted.text.replace(*quote, &format!("{quote}{quote}"))),
        Place::Text(_) | Place::Dollar(_) => {
            Err("a value within quotes: `{{ ... }}` becomes a constant with quotes of its own, so take these away")
        }
        Place::Line | Place::Block(_) => Err("a value within a comment of SQL, where it does nothing"),
    }
}

/// The comments of a check: `-- expect:` holds SQL, over several lines too, the others hold text.
struct Claims {
    reader: Reader,
    /// The comment so far.
    line: String,
    /// Whether this comment has a key.
    keyed: bool,
    expects: bool,
}

impl Claims {
    fn begin(&mut self) {
        self.line.clear();
        self.keyed = false;
    }

    fn read(&mut self, c: char) {
        self.line.push(c);
        // The dashes that begin the comment begin none within it.
        let said = self.line.trim_start_matches('-');
        if said.is_empty() {
            return;
        }
        if let Some(key) = said.strip_suffix(':') {
            let words = key.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
            if words == "expect" || TEXTS.contains(&words.as_str()) {
                (self.keyed, self.expects, self.reader) = (true, words == "expect", Reader::new());
                return;
            }
        }
        self.reader.read(c);
    }

    fn write(&self, inserted: &Inserted) -> Result<String, &'static str> {
        if self.keyed && !self.expects {
            return Ok(escape(&inserted.text).into_owned());
        }
        if !self.expects {
            return Err("a value in a comment that has no key such as `check:` or `expect:`, and could become one");
        }
        let written = write(&self.reader.place, inserted)?;
        match written.contains(['\n', '\r']) {
            true => Err("a value with line ends, which would end the comment of a check"),
            false => Ok(written),
        }
    }
}

struct Reader {
    place: Place,
    /// The characters before, newest last.
    last: [char; 2],
    /// What may become a `$tag$`.
    tag: Option<String>,
    /// What a `$tag$` encloses so far.
    enclosed: String,
    /// Whether a text with escapes ended just now.
    reopens: bool,
}

impl Reader {
    fn new() -> Reader {
        Reader { place: Place::Code, last: [' '; 2], tag: None, enclosed: String::new(), reopens: false }
    }

    /// A value stands here: what is before and behind it makes no sign together.
    fn passed(&mut self) {
        (self.last, self.tag, self.reopens) = (['0'; 2], None, false);
    }

    fn read(&mut self, c: char) {
        let [before, last] = self.last;
        let mut seen = c;
        let reopens = std::mem::take(&mut self.reopens);
        match &mut self.place {
            Place::Code => {
                let tag = self.tag.take();
                let place = match (last, c) {
                    (_, '\'') => {
                        // Two quotes are one within a text, which goes on as it was.
                        let escapes =
                            reopens || last.eq_ignore_ascii_case(&'e') && !before.is_alphanumeric() && before != '_';
                        Some(Place::Text(escapes))
                    }
                    (_, '"' | '`') => Some(Place::Name(c)),
                    ('-', '-') => Some(Place::Line),
                    ('/', '*') => Some(Place::Block(1)),
                    (_, '$') => match tag {
                        Some(tag) => Some(Place::Dollar(format!("${tag}$"))),
                        None => {
                            self.tag = (!last.is_alphanumeric() && last != '_').then(String::new);
                            None
                        }
                    },
                    (_, c) if c.is_alphanumeric() || c == '_' => {
                        self.tag = tag.map(|tag| tag + c.encode_utf8(&mut [0; 4]));
                        None
                    }
                    _ => None,
                };
                if let Some(place) = place {
                    (self.place, seen) = (place, ' ');
                    self.enclosed.clear();
                }
            }
            Place::Text(true) if last == '\\' => seen = ' ',
            Place::Text(escapes) if c == '\'' => {
                self.reopens = *escapes;
                (self.place, seen) = (Place::Code, ' ');
            }
            Place::Name(quote) if c == *quote => (self.place, seen) = (Place::Code, ' '),
            Place::Line if c == '\n' => self.place = Place::Code,
            Place::Block(depth) => match (last, c) {
                ('/', '*') => (*depth, seen) = (*depth + 1, ' '),
                ('*', '/') if *depth == 1 => (self.place, seen) = (Place::Code, ' '),
                ('*', '/') => (*depth, seen) = (*depth - 1, ' '),
                _ => {}
            },
            Place::Dollar(tag) => {
                self.enclosed.push(c);
                if self.enclosed.ends_with(tag.as_str()) {
                    (self.place, seen) = (Place::Code, ' ');
                }
            }
            _ => {}
        }
        self.last = [last, seen];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sql: &str, text: &str, constant: &str, checks: bool) -> Result<String, Misplaced> {
        let inserted = Inserted { text: text.to_string(), sql: constant.to_string(), failure: None };
        let mut parts: Vec<_> = sql.split('@').map(|part| (part, Some(&inserted))).collect();
        parts.last_mut().unwrap().1 = None;
        with_constants(parts, checks)
    }

    #[test]
    fn a_value_is_a_constant_where_one_can_stand() {
        let good = [
            ("SELECT 10-@", "SELECT 10-(-3)"),
            ("SELECT 'it''s', @", "SELECT 'it''s', (-3)"),
            ("SELECT metrics.\"@\"", "SELECT metrics.\"-3\""),
            ("SELECT 'a' -- it's\n, @", "SELECT 'a' -- it's\n, (-3)"),
            ("/* a /* b */ ' */ SELECT @", "/* a /* b */ ' */ SELECT (-3)"),
            ("SELECT $a, $$'$$, $t$ $$ ' $t$, @", "SELECT $a, $$'$$, $t$ $$ ' $t$, (-3)"),
            ("SELECT E'\\'', @", "SELECT E'\\'', (-3)"),
            ("SELECT '\\', @", "SELECT '\\', (-3)"),
            ("SELECT E'it''s \\' ', @", "SELECT E'it''s \\' ', (-3)"),
            ("SELECT E'a' '\\', @", "SELECT E'a' '\\', (-3)"),
            ("SELECT `a\" '`, @", "SELECT `a\" '`, (-3)"),
        ];
        for (sql, expected) in good {
            assert_eq!(filled(sql, "-3", "(-3)", false).as_deref(), Ok(expected), "{sql}");
        }
        let bad = [
            ("SELECT '@'", 0, "quotes"),
            ("SELECT\n'a @ b'", 1, "quotes"),
            ("SELECT $$ @ $$", 0, "quotes"),
            ("SELECT E'it''s \\' @'", 0, "quotes"),
            ("-- @", 0, "comment"),
            ("SELECT 1\n/* @ */", 1, "comment"),
        ];
        for (sql, lines, why) in bad {
            let e = filled(sql, "x", "'x'", false).unwrap_err();
            assert!(e.lines == lines && e.message.contains(why), "{sql}: {e:?}");
        }
        assert_eq!(filled("SELECT \"@\"", "a\"b", "", false).as_deref(), Ok("SELECT \"a\"\"b\""));
        assert_eq!(filled("SELECT `@`", "a`b", "", false).as_deref(), Ok("SELECT `a``b`"));
    }

    #[test]
    fn claims_of_checks_take_values() {
        let sql = "-- check: @ is good\n-- expect: not worse than (\n--   SELECT x FROM t WHERE a = @) by 1\nSELECT @;";
        let expected = "-- check: it's is good\n-- expect: not worse than (\n--   SELECT x FROM t WHERE a = 'it''s') by 1\nSELECT 'it''s';";
        assert_eq!(filled(sql, "it's", "'it''s'", true).as_deref(), Ok(expected));
        assert_eq!(filled("-- check: @", "a\nb", "'a\nb'", true).as_deref(), Ok("-- check: a\\nb"));
        for (sql, why) in
            [("-- expect: value = @", "line ends"), ("-- expect: value = '@'", "quotes"), ("-- @", "no key")]
        {
            let e = filled(sql, "a\nb", "'a\nb'", true).unwrap_err();
            assert!(e.message.contains(why), "{e:?}");
        }
    }
}
