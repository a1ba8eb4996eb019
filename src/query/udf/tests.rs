use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};

async fn answer(sql: &str) -> Result<String, String> {
    // Several partitions, so that states are merged.
    let engine = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3).with_batch_size(2));
    super::register(&engine);
    let frame = engine.sql(sql).await.map_err(|e| e.strip_backtrace())?;
    let rows = frame.collect().await.map_err(|e| e.strip_backtrace())?;
    let table = pretty_format_batches(&rows).unwrap().to_string();
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
    Ok(table.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect::<Vec<_>>().join("\n"))
}

const CURVE: &str = "(VALUES (1, 0.5, 'a'), (2, 0.9, 'b'), (3, 0.2, 'c'), (4, 0.9, 'd'), (5, NULL, 'e'),
    (6, 'NaN'::double, 'f')) AS t(step, value, name)";

#[tokio::test]
async fn the_row_of_an_extreme_is_found_whatever_the_order() {
    for order in ["step", "step DESC", "name DESC"] {
        let sql = format!(
            "SELECT arg_max(name, value), arg_min(name, value), arg_max(step, name) FROM (SELECT * FROM {CURVE} ORDER BY {order})"
        );
        assert_eq!(answer(&sql).await.unwrap(), "b|c|6", "{order}");
    }
    let none = format!("SELECT arg_max(name, value) FROM {CURVE} WHERE value IS NULL OR value = 'NaN'::double");
    assert_eq!(answer(&none).await.unwrap(), "");
}

#[tokio::test]
async fn groups_are_apart() {
    let sql = "SELECT g, arg_max(v, x), best(x, 'min'), slope(v, x), area_under(v, x)
        FROM (VALUES ('a', 1, 2.0), ('a', 2, 4.0), ('b', 1, 9.0), ('b', 3, 1.0), ('c', 1, 1.0)) AS t(g, v, x) GROUP BY g ORDER BY g";
    assert_eq!(answer(sql).await.unwrap(), "a|2|2.0|2.0|3.0\nb|1|1.0|-4.0|10.0\nc|1|1.0||");
}

#[tokio::test]
async fn best_wants_one_goal() {
    let best = |goals: &str| answer_of(format!("SELECT best(v, g) FROM (VALUES {goals}) AS t(v, g)"));
    assert_eq!(best("(1.0, 'max'), (3.0, 'max'), ('NaN'::double, 'max')").await.unwrap(), "3.0");
    assert!(best("(1.0, 'max'), (3.0, 'min')").await.unwrap_err().contains("goals 'min' and 'max'"));
    assert!(best("(1.0, 'up')").await.unwrap_err().contains("'up' is no goal"));
    assert!(best("(1.0, NULL)").await.unwrap_err().contains("no goal"));
}

async fn answer_of(sql: String) -> Result<String, String> {
    answer(&sql).await
}

#[tokio::test]
async fn a_curve_is_smoothed_over_its_gaps() {
    // pandas: Series([1, 3, NaN, 5]).ewm(alpha=0.5, adjust=False, ignore_na=True).mean() is 1, 2, 2, 3.5.
    let sql = "SELECT ema(v, 0.5) OVER (PARTITION BY g ORDER BY s) FROM (VALUES
        ('a', 1, 1.0), ('a', 4, 5.0), ('a', 2, 3.0), ('a', 3, NULL), ('b', 1, 7.0)) AS t(g, s, v) ORDER BY g, s";
    assert_eq!(answer(sql).await.unwrap(), "1.0\n2.0\n2.0\n3.5\n7.0");
    let wrong = "SELECT ema(v, 2) OVER (ORDER BY v) FROM (VALUES (1.0)) AS t(v)";
    assert!(answer(wrong).await.unwrap_err().contains("at most 1"));
}

#[tokio::test]
async fn buckets_are_those_of_postgres() {
    let sql =
        "SELECT width_bucket(v, 0, 10, 5) FROM (VALUES (-1.0), (0.0), (1.9), (2.0), (9.99), (10.0), (NULL)) AS t(v)";
    assert_eq!(answer(sql).await.unwrap(), "0\n1\n1\n2\n5\n6\n");
    assert_eq!(answer("SELECT width_bucket(9.5, 10, 0, 5), width_bucket(11, 10, 0, 5)").await.unwrap(), "1|0");
    assert!(answer("SELECT width_bucket(1.0, 2, 2, 5)").await.unwrap_err().contains("two finite numbers"));
}

#[tokio::test]
async fn an_area_is_that_of_numpy() {
    // numpy.trapezoid([0.5, 0.9, 0.2], [0, 2, 3]).
    let engine = SessionContext::new();
    super::register(&engine);
    let sql = "SELECT area_under(s, v) FROM (VALUES (3, 0.2), (0, 0.5), (2, 0.9)) AS t(s, v)";
    let rows = engine.sql(sql).await.unwrap().collect().await.unwrap();
    assert!((rows[0].column(0).as_primitive::<Float64Type>().value(0) - 1.95).abs() < 1e-15);
}
