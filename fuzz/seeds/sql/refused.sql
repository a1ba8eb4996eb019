CREATE VIEW v AS SELECT DISTINCT ON (experiment) experiment, params_text.lr::double FROM runs; DROP TABLE runs
