//! What Tab may complete: a pure function of the line and of the names that there are.

use std::collections::BTreeMap;

use runlake::export::Format;

use super::commands::{Argument, COMMANDS};
use crate::cli::statements::{Kind, pieces};

/// Keywords worth completing and colouring: those of queries.
pub const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ANTI",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "QUALIFY",
    "RIGHT",
    "ROWS",
    "SELECT",
    "SEMI",
    "SHOW",
    "THEN",
    "TRUE",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// The names in a store.
#[derive(Debug, Default)]
pub struct Names {
    /// Tables, as they are written in SQL.
    pub tables: Vec<String>,
    /// Columns of each table; for `runs` its keys too, as they are written in SQL.
    pub columns: BTreeMap<String, Vec<String>>,
    pub functions: Vec<String>,
    /// Functions that a `FROM` may call.
    pub table_functions: Vec<String>,
}

/// What may stand at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Completion {
    /// From this offset on, one of these.
    Words(usize, Vec<String>),
    /// A path, which begins at this offset.
    Path(usize),
}

/// What may stand at `pos`.
pub fn complete(line: &str, pos: usize, names: &Names) -> Completion {
    let before = &line[..pos];
    if before.trim_start().starts_with(['.', '\\']) {
        return complete_command(before, names);
    }
    let start = word_start(before);
    // Inside a string or a comment nothing is known, save for the key in params['...'].
    let at =
        pieces(before).into_iter().next_back().filter(|piece| piece.range.start < start || piece.kind == Kind::Comment);
    let in_text = at.is_some_and(|piece| {
        let closed = piece.range.len() > 1 && before.ends_with('\'');
        matches!(piece.kind, Kind::Text) && !closed || matches!(piece.kind, Kind::Comment) && !before.ends_with('\n')
    });
    if in_text {
        return Completion::Words(pos, Vec::new());
    }
    let word = &before[start..];
    let mut found = Vec::new();
    if word.contains('.') || word.contains('[') {
        found = members(line, word, names);
    } else {
        let previous = before[..start].split_whitespace().next_back().unwrap_or("").to_ascii_uppercase();
        if matches!(previous.as_str(), "FROM" | "JOIN" | "DESCRIBE") {
            found.extend(starting(names.tables.iter(), word));
            if previous != "DESCRIBE" {
                found.extend(starting(names.table_functions.iter(), word).into_iter().map(|name| format!("{name}(")));
            }
        } else {
            found.extend(
                starting(names_in_scope(line, names), word).into_iter().filter_map(|column| first_part(&column)),
            );
            found.sort();
            found.dedup();
            if !word.is_empty() {
                found.extend(starting(names.functions.iter(), word).into_iter().map(|name| format!("{name}(")));
                found.extend(starting(names.tables.iter(), word));
                let lower = word.chars().any(|c| c.is_ascii_lowercase());
                let keywords = KEYWORDS.iter().filter(|keyword| starts_with(keyword, word));
                found.extend(
                    keywords.map(|keyword| if lower { keyword.to_ascii_lowercase() } else { keyword.to_string() }),
                );
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|word| seen.insert(word.clone()));
    Completion::Words(start, found)
}

/// `params.` of `params.lr`: keys come in a second step, since there may be thousands.
fn first_part(column: &str) -> Option<String> {
    if column.starts_with('"') {
        return Some(column.to_string());
    }
    match column.split_once(['.', '[']) {
        Some((group, _)) => Some(format!("{group}.")),
        None => Some(column.to_string()),
    }
}

/// Where the name begins that ends at the end: `params.lr`, `r.params['train lo`.
fn word_start(before: &str) -> usize {
    // A key in brackets may hold anything.
    if let Some(open) = before.rfind("['")
        && !before[open + 2..].contains('\'')
    {
        return word_start(&before[..open]);
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
    before.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(before.len(), |(at, _)| at)
}

/// What may follow `params.`, `r.`, `runs.params.` or `frames.`.
fn members(line: &str, word: &str, names: &Names) -> Vec<String> {
    let mut found: Vec<String> = starting(names.tables.iter(), word);
    // A schema, not an alias: tables stand behind it, and no columns.
    if starts_with(word, "frames.") {
        return found;
    }
    let all: Vec<&String> = names_in_scope(line, names).collect();
    let (qualifier, rest) = qualifier(word, names);
    let wanted = key_of(rest);
    for column in all {
        let matches = match &wanted {
            // A key: compared without its brackets, so that `params.train l` finds params['train loss'].
            Some((group, key)) => key_of(column).is_some_and(|(g, k)| g == *group && starts_with(&k, key)),
            None => !qualifier.is_empty() && starts_with(column, rest),
        };
        if matches {
            let whole = if wanted.is_none() { first_part(column) } else { Some(column.clone()) };
            found.extend(whole.map(|column| format!("{qualifier}{column}")));
        }
    }
    found
}

/// Splits off a table or alias in front: (`r.`, `params.lr`).
fn qualifier<'w>(word: &'w str, names: &Names) -> (&'w str, &'w str) {
    let Some(dot) = word.find('.') else { return ("", word) };
    let head = &word[..dot];
    let is_group =
        names.columns.values().flatten().any(|column| key_of(column).is_some_and(|(group, _)| group == head));
    if is_group { ("", word) } else { word.split_at(dot + 1) }
}

/// Group and key of `params.lr` or `params['train loss']`, whole or begun.
fn key_of(column: &str) -> Option<(String, String)> {
    let at = column.find(['.', '['])?;
    let (group, rest) = column.split_at(at);
    let key = match rest.strip_prefix("['") {
        Some(quoted) => quoted.strip_suffix("']").unwrap_or(quoted).replace("''", "'"),
        None => rest[1..].to_string(),
    };
    Some((group.to_ascii_lowercase(), key))
}

/// Columns of the tables that the line names; of all when it names none.
fn names_in_scope<'n>(line: &str, names: &'n Names) -> impl Iterator<Item = &'n String> {
    let mut words: Vec<String> = Vec::new();
    for piece in pieces(line) {
        let text = &line[piece.range];
        match piece.kind {
            Kind::Word | Kind::QuotedName => match words.last_mut().filter(|last| last.ends_with('.')) {
                Some(last) => last.push_str(text),
                None => words.push(text.to_string()),
            },
            Kind::Other if text == "." => {
                if let Some(last) = words.last_mut() {
                    last.push('.');
                }
            }
            _ => {}
        }
    }
    let named = |table: &String| words.iter().any(|word| word.eq_ignore_ascii_case(table));
    let any = names.columns.keys().any(named);
    let tables: Vec<_> = names.columns.iter().filter(|(table, _)| !any || named(table)).collect();
    tables.into_iter().flat_map(|(_, columns)| columns)
}

