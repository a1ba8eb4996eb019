//! Comparisons and effects over stores: planted truths, and answers that do not depend on the order of rows or on sealing.

use arrow::util::pretty::pretty_format_batches;

use crate::model::{DataVersion, ExperimentEdit, Feature, Goal, Micros, ParamValue, RunId, Status};
use crate::store::{Metrics, RunOptions, Store};

/// A run to log.
struct Given {
    id: String,
    experiment: &'static str,
    params: Vec<(&'static str, ParamValue)>,
    features: Vec<&'static str>,
    data: Option<(&'static str, &'static str)>,
    start: i64,
    score: f64,
    folds: Vec<f64>,
}

impl Given {
    fn new(id: impl Into<String>, experiment: &'static str, score: f64) -> Given {
        let (params, features, data) = (Vec::new(), Vec::new(), Some(("adults", "v1")));
        Given { id: id.into(), experiment, params, features, data, start: 0, score, folds: Vec::new() }
    }

    fn param(mut self, key: &'static str, value: impl Into<ParamValue>) -> Given {
        self.params.push((key, value.into()));
        self
    }

    fn data(self, dataset: &'static str, version: &'static str) -> Given {
        Given { data: Some((dataset, version)), ..self }
    }

    fn log(&self, store: &Store) {
        let id = RunId::parse(&self.id).unwrap();
        let start = Micros(1_790_000_000_000_000 + self.start * 1_000_000);
        let run = store.start_run(RunOptions::new(self.experiment).id(id).start_time(start)).unwrap();
        run.log_params(self.params.clone()).unwrap();
        if !self.features.is_empty() {
            let feature = |name: &&str| Feature {
                feature: name.to_string(),
                position: None,
                dtype: None,
                used: true,
                importance: None,
                importance_kind: None,
                feature_tags: Vec::new(),
                description: None,
            };
            run.log_features(self.features.iter().map(feature).collect()).unwrap();
        }
        if let Some((dataset, version)) = self.data {
            let data = DataVersion {
                dataset: dataset.to_string(),
                role: "training".to_string(),
                digest: Some(format!("digest-{version}")),
                data_version: Some(version.to_string()),
                source: None,
                n_rows: None,
                n_columns: None,
                bytes: None,
                data_schema: None,
            };
            run.log_data(data).unwrap();
        }
        run.log_metric("auc", self.score).unwrap();
        for (fold, value) in self.folds.iter().enumerate() {
            let context = serde_json::json!({ "fold": fold });
            run.log_metrics(Metrics::new().value("auc", *value).context(context.as_object().unwrap())).unwrap();
        }
        run.end(Status::Finished, None, None).unwrap();
    }
}

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

fn store(runs: &[Given]) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    runs.iter().for_each(|run| run.log(&store));
    let experiments: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.experiment).collect();
    for experiment in experiments {
        store.set_goal(experiment, "auc", Goal::Max).unwrap();
    }
    store.flush().unwrap();
    Fixture { _dir: dir, store }
}

async fn ask(store: &Store, sql: &str) -> String {
    let session = store.session().await.unwrap();
    match session.sql(sql).await {
        Ok(frame) => pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string(),
        Err(e) => format!("error: {e}"),
    }
}

/// A number that only depends on what it is for, between 0 and 1.
fn noise(parts: &[usize]) -> f64 {
    let hash = blake3::hash(format!("{parts:?}").as_bytes());
    f64::from(u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap())) / f64::from(u32::MAX)
}

