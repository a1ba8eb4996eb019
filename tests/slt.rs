//! SQL tests: every file under `tests/slt/` is run against a fresh store, once while all of it is live and once sealed.
//!
//! A file begins with comments that say what is in the store:
//! - `# store: NAME` logs `tests/slt/data/NAME.jsonl`, or the sample runs for `sample`;
//! - `# sealed` leaves the live round out, for plans that only make sense over files.
//!
//! `UPDATE_SLT=1` writes the answers into the files, from the sealed round; read the difference before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use runlake::{Session, Store};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_column_validator, default_normalizer, default_validator,
};

struct Database(Session);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

#[async_trait]
impl AsyncDB for Database {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failed> {
        let query = self.0.query(sql).await.map_err(|e| Failed(message(&e)))?;
        let types = query.frame.schema().fields().iter().map(|f| column_type(f.data_type())).collect();
        let batches = query.frame.collect().await.map_err(|e| Failed(e.to_string()))?;
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let columns: Result<Vec<_>, _> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
            let columns = columns.map_err(|e| Failed(e.to_string()))?;
            rows.extend(
                (0..batch.num_rows()).map(|row| columns.iter().map(|c| cell(c.value(row).to_string())).collect()),
            );
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "runlake"
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Int64 | DataType::UInt64 => DefaultColumnType::Integer,
        DataType::Float64 => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

fn cell(text: String) -> String {
    if text.is_empty() { "(empty)".to_string() } else { text }
}

/// The error with what its fields say beyond its text, since hints are made of those.
fn message(e: &runlake::Error) -> String {
    match e {
        runlake::Error::Query(runlake::QueryError::UnknownKey { near, .. }) => {
            format!("{e}; near: {}", near.join(", "))
        }
        runlake::Error::Query(runlake::QueryError::UnknownTable { tables, .. }) => {
            format!("{e}; there are: {}", tables.join(", "))
        }
        other => other.to_string(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "slt") {
            found.push(path);
        }
    }
}

/// A store with the lines of a file, logged by the real command.
fn fill(folder: &Path, name: &str) -> Store {
    let store = Store::create(folder).expect("the folder is empty");
    let lines = match name {
        "sample" => root().join("../../sample_data/runs.jsonl.gz"),
        name => root().join(format!("data/{name}.jsonl")),
    };
    let logged = Command::new(env!("CARGO_BIN_EXE_runlake")).arg("--store").arg(folder).arg("log").arg(&lines).output();
    let logged = logged.expect("the binary starts");
    assert!(logged.status.success(), "{}: {}", lines.display(), String::from_utf8_lossy(&logged.stderr));
    store
}

async fn run(store: &Store, file: &Path, update: bool) -> Result<(), String> {
    let mut runner = Runner::new(|| async { store.session().await.map(Database).map_err(|e| Failed(e.to_string())) });
    if update {
        let updated =
            runner.update_test_file(file, "\t", default_validator, default_normalizer, default_column_validator).await;
        return updated.map_err(|e| e.to_string());
    }
    runner.run_file_async(file).await.map_err(|e| e.display(false).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_files() {
    let update = std::env::var_os("UPDATE_SLT").is_some();
    let only = std::env::var("SLT_FILE").ok();
    let mut all = Vec::new();
    files(&root(), &mut all);
    all.sort();
    assert!(all.len() > 5, "the files were found");
    let mut failures = Vec::new();
    for file in all {
        let shown = file.strip_prefix(root()).expect("it lies below").display().to_string();
        if only.as_ref().is_some_and(|only| !shown.contains(only)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let name =
            head.iter().find_map(|line| line.strip_prefix("# store: ")).unwrap_or_else(|| panic!("{shown}: no store"));
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = fill(&dir.path().join("store"), name.trim());
        if !head.contains(&"# sealed") && !update {
            failures.extend(run(&store, &file, false).await.err().map(|e| format!("{shown}, live: {e}")));
        }
        store.seal().await.expect("it seals");
        failures.extend(run(&store, &file, update).await.err().map(|e| format!("{shown}, sealed: {e}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
