//! Names of keys in a statement: found, resolved and written so that the engine understands them.
//!
//! The engine would lower-case `params.optimizer.LR` and take its dots for structs in structs. So before planning it
//! becomes a column of that name, which `runs` has for each key that the statement names and for no other. A statement
//! that asks for whole structs (`SELECT *`, `SELECT params`) gets those instead, and its keys become `params['lr']`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement as Sql,
    Subscript, TableFactor, TableWithJoins, UnaryOperator, Value, VisitMut, VisitorMut, visit_relations,
};

use super::error::QueryError;
use super::keys::{Group, NamedKeys};
use super::runs::leaf_type;
use crate::schema::Table;
use crate::schema::wide::KeyCounts;

/// Whether a statement reads `runs`, itself or through `experiments`, or lists all there is.
pub fn reads_runs(statement: &Statement) -> bool {
    let mut found = false;
    let mut look = |name: &ObjectName| -> ControlFlow<()> {
        let parts = name.0.iter().filter_map(|part| part.as_ident());
        found |= parts
            .map(|ident| ident.value.to_lowercase())
            .any(|part| matches!(part.as_str(), "runs" | "experiments" | "information_schema"));
        ControlFlow::Continue(())
    };
    match statement {
        Statement::Statement(sql) => {
            let _ = visit_relations(sql.as_ref(), &mut look);
        }
        Statement::Explain(explain) => return reads_runs(&explain.statement),
        _ => return true,
    }
    found
}

/// Resolves the keys that a statement names and rewrites them in place.
pub fn rewrite(statement: &mut Statement, counts: &KeyCounts) -> Result<NamedKeys, QueryError> {
    let sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return rewrite(&mut explain.statement, counts),
        _ => return Ok(NamedKeys::default()),
    };
    let mut as_columns = sql.clone();
    let mut named = rewrite_as(&mut as_columns, counts, false)?;
    let mut whole = WholeStructs::default();
    let _ = as_columns.visit(&mut whole);
    // A wildcard of the outermost query shows whole structs; one further in only hands columns on.
    let groups = if shows_everything(sql) { Group::ALL.into() } else { whole.groups };
    if groups.is_empty() {
        *sql = as_columns;
        return Ok(named);
    }
    named = rewrite_as(sql, counts, true)?;
    for group in groups {
        named.add_all(group, counts);
    }
    Ok(named)
}

fn rewrite_as(sql: &mut Sql, counts: &KeyCounts, as_structs: bool) -> Result<NamedKeys, QueryError> {
    let mut named = NamedKeys::default();
    named.as_structs = as_structs;
    let mut keys = Keys { counts, scopes: Scopes::default(), named };
    match sql.visit(&mut keys) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(keys.named),
    }
}

/// Whether a wildcard may stand for columns of `runs`: not where every relation is one of the other tables.
fn may_show_runs(select: &Select) -> bool {
    let other = |factor: &TableFactor| match factor {
        TableFactor::Table { name, .. } => {
            let last = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
            last.is_some_and(|name| name != Table::Runs.name() && Table::FIXED.iter().any(|t| t.name() == name))
        }
        _ => false,
    };
    select.from.iter().any(|from| !other(&from.relation) || from.joins.iter().any(|join| !other(&join.relation)))
}

/// Finds struct columns that are asked for as a whole, once keys have become columns.
#[derive(Default)]
struct WholeStructs {
    scopes: Scopes,
    groups: BTreeSet<Group>,
}

impl VisitorMut for WholeStructs {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.scopes.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let column = match &*expr {
            Expr::Identifier(column) => Some(column),
            Expr::CompoundIdentifier(idents) => match idents.as_slice() {
                [relation, column] if self.scopes.has(relation) => Some(column),
                _ => None,
            },
            _ => None,
        };
        self.groups.extend(column.and_then(|c| Group::parse(&c.value)));
        ControlFlow::Continue(())
    }
}

fn shows_everything(sql: &Sql) -> bool {
    let query = match sql {
        Sql::Query(query) => query,
        Sql::Explain { statement, .. } => return shows_everything(statement),
        // A table or view that is made of a query may be asked for anything later.
        _ => return true,
    };
    fn wild(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => {
                may_show_runs(select)
                    && select
                        .projection
                        .iter()
                        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
            }
            SetExpr::Query(query) => wild(&query.body),
            SetExpr::SetOperation { left, right, .. } => wild(left) || wild(right),
            SetExpr::Table(_) => true,
            _ => false,
        }
    }
    wild(&query.body)
}