/// Two experiments on three data sets, one of them in two versions; three models, of which one has a depth; three seeds;
/// folds in one experiment.
fn sweep() -> Vec<Given> {
    let mut runs = Vec::new();
    let data = [("adults", "v1"), ("adults", "v2"), ("cars", "v1"), ("flats", "v1")];
    for (e, experiment) in ["small", "large"].into_iter().enumerate() {
        for (d, (dataset, version)) in data.into_iter().enumerate() {
            for (m, model) in ["svm", "tree", "bayes"].into_iter().enumerate() {
                for level in 0..4 {
                    for seed in 0..3 {
                        let gain = 0.02 * m as f64 + 0.01 * level as f64 * (1.0 - m as f64) + 0.1 * d as f64;
                        let score = 0.5 + gain + 0.004 * noise(&[e, d, m, level, seed]);
                        let id = format!(
                            "{:04x}{e}{d}{m}{level}{seed}",
                            (noise(&[e, d, m, level, seed, 1]) * 65535.0) as u32
                        );
                        let mut run =
                            Given::new(id, experiment, score).param("model", model).param("seed", seed as i64);
                        run = run.param("lr", 0.1f64.powi(level as i32)).param("warm", level % 2 == 0);
                        if model == "tree" {
                            run = run.param("depth", level as i64);
                        }
                        run.features = vec!["age", "income", "size"][..2 + level % 2].to_vec();
                        run.start = d as i64;
                        run.data = Some((dataset, version));
                        if e == 1 {
                            run.folds =
                                (0..4).map(|fold| score + 0.01 * noise(&[d, m, level, seed, fold, 2])).collect();
                        }
                        runs.push(run);
                    }
                }
            }
        }
    }
    runs
}

const QUESTIONS: [&str; 6] = [
    "SELECT * FROM compare_groups('SELECT run_id FROM runs WHERE params.model = ''svm''',
        'SELECT run_id FROM runs WHERE params.model = ''tree''', 'auc')",
    "SELECT * FROM compare_groups('small', 'large', 'auc')",
    "SELECT * FROM param_effects('%', 'auc')",
    "SELECT * FROM param_effects('small', 'auc')",
    "SELECT * FROM data_version_effects('%', 'auc')",
    "SELECT * FROM ablations('small', 'auc', (RUN), ignore => 'lr, warm')",
];

#[tokio::test]
async fn answers_do_not_depend_on_the_order_of_rows_or_on_sealing() {
    let mut runs = sweep();
    let given = format!("'{}'", runs[13].id);
    let questions: Vec<String> = QUESTIONS.iter().map(|sql| sql.replace("(RUN)", &given)).collect();
    let answers = async |store: &Store| {
        let mut all = Vec::new();
        for sql in &questions {
            all.push(ask(store, sql).await);
        }
        all
    };
    let first = store(&runs);
    let live = answers(&first.store).await;
    for (answer, sql) in live.iter().zip(&questions) {
        assert!(!answer.starts_with("error") && answer.lines().count() > 4, "{sql}: {answer}");
    }
    first.store.seal().await.unwrap();
    assert_eq!(answers(&first.store).await, live, "sealed");
    // The other way round, half of it sealed.
    runs.reverse();
    runs.sort_by_key(|run| run.id.as_bytes()[2]);
    let half = runs.split_off(runs.len() / 2);
    let second = store(&runs);
    second.store.seal().await.unwrap();
    half.iter().for_each(|run| run.log(&second.store));
    second.store.flush().unwrap();
    assert_eq!(answers(&second.store).await, live, "in another order");
}

