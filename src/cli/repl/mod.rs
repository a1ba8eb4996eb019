//! The SQL shell: reads a statement or a command, answers it, and starts again.
//!
//! Every statement sees the newest state of the store. Ctrl-C ends what runs and never the shell.

mod commands;
mod line;
mod programs;
mod results;
mod spinner;
mod words;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use runlake::export::{Format, escape};
use runlake::{Session, Store};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::commands::Action;
use self::line::LineHelper;
use self::results::Results;
use self::spinner::Spinner;
use self::words::Names;
use super::answer::{Answer, Engine, Params, Stopped};
use super::place::Past;
use super::statements::split;
use super::{Exit, Failure, Outcome, failure, terminal};

/// Files that `.read` files read that `.read` files read ...
const MAX_DEPTH: usize = 16;
const HISTORY_LINES: usize = 10_000;

/// Runs the shell until its user leaves, or through all of stdin when that is no terminal.
pub async fn run(store: Store, place: &Path, past: Past) -> Outcome {
    if io::stdin().is_terminal() {
        let mut shell = Shell::new(store, past, true)?;
        return shell.talk(place).await;
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| Failure::new(format!("cannot read stdin: {e}")))?;
    let mut shell = Shell::new(store, past, false)?;
    match shell.script(&text, 0).await {
        Ok(_) | Err(Stopped::BrokenPipe) => Ok(Exit::Done),
        Err(Stopped::Interrupted) => Ok(Exit::Interrupted),
        Err(Stopped::Failed(failure)) => Err(failure),
    }
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Quit,
}

struct Shell {
    store: Store,
    past: Past,
    engine: Engine,
    interrupts: Signal,
    results: Results,
    interactive: bool,
    timing: bool,
    /// For `.edit`.
    last: String,
    /// What `.edit` gave, to be looked over and sent with Enter.
    edited: String,
    /// Said before.
    warnings: Vec<String>,
}

impl Shell {
    fn new(store: Store, past: Past, interactive: bool) -> Result<Self, Failure> {
        let interrupts = signal(SignalKind::interrupt())?;
        Ok(Shell {
            store,
            past,
            engine: Engine::new()?,
            interrupts,
            results: Results::new(),
            interactive,
            timing: interactive,
            last: String::new(),
            edited: String::new(),
            warnings: Vec::new(),
        })
    }

