use super::*;
use crate::model::Micros;

#[test]
fn rows_survive_the_way_to_arrow_and_back() {
    let rows = vec![
        SeriesRow {
            run_id: "r".into(),
            experiment_id: "e".into(),
            key: "k".into(),
            step: Some(i64::MIN),
            x: None,
            time: Micros(-1),
            kind: "text".into(),
            payload: String::new(),
        },
        SeriesRow {
            run_id: "r".into(),
            experiment_id: "e".into(),
            key: "ü".into(),
            step: None,
            x: Some(0.5),
            time: Micros(1),
            kind: "text".into(),
            payload: "\n".into(),
        },
    ];
    assert_eq!(SeriesRow::from_batch(&SeriesRow::to_batch(rows.clone())).unwrap(), rows);
}

/// `JOIN ... USING (run_id)` must not make a column ambiguous that people write without its table.
#[test]
fn names_shared_between_tables_are_the_intended_ones() {
    let intended = [
        "run_id",
        "experiment_id",
        "key",
        "value",
        "context",
        "step",
        "x",
        "time",
        "kind",
        "position",
        "description",
        "source",
        "digest",
    ];
    for a in Table::FIXED {
        for b in Table::FIXED {
            if a == b {
                continue;
            }
            for column in a.columns().unwrap() {
                let shared = b.columns().unwrap().iter().any(|c| c.name == column.name);
                let fine = intended.contains(&column.name)
                    || matches!((&a, &b), (Table::Runs, Table::Features) | (Table::Features, Table::Runs))
                    || matches!((&a, &b), (Table::Experiments, Table::Tags) | (Table::Tags, Table::Experiments));
                assert!(!shared || fine, "{}.{} is also in {}", a, column.name, b);
            }
        }
    }
}

#[test]
fn the_type_of_a_key_follows_its_values() {
    use wide::{ParamColumn, ParamCounts};
    let column = |c: ParamCounts| (c.column(), c.misfits());
    let c = ParamCounts::default();
    assert_eq!(column(ParamCounts { int: 3, text: 1, ..c }), (ParamColumn::BigInt { exact_text: false }, 1));
    assert_eq!(column(ParamCounts { int: 3, float: 1, ..c }), (ParamColumn::Double, 0));
    assert_eq!(column(ParamCounts { int: 1, big: 1, ..c }), (ParamColumn::BigInt { exact_text: true }, 0));
    assert_eq!(column(ParamCounts { int: 2, text: 2, ..c }), (ParamColumn::Text, 0));
    assert_eq!(column(ParamCounts { bool: 2, empty: 9, ..c }), (ParamColumn::Boolean, 0));
    assert_eq!(column(ParamCounts { bool: 2, text: 1, ..c }), (ParamColumn::Text, 0));
    assert_eq!(column(ParamCounts { empty: 2, ..c }), (ParamColumn::Text, 0));
}

/// A field called `r#type` is the column `type`.
#[test]
fn column_names_are_plain() {
    for table in Table::FIXED {
        for column in table.columns().unwrap() {
            assert!(column.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{table}.{}", column.name);
        }
    }
}
