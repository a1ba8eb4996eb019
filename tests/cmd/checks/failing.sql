-- check: noise in the data costs nothing
-- expect: not worse than (
--     SELECT params.seed AS seed, avg(metrics.cv_auc) AS score
--     FROM runs JOIN data_versions USING (run_id)
--     WHERE experiment = 'wine' AND tags.sweep = 'versions' AND role = 'training' AND data_version = 'v1-raw'
--     GROUP BY params.seed
--   ) by 0.005 at 95%, paired by seed
-- message: noise costs {difference} on average, {n_pairs} seeds
SELECT params.seed AS seed, avg(metrics.cv_auc) AS score
FROM runs JOIN data_versions USING (run_id)
WHERE experiment = 'wine' AND tags.sweep = 'versions' AND role = 'training' AND data_version = 'v3-noisy'
GROUP BY params.seed;

-- check: few runs fail
-- expect: no rows
SELECT experiment, count(*) AS failed FROM runs WHERE status = 'FAILED' GROUP BY 1 ORDER BY 1;

-- check: the dummy is good
-- expect: value >= 0.9
SELECT max(metrics.auc) FROM runs WHERE experiment = 'wine' AND params.model = 'dummy';

-- check: holds
-- expect: value > (SELECT 0.9)
SELECT 0.95;
