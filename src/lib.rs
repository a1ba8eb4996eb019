//! runlake keeps machine-learning runs as rows in open tables and answers SQL over them.
//!
//! Training code appends to a [`Run`]; what it logs is safe against the death of the process at once. Sealing moves it
//! into partitioned Parquet tables in Delta Lake. A [`Session`] answers SQL over one consistent state of both.
//!
//! ```
//! use runlake::{Metrics, RunOptions, Status, Store};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::create(dir.path())?;
//! let run = store.start_run(RunOptions::new("churn").name("gbm-3"))?;
//! run.log_param("lr", 0.1)?;
//! for step in 0..3 {
//!     run.log_metrics(Metrics::new().value("loss", 1.0 / (step + 1) as f64).step(step))?;
//! }
//! run.finish(Status::Finished)?;
//!
//! let session = store.session().await?;
//! let best = session.sql("SELECT name, params.lr, metrics.loss FROM runs ORDER BY metrics.loss LIMIT 1").await?;
//! assert_eq!(best.count().await?, 1);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! The library never prints, reads the environment or exits; the `runlake` command does.
#![warn(missing_docs)]

mod error;
pub mod export;
pub mod gate;
pub mod import;
mod model;
mod query;
pub mod report;
mod schema;
mod stats;
mod store;

pub use error::{Error, ErrorKind, Result};
pub use model::{
    ArtifactEntry, Comment, Context, DataVersion, ExperimentEdit, Feature, Goal, InvalidGoal, InvalidRunId,
    InvalidStatus, InvalidTime, Link, MetricGoal, Micros, Month, ParamValue, RepeatKeys, RunId, RunStart, SeriesKind,
    SeriesPoint, Status, Step,
};
pub use query::{
    ColumnInfo, DIALECT, FunctionError, MemoryWatch, Query, QueryError, Session, SessionOptions, TableSummary,
    check_condition, statements, within,
};
pub use store::ops::{CompactReport, GcOptions, GcReport, SMALL_FILES, SealReport};
pub use store::{
    ArtifactReader, AsOf, Changes, CopyReport, Durability, Finding, Generation, InvalidAsOf, LiveInfo, Metrics,
    Result as StoreResult, Run, RunOptions, StateInfo, Store, StoreError, StoreInfo, TableInfo, VerifyReport,
    WriteFailure, WriterOptions, io,
};

#[doc(hidden)]
pub mod fuzzing;

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
