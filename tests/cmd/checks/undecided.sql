-- check: a misspelt experiment
-- expect: no rows
SELECT name FROM runs WHERE experiment = 'wnie' AND status = 'FAILED';

-- check: a misspelt metric
-- expect: value >= 0.9
SELECT max(metrics.acu) FROM runs;

-- check: a misspelt key
-- expect: value < 5
SELECT count(*) FROM metrics WHERE key = 'lozz';

-- check: bad SQL
-- expect: no rows
SELEC name FROM runs;

-- check: several values
-- expect: value >= 0.9
SELECT metrics.auc FROM runs WHERE experiment = 'wine';

-- check: no rows
-- expect: value >= 0.9
SELECT metrics.auc FROM runs WHERE experiment = 'wine' AND name = 'nobody';

-- check: no value
-- expect: value >= 0.9
SELECT max(metrics.auc) FROM runs WHERE experiment = 'diabetes';

-- check: text
-- expect: value >= 0.9
SELECT 'high';

-- check: NaN
-- expect: value >= 0.9
SELECT 'NaN'::double;

-- check: no direction
-- expect: value within 2% of (SELECT 0.9)
SELECT 1 - max(metrics.auc) FROM runs;

-- check: too few pairs
-- expect: not worse than (SELECT 1 AS seed, 0.9 AS score) by 0.01 at 95%, paired by seed
-- goal: max
SELECT 1 AS seed, 0.8 AS score;

-- check: one seed twice
-- expect: not worse than (SELECT 1 AS seed, 0.9 AS score) by 0.01 at 95%, paired by seed
-- goal: max
SELECT 1 AS seed, 0.8 AS score UNION ALL SELECT 1, 0.7;

-- check: no such column to pair by
-- expect: better than (SELECT 1 AS fold, 0.9 AS score) paired by seed
-- goal: max
SELECT 1 AS seed, 0.8 AS score;

-- check: what a check must not be
-- expct: no rows
SELECT 1;

SELECT 2;

-- check: no end
-- expect: no rows
SELECT 'open
