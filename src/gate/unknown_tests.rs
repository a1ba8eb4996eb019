//! Checks over runs that logged NaN, or nothing.

use datafusion::common::ScalarValue;

use super::tests::{Fixture, empty, put, run};
use super::*;
use crate::Session;
use crate::model::{Goal, Status};
use crate::store::Metrics;

/// Three runs with a good score, one with NaN, one with none; another experiment has no scores at all.
fn fixture() -> Fixture {
    let fixture = empty();
    let store = &fixture.store;
    for (name, auc) in
        [("a", Some(0.9)), ("b", Some(0.92)), ("c", Some(0.94)), ("broken", Some(f64::NAN)), ("silent", None)]
    {
        let run = run(store, name);
        run.set_tag("build", if name == "broken" || name == "a" { "101" } else { "102" }).unwrap();
        run.set_tag(name, "yes").unwrap();
        run.log_metrics(Metrics::new().value("loss", 0.1)).unwrap();
        if let Some(auc) = auc {
            run.log_metrics(Metrics::new().value("auc", auc)).unwrap();
        }
        run.finish(Status::Finished).unwrap();
    }
    let other = store.start_run(crate::store::RunOptions::new("regression").name("r")).unwrap();
    other.log_metrics(Metrics::new().value("rmse", 2.0)).unwrap();
    other.finish(Status::Finished).unwrap();
    store.set_goal("churn", "auc", Goal::Max).unwrap();
    fixture
}

async fn all(session: &Session, cases: &[(&str, &str, Verdict, &str)]) {
    for (expect, sql, verdict, says) in cases {
        let result = put(session, &format!("-- check: c\n-- expect: {expect}\n{sql}")).await;
        assert_eq!(result.verdict, *verdict, "{expect} {sql}: {}", result.detail);
        assert!(result.detail.contains(says), "{expect} {sql}: {}", result.detail);
        if *verdict == Verdict::Undecided && !expect.contains('(') {
            let text = format!("-- check: c\n-- expect: {expect}\n-- allow empty\n{sql}");
            assert_eq!(put(session, &text).await.verdict, Verdict::Passed, "{expect} {sql}");
        }
    }
}

