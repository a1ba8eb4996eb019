//! What a statement asks for and the store does not have.
//!
//! A misspelt experiment gives no rows, and `no rows` would hold for ever. So before a check is decided, the tables that
//! its statement reads, and the experiments and keys that it compares with constants, are looked for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, SelectItem, SetExpr, Statement as Sql, TableFactor, Value, Visit, Visitor,
};

use super::doubt::Doubt;
use super::rows::{Params, ask, texts};
use crate::query::{Session, is_function, near, parse, quoted};

/// Tables that a run's keys stand in, and the one where they are cheapest to find.
const KEYED: [(&str, &str); 6] = [
    ("metrics", "metric_stats"),
    ("metric_stats", "metric_stats"),
    ("params", "params"),
    ("tags", "tags"),
    ("environment", "environment"),
    ("series", "series"),
];

/// Says what a statement asks for in vain.
pub async fn look(session: &Session, sql: &str, params: &Params) -> Result<(), Doubt> {
    let statement = parse(sql)?;
    let (references, _) = resolve_table_references(&statement, true).map_err(crate::query::QueryError::from)?;
    let there: BTreeSet<String> = session.tables().into_iter().map(|table| table.name).collect();
    let mut read: BTreeSet<String> = BTreeSet::new();
    for reference in &references {
        let name = match reference.schema() {
            Some(schema) if schema != "public" => format!("{schema}.{}", reference.table()),
            _ => reference.table().to_string(),
        };
        read.extend(there.get(&name).cloned());
    }
    for table in &read {
        let name = match table.split_once('.') {
            Some((schema, name)) => format!("{schema}.\"{}\"", name.replace('"', "\"\"")),
            None => table.clone(),
        };
        if ask(session, &format!("SELECT 1 FROM {name} LIMIT 1"), &[], 0).await?.n == 0 {
            return Err(Doubt::EmptyTable { table: table.clone() });
        }
    }
    for call in functions(&statement) {
        if ask(session, &format!("SELECT 1 FROM {call} LIMIT 1"), params, 0).await?.n == 0 {
            return Err(Doubt::EmptyTable { table: call });
        }
    }
    let mut named = Named { params, experiments: BTreeSet::new(), keys: BTreeSet::new() };
    if let Statement::Statement(sql) = &statement {
        let _: ControlFlow<()> = Sql::visit(sql, &mut named);
    }
    if !named.experiments.is_empty() {
        let names = texts(session, "SELECT experiment FROM experiments").await?;
        for name in named.experiments {
            if !names.contains(&name) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(Doubt::NoExperiment { near: near(&names, &name), name });
            }
        }
    }
    let homes: BTreeSet<&str> =
        KEYED.iter().filter(|(table, _)| read.contains(*table)).map(|(_, home)| *home).collect();
    if !homes.is_empty() {
        'keys: for key in named.keys {
            for home in &homes {
                let sql = format!("SELECT 1 FROM {home} WHERE key = {} LIMIT 1", quoted(&key));
                if ask(session, &sql, &[], 0).await?.n > 0 {
                    continue 'keys;
                }
            }
            let mut all = Vec::new();
            for home in &homes {
                all.extend(texts(session, &format!("SELECT DISTINCT key FROM {home}")).await?);
            }
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            return Err(Doubt::NoKey { near: near(&all, &key), key });
        }
    }
    Ok(())
}

/// Calls of table functions, as they are written.
fn functions(statement: &Statement) -> BTreeSet<String> {
    #[derive(Default)]
    struct Calls(BTreeSet<String>);
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, args: Some(args), .. } = factor
                && is_function(&name.to_string())
            {
                let args: Vec<String> = args.args.iter().map(ToString::to_string).collect();
                self.0.insert(format!("{name}({})", args.join(", ")));
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls::default();
    if let Statement::Statement(sql) = statement {
        let _: ControlFlow<()> = Sql::visit(sql, &mut calls);
    }
    calls.0
}

/// Refuses to find no rows where the figures of a table function are NULL, so that a condition on them is not false but
/// unknown.
pub async fn look_for_null(session: &Session, sql: &str, params: &Params) -> Result<(), Doubt> {
    let statement = parse(sql)?;
    if functions(&statement).is_empty() {
        return Ok(());
    }
    let Statement::Statement(sql) = statement else { return Ok(()) };
    let Sql::Query(mut query) = *sql else { return Ok(()) };
    (query.order_by, query.limit_clause) = (None, None);
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    let Some(condition) = select.selection.take() else { return Ok(()) };
    select.selection = Some(Expr::IsNull(Box::new(Expr::Nested(Box::new(condition)))));
    select.distinct = None;
    select.projection = vec![SelectItem::UnnamedExpr(Expr::Value(Value::Number("1".to_string(), false).into()))];
    if select.having.is_some() || !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty()) {
        return Ok(());
    }
    match ask(session, &query.to_string(), params, 0).await?.n {
        0 => Ok(()),
        n => Err(Doubt::NullCondition { n: n.to_string() }),
    }
}

/// Constants that `experiment` and `key` are compared with.
struct Named<'a> {
    params: &'a Params,
    experiments: BTreeSet<String>,
    keys: BTreeSet<String>,
}

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                self.add(left, right);
                self.add(right, left);
            }
            Expr::InList { expr, list, negated: false } => list.iter().for_each(|item| self.add(expr, item)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Named<'_> {
    fn add(&mut self, column: &Expr, constant: &Expr) {
        let name = match column {
            Expr::Identifier(name) => name,
            // With its table before it; `tags.key` of `runs` is a key called so, but asks for no other.
            Expr::CompoundIdentifier(parts) if parts.len() == 2 => &parts[1],
            _ => return,
        };
        let set = match name.value.to_ascii_lowercase().as_str() {
            "experiment" => &mut self.experiments,
            "key" => &mut self.keys,
            _ => return,
        };
        let Expr::Value(value) = constant else { return };
        match &value.value {
            Value::SingleQuotedString(text) => {
                set.insert(text.clone());
            }
            Value::Placeholder(name) => {
                let name = name.trim_start_matches('$');
                let given = self.params.iter().find(|(param, _)| param == name).map(|(_, value)| value);
                if let Some(ScalarValue::Utf8(Some(text))) = given {
                    set.insert(text.clone());
                }
            }
            _ => {}
        }
    }
}