fn complete_command(before: &str, names: &Names) -> Completion {
    let indent = before.len() - before.trim_start().len();
    let line = &before[indent..];
    let Some((name, argument)) = line.split_once(char::is_whitespace) else {
        let spellings = COMMANDS.iter().map(|c| if line.starts_with('.') { c.name } else { c.short });
        let found = spellings.filter(|name| name.starts_with(line)).map(|name| format!("{name} ")).collect();
        return Completion::Words(indent, found);
    };
    let start = before.len() - argument.trim_start().len();
    let word = &before[start..];
    let takes = COMMANDS.iter().find(|c| c.name == name || c.short == name).map(|c| c.argument);
    let found = match takes {
        Some(Argument::Table) => starting(names.tables.iter(), word),
        Some(Argument::Format) => Format::ALL.iter().map(|f| f.to_string()).filter(|f| f.starts_with(word)).collect(),
        Some(Argument::Switch) => ["on", "off"].iter().filter(|s| s.starts_with(word)).map(|s| s.to_string()).collect(),
        Some(Argument::File) => return Completion::Path(start),
        Some(Argument::Nothing | Argument::Number) | None => Vec::new(),
    };
    Completion::Words(start, found)
}

fn starting<'n>(names: impl Iterator<Item = &'n String>, word: &str) -> Vec<String> {
    names.filter(|name| starts_with(name, word)).cloned().collect()
}

