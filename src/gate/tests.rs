//! Checks put to small stores.

use proptest::prelude::*;

use super::*;
use crate::model::{Goal, Status};
use crate::store::{Metrics, Run, RunOptions};
use crate::{Session, Store};

pub struct Fixture {
    _dir: tempfile::TempDir,
    pub store: Store,
}

pub fn empty() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    Fixture { _dir: dir, store }
}

pub fn run(store: &Store, name: &str) -> Run {
    store.start_run(RunOptions::new("churn").name(name)).unwrap()
}

pub fn curve(store: &Store, name: &str, key: &str, values: &[f64]) -> Run {
    let run = run(store, name);
    for (step, value) in values.iter().enumerate() {
        run.log_metrics(Metrics::new().value(key, *value).step(step as i64)).unwrap();
    }
    store.flush().unwrap();
    run
}

/// Two runs with a score, one without.
fn fixture() -> Fixture {
    let fixture = empty();
    for (name, auc) in [("good", Some(0.9)), ("bad", Some(0.6)), ("none", None)] {
        let run = run(&fixture.store, name);
        if let Some(auc) = auc {
            run.log_metrics(Metrics::new().value("auc", auc)).unwrap();
        }
        run.finish(Status::Finished).unwrap();
    }
    fixture.store.set_goal("churn", "auc", Goal::Max).unwrap();
    fixture
}

pub async fn put(session: &Session, text: &str) -> CheckResult {
    match parse_checks(text).pop().unwrap() {
        Ok(check) => check.evaluate(session, &CheckOptions::default()).await,
        Err(flaw) => panic!("line {}: {flaw}", flaw.line),
    }
}

