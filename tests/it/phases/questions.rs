//! Questions over the sample runs; each answer has an order, and sums are rounded, since their order is not.

pub const QUESTIONS: &[&str] = &[
    "SELECT count(*), count(DISTINCT experiment) FROM runs WHERE name NOT LIKE 'late-%' OR name IS NULL",
    "SELECT experiment, status, count(*), min(start_time), max(end_time) FROM runs GROUP BY 1, 2 ORDER BY 1, 2",
    // The leaderboard of the README.
    "SELECT name, params.model, params.seed, metrics.auc FROM runs WHERE experiment = 'breast-cancer'
     ORDER BY metrics.auc DESC, run_id LIMIT 10",
    "SELECT name, best.val_loss FROM runs WHERE experiment = 'digits' ORDER BY best.val_loss, run_id LIMIT 10",
    "SELECT params.model, count(*), round(avg(metrics.cv_auc), 9), max(metrics_max.cv_auc), min(metrics_min.cv_auc)
     FROM runs GROUP BY 1 ORDER BY 1",
    // A key that mixes numbers and text.
    "SELECT params_text.max_features, params_num.max_features, count(*) FROM runs GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT params.max_features, count(*) FROM runs GROUP BY 1 ORDER BY 1",
    "SELECT key, type, count(*), count(num), min(value), max(value) FROM params GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT key, context, count(*), count(step), min(value), max(value), count(DISTINCT run_id) FROM metrics
     WHERE NOT isnan(value) GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT key, count(*) FROM metrics WHERE isnan(value) OR abs(value) = 'Infinity' GROUP BY 1 ORDER BY 1",
    "SELECT key, context, sum(count), sum(nan_count), min(min), max(max), max(last_step), max(max_step),
            round(avg(mean), 6), round(avg(variance), 6)
     FROM metric_stats WHERE abs(mean) < 1e6 GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT feature, used, importance_kind, count(*), max(importance), min(position) FROM features
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "SELECT n_features, feature_set, count(*) FROM runs GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT config_id, count(*), min(seed), max(seed) FROM runs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
    "SELECT dataset, role, data_version, digest, n_rows, count(*) FROM data_versions GROUP BY 1, 2, 3, 4, 5
     ORDER BY 1, 2, 3, 4, 5",
    "SELECT data.training, count(*) FROM runs GROUP BY 1 ORDER BY 1",
    // One config paired over two versions of the data.
    "SELECT a.config_id, a.seed, round(b.auc - a.auc, 9) FROM
       (SELECT r.config_id, r.seed, max(r.metrics.auc) AS auc FROM runs r JOIN data_versions d USING (run_id)
        WHERE d.role = 'training' AND d.data_version = 'v1-raw' GROUP BY 1, 2) a
     JOIN
       (SELECT r.config_id, r.seed, max(r.metrics.auc) AS auc FROM runs r JOIN data_versions d USING (run_id)
        WHERE d.role = 'training' AND d.data_version = 'v2-clean' GROUP BY 1, 2) b
     ON a.config_id = b.config_id AND a.seed = b.seed ORDER BY 1, 2, 3 LIMIT 50",
    "SELECT key, value, count(*) FROM tags GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT tags.subset, count(*) FROM runs GROUP BY 1 ORDER BY 1",
    "SELECT path, size, digest, mime FROM artifacts ORDER BY run_id, path LIMIT 50",
    "SELECT package, package_version, count(*) FROM packages GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT key, value, count(*) FROM environment GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT l.kind, r.experiment, count(*), round(sum(l.weight), 9) FROM links l JOIN runs r USING (run_id)
     GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT author, time, comment FROM comments ORDER BY time, comment_id",
    "SELECT key, kind, step, count(*), max(length(payload)) FROM series GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "SELECT split, fold, count(*), round(avg(CASE WHEN target = prediction THEN 1.0 ELSE 0.0 END), 9)
     FROM frames.predictions GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*), count(DISTINCT run_id) FROM frames.residuals",
    "SELECT actual, predicted, sum(count) FROM frames.confusion GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT experiment, created, tags, lifecycle FROM experiments ORDER BY 1",
    "SELECT e.experiment, d.key, d.goal, d.unit FROM metric_defs d JOIN experiments e USING (experiment_id) ORDER BY 1, 2",
    // A learning curve with a window over it.
    "SELECT step, value, min(value) OVER (ORDER BY step) FROM metrics
     WHERE key = 'val_loss' AND run_id = (SELECT min(run_id) FROM metrics WHERE key = 'val_loss') ORDER BY step, time",
    "SELECT p.name, count(*) FROM runs c JOIN runs p ON c.parent_run_id = p.run_id GROUP BY 1 ORDER BY 2 DESC, 1",
    "SELECT name, error FROM runs WHERE status = 'FAILED' ORDER BY run_id",
];
