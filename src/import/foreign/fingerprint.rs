//! Whether anything has changed below some paths: a digest over names, sizes and times, of every file.
//!
//! It is taken each time that a mirrored source is asked, so it must cost no more than the kernel takes to tell: a folder is opened
//! once, its files are looked at from there, and nothing is allocated for a file.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

use super::ImportError;
use crate::store::parallel;

/// A digest over names, sizes and times of everything below these paths. Links are not followed.
pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<String, ImportError> {
    let mut hash = blake3::Hasher::new();
    let mut folders = Vec::new();
    for path in paths {
        match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(ImportError::io(path)(e.into())),
            Ok(stat) if kind(&stat) == FileType::Directory => folders.push(path.to_path_buf()),
            Ok(stat) => {
                hash.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(&told(&stat));
            }
        }
    }
    // Level by level, so that the folders of one can be shared out among threads.
    while !folders.is_empty() {
        let looked = parallel::each(folders.len(), |i| Folder::look(&folders[i]).map_err(ImportError::io(&folders[i])));
        let mut deeper = Vec::new();
        for (path, folder) in folders.iter().zip(looked) {
            let folder = folder?;
            hash.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(folder.digest.as_bytes());
            deeper.extend(folder.folders);
        }
        folders = deeper;
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// What is in a folder.
struct Folder {
    digest: blake3::Hash,
    folders: Vec<PathBuf>,
}

impl Folder {
    fn look(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
            // Gone since it was seen.
            Err(rustix::io::Errno::NOENT) => return Ok(Folder { digest: blake3::hash(&[]), folders: Vec::new() }),
            other => other?,
        };
        let mut folders = Vec::new();
        // What each name stands for, one after the other; names in the order of the folder, which may be any.
        let mut text: Vec<u8> = Vec::with_capacity(1024);
        let mut entries: Vec<std::ops::Range<usize>> = Vec::with_capacity(16);
        let mut buffer = Vec::with_capacity(32 << 10);
        let mut names = rustix::fs::RawDir::new(&dir, buffer.spare_capacity_mut());
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let begin = text.len();
            text.extend(name.to_bytes_with_nul());
            let mut file_type = entry.file_type();
            if file_type != FileType::Directory {
                match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(rustix::io::Errno::NOENT) => {}
                    Err(e) => return Err(e.into()),
                    Ok(stat) => {
                        // Not every file system says it with the name.
                        file_type = kind(&stat);
                        if file_type != FileType::Directory {
                            text.extend(told(&stat));
                        }
                    }
                }
            }
            if file_type == FileType::Directory {
                folders.push(path.join(OsStr::from_bytes(name.to_bytes())));
            }
            entries.push(begin..text.len());
        }
        folders.sort_unstable();
        entries.sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
        let mut hash = blake3::Hasher::new();
        for entry in entries {
            hash.update(&text[entry]);
        }
        Ok(Folder { digest: hash.finalize(), folders })
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What tells a file from itself after it was written: also from one of the same size that was given its time.
fn told(stat: &Stat) -> [u8; 40] {
    let mut all = [0; 40];
    let numbers = [stat.st_size, stat.st_mtime, stat.st_mtime_nsec as i64, stat.st_ctime, stat.st_ctime_nsec as i64];
    for (place, number) in all.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    fn print(path: &Path) -> String {
        of([path]).unwrap()
    }

    #[test]
    fn every_change_of_any_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for n in 0..20 {
            fs::create_dir_all(root.join(format!("{n}/a/b"))).unwrap();
            fs::write(root.join(format!("{n}/a/b/file")), "one").unwrap();
        }
        let file = root.join("7/a/b/file");
        let mut seen = vec![print(&root)];
        assert_eq!(print(&root), seen[0]);
        let mut changed = |what: &str| {
            let now = print(&root);
            assert!(!seen.contains(&now), "{what} is not seen");
            assert_eq!(print(&root), now);
            seen.push(now);
        };
        let old = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "more").unwrap();
        changed("an append");
        // As `cp -p` and `tar -p` do.
        fs::write(&file, "mode").unwrap();
        File::options().append(true).open(&file).unwrap().set_modified(old).unwrap();
        changed("content of the same size and time");
        fs::rename(&file, root.join("7/a/b/other")).unwrap();
        changed("another name");
        fs::remove_file(root.join("7/a/b/other")).unwrap();
        changed("a file that is gone");
        fs::create_dir(root.join("8/empty")).unwrap();
        changed("an empty folder");
        symlink(root.join("8"), root.join("link")).unwrap();
        changed("a link");
        fs::rename(root.join("9"), root.join("19/9")).unwrap();
        changed("a folder that moved");
    }

    #[test]
    fn files_and_what_is_not_there_have_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let nothing = print(&file);
        fs::write(&file, "1").unwrap();
        assert_ne!(print(&file), nothing);
        assert_eq!(of([file.as_path(), &dir.path().join("gone")]).unwrap(), print(&file));
        assert!(of([file.join("below").as_path()]).is_err(), "a file is no folder");
        let loop_ = dir.path().join("loop");
        symlink(dir.path(), &loop_).unwrap();
        assert_eq!(print(&loop_), print(&loop_));
    }
}
