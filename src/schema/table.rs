//! The list of tables, and all rows of a run at once.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::wide::{KeyCounts, WideBuilder};
use super::{
    ArtifactRow, Column, CommentRow, DataVersionRow, EnvironmentRow, ExperimentRow, FeatureRow, LinkRow, MetricDefRow,
    MetricRow, MetricStatRow, PackageRow, ParamRow, Row, RunRow, SeriesRow, TagRow,
};
use crate::model::{Link, ParamValue, RunState, Status};

/// A table of the store. `Frame` is a table that runs logged under that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each row struct says what its table holds")]
pub enum Table {
    Runs,
    Params,
    Metrics,
    MetricStats,
    Features,
    DataVersions,
    Tags,
    Artifacts,
    Packages,
    Environment,
    Links,
    Comments,
    Series,
    Experiments,
    MetricDefs,
    Frame(String),
}

impl Table {
    /// Every table with a fixed schema, `runs` first.
    pub const FIXED: [Table; 15] = [
        Table::Runs,
        Table::Params,
        Table::Metrics,
        Table::MetricStats,
        Table::Features,
        Table::DataVersions,
        Table::Tags,
        Table::Artifacts,
        Table::Packages,
        Table::Environment,
        Table::Links,
        Table::Comments,
        Table::Series,
        Table::Experiments,
        Table::MetricDefs,
    ];

    /// The tables whose rows are the state of a run, replaced as a whole when it changes.
    pub const RUN_STATE: [Table; 11] = [
        Table::Params,
        Table::MetricStats,
        Table::Features,
        Table::DataVersions,
        Table::Tags,
        Table::Artifacts,
        Table::Packages,
        Table::Environment,
        Table::Links,
        Table::Comments,
        Table::Runs,
    ];

    /// The SQL name; for a frame the name within the schema `frames`.
    pub fn name(&self) -> &str {
        match self {
            Table::Runs => "runs",
            Table::Params => "params",
            Table::Metrics => "metrics",
            Table::MetricStats => "metric_stats",
            Table::Features => "features",
            Table::DataVersions => "data_versions",
            Table::Tags => "tags",
            Table::Artifacts => "artifacts",
            Table::Packages => "packages",
            Table::Environment => "environment",
            Table::Links => "links",
            Table::Comments => "comments",
            Table::Series => "series",
            Table::Experiments => "experiments",
            Table::MetricDefs => "metric_defs",
            Table::Frame(name) => name,
        }
    }

    /// Reads back what `Display` writes.
    pub fn parse(text: &str) -> Option<Table> {
        match text.strip_prefix("frames.") {
            Some(name) => Some(Table::Frame(name.to_string())),
            None => Table::FIXED.iter().find(|t| t.name() == text).cloned(),
        }
    }

    /// The columns with their meaning; `None` for frames, whose columns are what was logged.
    pub fn columns(&self) -> Option<&'static [Column]> {
        Some(match self {
            Table::Runs => RunRow::columns(),
            Table::Params => ParamRow::columns(),
            Table::Metrics => MetricRow::columns(),
            Table::MetricStats => MetricStatRow::columns(),
            Table::Features => FeatureRow::columns(),
            Table::DataVersions => DataVersionRow::columns(),
            Table::Tags => TagRow::columns(),
            Table::Artifacts => ArtifactRow::columns(),
            Table::Packages => PackageRow::columns(),
            Table::Environment => EnvironmentRow::columns(),
            Table::Links => LinkRow::columns(),
            Table::Comments => CommentRow::columns(),
            Table::Series => SeriesRow::columns(),
            Table::Experiments => ExperimentRow::columns(),
            Table::MetricDefs => MetricDefRow::columns(),
            Table::Frame(_) => return None,
        })
    }

    /// The Arrow schema of the fixed columns; `None` for frames.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.columns().map(super::arrow_schema)
    }

    /// Whether files are filed by month; the two small tables of experiments are not.
    pub fn by_month(&self) -> bool {
        !matches!(self, Table::Experiments | Table::MetricDefs)
    }

    /// Columns that rows of a file are sorted by, so that an experiment or a key reads only its pages.
    pub fn sort_columns(&self) -> &'static [&'static str] {
        match self {
            Table::Metrics => &["experiment_id", "key", "run_id", "step"],
            Table::Series => &["experiment_id", "key", "run_id", "step"],
            Table::Params | Table::MetricStats | Table::Tags | Table::Environment => {
                &["experiment_id", "key", "run_id"]
            }
            Table::Features => &["experiment_id", "feature", "run_id"],
            Table::Packages => &["experiment_id", "package", "run_id"],
            Table::Experiments => &["experiment_id"],
            Table::MetricDefs => &["experiment_id", "key"],
            _ => &["experiment_id", "run_id"],
        }
    }

    /// Whether rows are only ever added (save for deletes).
    pub fn appends(&self) -> bool {
        matches!(self, Table::Metrics | Table::Series | Table::Frame(_))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Table::Frame(name) => write!(f, "frames.{name}"),
            other => f.write_str(other.name()),
        }
    }
}

