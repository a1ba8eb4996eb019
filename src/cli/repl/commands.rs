//! The commands of the shell that are not SQL, as one table: help, completion and parsing all read it.

use std::fmt::Write;

use crate::cli::Failure;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Help,
    Tables,
    Describe,
    Mode,
    Rows,
    Timing,
    Output,
    Pager,
    Read,
    Edit,
    Quit,
}

/// What a command takes, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    Nothing,
    Table,
    Format,
    Switch,
    File,
    Number,
}

/// A command of the shell.
pub struct Command {
    pub action: Action,
    /// With a dot.
    pub name: &'static str,
    /// With a backslash, as psql has it.
    pub short: &'static str,
    pub argument: Argument,
    /// The argument in the help.
    pub shown: &'static str,
    pub help: &'static str,
}

const fn command(
    action: Action,
    [name, short, shown]: [&'static str; 3],
    argument: Argument,
    help: &'static str,
) -> Command {
    Command { action, name, short, argument, shown, help }
}

/// All of them, in the order of the help.
pub const COMMANDS: &[Command] = &[
    command(Action::Help, [".help", "\\?", ""], Argument::Nothing, "this list"),
    command(Action::Tables, [".tables", "\\dt", ""], Argument::Nothing, "the tables, with what a row of each is"),
    command(
        Action::Describe,
        [".describe", "\\d", "TABLE"],
        Argument::Table,
        "columns of a table, for runs its keys too",
    ),
    command(
        Action::Mode,
        [".mode", "\\f", "FORMAT"],
        Argument::Format,
        "how rows are shown: table, line, csv, json, ...",
    ),
    command(Action::Rows, [".rows", "\\rows", "N|all"], Argument::Number, "rows of a table that are shown"),
    command(Action::Timing, [".timing", "\\timing", "on|off"], Argument::Switch, "how long statements take"),
    command(
        Action::Output,
        [".output", "\\o", "[FILE]"],
        Argument::File,
        "results go to a file; alone: to the screen again",
    ),
    command(Action::Pager, [".pager", "\\pager", "on|off"], Argument::Switch, "results go through $PAGER, else less"),
    command(Action::Read, [".read", "\\i", "FILE"], Argument::File, "runs the statements and commands of a file"),
    command(Action::Edit, [".edit", "\\e", ""], Argument::Nothing, "edits the last statement in $VISUAL or $EDITOR"),
    command(Action::Quit, [".quit", "\\q", ""], Argument::Nothing, "leaves, as Ctrl-D does"),
];

/// Whether a line is for the shell rather than SQL.
pub fn is_command(line: &str) -> bool {
    let line = line.trim();
    line.starts_with(['.', '\\']) || bare(line).is_some()
}

/// What people type who know other shells.
fn bare(line: &str) -> Option<Action> {
    match line.trim_end_matches(';').trim_end().to_ascii_lowercase().as_str() {
        "quit" | "exit" => Some(Action::Quit),
        "help" => Some(Action::Help),
        _ => None,
    }
}

/// Reads a line for which [`is_command`] holds: what to do, and with what.
pub fn parse(line: &str) -> Result<(Action, &str), Failure> {
    let line = line.trim();
    if let Some(action) = bare(line) {
        return Ok((action, ""));
    }
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    // Out of habit from SQL.
    let (name, argument) = (name.trim_end_matches(';'), argument.trim().trim_end_matches(';').trim_end());
    let command = find(name)?;
    if command.action == Action::Describe && argument.is_empty() {
        return Ok((Action::Tables, ""));
    }
    if command.argument == Argument::Nothing && !argument.is_empty() {
        return Err(Failure::new(format!("{} takes nothing after it", command.name)));
    }
    Ok((command.action, argument))
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    let exact = COMMANDS.iter().find(|c| c.name == name || c.short == name || c.name.replacen('.', "\\", 1) == name);
    if let Some(command) = exact {
        return Ok(command);
    }
    // `.desc` is enough.
    let starts: Vec<_> = COMMANDS.iter().filter(|c| name.len() > 1 && c.name.starts_with(name)).collect();
    match starts.as_slice() {
        [only] => Ok(only),
        [] => Err(Failure::new(format!("no command '{}'", runlake::export::escape(name))).hint("`.help` lists them")),
        several => {
            let names: Vec<_> = several.iter().map(|c| c.name).collect();
            Err(Failure::new(format!("'{name}' may be {}", names.join(" or "))))
        }
    }
}

/// The list that `.help` shows.
pub fn help() -> String {
    let mut text = String::from("SQL statements end with `;` and may take several lines.\n\n");
    for command in COMMANDS {
        let dotted = format!("{} {}", command.name, command.shown);
        writeln!(text, "  {dotted:18}  {:9}  {}", command.short, command.help).expect("a string takes all");
    }
    text.push_str(
        "\nTab completes names, keys and keywords; the right arrow takes a suggestion from the history.\n\
         Ctrl-C cancels a statement, Ctrl-R searches the history.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_understood() {
        let action = |line| parse(line).map(|(action, argument)| (action, argument.to_string())).ok();
        let some = |action, argument: &str| Some((action, argument.to_string()));
        assert_eq!(action(".tables"), some(Action::Tables, ""));
        assert_eq!(action("\\dt"), some(Action::Tables, ""));
        assert_eq!(action("\\d"), some(Action::Tables, ""));
        assert_eq!(action("\\d runs;"), some(Action::Describe, "runs"));
        assert_eq!(action(".desc  runs "), some(Action::Describe, "runs"));
        assert_eq!(action("\\quit"), some(Action::Quit, ""));
        assert_eq!(action("EXIT;"), some(Action::Quit, ""));
        assert_eq!(action(".output a file.csv"), some(Action::Output, "a file.csv"));
        assert!(parse(".nope").unwrap_err().hints[0].contains(".help"));
        assert!(parse(".").is_err() && parse(".quit now").is_err());
        assert!(!is_command("SELECT 1") && is_command("  .help") && !is_command("exit_code"));
    }

    #[test]
    fn every_command_is_in_the_help_and_has_its_own_names() {
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(help().contains(command.name) && help().contains(command.short));
            assert!(COMMANDS[..i].iter().all(|c| c.name != command.name && c.short != command.short));
        }
    }
}
