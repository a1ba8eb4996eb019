use super::*;
use crate::store::testing::disk::{Disk, Loss};

#[test]
fn a_file_is_created_once() {
    let dir = tempfile::tempdir().unwrap();
    let io = LocalIo::new(dir.path());
    io.create("a/b", &[b"one"]).unwrap();
    assert_eq!(io.create("a/b", &[b"two"]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(&io.read("a/b").unwrap()[..], b"one");
    io.replace("a/b", b"three").unwrap();
    assert_eq!(&io.read_range("a/b", 1..3).unwrap()[..], b"hr");
    let names: Vec<_> = io.list("a").unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["b"], "no half-made file is left");
}

/// The files of a store on a disk whose first process died over this change.
fn after_death(disk: &Disk, changes: u64) -> Arc<LocalIo> {
    let first = disk.process();
    first.dies_after(changes);
    first.io().create("a/b", &[b"one"]).unwrap_err();
    assert!(first.is_dead());
    disk.io()
}

#[test]
fn what_exists_already_is_durable_whoever_made_it() {
    let mut existed = 0;
    for changes in 0..9 {
        let disk = Disk::new();
        let io = after_death(&disk, changes);
        match io.create("a/b", &[b"two"]) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => existed += 1,
            other => other.unwrap(),
        }
        assert!(disk.after_power_cut(Loss::All).has("a/b"), "dead before change {changes}");
    }
    assert_eq!(existed, 1, "once it had its name and was not synced");
}

#[test]
fn a_folder_that_a_dead_process_made_is_durable_before_anything_in_it_is() {
    for changes in 0..9 {
        let disk = Disk::new();
        let io = after_death(&disk, changes);
        io.create("a/c", &[b"two"]).unwrap();
        assert!(disk.after_power_cut(Loss::All).has("a/c"), "dead before change {changes}");
    }
}

#[test]
fn an_appended_file_is_locked_while_its_writer_lives() {
    let dir = tempfile::tempdir().unwrap();
    let io = LocalIo::new(dir.path());
    let file = io.append("live/x", b"head").unwrap();
    file.write(b"+1").unwrap();
    assert!(io.is_locked("live/x").unwrap());
    assert!(file.is_linked().unwrap());
    io.remove("live/x").unwrap();
    assert!(!file.is_linked().unwrap());
    assert_eq!(file.read_from(4).unwrap(), b"+1");
}
