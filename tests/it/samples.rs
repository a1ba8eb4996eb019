//! Real stores of other tools, imported with the real command. They are not part of the project: `RUNLAKE_BENCH_DATA`
//! names the folder that holds them, and a test whose data is not there says so.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use runlake::Store;
use serde_json::Value;

use crate::ask::{Rows, now, one, table};
use crate::program::{done, runlake};

/// A folder or a file of the data; `None`, told, where it is not.
fn sample(path: &str) -> Option<PathBuf> {
    let folder = match env::var_os("RUNLAKE_BENCH_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    let found = folder.join(path);
    if !found.exists() {
        eprintln!("skipped: no {} (RUNLAKE_BENCH_DATA names another folder)", found.display());
        return None;
    }
    Some(found)
}

/// Imports into a new store, looks that nothing is missing, live and sealed, and that the second import brings nothing.
fn imported(home: &Path, args: &[&str], place: &Path) -> Store {
    Store::create(home).unwrap();
    done(runlake(home).arg("import").args(args).arg(place));
    let audit = done(runlake(home).args(["import", "--audit"]).arg(place));
    assert!(audit.lines().skip(1).all(|line| line.ends_with(" 0")), "{audit}");
    done(runlake(home).arg("seal"));
    let again = done(runlake(home).arg("import").arg(place));
    assert!(again.lines().skip(1).all(|line| line.ends_with(" 0")), "{again}");
    Store::open(home).unwrap()
}

fn by_first(rows: Rows) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut grouped: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for mut row in rows {
        let rest = row.split_off(1);
        grouped.entry(row.remove(0)).or_default().push(rest);
    }
    grouped
}

