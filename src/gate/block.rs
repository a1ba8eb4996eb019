//! A file cut into checks and rules: each a name, keys under it, and a statement.
//!
//! ```text
//! -- check: NAME
//! -- expect: value >= 0.9
//! SELECT max(metrics.auc) FROM runs;
//! ```
//!
//! Nothing is passed over in silence: a statement without a name, a key that there is not, a key in the wrong place are
//! flaws, since each of them could be a gate that its author believes to stand.

use std::collections::BTreeMap;

use super::error::{Flaw, Problem};
use crate::query::near;
use crate::query::statements::{Part, closing, parts};

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Head {
    Check,
    Rule,
}

impl Head {
    pub fn as_str(self) -> &'static str {
        match self {
            Head::Check => "check",
            Head::Rule => "rule",
        }
    }
}

/// A key and whether checks and rules have it.
struct Key {
    name: &'static str,
    checks: bool,
    rules: bool,
}

const fn key(name: &'static str, checks: bool, rules: bool) -> Key {
    Key { name, checks, rules }
}

const KEYS: [Key; 10] = [
    key("check", true, true),
    key("rule", true, true),
    key("expect", true, false),
    key("severity", true, false),
    key("goal", true, true),
    key("metric", true, true),
    key("message", true, true),
    key(ALLOW_EMPTY, true, true),
    key("stop when", false, true),
    key("others", false, true),
];

/// The key that takes no value.
pub const ALLOW_EMPTY: &str = "allow empty";

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Directive {
    pub key: &'static str,
    pub value: String,
    pub line: usize,
}

/// A check or a rule, as it is written.
#[derive(Debug)]
pub struct Block {
    pub head: Head,
    pub name: String,
    pub line: usize,
    pub directives: Vec<Directive>,
    /// The statement, and its line.
    pub statement: Option<(String, usize)>,
    /// What is wrong with it.
    pub flaws: Vec<(usize, Problem)>,
}

impl Block {
    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&Directive> {
        self.directives.iter().find(|d| d.key == key)
    }

    /// Its flaws, under its name.
    pub fn into_flaws(self) -> impl Iterator<Item = Flaw> {
        let name = (!self.name.is_empty()).then_some(self.name);
        self.flaws.into_iter().map(move |(line, problem)| Flaw { line, name: name.clone(), problem })
    }
}

/// The blocks of a file, and what belongs to none of them.
pub fn blocks(text: &str) -> (Vec<Block>, Vec<Flaw>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (parts, open) = parts(text);
    let mut file = File::default();
    let last = parts.iter().rposition(|part| matches!(part, Part::Statement(_)));
    for (i, part) in parts.iter().enumerate() {
        match part {
            Part::Comment { text, line, within } => file.comment(text, *line, *within),
            Part::Statement(statement) => {
                let broken = open && Some(i) == last;
                if broken && file.heading().is_none() {
                    file.flaws.push(Flaw { line: statement.line, name: None, problem: Problem::Open });
                    continue;
                }
                file.statement(statement.text, statement.line);
                if broken {
                    file.flaw(statement.line, Problem::Open);
                }
            }
        }
    }
    file.end()
}

#[derive(Debug, Default)]
struct File {
    blocks: Vec<Block>,
    flaws: Vec<Flaw>,
}

/// What a comment says.
enum Said {
    /// Something for people.
    Prose,
    Key(&'static str, String),
    Unknown(String),
}

impl File {
    /// Adds a flaw to the block at hand, or to none.
    fn flaw(&mut self, line: usize, problem: Problem) {
        match self.blocks.last_mut() {
            Some(block) => block.flaws.push((line, problem)),
            None => self.flaws.push(Flaw { line, name: None, problem }),
        }
    }

    /// The block that keys may still be added to.
    fn heading(&mut self) -> Option<&mut Block> {
        self.blocks.last_mut().filter(|block| block.statement.is_none())
    }

    fn comment(&mut self, text: &str, line: usize, within: bool) {
        let said = said(text);
        if !within
            && matches!(said, Said::Prose | Said::Unknown(_))
            && let Some(block) = self.heading()
            && let Some(last) = block.directives.last_mut()
            && unfinished(&last.value)
        {
            // A statement in brackets may take several lines.
            last.value.push('\n');
            last.value.push_str(text);
            return;
        }
        match said {
            Said::Prose => {}
            Said::Key(key, _) if within => self.flaw(line, Problem::Within { key }),
            Said::Key("check", name) => self.begin(Head::Check, name, line),
            Said::Key("rule", name) => self.begin(Head::Rule, name, line),
            Said::Key(key, value) => match self.heading() {
                None => self.flaws.push(Flaw { line, name: None, problem: Problem::Outside { key } }),
                Some(block) if block.value(key).is_some() => block.flaws.push((line, Problem::Twice { key })),
                Some(block) => {
                    let fits = KEYS
                        .iter()
                        .any(|k| k.name == key && if block.head == Head::Check { k.checks } else { k.rules });
                    if !fits {
                        block.flaws.push((line, Problem::WrongKind { key, head: block.head.as_str() }));
                    }
                    block.directives.push(Directive { key, value, line });
                }
            },
            Said::Unknown(key) => {
                if !within && let Some(block) = self.heading() {
                    block.flaws.push((line, unknown(key)));
                }
            }
        }
    }

    fn begin(&mut self, head: Head, name: String, line: usize) {
        let mut flaws = Vec::new();
        if name.is_empty() {
            flaws.push((line, Problem::NoName { head: head.as_str() }));
        }
        self.blocks.push(Block { head, name, line, directives: Vec::new(), statement: None, flaws });
    }

    fn statement(&mut self, text: &str, line: usize) {
        match self.heading() {
            Some(block) => block.statement = Some((text.to_string(), line)),
            None => self.flaws.push(Flaw { line, name: None, problem: Problem::Unnamed }),
        }
    }

    fn end(mut self) -> (Vec<Block>, Vec<Flaw>) {
        let mut named: BTreeMap<(Head, String), usize> = BTreeMap::new();
        for block in &mut self.blocks {
            if let Some(line) = named.get(&(block.head, block.name.clone())) {
                block.flaws.push((block.line, Problem::SameName { head: block.head.as_str(), line: *line }));
            } else if !block.name.is_empty() {
                named.insert((block.head, block.name.clone()), block.line);
            }
        }
        (self.blocks, self.flaws)
    }
}

/// Whether a value has a bracket that is not closed yet.
fn unfinished(value: &str) -> bool {
    value.find('(').is_some_and(|at| closing(&value[at..]).is_none())
}

fn said(comment: &str) -> Said {
    if comment.eq_ignore_ascii_case(ALLOW_EMPTY) {
        return Said::Key(ALLOW_EMPTY, String::new());
    }
    let Some((key, value)) = comment.split_once(':') else { return Said::Prose };
    let (key, value) = (key.trim(), value.trim());
    let words = key.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(known) = KEYS.iter().find(|k| k.name.eq_ignore_ascii_case(&words)) {
        return Said::Key(known.name, value.to_string());
    }
    // `https://...` is no key, and neither is a sentence.
    let looks_like_one = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
    match looks_like_one && !value.starts_with("//") {
        true => Said::Unknown(key.to_string()),
        false => Said::Prose,
    }
}

fn unknown(key: String) -> Problem {
    let names: Vec<&str> = KEYS.iter().map(|k| k.name).collect();
    let near = match near(&names, &key) {
        none if none.is_empty() => names.iter().map(|name| name.to_string()).collect(),
        near => near,
    };
    Problem::UnknownKey { key, near }
}
