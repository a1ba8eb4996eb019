//! Values within raw HTML of a page: as text, and within quotes of attributes that act on nothing.

use super::marks::{Filled, Inserted};
use super::page::safe_scheme;

/// Attributes that take any text.
const TEXTS: [&str; 20] = [
    "title",
    "alt",
    "class",
    "id",
    "name",
    "lang",
    "dir",
    "width",
    "height",
    "align",
    "valign",
    "colspan",
    "rowspan",
    "value",
    "label",
    "summary",
    "placeholder",
    "datetime",
    "role",
    "start",
];
/// Attributes that take an address, and elements that only show what is there.
const ADDRESSES: [(&str, &[&str]); 4] = [
    ("href", &["a", "area"]),
    ("src", &["img", "audio", "video", "source"]),
    ("cite", &["blockquote", "q", "del", "ins"]),
    ("poster", &["video"]),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Text,
    /// Behind `<`.
    Open,
    /// Behind `<!`.
    Bang,
    Name,
    /// Between attributes.
    Inside,
    Attribute,
    AfterAttribute,
    /// Behind `=`.
    Equals,
    Unquoted,
    Quoted(char),
    Comment,
    /// Up to `>`.
    Bogus,
    /// Within an element that holds no elements.
    Raw,
}

/// Reads the raw HTML of a page, piece by piece.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    closing: bool,
    tag: String,
    attribute: String,
    /// The value of the attribute so far.
    value: String,
    /// Whether the value has something inserted.
    filled: bool,
    /// The newest characters of a comment or a raw element.
    tail: String,
    wrong: Option<&'static str>,
    /// Whether this is within `<svg>` or `<math>`, where elements are read by other rules.
    foreign: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        let text = String::new;
        let (tag, attribute, value, tail) = (text(), text(), text(), text());
        Scanner {
            state: State::Text,
            closing: false,
            tag,
            attribute,
            value,
            filled: false,
            tail,
            wrong: None,
            foreign: false,
        }
    }
}

impl Scanner {
    /// A piece of raw HTML with what is inserted.
    ///
    /// # Errors
    /// What is wrong, and where in the piece.
    pub fn html(
        &mut self,
        filled: &Filled,
        html: &str,
        write: impl Fn(&str) -> String,
    ) -> Result<String, (usize, String)> {
        let mut out = String::new();
        for (range, inserted) in filled.places(html) {
            for (at, c) in html[range.clone()].char_indices() {
                self.read(c);
                if let Some(wrong) = self.wrong.take() {
                    return Err((range.start + at, wrong.to_string()));
                }
            }
            out += &html[range.clone()];
            if let Some(inserted) = inserted {
                out += &self.place(inserted, &write).map_err(|why| (range.end, why))?;
            }
        }
        Ok(out)
    }

    /// Whether text between the tags can hold something inserted.
    ///
    /// # Errors
    /// What is wrong.
    pub fn text(&self) -> Result<(), String> {
        match self.state {
            _ if self.foreign => Err("a value cannot stand within <svg> or <math>, where it could act".to_string()),
            State::Raw if ["script", "style"].contains(&self.tag.as_str()) => {
                Err(format!("a value within <{}> would act as part of it", self.tag))
            }
            State::Text | State::Comment | State::Bogus | State::Raw => Ok(()),
            _ => Err("a value stands within a tag of HTML that a blank line breaks apart".to_string()),
        }
    }

    fn place(&mut self, inserted: &Inserted, write: impl Fn(&str) -> String) -> Result<String, String> {
        match self.state {
            State::Text | State::Comment | State::Bogus | State::Raw => self.text().map(|()| write(&inserted.text)),
            State::Quoted(_) if self.foreign => self.text().map(|()| String::new()),
            State::Quoted(_) => self.quoted(inserted, write),
            _ => Err("a value within a tag of HTML stands within quotes, such as <b title=\"{{ ... }}\">".to_string()),
        }
    }

