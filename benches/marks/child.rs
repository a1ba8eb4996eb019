//! Work in a process of its own, so that its memory can be told from that of the others.

use std::process::Command;
use std::time::Instant;

use runlake::Store;

use super::timing::peak_mb;

/// What a child found.
pub struct Report {
    pub seconds: f64,
    pub peak_mb: u64,
}

/// Seals a store.
pub fn seal(place: &str) -> Report {
    run(&["seal", place])
}

/// Opens a store and answers a statement.
pub fn sql(place: &str, sql: &str) -> Report {
    run(&["sql", place, sql])
}

/// Renders a page.
pub fn report(place: &str, page: &str) -> Report {
    run(&["report", place, page])
}

fn run(args: &[&str]) -> Report {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).arg("child").args(args).output().expect("this program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let mut next = || words.next().and_then(|word| word.parse::<f64>().ok()).expect("two numbers");
    Report { seconds: next(), peak_mb: next() as u64 }
}

/// The child's side.
pub fn main(args: &[String]) {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let begun = Instant::now();
    let store = Store::open(&args[1]).expect("the parent made it");
    match args[0].as_str() {
        "seal" => {
            runtime.block_on(store.seal()).expect("it can be sealed");
        }
        "report" => {
            let page = runlake::report::Report::new("page.md", args[2].as_str());
            let done = runtime.block_on(page.render(&store, &Default::default())).expect("it can be rendered");
            assert!(done.page.contains("</svg>") && done.files.len() == 1);
        }
        _ => runtime.block_on(async {
            let session = store.session().await.expect("the parent made it");
            let rows = session.sql(&args[2]).await.expect("it is SQL").collect().await.expect("it has an answer");
            assert!(rows.iter().any(|batch| batch.num_rows() > 0));
        }),
    }
    println!("{} {}", begun.elapsed().as_secs_f64(), peak_mb());
}
