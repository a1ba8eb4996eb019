//! Parts of statements.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, Select, TableFactor, Visit, Visitor};

use crate::query::is_function;

/// Relations that a SELECT reads.
pub fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)))
}

/// Whether a relation is a call of one of our table functions.
pub fn calls(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { name, args: Some(_), .. } if is_function(&name.to_string()))
}

/// Whether a relation is one of these tables.
pub fn reads(factor: &TableFactor, tables: &[&str]) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else { return false };
    tables.iter().any(|table| name.to_string().eq_ignore_ascii_case(table))
}

/// Visits an expression and its parts, but no statements within.
pub fn each(expr: &Expr, visit: impl FnMut(&Expr)) {
    struct Each<F> {
        visit: F,
        depth: usize,
    }
    impl<F: FnMut(&Expr)> Visitor for Each<F> {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if self.depth == 0 {
                (self.visit)(expr);
            }
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = expr.visit(&mut Each { visit, depth: 0 });
}

/// Whether an expression reads a column of one of these names.
pub fn names(expr: &Expr, columns: &[&str]) -> bool {
    let mut found = false;
    each(expr, |expr| found |= is_column(expr, columns));
    found
}

/// Whether an expression is a column of one of these names.
pub fn is_column(expr: &Expr, columns: &[&str]) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) if parts.len() == 2 => parts.last(),
        _ => None,
    };
    name.is_some_and(|name| columns.iter().any(|column| name.value.eq_ignore_ascii_case(column)))
}

/// The parts of a condition that all have to hold.
pub fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [conjuncts(left), conjuncts(right)].concat(),
        other => vec![other],
    }
}

/// Conditions that all have to hold, as one.
pub fn joined(conditions: &[&Expr]) -> Option<Expr> {
    let nested = |condition: &&Expr| match condition {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => Expr::Nested(Box::new((*condition).clone())),
        _ => (*condition).clone(),
    };
    let and = |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) };
    conditions.iter().map(nested).reduce(and)
}
