-- rule: behind the others
-- metric: val_loss
-- stop when: median of others at this step after step 4 min runs 10

-- rule: broken
-- metric: loss
-- stop when: not a number

-- rule: two hours are enough
-- stop when: value > 7200
SELECT duration_s AS value FROM runs WHERE run_id = $run;
