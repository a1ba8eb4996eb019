//! Lines into a store, batch by batch: what is bad is told and kept aside, what is safe is acknowledged.

use std::io::IsTerminal;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use runlake::Store;
use runlake::import::{FeedError, LineError, LineOptions, LineReader, Lines, RawLine};
use tokio::sync::mpsc;

use super::Failure;
use super::output::{count, counted, say};
use super::progress::Progress;

/// Lines of a batch at most.
const BATCH: usize = 1000;
/// Bad lines that are told one by one on a terminal; in a file all of them are.
const TOLD: u64 = 20;
/// How long an acknowledgement against power cuts may wait for others.
const GROUP_FOR: Duration = Duration::from_millis(50);

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ack {
    /// A killed process does not lose the line
    Buffered,
    /// A power cut does not lose it either
    Synced,
}

/// Reads an input on a thread of its own, since a pipe may keep it waiting for ever.
pub struct Input {
    batches: mpsc::Receiver<std::io::Result<Vec<RawLine>>>,
    stop: Arc<AtomicBool>,
}

impl Input {
    /// Begins to read.
    pub fn start(open: impl FnOnce() -> std::io::Result<Lines> + Send + 'static) -> Self {
        let (sender, batches) = mpsc::channel(2);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut lines = match open() {
                Ok(lines) => lines,
                Err(e) => return drop(sender.blocking_send(Err(e))),
            };
            while !stopped.load(Ordering::Relaxed) {
                let batch = lines.next_batch(BATCH);
                let last = !matches!(&batch, Ok(lines) if !lines.is_empty());
                if matches!(&batch, Ok(lines) if lines.is_empty()) || sender.blocking_send(batch).is_err() || last {
                    return;
                }
            }
        });
        Input { batches, stop }
    }

    /// The next lines; `None` at the end.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<RawLine>>> {
        self.batches.recv().await.transpose()
    }

    /// Whether no batch is waiting.
    fn is_idle(&self) -> bool {
        self.batches.is_empty()
    }

    /// Ends reading; gives what was read before.
    pub async fn stop(&mut self) -> Vec<Vec<RawLine>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut rest = Vec::new();
        // The thread may be waiting for a pipe that says nothing more: what it holds then is no whole line.
        while let Ok(Some(Ok(batch))) = tokio::time::timeout(Duration::from_millis(200), self.batches.recv()).await {
            rest.push(batch);
        }
        rest
    }
}

/// What to do beside logging.
pub struct FeedOptions {
    /// How lines are read.
    pub lines: LineOptions,
    /// Whether and when lines are acknowledged.
    pub ack: Option<Ack>,
    /// Where bad lines go.
    pub rejects: Option<Box<dyn Write + Send>>,
    /// Shows how far it is.
    pub progress: Progress,
}

/// Feeds lines to a store.
pub struct Feed {
    store: Store,
    reader: LineReader,
    ack: Option<Acks>,
    rejects: Option<Box<dyn Write + Send>>,
    progress: Progress,
    /// Lines that were logged.
    pub logged: u64,
    /// Lines that were refused.
    pub bad: u64,
}

impl Feed {
    /// Begins.
    pub fn new(store: &Store, options: FeedOptions) -> Self {
        Feed {
            store: store.clone(),
            reader: LineReader::new(store, options.lines),
            ack: options.ack.map(Acks::new),
            rejects: options.rejects,
            progress: options.progress,
            logged: 0,
            bad: 0,
        }
    }

    /// The number of runs that the lines were about.
    pub fn runs(&self) -> u64 {
        self.reader.runs() as u64
    }

    /// Feeds all of an input. `Ok(false)`: Ctrl-C came; what had been read by then was fed.
    pub async fn run(&mut self, input: &mut Input) -> Result<bool, Failure> {
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        loop {
            let batch = tokio::select! {
                batch = input.next() => batch,
                _ = interrupt.recv() => {
                    for batch in input.stop().await {
                        self.batch(batch).await?;
                    }
                    self.acknowledge(true)?;
                    return Ok(false);
                }
            };
            match batch {
                Ok(Some(batch)) => self.batch(batch).await?,
                Ok(None) => break,
                Err(e) => {
                    self.acknowledge(true)?;
                    return Err(Failure::new(format!("the input cannot be read: {e}"))
                        .hint(format!("{} before it were logged", counted(self.logged, "line"))));
                }
            }
            self.acknowledge(input.is_idle())?;
        }
        self.acknowledge(true)?;
        Ok(true)
    }

    /// Feeds one batch.
    pub async fn batch(&mut self, batch: Vec<RawLine>) -> Result<(), Failure> {
        let read: Vec<_> = batch.iter().map(|raw| self.reader.parse(raw.number, raw.text()?)).collect();
        self.reader.look_up(read.iter().filter_map(|line| line.as_ref().ok()?.as_ref())).await?;
        let steps = batch.len() as u64;
        for (raw, line) in batch.into_iter().zip(read) {
            let result = match line {
                Ok(None) => continue,
                Ok(Some(line)) => self.reader.apply(raw.number, line).map_err(|e| (e, &raw)),
                Err(e) => Err((e.into(), &raw)),
            };
            match result {
                Ok(_) => {
                    self.logged += 1;
                    self.ack.iter_mut().for_each(|acks| acks.push(raw.number));
                }
                Err((FeedError::Line(e), raw)) => self.refuse(&e, raw)?,
                Err((FeedError::Store(e), _)) => {
                    // What was written before this line is as safe as it was promised to be.
                    let _ = self.acknowledge(true);
                    let lines = counted(self.logged, "line");
                    return Err(Failure::from(e).hint(format!(
                        "line {} and what follows were not logged, {lines} before it were",
                        raw.number
                    )));
                }
                Err((e, _)) => return Err(Failure::new(e)),
            }
        }
        self.progress.done(steps);
        Ok(())
    }

