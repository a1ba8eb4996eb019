//! `docs/cli.md`, made from the help texts.

use std::fmt::Write;

use clap::CommandFactory;

use super::args::Args;

const INTRODUCTION: &str = "\
# Command line

This page is made from the help texts of `runlake`; `UPDATE_DOCS=1 cargo test --bin runlake docs` writes it anew.

## Which store

`--store DIR` names it, else the variable `RUNLAKE_STORE`, else it is the nearest folder called `.runlake` in the working
folder or above it. `runlake init` makes one there.

## Output

Results go to stdout, everything else (progress, notes, errors) to stderr. Colours and progress bars show on a terminal only,
and never when `NO_COLOR` is set to anything. Text that was logged cannot act on the terminal: control characters show as
escapes. An error says what happened, and often how to mend it:

```text
error: run '0192f0c5' does not exist
 hint: `runlake runs` lists the latest runs; a deleted one comes back with `runlake restore`
```

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed: SQL, bad data, a damaged file, the disk |
| 2 | called wrongly, or there is no store |
| 3 | a gate failed, or a run should stop ([gates](ci.md)) |
| 130 | interrupted (Ctrl-C); 0 for `watch` and `report --watch`, which one leaves by it |

## What `log` acknowledges

`runlake log --ack` prints the number of each line once it is safe, one to a line, in order. Bad lines and empty ones have no
number. With `--ack` a line whose number was printed survives the death of any process; with `--ack=synced` it survives a power
cut too, and up to 1,000 lines or 50 ms of them share one write to the disk. If nobody reads the numbers any more, the lines are
logged all the same. On Ctrl-C everything that was read is logged before the command ends.

`--rejects FILE` gets the bad lines as they are, so that they can be mended and logged again. With `--strict` the whole input is
checked first, params that would be set to another value included, and nothing is logged when any line is bad.

";

/// The page.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_string();
    let command = Args::command().term_width(100);
    write!(page, "## runlake\n\n```text\n{}```\n", help(command.clone())).expect("a string takes all");
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help" && !c.is_hide_set()) {
        let name = format!("runlake {}", sub.get_name());
        let text = help(sub.clone().bin_name(&name).term_width(100));
        write!(page, "\n## {name}\n\n```text\n{text}```\n").expect("a string takes all");
    }
    page
}

fn help(mut command: clap::Command) -> String {
    let text = command.render_long_help().to_string();
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
        let page = markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let stands = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stands == page, "docs/cli.md is out of date; UPDATE_DOCS=1 cargo test --bin runlake docs mends it");
    }

    #[test]
    fn arguments_are_sound_and_every_command_has_an_example() {
        Args::command().debug_assert();
        for sub in Args::command().get_subcommands().filter(|c| c.get_name() != "help") {
            let help = help(sub.clone());
            assert!(help.contains("Example"), "{} has no example", sub.get_name());
        }
    }
}