fn starts_with(name: &str, prefix: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    prefix.chars().flat_map(char::to_lowercase).all(|c| letters.next() == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let list = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let runs =
            ["run_id", "name", "params.lr", "params.LR_max", "params['train loss (v2)']", "metrics.loss", "status"];
        let frame = "frames.predictions";
        Names {
            tables: list(&["runs", "metrics", frame]),
            columns: [
                ("runs".to_string(), list(&runs)),
                ("metrics".to_string(), list(&["run_id", "key", "value"])),
                (frame.to_string(), list(&["fold", "target"])),
            ]
            .into(),
            functions: list(&["max", "median"]),
            table_functions: list(&["best_runs"]),
        }
    }

    /// What Tab offers at `|`.
    fn at(line: &str) -> Vec<String> {
        let pos = line.find('|').unwrap();
        match complete(&line.replace('|', ""), pos, &names()) {
            Completion::Words(_, words) => words,
            Completion::Path(_) => vec!["a path".to_string()],
        }
    }

    #[test]
    fn names_of_the_tables_in_the_statement_are_offered() {
        assert_eq!(at("SELECT * FROM ru|"), ["runs"]);
        assert_eq!(at("SELECT * FROM |"), ["runs", "metrics", "frames.predictions", "best_runs("]);
        assert_eq!(at("SELECT * FROM be|"), ["best_runs("]);
        assert_eq!(at("SELECT st| FROM runs"), ["status"]);
        assert_eq!(at("SELECT fo| FROM frames.predictions"), ["fold"]);
        assert_eq!(at("SELECT ke| FROM runs"), [] as [&str; 0]);
        assert_eq!(at("sel|"), ["select"]);
        assert_eq!(at("SELECT m| FROM runs"), ["metrics.", "max(", "median(", "metrics"]);
        assert_eq!(at("SELECT * FROM frames.p|"), ["frames.predictions"]);
    }

    #[test]
    fn keys_are_offered_within_their_group() {
        assert_eq!(at("SELECT pa| FROM runs"), ["params.", "partition"]);
        assert_eq!(at("SELECT params.| FROM runs"), ["params.lr", "params.LR_max", "params['train loss (v2)']"]);
        assert_eq!(at("SELECT params.l|"), ["params.lr", "params.LR_max"]);
        assert_eq!(at("SELECT params.tr|"), ["params['train loss (v2)']"]);
        assert_eq!(at("SELECT params['train l|"), ["params['train loss (v2)']"]);
        assert_eq!(at("SELECT r.params.lr| FROM runs r"), ["r.params.lr", "r.params.LR_max"]);
        assert_eq!(at("SELECT r.na| FROM runs r"), ["r.name"]);
    }

    #[test]
    fn text_and_comments_offer_nothing() {
        assert_eq!(at("SELECT 'na|"), [] as [&str; 0]);
        assert_eq!(at("SELECT 1 -- na|"), [] as [&str; 0]);
        assert_eq!(at("SELECT 'a' = na|"), ["name"]);
    }

    #[test]
    fn commands_offer_what_they_take() {
        assert_eq!(at(".ti|"), [".timing "]);
        assert_eq!(at("\\d|"), ["\\dt ", "\\d "]);
        assert_eq!(at(".describe me|"), ["metrics"]);
        assert_eq!(at(".mode nd|"), ["ndjson"]);
        assert_eq!(at(".timing o|"), ["on", "off"]);
        assert_eq!(at(".read so|"), ["a path"]);
    }
}
