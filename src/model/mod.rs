//! Plain types of the domain: ids, values, records of what was logged, and the state of a run that they add up to.
//!
//! Nothing here touches a disk or an engine.

mod context;
mod exact;
mod id;
mod param;
mod record;
mod series;
mod state;
mod status;
mod time;
pub(crate) mod unique;
mod version;

pub use context::Context;
pub use exact::ExactSum;
pub use id::{ExperimentId, InvalidRunId, RunId, WriterId};
pub use param::{NumberClass, ParamValue};
pub use record::{
    ArtifactEntry, Comment, DataVersion, ExperimentEdit, ExperimentOrigin, Feature, Link, MetricGoal, MetricPoints,
    Record, RunStart, SeriesKind, SeriesPoint, TableRows,
};
pub use series::{Position, SeriesStats, Step};
pub use state::{ExperimentState, GoalState, RepeatKeys, RunState};
pub use status::{Goal, InvalidGoal, InvalidStatus, Status};
pub use time::{InvalidTime, Micros, Month};
pub use version::Version;
