//! An export as a source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::tree::{self, Is, Name};
use super::super::{ForeignExperiment, Holdings, ImportError, Out, Source, SourceKind, fingerprint};
use super::run::Collected;
use super::{PROJECT, part};

const DATA: &str = "data";
const FILES: &str = "files";
/// Files that are opened to see whether they are parts of an export.
const LOOKED_AT: usize = 3;

/// An export.
#[derive(Debug)]
pub struct Export {
    place: PathBuf,
    data: PathBuf,
    files: PathBuf,
}

/// Parts of a run, or of several of an early exporter, by number.
type Parts = BTreeMap<u32, PathBuf>;

impl Export {
    /// The export at a path, if there is one: the folder with `data` and `files` in it, or `data` itself.
    pub fn recognise(path: &Path) -> Option<Export> {
        let place = path.to_path_buf();
        let inner = path.join(DATA);
        if holds_parts(&inner) {
            return Some(Export { place, data: inner, files: path.join(FILES) });
        }
        let files = path.parent().map(|parent| parent.join(FILES)).unwrap_or_default();
        holds_parts(path).then(|| Export { data: place.clone(), place, files })
    }

    /// The folders of projects.
    fn projects(&self, out: &mut Out<'_>) -> Vec<Name> {
        let mut found = tree::list_or_skip(&self.data, out);
        found.retain(|Name { name, is }| {
            let place = self.data.join(name);
            match is {
                _ if tree::is_stray(name) => false,
                Is::Folder => true,
                Is::File(_) => {
                    out.leave(place.display(), "it is no project");
                    false
                }
                Is::Other(why) => {
                    out.skip(place.display(), why);
                    false
                }
            }
        });
        found
    }

    /// The runs of a project by the name of their files, those that are whole.
    fn runs(&self, project: &Path, out: &mut Out<'_>) -> BTreeMap<String, Parts> {
        let mut runs: BTreeMap<String, Parts> = BTreeMap::new();
        for Name { name, is } in tree::list_or_skip(project, out) {
            let place = project.join(&name);
            match (part_of(&name), is) {
                (Some((run, number)), Is::File(_)) => {
                    drop(runs.entry(run.to_string()).or_default().insert(number, place))
                }
                (_, Is::File(_)) if name.ends_with(".parquet.tmp") => {
                    out.leave(place.display(), "the exporter has not finished it");
                }
                (_, Is::File(_)) if tree::is_stray(&name) => {}
                (_, Is::File(_)) => out.leave(place.display(), "it is no part of a run"),
                (_, Is::Folder) => out.leave(place.display(), "models of the registry are no part of runs"),
                (_, Is::Other(why)) => {
                    out.skip(place.display(), why);
                }
            }
        }
        runs.retain(|run, parts| {
            let is_whole = parts.contains_key(&0);
            if !is_whole {
                let reason = "the export of this run was not finished: it has no part 0";
                out.leave(project.join(run).display(), reason);
            }
            is_whole
        });
        runs
    }
}

/// Whether one of the folders in a folder holds parts of an export.
fn holds_parts(data: &Path) -> bool {
    let mut looked_at = 0;
    for folder in tree::list(data).unwrap_or_default() {
        if folder.is != Is::Folder {
            continue;
        }
        let dir = data.join(&folder.name);
        for Name { name, is } in tree::list(&dir).unwrap_or_default() {
            let Some((run, _)) = part_of(&name).filter(|_| matches!(is, Is::File(_))) else { continue };
            if has_digest(run) || part::is_one(&dir.join(&name)) {
                return true;
            }
            looked_at += 1;
            if looked_at == LOOKED_AT {
                return false;
            }
        }
    }
    false
}

/// The run and the number in the name of a part. The first exporters wrote all runs of a project into `part_<n>`.
fn part_of(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_suffix(".parquet")?;
    let (run, number) = match stem.strip_prefix("part_") {
        Some(number) => ("", number),
        None => stem.rsplit_once("_part_")?,
    };
    Some((run, number.parse().ok()?))
}

/// Whether a name ends in the digest that the exporter gives it.
fn has_digest(name: &str) -> bool {
    let is_hex = |digest: &str| digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    name.rsplit_once('-').is_some_and(|(_, digest)| is_hex(digest))
}

impl Source for Export {
    fn kind(&self) -> SourceKind {
        SourceKind::Neptune
    }

    fn place(&self) -> &Path {
        &self.place
    }

    fn holdings(&self) -> Result<Holdings, ImportError> {
        let mut holdings = Holdings::default();
        let mut ignore = |_| true;
        let mut out = Out::new(&mut ignore);
        for project in self.projects(&mut out) {
            holdings.experiments += 1;
            holdings.runs += self.runs(&self.data.join(&project.name), &mut out).len() as u64;
        }
        Ok(holdings)
    }

    fn fingerprint(&self) -> Result<String, ImportError> {
        fingerprint::of([self.data.as_path(), self.files.as_path()])
    }

    fn walk(&self, out: &mut Out<'_>) -> Result<(), ImportError> {
        // An error here is one of the source as a whole; further down it is one of a part.
        tree::list(&self.data).map_err(ImportError::io(&self.data))?;
        let mut told = BTreeSet::new();
        for project in self.projects(out) {
            let dir = self.data.join(&project.name);
            for parts in self.runs(&dir, out).into_values() {
                if out.is_stopped() {
                    return Ok(());
                }
                let mut collected = Collected::default();
                collect(&parts, &mut collected, out);
                for (id, run) in collected.finish(&self.files, &project.name, out) {
                    if told.insert(id.clone()) {
                        out.experiment(experiment(&id));
                    }
                    out.run(run);
                }
            }
        }
        Ok(())
    }
}

fn experiment(project: &str) -> ForeignExperiment {
    let tags = vec![(PROJECT.to_string(), Some(project.to_string()))];
    ForeignExperiment { name: project.to_string(), tags, identity: Some(PROJECT), ..ForeignExperiment::default() }
}

/// Reads the parts of a run. One that cannot be read hides no other.
fn collect(parts: &Parts, collected: &mut Collected, out: &mut Out<'_>) {
    let last = parts.last_key_value().map_or(0, |(n, _)| *n);
    if parts.len() as u64 <= u64::from(last) {
        let first = &parts[&0];
        out.skip(first.display(), format!("of the parts 0 to {last} of its run only {} are there", parts.len()));
    }
    for path in parts.values() {
        collected.begin_part(path.metadata().map_or(0, |meta| meta.len()));
        match part::read(path, |rows| collected.take(rows)) {
            Ok(unknown) if unknown.is_empty() => {}
            Ok(unknown) => {
                let names = unknown.join("', '");
                out.leave(
                    path.display(),
                    format!("columns that no exporter is known to write were not read: '{names}'"),
                );
            }
            Err(e) => out.skip(path.display(), e),
        }
        let nameless = collected.take_nameless();
        if nameless > 0 {
            out.skip(path.display(), format!("{nameless} rows say no project, run, attribute or type"));
        }
    }
}
