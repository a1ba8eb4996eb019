-- check: the dummy is good
-- expect: value >= 0.9
SELECT max(metrics.auc) FROM runs WHERE experiment = 'wine' AND params.model = 'dummy';
