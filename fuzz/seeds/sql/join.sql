SELECT r.name, m.step, avg(m.value) OVER (PARTITION BY run_id ORDER BY m.step ROWS 2 PRECEDING) FROM runs r JOIN metrics m USING (run_id) WHERE m.key = 'loss'