    async fn talk(&mut self, place: &Path) -> Outcome {
        let color = terminal::has_color(&io::stdout());
        let mut editor = editor(&self.store, color)?;
        let history = history_path();
        if let Some(path) = &history {
            // The first start has none.
            let _ = editor.load_history(path);
        }
        println!("runlake {}, store {}", runlake::VERSION, escape(&place.display().to_string()));
        println!("Statements end with `;`, `.help` lists commands, Tab completes, Ctrl-D leaves.");
        self.greet().await;
        let prompt = ("runlake> ", if color { "\x1b[1;36mrunlake>\x1b[0m " } else { "runlake> " });
        loop {
            if let Some(helper) = editor.helper() {
                helper.forget();
            }
            let edited = std::mem::take(&mut self.edited);
            let line = match editor.readline_with_initial(&prompt, (&edited, "")) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(e) => return Err(Failure::new(format!("cannot read from the terminal: {e}"))),
            };
            if line.trim().is_empty() {
                continue;
            }
            remember(&mut editor, history.as_deref(), line.trim_end());
            match self.script(&line, 0).await {
                Ok(Next::More) => {}
                Ok(Next::Quit) | Err(Stopped::BrokenPipe) => break,
                Err(Stopped::Interrupted) => eprintln!("cancelled"),
                Err(Stopped::Failed(failed)) => {
                    failure::report(&in_shell(failed));
                }
            }
        }
        Ok(Exit::Done)
    }

    /// Says what is wrong with the store, if anything.
    async fn greet(&mut self) {
        match self.session().await {
            Ok(_) => {}
            Err(e) => {
                failure::report(&in_shell(e.into()));
            }
        }
    }

    /// Runs statements and commands, up to the first that fails. A command stands on a line of its own.
    async fn script(&mut self, text: &str, depth: usize) -> Result<Next, Stopped> {
        let mut pending = String::new();
        for line in text.split_inclusive('\n') {
            if pending.trim().is_empty() && commands::is_command(line) {
                if self.command(line, depth).await? == Next::Quit {
                    return Ok(Next::Quit);
                }
                continue;
            }
            pending.push_str(line);
            // Looked at once a line could end a statement, so that a long file is not cut again with every line.
            if line.contains(';') && line::is_whole(&pending) {
                self.statements(&std::mem::take(&mut pending)).await?;
            }
        }
        self.statements(&pending).await?;
        Ok(Next::More)
    }

    async fn statements(&mut self, text: &str) -> Result<(), Stopped> {
        if !text.trim().is_empty() {
            self.last = text.trim().to_string();
        }
        for statement in split(text).all() {
            self.statement(statement.text).await?;
        }
        Ok(())
    }

    async fn statement(&mut self, sql: &str) -> Result<(), Stopped> {
        // Ctrl-C that came while nothing ran.
        while self.interrupts.recv().now_or_never().is_some() {}
        let started = Instant::now();
        let spinner = Spinner::start();
        let (store, past, engine) = (&self.store, &self.past, &self.engine);
        let (results, warnings) = (&mut self.results, &mut self.warnings);
        let work = async {
            let session = open(store, past, warnings).await?;
            let answer = Answer::start(engine, session, sql.to_string(), Params::new()).await?;
            let notes = answer.notes.clone();
            let written = results.show(answer, &spinner).await?;
            Ok::<_, Stopped>((written, notes))
        };
        let done = tokio::select! {
            biased;
            _ = self.interrupts.recv() => Err(Stopped::Interrupted),
            done = work => done,
        };
        if matches!(done, Err(Stopped::Interrupted)) {
            // Threads that what was cancelled still holds must not be missing to the next statement.
            self.engine = Engine::new()?;
        }
        let (written, notes) = done?;
        drop(spinner);
        for note in notes {
            eprintln!("note: {}", escape(&note));
        }
        if self.timing {
            let rows = if written.rows == 1 { "row" } else { "rows" };
            let text = format!("{} {rows} ({:.3} s)", written.rows, started.elapsed().as_secs_f64());
            if terminal::has_color(&io::stderr()) {
                eprintln!("\x1b[2m{text}\x1b[0m");
            } else {
                eprintln!("{text}");
            }
        }
        Ok(())
    }

    async fn session(&mut self) -> Result<Arc<Session>, runlake::Error> {
        open(&self.store, &self.past, &mut self.warnings).await
    }

    async fn command(&mut self, line: &str, depth: usize) -> Result<Next, Stopped> {
        let (action, argument) = commands::parse(line)?;
        match action {
            Action::Help => print!("{}", commands::help()),
            Action::Quit => return Ok(Next::Quit),
            Action::Tables => self.tables().await?,
            Action::Describe => {
                // Whoever asks for the columns wants to see them all.
                let rows = self.results.rows.take();
                let done = self.statement(&format!("DESCRIBE {argument}")).await;
                self.results.rows = rows;
                done?;
            }
            Action::Mode if argument.is_empty() => println!("{}", self.results.format),
            Action::Mode => self.results.format = argument.parse::<Format>().map_err(Failure::new)?,
            Action::Rows => self.results.rows = rows(argument)?,
            Action::Timing => {
                self.timing = switch(argument, self.timing)?;
                println!("timing is {}", if self.timing { "on" } else { "off" });
            }
            Action::Pager => {
                self.results.pager = switch(argument, self.results.pager)?;
                println!("the pager is {}", if self.results.pager { "on" } else { "off" });
            }
            Action::Output => self.results.redirect((!argument.is_empty()).then(|| Path::new(argument)))?,
            Action::Read if argument.is_empty() => return Err(Failure::new("name a file: `.read FILE`").into()),
            Action::Read => {
                if depth == MAX_DEPTH {
                    return Err(Failure::new(format!("files that read files, {MAX_DEPTH} deep")).into());
                }
                let text = std::fs::read_to_string(argument)
                    .map_err(|e| Failure::new(format!("cannot read '{}': {e}", escape(argument))))?;
                return Box::pin(self.script(&text, depth + 1)).await;
            }
            Action::Edit if !self.interactive => return Err(Failure::new("there is no terminal to edit on").into()),
            Action::Edit => self.edited = programs::edit(&self.last)?.trim_end().to_string(),
        }
        Ok(Next::More)
    }

    async fn tables(&mut self) -> Result<(), Stopped> {
        let tables = self.session().await?.tables();
        let width = tables.iter().map(|table| runlake::export::display_width(&escape(&table.name))).max().unwrap_or(0);
        for table in tables {
            let name = escape(&table.name).into_owned();
            let gap = " ".repeat(width + 2 - runlake::export::display_width(&name));
            println!("{name}{gap}{}", escape(&table.doc));
        }
        Ok(())
    }
}