/// Names and aliases of the relations that expressions may refer to: those of the query they stand in and of the
/// queries around it.
#[derive(Default)]
struct Scopes(Vec<BTreeSet<String>>);

impl Scopes {
    fn enter(&mut self, query: &Query) {
        let mut names = BTreeSet::new();
        relations_of(&query.body, &mut names);
        self.0.push(names);
    }

    fn leave(&mut self) {
        self.0.pop();
    }

    fn has(&self, ident: &Ident) -> bool {
        let name = ident.value.to_lowercase();
        self.0.iter().any(|names| names.contains(&name))
    }
}

fn relations_of(body: &SetExpr, names: &mut BTreeSet<String>) {
    match body {
        SetExpr::Select(select) => select.from.iter().for_each(|from| relations_in(from, names)),
        SetExpr::SetOperation { left, right, .. } => {
            relations_of(left, names);
            relations_of(right, names);
        }
        // A query in brackets is visited as one of its own.
        _ => {}
    }
}

fn relations_in(from: &TableWithJoins, names: &mut BTreeSet<String>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        let (own, alias) = match factor {
            TableFactor::Table { name, alias, .. } => (name.0.last().and_then(|part| part.as_ident()), alias.as_ref()),
            TableFactor::Derived { alias, .. } | TableFactor::TableFunction { alias, .. } => (None, alias.as_ref()),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                relations_in(table_with_joins, names);
                (None, alias.as_ref())
            }
            _ => (None, None),
        };
        let name = alias.map(|alias| &alias.name).or(own);
        names.extend(name.map(|ident| ident.value.to_lowercase()));
    }
}

struct Keys<'a> {
    counts: &'a KeyCounts,
    scopes: Scopes,
    named: NamedKeys,
}

/// A key as it is written: what stands before the group, the group, the name, and whether it was quoted.
struct Written {
    before: Vec<Ident>,
    group: Group,
    name: String,
    exact: bool,
    after: Vec<AccessExpr>,
}

impl Keys<'_> {
    fn find(&self, expr: &Expr) -> Option<Written> {
        let (parts, after) = parts(expr)?;
        let group_at = |i: usize| match parts.get(i)? {
            Part::Name(ident) => Group::parse(&ident.value),
            Part::Text(_) => None,
        };
        let is_relation = |part: &Part| matches!(part, Part::Name(ident) if self.scopes.has(ident));
        // `params.key` is a column of the table `params` where that is in the query.
        let at = match (group_at(0), group_at(1)) {
            (Some(_), _) if !is_relation(&parts[0]) => 0,
            (_, Some(_)) if is_relation(&parts[0]) => 1,
            _ => return None,
        };
        let group = group_at(at)?;
        let before = parts[..at].iter().map(|part| part.ident().clone()).collect();
        let (name, exact) = match &parts[at + 1..] {
            [] => return None,
            [Part::Text(text)] => (text.clone(), true),
            names if names.iter().all(|part| matches!(part, Part::Name(_))) => {
                let quoted = names.iter().all(|part| part.ident().quote_style.is_some());
                let names: Vec<_> = names.iter().map(|part| part.ident().value.as_str()).collect();
                (names.join("."), quoted)
            }
            _ => return None,
        };
        Some(Written { before, group, name, exact, after })
    }

    /// Refuses to compare a key with a literal of a type that not every value of the key can be cast to: the engine would
    /// fail on the first run that holds such a value, or on the literal, in words about its own parts.
    fn check_comparison(&self, expr: &Expr) -> Result<(), QueryError> {
        let pairs: Vec<(&Expr, &Expr)> = match expr {
            Expr::BinaryOp { left, op, right } if is_comparison(op) => vec![(left, right), (right, left)],
            Expr::InList { expr, list, .. } => list.iter().map(|item| (expr.as_ref(), item)).collect(),
            Expr::Between { expr, low, high, .. } => vec![(expr.as_ref(), low.as_ref()), (expr, high)],
            _ => return Ok(()),
        };
        for (key, literal) in pairs {
            let Some(literal) = Literal::of(literal) else { continue };
            let Some(written) = self.find(key) else { break };
            let key = written.group.resolve(self.counts, &written.name, written.exact)?;
            let data_type = leaf_type(written.group, &key, self.counts);
            let fits = match &literal {
                Literal::Number(_) => data_type != "text",
                Literal::Text(text) => !matches!(data_type, "bigint" | "double") || text.trim().parse::<f64>().is_ok(),
            };
            if !fits && written.after.is_empty() {
                let group = written.group.name().to_string();
                let (number, literal) = match literal {
                    Literal::Number(number) => (true, number),
                    Literal::Text(text) => (false, format!("'{text}'")),
                };
                return Err(QueryError::KeyType { group, key, data_type, literal, number });
            }
        }
        Ok(())
    }

    /// Rewrites a key in place; gives the name to show it by and the one that tells its table too.
    fn rewrite(&mut self, expr: &mut Expr) -> Result<Option<(String, String)>, QueryError> {
        let Some(written) = self.find(expr) else { return Ok(None) };
        let key = written.group.resolve(self.counts, &written.name, written.exact)?;
        let short = format!("{}.{key}", written.group.name());
        let long = written.before.iter().map(|i| format!("{}.", i.value)).collect::<String>() + &short;
        self.named.add(written.group, key.clone());
        *expr = match self.named.as_structs {
            true => access(written.before, written.group.name(), key, written.after),
            false => column(written.before, &short),
        };
        Ok(Some((short, long)))
    }
}