#[tokio::test]
async fn nan_is_no_pass() {
    let fixture = fixture();
    let session = fixture.store.session().await.unwrap();
    use Verdict::{Passed, Undecided};
    let nan = "1 of 2 rows, where NaN was logged";
    all(
        &session,
        &[
            ("no rows", "SELECT 1 FROM runs WHERE tags.build = '101' AND metrics.auc < 0.8", Undecided, nan),
            ("no rows", "SELECT 1 FROM runs AS r WHERE r.tags.build = '101' AND r.best.auc < 0.8", Undecided, nan),
            ("no rows", "SELECT 1 FROM runs WHERE tags.build = '101' AND NOT (metrics.auc >= 0.8)", Undecided, nan),
            ("value = 0", "SELECT count(*) FROM runs WHERE tags.build = '101' AND metrics.auc < 0.8", Undecided, nan),
            ("value >= 0.8", "SELECT avg(metrics.auc) FROM runs WHERE tags.build = '101'", Undecided, nan),
            ("value >= 0.8", "SELECT min(metrics.auc) FROM runs WHERE tags.build = '101'", Undecided, nan),
            ("value = true", "SELECT bool_and(metrics.auc > 0.8) FROM runs WHERE tags.build = '101'", Undecided, nan),
            (
                "no rows",
                "SELECT tags.build FROM runs GROUP BY tags.build HAVING avg(metrics.auc) < 0.8",
                Undecided,
                "1 of 6 rows, where NaN",
            ),
            ("no rows", "SELECT 1 FROM metrics WHERE key = 'auc' AND value < 0.8", Undecided, "1 of 4 rows, where NaN"),
            ("value > 0.8", "SELECT min(value) FROM metrics WHERE key = 'auc'", Undecided, "NOT isnan(value)"),
            ("no rows", "SELECT 1 FROM metric_stats AS m WHERE m.key = 'auc' AND m.last < 0.8", Undecided, "1 of 4"),
            (
                "no rows",
                "WITH x AS (SELECT * FROM runs WHERE tags.build = '101' AND metrics.auc < 0.8) SELECT 1 FROM x",
                Undecided,
                nan,
            ),
            (
                "no rows",
                "SELECT 1 FROM runs WHERE false UNION ALL \
                 SELECT 2 FROM runs WHERE tags.build = '101' AND metrics.auc < 0.8",
                Undecided,
                nan,
            ),
            (
                "value >= (SELECT avg(metrics.auc) - 1 FROM runs WHERE tags.build = '101')",
                "SELECT max(metrics.auc) FROM runs",
                Undecided,
                nan,
            ),
            // Whatever is broken, one run is that good.
            ("value >= 0.9", "SELECT max(metrics.auc) FROM runs", Passed, "0.94 is >= 0.9"),
            ("value >= 3", "SELECT count(*) FROM runs WHERE metrics.auc >= 0.9", Passed, "3 is >= 3"),
            ("some rows", "SELECT 1 FROM runs WHERE metrics.auc > 0.9", Passed, "2 rows"),
            // It was seen to.
            (
                "no rows",
                "SELECT 1 FROM runs WHERE tags.build = '101' AND metrics.auc IS NOT NULL AND metrics.auc < 0.8",
                Passed,
                "no rows",
            ),
            (
                "no rows",
                "SELECT 1 FROM runs WHERE tags.a = 'yes' AND (metrics.auc < 0.8 OR metrics.auc IS NULL)",
                Passed,
                "no rows",
            ),
            (
                "no rows",
                "SELECT 1 FROM metrics WHERE key = 'auc' AND NOT isnan(value) AND value < 0.8",
                Passed,
                "no rows",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_no_run_has_is_no_pass() {
    let fixture = fixture();
    let session = fixture.store.session().await.unwrap();
    use Verdict::{Passed, Undecided};
    all(
        &session,
        &[
            (
                "no rows",
                "SELECT 1 FROM runs WHERE experiment = 'regression' AND metrics.auc < 0.8",
                Undecided,
                "`metrics.auc < 0.8` is NULL for the one row, so nothing was compared",
            ),
            // Each exists, but not together.
            (
                "no rows",
                "SELECT 1 FROM runs WHERE experiment = 'regression' AND tags.build = '102' AND metrics.auc < 0.8",
                Undecided,
                "no row fits `experiment = 'regression' AND tags.build = '102'`",
            ),
            (
                "no rows",
                "SELECT 1 FROM runs WHERE lower(experiment) = 'chrun' AND metrics.auc < 0.8",
                Undecided,
                "no row fits `lower(experiment) = 'chrun'`",
            ),
            (
                "value = 0",
                "SELECT count(*) FROM runs WHERE starts_with(tags.build, '9') AND status = 'FAILED'",
                Undecided,
                "no row fits `starts_with(tags.build, '9')`",
            ),
            (
                "no rows",
                "WITH x AS (SELECT experiment AS e, metrics.auc AS auc FROM runs) SELECT 1 FROM x WHERE e = 'chrun' AND auc < 0.8",
                Undecided,
                "no row fits `e = 'chrun'`",
            ),
            ("no rows", "SELECT 1 FROM runs WHERE tags.build = '102' AND status = 'FAILED'", Passed, "no rows"),
            ("no rows", "SELECT 1 FROM runs WHERE experiment = 'regression' AND tags.build = '102'", Passed, "no rows"),
            ("no rows", "SELECT 1 FROM runs WHERE status = 'FAILED' AND metrics.auc < 0.8", Passed, "no rows"),
            // Told, not silent.
            (
                "no rows",
                "SELECT 1 FROM runs WHERE tags.build = '102' AND metrics.auc < 0.8",
                Passed,
                "no rows; `metrics.auc < 0.8` is NULL for 1 of 3 rows",
            ),
            (
                "value > 0.8",
                "SELECT avg(metrics.auc) FROM runs WHERE tags.build = '102'",
                Passed,
                "is > 0.8; `metrics.auc` is NULL for 1 of 3 rows",
            ),
            (
                "value = 0",
                "SELECT count(CASE WHEN metrics.auc < 0.8 THEN 1 END) FROM runs WHERE tags.build = '101'",
                Undecided,
                "1 of 2 rows, where NaN was logged",
            ),
            (
                "value = 0",
                "SELECT count(*) FILTER (WHERE metrics.auc < 0.8) FROM runs WHERE tags.build = '101'",
                Undecided,
                "1 of 2 rows, where NaN was logged",
            ),
            ("value = 0", "SELECT count(CASE WHEN metrics.loss > 1 THEN 1 END) FROM runs WHERE experiment = 'churn'", Passed, "0 is = 0"),
        ],
    )
    .await;
}

#[tokio::test]
async fn values_given_from_outside_are_looked_for() {
    let fixture = fixture();
    let session = fixture.store.session().await.unwrap();
    let text = "-- check: c\n-- expect: no rows\nSELECT 1 FROM runs WHERE tags.build = $b AND status = 'FAILED'";
    let check = parse_checks(text).pop().unwrap().unwrap();
    for (value, verdict, says) in [
        (ScalarValue::from("102"), Verdict::Passed, "no rows"),
        (ScalarValue::from("103"), Verdict::Undecided, "nothing has tags.build = '103'"),
        (ScalarValue::from(102_i64), Verdict::Passed, "no rows"),
        (ScalarValue::from(103_i64), Verdict::Undecided, "nothing has tags.build = '103'"),
        (ScalarValue::Null, Verdict::Undecided, "tags.build = $b: nothing equals NULL"),
    ] {
        let options = CheckOptions { params: vec![("b".to_string(), value)], timeout: None };
        let result = check.evaluate(&session, &options).await;
        assert_eq!(result.verdict, verdict, "{}", result.detail);
        assert!(result.detail.contains(says), "{}", result.detail);
    }
}

#[tokio::test]
async fn goals_are_those_of_what_is_compared() {
    let fixture = fixture();
    let store = &fixture.store;
    store.set_goal("regression", "auc", Goal::Min).unwrap();
    store.set_goal("churn", "loss", Goal::Min).unwrap();
    let session = store.session().await.unwrap();
    use Verdict::{Passed, Undecided};
    let churn = "SELECT max(metrics.auc) FROM runs WHERE experiment = 'churn'";
    all(
        &session,
        &[
            ("value within 10% of (SELECT 0.9)", "SELECT max(metrics.auc) FROM runs", Undecided, "max in some"),
            ("value within 10% of (SELECT 0.9)", churn, Passed, "0.94 is at least 0.81"),
            (
                "value within 10% of (SELECT max(metrics.loss) FROM runs)",
                churn,
                Undecided,
                "of metric 'auc', the baseline of 'loss'",
            ),
            (
                "value within 10% of (SELECT max(metrics.loss) FROM runs)\n-- metric: auc",
                churn,
                Passed,
                "0.94 is at least 0.09",
            ),
            (
                "value within 10% of (SELECT 0.1)",
                "WITH best AS (SELECT avg(1 - metrics.auc) AS auc FROM runs) SELECT best.auc FROM best",
                Undecided,
                "nothing says whether greater is better",
            ),
        ],
    )
    .await;
}
