//! `runlake show`.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use runlake::export::render_table;
use runlake::{Session, SessionOptions};

use super::runs::rows;
use crate::cli::output::{put, put_line, say};
use crate::cli::place::Past;
use crate::cli::question::quoted;
use crate::cli::{Exit, Failure, Outcome, Place, select, terminal};

/// Show one run in full
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake show 0192f0c4
  runlake show 0192f0c4a7b17c3e9a10c2d4e5f60718 | less")]
pub struct ShowArgs {
    /// Id of the run, or enough of its first characters
    pub run: String,
    #[command(flatten)]
    pub past: Past,
}

/// A part of the page: a heading, the columns and the table they come from, and the order of its rows.
const PARTS: [(&str, &str, &str, &str); 10] = [
    ("params", "key, value, type", "params", "key"),
    (
        "metrics",
        "key, context, last, min, max, mean, count, nan_count AS nan, last_step",
        "metric_stats",
        "context IS NOT NULL, key, context",
    ),
    ("tags", "key, value", "tags", "key"),
    ("data", "role, dataset, data_version, n_rows, n_columns, digest, source", "data_versions", "role, dataset"),
    (
        "features",
        "position, feature, dtype, used, importance, importance_kind, feature_tags",
        "features",
        "position, feature",
    ),
    ("artifacts", "path, size, mime, digest", "artifacts", "path"),
    ("series", "key, kind, count(*) AS points, min(step) AS first_step, max(step) AS last_step", "series", "key, kind"),
    ("links", "kind, target_run_id, position, weight, step", "links", "kind, position, target_run_id"),
    ("environment", "key, value", "environment", "key"),
    ("packages", "package, package_version", "packages", "package"),
];

pub async fn run(place: &Place, args: ShowArgs) -> Outcome {
    let store = place.open()?;
    let session = store.session_with(SessionOptions { deleted: true, ..args.past.options() }).await?;
    let run = select::resolve(&session, &args.run).await?;
    if store.deleted_runs().await?.contains(&run) {
        say(format!("run {run} is deleted; `runlake restore {run}` shows it again"));
    }
    let id = quoted(run.as_str());
    let row = rows(
        &session,
        &format!(
            "SELECT run_id, name, experiment, status, error, start_time, end_time, duration_s, \"user\", host, command, \
             git_commit, git_branch, git_dirty, git_remote, parent_run_id, config_id, seed, fold, n_features, \
             feature_set, notes FROM runs WHERE run_id = {id}"
        ),
    )
    .await?;
    fields(&row)?;
    for (heading, columns, table, order) in PARTS {
        let group = if table == "series" { "GROUP BY key, kind" } else { "" };
        part(&session, heading, &format!("SELECT {columns} FROM {table} WHERE run_id = {id} {group} ORDER BY {order}"))
            .await?;
    }
    comments(&session, &id).await?;
    for table in session.tables().iter().filter(|t| t.name.starts_with("frames.")) {
        let counted =
            rows(&session, &format!("SELECT count(*) AS rows FROM {} WHERE run_id = {id}", table.name)).await?;
        let n = counted[0].column(0);
        let n =
            ArrayFormatter::try_new(n.as_ref(), &FormatOptions::default()).map_err(Failure::new)?.value(0).to_string();
        if n != "0" {
            put("\n")?;
            put_line(format!("{}: {n} rows (SELECT * FROM {} WHERE run_id = {id})", table.name, table.name))?;
        }
    }
    Ok(Exit::Done)
}

/// The run's own columns, a line each; those without a value are left out.
fn fields(batches: &[RecordBatch]) -> Result<(), Failure> {
    let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(()) };
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        if array.is_null(0) {
            continue;
        }
        let value = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())
            .map_err(Failure::new)?
            .value(0)
            .to_string();
        for (i, line) in value.trim_end().split('\n').enumerate() {
            let name = if i == 0 { field.name() } else { "" };
            put_line(format!("{name:<14} {line}"))?;
        }
    }
    Ok(())
}

async fn part(session: &Session, heading: &str, sql: &str) -> Result<(), Failure> {
    let batches: Vec<_> = rows(session, sql).await?.into_iter().filter(|b| b.num_rows() > 0).collect();
    let Some(first) = batches.first() else { return Ok(()) };
    let n: usize = batches.iter().map(RecordBatch::num_rows).sum();
    put("\n")?;
    put_line(format!("{heading} ({n})"))?;
    // Columns that hold nothing for this run only take room.
    let kept: Vec<usize> =
        (0..first.num_columns()).filter(|&i| batches.iter().any(|b| b.column(i).null_count() < b.num_rows())).collect();
    let batches = batches.iter().map(|b| b.project(&kept)).collect::<Result<Vec<_>, _>>().map_err(Failure::new)?;
    put(render_table(&batches, &terminal::table_options(None)))?;
    Ok(())
}

async fn comments(session: &Session, id: &str) -> Result<(), Failure> {
    let sql = format!("SELECT time, author, comment FROM comments WHERE run_id = {id} ORDER BY time");
    part(session, "comments", &sql).await
}
