//! Experiments that are renamed, deleted and named alike, in both forms and here.

use std::path::{Path, PathBuf};

use super::super::testing::{added, bring, noted, nothing_is_missing, rows, write};
use crate::Store;

/// A store of MLflow that can be changed as its client does it.
trait Home {
    fn place(&self) -> &Path;
    /// Adds a run to an experiment.
    fn run(&self, experiment: &str, run: &str);
    /// Makes an experiment, or renames it; `created` is its creation time, if it has one.
    fn experiment(&self, id: &str, name: &str, created: Option<i64>);
}

struct Folder(PathBuf);

impl Home for Folder {
    fn place(&self) -> &Path {
        &self.0
    }

    fn run(&self, experiment: &str, run: &str) {
        let meta = format!(
            "run_id: {run}\nlifecycle_stage: active\nstatus: 3\nstart_time: 1600000000000\nend_time: 1600000000001\n"
        );
        write(&self.0.join(experiment).join(run).join("meta.yaml"), meta);
    }

    fn experiment(&self, id: &str, name: &str, created: Option<i64>) {
        let created = created.map(|time| format!("creation_time: {time}\n")).unwrap_or_default();
        let meta = format!(
            "artifact_location: file:///gone/{id}\nexperiment_id: '{id}'\nlifecycle_stage: active\nname: {name}\n{created}"
        );
        write(&self.0.join(id).join("meta.yaml"), meta);
    }
}

struct Database(PathBuf);

impl Database {
    fn new(path: PathBuf) -> Self {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT,
               lifecycle_stage TEXT, creation_time BIGINT);
             CREATE TABLE runs (run_uuid TEXT, status TEXT, start_time BIGINT, end_time BIGINT, lifecycle_stage TEXT,
               experiment_id INTEGER);",
        )
        .unwrap();
        Database(path)
    }

    fn run_sql(&self, sql: &str) {
        rusqlite::Connection::open(&self.0).unwrap().execute_batch(sql).unwrap();
    }
}

impl Home for Database {
    fn place(&self) -> &Path {
        &self.0
    }

    fn run(&self, experiment: &str, run: &str) {
        let values = format!("'{run}', 'FINISHED', 1600000000000, 1600000000001, 'active', {experiment}");
        self.run_sql(&format!("INSERT INTO runs VALUES ({values})"));
    }

    fn experiment(&self, id: &str, name: &str, created: Option<i64>) {
        let created = created.map_or("NULL".to_string(), |time| time.to_string());
        self.run_sql(&format!(
            "REPLACE INTO experiments VALUES ({id}, '{name}', 'file:///gone/{id}', 'active', {created})"
        ));
    }
}

fn homes(dir: &Path) -> [(Box<dyn Home>, Store); 2] {
    let store = |name: &str| Store::create(dir.join(name)).unwrap();
    [
        (Box::new(Folder(dir.join("mlruns"))), store("of folder")),
        (Box::new(Database::new(dir.join("mlflow.db"))), store("of database")),
    ]
}

const RUNS: &str = "SELECT experiment, run_id FROM runs ORDER BY 1, 2";

#[tokio::test]
async fn an_experiment_that_was_renamed_there_is_renamed_here() {
    let dir = tempfile::tempdir().unwrap();
    for (home, store) in homes(dir.path()) {
        home.experiment("1", "churn", Some(1));
        home.run("1", "r1");
        bring(home.place(), &store).await;
        home.experiment("1", "fraud", Some(1));
        home.run("1", "r2");
        let report = bring(home.place(), &store).await;
        assert_eq!(
            noted(&report),
            ["experiment 'fraud': was called 'churn' there before, and is renamed here as well"]
        );
        assert_eq!(rows(&store, RUNS).await, ["fraud|r1", "fraud|r2"]);
        nothing_is_missing(home.place(), &store).await;
        assert_eq!(noted(&bring(home.place(), &store).await), [""; 0]);
        assert_eq!(rows(&store, "SELECT experiment FROM experiments").await, ["fraud"]);
    }
}

#[tokio::test]
async fn names_that_were_passed_on_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    for (home, store) in homes(dir.path()) {
        home.experiment("2", "a", Some(1));
        home.experiment("3", "b", Some(2));
        home.run("2", "r2");
        home.run("3", "r3");
        bring(home.place(), &store).await;
        // The one whose name was free last comes first.
        home.experiment("2", "b", Some(1));
        home.experiment("3", "c", Some(2));
        home.experiment("1", "a", Some(3));
        home.run("1", "r1");
        home.run("2", "r22");
        bring(home.place(), &store).await;
        assert_eq!(rows(&store, RUNS).await, ["a|r1", "b|r2", "b|r22", "c|r3"]);
        nothing_is_missing(home.place(), &store).await;
    }
}

#[tokio::test]
async fn a_name_that_was_given_here_stays_and_new_runs_come_to_it() {
    let dir = tempfile::tempdir().unwrap();
    for (home, store) in homes(dir.path()) {
        home.experiment("1", "churn", Some(1));
        home.run("1", "r1");
        bring(home.place(), &store).await;
        store.rename_experiment("churn", "mine").unwrap();
        home.run("1", "r2");
        assert_eq!(noted(&bring(home.place(), &store).await), [""; 0]);
        home.experiment("1", "fraud", Some(1));
        home.run("1", "r3");
        let said = ["experiment 'fraud': is called 'mine' here, and stays so; its runs are there"];
        assert_eq!(noted(&bring(home.place(), &store).await), said);
        assert_eq!(rows(&store, RUNS).await, ["mine|r1", "mine|r2", "mine|r3"]);
        nothing_is_missing(home.place(), &store).await;
        assert_eq!(noted(&bring(home.place(), &store).await), [""; 0], "it is told once");
    }
}

