//! `runlake completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Args;
use crate::cli::{Exit, Outcome};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake completions bash > ~/.local/share/bash-completion/completions/runlake
  runlake completions zsh > ~/.zfunc/_runlake
  runlake completions fish > ~/.config/fish/completions/runlake.fish")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

pub fn run(args: CompletionsArgs) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "runlake", &mut text);
    crate::cli::output::put(String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
