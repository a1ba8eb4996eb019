//! The `runlake` command: parses, calls the library, shows what it gave.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
