//! What can be wrong with a file of checks or stop rules.

/// Something wrong at a line of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Flaw {
    /// The line, from 1.
    pub line: usize,
    /// The check or rule that it is in, where it has a name.
    pub name: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A `-- check:` without a name.
    #[error("`-- {head}:` has no name")]
    NoName {
        /// check or rule.
        head: &'static str,
    },
    /// Two of one name.
    #[error("there is a {head} of that name in line {line} already")]
    SameName {
        /// check or rule.
        head: &'static str,
        /// Line of the other one.
        line: usize,
    },
    /// A statement that belongs to no check.
    #[error(
        "the statement has no name: `-- check: NAME` and `-- expect: ...` stand in comments above it, one pair for each"
    )]
    Unnamed,
    /// A check without its statement.
    #[error("there is no statement after it, before the next check or the end")]
    NoStatement,
    /// A statement where a rule needs none.
    #[error(
        "this rule looks at a metric and takes no statement; with one, `-- stop when:` is `some rows`, `no rows` or `value > 1`"
    )]
    NeedlessStatement,
    /// A line that has to be there.
    #[error("`-- {key}: ...` is missing: {usage}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What may stand there.
        usage: &'static str,
    },
    /// A key that stands twice.
    #[error("`-- {key}` stands there twice")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// A key that there is not.
    #[error("there is no `-- {key}:`; {list}; what is only to be read stands above the name, or begins with a capital", list = keys(.near))]
    UnknownKey {
        /// The key.
        key: String,
        /// Near ones, or all.
        near: Vec<String>,
    },
    /// A key of the other kind.
    #[error("`-- {key}` is nothing that a {head} has")]
    WrongKind {
        /// The key.
        key: &'static str,
        /// check or rule.
        head: &'static str,
    },
    /// A key above or below what it could belong to.
    #[error("`-- {key}` belongs to nothing: it stands below `-- check: NAME` or `-- rule: NAME`, above the statement")]
    Outside {
        /// The key.
        key: &'static str,
    },
    /// A key in the middle of a statement.
    #[error("`-- {key}` stands within a statement: a `;` ends the one before, and keys stand above their own")]
    Within {
        /// The key.
        key: &'static str,
    },
    /// A file that is no text.
    #[error("the file is not UTF-8 text: save it as that")]
    NotText,
    /// A string, a quoted name or a comment that does not end.
    #[error("a string, a quoted name or a comment is not closed")]
    Open,
    /// A value that cannot be understood.
    #[error("'{text}': {problem}")]
    Value {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn keys(near: &[String]) -> String {
    let list = near.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    format!("{} {list}", if near.len() == 1 { "closest is" } else { "there are" })
}
