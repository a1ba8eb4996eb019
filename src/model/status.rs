//! Run statuses and the direction of a metric.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Started and not ended, with a writer that is alive.
    Running,
    /// Planned, not started.
    Scheduled,
    /// Ended well.
    Finished,
    /// Ended with an error.
    Failed,
    /// Ended from outside.
    Killed,
    /// Never ended, and no writer of it is alive. Derived when read, never logged.
    Crashed,
}

impl Status {
    /// All there are.
    pub const ALL: [Status; 6] =
        [Status::Running, Status::Scheduled, Status::Finished, Status::Failed, Status::Killed, Status::Crashed];

    /// The name, as in the column `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "RUNNING",
            Status::Scheduled => "SCHEDULED",
            Status::Finished => "FINISHED",
            Status::Failed => "FAILED",
            Status::Killed => "KILLED",
            Status::Crashed => "CRASHED",
        }
    }

    /// Whether the run has ended by its own word.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Finished | Status::Failed | Status::Killed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a run status; known are FINISHED, FAILED, KILLED, RUNNING and SCHEDULED")]
pub struct InvalidStatus(pub String);

impl FromStr for Status {
    type Err = InvalidStatus;
    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Ok(match text {
            "RUNNING" => Status::Running,
            "SCHEDULED" => Status::Scheduled,
            "FINISHED" => Status::Finished,
            "FAILED" => Status::Failed,
            "KILLED" => Status::Killed,
            // Readable, since exports of other stores hold it; a writer never sets it.
            "CRASHED" => Status::Crashed,
            _ => return Err(InvalidStatus(text.to_string())),
        })
    }
}

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Smaller is better.
    Min,
    /// Greater is better.
    Max,
}

impl Goal {
    /// The name, as in the column `goal`.
    pub fn as_str(self) -> &'static str {
        match self {
            Goal::Min => "min",
            Goal::Max => "max",
        }
    }
}

/// Text that is not a goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a goal; it is min or max")]
pub struct InvalidGoal(pub String);

impl FromStr for Goal {
    type Err = InvalidGoal;
    fn from_str(text: &str) -> Result<Self, InvalidGoal> {
        match text {
            "min" => Ok(Goal::Min),
            "max" => Ok(Goal::Max),
            _ => Err(InvalidGoal(text.to_string())),
        }
    }
}
