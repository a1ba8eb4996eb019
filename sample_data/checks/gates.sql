-- Gates over the sample runs: `runlake check sample_data/checks`. docs/ci.md explains every line.

-- check: no run is left without an end
-- expect: no rows
-- message: {name} in {experiment} began at {start_time} and has not ended
SELECT name, experiment, start_time FROM runs WHERE status = 'RUNNING';

-- check: the best model knows the wines
-- expect: value >= 0.95
SELECT max(metrics.cv_auc) FROM runs WHERE experiment = 'wine';

-- check: the best forest is near the best model
-- expect: value within 1% of (SELECT max(metrics.cv_auc) FROM runs WHERE experiment = 'breast-cancer')
SELECT max(metrics.cv_auc) FROM runs WHERE experiment = 'breast-cancer' AND params.model = 'random_forest';

-- check: cleaning the data costs nothing
-- expect: not worse than (
--     SELECT params.seed AS seed, avg(metrics.cv_auc) AS score
--     FROM runs JOIN data_versions USING (run_id)
--     WHERE experiment = 'wine' AND tags.sweep = 'versions' AND role = 'training' AND data_version = 'v1-raw'
--     GROUP BY params.seed
--   ) by 0.001 at 95%, paired by seed
SELECT params.seed AS seed, avg(metrics.cv_auc) AS score
FROM runs JOIN data_versions USING (run_id)
WHERE experiment = 'wine' AND tags.sweep = 'versions' AND role = 'training' AND data_version = 'v2-clean'
GROUP BY params.seed;

-- check: all runs of wine end well
-- expect: no rows
-- severity: warn
-- message: {name}: {error}
SELECT name, error FROM runs WHERE experiment = 'wine' AND status = 'FAILED' ORDER BY start_time, name;
