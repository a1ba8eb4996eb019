//! From a source into a store: a thread reads, this side compares and writes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Counts, ImportError, IntakeOptions, Item, Kind, Out, Skipped, Source};
use crate::store::{ForeignRun, Intake, Store};

/// Runs that are compared with the store at once.
const GROUP: usize = 256;
/// Points of such a group after which no further run is added to it.
const GROUP_POINTS: usize = 500_000;
/// Points after which it is looked whether there is enough to be sealed.
const SEAL_LOOK: u64 = 1_000_000;
/// Items that are read ahead.
const AHEAD: usize = 64;

/// What an import found and did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// What the source holds.
    pub found: Counts,
    /// What of it was missing in the store; there now, unless nothing was to be written.
    pub added: Counts,
    /// What did not come along.
    pub skipped: Vec<Skipped>,
}

impl ImportReport {
    /// How many of what did not come along belong to runs.
    pub fn losses(&self) -> u64 {
        self.skipped.iter().filter(|s| s.is_loss).count() as u64
    }
}

/// Takes a source into a store. `progress` hears of each run that was looked at.
///
/// May be repeated, and interrupted at any point: the next import brings what is missing.
///
/// # Errors
/// When the source as a whole cannot be read, or the store cannot be written.
pub async fn import(
    source: &Arc<dyn Source>,
    target: &Store,
    options: IntakeOptions,
    mut progress: impl FnMut(u64),
) -> Result<ImportReport, ImportError> {
    if !options.dry_run {
        target.seal_if_large().await?;
    }
    let panicked = || ImportError::Panicked { path: source.place().to_path_buf() };
    let mut intake = Intake::begin(target, options).await?;
    if intake.may_be_renamed() {
        let reading = Arc::clone(source);
        let experiments =
            tokio::task::spawn_blocking(move || reading.experiments()).await.map_err(|_| panicked())??;
        intake.follow_names(&experiments)?;
    }
    let (sender, mut items) = mpsc::channel(AHEAD);
    let reading = Arc::clone(source);
    let reader = tokio::task::spawn_blocking(move || {
        let mut give = |item| sender.blocking_send(item).is_ok();
        reading.walk(&mut Out::new(&mut give))
    });

    let mut skipped = Vec::new();
    let mut group: Vec<ForeignRun> = Vec::new();
    let (mut points, mut looked_at) = (0, 0);
    while let Some(item) = items.recv().await {
        match item {
            Item::Experiment(experiment) => {
                if let Err(e) = intake.experiment(&experiment) {
                    let place = format!("experiment '{}'", experiment.name);
                    match crate::error::store_kind(&e) {
                        crate::ErrorKind::InvalidInput => {
                            skipped.push(Skipped { place, reason: e.to_string(), is_loss: true });
                        }
                        _ => return Err(e.into()),
                    }
                }
            }
            Item::Run(mut run) => {
                intake.place(&mut run);
                points += run.points.len();
                group.push(*run);
            }
            Item::Goals(experiment, goals) => {
                if let Err(e) = intake.goals(&experiment, &goals) {
                    return Err(e.into());
                }
            }
            Item::Skipped(what) => skipped.push(what),
        }
        if group.len() >= GROUP || points >= GROUP_POINTS {
            points = 0;
            take(&mut intake, &mut group, &mut skipped, &mut progress).await?;
            let written = intake.added()[Kind::Points] + intake.added()[Kind::Params];
            if !options.dry_run && written > looked_at + SEAL_LOOK {
                looked_at = written;
                target.seal_if_large().await?;
            }
        }
    }
    take(&mut intake, &mut group, &mut skipped, &mut progress).await?;
    intake.finish()?;
    skipped.extend(told(&mut intake));
    let report = ImportReport { found: intake.found().clone(), added: intake.added().clone(), skipped };
    drop(intake);
    let read = reader.await.map_err(|_| panicked())?;
    // What was read before an error stays, as safe as anything.
    if !options.dry_run {
        target.close_segment()?;
        target.seal_if_large().await?;
    }
    read.map(|()| report)
}

async fn take(
    intake: &mut Intake<'_>,
    group: &mut Vec<ForeignRun>,
    skipped: &mut Vec<Skipped>,
    progress: &mut impl FnMut(u64),
) -> Result<(), ImportError> {
    let runs = std::mem::take(group);
    let n = runs.len() as u64;
    intake.runs(runs).await?;
    skipped.extend(told(intake));
    progress(n);
    Ok(())
}

/// What the store has not taken, since this was last asked.
fn told(intake: &mut Intake<'_>) -> impl Iterator<Item = Skipped> + use<> {
    let refused = intake.take_refused().into_iter();
    refused.map(|r| Skipped { place: r.place, reason: r.reason, is_loss: r.is_loss })
}
