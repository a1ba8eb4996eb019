//! Which columns of `runs` a statement may mean. The others are not planned: the engine would carry thirty expressions
//! through each of its rules, for every question that asks for three (100,000 runs: 1 ms of 7).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, JoinConstraint, ObjectName, Query, Select, SelectFlavor,
    SelectItem, SetExpr, Statement as Sql, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::guard::DIALECT;
use super::joins::constraint;

/// Every word of a statement in lower case, among which is the name of each column that it means. `None`: it may mean columns
/// that it does not name, as `*` does.
pub fn named(statement: &Statement, text: &str) -> Option<BTreeSet<String>> {
    let sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return named(&explain.statement, text),
        _ => return None,
    };
    if sql.visit(&mut Names).is_break() {
        return None;
    }
    let tokens = Tokenizer::new(DIALECT, text).tokenize().ok()?;
    let words = tokens.into_iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    });
    Some(words.collect())
}

/// Ends at what means columns without their names.
struct Names;

const UNNAMED: ControlFlow<()> = ControlFlow::Break(());
const NAMED: ControlFlow<()> = ControlFlow::Continue(());

impl Visitor for Names {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Sql) -> ControlFlow<()> {
        match statement {
            Sql::Query(_) | Sql::Explain { .. } | Sql::CreateTable(_) | Sql::CreateView(_) => NAMED,
            _ => UNNAMED,
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        fn has_table(body: &SetExpr) -> bool {
            match body {
                SetExpr::Table(_) => true,
                SetExpr::SetOperation { left, right, .. } => has_table(left) || has_table(right),
                _ => false,
            }
        }
        if has_table(&query.body) { UNNAMED } else { NAMED }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let wild = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        // Joins of other kinds have rules of their own for what they join by.
        let natural = |join| matches!(constraint(join), None | Some(JoinConstraint::Natural));
        let joins = select.from.iter().flat_map(|from| &from.joins);
        if select.flavor != SelectFlavor::Standard
            || select.projection.iter().any(wild)
            || joins.map(|join| &join.join_operator).any(natural)
        {
            return UNNAMED;
        }
        NAMED
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        // It tells of all tables and their columns.
        let mut parts = relation.0.iter().filter_map(|part| part.as_ident());
        if parts.any(|part| part.value.eq_ignore_ascii_case("information_schema")) { UNNAMED } else { NAMED }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            // `runs AS r(a, b)` names columns by their places.
            TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty() => UNNAMED,
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. } => NAMED,
            _ => UNNAMED,
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => UNNAMED,
            Expr::Function(function) => match &function.args {
                FunctionArguments::List(list) if list.args.iter().any(is_wild) => UNNAMED,
                _ => NAMED,
            },
            _ => NAMED,
        }
    }
}

/// `count(*)` counts rows, `f(r.*)` takes columns.
fn is_wild(arg: &FunctionArg) -> bool {
    let (FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg)) = arg;
    matches!(arg, FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::guard::parse;
    use crate::schema::{Row, RunRow};

    #[test]
    fn what_is_not_named_is_not_meant_but_by_a_wildcard() {
        let words = |sql: &str| named(&parse(sql).unwrap(), sql);
        for sql in [
            "SELECT * FROM runs",
            "SELECT count(*) FROM (SELECT * FROM runs)",
            "SELECT name, r.* FROM runs r",
            "SELECT * EXCEPT (name) FROM runs",
            "FROM runs",
            "SELECT 1 UNION ALL TABLE runs",
            "SELECT a.name FROM runs a NATURAL JOIN runs b",
            "SELECT count(r.*) FROM runs r",
            "SELECT name FROM (runs NATURAL JOIN tags)",
            "EXPLAIN SELECT * FROM runs",
            "CREATE VIEW v AS SELECT * FROM runs",
            "SELECT a, b FROM runs AS r(a, b)",
            "SELECT column_name FROM information_schema.columns",
        ] {
            assert_eq!(words(sql), None, "{sql}");
        }
        for (sql, expected) in [
            ("SELECT count(*) FROM runs WHERE Name = 'seed'", &["name"][..]),
            (r#"SELECT r."user" * 2 FROM runs AS r ORDER BY "start_time""#, &["user", "start_time"]),
            ("SELECT x FROM runs JOIN tags USING (run_id) WINDOW w AS (PARTITION BY status)", &["run_id", "status"]),
            ("EXPLAIN ANALYZE SELECT count(*) FILTER (WHERE seed > 1) FROM runs GROUP BY host", &["seed", "host"]),
        ] {
            let words = words(sql).unwrap();
            let columns: BTreeSet<_> = RunRow::columns().iter().map(|column| column.name).collect();
            let named: BTreeSet<_> = columns.into_iter().filter(|column| words.contains(*column)).collect();
            assert_eq!(named, expected.iter().copied().collect(), "{sql}");
        }
    }
}
