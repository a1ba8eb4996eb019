//! What a check that holds passed over.
//!
//! `metrics.auc < 0.9` is neither true nor false of a run that logged NaN or nothing, and `avg(metrics.auc)` leaves such
//! runs out. So before a check passes, each SELECT of its statement is asked how many of the rows that the rest of its
//! condition chooses are such: none that could be compared, or one with NaN, and nobody can say; else they are told.

use std::ops::ControlFlow;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, SelectItem, SetExpr,
    Statement as Sql, UnaryOperator, Value, Visit, Visitor,
};

use super::doubt::Doubt;
use super::expect::Op;
use super::keys::{Metric, Relations};
use super::named::NAMES;
use super::rows::{Params, ask};
use super::syntax::{calls, conjuncts, each, factors, is_column, joined, names, reads};
use crate::model::Goal;
use crate::query::{Session, parse, quoted};

/// What holds of a value, for which rows that are left out may matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It is great enough: a maximum is, whatever was left out.
    AtLeast,
    /// It is small enough: a minimum is.
    AtMost,
    /// Anything else.
    Other,
}

impl From<Op> for Bound {
    fn from(op: Op) -> Self {
        match op {
            Op::Ge | Op::Gt => Bound::AtLeast,
            Op::Le | Op::Lt => Bound::AtMost,
            Op::Eq | Op::Ne => Bound::Other,
        }
    }
}

impl From<Goal> for Bound {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Max => Bound::AtLeast,
            Goal::Min => Bound::AtMost,
        }
    }
}

/// Says what a statement passed over.
///
/// # Errors
/// [`Doubt`] where that leaves nothing, or hides a NaN.
pub async fn look(session: &Session, sql: &str, params: &Params, bound: Bound) -> Result<Vec<String>, Doubt> {
    let Statement::Statement(statement) = parse(sql)? else { return Ok(Vec::new()) };
    let Sql::Query(query) = statement.as_ref() else { return Ok(Vec::new()) };
    let relations = Relations::of(&statement);
    let mut selects = Selects(Vec::new());
    let _: ControlFlow<()> = query.visit(&mut selects);
    let outermost = match query.body.as_ref() {
        SetExpr::Select(select) => Some(select.as_ref()),
        _ => None,
    };
    let asking = Asking { session, params, query, relations: &relations };
    let mut told = Vec::new();
    for select in &selects.0 {
        let bound = if outermost == Some(select) { bound } else { Bound::Other };
        for part in asking.parts(select, bound) {
            if let Some(note) = asking.look(select, &part).await?
                && !told.contains(&note)
            {
                told.push(note);
            }
        }
    }
    Ok(told)
}

struct Selects(Vec<Select>);

impl Visitor for Selects {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.0.push(select.clone());
        ControlFlow::Continue(())
    }
}

/// A condition, or what is aggregated, of a SELECT.
struct Part {
    /// The conditions that choose rows by what they are called.
    choosing: Option<Expr>,
    /// What chooses the rows otherwise.
    rest: Option<Expr>,
    /// What may be unknown of them.
    of: Expr,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A condition on metrics.
    Condition,
    /// What an aggregate leaves out.
    Aggregated,
    /// A condition on what a table function tells, whose figures are NULL where they could not be told.
    Figures,
    /// A condition that is never unknown.
    Plain,
}

struct Asking<'a> {
    session: &'a Session,
    params: &'a Params,
    query: &'a Query,
    relations: &'a Relations,
}