/// What a row of a run holds beyond its state.
pub struct RunContext<'a> {
    /// Its experiment.
    pub experiment_id: &'a str,
    /// The status to show, which may be `CRASHED`.
    pub status: Status,
    /// Whether a param is a repeat key of its experiment.
    pub is_repeat_key: &'a dyn Fn(&str) -> bool,
}

/// Rows that are kept as columns: a row struct takes several times their room.
struct Rows<R: Row>(R::Builder);

// Derived `Default` would ask it of the row.
impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Rows(R::Builder::default())
    }
}

impl<R: Row> Rows<R> {
    fn push(&mut self, row: R) {
        R::push(&mut self.0, row);
    }

    fn extend(&mut self, rows: impl IntoIterator<Item = R>) {
        rows.into_iter().for_each(|row| self.push(row));
    }

    fn finish(self) -> RecordBatch {
        R::finish(self.0)
    }
}

/// Collects the rows of runs in all the tables that hold run state.
#[derive(Default)]
pub struct RunTables {
    len: usize,
    runs: Rows<RunRow>,
    wide: WideBuilder,
    hidden: Vec<Vec<u8>>,
    params: Rows<ParamRow>,
    metric_stats: Rows<MetricStatRow>,
    features: Rows<FeatureRow>,
    data_versions: Rows<DataVersionRow>,
    tags: Rows<TagRow>,
    artifacts: Rows<ArtifactRow>,
    packages: Rows<PackageRow>,
    environment: Rows<EnvironmentRow>,
    links: Rows<LinkRow>,
    comments: Rows<CommentRow>,
}