impl VisitorMut for Keys<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        self.scopes.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.scopes.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<QueryError> {
        let mut shown: Vec<Option<(String, String)>> = Vec::new();
        for item in &mut select.projection {
            let named = match item {
                SelectItem::UnnamedExpr(expr) => match self.rewrite(expr) {
                    Ok(named) => named,
                    Err(e) => return ControlFlow::Break(e),
                },
                _ => None,
            };
            shown.push(named);
        }
        // Shown as it is written, not by the engine's name for an access; with its table where that tells two apart.
        for i in 0..shown.len() {
            let Some((short, long)) = shown[i].clone() else { continue };
            let twice = shown.iter().flatten().filter(|(other, _)| *other == short).count() > 1;
            let item = &mut select.projection[i];
            if let SelectItem::UnnamedExpr(expr) = item
                && (twice || self.named.as_structs)
            {
                let alias = Ident::with_quote('"', if twice { long } else { short });
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Err(e) = self.check_comparison(expr) {
            return ControlFlow::Break(e);
        }
        match self.rewrite(expr) {
            Err(e) => ControlFlow::Break(e),
            Ok(_) => ControlFlow::Continue(()),
        }
    }
}

/// A constant that keys are compared with.
enum Literal {
    Number(String),
    Text(String),
}

impl Literal {
    fn of(expr: &Expr) -> Option<Literal> {
        match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => Some(Literal::Number(number.to_string())),
                Value::SingleQuotedString(text) => Some(Literal::Text(text.clone())),
                _ => None,
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match Literal::of(expr)? {
                Literal::Number(number) => Some(Literal::Number(format!("-{number}"))),
                Literal::Text(_) => None,
            },
            _ => None,
        }
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::*;
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

enum Part {
    Name(Ident),
    Text(String),
}

impl Part {
    fn ident(&self) -> &Ident {
        match self {
            Part::Name(ident) => ident,
            Part::Text(_) => unreachable!("only names were let through"),
        }
    }
}

/// The parts of a dotted or bracketed name, and what is accessed beyond them.
fn parts(expr: &Expr) -> Option<(Vec<Part>, Vec<AccessExpr>)> {
    match expr {
        Expr::CompoundIdentifier(idents) => Some((idents.iter().cloned().map(Part::Name).collect(), Vec::new())),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut parts: Vec<Part> = match root.as_ref() {
                Expr::Identifier(ident) => vec![Part::Name(ident.clone())],
                Expr::CompoundIdentifier(idents) => idents.iter().cloned().map(Part::Name).collect(),
                _ => return None,
            };
            for (i, access) in access_chain.iter().enumerate() {
                match access {
                    AccessExpr::Dot(Expr::Identifier(ident)) => parts.push(Part::Name(ident.clone())),
                    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) => match &value.value {
                        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                            parts.push(Part::Text(text.clone()));
                            return Some((parts, access_chain[i + 1..].to_vec()));
                        }
                        _ => return Some((parts, access_chain[i..].to_vec())),
                    },
                    _ => return Some((parts, access_chain[i..].to_vec())),
                }
            }
            Some((parts, Vec::new()))
        }
        _ => None,
    }
}

