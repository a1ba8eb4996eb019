//! Which way the value of a check gets better: what the file says, else what was declared for the metric. Never a guess.

use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Select, SelectItem, SetExpr,
    Statement as Sql, Value,
};

use super::checks::Check;
use super::doubt::Doubt;
use super::keys::Relations;
use super::rows::{Params, texts};
use super::syntax::{conjuncts, is_column};
use crate::model::Goal;
use crate::query::{Session, parse, quoted};

/// The direction of a check's value, which is the column of one of these names, or the only one that is not among others.
pub async fn direction(
    session: &Session,
    check: &Check,
    params: &Params,
    names: &[&str],
    others: &[String],
) -> Result<Goal, Doubt> {
    if let Some(goal) = check.goal {
        return Ok(goal);
    }
    let experiments = experiments(&check.sql, params);
    if let Some(metric) = &check.metric {
        return declared(session, metric, &experiments).await;
    }
    let Some(metric) = metric_of(&check.sql, names, others) else { return Err(Doubt::NoGoal) };
    let baseline = check.expect.baseline().and_then(|sql| metric_of(sql, names, others));
    match baseline.filter(|baseline| !baseline.eq_ignore_ascii_case(&metric)) {
        Some(baseline) => Err(Doubt::MetricsDiffer { metric, baseline }),
        None => declared(session, &metric, &experiments).await,
    }
}

/// The goal that all experiments which say something of a metric agree on, or those of them that are named.
async fn declared(session: &Session, metric: &str, experiments: &[String]) -> Result<Goal, Doubt> {
    let key = quoted(metric);
    let among = match experiments {
        [] => String::new(),
        names => {
            format!(
                " AND experiment_id IN (SELECT experiment_id FROM experiments WHERE experiment IN ({}))",
                names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
            )
        }
    };
    // Unquoted keys may be written in any case.
    let sql = format!(
        "SELECT DISTINCT goal FROM metric_defs WHERE (key = {key} OR lower(key) = lower({key})){among} ORDER BY goal"
    );
    let goals = texts(session, &sql).await?;
    match goals.as_slice() {
        [goal] => goal.parse().map_err(|_| Doubt::UndeclaredGoal { metric: metric.to_string() }),
        [] => Err(Doubt::UndeclaredGoal { metric: metric.to_string() }),
        _ => Err(Doubt::GoalsDiffer { metric: metric.to_string() }),
    }
}

/// The experiments that a statement limits itself to: `experiment = 'churn' AND ...`.
fn experiments(sql: &str, params: &Params) -> Vec<String> {
    let Some((_, select)) = select(sql) else { return Vec::new() };
    let named = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Placeholder(name) => params.iter().find_map(|(param, value)| match value {
                ScalarValue::Utf8(Some(text)) if param == name.trim_start_matches('$') => Some(text.clone()),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    };
    let limits = |condition: &Expr| match condition {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if is_column(left, &["experiment"]) => {
            named(right).map(|name| vec![name])
        }
        Expr::InList { expr, list, negated: false } if is_column(expr, &["experiment"]) => {
            list.iter().map(named).collect()
        }
        _ => None,
    };
    select.selection.iter().flat_map(conjuncts).find_map(limits).unwrap_or_default()
}

/// The one SELECT that a statement is, and what it calls its tables.
fn select(sql: &str) -> Option<(Relations, Select)> {
    let Ok(Statement::Statement(statement)) = parse(sql) else { return None };
    let relations = Relations::of(&statement);
    let Sql::Query(query) = *statement else { return None };
    match *query.body {
        SetExpr::Select(select) => Some((relations, *select)),
        _ => None,
    }
}

/// The metric that a column of a statement is: itself, or what grows with it. `1 - metrics.auc` is none.
fn metric_of(sql: &str, names: &[&str], others: &[String]) -> Option<String> {
    let (relations, select) = select(sql)?;
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
    growing(&relations, expr)
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

fn growing(relations: &Relations, expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => growing(relations, inner),
        Expr::Function(call) => {
            let name = call.name.to_string().to_ascii_lowercase();
            let FunctionArguments::List(list) = &call.args else { return None };
            match list.args.first()? {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) if GROWING.contains(&name.as_str()) => {
                    growing(relations, arg)
                }
                _ => None,
            }
        }
        other => relations.metric(other).map(|metric| metric.key),
    }
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
            // A table of that name.
            "WITH best AS (SELECT avg(1 - metrics.auc) AS auc FROM runs) SELECT best.auc FROM best",
            "SELECT metrics.auc FROM (SELECT 1 AS auc) AS metrics",
            "no SQL",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }
}