impl RunTables {
    /// Number of runs so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds the rows of a run, those of the tables that `wanted` names and of `runs`. `hidden` is what a later merge needs
    /// of it.
    pub fn push(
        &mut self,
        state: &RunState,
        context: &RunContext<'_>,
        hidden: Vec<u8>,
        wanted: impl Fn(&Table) -> bool,
    ) {
        let run = || state.run().to_string();
        let experiment = || context.experiment_id.to_string();
        self.len += 1;
        self.runs.push(RunRow::new(state, context));
        self.wide.push(state);
        self.hidden.push(hidden);
        if wanted(&Table::Params) {
            self.params.extend(state.params().map(|(key, value)| ParamRow {
                run_id: run(),
                experiment_id: experiment(),
                key: key.to_string(),
                value: value.text(),
                r#type: value.type_name().to_string(),
                num: value.number(),
            }));
        }
        if wanted(&Table::MetricStats) {
            let rows =
                state.metrics().map(|(key, ctx, stats)| MetricStatRow::new(run(), experiment(), key, ctx, stats));
            self.metric_stats.extend(rows);
        }
        if wanted(&Table::Features) {
            self.features.extend(state.features().map(|f| FeatureRow {
                run_id: run(),
                experiment_id: experiment(),
                feature: f.feature.clone(),
                position: f.position,
                dtype: f.dtype.clone(),
                used: f.used,
                importance: f.importance,
                importance_kind: f.importance_kind.clone(),
                feature_tags: (!f.feature_tags.is_empty()).then(|| f.feature_tags.clone()),
                description: f.description.clone(),
            }));
        }
        if wanted(&Table::DataVersions) {
            self.data_versions.extend(state.data().map(|d| DataVersionRow {
                run_id: run(),
                experiment_id: experiment(),
                dataset: d.dataset.clone(),
                role: d.role.clone(),
                digest: d.digest.clone(),
                data_version: d.data_version.clone(),
                source: d.source.clone(),
                n_rows: d.n_rows,
                n_columns: d.n_columns,
                bytes: d.bytes,
                data_schema: d.data_schema.clone(),
            }));
        }
        if wanted(&Table::Tags) {
            self.tags.extend(shown_tags(state).map(|(key, value)| TagRow {
                run_id: run(),
                experiment_id: experiment(),
                key,
                value,
            }));
        }
        if wanted(&Table::Artifacts) {
            self.artifacts.extend(state.artifacts().map(|a| ArtifactRow {
                run_id: run(),
                experiment_id: experiment(),
                path: a.path.clone(),
                uri: a.uri.clone(),
                size: a.size,
                digest: a.digest.clone(),
                mime: a.mime.clone(),
            }));
        }
        if wanted(&Table::Packages) {
            self.packages.extend(state.packages().map(|(package, version)| PackageRow {
                run_id: run(),
                experiment_id: experiment(),
                package: package.to_string(),
                package_version: version.to_string(),
            }));
        }
        if wanted(&Table::Environment) {
            self.environment.extend(state.environment().map(|(key, value)| EnvironmentRow {
                run_id: run(),
                experiment_id: experiment(),
                key: key.to_string(),
                value: value.to_string(),
            }));
        }
        if wanted(&Table::Links) {
            self.links.extend(shown_links(state).map(|l| LinkRow {
                run_id: run(),
                experiment_id: experiment(),
                target_run_id: l.target.to_string(),
                kind: l.kind,
                position: l.position,
                weight: l.weight,
                step: l.step,
            }));
        }
        if wanted(&Table::Comments) {
            self.comments.extend(state.comments().map(|(id, c)| CommentRow {
                run_id: run(),
                experiment_id: experiment(),
                comment_id: id.to_string(),
                author: c.author.clone(),
                time: c.time,
                comment: c.text.clone(),
            }));
        }
    }

    /// The rows, one batch per table that has any; `runs` carries its structs and the hidden column.
    pub fn finish(self) -> (BTreeMap<Table, RecordBatch>, KeyCounts) {
        let mut batches = BTreeMap::new();
        let mut add = |table: Table, batch: RecordBatch| {
            if batch.num_rows() > 0 {
                batches.insert(table, batch);
            }
        };
        add(Table::Params, self.params.finish());
        add(Table::MetricStats, self.metric_stats.finish());
        add(Table::Features, self.features.finish());
        add(Table::DataVersions, self.data_versions.finish());
        add(Table::Tags, self.tags.finish());
        add(Table::Artifacts, self.artifacts.finish());
        add(Table::Packages, self.packages.finish());
        add(Table::Environment, self.environment.finish());
        add(Table::Links, self.links.finish());
        add(Table::Comments, self.comments.finish());
        let (structs, counts) = self.wide.finish();
        add(Table::Runs, super::wide::with_structs(self.runs.finish(), structs, self.hidden));
        (batches, counts)
    }
}

/// The tags of a run as the tables show them: its own, and one for each param that two writers set differently.
pub fn shown_tags(state: &RunState) -> impl Iterator<Item = (String, Option<String>)> {
    // A conflict that was sealed comes back as a tag of the run's own; a newer one of the same param takes its place.
    let mut tags: BTreeMap<_, _> =
        state.tags().map(|(key, value)| (key.to_string(), value.map(str::to_string))).collect();
    tags.extend(
        state
            .param_conflicts()
            .map(|c| (format!("runlake.param_conflict.{}", c.key), Some(c.refused.text().unwrap_or_default()))),
    );
    tags.into_iter()
}