    fn quoted(&mut self, inserted: &Inserted, write: impl Fn(&str) -> String) -> Result<String, String> {
        let name = self.attribute.as_str();
        if TEXTS.contains(&name) || name.starts_with("data-") || name.starts_with("aria-") {
            return Ok(write(&inserted.text));
        }
        let leads = ADDRESSES.iter().any(|(known, tags)| *known == name && tags.contains(&self.tag.as_str()));
        if !leads {
            return Err(format!("a value cannot stand in '{name}' of <{}>, where it could act", self.tag));
        }
        self.filled = true;
        // `&#106;` and `&colon;` are letters to a browser.
        if self.value.find('&').is_some_and(|at| !self.value[..at].contains(['/', '?', '#'])) {
            return Err("what stands before a value in an address cannot be a character reference".to_string());
        }
        match safe_scheme(&(self.value.clone() + &inserted.text)) {
            true => {
                self.value += &inserted.text;
                Ok(write(&inserted.text))
            }
            false => {
                self.value.push('#');
                Ok("#".to_string())
            }
        }
    }

    fn read(&mut self, c: char) {
        let space = c.is_ascii_whitespace();
        self.state = match (self.state, c) {
            (State::Text, '<') => State::Open,
            (State::Text, _) => State::Text,
            (State::Open, '/') if !self.closing => {
                self.closing = true;
                State::Open
            }
            (State::Open, c) if c.is_ascii_alphabetic() => {
                self.tag = c.to_ascii_lowercase().to_string();
                State::Name
            }
            (State::Open, '!') if !self.closing => {
                self.tail.clear();
                State::Bang
            }
            (State::Open, '?') => State::Bogus,
            (State::Open, '<') => State::Open,
            (State::Open, '>') => self.text_again(),
            (State::Open, _) if self.closing => State::Bogus,
            (State::Open, _) => self.text_again(),
            (State::Bang, '>') => self.text_again(),
            (State::Bang, c) => {
                self.tail.push(c);
                match self.tail.as_str() {
                    "-" => State::Bang,
                    "--" => State::Comment,
                    _ => State::Bogus,
                }
            }
            (State::Bogus, '>') => self.text_again(),
            (State::Bogus, _) => State::Bogus,
            (State::Comment, c) => {
                self.tail.push(c);
                match self.tail.ends_with("-->") || self.tail.ends_with("--!>") {
                    true => self.text_again(),
                    false => State::Comment,
                }
            }
            (State::Raw, c) => self.raw(c.to_ascii_lowercase()),
            (State::Name | State::Inside | State::Attribute | State::AfterAttribute, '>')
            | (State::Equals | State::Unquoted, '>') => self.end(),
            (State::Name, c) if space || c == '/' => State::Inside,
            (State::Name, c) => {
                self.tag.push(c.to_ascii_lowercase());
                State::Name
            }
            (State::Attribute, '=') | (State::AfterAttribute, '=') => {
                self.value.clear();
                self.filled = false;
                State::Equals
            }
            (State::Attribute, _) if space => State::AfterAttribute,
            (State::Attribute | State::Inside | State::AfterAttribute, '/') => State::Inside,
            (State::Attribute, c) => {
                self.attribute.push(c.to_ascii_lowercase());
                State::Attribute
            }
            (State::Inside | State::AfterAttribute | State::Equals, _) if space => self.state,
            (State::Inside | State::AfterAttribute, c) => {
                self.attribute = c.to_ascii_lowercase().to_string();
                State::Attribute
            }
            (State::Equals, '"' | '\'') => State::Quoted(c),
            (State::Equals, _) => State::Unquoted,
            (State::Unquoted, _) if space => State::Inside,
            (State::Unquoted, _) => State::Unquoted,
            (State::Quoted(quote), c) if c == quote => State::Inside,
            (State::Quoted(quote), c) => {
                if [':', '&'].contains(&c) && self.filled && !self.value.contains([':', '/', '?', '#']) {
                    self.wrong = Some("a value cannot be all that stands before ':' or '&' in an address");
                }
                self.value.push(c);
                State::Quoted(quote)
            }
        };
    }