#[tokio::test]
async fn params_are_judged_within_blocks_and_where_they_are_set() {
    let Fixture { store, _dir } = store(&sweep());
    let shown = ask(
        &store,
        "SELECT param, measure, round(effect, 3) AS effect, better, best_value, share_positive, share_negative, share_best,
                n_values, n_datasets, n_blocks, n_configs, n_runs, reason
         FROM param_effects('small', 'auc') ORDER BY param",
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    +-------+------------------+--------+--------+------------+----------------+----------------+------------+----------+------------+----------+-----------+--------+--------+
    | param | measure          | effect | better | best_value | share_positive | share_negative | share_best | n_values | n_datasets | n_blocks | n_configs | n_runs | reason |
    +-------+------------------+--------+--------+------------+----------------+----------------+------------+----------+------------+----------+-----------+--------+--------+
    | depth | rank correlation | 0.8    | true   |            | 1.0            | 0.0            |            | 4        | 3          | 4        | 12        | 48     |        |
    | lr    | rank correlation | -0.144 | false  |            | 0.0            | 1.0            |            | 4        | 3          | 4        | 36        | 144    |        |
    | model | omega squared    | 0.114  |        | bayes      |                |                | 1.0        | 3        | 3          | 4        | 36        | 144    |        |
    | warm  | omega squared    | -0.03  | true   | true       | 0.75           | 0.25           | 0.75       | 2        | 3          | 4        | 36        | 144    |        |
    +-------+------------------+--------+--------+------------+----------------+----------------+------------+----------+------------+----------+-----------+--------+--------+
    "#);
}

#[tokio::test]
async fn a_run_is_held_against_those_that_differ_in_one_thing() {
    let base = |id: &str, score| Given::new(id, "churn", score).param("lr", 0.1).param("model", "gbm");
    let with = |mut run: Given, features: &[&'static str]| {
        run.features = features.to_vec();
        run
    };
    let all = ["age", "income", "size"];
    let runs = vec![
        with(base("aa1", 0.80).param("seed", 1), &all),
        with(base("aa2", 0.82).param("seed", 2), &all),
        // One feature less, with a param that only says which.
        with(base("bb1", 0.78).param("seed", 1), &["age", "income"]),
        with(base("bb2", 0.79).param("seed", 2), &["age", "income"]),
        with(base("cc1", 0.81).param("without", "age"), &["income", "size"]),
        with(base("cc2", 0.70), &["age"]),
        // One param more, less, other.
        with(base("dd1", 0.90).param("depth", 3).param("seed", 1), &all),
        with(Given::new("dd2", "churn", 0.60).param("model", "gbm"), &all),
        with(Given::new("dd3", "churn", 0.85).param("model", "gbm").param("lr", 0.2), &all),
        // Two things, another experiment, other data, the same in another spelling.
        with(Given::new("ee1", "churn", 0.99).param("model", "svm").param("lr", 0.2), &all),
        with(Given::new("ee2", "other", 0.99).param("model", "svm").param("lr", 0.1), &all),
        with(Given::new("ee3", "churn", 0.99).param("model", "svm").param("lr", 0.1), &all).data("adults", "v2"),
        with(
            Given::new("ee4", "churn", 0.99).param("model", "gbm").param("lr", ParamValue::from_spelling("1e-1")),
            &all,
        ),
    ];
    let Fixture { store, _dir } = store(&runs);
    let columns = "kind, name, given_value, other_value, round(difference, 4) AS difference, better, paired_by, n_pairs, n_runs, best_run";
    let shown = ask(&store, &format!("SELECT {columns} FROM ablations('churn', 'auc', 'aa1')")).await;
    insta::assert_snapshot!(shown, @r"
    +---------+-------+-------------+-------------+------------+--------+-----------+---------+--------+----------+
    | kind    | name  | given_value | other_value | difference | better | paired_by | n_pairs | n_runs | best_run |
    +---------+-------+-------------+-------------+------------+--------+-----------+---------+--------+----------+
    | param   | depth |             | 3           | 0.1        | true   |           | 0       | 4      | dd1      |
    | feature | size  | used        | left out    | -0.025     | false  | seed      | 2       | 5      | bb2      |
    | param   | lr    | 0.1         | 0.2         | -0.14      | false  |           | 0       | 4      | dd3      |
    | param   | lr    | 0.1         |             | -0.39      | false  |           | 0       | 4      | dd2      |
    +---------+-------+-------------+-------------+------------+--------+-----------+---------+--------+----------+
    ");
    let shown = ask(
        &store,
        "SELECT name, given_value, other_value, round(difference, 4) AS difference, reason
         FROM ablations('churn', 'auc', 'aa2', ignore => 'without, depth') WHERE kind = 'feature'",
    )
    .await;
    insta::assert_snapshot!(shown, @r"
    +------+-------------+-------------+------------+-------------------------------------------+
    | name | given_value | other_value | difference | reason                                    |
    +------+-------------+-------------+------------+-------------------------------------------+
    | size | used        | left out    | -0.025     |                                           |
    | age  | used        | left out    | -0.18      | no two seeds or folds that both sides ran |
    +------+-------------+-------------+------------+-------------------------------------------+
    ");
    // The run need not be of the scope; then its own score is what others are held against.
    let shown = ask(
        &store,
        "SELECT name, given_score, round(difference, 4) AS difference FROM ablations(
            'SELECT run_id FROM runs WHERE params.lr > 0.15', 'auc', 'aa2')",
    )
    .await;
    insta::assert_snapshot!(shown, @r"
    +------+-------------+------------+
    | name | given_score | difference |
    +------+-------------+------------+
    | lr   | 0.82        | 0.03       |
    +------+-------------+------------+
    ");
    // A misspelt one would count, and nothing would be found.
    let shown = ask(&store, "SELECT * FROM ablations('churn', 'auc', 'aa1', ignore => 'wihtout, depth')").await;
    assert_eq!(shown, "error: no run has a param 'wihtout'");
    for (run, error) in [("aa", ""), ("zz", "")] {
        let shown = ask(&store, &format!("SELECT * FROM ablations('churn', 'auc', '{run}')")).await;
        assert!(shown.starts_with("error") && shown.contains(error), "{shown}");
    }
}

#[tokio::test]
async fn versions_follow_each_other_by_first_use() {
    let mut runs = Vec::new();
    // v10 came after v9, whatever their names say; v9 is used again later.
    for (i, (version, start)) in [("v9", 0), ("v10", 5), ("v11", 9)].into_iter().enumerate() {
        for config in 0..3usize {
            for seed in 0..2usize {
                let score = 0.5 + 0.1 * config as f64 + 0.02 * i as f64 + 0.001 * noise(&[i, config, seed]);
                let run = Given::new(format!("{version}-{config}-{seed}"), "churn", score).data("adults", version);
                let mut run = run.param("c", config as i64).param("seed", seed as i64);
                run.start = start + config as i64 * 3;
                runs.push(run);
            }
        }
    }
    // A config of one version only, and a data set of one version only.
    runs.push(Given { start: 20, ..Given::new("alone", "churn", 0.1).param("c", 9).data("adults", "v11") });
    runs.push(Given::new("other", "churn", 0.1).param("c", 9).data("cars", "v1"));
    let Fixture { store, _dir } = store(&runs);
    let columns =
        "dataset, from_version, to_version, round(difference, 3) AS difference, better, n_pairs, wins, losses, ties,
                   paired_by, test, p_value < 0.05 AS sure, n_configs, n_runs, reason";
    let sql = format!("SELECT {columns} FROM data_version_effects('churn', 'auc')");
    insta::assert_snapshot!(ask(&store, &sql).await, @r#"
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    | dataset | from_version | to_version | difference | better | n_pairs | wins | losses | ties | paired_by | test     | sure | n_configs | n_runs | reason |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    | adults  | v9           | v10        | 0.02       | true   | 3       | 3    | 0      | 0    | config    | paired t | true | 3         | 12     |        |
    | adults  | v10          | v11        | 0.02       | true   | 3       | 3    | 0      | 0    | config    | paired t | true | 3         | 12     |        |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    "#);
    // One config is paired by seed; none at all leaves a row that says so.
    let sql =
        format!("SELECT {columns} FROM data_version_effects('SELECT run_id FROM runs WHERE params.c = 2', 'auc')");
    insta::assert_snapshot!(ask(&store, &sql).await, @r#"
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    | dataset | from_version | to_version | difference | better | n_pairs | wins | losses | ties | paired_by | test     | sure | n_configs | n_runs | reason |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    | adults  | v9           | v10        | 0.02       | true   | 2       | 2    | 0      | 0    | seed      | paired t | true | 1         | 4      |        |
    | adults  | v10          | v11        | 0.02       | true   | 2       | 2    | 0      | 0    | seed      | paired t | true | 1         | 4      |        |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+----------+------+-----------+--------+--------+
    "#);
    let sql = format!(
        "SELECT {columns} FROM data_version_effects('SELECT run_id FROM runs WHERE params.c = 9 OR (params.c = 1 AND run_id LIKE ''v9%'')', 'auc')"
    );
    insta::assert_snapshot!(ask(&store, &sql).await, @r#"
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+------+------+-----------+--------+--------------------------------+
    | dataset | from_version | to_version | difference | better | n_pairs | wins | losses | ties | paired_by | test | sure | n_configs | n_runs | reason                         |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+------+------+-----------+--------+--------------------------------+
    | adults  | v9           | v11        |            |        | 0       | 0    | 0      | 0    |           |      |      | 0         | 0      | no config ran on both versions |
    +---------+--------------+------------+------------+--------+---------+------+--------+------+-----------+------+------+-----------+--------+--------------------------------+
    "#);
}

#[tokio::test]
async fn groups_are_compared_within_the_narrowest_blocks_they_share() {
    let mut runs = Vec::new();
    for (i, version) in ["v1", "v2"].into_iter().enumerate() {
        for config in 0..4usize {
            let score = 0.6 + 0.05 * config as f64 + 0.01 * i as f64 + 0.001 * noise(&[i, config]);
            let run =
                |id: &str| Given::new(format!("{id}-{version}-{config}"), "churn", score).param("c", config as i64);
            runs.push(run("a").data("adults", version));
            runs.push(Given { experiment: "again", ..run("b").data("adults", version) });
            runs.push(Given { experiment: "nowhere", data: None, ..run("c") });
        }
    }
    let Fixture { store, _dir } = store(&runs);
    let of = async |a: &str, b: &str| {
        let columns =
            "blocked_by, paired_by, n_pairs, n_blocks, n_unused, round(difference, 3) AS difference, better, reason";
        let scope = |text: &str| match text.contains(' ') {
            true => format!("SELECT run_id FROM runs WHERE {text}").replace('\'', "''"),
            false => text.to_string(),
        };
        let sql = format!("SELECT {columns} FROM compare_groups('{}', '{}', 'auc')", scope(a), scope(b));
        ask(&store, &sql).await
    };
    let odd = "run_id LIKE 'a-%' AND params.c IN (0, 1)";
    let mut shown = of(odd, "run_id LIKE 'a-%' AND params.c > 1").await + "\n";
    shown += &(of("run_id LIKE 'a-v2%'", "run_id LIKE 'a-v1%'").await + "\n");
    shown += &(of("churn", "again").await + "\n");
    shown += &(of("run_id LIKE 'a-v2%'", "run_id LIKE 'b-v1%'").await + "\n");
    shown += &(of("churn", "nowhere").await + "\n");
    shown += &of("churn", "churn").await;
    insta::assert_snapshot!(shown, @r#"
    +------------------------------+-----------+---------+----------+----------+------------+--------+--------+
    | blocked_by                   | paired_by | n_pairs | n_blocks | n_unused | difference | better | reason |
    +------------------------------+-----------+---------+----------+----------+------------+--------+--------+
    | experiment, data set, digest |           | 0       | 2        | 0        | -0.1       | false  |        |
    +------------------------------+-----------+---------+----------+----------+------------+--------+--------+
    +----------------------+-----------+---------+----------+----------+------------+--------+--------+
    | blocked_by           | paired_by | n_pairs | n_blocks | n_unused | difference | better | reason |
    +----------------------+-----------+---------+----------+----------+------------+--------+--------+
    | experiment, data set | config    | 4       | 1        | 0        | 0.01       | true   |        |
    +----------------------+-----------+---------+----------+----------+------------+--------+--------+
    +------------------+-----------+---------+----------+----------+------------+--------+------------------------------------------------------------------+
    | blocked_by       | paired_by | n_pairs | n_blocks | n_unused | difference | better | reason                                                           |
    +------------------+-----------+---------+----------+----------+------------+--------+------------------------------------------------------------------+
    | data set, digest | config    | 4       | 2        | 0        | 0.0        |        | all differences are the same, which leaves no spread to judge by |
    +------------------+-----------+---------+----------+----------+------------+--------+------------------------------------------------------------------+
    +------------+-----------+---------+----------+----------+------------+--------+--------+
    | blocked_by | paired_by | n_pairs | n_blocks | n_unused | difference | better | reason |
    +------------+-----------+---------+----------+----------+------------+--------+--------+
    | data set   | config    | 4       | 1        | 0        | 0.01       | true   |        |
    +------------+-----------+---------+----------+----------+------------+--------+--------+
    +------------+-----------+---------+----------+----------+------------+--------+------------------------------------+
    | blocked_by | paired_by | n_pairs | n_blocks | n_unused | difference | better | reason                             |
    +------------+-----------+---------+----------+----------+------------+--------+------------------------------------+
    |            |           | 0       | 0        | 16       |            |        | no block holds runs of both groups |
    +------------+-----------+---------+----------+----------+------------+--------+------------------------------------+
    error: 8 runs are in both groups: 'churn' and 'churn'
    "#);
}

#[tokio::test]
async fn repeats_are_told_apart_by_the_params_that_an_experiment_names() {
    let runs: Vec<Given> = (0..5usize)
        .flat_map(|draw| {
            [("sgd", 0.0), ("adam", 0.01)].map(|(optimizer, gain)| {
                let score = 0.9 + gain + 0.05 * noise(&[draw]) + 0.0005 * noise(&[draw, optimizer.len()]);
                let run = Given::new(format!("{optimizer}-{draw}"), "churn", score).param("optimizer", optimizer);
                run.param("draw", draw as i64)
            })
        })
        .collect();
    let Fixture { store, _dir } = store(&runs);
    let sql =
        "SELECT paired_by, n_pairs, n_configs_a, round(difference, 2) AS difference, better, p_value < 0.01 AS sure
               FROM compare_groups('SELECT run_id FROM runs WHERE params.optimizer = ''adam''',
                                   'SELECT run_id FROM runs WHERE params.optimizer = ''sgd''', 'auc')";
    let before = ask(&store, sql).await;
    let edit = ExperimentEdit {
        experiment: "churn".to_string(),
        set: Vec::new(),
        remove: Vec::new(),
        repeat_keys: Some(vec!["draw".to_string()]),
        deleted: None,
        rename: None,
    };
    store.edit_experiment(edit).unwrap();
    store.flush().unwrap();
    let after = ask(&store, sql).await;
    insta::assert_snapshot!(format!("{before}\n{after}"), @r#"
    +-----------+---------+-------------+------------+--------+-------+
    | paired_by | n_pairs | n_configs_a | difference | better | sure  |
    +-----------+---------+-------------+------------+--------+-------+
    |           | 0       | 5           | 0.01       | true   | false |
    +-----------+---------+-------------+------------+--------+-------+
    +-----------+---------+-------------+------------+--------+------+
    | paired_by | n_pairs | n_configs_a | difference | better | sure |
    +-----------+---------+-------------+------------+--------+------+
    | seed      | 5       | 1           | 0.01       | true   | true |
    +-----------+---------+-------------+------------+--------+------+
    "#);
    let shown = ask(&store, "SELECT param, n_configs FROM param_effects('churn', 'auc')").await;
    insta::assert_snapshot!(shown, @r#"
    +-----------+-----------+
    | param     | n_configs |
    +-----------+-----------+
    | optimizer | 2         |
    +-----------+-----------+
    "#);
}
