//! Console cases: `tests/cmd/*.trycmd`, and every console block of README.md and docs/, against the real binary.
//!
//! `TRYCMD=overwrite cargo test --test cmd` writes what the commands said; read the difference before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

use trycmd::TestCases;

/// The demo store, made once.
fn demo(folder: &Path) -> PathBuf {
    let store = folder.join("runlake-demo");
    let made = Command::new(env!("CARGO_BIN_EXE_runlake")).arg("demo").arg(&store).output().expect("the binary starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    store
}

fn cases(store: &Path) -> TestCases {
    let cases = TestCases::new();
    cases.env("RUNLAKE_STORE", store.display().to_string());
    for (name, value) in [("NO_COLOR", "1"), ("COLUMNS", "160"), ("TZ", "UTC"), ("PAGER", "")]
        // What a build says of itself would add to what is shown.
        .into_iter()
        .chain([("GITHUB_ACTIONS", ""), ("GITHUB_STEP_SUMMARY", "")])
    {
        cases.env(name, value);
    }
    cases.insert_var("[STORE]", store.display().to_string()).expect("a valid name");
    cases.insert_var("[VERSION]", env!("CARGO_PKG_VERSION")).expect("a valid name");
    cases
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn commands_that_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = demo(dir.path());
    let cases = cases(&store);
    cases.case("tests/cmd/*.trycmd").case("README.md").case("docs/*.md");
    cases.run();
}

/// Each file of commands that write gets a store of its own.
#[test]
fn commands_that_write() {
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/cmd/write"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "trycmd"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        runlake::Store::create(&store).unwrap();
        cases(&store).case(file).run();
    }
}
