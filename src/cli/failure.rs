//! How a command ends: exit codes, and errors with hints.

use std::fmt;
use std::process::ExitCode;

use runlake::{Error, ErrorKind, QueryError, StoreError};

use super::output::say;

/// How a command that could say so itself ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something failed: SQL, data, the disk.
    Failed = 1,
    /// The command was called wrongly, or there is no store.
    Usage = 2,
    /// A gate failed, or a run should stop.
    Gate = 3,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What a command gives.
pub type Outcome = Result<Exit, Failure>;

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    /// What happened; empty where nothing is to be said.
    pub message: String,
    /// How to mend it, a line each.
    pub hints: Vec<String>,
    /// What the process exits with.
    pub exit: Exit,
}

impl Failure {
    /// Something failed.
    pub fn new(message: impl fmt::Display) -> Self {
        Failure { message: message.to_string(), hints: Vec::new(), exit: Exit::Failed }
    }

    /// The command was called wrongly.
    pub fn usage(message: impl fmt::Display) -> Self {
        Failure { exit: Exit::Usage, ..Failure::new(message) }
    }

    /// Adds a way to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let exit = exit_of(&e);
        Failure { message: e.to_string(), hints: super::hints::of(&e), exit }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Error::from(e).into()
    }
}

impl From<QueryError> for Failure {
    fn from(e: QueryError) -> Self {
        Error::from(e).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            // Whoever read the output has seen enough, as `head` does: nothing failed, and nobody is to be told.
            std::io::ErrorKind::BrokenPipe => Failure { exit: Exit::Done, ..Failure::new("") },
            _ => Failure::new(e),
        }
    }
}

/// The exit code: the kind decides, save that a store which cannot be opened is wrong usage.
fn exit_of(e: &Error) -> Exit {
    match e {
        Error::Store(StoreError::NotAStore { .. } | StoreError::NotEmpty { .. } | StoreError::StoreExists { .. }) => {
            Exit::Usage
        }
        _ => match e.kind() {
            ErrorKind::NewerFormat => Exit::Usage,
            _ if matches!(e, Error::Import(e) if e.is_usage()) => Exit::Usage,
            _ => Exit::Failed,
        },
    }
}

/// Tells the user, and gives the code to exit with.
pub fn report(failure: &Failure) -> ExitCode {
    if failure.message.is_empty() {
        return failure.exit.into();
    }
    say(format_args!("error: {}", failure.message));
    for hint in &failure.hints {
        say(format_args!(" hint: {hint}"));
    }
    failure.exit.into()
}
