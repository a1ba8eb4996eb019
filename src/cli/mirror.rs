//! The store of another tool, queried in place: it is read into a folder for such things, again only where it changed.

use std::path::PathBuf;

use runlake::import::foreign::{self, Cached, Skipped};
use runlake::{Error, Store};

use super::Failure;
use super::output::{counted, say};
use super::progress::Progress;

/// The store that mirrors what a path holds.
pub async fn open(place: &str) -> Result<Store, Failure> {
    let sources = foreign::open(place, None).map_err(Error::from)?;
    let [source] = sources.as_slice() else {
        let places: Vec<_> = sources.iter().map(|s| format!("'{}'", s.place().display())).collect();
        return Err(
            Failure::usage(format!("'{place}' holds several stores: {}", places.join(", "))).hint("name one of them")
        );
    };
    let folder = folder().ok_or_else(|| {
        Failure::new("there is no folder to keep what is read").hint("XDG_CACHE_HOME or HOME names one")
    })?;
    let progress = Progress::counting("reading runs");
    let cached = Cached::open(source, &folder, |runs| progress.done(runs)).await.map_err(Error::from)?;
    drop(progress);
    if let Some(report) = &cached.read {
        let lost: Vec<&Skipped> = report.skipped.iter().filter(|s| s.is_loss).collect();
        for Skipped { place, reason, .. } in lost.iter().take(3) {
            say(format!("warning: {place}: {reason}"));
        }
        if lost.len() > 3 {
            let all = counted(lost.len() as u64, "thing");
            say(format!("warning: {all} could not be read; `runlake import --audit` lists them"));
        }
    }
    Ok(cached.store)
}

fn folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("runlake/mirrors"))
}