#[tokio::test]
async fn verdicts_are_right_and_doubts_are_no_passes() {
    let fixture = fixture();
    let session = fixture.store.session().await.unwrap();
    use Verdict::{Failed, Passed, Undecided, Warned};
    let max = "SELECT max(metrics.auc) FROM runs";
    for (keys, sql, verdict, says) in [
        ("expect: no rows", "SELECT 1 FROM runs WHERE name = 'x'", Passed, "no rows"),
        ("expect: no rows", "SELECT 1 FROM runs WHERE name = 'bad'", Failed, "1 row where none are expected"),
        ("expect: no rows\n-- severity: warn", "SELECT name FROM runs", Warned, "3 rows where none"),
        ("expect: some rows", "SELECT 1 FROM runs", Passed, "3 rows"),
        ("expect: some rows", "SELECT 1 FROM runs WHERE false", Failed, "no rows where some"),
        ("expect: value >= 0.9", max, Passed, "0.9 is >= 0.9"),
        ("expect: value > 0.9", max, Failed, "0.9 is not > 0.9"),
        ("expect: value > 0.9", "SELECT 'a' AS name, 0.95 AS value", Passed, "0.95 is > 0.9"),
        ("expect: value > (SELECT 0.5)", "SELECT 1", Passed, "1 is > 0.5"),
        // In the type of the value, and exactly.
        ("expect: value = 'churn'", "SELECT min(experiment) FROM runs", Passed, "'churn' is = 'churn'"),
        ("expect: value <> 'churn'", "SELECT min(experiment) FROM runs", Failed, "'churn' is not <> 'churn'"),
        ("expect: value = (SELECT 'v1')", "SELECT 'v2'", Failed, "'v2' is not = 'v1'"),
        ("expect: value = true", "SELECT bool_and(metrics.auc > 0.5) FROM runs", Passed, "true is = true"),
        (
            "expect: value = 9007199254740993",
            "SELECT 9007199254740992",
            Failed,
            "9007199254740992 is not = 9007199254740993",
        ),
        ("expect: value = 9007199254740993", "SELECT 9007199254740993", Passed, "is = 9007199254740993"),
        ("expect: value = (SELECT 9007199254740993)", "SELECT 9007199254740992", Failed, "is not ="),
        ("expect: value = 3", "SELECT 3.0::double", Passed, "3 is = 3"),
        ("expect: value >= '2020-01-01'", "SELECT min(start_time) FROM runs", Passed, "is >= '2020-01-01'"),
        (
            "expect: value < '2020-01-01T00:00:00Z'",
            "SELECT TIMESTAMP '2020-01-01T00:00:00.000000001'",
            Failed,
            "2020-01-01T00:00:00.000000001Z is not <",
        ),
        (
            "expect: value = (SELECT DATE '2020-01-01')",
            "SELECT TIMESTAMP '2020-01-01T00:00:00'",
            Passed,
            "2020-01-01T00:00:00Z is =",
        ),
        ("expect: value = 'v1'", "SELECT 1", Undecided, "a number 1, which cannot be compared with a text 'v1'"),
        (
            "expect: value = true",
            "SELECT 'true'",
            Undecided,
            "a text 'true', which cannot be compared with a boolean true",
        ),
        ("expect: value > 'yesterday'", "SELECT min(start_time) FROM runs", Undecided, "with a text 'yesterday'"),
        ("expect: value > (SELECT 'x')", "SELECT 1", Undecided, "of the baseline holds text"),
        // Of the baseline's absolute value, and in the direction of the goal.
        ("expect: value within 10% of (SELECT 1.0)", max, Passed, "0.9 is at least 0.9"),
        ("expect: value within 5% of (SELECT 1.0)", max, Failed, "below 0.95, the baseline 1 less 5%"),
        ("goal: max\n-- expect: value within 10% of (SELECT -1.0)", "SELECT -1.05", Passed, "at least -1.1"),
        ("goal: max\n-- expect: value within 10% of (SELECT -1.0)", "SELECT -1.2", Failed, "below -1.1"),
        ("goal: min\n-- expect: value within 10% of (SELECT 1.0)", "SELECT -5", Passed, "at most 1.1"),
        ("goal: min\n-- expect: value within 0.05 of (SELECT 1.0)", "SELECT 1.06", Failed, "above 1.05"),
        ("metric: auc\n-- expect: value within 10% of (SELECT 1.0)", "SELECT 0.8", Failed, "below 0.9"),
        // What cannot be decided.
        ("expect: value within 10% of (SELECT 1.0)", "SELECT 0.8", Undecided, "nothing says whether greater is better"),
        ("metric: loss\n-- expect: value within 10% of (SELECT 1.0)", "SELECT 0.8", Undecided, "no declared goal"),
        ("expect: value > 1", "SELECT metrics.auc FROM runs WHERE name = 'none'", Undecided, "NULL"),
        ("expect: value > 1", "SELECT 'NaN'::double", Undecided, "NaN"),
        ("expect: value > 1", "SELECT 'Infinity'::double", Undecided, "inf"),
        ("expect: value > 1", "SELECT 'x'", Undecided, "holds text"),
        ("expect: value > 1", "SELECT true", Undecided, "holds boolean"),
        ("expect: value > 1", "SELECT metrics.auc FROM runs", Undecided, "3 rows where one value"),
        ("expect: value > 1", "SELECT 1, 2", Undecided, "none is called 'value'"),
        ("expect: value > 1", "SELECT 1 FROM runs WHERE false", Undecided, "returned no rows"),
        ("expect: value > 1\n-- allow empty", "SELECT 1 FROM runs WHERE false", Passed, "no rows, which is allowed"),
        ("expect: value > (SELECT 1 FROM runs WHERE false)", "SELECT 2", Undecided, "the baseline returned no rows"),
        ("expect: value > (SELECT nothing)", "SELECT 2", Undecided, "baseline: no column 'nothing'"),
        ("expect: no rows", "SELECT metrics.acu FROM runs", Undecided, "no key 'metrics.acu'"),
        ("expect: no rows", "SELECT 1 FROM rnus", Undecided, "no table 'rnus'"),
        ("expect: no rows", "SELECT $x", Undecided, "$x"),
        ("expect: no rows", "DELETE FROM runs", Undecided, "only reads"),
        ("expect: no rows", "SELECT 1 FROM tags", Undecided, "table 'tags' is empty"),
        ("expect: no rows\n-- allow empty", "SELECT 1 FROM tags", Passed, "no rows"),
        (
            "expect: no rows",
            "SELECT 1 FROM runs WHERE experiment = 'churm'",
            Undecided,
            "'churm', so nothing was checked; closest: 'churn'",
        ),
        (
            "expect: no rows",
            "SELECT 1 FROM runs AS r WHERE r.experiment IN ('churn', 'x')",
            Undecided,
            "no experiment 'x'",
        ),
        ("expect: no rows\n-- allow empty", "SELECT 1 FROM runs WHERE experiment = 'churm'", Passed, "no rows"),
        (
            "expect: value = 0",
            "SELECT count(*) FROM metric_stats WHERE key = 'acu'",
            Undecided,
            "no run has a key 'acu'",
        ),
        (
            "expect: value = (SELECT count(*) FROM metrics AS m WHERE m.key = 'au')",
            "SELECT 0",
            Undecided,
            "closest: 'auc'",
        ),
    ] {
        let result = put(&session, &format!("-- check: c\n-- {keys}\n{sql}")).await;
        assert_eq!(result.verdict, verdict, "{keys} {sql}: {}", result.detail);
        assert!(result.detail.contains(says), "{keys} {sql}: {}", result.detail);
        assert_eq!(result.doubt.is_some(), verdict == Undecided);
    }
}

