//! The `runlake` command: parses, calls the library, shows what it gave.

mod cli;

/// Planning a statement is tens of thousands of small allocations: an eighth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
