-- check: the best model knows the wines
-- expect: value >= 0.95
SELECT max(metrics.auc) FROM runs;

-- check: paired
-- expect: not worse than (SELECT seed, avg(metrics.auc) AS score FROM runs GROUP BY seed) by 0.001 at 95%, paired by seed
-- severity: warn
-- message: {name} began at {start_time}
SELECT seed, avg(metrics.auc) AS score FROM runs GROUP BY seed;
