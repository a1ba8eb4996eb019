//! A report over 100,000 runs: tables, and a chart of every kind.

use std::time::Duration;

use super::timing::shown;
use super::{Bench, child, ranking};

const PAGE: &str = r#"# {{ value("SELECT count(*) FROM runs") }} runs

```sql rows=20
SELECT name, params.lr, params.model, params.seed, metrics.auc FROM runs ORDER BY metrics.auc DESC, run_id
```

```sql chart=scatter log=x
SELECT params.lr, metrics.auc FROM runs ORDER BY run_id
```

```sql chart=box x=model
SELECT params.model AS model, metrics.auc FROM runs ORDER BY model, run_id
```

```sql chart=bar x=model y=mean
SELECT params.model AS model, avg(metrics.auc) AS mean FROM runs GROUP BY 1 ORDER BY 1
```

```sql chart=heat
SELECT params.model AS model, params.seed % 10 AS seed, avg(metrics.auc) AS auc FROM runs GROUP BY 1, 2 ORDER BY 1, 2
```

```sql chart=line y=mean x=decile
SELECT width_bucket(params.lr, 0, 1, 10) AS decile, params.model AS model, avg(metrics.auc) AS mean
FROM runs GROUP BY 1, 2 ORDER BY 1, 2
```
"#;

/// Within three seconds and 500 MB, the start of the process included.
pub fn hundred_thousand(bench: &mut Bench) {
    ranking::store(bench, 100_000);
    let place = bench.place("runs-100000");
    let mut reports: Vec<_> = (0..3).map(|_| child::report(&place, PAGE)).collect();
    reports.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (time, memory) = (Duration::from_secs_f64(reports[1].seconds), reports[1].peak_mb);
    bench.mark("report over 100,000 runs", shown(time), "at most 3 s", time <= Duration::from_secs(3));
    bench.mark("report over 100,000 runs: memory", format!("{memory} MB"), "at most 500 MB", memory <= 500);
}