/// The links of a run as the table shows them: its own, and its parent.
fn shown_links(state: &RunState) -> impl Iterator<Item = Link> {
    let parent = state.start().and_then(|s| s.parent.clone()).map(|target| Link {
        target,
        kind: "parent".to_string(),
        position: None,
        weight: None,
        step: None,
    });
    let is_logged = state.links().any(|l| Some(&l.target) == parent.as_ref().map(|p| &p.target) && l.kind == "parent");
    parent.filter(|_| !is_logged).into_iter().chain(state.links().cloned())
}

/// Whether the rows of a run in a table are the same in both of its states, both filed in one place. When in doubt they
/// are not.
pub fn same_rows(table: &Table, a: &RunState, b: &RunState) -> bool {
    match table {
        Table::Params => a.params().eq(b.params()),
        Table::MetricStats => a.metrics().eq(b.metrics()),
        Table::Features => a.features().eq(b.features()),
        Table::DataVersions => a.data().eq(b.data()),
        Table::Tags => shown_tags(a).eq(shown_tags(b)),
        Table::Artifacts => a.artifacts().eq(b.artifacts()),
        Table::Packages => a.packages().eq(b.packages()),
        Table::Environment => a.environment().eq(b.environment()),
        Table::Links => shown_links(a).eq(shown_links(b)),
        Table::Comments => a.comments().eq(b.comments()),
        _ => false,
    }
}

impl RunRow {
    fn new(state: &RunState, context: &RunContext<'_>) -> Self {
        let start = state.start();
        let field = |get: fn(&crate::model::RunStart) -> Option<&String>| start.and_then(get).cloned();
        let mut used: Vec<_> = state.features().filter(|f| f.used).collect();
        let any_feature = state.features().next().is_some();
        used.sort_by(|a, b| {
            (a.position.unwrap_or(i64::MAX), &a.feature).cmp(&(b.position.unwrap_or(i64::MAX), &b.feature))
        });
        let used: Vec<String> = used.into_iter().map(|f| f.feature.clone()).collect();
        let feature_set = any_feature.then(|| feature_set_digest(&used));
        let start_time = state.start_time();
        let whole = |key| match state.param(key) {
            Some(ParamValue::Int(i)) => i64::try_from(*i).ok(),
            _ => None,
        };
        RunRow {
            run_id: state.run().to_string(),
            experiment_id: context.experiment_id.to_string(),
            name: state.name().map(str::to_string),
            status: context.status.to_string(),
            error: state.error().map(str::to_string),
            start_time,
            end_time: state.end_time(),
            duration_s: state.end_time().map(|end| (end.0 - start_time.0) as f64 / 1e6),
            user: field(|s| s.user.as_ref()),
            host: field(|s| s.host.as_ref()),
            command: field(|s| s.command.as_ref()),
            git_commit: field(|s| s.git_commit.as_ref()),
            git_branch: field(|s| s.git_branch.as_ref()),
            git_dirty: start.and_then(|s| s.git_dirty),
            git_remote: field(|s| s.git_remote.as_ref()),
            parent_run_id: start.and_then(|s| s.parent.as_ref()).map(ToString::to_string),
            config_id: config_digest(state, context, feature_set.as_deref()),
            seed: whole("seed"),
            fold: whole("fold"),
            n_features: any_feature.then_some(used.len() as i64),
            features: any_feature.then_some(used),
            feature_set,
            notes: state.notes().map(str::to_string),
            deleted: state.is_deleted(),
        }
    }
}

/// Digest of a set of feature names: 16 hex digits, the same for any order.
fn feature_set_digest(used: &[String]) -> String {
    let mut names: Vec<_> = used.iter().collect();
    names.sort();
    let mut hash = blake3::Hasher::new();
    for name in names {
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}

fn config_digest(state: &RunState, context: &RunContext<'_>, feature_set: Option<&str>) -> String {
    let mut hash = blake3::Hasher::new();
    let mut part = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for (key, value) in state.params().filter(|(key, _)| !(context.is_repeat_key)(key)) {
        part(key);
        part(value.type_name());
        part(&value.canonical_text().unwrap_or_default());
    }
    part(feature_set.unwrap_or_default());
    hash.finalize().to_hex()[..16].to_string()
}
