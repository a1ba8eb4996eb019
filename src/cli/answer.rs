//! Runs one statement and passes its rows on as they come. Used by `sql` and by the shell.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use runlake::export::{ExportError, Sink, Written};
use runlake::{Error, MemoryWatch, QueryError, Session};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::Failure;

/// The threads that statements run on.
///
/// They are none of those that watch for Ctrl-C and time: some of the engine's operators, such as a join without a key,
/// hold their thread for minutes, and would otherwise take all of them.
pub struct Engine(Option<Runtime>);

/// The engine recurses over what it plans; memory that is not used costs nothing.
const STACK: usize = 16 << 20;

impl Engine {
    pub fn new() -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.thread_name("query").thread_stack_size(STACK);
        let runtime = runtime.enable_all().build()?;
        Ok(Engine(Some(runtime)))
    }

    /// Does work on these threads; a panic there is told as text.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
        // Dropping it ends the work.
        let mut set = JoinSet::new();
        set.spawn_on(work, self.handle());
        match set.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(e)) if e.is_panic() => Err(panicked(e)),
            _ => Err("it was cancelled".to_string()),
        }
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken when dropped").handle()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The process is about to end, and waits for no thread that is held. To shut the runtime down would make what
            // reads a table in it just now panic, in front of whoever pressed Ctrl-C.
            std::mem::forget(runtime);
        }
    }
}

/// Values for `$name` in statements.
pub type Params = Vec<(String, ScalarValue)>;

/// Why a statement did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    /// It failed.
    Failed(Failure),
    /// Whoever read the output has gone away: nothing is left to do, and nothing to complain about.
    BrokenPipe,
    /// Ctrl-C.
    Interrupted,
}

impl From<Error> for Stopped {
    fn from(e: Error) -> Self {
        Stopped::Failed(e.into())
    }
}

impl From<io::Error> for Stopped {
    fn from(e: io::Error) -> Self {
        ExportError::from(e).into()
    }
}

impl From<ExportError> for Stopped {
    fn from(e: ExportError) -> Self {
        if e.is_broken_pipe() { Stopped::BrokenPipe } else { Stopped::Failed(Failure::new(e)) }
    }
}

/// What a running statement gives.
enum Event {
    Planned { schema: SchemaRef, notes: Vec<String> },
    Rows(RecordBatch),
}

/// Ends the statements of a session unless the one at work has come to its end.
struct Stopping {
    session: Arc<Session>,
    ended: bool,
}

impl Drop for Stopping {
    fn drop(&mut self) {
        if !self.ended {
            self.session.stop();
        }
    }
}

/// A statement at work; dropping it ends it.
pub struct Answer {
    stopping: Stopping,
    watch: Option<MemoryWatch>,
    events: mpsc::Receiver<Event>,
    work: JoinSet<Result<(), Error>>,
    /// Its columns.
    pub schema: SchemaRef,
    /// What its reader should know.
    pub notes: Vec<String>,
}

impl Answer {
    /// Plans a statement and starts it.
    pub async fn start(engine: &Engine, session: Arc<Session>, sql: String, params: Params) -> Result<Self, Error> {
        // Few batches wait here, so memory stays flat whatever the reader's pace.
        let (sender, mut events) = mpsc::channel(2);
        let mut work = JoinSet::new();
        let mut stopping = Stopping { session: Arc::clone(&session), ended: false };
        work.spawn_on(run(session.clone(), sql, params, sender), engine.handle());
        let mut watch = session.memory_bytes().map(MemoryWatch::new);
        match next(&mut watch, &mut events).await? {
            Some(Event::Planned { schema, notes }) => Ok(Answer { stopping, watch, events, work, schema, notes }),
            Some(Event::Rows(_)) => unreachable!("the plan comes before rows"),
            None => match finish(&mut work, &mut stopping).await {
                Err(e) => Err(e),
                Ok(()) => unreachable!("it ends in an error or with a plan"),
            },
        }
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        match next(&mut self.watch, &mut self.events).await? {
            Some(Event::Rows(batch)) => Ok(Some(batch)),
            Some(Event::Planned { .. }) => unreachable!("a statement is planned once"),
            None => finish(&mut self.work, &mut self.stopping).await.map(|()| None),
        }
    }

    /// Writes all rows; `seen` hears how many there are so far.
    pub async fn write(mut self, mut sink: Box<dyn Sink + '_>, seen: impl Fn(usize)) -> Result<Written, Stopped> {
        sink.schema(&self.schema)?;
        let mut rows = 0;
        while let Some(batch) = self.next().await? {
            rows += batch.num_rows();
            seen(rows);
            sink.batch(&batch)?;
        }
        Ok(sink.finish()?)
    }
}

async fn next(
    watch: &mut Option<MemoryWatch>,
    events: &mut mpsc::Receiver<Event>,
) -> Result<Option<Event>, QueryError> {
    match watch {
        Some(watch) => watch.bound(events.recv()).await,
        None => Ok(events.recv().await),
    }
}

async fn run(session: Arc<Session>, sql: String, params: Params, sender: mpsc::Sender<Event>) -> Result<(), Error> {
    let query = session.query_with(&sql, &params).await?;
    let mut rows = query.frame.execute_stream().await.map_err(QueryError::from)?;
    let planned = Event::Planned { schema: rows.schema(), notes: query.notes };
    if sender.send(planned).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = rows.next().await {
        if sender.send(Event::Rows(batch.map_err(QueryError::from)?)).await.is_err() {
            // Nobody wants more.
            return Ok(());
        }
    }
    Ok(())
}

async fn finish(work: &mut JoinSet<Result<(), Error>>, stopping: &mut Stopping) -> Result<(), Error> {
    let done = work.join_next().await;
    stopping.ended = true;
    match done {
        Some(Ok(done)) => done,
        // The engine has given up in a way it should not; the shell need not.
        Some(Err(e)) if e.is_panic() => Err(QueryError::from(DataFusionError::Internal(panicked(e))).into()),
        // Cancelled, which only whoever waits here does; or ended before.
        Some(Err(_)) | None => Ok(()),
    }
}

fn panicked(e: JoinError) -> String {
    let cause = e.into_panic();
    let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
    format!("the engine panicked: {}", text.unwrap_or("no message"))
}