/// A session over the state that is read; what is wrong with the store is said once.
async fn open(store: &Store, past: &Past, warnings: &mut Vec<String>) -> Result<Arc<Session>, runlake::Error> {
    past.prepare(store).await;
    let session = store.session_with(past.options()).await?;
    for warning in session.warnings() {
        if !warnings.contains(&warning) {
            eprintln!("warning: {}", escape(&warning));
            warnings.push(warning);
        }
    }
    Ok(Arc::new(session))
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Failed(failure)
    }
}

/// Hints name the shell's own commands where there are any.
fn in_shell(mut failure: Failure) -> Failure {
    for hint in &mut failure.hints {
        *hint = hint.replace("`runlake sql -c 'DESCRIBE runs'`", "`.describe runs`");
    }
    failure
}

/// `on`, `off`, or nothing, which turns it over.
fn switch(argument: &str, now: bool) -> Result<bool, Failure> {
    match argument.to_ascii_lowercase().as_str() {
        "" => Ok(!now),
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        other => Err(Failure::new(format!("it is on or off, not '{}'", escape(other)))),
    }
}

fn rows(argument: &str) -> Result<Option<usize>, Failure> {
    match argument.to_ascii_lowercase().as_str() {
        "all" | "0" => Ok(None),
        number => match number.parse() {
            Ok(rows) => Ok(Some(rows)),
            Err(_) => Err(Failure::new("give a number of rows, or all: `.rows 500`, `.rows all`")),
        },
    }
}

fn editor(store: &Store, color: bool) -> Result<Editor<LineHelper, FileHistory>, Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .history_ignore_space(true)
        .color_mode(if color { rustyline::ColorMode::Enabled } else { rustyline::ColorMode::Disabled })
        .max_history_size(HISTORY_LINES)
        .map_err(|e| Failure::new(format!("cannot set up the terminal: {e}")))?
        .build();
    let mut editor =
        Editor::with_config(config).map_err(|e| Failure::new(format!("cannot set up the terminal: {e}")))?;
    let store = store.clone();
    let runtime = tokio::runtime::Handle::current();
    let load = move || tokio::task::block_in_place(|| runtime.block_on(names(&store)));
    editor.set_helper(Some(LineHelper::new(color, Box::new(load))));
    Ok(editor)
}

/// The names that Tab completes; `None` when the store cannot be read, which the next statement will say.
async fn names(store: &Store) -> Option<Names> {
    let session = store.session().await.ok()?;
    let tables: Vec<String> = session.tables().into_iter().map(|table| table.name).collect();
    let mut columns = BTreeMap::new();
    for table in &tables {
        if let Ok(found) = session.columns(table).await {
            columns.insert(table.clone(), found.into_iter().map(|column| column.name).collect());
        }
    }
    let (functions, table_functions) = (session.functions(), session.table_functions());
    Some(Names { tables, columns, functions, table_functions })
}

/// The history's place by the rules of XDG; `None` where there is no home.
fn history_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let dir = state.join("runlake");
    // Without it the shell works as well, and forgets.
    std::fs::create_dir_all(&dir).ok()?;
    Some(dir.join("history"))
}

/// Adds to the history at once, so that nothing is lost with the terminal, and shells side by side share it.
fn remember(editor: &mut Editor<LineHelper, FileHistory>, path: Option<&Path>, line: &str) {
    if let (Ok(true), Some(path)) = (editor.add_history_entry(line), path) {
        let _ = editor.append_history(path);
    }
}
