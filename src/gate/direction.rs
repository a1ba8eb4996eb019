//! Which way the value of a check gets better: what the file says, else what was declared for the metric. Never a guess.

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr, Statement as Sql,
    Subscript, Value,
};

use super::checks::Check;
use super::doubt::Doubt;
use super::rows::texts;
use crate::model::Goal;
use crate::query::{Session, parse};

/// The direction of a check's value, which is the column of one of these names, or the only one that is not among others.
pub async fn direction(session: &Session, check: &Check, names: &[&str], others: &[String]) -> Result<Goal, Doubt> {
    if let Some(goal) = check.goal {
        return Ok(goal);
    }
    if let Some(metric) = &check.metric {
        return declared(session, metric).await;
    }
    match metric_of(&check.sql, names, others) {
        Some(metric) => declared(session, &metric).await,
        None => Err(Doubt::NoGoal),
    }
}

/// The goal that all experiments which say something of a metric agree on.
pub async fn declared(session: &Session, metric: &str) -> Result<Goal, Doubt> {
    let key = crate::query::quoted(metric);
    // Unquoted keys may be written in any case.
    let sql =
        format!("SELECT DISTINCT goal FROM metric_defs WHERE key = {key} OR lower(key) = lower({key}) ORDER BY goal");
    let goals = texts(session, &sql).await?;
    match goals.as_slice() {
        [goal] => goal.parse().map_err(|_| Doubt::UndeclaredGoal { metric: metric.to_string() }),
        [] => Err(Doubt::UndeclaredGoal { metric: metric.to_string() }),
        _ => Err(Doubt::GoalsDiffer { metric: metric.to_string() }),
    }
}

/// The metric that a column of a statement is: itself, or what grows with it. `1 - metrics.auc` is none.
fn metric_of(sql: &str, names: &[&str], others: &[String]) -> Option<String> {
    let Ok(Statement::Statement(statement)) = parse(sql) else { return None };
    let Sql::Query(query) = statement.as_ref() else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let items: Vec<(Option<String>, &Expr)> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some((name_of(expr), expr)),
            SelectItem::ExprWithAlias { expr, alias } => Some((Some(alias.value.clone()), expr)),
            // A star may hold anything.
            _ => None,
        })
        .collect::<Option<_>>()?;
    let is = |name: &Option<String>, wanted: &str| name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(wanted));
    let named = names.iter().find_map(|wanted| items.iter().find(|(name, _)| is(name, wanted)));
    let expr = match named {
        Some((_, expr)) => expr,
        None => {
            let mut left = items.iter().filter(|(name, _)| !others.iter().any(|other| is(name, other)));
            let (only, more) = (left.next()?, left.next());
            more.is_none().then_some(only.1)?
        }
    };
    growing(expr)
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| ident.value.clone()),
        _ => None,
    }
}

/// Functions whose result never falls when what they are given rises.
const GROWING: [&str; 8] = ["avg", "mean", "min", "max", "median", "round", "first_value", "last_value"];

fn growing(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => growing(inner),
        Expr::Function(call) => {
            let name = call.name.to_string().to_ascii_lowercase();
            let FunctionArguments::List(list) = &call.args else { return None };
            match list.args.first()? {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) if GROWING.contains(&name.as_str()) => growing(arg),
                _ => None,
            }
        }
        other => key(other),
    }
}

/// The key of `metrics.auc`, `r.best.auc`, `metrics['val auc']`.
fn key(expr: &Expr) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    match expr {
        Expr::CompoundIdentifier(idents) => parts.extend(idents.iter().map(|ident| ident.value.clone())),
        Expr::CompoundFieldAccess { root, access_chain } => {
            match root.as_ref() {
                Expr::Identifier(ident) => parts.push(ident.value.clone()),
                Expr::CompoundIdentifier(idents) => parts.extend(idents.iter().map(|ident| ident.value.clone())),
                _ => return None,
            }
            for access in access_chain {
                match access {
                    AccessExpr::Dot(Expr::Identifier(ident)) => parts.push(ident.value.clone()),
                    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) => match &value.value {
                        Value::SingleQuotedString(text) => parts.push(text.clone()),
                        _ => return None,
                    },
                    _ => return None,
                }
            }
        }
        _ => return None,
    }
    let is_group = |part: &String| {
        ["metrics", "metrics_min", "metrics_max", "best"].iter().any(|group| part.eq_ignore_ascii_case(group))
    };
    let at = parts.iter().take(2).position(is_group)?;
    let key = parts[at + 1..].join(".");
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grows_with_a_metric_has_its_direction() {
        let of = |sql: &str| metric_of(sql, &["value", "score"], &["seed".to_string()]);
        for sql in [
            "SELECT metrics.auc FROM runs",
            "SELECT max(metrics.auc) FROM runs",
            "SELECT params.seed AS seed, round(avg(r.best.auc), 3) AS score, name FROM runs AS r",
            "SELECT seed, CAST(metrics['auc'] AS DOUBLE) FROM runs",
            "WITH a AS (SELECT 1) SELECT metrics_max.auc AS value, metrics.loss AS other FROM runs",
        ] {
            assert_eq!(of(sql).as_deref(), Some("auc"), "{sql}");
        }
        assert_eq!(of("SELECT metrics.val.auc FROM runs").as_deref(), Some("val.auc"));
        for sql in [
            "SELECT 1 - metrics.auc FROM runs",
            "SELECT -metrics.auc FROM runs",
            "SELECT stddev(metrics.auc) FROM runs",
            "SELECT metrics.auc, metrics.loss FROM runs",
            "SELECT * FROM runs",
            "SELECT params.lr FROM runs",
            "SELECT value FROM metrics WHERE key = 'auc'",
            "SELECT 1 UNION SELECT 2",
            "no SQL",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }
}
