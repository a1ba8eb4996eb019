//! A root written by hand with everything that was ever found in one. `tests/import/compare_rubicon.py` has rubicon-ml
//! itself write one, and compares.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::super::testing::{added, bring, lost, noted, nothing_is_missing, only_source, rows, walk, write};
use super::super::{Item, Out, tree};
use super::*;
use crate::Store;

const FIRST: &str = "1b6877f7-11ed-4881-9030-33aac14862e0";
const SECOND: &str = "8e5b4ad9-6afc-43ce-9e19-aaa1d80831f1";

/// The JSON of a part, with a name and a time.
fn part(name: &str, more: &str) -> String {
    format!(
        r#"{{"name": "{name}", "id": "id of {name}", {more} "comments": [], "created_at": {{"_type": "datetime", "value": "2026-11-22T22:03:07.5+00:00"}}, "description": null, "tags": []}}"#
    )
}

fn at(path: &Path, second: u64) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(second)).unwrap();
}

/// A root with every trap that has been seen.
fn root_in(root: &Path) {
    let project = root.join("wine-classification");
    write(
        &project.join("metadata.json"),
        r#"{"name": "Wine: Classification!", "created_at": {"_type": "datetime", "value": "2026-11-22T22:03:05.170812+00:00"}, "description": "a sample", "github_url": "https://example.com/wine.git", "id": "7870ab7b", "training_metadata": {"_type": "training_metadata", "value": [["s3", "wine"]]}}"#,
    );
    write(&root.join(".DS_Store"), [0xff, 0]);
    let run = project.join("experiments").join(FIRST);
    write(
        &run.join("metadata.json"),
        format!(
            r#"{{"project_name": "Wine: Classification!", "branch_name": "main", "comments": ["by hand", "again"], "commit_hash": "171e734f", "created_at": {{"_type": "datetime", "value": "2026-11-22T23:03:06+01:00"}}, "description": "a grid", "id": "{FIRST}", "model_name": "Forest", "name": "rf-00", "tags": ["grid", "old"], "training_metadata": {{"_type": "training_metadata", "value": [["sklearn.datasets", ["load_wine"], "first 4"], ["s3://b/w.parquet", "SELECT 1"], ["s3://b/w.parquet", "SELECT 2"]]}}, "novelty": {{"a": 1}}}}"#
        ),
    );
    for (name, second, text) in [
        ("tags_0.json", 300, r#"{"added_tags": ["back"]}"#),
        ("tags_1.json", 100, r#"{"added_tags": ["temp", "back", "k:4"]}"#),
        ("tags_2.json", 200, r#"{"removed_tags": ["temp", "old", "back"]}"#),
        ("tags_3.json", 300, &format!(r#"{{"added_tags": ["parent:{SECOND}"]}}"#)),
        ("comments_1.json", 400, r#"{"added_comments": ["later"]}"#),
        ("comments_2.json", 500, r#"{"removed_comments": ["again"]}"#),
    ] {
        write(&run.join(name), text);
        at(&run.join(name), second);
    }
    for (folder, json) in [
        ("nestimators", part("n_estimators", r#""value": 2,"#)),
        ("spelt", part("spelt", r#""value": "1e-05","#)),
        ("flag", part("flag", r#""value": "True","#)),
        ("none", part("none", r#""value": "None","#)),
        ("empty", part("empty", r#""value": "","#)),
        ("null", part("null", r#""value": null,"#)),
        (
            "array",
            part(
                "array",
                r#""value": {"_type": "numpy", "_dtype": "<i8", "_shape": [2], "value": "AQAAAAAAAAACAAAAAAAAAA=="},"#,
            ),
        ),
        ("oobscore", part("oob_score", r#""value": false,"#)),
    ] {
        write(&run.join("parameters").join(folder).join("metadata.json"), json);
    }
    for (folder, json) in [
        ("logloss", part("log_loss", r#""value": 0.5, "directionality": "loss","#)),
        ("nan", part("nan", r#""value": NaN, "directionality": "score","#)),
        ("inf", part("-Infinity", r#""value": -Infinity, "directionality": "score","#)),
        ("perepoch", part("per epoch", r#""value": [0.9, NaN], "directionality": "loss","#)),
        ("verdict", part("verdict", r#""value": "good", "directionality": "score","#)),
        ("oobscore", part("oob_score", r#""value": null, "directionality": "score","#)),
    ] {
        write(&run.join("metrics").join(folder).join("metadata.json"), json);
    }
    write(
        &run.join("features/od280od315/metadata.json"),
        part("od280/od315", r#""importance": 0.25,"#).replace(r#""tags": []"#, r#""tags": ["chem"]"#),
    );
    write(&run.join("features/bare/metadata.json"), part("bare", r#""importance": null,"#));
    for (folder, name) in [("a1", "model.pkl"), ("a2", "model.pkl"), ("a3", "../../escape")] {
        write(&run.join("artifacts").join(folder).join("metadata.json"), part(name, ""));
        write(&run.join("artifacts").join(folder).join("data"), folder);
    }
    write(&run.join("dataframes/d1/metadata.json"), part("confusion matrix", ""));
    write(&run.join("dataframes/d1/data/data.parquet"), "PAR1");
    write(&project.join("artifacts/p1/metadata.json"), part("readme.txt", ""));
    write(&project.join("artifacts/p1/data"), "read me");
    write(&project.join("archives/archive-1.zip"), "PK");

    // As in 2020: fewer fields, times without a zone.
    let old = root.join("intakerubicon/experiments").join(SECOND);
    write(
        &root.join("intakerubicon/metadata.json"),
        r#"{"name": "intake-rubicon", "id": "84c3", "description": null, "training_metadata": null, "created_at": {"_type": "datetime", "value": "2020-07-13 15:03:21.375744"}}"#,
    );
    write(
        &old.join("metadata.json"),
        format!(
            r#"{{"project_name": "intake-rubicon", "id": "{SECOND}", "name": "experiment_a", "description": null, "model_name": null, "commit_hash": null, "training_metadata": null, "tags": ["y"], "created_at": {{"_type": "datetime", "value": "2020-07-13 15:03:21.377333"}}}}"#
        ),
    );
    write(
        &old.join("parameters/random-state/metadata.json"),
        r#"{"name": "random state", "id": "7665", "value": 13243546, "description": null, "created_at": {"_type": "datetime", "value": "2020-07-13 15:03:21.389866"}}"#,
    );
    write(
        &old.join("metrics/auc/metadata.json"),
        r#"{"name": "auc", "id": "7666", "value": 0.75, "description": null, "created_at": {"_type": "datetime", "value": "2020-07-13 15:03:21.389866"}}"#,
    );
}

#[tokio::test]
async fn everything_in_a_root_comes_along() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rubicon-root");
    root_in(&root);
    let store = Store::create(dir.path().join("store")).unwrap();
    let source = only_source(&root);
    assert_eq!((source.kind().to_string(), source.holdings().unwrap().runs), ("rubicon-ml root".to_string(), 2));
    let report = bring(&root, &store).await;
    assert_eq!(lost(&report), Vec::<String>::new());
    let notes = noted(&report).join("\n");
    for part in [
        "'model.pkl' is called 'model.pkl@a2' here: another one has that name",
        "'../../escape' is called 'a3' here: its name cannot be that of a file",
        "one is called 's3://b/w.parquet@2' in data_versions",
        "archives are not read",
    ] {
        assert!(notes.contains(part), "{part} in\n{notes}");
    }
    for (sql, expected) in [
        (
            "SELECT run_id, experiment, name, status, start_time, end_time, git_branch, git_commit, git_remote, notes, \
             parent_run_id FROM runs WHERE name NOT LIKE 'files of %' ORDER BY start_time",
            vec![
                "8e5b4ad9-6afc-43ce-9e19-aaa1d80831f1|intake-rubicon|experiment_a|FINISHED|2020-07-13T15:03:21.377333Z|\
                 2020-07-13T15:03:21.389866Z|NULL|NULL|NULL|NULL|NULL",
                "1b6877f7-11ed-4881-9030-33aac14862e0|Wine: Classification!|rf-00|FINISHED|2026-11-22T22:03:06Z|\
                 2026-11-22T22:03:07.500Z|main|171e734f|https://example.com/wine.git|a grid|\
                 8e5b4ad9-6afc-43ce-9e19-aaa1d80831f1",
            ],
        ),
        (
            "SELECT key, value, type, num FROM params ORDER BY key",
            vec![
                "array|[1, 2]|list|NULL",
                "empty||text|NULL",
                "flag|True|bool|NULL",
                "n_estimators|2|int|2.0",
                "none|None|text|NULL",
                "null|NULL|null|NULL",
                "oob_score|false|bool|NULL",
                "random state|13243546|int|13243546.0",
                "spelt|1e-05|float|0.00001",
            ],
        ),
        (
            "SELECT key, step, time, value FROM metrics ORDER BY key",
            vec![
                "-Infinity|NULL|2026-11-22T22:03:07.500Z|-inf",
                "auc|NULL|2020-07-13T15:03:21.389866Z|0.75",
                "log_loss|NULL|2026-11-22T22:03:07.500Z|0.5",
                "nan|NULL|2026-11-22T22:03:07.500Z|NaN",
            ],
        ),
        (
            "SELECT key, kind, payload FROM series ORDER BY key",
            vec!["oob_score|text|null", "per epoch|text|[0.9, NaN]", "verdict|text|good"],
        ),
        (
            "SELECT key, goal, source FROM metric_defs ORDER BY key",
            vec!["-Infinity|max|imported", "log_loss|min|imported", "nan|max|imported"],
        ),
        (
            "SELECT feature, used, importance, feature_tags FROM features ORDER BY feature",
            vec!["bare|true|NULL|NULL", "od280/od315|true|0.25|[chem]"],
        ),
        (
            "SELECT key, value FROM tags WHERE key <> 'rubicon.project_files' ORDER BY key",
            vec![
                "back|NULL",
                "grid|NULL",
                "k:4|NULL",
                "parent:8e5b4ad9-6afc-43ce-9e19-aaa1d80831f1|NULL",
                "rubicon.model_name|Forest",
                "y|NULL",
            ],
        ),
        (
            "SELECT comment, time FROM comments ORDER BY comment",
            vec!["by hand|2026-11-22T22:03:06Z", "later|1970-01-01T00:06:40Z"],
        ),
        (
            "SELECT dataset, role, digest, data_version, source FROM data_versions ORDER BY dataset",
            vec![
                r#"s3://b/w.parquet|training|NULL|SELECT 1|["s3://b/w.parquet", "SELECT 1"]"#,
                r#"s3://b/w.parquet@2|training|NULL|SELECT 2|["s3://b/w.parquet", "SELECT 2"]"#,
                r#"sklearn.datasets|training|NULL|[["load_wine"], "first 4"]|["sklearn.datasets", ["load_wine"], "first 4"]"#,
            ],
        ),
        ("SELECT key, value FROM environment", vec![r#"rubicon.novelty|{"a": 1}"#]),
        ("SELECT target_run_id, kind FROM links", vec!["8e5b4ad9-6afc-43ce-9e19-aaa1d80831f1|parent"]),
        (
            "SELECT path, size FROM artifacts ORDER BY path",
            vec!["a3|2", "dataframes/confusion matrix/data.parquet|4", "model.pkl|2", "model.pkl@a2|2", "readme.txt|7"],
        ),
        (
            "SELECT kind, name, directionality, value, path FROM frames.rubicon_entities WHERE value IS NOT NULL OR \
             path IS NOT NULL ORDER BY kind, name, path",
            vec![
                "artifact|../../escape|NULL|NULL|a3",
                "artifact|model.pkl|NULL|NULL|model.pkl",
                "artifact|model.pkl|NULL|NULL|model.pkl@a2",
                "artifact|readme.txt|NULL|NULL|readme.txt",
                "dataframe|confusion matrix|NULL|NULL|dataframes/confusion matrix",
                "metric|oob_score|score|null|NULL",
                "metric|per epoch|loss|[0.9, NaN]|NULL",
                r#"metric|verdict|score|"good"|NULL"#,
                r#"parameter|array|NULL|{"_dtype": "<i8", "_shape": [2], "_type": "numpy", "value": "AQAAAAAAAAACAAAAAAAAAA=="}|NULL"#,
            ],
        ),
        ("SELECT count(*) FROM frames.rubicon_entities", vec!["23"]),
        (
            "SELECT experiment, tags FROM experiments ORDER BY 1",
            vec![
                r#"Wine: Classification!|{"rubicon.created_at":"2026-11-22T22:03:05.170812Z","rubicon.description":"a sample","rubicon.github_url":"https://example.com/wine.git","rubicon.project_id":"7870ab7b","rubicon.training_metadata":"[[\"s3\", \"wine\"]]"}"#,
                r#"intake-rubicon|{"rubicon.created_at":"2020-07-13T15:03:21.375744Z","rubicon.project_id":"84c3"}"#,
            ],
        ),
        ("SELECT params.spelt, params.flag FROM runs WHERE name = 'rf-00'", vec!["0.00001|true"]),
    ] {
        assert_eq!(rows(&store, sql).await, expected, "{sql}");
    }
    nothing_is_missing(&root, &store).await;
}

#[tokio::test]
async fn what_changes_in_the_source_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, home) = (dir.path().join("rubicon-root"), dir.path().join("store"));
    root_in(&root);
    let store = Store::create(&home).unwrap();
    bring(&root, &store).await;
    store.close_segment().unwrap();
    store.seal().await.unwrap();
    let run = root.join("wine-classification/experiments").join(FIRST);
    write(&run.join("tags_9.json"), r#"{"removed_tags": ["grid"]}"#);
    write(&run.join("comments_9.json"), r#"{"removed_comments": ["later"]}"#);
    let later = part("recall", r#""value": 1, "directionality": "score","#).replace("22:03:07.5", "22:04:00");
    write(&run.join("metrics/recall/metadata.json"), later);
    let report = bring(&root, &store).await;
    assert_eq!(added(&report), [("facts of runs", 1), ("metric points", 1), ("metric goals", 1), ("table rows", 1)]);
    assert_eq!(lost(&report), Vec::<String>::new());
    let tags = "SELECT key FROM tags WHERE key IN ('grid', 'back')";
    assert_eq!(rows(&store, tags).await, ["back"]);
    assert_eq!(rows(&store, "SELECT comment FROM comments").await, ["by hand"]);
    let end = "SELECT end_time FROM runs WHERE name = 'rf-00'";
    assert_eq!(rows(&store, end).await, ["2026-11-22T22:04:00Z"]);
    nothing_is_missing(&root, &store).await;
}

#[tokio::test]
async fn one_bad_file_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rubicon-root");
    root_in(&root);
    let run = root.join("wine-classification/experiments").join(FIRST);
    write(&run.join("parameters/flag/metadata.json"), "[".repeat(200_000));
    write(&run.join("tags_1.json"), r#"{"added_tags": [1]}"#);
    write(&run.join("metrics/nan/metadata.json"), [0xff, 0xfe]);
    write(&run.join("features/copy/metadata.json"), part("bare", ""));
    fs::remove_file(run.join("artifacts/a1/data")).unwrap();
    write(&root.join("intakerubicon/metadata.json"), "");
    let auc = root.join("intakerubicon/experiments").join(SECOND).join("metrics/auc/metadata.json");
    write(&auc, part("auc", r#""value": 1, "directionality": "loss","#));
    fs::rename(run.join("dataframes"), dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), run.join("dataframes")).unwrap();
    fs::create_dir_all(run.join("metrics/started")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", run.join("metrics/link")).unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let report = bring(&root, &store).await;
    let lost = lost(&report);
    assert_eq!(lost.len(), 9, "{lost:#?}");
    for part in [
        "flag/metadata.json: it is no JSON: recursion limit exceeded",
        "tags_1.json: 'added_tags' is no list of texts",
        "nan/metadata.json: it is not UTF-8 at byte 1",
        "copy/metadata.json: there is another feature 'bare', which was taken",
        "a1/data: the data of artifact 'model.pkl' is missing",
        "intakerubicon/metadata.json: it is no JSON",
        "metrics/started: the metric has no metadata.json",
        "dataframes: links are not followed",
        "metrics/link: it is neither a file nor a folder",
    ] {
        assert!(lost.iter().any(|told| told.contains(part)), "{part} in {lost:#?}");
    }
    let names = "SELECT experiment, name FROM runs ORDER BY 2";
    assert_eq!(
        rows(&store, names).await,
        [
            "intake-rubicon|experiment_a",
            "Wine: Classification!|files of Wine: Classification!",
            "Wine: Classification!|rf-00"
        ]
    );
    assert_eq!(rows(&store, "SELECT count(*) FROM params").await, ["8"]);
    nothing_is_missing(&root, &store).await;
}

#[test]
fn roots_and_projects_are_recognised_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep/rubicon-root");
    root_in(&root);
    let kinds = |path: &Path| {
        let mut found = Vec::new();
        detect(path, &mut found).unwrap();
        found.iter().map(|s| (s.place().to_path_buf(), s.holdings().unwrap().runs)).collect::<Vec<_>>()
    };
    let project = root.join("wine-classification");
    assert_eq!(kinds(&root), [(root.clone(), 2)]);
    assert_eq!(kinds(&dir.path().join("deep")), [(root.clone(), 2)]);
    assert_eq!(kinds(&project), [(project.clone(), 1)]);
    assert_eq!(kinds(&project.join("experiments").join(FIRST)), []);
    assert_eq!(kinds(&project.join("experiments")), []);
    assert_eq!(kinds(dir.path()), []);
    write(&dir.path().join("web/app/metadata.json"), r#"{"name": "app", "created_at": "today"}"#);
    assert_eq!(kinds(&dir.path().join("web")), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_hide_nothing_else(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        root_in(dir.path());
        let mut files = Vec::new();
        let mut nothing = |_| true;
        tree::files_below(dir.path(), &mut Out::new(&mut nothing), |_, path, size, _| {
            if size > 0 { files.push(path.to_path_buf()) }
        });
        let path = file.get(&files);
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        fs::write(path, bytes).unwrap();
        let items = walk(&root::Root::new(dir.path()));
        let runs = items.iter().filter(|item| matches!(item, Item::Run(_))).count();
        // Two experiments and the files of a project; all of them but the one that was hit.
        prop_assert!(runs >= 2, "{runs} runs after damage to {}", path.display());
    }
}
