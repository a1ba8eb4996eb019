//! The peers, behind a pipe: a Python process that does what a line of JSON says and tells how long that took.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A running peer.
pub struct Peer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a script of benches/peers/.
    pub fn start(python: &Path, script: &str) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script);
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python of the peers can be started");
        let requests = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Peer { child, requests, answers }
    }

    /// Has it do something: how long that took by its own clock, and what it says besides.
    pub fn ask(&mut self, request: Value) -> (Duration, Value) {
        writeln!(self.requests, "{request}").expect("the peer listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{request}: {e}: {line}"));
        let seconds = answer["seconds"].as_f64().unwrap_or_else(|| panic!("{request}: {answer}"));
        (Duration::from_secs_f64(seconds), answer)
    }

    /// Has it answer a statement; gives the time.
    pub fn sql(&mut self, sql: &str) -> Duration {
        self.ask(json!({ "sql": sql })).0
    }

    /// The rows of a statement.
    pub fn rows(&mut self, sql: &str) -> Value {
        self.ask(json!({ "sql": sql, "rows": true })).1["rows"].take()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