/// The column that stands for a key.
fn column(before: Vec<Ident>, name: &str) -> Expr {
    let mut idents = before;
    idents.push(Ident::with_quote('"', name));
    match idents.len() {
        1 => Expr::Identifier(idents.remove(0)),
        _ => Expr::CompoundIdentifier(idents),
    }
}

/// The key within its struct.
fn access(before: Vec<Ident>, group: &str, key: String, after: Vec<AccessExpr>) -> Expr {
    let key = Expr::Value(Value::SingleQuotedString(key).into());
    let mut access_chain = vec![AccessExpr::Subscript(Subscript::Index { index: key })];
    access_chain.extend(after);
    Expr::CompoundFieldAccess { root: Box::new(column(before, group)), access_chain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::guard::parse;

    fn rewritten(sql: &str) -> String {
        let mut counts = KeyCounts::default();
        for key in ["lr", "optimizer.LR", "train loss (v2)", "model"] {
            counts.params.entry(key.to_string()).or_default().int = 1;
        }
        counts.metrics.insert("auc".into(), 1);
        let mut statement = parse(sql).unwrap();
        match rewrite(&mut statement, &counts) {
            Ok(_) => statement.to_string(),
            Err(e) => format!("error: {e}"),
        }
    }

    #[test]
    fn keys_become_columns() {
        let cases = [
            ("SELECT params.lr FROM runs", r#"SELECT "params.lr" FROM runs"#),
            ("SELECT Params.Optimizer.lr FROM runs", r#"SELECT "params.optimizer.LR" FROM runs"#),
            ("SELECT r.params.lr FROM runs AS r", r#"SELECT r."params.lr" FROM runs AS r"#),
            ("SELECT params['train loss (v2)'] FROM runs", r#"SELECT "params.train loss (v2)" FROM runs"#),
            ("SELECT r.params['lr'] FROM runs AS r", r#"SELECT r."params.lr" FROM runs AS r"#),
            (
                "SELECT params.key FROM params JOIN runs USING(run_id)",
                "SELECT params.key FROM params JOIN runs USING(run_id)",
            ),
            (
                "SELECT metrics.auc FROM runs WHERE run_id IN (SELECT metrics.run_id FROM metrics WHERE metrics.key = 'x')",
                r#"SELECT "metrics.auc" FROM runs WHERE run_id IN (SELECT metrics.run_id FROM metrics WHERE metrics.key = 'x')"#,
            ),
            (
                "SELECT a.params.lr, b.params.lr FROM runs AS a, runs AS b",
                r#"SELECT a."params.lr" AS "a.params.lr", b."params.lr" AS "b.params.lr" FROM runs AS a, runs AS b"#,
            ),
            (
                "WITH t AS (SELECT * FROM runs) SELECT params.lr FROM t WHERE metrics.auc > 0",
                r#"WITH t AS (SELECT * FROM runs) SELECT "params.lr" FROM t WHERE "metrics.auc" > 0"#,
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(rewritten(sql), expected);
        }
    }

    #[test]
    fn whole_structs_keep_their_keys_inside() {
        assert_eq!(
            rewritten("SELECT params, metrics.auc FROM runs ORDER BY params.lr"),
            r#"SELECT params, "metrics"['auc'] AS "metrics.auc" FROM runs ORDER BY "params"['lr']"#
        );
        assert_eq!(
            rewritten("SELECT * FROM runs WHERE params.lr > 1"),
            r#"SELECT * FROM runs WHERE "params"['lr'] > 1"#
        );
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert_eq!(rewritten("SELECT params.zzz FROM runs"), "error: no key 'params.zzz' in table 'runs'");
        assert_eq!(rewritten("SELECT params['LR'] FROM runs"), "error: no key 'params.LR' in table 'runs'");
    }
}