/// Names that nothing has would let `no rows` hold for ever.
#[tokio::test]
async fn constants_that_nothing_has_decide_nothing() {
    let fixture = fixture();
    let tagged = run(&fixture.store, "tagged");
    tagged.set_tag("candidate", "abc").unwrap();
    tagged.log_param("model", "svm").unwrap();
    tagged.finish(Status::Finished).unwrap();
    let session = fixture.store.session().await.unwrap();
    use Verdict::{Passed, Undecided};
    for (sql, verdict, says) in [
        ("SELECT 1 FROM runs WHERE status = 'FAILED'", Passed, "no rows"),
        (
            "SELECT 1 FROM runs WHERE status = 'FAILD'",
            Undecided,
            "no such status, so nothing was checked; closest: 'FAILED'",
        ),
        (
            "SELECT 1 FROM runs WHERE status IN ('FAILED', 'failed')",
            Undecided,
            "status = 'failed': there is no such status",
        ),
        ("SELECT 1 FROM runs WHERE status LIKE 'FIAL%'", Undecided, "no such status"),
        ("SELECT 1 FROM runs WHERE status LIKE 'FAIL%'", Passed, "no rows"),
        ("SELECT 1 FROM runs WHERE status <> 'FINSHED' AND false", Undecided, "closest: 'FINISHED'"),
        ("SELECT 1 FROM runs WHERE experiment LIKE 'chrn%'", Undecided, "nothing has experiment LIKE 'chrn%'"),
        ("SELECT 1 FROM runs WHERE experiment LIKE 'ch%' AND false", Passed, "no rows"),
        (
            "SELECT 1 FROM runs AS r WHERE r.tags.candidate = 'abd'",
            Undecided,
            "tags.candidate = 'abd', so nothing was checked; closest: 'abc'",
        ),
        ("SELECT 1 FROM runs WHERE tags.candidate = 'abc' AND status = 'FAILED'", Passed, "no rows"),
        ("SELECT 1 FROM runs WHERE tags['candidate'] LIKE 'x%'", Undecided, "nothing has tags['candidate'] LIKE 'x%'"),
        ("SELECT 1 FROM runs WHERE params.model = 'smv' AND metrics.auc < 0.5", Undecided, "params.model = 'smv'"),
        (
            "SELECT 1 FROM tags WHERE key = 'candidate' AND value = 'abd'",
            Undecided,
            "nothing has value = 'abd', so nothing was checked; closest: 'abc'",
        ),
        ("SELECT 1 FROM params WHERE value LIKE '%secret%'", Passed, "no rows"),
        ("SELECT 1 FROM tags WHERE key = 'candidat'", Undecided, "no run has a key 'candidat'"),
        ("SELECT 1 FROM tags WHERE tags.key LIKE 'cnd%'", Undecided, "nothing has key LIKE 'cnd%'"),
        ("SELECT 1 FROM metrics WHERE key LIKE 'acu%' AND value < 0", Undecided, "nothing has key LIKE 'acu%'"),
        ("SELECT 1 FROM metrics WHERE key ~ '^au' AND value < 0", Passed, "no rows"),
        ("SELECT 1 FROM runs WHERE error LIKE '%memory%'", Passed, "no rows"),
        ("SELECT 1 FROM best_runs('churn', 'auc') WHERE status = 'FINISHD'", Undecided, "no such status"),
        (
            "SELECT 1 FROM best_runs('churn', 'auc') WHERE name = 'god' AND score < 0.5",
            Undecided,
            "nothing has name = 'god'",
        ),
        ("SELECT 1 FROM (SELECT name AS key FROM runs) WHERE key = 'x'", Passed, "no rows"),
    ] {
        let result = put(&session, &format!("-- check: c\n-- expect: no rows\n{sql}")).await;
        assert_eq!(result.verdict, verdict, "{sql}: {}", result.detail);
        assert!(result.detail.contains(says), "{sql}: {}", result.detail);
        let allowed = put(&session, &format!("-- check: c\n-- expect: no rows\n-- allow empty\n{sql}")).await;
        assert_eq!(allowed.verdict, Passed, "{sql}: {}", allowed.detail);
    }
    let candidate = |value: &str| CheckOptions {
        params: vec![("candidate".to_string(), datafusion::common::ScalarValue::from(value))],
        timeout: None,
    };
    let text =
        "-- check: c\n-- expect: no rows\nSELECT 1 FROM runs WHERE tags.candidate = $candidate AND status = 'FAILED'";
    let check = parse_checks(text).pop().unwrap().unwrap();
    assert_eq!(check.evaluate(&session, &candidate("abc")).await.verdict, Passed);
    let result = check.evaluate(&session, &candidate("none")).await;
    assert_eq!(result.verdict, Undecided, "{}", result.detail);
    assert!(result.detail.contains("tags.candidate = 'none'"), "{}", result.detail);
}

