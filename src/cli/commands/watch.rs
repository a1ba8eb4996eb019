//! `runlake watch`.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use chrono::Local;
use runlake::export::{Format, TableOptions, clip, escape, sink};
use tokio::time::MissedTickBehavior;

use crate::cli::answer::{Answer, Engine, Stopped};
use crate::cli::shell::word;
use crate::cli::target::check_binary;
use crate::cli::{Exit, Failure, Outcome, Place, terminal, values};

/// Answer a query again and again, live while training runs
///
/// Each time it reads the newest state. On a terminal the answer is drawn in place; elsewhere answers follow each other. A query that
/// fails is told and tried again. Ctrl-C leaves. There is no --as-of: a state of the past does not change, and `runlake sql --as-of`
/// answers it once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake watch \"SELECT name, status, metrics.loss FROM runs ORDER BY start_time DESC LIMIT 10\"
  runlake watch \"SELECT * FROM best_runs('churn', 'auc', 5)\" --every 30s
  runlake watch \"SELECT count(*) FROM runs WHERE status = 'FAILED'\" --format ndjson --times 10")]
pub struct WatchArgs {
    /// The query
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// Seconds from one answer to the next
    #[arg(long, value_name = "SECONDS", default_value = "5s", value_parser = values::seconds)]
    pub every: Duration,
    /// Leaves after so many answers
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub times: Option<u64>,
    /// How rows are written: table, csv, tsv, json, ndjson, markdown, html or line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Refused: a state of the past does not change, `runlake sql --as-of` answers it once
    #[arg(long, value_name = "TIME|STATE", hide = true)]
    pub as_of: Option<String>,
}

pub async fn run(place: &Place, args: WatchArgs) -> Outcome {
    if let Some(as_of) = &args.as_of {
        return Err(Failure::usage("a state of the past does not change, so there is nothing to watch")
            .hint(format!("`runlake sql --as-of {}` answers the query once", word(as_of))));
    }
    if args.format.is_binary() {
        return Err(Failure::usage(format!("{} cannot be watched", args.format)).hint("`runlake sql --out` writes it"));
    }
    check_binary(args.format, None, 1)?;
    // A store that is not there is a slip, not a passing fault.
    place.open()?;
    tokio::select! {
        outcome = watch(place, &args) => outcome,
        // That is how one leaves.
        _ = tokio::signal::ctrl_c() => {
            if io::stdout().is_terminal() {
                // The line of the ^C.
                println!();
            }
            Ok(Exit::Done)
        }
    }
}

async fn watch(place: &Place, args: &WatchArgs) -> Outcome {
    let engine = Engine::new()?;
    let mut ticks = tokio::time::interval(args.every);
    // A query slower than the pace is not asked twice in a row to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = 0;
    loop {
        ticks.tick().await;
        let size = terminal::size().filter(|_| io::stdout().is_terminal());
        let answer = answer(place, &engine, args, size).await;
        let out = match size {
            Some(size) => frame(args, size, &answer, shown == 0),
            None => append(args, &answer, shown == 0),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()?;
        shown += 1;
        if args.times == Some(shown) {
            return Ok(if answer.is_ok() { Exit::Done } else { Exit::Failed });
        }
    }
}

/// The rows as text; what went wrong otherwise.
async fn answer(
    place: &Place,
    engine: &Engine,
    args: &WatchArgs,
    size: Option<(usize, usize)>,
) -> Result<String, Failure> {
    let session = Arc::new(place.open()?.session().await?);
    let mut text = Vec::new();
    let table = match size {
        // Title, blank line, header, rule, the note of what is hidden, and the cursor.
        Some((width, lines)) => TableOptions {
            width: Some(width),
            max_rows: Some(lines.saturating_sub(6).max(1)),
            color: terminal::has_color(&io::stdout()),
        },
        None => TableOptions::default(),
    };
    let answer = Answer::start(engine, session, args.sql.clone(), Vec::new()).await?;
    let notes: String = answer.notes.iter().map(|note| format!("note: {}\n", escape(note))).collect();
    match answer.write(sink(args.format, &mut text, &table), |_| ()).await {
        Ok(_) => {}
        Err(Stopped::Failed(failure)) => return Err(failure),
        Err(Stopped::BrokenPipe | Stopped::Interrupted) => unreachable!("it is written to memory"),
    }
    let text = String::from_utf8_lossy(&text);
    let text =
        if io::stdout().is_terminal() && !args.format.is_terminal_safe() { visible(&text) } else { text.into_owned() };
    Ok(if args.format == Format::Table { text + &notes } else { text })
}

/// Text with what acts on a terminal as escapes, save line breaks and tabs.
fn visible(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn told(failure: &Failure) -> String {
    let mut text = format!("error: {}\n", lines(&failure.message));
    failure.hints.iter().for_each(|hint| text += &format!(" hint: {}\n", lines(hint)));
    text
}

fn lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// The terminal's next picture: drawn over the one before, so that nothing flickers.
fn frame(args: &WatchArgs, (width, height): (usize, usize), answer: &Result<String, Failure>, first: bool) -> String {
    let head = format!(
        "{}  every {}  {}",
        Local::now().format("%Y-%m-%d %H:%M:%S"),
        crate::cli::output::span(args.every),
        escape(&args.sql.split_whitespace().collect::<Vec<_>>().join(" "))
    );
    let body = match answer {
        Ok(text) => text.clone(),
        Err(failure) => told(failure),
    };
    // The first one keeps what stood there in the scrollback.
    let mut out = if first { "\n".repeat(height.saturating_sub(1)) } else { String::new() };
    out += "\x1b[H";
    out += &format!("{}\x1b[K\n\x1b[K\n", clip(&head, width));
    let room = height.saturating_sub(3);
    for line in body.lines().take(room) {
        out += &format!("{line}\x1b[K\n");
    }
    out + "\x1b[J"
}

/// What follows the answers before.
fn append(args: &WatchArgs, answer: &Result<String, Failure>, first: bool) -> String {
    let apart = if first || args.format.is_self_delimiting() { "" } else { "\n" };
    match answer {
        Ok(text) if args.format == Format::Table => {
            format!("{apart}{}\n{text}", Local::now().format("%Y-%m-%d %H:%M:%S"))
        }
        Ok(text) => format!("{apart}{text}"),
        Err(failure) => {
            // Rows are for programs there.
            crate::cli::output::say(format_args!("error: {}", failure.message));
            failure.hints.iter().for_each(|hint| crate::cli::output::say(format_args!(" hint: {hint}")));
            String::new()
        }
    }
}
