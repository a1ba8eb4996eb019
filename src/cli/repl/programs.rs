//! Other programs that the shell hands the terminal to: an editor, a pager.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::cli::Failure;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Runs a command line, which may bring options: `code --wait`.
fn command(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    // The shell splits it as the user's own shell would; "$@" keeps our argument whole.
    command.arg("-c").arg(format!("exec {line} \"$@\"")).arg(line);
    command
}

/// Lets the user edit a text.
pub fn edit(text: &str) -> Result<String, Failure> {
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_string());
    let path = std::env::temp_dir().join(format!("runlake-{}.sql", uuid::Uuid::new_v4().simple()));
    let mut file = {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?
    };
    file.write_all(text.as_bytes())?;
    drop(file);
    let status = command(&editor).arg(&path).status();
    let edited = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    match status {
        Ok(status) if status.success() => Ok(edited?),
        Ok(status) => Err(Failure::new(format!("'{editor}' ended with {status}"))
            .hint("set VISUAL or EDITOR to the editor that you like")),
        Err(e) => Err(Failure::new(format!("cannot run '{editor}': {e}"))),
    }
}

/// Shows a text through `$PAGER`, else `less`; an error when there is none.
pub fn page(text: &[u8]) -> io::Result<()> {
    let pager = variable("PAGER").unwrap_or_else(|| "less -FRSX".to_string());
    let mut child = command(&pager).stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    match stdin.write_all(text) {
        // Left before the end.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    drop(stdin);
    let status = child.wait()?;
    match status.code() {
        Some(126 | 127) => Err(io::Error::new(io::ErrorKind::NotFound, format!("cannot run '{pager}'"))),
        _ => Ok(()),
    }
}