#[tokio::test]
async fn an_empty_store_passes_nothing() {
    let fixture = empty();
    let session = fixture.store.session().await.unwrap();
    let result = put(&session, "-- check: a\n-- expect: no rows\nSELECT 1 FROM runs WHERE status = 'FAILED'").await;
    assert_eq!((result.verdict, result.detail.contains("'runs' is empty")), (Verdict::Undecided, true));
}

#[tokio::test]
async fn messages_name_the_rows_at_fault() {
    let fixture = fixture();
    let session = fixture.store.session().await.unwrap();
    let text = "-- check: c\n-- expect: no rows\n-- message: {name} has {AUC} {nope}\n\
        SELECT name, metrics.auc AS auc FROM runs WHERE metrics.auc > 0 ORDER BY auc";
    let result = put(&session, text).await;
    assert_eq!(result.messages, ["bad has 0.6 {nope}", "good has 0.9 {nope}"]);
    assert!(result.hints[0].contains("names {nope}"), "{:?}", result.hints);
    assert_eq!(result.rows.map(|rows| rows.num_rows()), Some(2));
    let text = "-- check: c\n-- expect: value > 1\n-- message: {value} under {baseline}\nSELECT 0.5";
    assert_eq!(put(&session, text).await.messages, ["0.5 under 1"]);
}

/// Pairs as two statements.
fn paired(claim: &str, left: &[f64], right: &[f64]) -> String {
    let rows = |values: &[f64]| {
        let rows = values.iter().enumerate().map(|(seed, value)| format!("({seed}, {value:?}::double)"));
        let rows = rows.collect::<Vec<_>>().join(", ");
        format!("SELECT column1 AS seed, column2 AS score FROM (VALUES {rows})")
    };
    let (left, right) = (rows(left), rows(right));
    let (name, rest) = claim.split_once('|').unwrap_or((claim, ""));
    format!("-- check: c\n-- goal: max\n-- expect: {name} ({right}) {rest} paired by seed\n{left}")
}

#[tokio::test]
async fn claims_about_pairs_are_decided_by_the_bounds() {
    let fixture = empty();
    let session = fixture.store.session().await.unwrap();
    let base = [0.90, 0.91, 0.92, 0.93, 0.94];
    // Differences of -0.012, -0.008, -0.011, -0.010, -0.009: one-sided 95% bounds -0.0115074, -0.0084926 (SciPy).
    let worse = [0.888, 0.902, 0.909, 0.92, 0.931];
    for (claim, left, right, verdict, says) in [
        (
            "not worse than|by 0.005 at 95%,",
            &worse,
            &base,
            Verdict::Failed,
            "worse by 0.01 on average over 5 pairs, by more than 0.00849256",
        ),
        ("not worse than|by 0.0085,", &worse, &base, Verdict::Passed, "cannot be ruled out"),
        ("not worse than|by 0.012,", &worse, &base, Verdict::Passed, "not worse by more than 0.012"),
        (
            "shown not worse than|by 0.0115,",
            &worse,
            &base,
            Verdict::Failed,
            "a loss of up to 0.0115074 cannot be ruled out",
        ),
        ("shown not worse than|by 0.01151,", &worse, &base, Verdict::Passed, "not worse by more than 0.01151"),
        ("better than|by 0.008,", &base, &worse, Verdict::Passed, "by more than 0.00849256"),
        ("better than|by 0.009,", &base, &worse, Verdict::Failed, "more than 0.009 is expected"),
        ("better than|", &worse, &base, Verdict::Failed, "not shown to be better"),
        ("not worse than|", &base, &base, Verdict::Passed, "over 5 pairs"),
        ("shown not worse than|", &base, &base, Verdict::Passed, "over 5 pairs"),
        ("better than|", &base, &base, Verdict::Failed, "not shown"),
    ] {
        let result = put(&session, &paired(claim, left, right)).await;
        assert_eq!(result.verdict, verdict, "{claim}: {}", result.detail);
        assert!(result.detail.contains(says), "{claim}: {}", result.detail);
        assert_eq!(result.figures.n_pairs, Some(5));
    }
    let min = paired("not worse than|", &base, &worse).replace("goal: max", "goal: min");
    assert_eq!(put(&session, &min).await.verdict, Verdict::Failed);
}