    fn text_again(&mut self) -> State {
        self.closing = false;
        State::Text
    }

    /// A tag ends.
    fn end(&mut self) -> State {
        let closing = std::mem::take(&mut self.closing);
        if ["svg", "math"].contains(&self.tag.as_str()) {
            self.foreign = !closing;
        }
        let raw = ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"];
        self.tail.clear();
        match !closing && raw.contains(&self.tag.as_str()) {
            true => State::Raw,
            false => State::Text,
        }
    }

    fn raw(&mut self, c: char) -> State {
        let ended = self.tail.strip_prefix("</").is_some_and(|name| name == self.tag);
        if ended && (c == '>' || c == '/' || c.is_ascii_whitespace()) {
            self.closing = true;
            return if c == '>' { self.end() } else { State::Inside };
        }
        if c == '<' {
            self.tail.clear();
        }
        self.tail.push(c);
        State::Raw
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::mark;
    use super::*;

    fn written(html: &str, text: &str) -> Result<String, String> {
        let inserted = vec![Inserted { text: text.to_string(), sql: String::new(), failure: None }];
        let filled = Filled::new(html.replace('@', &mark(0)), Vec::new(), inserted, Vec::new());
        let written = Scanner::default().html(&filled, &filled.text, crate::export::escape_html);
        written.map_err(|(_, why)| why)
    }

    #[test]
    fn values_in_html_act_on_nothing() {
        let good = [
            ("<p>@</p>", "x", "<p>x</p>"),
            ("<b title=\"@\">", "\" a='", "<b title=\"&quot; a=&#39;\">"),
            ("<a\n href='https://a.org/@'>", "b", "<a\n href='https://a.org/b'>"),
            ("<a href=\"@\">", "/x?a:b", "<a href=\"/x?a:b\">"),
            ("<a href=\"@\">", " java\nscript:alert(1)", "<a href=\"#\">"),
            ("<a href=\"java@\">", "script:alert(1)", "<a href=\"java#\">"),
            ("<a href=\"@\">", "data:text/html,x", "<a href=\"#\">"),
            ("<!-- @ --> <i>@</i>", "-->", "<!-- --&gt; --> <i>--&gt;</i>"),
            ("<script>1 < 2</script><p>@", "x", "<script>1 < 2</script><p>x"),
            ("<textarea>@</textarea>", "</textarea>", "<textarea>&lt;/textarea&gt;</textarea>"),
            ("a < b @ <b data-x='@'>", "x", "a < b x <b data-x='x'>"),
            ("<svg><path/></svg> @", "x", "<svg><path/></svg> x"),
            ("<a href=\"/a?b=1&c=@&d=2\">", "x", "<a href=\"/a?b=1&c=x&d=2\">"),
        ];
        for (html, text, expected) in good {
            assert_eq!(written(html, text).as_deref(), Ok(expected), "{html}");
        }
        for html in [
            "<b title=@>",
            "<b @>",
            "<b @=\"x\">",
            "<@>",
            "</@>",
            "<b onclick=\"@\">",
            "<b style='@'>",
            "<b/onclick='@'>",
            "<script>@</script>",
            "<SCRIPT a>@",
            "<style>@</style>",
            "<script src=\"@\">",
            "<iframe src='@'>",
            "<iframe srcdoc='@'>",
            "<a href=\"@:alert(1)\">",
            "<a href=\"@&#58;alert(1)\">",
            "<a href=\"&#106;@\">",
            "<svg><title><script>@</script></title></svg>",
            "<svg><text x='@'>",
            "<math><mtext>@",
            "<form action=\"@\">",
            "<base href='@'>",
            "<b title=\"\"@>",
            "<script>'</scripty>' @",
            "<a href=@>",
            "<meta content='@'>",
            "<!--> <b onclick='@'> -->",
        ] {
            assert!(written(html, "x").is_err(), "{html}");
        }
    }
}
