-- rule: no metric
-- stop when: not a number

-- rule: nonsense
-- metric: loss
-- stop when: it feels wrong