#[tokio::test]
async fn pairs_that_are_none_are_no_pairs() {
    let fixture = empty();
    let session = fixture.store.session().await.unwrap();
    let text = |left: &str, right: &str| {
        format!("-- check: c\n-- goal: max\n-- expect: not worse than ({right}) paired by seed\n{left}")
    };
    let three = "SELECT column1 AS seed, column2 AS score FROM (VALUES (1, 1.0), (2, 1.0), (3, 1.0))";
    for (left, right, says) in [
        (
            three,
            "SELECT column1 AS seed, column2 AS score FROM (VALUES (1, 1.0), (2, 1.0))",
            "there are 2: the statement has 3, the baseline 2",
        ),
        (three, "SELECT column1 AS seed, column2 AS score FROM (VALUES (1, 1.0), (1, 2.0))", "seed 1 more than once"),
        (three, "SELECT column1 AS fold, column2 AS score FROM (VALUES (1, 1.0))", "no column 'seed'"),
        (
            three,
            "SELECT column1 AS seed, column2 AS score FROM (VALUES (NULL, 1.0), (1, 2.0))",
            "NULL in column 'seed'",
        ),
        (
            three,
            "SELECT column1 AS seed, column2 AS score FROM (VALUES (1, NULL), (2, 2.0))",
            "the baseline returned NULL in row 1",
        ),
        (three, "SELECT column1 AS seed, column2 AS a, column2 AS b FROM (VALUES (1, 1.0))", "several columns"),
        ("SELECT 1 AS seed", three, "several columns"),
    ] {
        let result = put(&session, &text(left, right)).await;
        assert_eq!(result.verdict, Verdict::Undecided, "{right}");
        assert!(result.detail.contains(says), "{right}: {}", result.detail);
    }
    // A seed is the same whatever its type; whoever has no partner is counted.
    let floats =
        "SELECT column1 AS seed, column2 AS score FROM (VALUES (1.0::double, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 2.0))";
    let result = put(&session, &text(three, floats)).await;
    assert_eq!(result.verdict, Verdict::Undecided, "{}", result.detail);
    assert!(result.detail.starts_with("1 of 4 rows of the baseline have no partner"), "{}", result.detail);
    let result = put(&session, &text(floats, three)).await;
    assert_eq!(result.verdict, Verdict::Passed, "{}", result.detail);
    assert!(result.detail.ends_with("1 row has no partner"), "{}", result.detail);
}

