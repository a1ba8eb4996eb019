//! Calls of table functions in a statement.

use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Ident, ObjectName, Statement as Sql, TableAlias,
    TableFactor, UnaryOperator, Value as Literal, VisitMut, VisitorMut,
};

use super::args::Value;
use super::error::FunctionError;
use super::{TableFunction, find};

/// A call that was taken out of a statement.
#[derive(Debug)]
pub struct Found {
    /// The table that stands in its place.
    pub table: String,
    /// What is called.
    pub function: &'static TableFunction,
    /// Arguments in order.
    pub args: Vec<Value>,
    /// Arguments by name.
    pub named: Vec<(String, Value)>,
}

/// Takes the calls of our functions out of a statement: each becomes a table that is yet to be made.
///
/// # Errors
/// [`FunctionError::NotConstant`] for an argument that is no constant.
pub fn take(statement: &mut Statement, params: &[(String, ScalarValue)]) -> Result<Vec<Found>, FunctionError> {
    let sql: &mut Sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return take(&mut explain.statement, params),
        _ => return Ok(Vec::new()),
    };
    let mut calls = Calls { params, found: Vec::new() };
    match sql.visit(&mut calls) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(calls.found),
    }
}

struct Calls<'a> {
    params: &'a [(String, ScalarValue)],
    found: Vec<Found>,
}

impl VisitorMut for Calls<'_> {
    type Break = FunctionError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<FunctionError> {
        let TableFactor::Table { name, args: Some(written), alias, .. } = &*factor else {
            return ControlFlow::Continue(());
        };
        let [part] = name.0.as_slice() else { return ControlFlow::Continue(()) };
        let Some(function) = part.as_ident().and_then(|ident| find(&ident.value)) else {
            return ControlFlow::Continue(());
        };
        // No name that a statement could write by accident.
        let table = format!("{} #{}", function.name, self.found.len() + 1);
        let mut call = Found { table, function, args: Vec::new(), named: Vec::new() };
        for (i, arg) in written.args.iter().enumerate() {
            let added = match arg {
                FunctionArg::Unnamed(arg) => self.value(function, i, arg).map(|value| call.args.push(value)),
                FunctionArg::Named { name, arg, operator } if is_name(operator) => {
                    let value = self.value(function, i, arg);
                    value.map(|value| call.named.push((name.value.to_lowercase(), value)))
                }
                other => Err(FunctionError::NotConstant { function: function.name, text: other.to_string() }),
            };
            if let Err(e) = added {
                return ControlFlow::Break(e);
            }
        }
        let alias = alias.clone().unwrap_or_else(|| TableAlias {
            explicit: true,
            name: Ident::new(function.name),
            columns: Vec::new(),
            at: None,
        });
        let name = ObjectName::from(vec![Ident::with_quote('"', call.table.clone())]);
        *factor = TableFactor::Table {
            name,
            alias: Some(alias),
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        };
        self.found.push(call);
        ControlFlow::Continue(())
    }
}

fn is_name(operator: &FunctionArgOperator) -> bool {
    matches!(operator, FunctionArgOperator::RightArrow | FunctionArgOperator::Equals | FunctionArgOperator::Assignment)
}

impl Calls<'_> {
    fn value(&self, function: &TableFunction, place: usize, arg: &FunctionArgExpr) -> Result<Value, FunctionError> {
        let wrong = || FunctionError::NotConstant { function: function.name, text: arg.to_string() };
        let FunctionArgExpr::Expr(expr) = arg else { return Err(wrong()) };
        constant(expr, self.params).ok_or_else(|| match expr {
            // A forgotten quote is the commonest slip: best_runs(churn, auc).
            Expr::Identifier(ident) => {
                FunctionError::Unquoted { function: function.name, place: place + 1, text: ident.value.clone() }
            }
            _ => wrong(),
        })
    }
}

fn constant(expr: &Expr, params: &[(String, ScalarValue)]) -> Option<Value> {
    match expr {
        Expr::Nested(inner) => constant(inner, params),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr, params)? {
            Value::Number(number) => Some(Value::Number(-number)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => constant(expr, params),
        Expr::Value(value) => match &value.value {
            Literal::Number(number, _) => number.parse().ok().map(Value::Number),
            Literal::SingleQuotedString(text) | Literal::EscapedStringLiteral(text) => Some(Value::Text(text.clone())),
            Literal::DollarQuotedString(text) => Some(Value::Text(text.value.clone())),
            Literal::Boolean(truth) => Some(Value::Bool(*truth)),
            Literal::Null => Some(Value::Null),
            Literal::Placeholder(name) => {
                let name = name.trim_start_matches('$');
                params.iter().find(|(param, _)| param == name).and_then(|(_, value)| Value::of_scalar(value))
            }
            _ => None,
        },
        _ => None,
    }
}
