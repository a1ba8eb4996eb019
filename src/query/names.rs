//! Names of the columns of an answer: as they were written, and each once, which the engine wants and SQL does not.
//!
//! `SELECT params.C, params.c` may mean one key twice, and two subqueries have no names at all. The second of two columns
//! of one name gets a number behind it, as DuckDB does.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, SetExpr, Statement as Sql, VisitMut, VisitorMut,
};

use super::joins::normal;

/// Names the columns of the answer by the text that they were written as, in place; the engine's own names speak of
/// relations and frames of windows.
pub fn as_written(statement: &mut Statement) {
    if let Statement::Statement(sql) = statement
        && let Sql::Query(query) = sql.as_mut()
    {
        name_as_written(&mut query.body);
    }
}

/// Longest name that is made of an expression, in characters.
const LONGEST: usize = 100;

fn name_as_written(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else { continue };
                // Columns and keys have names, which the rest of the rewriting knows how to show.
                if matches!(
                    expr,
                    Expr::Identifier(_)
                        | Expr::CompoundIdentifier(_)
                        | Expr::CompoundFieldAccess { .. }
                        | Expr::Subquery(_)
                ) {
                    continue;
                }
                let mut text = expr.to_string();
                if let Some((at, _)) = text.char_indices().nth(LONGEST) {
                    text.truncate(at);
                    text.push('…');
                }
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', text) };
            }
        }
        // The names of a union are those of its first part.
        SetExpr::SetOperation { left, .. } => name_as_written(left),
        SetExpr::Query(query) => name_as_written(&mut query.body),
        _ => {}
    }
}

/// Gives columns that would have the same name different ones, in place.
pub fn tell_apart(statement: &mut Statement) {
    let sql: &mut Sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return tell_apart(&mut explain.statement),
        _ => return,
    };
    let _ = sql.visit(&mut Names);
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let named = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(Expr::Subquery(_)) => None,
            SelectItem::UnnamedExpr(expr) => Some(name(expr)),
            other => alias(other),
        };
        let mut taken: BTreeSet<String> = select.projection.iter().filter_map(named).collect();
        // Two columns of different tables may share a name: the engine tells them apart by their tables.
        let mut written = BTreeSet::new();
        let mut aliases = BTreeSet::new();
        let subqueries = select.projection.iter().filter(|item| is_subquery(item)).count();
        for item in &mut select.projection {
            let (expr, wanted) = match item {
                SelectItem::UnnamedExpr(Expr::Subquery(_)) if subqueries == 1 => continue,
                SelectItem::UnnamedExpr(expr @ Expr::Subquery(_)) => (expr.clone(), name(expr)),
                SelectItem::UnnamedExpr(expr) if !written.insert(text(expr)) => (expr.clone(), name(expr)),
                SelectItem::ExprWithAlias { expr, alias } if !aliases.insert(normal(alias)) => {
                    (expr.clone(), normal(alias))
                }
                _ => continue,
            };
            let alias = Ident::with_quote('"', free(&wanted, &taken));
            taken.insert(alias.value.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        ControlFlow::Continue(())
    }
}

fn alias(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        _ => None,
    }
}

fn is_subquery(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(Expr::Subquery(_)))
}

/// An expression as the engine tells it from others.
fn text(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => normal(ident),
        Expr::CompoundIdentifier(idents) => idents.iter().map(normal).collect::<Vec<_>>().join("."),
        other => other.to_string(),
    }
}

/// The name that the column of an expression has; that of a subquery is its column's.
fn name(expr: &Expr) -> String {
    match expr {
        Expr::CompoundIdentifier(idents) => idents.last().map(normal).unwrap_or_default(),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => name(expr),
                Some(item) => alias(item).unwrap_or_else(|| item.to_string()),
                None => query.to_string(),
            },
            _ => query.to_string(),
        },
        other => text(other),
    }
}

fn free(name: &str, taken: &BTreeSet<String>) -> String {
    let numbered = (1..).map(|n| format!("{name}_{n}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|name| !taken.contains(name)).expect("numbers do not run out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::guard::parse;

    #[test]
    fn an_expression_is_named_as_it_is_written() {
        let cases = [
            (
                "SELECT name, params.lr, count(DISTINCT params.lr), 1 + x AS y, avg(value) FROM runs UNION SELECT f(1)",
                r#"SELECT name, params.lr, count(DISTINCT params.lr) AS "count(DISTINCT params.lr)", 1 + x AS y, avg(value) AS "avg(value)" FROM runs UNION SELECT f(1)"#,
            ),
            ("SELECT x FROM (SELECT max(x) FROM a)", "SELECT x FROM (SELECT max(x) FROM a)"),
        ];
        for (sql, expected) in cases {
            let mut statement = parse(sql).unwrap();
            as_written(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
    }

    #[test]
    fn the_second_of_two_columns_of_one_name_gets_a_number() {
        let cases = [
            ("SELECT name, Name, name_1 FROM runs", r#"SELECT name, Name AS "name_2", name_1 FROM runs"#),
            ("SELECT a.name, b.name FROM a, b", "SELECT a.name, b.name FROM a, b"),
            ("SELECT count(*), count(*) FROM runs", r#"SELECT count(*), count(*) AS "count(*)_1" FROM runs"#),
            (
                "SELECT (SELECT max(x) FROM a), (SELECT max(x) FROM b), (SELECT min(x) AS low FROM b)",
                r#"SELECT (SELECT max(x) FROM a) AS "max(x)", (SELECT max(x) FROM b) AS "max(x)_1", (SELECT min(x) AS low FROM b) AS "low""#,
            ),
            ("SELECT x AS a, y AS A FROM t", r#"SELECT x AS a, y AS "a_1" FROM t"#),
            ("SELECT (SELECT max(x) FROM a)", "SELECT (SELECT max(x) FROM a)"),
        ];
        for (sql, expected) in cases {
            let mut statement = parse(sql).unwrap();
            tell_apart(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
    }
}