fn texts(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> =
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap_or_default().to_string()).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn a_root_of_rubicon_ml_says_what_rubicon_ml_said_of_it() {
    let Some(archive) = sample("rubicon/rubicon-root-sample.tar.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    // With the times of files: they are the order of tags.
    let unpacked = Command::new("tar").arg("-xpzf").arg(&archive).arg("-C").arg(dir.path()).status();
    if !unpacked.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: there is no tar that unpacks {}", archive.display());
    }
    let said = std::fs::read_to_string(archive.with_file_name("rubicon-root-sample.expected.json")).unwrap();
    let said = said.replace("NaN", "\"NaN\"").replace("Infinity", "\"Infinity\"");
    let said: Vec<Value> = serde_json::from_str(&said).unwrap();
    let store = imported(&dir.path().join("store"), &["rubicon"], &dir.path().join("rubicon-root-sample"));

    let runs = by_first(now(&store, "SELECT run_id, experiment, name, git_branch, git_commit FROM runs").await);
    let tags = by_first(now(&store, "SELECT run_id, key FROM tags WHERE value IS NULL ORDER BY key").await);
    let comments = by_first(now(&store, "SELECT run_id, comment FROM comments ORDER BY comment").await);
    let params = by_first(now(&store, "SELECT run_id, key, value, type FROM params").await);
    let metrics =
        "SELECT run_id, key, CAST(value AS TEXT) FROM metrics UNION ALL SELECT run_id, key, payload FROM series";
    let metrics = by_first(now(&store, metrics).await);
    let features = by_first(now(&store, "SELECT run_id, feature, importance FROM features").await);
    let parts = "SELECT run_id, name FROM frames.rubicon_entities WHERE kind IN ('artifact', 'dataframe')";
    let parts = by_first(now(&store, parts).await);
    let nothing = Vec::new();
    let of = |found: &BTreeMap<String, Vec<Vec<String>>>, id: &str, columns: usize| -> Vec<Vec<String>> {
        found.get(id).unwrap_or(&nothing).iter().map(|row| row[..columns].to_vec()).collect()
    };
    for e in &said {
        let id = e["id"].as_str().unwrap();
        let fields = ["project", "name", "branch", "commit"].map(|key| e[key].as_str().unwrap().to_string());
        assert_eq!(of(&runs, id, 4), [fields.to_vec()], "{id}");
        assert_eq!(of(&tags, id, 1).concat(), texts(&e["tags"]), "{id}");
        assert_eq!(of(&comments, id, 1).concat(), texts(&e["comments"]), "{id}");
        let found: BTreeMap<String, (String, String)> =
            of(&params, id, 3).into_iter().map(|mut row| (row.remove(0), (row.remove(0), row.remove(0)))).collect();
        let wanted = e["parameters"].as_object().unwrap();
        assert_eq!(found.len(), wanted.len(), "{id}");
        for (key, value) in wanted {
            let (text, kind) = &found[key];
            let read = match kind.as_str() {
                "null" => Value::Null,
                "int" | "float" | "bool" | "list" | "dict" => serde_json::from_str(text).unwrap(),
                // It says +00:00, here it is Z.
                "datetime" => text.replace('Z', "+00:00").into(),
                _ => text.as_str().into(),
            };
            assert_eq!(&read, value, "{id} {key}");
        }
        let found: BTreeMap<String, String> =
            of(&metrics, id, 2).into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect();
        let wanted = e["metrics"].as_object().unwrap();
        assert_eq!(found.len(), wanted.len(), "{id}");
        for (key, value) in wanted {
            let same = match &value[0] {
                Value::Number(n) => found[key].parse().ok() == n.as_f64(),
                Value::String(s) => found[key].to_lowercase().starts_with(&s.to_lowercase()[..3]),
                other => serde_json::from_str::<Value>(&found[key]).unwrap() == *other,
            };
            assert!(same, "{id} {key}: {} instead of {}", found[key], value[0]);
        }
        let found: BTreeMap<String, Option<f64>> =
            of(&features, id, 2).into_iter().map(|row| (row[0].clone(), row[1].parse().ok())).collect();
        let wanted = e["features"].as_object().unwrap();
        assert_eq!(found, wanted.iter().map(|(key, v)| (key.clone(), v.as_f64())).collect(), "{id}");
        let mut found = of(&parts, id, 1).concat();
        found.sort();
        let mut wanted = [texts(&e["artifacts"]), texts(&e["dataframes"])].concat();
        wanted.sort();
        assert_eq!(found, wanted, "{id}");
    }
    let goals = now(&store, "SELECT key, goal FROM metric_defs WHERE key IN ('accuracy', 'log_loss') ORDER BY 1").await;
    assert_eq!(goals, table(&["accuracy|max", "log_loss|min"]));
    let best = "SELECT count(best['log_loss']) FROM runs WHERE experiment = 'Wine Classification'";
    assert_eq!(one(&store, best).await, "48");
}

#[tokio::test]
async fn an_export_of_neptune_comes_along_with_its_fractional_steps_and_forks() {
    let Some(export) = sample("neptune") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = imported(&dir.path().join("store"), &[], &export);
    let runs = now(&store, "SELECT experiment, name, status FROM runs ORDER BY name").await;
    assert_eq!(runs, table(&["my-workspace/my-project|exp-one|FINISHED", "my-workspace/my-project|exp-two|FINISHED"]));
    let loss = "SELECT step, x, value FROM metrics WHERE run_id = 'run-a' AND key = 'metrics/loss' ORDER BY time";
    assert_eq!(now(&store, loss).await, table(&["0|NULL|1.0", "NULL|0.5|0.75", "1|NULL|0.5"]));
    let forks = "SELECT r.name, t.name, e.value FROM links JOIN runs r USING (run_id) JOIN runs t ON t.run_id = \
                 target_run_id JOIN environment e ON e.run_id = r.run_id WHERE kind = 'fork' AND e.key = \
                 'sys/forking/step'";
    assert_eq!(now(&store, forks).await, table(&["exp-two|exp-one|2.5"]));
    let params = "SELECT params['params/lr'], params['params/epochs'], params['params/flag'] FROM runs ORDER BY name";
    assert_eq!(now(&store, params).await, table(&["0.1|3|true", "0.2|NULL|NULL"]));
    assert_eq!(now(&store, "SELECT path, size FROM artifacts").await, table(&["files/note.txt|5"]));
    assert_eq!(one(&store, "SELECT count(*) FROM series WHERE kind = 'histogram'").await, "2");
}
