//! Runs the real `runlake` binary.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The command, for the store in a folder.
pub fn runlake(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
    command.arg("--store").arg(store).env_remove("RUNLAKE_STORE").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// This test binary again, for one of its ignored tests alone: a process of its own.
pub fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args(["--exact", test, "--ignored", "--nocapture"]).stdin(Stdio::null());
    command
}

/// The sample runs that come with the project.
pub fn sample_runs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data/runs.jsonl.gz")
}

/// Runs to the end; it has to succeed.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs to the end with something to read.
pub fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let bytes = input.as_bytes().to_vec();
    // From a thread, since the child may wait for us to read what it says.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().expect("it ends");
    feeder.join().expect("writing does not panic");
    output
}

/// Logs lines; every one of them has to be good.
pub fn log(store: &Path, lines: &str) {
    let output = with_input(runlake(store).arg("log"), lines);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// Kills with the signal that no program sees coming.
pub fn kill(child: &mut Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
