//! Questions about features and fronts over 100,000 runs, each with a subset of 100 features of its own.

use super::ranking::ask;
use super::timing::{median, shown, time};
use super::{Bench, common};
use runlake::{Feature, Goal, Metrics, RunOptions, Status, Store};

const RUNS: u64 = 100_000;
const FEATURES: usize = 100;

/// What is asked, by name.
const QUESTIONS: [(&str, &str); 8] = [
    ("feature_effects", "SELECT * FROM feature_effects('subsets', 'auc')"),
    ("feature_sets", "SELECT rank, score, size, best_run FROM feature_sets('subsets', 'auc') WHERE rank <= 10"),
    ("select_features", "SELECT * FROM select_features('subsets', 'auc', tolerance => 0.01)"),
    ("pareto, two objectives", "SELECT * FROM pareto('subsets', 'auc, cost min', 3)"),
    ("config_scores", "SELECT * FROM config_scores('subsets', 'auc')"),
    ("param_effects", "SELECT * FROM param_effects('subsets', 'auc')"),
    (
        "compare_groups",
        "SELECT * FROM compare_groups('SELECT run_id FROM runs WHERE params.size < 500',
                                      'SELECT run_id FROM runs WHERE params.size >= 500', 'auc')",
    ),
    ("pareto, four objectives", "SELECT * FROM pareto('subsets', 'auc, cost min, n_features min, params.size min')"),
];

/// Each run uses about half of the features, more of them where it is lucky; large subsets score better.
fn fill(store: &Store) {
    let mut random = common::Random::new(11);
    let models = ["gbm", "svm", "mlp", "forest", "linear"];
    for n in 0..RUNS {
        let run = store.start_run(RunOptions::new("subsets").id(common::id(n))).expect("it can be logged");
        let model = models[random.below(5) as usize];
        run.log_param("model", model).expect("params are set once");
        run.log_param("size", random.below(1000)).expect("params are set once");
        let presence = 0.2 + 0.6 * random.unit();
        let mut score = 0.5;
        let mut features = Vec::new();
        for feature in 0..FEATURES {
            if random.unit() < presence {
                score += 0.001 * f64::from(feature < 40);
                features.push(used(format!("feature_{feature:02}")));
            }
        }
        run.log_features(features).expect("it can be logged");
        let error = (0..4).map(|_| random.unit()).sum::<f64>() - 2.0;
        let metrics = Metrics::new().value("auc", score + 0.02 * error).value("cost", random.unit());
        run.log_metrics(metrics).expect("it can be logged");
        run.end(Status::Finished, None, None).expect("it can be logged");
    }
    store.set_goal("subsets", "auc", Goal::Max).expect("it can be declared");
    store.close_segment().expect("the disk takes it");
}

fn used(feature: String) -> Feature {
    Feature {
        feature,
        position: None,
        dtype: None,
        used: true,
        importance: None,
        importance_kind: None,
        feature_tags: Vec::new(),
        description: None,
    }
}

/// All of them within a second.
pub fn features(bench: &mut Bench) {
    let place = bench.place("subsets");
    let store = match Store::open(&place) {
        Ok(store) => store,
        Err(_) => {
            let store = Store::create(&place).expect("the folder is empty");
            let logged = time(|| fill(&store));
            let sealed = time(|| bench.runtime.block_on(store.seal()).map(drop).expect("it can be sealed"));
            bench.note(&format!("{RUNS} runs: logged in {}, sealed in {}", shown(logged), shown(sealed)));
            store
        }
    };
    let session = bench.session(&store);
    for (name, sql) in QUESTIONS {
        // The first one fills caches.
        assert!(bench.ask(&session, sql) > 0);
        let times = (0..5).map(|_| ask(bench, &session, sql)).collect();
        let found = median(times);
        let what = format!("{name}: 100,000 runs x 100 features");
        bench.mark(&what, shown(found), "<= 1 s", found.as_secs_f64() <= 1.0);
    }
}
