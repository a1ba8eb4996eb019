WITH t AS (SELECT params, metrics['train loss (v2)'] AS loss, tags.owner FROM runs) SELECT owner, count(*), max(loss) FROM t GROUP BY owner HAVING count(*) > 1
