//! How much of each kind of thing there is.

use std::ops::{AddAssign, Index, IndexMut};

use crate::model::Record;

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $name:literal),* $(,)?) => {
        /// A kind of thing that a store of runs holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$meta])* $kind,)*
        }

        impl Kind {
            /// All of them, in the order of reports.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// The name, as in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// Experiments, with their tags.
    Experiments = "experiments",
    /// Runs.
    Runs = "runs",
    /// Names, notes, ends and deletions of runs, counted per run that has another one.
    RunFacts = "facts of runs",
    /// Params.
    Params = "params",
    /// Logged points of metrics.
    Points = "metric points",
    /// Directions of metrics.
    Goals = "metric goals",
    /// Points that are not numbers.
    Series = "series points",
    /// Tags.
    Tags = "tags",
    /// Features.
    Features = "features",
    /// Data sets in a role.
    DataVersions = "data versions",
    /// Ties between runs.
    Links = "links",
    /// Comments.
    Comments = "comments",
    /// Packages.
    Packages = "packages",
    /// Facts about where a run ran.
    Environment = "environment",
    /// Rows of tables of runs.
    Rows = "table rows",
    /// Files.
    Artifacts = "artifacts",
}

/// A number for each kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::ALL.len()]);

impl Index<Kind> for Counts {
    type Output = u64;
    fn index(&self, kind: Kind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl IndexMut<Kind> for Counts {
    fn index_mut(&mut self, kind: Kind) -> &mut u64 {
        &mut self.0[kind as usize]
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine += other;
        }
    }
}

impl Counts {
    /// Counts what a record brings. Start, end and deletion are facts of the run, which is counted by whoever knows it.
    pub(super) fn add_record(&mut self, record: &Record) {
        let (kind, n) = match record {
            Record::Params { values, .. } => (Kind::Params, values.len()),
            Record::Metrics(points) => (Kind::Points, points.values.len()),
            Record::Goal(_) => (Kind::Goals, 1),
            Record::Tags { set, .. } => (Kind::Tags, set.len()),
            Record::Comment { .. } => (Kind::Comments, 1),
            Record::Features { features, .. } => (Kind::Features, features.len()),
            Record::Data { .. } => (Kind::DataVersions, 1),
            Record::Packages { values, .. } => (Kind::Packages, values.len()),
            Record::Environment { values, .. } => (Kind::Environment, values.len()),
            Record::Link { .. } => (Kind::Links, 1),
            Record::Series { .. } => (Kind::Series, 1),
            Record::Artifact { .. } => (Kind::Artifacts, 1),
            Record::Experiment(_) => (Kind::Experiments, 1),
            Record::Start(_)
            | Record::Attach { .. }
            | Record::Notes { .. }
            | Record::Name { .. }
            | Record::Origin(_)
            | Record::RemoveComment { .. }
            | Record::Table { .. }
            | Record::Finish { .. }
            | Record::Delete { .. }
            | Record::Restore { .. } => return,
        };
        self[kind] += n as u64;
    }
}