#[tokio::test]
async fn where_nobody_can_tell_which_experiment_it_was_the_runs_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for (home, store) in homes(dir.path()) {
        // MLflow of before 2.0 does not say when it made them, and another store may have the same places.
        home.experiment("1", "churn", None);
        home.run("1", "r1");
        bring(home.place(), &store).await;
        home.experiment("1", "fraud", None);
        home.run("1", "r2");
        let told = noted(&bring(home.place(), &store).await);
        let said =
            "experiment 'fraud': 1 of its runs is in 'churn' here, where an earlier import put them; new ones are not";
        assert_eq!(told, [said]);
        assert_eq!(rows(&store, RUNS).await, ["churn|r1", "fraud|r2"]);
        nothing_is_missing(home.place(), &store).await;
    }
}

#[tokio::test]
async fn what_is_in_the_trash_hides_nothing_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let home = Folder(dir.path().join("mlruns"));
    for (experiment, created) in [("1", 1), (".trash/2", 2), ("3/mlruns/.trash/4", 3)] {
        home.experiment(experiment, "churn", Some(created));
    }
    // One that was copied, not moved.
    home.experiment("5", "fraud", Some(4));
    write(&home.0.join(".trash/5/meta.yaml"), std::fs::read(home.0.join("5/meta.yaml")).unwrap());
    for (experiment, run) in
        [("1", "r1"), (".trash/2", "r2"), ("3/mlruns/.trash/4", "r4"), ("5", "r5"), (".trash/5", "r55")]
    {
        home.run(experiment, run);
    }
    let store = Store::create(dir.path().join("store")).unwrap();
    for _ in 0..2 {
        let told = noted(&bring(&home.0, &store).await);
        assert_eq!(
            told.iter().filter(|told| told.ends_with("it is deleted, so each of its runs is")).count(),
            3,
            "{told:#?}"
        );
        assert!(told.iter().all(|told| !told.contains("shows once")), "{told:#?}");
        assert_eq!(rows(&store, RUNS).await, ["churn|r1", "fraud|r5"]);
        let deleted: Vec<String> = store.deleted_runs().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(deleted, ["r2", "r4", "r55"]);
    }
    nothing_is_missing(&home.0, &store).await;
}

#[tokio::test]
async fn an_experiment_that_was_deleted_here_stays_so_when_runs_come_to_it() {
    let dir = tempfile::tempdir().unwrap();
    for (home, store) in homes(dir.path()) {
        home.experiment("1", "churn", Some(1));
        home.run("1", "r1");
        bring(home.place(), &store).await;
        store.delete_experiment("churn").unwrap();
        home.run("1", "r2");
        let said = ["experiment 'churn': is deleted here and not there; it shows once it is restored here"];
        let report = bring(home.place(), &store).await;
        assert_eq!(noted(&report), said);
        assert_eq!(added(&report), [("runs", 1), ("facts of runs", 1), ("environment", 1)]);
        assert_eq!(rows(&store, RUNS).await, [""; 0]);
        store.restore_experiment("churn").unwrap();
        assert_eq!(rows(&store, RUNS).await, ["churn|r1", "churn|r2"]);
    }
}

#[tokio::test]
async fn text_of_a_database_that_comes_otherwise_than_it_stands_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let home = Database::new(dir.path().join("mlflow.db"));
    home.experiment("1", "churn", Some(1));
    home.run("1", "r1");
    home.run_sql(
        "CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
         CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
         INSERT INTO params VALUES ('good', 'é', 'r1'), ('good', 'other', 'r1'), ('good', 'é', 'r1'), ('bad', CAST(x'61ff' AS TEXT), 'r1'),
           ('long', CAST(zeroblob(16777215) AS TEXT) || 'é', 'r1');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO tags SELECT 'tag' || i, CAST(x'fe' AS TEXT), 'r1' FROM n;",
    );
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&home.0, &store).await;
    let told = super::super::testing::lost(&report);
    assert_eq!(told.len(), 104, "{told:#?}");
    for said in [
        "table params, column value, run_uuid 'r1', key 'bad': its bytes that are no UTF-8 were replaced by \u{fffd}",
        "table params, column value, run_uuid 'r1', key 'long': it has 16777217 bytes; those behind the first 16777216 were left out",
        "run 'r1': param 'good' has the values 'é' and 'other' at once; the first one was taken",
        "table tags, column value: 50 more of its texts came with such changes",
    ] {
        assert!(told.iter().any(|told| told == said), "{said} in {told:#?}");
    }
    let lengths = "SELECT key, octet_length(value) FROM params ORDER BY 1";
    assert_eq!(rows(&store, lengths).await, ["bad|4", "good|2", "long|16777215"]);
}

#[test]
fn names_that_are_no_utf_8_are_told() {
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let home = Folder(dir.path().join("mlruns"));
    home.experiment("1", "churn", Some(1));
    home.run("1", "r1");
    write(&home.0.join("1/r1/params").join(std::ffi::OsStr::from_bytes(b"a\xff")), "1");
    let all = super::super::testing::walked(&super::files::Folder::new(&home.0), super::super::testing::told);
    assert_eq!(all.losses.len(), 1);
    assert!(
        all.losses[0].ends_with("its name is not UTF-8, and cannot be one here; give it another one"),
        "{all:?}",
        all = all.losses
    );
}
