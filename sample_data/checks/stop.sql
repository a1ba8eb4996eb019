-- Stop rules for the runs of `digits`, which log val_loss at every step:
-- `runlake check --run RUN --stop-rules sample_data/checks/stop.sql`.

-- rule: behind the others
-- metric: val_loss
-- stop when: median of others at this step after step 4 min runs 10

-- rule: no progress
-- metric: val_loss
-- stop when: no improvement in 10 steps min delta 0.0001

-- rule: broken
-- metric: loss
-- stop when: not a number

-- rule: worse than guessing
-- metric: val_loss
-- stop when: value > 2.303 after step 4

-- rule: two hours are enough
-- stop when: value > 7200
SELECT coalesce(duration_s, 0) AS value FROM runs WHERE run_id = $run;
