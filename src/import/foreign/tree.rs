//! Reading folders that somebody else wrote, and perhaps still writes: regular files only, of bounded size, no links.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ForeignFile, Out};

/// Longest text in a file of its own: a param, a tag.
const LONGEST_TEXT: u64 = 16 << 20;
/// How deep folders may lie in each other.
const DEEPEST: usize = 64;

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// A regular file of this size.
    File(u64),
    /// A folder.
    Folder,
    /// What is not read, and why: a link, a pipe, a device, a name that is not UTF-8.
    Other(&'static str),
}

/// A name in a folder.
#[derive(Debug, Clone)]
pub struct Name {
    /// The name; where it is not UTF-8, what comes nearest.
    pub name: String,
    /// What it is.
    pub is: Is,
}

/// What lies in a folder, by name; empty where there is none.
pub fn list(dir: &Path) -> io::Result<Vec<Name>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let meta = match entry.metadata() {
            // Removed since it was listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let is = match meta.file_type() {
            t if t.is_dir() => Is::Folder,
            t if t.is_file() => Is::File(meta.len()),
            _ => Is::Other("it is neither a file nor a folder; links are not followed"),
        };
        let name = entry.file_name();
        match name.into_string() {
            Ok(name) => names.push(Name { name, is }),
            Err(name) => {
                let is = Is::Other("its name is not UTF-8, and cannot be one here; give it another one");
                names.push(Name { name: name.to_string_lossy().into_owned(), is });
            }
        }
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

/// Like [`list`]; a folder that cannot be read is told as skipped.
pub fn list_or_skip(dir: &Path, out: &mut Out<'_>) -> Vec<Name> {
    list(dir).unwrap_or_else(|e| {
        out.skip(dir.display(), e);
        Vec::new()
    })
}

/// Whether a file is a stray one of an operating system or a program.
pub fn is_stray(name: &str) -> bool {
    name.starts_with('.') || matches!(name, "Thumbs.db" | "desktop.ini")
}

/// Opens a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// The whole text of a file that is not longer than `most` bytes.
pub fn text_up_to(path: &Path, most: u64) -> io::Result<String> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(wrong(format!("it is longer than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| wrong(format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to() + 1)))
}

/// The whole text of a file.
pub fn text(path: &Path) -> io::Result<String> {
    text_up_to(path, LONGEST_TEXT)
}

/// Visits the files under a folder, by name; the key is the path below it, with `/`. Stray files are left out, links and
/// the like are told as skipped.
pub fn files_below(dir: &Path, out: &mut Out<'_>, mut each: impl FnMut(&str, &Path, u64, &mut Out<'_>)) {
    let mut folders: Vec<(String, PathBuf)> = vec![(String::new(), dir.to_path_buf())];
    while let Some((prefix, dir)) = folders.pop() {
        if prefix.matches('/').count() > DEEPEST {
            out.skip(dir.display(), "folders lie too deep in each other");
            continue;
        }
        for Name { name, is } in list_or_skip(&dir, out) {
            let path = dir.join(&name);
            match is {
                Is::Folder => folders.push((format!("{prefix}{name}/"), path)),
                Is::File(_) if name == ".DS_Store" => {}
                Is::File(size) => each(&format!("{prefix}{name}"), &path, size, out),
                Is::Other(why) => out.skip(path.display(), why),
            }
        }
    }
}

/// All files under a folder, as files of a run below `prefix`.
pub fn artifacts(dir: &Path, prefix: &str, out: &mut Out<'_>) -> Vec<ForeignFile> {
    let mut files = Vec::new();
    files_below(dir, out, |key, path, size, _| {
        files.push(ForeignFile { path: format!("{prefix}{key}"), source: path.to_path_buf(), size });
    });
    files
}
