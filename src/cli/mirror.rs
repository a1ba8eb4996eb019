//! Which store a question is about: one of ours, now or as it was, or that of another tool, which is read into a folder
//! for such things, again only where it changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runlake::import::foreign::{self, Cached, Skipped, Source, SourceKind, TableMapping};
use runlake::{Error, Store};

use super::output::{counted, say};
use super::place::Past;
use super::progress::Progress;
use super::{Failure, Place};

/// Options that say which store, and which state of it.
#[derive(Debug, Default, clap::Args)]
pub struct AskedArgs {
    /// Reads the store of another tool in place, as `runlake import` does: an MLflow folder or database, a root of
    /// rubicon-ml, an export of Neptune, an Optuna database, a TensorBoard folder, a table
    #[arg(long, value_name = "PATH", conflicts_with = "as_of")]
    pub from: Option<String>,
    /// What the columns of a table are, as `runlake import table --save-mapping` saves it
    #[arg(long, value_name = "FILE", requires = "from", conflicts_with = "as_of")]
    pub mapping: Option<PathBuf>,
    #[command(flatten)]
    pub past: Past,
}

impl AskedArgs {
    /// Opens the store that is meant; which state of it is for the session.
    pub async fn open(&self, place: &Place) -> Result<Store, Failure> {
        match &self.from {
            Some(foreign) => open(foreign, self.mapping.as_deref()).await,
            None => place.open(),
        }
    }
}

/// The store that mirrors what a path holds.
async fn open(place: &str, mapping: Option<&Path>) -> Result<Store, Failure> {
    let sources = match mapping {
        Some(mapping) => {
            let mapping = TableMapping::read(mapping).map_err(Error::from)?;
            vec![foreign::open_tables(&[place.to_string()], mapping).map_err(Error::from)?]
        }
        None => foreign::open(place, None).map_err(Error::from)?,
    };
    let [source] = sources.as_slice() else {
        let each = |s: &Arc<dyn Source>| format!("{} '{}'", s.kind(), s.place().display());
        let found = sources.iter().map(each).collect::<Vec<_>>().join(", ");
        let readable = sources.iter().find(|source| source.kind() != SourceKind::Unreadable);
        let one = readable.unwrap_or(&sources[0]).place().display().to_string();
        let several = format!("'{place}' holds several stores, and one can be asked at a time: {found}");
        return Err(Failure::usage(several).hint(format!("name the one that you mean: `--from '{one}'`")));
    };
    let folder = folder().ok_or_else(|| {
        Failure::new("there is no folder to keep what is read").hint("XDG_CACHE_HOME or HOME names one")
    })?;
    let progress = Progress::counting("reading runs");
    let cached = Cached::open(source, &folder, |runs| progress.done(runs)).await.map_err(Error::from)?;
    drop(progress);
    for Skipped { place, reason, .. } in cached.lost.iter().take(3) {
        say(format!("warning: {place}: {reason}"));
    }
    if cached.lost.len() > 3 {
        let all = counted(cached.lost.len() as u64, "thing");
        say(format!("warning: {all} could not be read; `runlake import --audit` lists them"));
    }
    Ok(cached.store)
}

fn folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("runlake/mirrors"))
}