impl Asking<'_> {
    fn parts(&self, select: &Select, bound: Bound) -> Vec<Part> {
        let figures = factors(select).any(calls);
        let points = factors(select).any(|factor| reads(factor, &["metrics"]));
        let stats = factors(select).any(|factor| reads(factor, &["metric_stats"]));
        let is_measured = |expr: &Expr| {
            !self.metrics(expr).is_empty()
                || (points && names(expr, &["value"]))
                || (stats && names(expr, &["last", "first"]))
        };
        let aggregates = aggregates(select);
        let exists = |call: &Aggregate| {
            matches!((call.name.as_str(), bound), ("max" | "count", Bound::AtLeast) | ("min", Bound::AtMost))
        };
        let mut parts = Vec::new();
        // Where one row that is found is enough, those that are not cannot matter.
        if aggregates.is_empty() || !aggregates.iter().all(exists) {
            let all = select.selection.as_ref().map(conjuncts).unwrap_or_default();
            let (choosing, others): (Vec<&Expr>, Vec<&Expr>) = all.iter().partition(|expr| chooses(expr));
            let is_open = |expr: &&Expr| !is_guard(expr) && (is_measured(expr) || (figures && !is_of_names(expr)));
            let (open, rest): (Vec<&Expr>, Vec<&Expr>) = all.into_iter().partition(is_open);
            let (of, kind) = match joined(&open) {
                Some(of) if figures => (Some(of), Kind::Figures),
                Some(of) => (Some(of), Kind::Condition),
                None => (joined(&others), Kind::Plain),
            };
            parts.extend(of.map(|of| Part { choosing: joined(&choosing), rest: joined(&rest), of, kind }));
        }
        for of in aggregates.iter().filter(|call| !exists(call)).flat_map(|call| &call.of) {
            if is_measured(of) && !is_guard(of) {
                let rest = select.selection.clone();
                parts.push(Part { choosing: None, rest, of: of.clone(), kind: Kind::Aggregated });
            }
        }
        parts
    }

    fn metrics(&self, expr: &Expr) -> Vec<Metric> {
        let mut found = Vec::new();
        each(expr, |expr| found.extend(self.relations.metric(expr)));
        found
    }

    async fn look(&self, select: &Select, part: &Part) -> Result<Option<String>, Doubt> {
        if let Some(choosing) = &part.choosing
            && let Some((0, _)) = self.counts(&self.over(select, "count(*), count(*)", Some(choosing), "")).await
        {
            return Err(Doubt::NothingFits { condition: choosing.to_string() });
        }
        if part.kind == Kind::Plain {
            return Ok(None);
        }
        let unknown = format!("({}) IS NULL", nan_is_null(&part.of));
        let what = format!("count(*), count(CASE WHEN {unknown} THEN 1 END)");
        // What depends on rows of a statement around it cannot be asked alone.
        let Some((n, left_out)) = self.counts(&self.over(select, &what, part.rest.as_ref(), "")).await else {
            return Ok(None);
        };
        let what = part.of.to_string();
        match part.kind {
            _ if left_out == 0 => return Ok(None),
            Kind::Figures => return Err(Doubt::NullCondition { n: left_out.to_string() }),
            _ => {}
        }
        let metrics = self.metrics(&part.of);
        if metrics.is_empty() {
            let guard = if names(&part.of, &["value"]) { "NOT isnan(value)" } else { "last IS NOT NULL" };
            return Err(Doubt::PassedOverNaN { what, n: left_out, of: n, guard: guard.to_string() });
        }
        for metric in &metrics {
            let run = metric.relation.as_ref().map_or("run_id".to_string(), |name| format!("{name}.run_id"));
            let key = quoted(&metric.key);
            let logged = format!(
                " AND {unknown} AND {run} IN (SELECT run_id FROM metric_stats WHERE (key = {key} OR lower(key) = \
                 lower({key})) AND context IS NULL AND last IS NULL)"
            );
            let sql = self.over(select, "count(*), count(*)", part.rest.as_ref(), &logged);
            if let Some((n_nan, _)) = self.counts(&sql).await
                && n_nan > 0
            {
                let guard = format!("metrics.{} IS NOT NULL", metric.key);
                return Err(Doubt::PassedOverNaN { what, n: n_nan, of: n, guard });
            }
        }
        if left_out == n {
            return Err(Doubt::NothingCompared { what, n });
        }
        let rows = if n == 1 { "row" } else { "rows" };
        Ok(Some(format!("`{what}` is NULL for {left_out} of {n} {rows}")))
    }

    /// Something over the rows that a SELECT reads.
    fn over(&self, select: &Select, what: &str, rest: Option<&Expr>, more: &str) -> String {
        let with = self.query.with.as_ref().map(|with| format!("{with} ")).unwrap_or_default();
        let from: Vec<String> = select.from.iter().map(ToString::to_string).collect();
        let rest = rest.map_or("true".to_string(), ToString::to_string);
        format!("{with}SELECT {what} FROM {} WHERE ({rest}){more}", from.join(", "))
    }

    async fn counts(&self, sql: &str) -> Option<(i64, i64)> {
        let rows = ask(self.session, sql, self.params, 1).await.ok()?;
        let count = |column| rows.batch.column(column).as_primitive_opt::<Int64Type>().map(|counts| counts.value(0));
        Some((count(0)?, count(1)?))
    }
}