    fn refuse(&mut self, e: &LineError, raw: &RawLine) -> Result<(), Failure> {
        self.bad += 1;
        match self.bad {
            n if n <= TOLD || !std::io::stderr().is_terminal() => self.progress.say(&e.to_string()),
            n if n == TOLD + 1 => {
                self.progress.say("... more bad lines are counted, not shown; `2> FILE` names them all")
            }
            _ => {}
        }
        if let Some(rejects) = &mut self.rejects {
            rejects
                .write_all(&raw.bytes)
                .and_then(|()| rejects.write_all(b"\n"))
                .map_err(|e| Failure::new(format!("a bad line cannot be written to the --rejects file: {e}")))?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, now: bool) -> Result<(), Failure> {
        match &mut self.ack {
            Some(acks) => acks.print(&self.store, now),
            None => Ok(()),
        }
    }

    /// Says how it went. The lines are flushed before.
    pub fn finish(&mut self, began: Instant, undone: bool) -> Result<(), Failure> {
        if let Some(rejects) = &mut self.rejects {
            rejects.flush()?;
        }
        if self.bad > 0 {
            let rest = if undone { "nothing was logged (--strict)" } else { "they were left out" };
            say(format!("{} of {} bad; {rest}", count(self.bad), counted(self.bad + self.logged, "line")));
        }
        if !undone {
            let (lines, runs) = (counted(self.logged, "line"), counted(self.runs(), "run"));
            say(format!("logged {lines} of {runs} in {}", super::output::span(began.elapsed())));
        }
        Ok(())
    }
}

/// Numbers of lines that wait to be acknowledged.
struct Acks {
    when: Ack,
    waiting: Vec<u64>,
    since: Option<Instant>,
    /// Whether somebody reads them.
    heard: bool,
}

impl Acks {
    fn new(when: Ack) -> Self {
        Acks { when, waiting: Vec::new(), since: None, heard: true }
    }

    fn push(&mut self, number: u64) {
        self.waiting.push(number);
        self.since.get_or_insert_with(Instant::now);
    }

    fn print(&mut self, store: &Store, now: bool) -> Result<(), Failure> {
        let Some(since) = self.since else { return Ok(()) };
        if self.when == Ack::Synced {
            if !now && self.waiting.len() < BATCH && since.elapsed() < GROUP_FOR {
                return Ok(());
            }
            store.flush()?;
        }
        let text: String = self.waiting.drain(..).map(|n| format!("{n}\n")).collect();
        self.since = None;
        if self.heard {
            let mut out = std::io::stdout().lock();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                // The lines are worth more than the numbers.
                self.heard = false;
                say("nobody reads the acknowledgements any more; lines are logged without them");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn feed(store: &Store, rejects: Kept) -> Feed {
        let lines = LineOptions::default();
        Feed::new(store, FeedOptions { lines, ack: None, rejects: Some(Box::new(rejects)), progress: Progress::none() })
    }

    #[tokio::test]
    async fn bad_lines_are_counted_and_kept_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("store")).unwrap();
        let mut text = b"{\"type\":\"run\",\"run\":\"r\",\"experiment\":\"e\"}\n\n".to_vec();
        let mut bad = Vec::new();
        for i in 0..2500 {
            let line = match i % 5 {
                0 => format!("{{\"type\":\"metrics\",\"run\":\"r\",\"step\":{i},\"valeus\":{{}}}} "),
                _ => format!("{{\"type\":\"metrics\",\"run\":\"r\",\"step\":{i},\"values\":{{\"a\":{i}}}}}"),
            };
            if i % 5 == 0 {
                bad.extend_from_slice(line.as_bytes());
                bad.push(b'\n');
            }
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(b"\xff\xfe\n");
        bad.extend_from_slice(b"\xff\xfe\n");
        let kept = Kept::default();
        let mut feed = feed(&store, kept.clone());
        let mut input = Input::start(|| Lines::new(Box::new(Cursor::new(text))));
        assert!(feed.run(&mut input).await.unwrap());
        assert_eq!((feed.logged, feed.bad, feed.runs()), (2001, 501, 1));
        assert_eq!(*kept.0.lock().unwrap(), bad);
        let session = store.session().await.unwrap();
        assert_eq!(session.sql("SELECT step FROM metrics").await.unwrap().count().await.unwrap(), 2000);
    }

    /// Gives a line, then says nothing more.
    struct Silent(Option<&'static [u8]>);

    impl Read for Silent {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.take() {
                Some(line) => {
                    buffer[..line.len()].copy_from_slice(line);
                    Ok(line.len())
                }
                None => loop {
                    std::thread::park();
                },
            }
        }
    }

    #[tokio::test]
    async fn a_line_of_a_silent_pipe_is_not_waited_for() {
        let first: &[u8] = b"{}";
        let mut input = Input::start(move || {
            let then: &'static [u8] = b"\nhalf";
            Lines::new(Box::new(Cursor::new(first).chain(Silent(Some(then)))))
        });
        let batch = input.next().await.unwrap().unwrap();
        assert_eq!(batch.len(), 1);
        assert_eq!(batch[0].bytes, b"{}");
        assert!(input.stop().await.is_empty(), "half a line is no line");
    }
}