/// A sequence of normal deviates, the same each time.
struct Normal(u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        let (a, b) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// Gates over pairs that differ by noise alone, or by noise and a drop; the share that fails.
fn failing(claim: Claim, margin: f64, seeds: usize, noise: f64, drop: f64, gates: usize) -> f64 {
    let claim = Paired { claim, baseline: String::new(), margin, level: 0.95, by: vec!["seed".to_string()] };
    let mut normal = Normal(20_261_124);
    let rows = |scores: Vec<f64>| {
        use arrow::array::{Float64Array, Int64Array, RecordBatch};
        let seeds: Int64Array = (0..scores.len() as i64).collect();
        let columns: [(&str, arrow::array::ArrayRef); 2] =
            [("seed", std::sync::Arc::new(seeds)), ("score", std::sync::Arc::new(Float64Array::from(scores)))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        super::rows::Rows { n: batch.num_rows(), batch }
    };
    let mut failed = 0;
    for _ in 0..gates {
        // What a seed does to both sides cancels in pairs.
        let shared: Vec<f64> = (0..seeds).map(|_| 0.9 + 0.05 * normal.next()).collect();
        let left = rows(shared.iter().map(|s| s - drop + noise * normal.next()).collect());
        let right = rows(shared.iter().map(|s| s + noise * normal.next()).collect());
        let compared = super::pairs::compare(&claim, Goal::Max, &left, &right).unwrap();
        failed += usize::from(!compared.holds);
    }
    failed as f64 / gates as f64
}

#[test]
fn gates_over_the_same_thing_fail_at_most_one_time_in_twenty() {
    for seeds in [3, 5, 10] {
        // 4,000 gates: the share itself is known to 0.0034.
        let share = failing(Claim::NotWorse, 0.0, seeds, 0.01, 0.0, 4_000);
        assert!((0.04..0.06).contains(&share), "{seeds} seeds: {share}");
        // With a margin, fewer still.
        let share = failing(Claim::NotWorse, 0.005, seeds, 0.01, 0.0, 4_000);
        assert!(share < 0.05, "{seeds} seeds, margin: {share}");
        // Just at the margin, five in a hundred claims to be no worse are believed.
        let share = 1.0 - failing(Claim::ShownNotWorse, 0.01, seeds, 0.01, 0.01, 4_000);
        assert!((0.04..0.06).contains(&share), "{seeds} seeds, shown: {share}");
        let share = 1.0 - failing(Claim::Better, 0.0, seeds, 0.01, 0.0, 4_000);
        assert!((0.04..0.06).contains(&share), "{seeds} seeds, better: {share}");
    }
}

#[test]
fn a_true_drop_over_five_seeds_is_found() {
    let share = failing(Claim::NotWorse, 0.0, 5, 0.002, 0.01, 2_000);
    assert!(share > 0.99, "{share}");
    let share = failing(Claim::NotWorse, 0.005, 5, 0.002, 0.01, 2_000);
    assert!(share > 0.9, "{share}");
}

fn report(name: &str, detail: &str) -> Report {
    let check = |verdict: Verdict| {
        let mut result = CheckResult::of_flaw(Flaw { line: 3, name: Some(name.to_string()), problem: Problem::Open });
        result.verdict = verdict;
        result.detail = detail.to_string();
        result.messages = vec![detail.to_string()];
        result
    };
    let all = [Verdict::Passed, Verdict::Warned, Verdict::Failed, Verdict::Undecided];
    Report { files: vec![FileReport { file: format!("{name}.sql"), results: all.map(check).into() }] }
}

#[test]
fn a_failure_outweighs_a_doubt_and_nothing_is_no_pass() {
    let of = |verdicts: &[Verdict]| {
        let mut report = report("a", "b");
        report.files[0].results.retain(|result| verdicts.contains(&result.verdict));
        report.verdict()
    };
    use Verdict::{Failed, Passed, Undecided, Warned};
    assert_eq!(of(&[Passed, Failed, Undecided]), Failed);
    assert_eq!(of(&[Passed, Warned, Undecided]), Undecided);
    assert_eq!(of(&[Passed, Warned]), Warned);
    assert_eq!(of(&[Passed]), Passed);
    assert_eq!(of(&[]), Undecided);
    assert_eq!(report("a", "b").counts(), "4 checks: 1 passed, 1 warned, 1 failed, 1 undecided");
}

#[test]
fn annotations_are_one_line_each() {
    let lines = annotations(&report("a, b: c", "50%\r\nof it"));
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        "::error file=a%2C b%3A c.sql,line=3,title=failed%3A a%2C b%3A c::50%25%0D%0Aof it%0A50%25%0D%0Aof it"
    );
    assert!(lines[0].starts_with("::warning "));
}

proptest! {
    /// Whatever names and texts hold, the document holds no character that XML forbids, and no mark of theirs.
    #[test]
    fn junit_of_any_text_is_sound(name in any::<String>(), detail in "[\\x00-\\x1f<>&\"'\\]é\u{85}\u{fffe}\u{ffff}]{0,20}") {
        let xml = junit(&report(&name, &detail));
        for c in xml.chars() {
            prop_assert!(matches!(c, '\n' | '\t' | ' '..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..), "{c:?}");
        }
        let plain = junit(&report("n", "d"));
        for mark in ['<', '>', '"'] {
            prop_assert_eq!(xml.matches(mark).count(), plain.matches(mark).count());
        }
        let page = markdown(&report(&name, &detail));
        prop_assert_eq!(page.lines().filter(|line| line.starts_with('|')).count(), 6);
    }
}