/// What leaves out rows without a figure, as the writer means to.
fn is_guard(condition: &Expr) -> bool {
    match condition {
        Expr::IsNotNull(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            matches!(expr.as_ref(), Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("isnan"))
        }
        _ => false,
    }
}

/// A comparison with text, which chooses rows by what they are called.
fn is_of_names(condition: &Expr) -> bool {
    let is_text = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::Placeholder(_)));
    match condition {
        Expr::BinaryOp { left, right, .. } => is_text(left) || is_text(right),
        Expr::InList { list, .. } => list.iter().all(is_text),
        Expr::Like { .. } | Expr::ILike { .. } => true,
        _ => false,
    }
}

/// Columns that say what a row is called or where it belongs, beside those that checks are searched for.
const CHOOSING: [&str; 10] =
    ["experiment", "experiment_id", "name", "tags", "params", "params_text", "data", "features", "context", "param"];

/// A condition that chooses rows by what they are called, however it is written; `status` is what is asked about.
fn chooses(condition: &Expr) -> bool {
    let (mut columns, mut named) = (0, 0);
    let mut asked = false;
    each(condition, |expr| {
        let parts = match expr {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            _ => return,
        };
        let is =
            |names: &[&str]| parts.iter().any(|part| names.iter().any(|name| part.value.eq_ignore_ascii_case(name)));
        columns += 1;
        named += usize::from(is(&CHOOSING) || is(&NAMES));
        asked |= is(&["status", "error"]);
    });
    columns > 0 && (named == columns || (is_of_names(condition) && !asked))
}

/// A call of an aggregate function.
struct Aggregate {
    name: String,
    /// What may be unknown: its argument, or the conditions of its `CASE` and its `FILTER`.
    of: Vec<Expr>,
}

/// Aggregates that leave out NULL, or do not count it.
const AGGREGATES: [&str; 18] = [
    "count",
    "avg",
    "mean",
    "median",
    "sum",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "every",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "var",
    "var_samp",
    "var_pop",
    "percentile_cont",
    "approx_percentile_cont",
];

/// The aggregates in what a SELECT returns and in its HAVING.
fn aggregates(select: &Select) -> Vec<Aggregate> {
    let mut found = Vec::new();
    let mut add = |expr: &Expr| {
        each(expr, |expr| {
            let Expr::Function(call @ Function { args: FunctionArguments::List(list), over: None, .. }) = expr else {
                return;
            };
            let name = call.name.to_string().to_ascii_lowercase();
            if !AGGREGATES.contains(&name.as_str()) {
                return;
            }
            let mut of: Vec<Expr> = call.filter.as_deref().cloned().into_iter().collect();
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.first() {
                // `CASE` may be NULL on purpose, and so may what takes the place of NULL.
                match conditions(argument) {
                    conditions if !conditions.is_empty() => of.extend(conditions),
                    _ if name == "count" || fills_in(argument) => {}
                    _ => of.push(argument.clone()),
                }
            }
            found.push(Aggregate { name, of });
        });
    };
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            add(expr);
        }
    }
    select.having.iter().for_each(add);
    found
}

/// The conditions of each `CASE`.
fn conditions(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    each(expr, |expr| {
        if let Expr::Case { operand: None, conditions, .. } = expr {
            found.extend(conditions.iter().map(|when| when.condition.clone()));
        }
    });
    found
}

fn fills_in(expr: &Expr) -> bool {
    let fills = |call: &Function| ["nullif", "coalesce"].contains(&call.name.to_string().to_ascii_lowercase().as_str());
    let mut found = false;
    each(expr, |expr| found |= matches!(expr, Expr::Function(call) if fills(call)));
    found
}

/// An expression in which NaN is NULL: a value that was logged as that is greater than all others to the engine.
fn nan_is_null(expr: &Expr) -> String {
    use datafusion::sql::sqlparser::ast::visit_expressions_mut;
    let mut expr = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        if is_column(part, &["value"]) {
            // A name as it is written, only longer.
            *part = Expr::Identifier(format!("(CASE WHEN NOT isnan({part}) THEN {part} END)").as_str().into());
        }
        ControlFlow::Continue(())
    });
    expr.to_string()
}
