//! Where the files of runs lie, without ever leaving the folder of the export.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::super::tree::Is;

/// What lies at a path of the export below a folder, or below one in it: parts like `..` and links are not followed.
pub fn find(root: &Path, folder: Option<&str>, path: &str) -> Result<(PathBuf, Is), String> {
    let mut found = root.to_path_buf();
    let mut is = Is::Folder;
    // Exports that were made on Windows.
    let path = path.replace('\\', "/");
    let mut parts = Vec::new();
    for part in Path::new(&path).components() {
        match part {
            Component::Normal(part) => parts.push(part),
            _ => return Err("its path leads out of the export".to_string()),
        }
    }
    if parts.is_empty() {
        return Err("its path is empty".to_string());
    }
    for part in folder.map(OsStr::new).into_iter().chain(parts) {
        found.push(part);
        let meta = fs::symlink_metadata(&found).map_err(|e| format!("'{}' cannot be read: {e}", found.display()))?;
        is = match meta.file_type() {
            t if t.is_dir() => Is::Folder,
            t if t.is_file() => Is::File(meta.len()),
            _ => return Err(format!("'{}' is neither a file nor a folder; links are not followed", found.display())),
        };
    }
    Ok((found, is))
}

/// The name of a file among the artifacts: that of the attribute, with the ending of the file.
pub fn name(attribute: &str, file: &str) -> String {
    let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
    match last.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !attribute.ends_with(&format!(".{ending}")) => {
            format!("{attribute}.{ending}")
        }
        _ => attribute.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_attributes_with_the_endings_of_files() {
        for (attribute, file, expected) in [
            ("files/note", "run-a/files/note.txt", "files/note.txt"),
            ("model.pt", "ws/p/R-1/model.pt", "model.pt"),
            ("plot", "run/plot", "plot"),
            ("plot", r"run\plot.png", "plot.png"),
            ("conf", "run/.hidden", "conf"),
        ] {
            assert_eq!(name(attribute, file), expected);
        }
    }

    #[test]
    fn paths_do_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("files");
        fs::create_dir_all(folder.join("a")).unwrap();
        fs::write(folder.join("a/b.txt"), "x").unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), folder.join("out")).unwrap();
        let file = Ok((folder.join("a/b.txt"), Is::File(1)));
        assert_eq!(find(&folder, None, "a/b.txt"), file);
        assert_eq!(find(&folder, None, r"a\b.txt"), file);
        assert_eq!(find(&folder, Some("a"), "b.txt"), file);
        assert_eq!(find(&folder, None, "a"), Ok((folder.join("a"), Is::Folder)));
        assert!(find(&folder, Some("out"), "secret").is_err());
        for path in ["../secret", "a/../../secret", "/etc/passwd", "out/secret", r"..\secret", "", "gone", "a\0b"] {
            assert!(find(&folder, None, path).is_err(), "{path}");
            assert!(find(&folder, Some("a"), path).is_err(), "{path}");
        }
    }
}
