//! Names of keys in a statement: found, resolved and written so that the engine understands them.
//!
//! `params.optimizer.lr` becomes `params['optimizer.lr']` before planning, since the engine would lower-case it and take
//! the dots for structs in structs. Only the keys that are found here get into the planned schema.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, Select, SelectItem, SetExpr, Statement as
    Sql, Subscript, TableFactor, Value, VisitMut, VisitorMut, visit_relations,
};

use super::error::QueryError;
use super::keys::{Group, NamedKeys};
use crate::schema::wide::KeyCounts;

/// Whether a statement reads `runs` (or something that is not known before planning).
pub fn reads_runs(statement: &Statement) -> bool {
    let mut found = false;
    let mut look = |name: &ObjectName| -> ControlFlow<()> {
        let last = name.0.last().and_then(|part| part.as_ident());
        found |= last.is_some_and(|ident| ident.value.eq_ignore_ascii_case("runs"));
        ControlFlow::Continue(())
    };
    match statement {
        Statement::Statement(sql) => {
            let _ = visit_relations(sql.as_ref(), &mut look);
        }
        Statement::Explain(explain) => return reads_runs(&explain.statement),
        Statement::CopyTo(_) => return true,
        _ => {}
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
    let mut relations = Relations::default();
    let _ = sql.visit(&mut relations);
    let mut keys = Keys { counts, relations: relations.names, named: NamedKeys::default() };
    if let ControlFlow::Break(e) = sql.visit(&mut keys) {
        return Err(e);
    }
    // A wildcard of the outermost query shows whole structs; one further in only hands columns on.
    if shows_everything(sql) {
        for group in Group::ALL {
            keys.named.add_all(group, counts);
        }
    }
    Ok(keys.named)
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
            SetExpr::Select(select) => select
                .projection
                .iter()
                .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))),
            SetExpr::Query(query) => wild(&query.body),
            SetExpr::SetOperation { left, right, .. } => wild(left) || wild(right),
            SetExpr::Table(_) => true,
            _ => false,
        }
    }
    wild(&query.body)
}

/// Names and aliases that stand for a relation anywhere in the statement.
#[derive(Default)]
struct Relations {
    names: BTreeSet<String>,
}

impl VisitorMut for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut datafusion::sql::sqlparser::ast::Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.insert(cte.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let (name, alias) = match factor {
            TableFactor::Table { name, alias, .. } => (Some(name), alias.as_ref()),
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => (None, alias.as_ref()),
            _ => (None, None),
        };
        let own = name.and_then(|n| n.0.last()).and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        match alias {
            Some(alias) => self.names.extend([alias.name.value.to_lowercase()]),
            None => self.names.extend(own),
        }
        ControlFlow::Continue(())
    }
}

struct Keys<'a> {
    counts: &'a KeyCounts,
    relations: BTreeSet<String>,
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
        let is_relation =
            |part: &Part| matches!(part, Part::Name(ident) if self.relations.contains(&ident.value.to_lowercase()));
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

    /// Rewrites a key in place; gives the name to show it by and the one that tells its table too.
    fn rewrite(&mut self, expr: &mut Expr) -> Result<Option<(String, String)>, QueryError> {
        let Some(written) = self.find(expr) else { return Ok(None) };
        let key = written.group.resolve(self.counts, &written.name, written.exact)?;
        let short = format!("{}.{key}", written.group.name());
        let long = written.before.iter().map(|i| format!("{}.", i.value)).collect::<String>() + &short;
        self.named.add(written.group, key.clone());
        *expr = access(written.before, written.group.name(), key, written.after);
        Ok(Some((short, long)))
    }
}

impl VisitorMut for Keys<'_> {
    type Break = QueryError;

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
        // `SELECT params.lr` is shown as it is written, not as the engine's name for the access.
        for i in 0..shown.len() {
            let Some((short, long)) = shown[i].clone() else { continue };
            let twice = shown.iter().flatten().filter(|(other, _)| *other == short).count() > 1;
            let item = &mut select.projection[i];
            if let SelectItem::UnnamedExpr(expr) = item {
                let alias = Ident::with_quote('"', if twice { long } else { short });
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match self.rewrite(expr) {
            Err(e) => return ControlFlow::Break(e),
            Ok(Some(_)) => return ControlFlow::Continue(()),
            Ok(None) => {}
        }
        // A whole struct is asked for.
        let whole = match &*expr {
            Expr::Identifier(column) => Some(column),
            Expr::CompoundIdentifier(idents) => match idents.as_slice() {
                [relation, column] if self.relations.contains(&relation.value.to_lowercase()) => Some(column),
                _ => None,
            },
            _ => None,
        };
        if let Some(group) = whole.filter(|c| c.quote_style != Some(REWRITTEN)).and_then(|c| Group::parse(&c.value)) {
            self.named.add_all(group, self.counts);
        }
        ControlFlow::Continue(())
    }
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

/// Marks the struct of a rewritten access, of which only the named leaf is wanted.
const REWRITTEN: char = '`';

fn access(before: Vec<Ident>, group: &str, key: String, after: Vec<AccessExpr>) -> Expr {
    let mut idents = before;
    idents.push(Ident::with_quote(REWRITTEN, group));
    let root = match idents.len() {
        1 => Expr::Identifier(idents.remove(0)),
        _ => Expr::CompoundIdentifier(idents),
    };
    let key = Expr::Value(Value::SingleQuotedString(key).into());
    let mut access_chain = vec![AccessExpr::Subscript(Subscript::Index { index: key })];
    access_chain.extend(after);
    Expr::CompoundFieldAccess { root: Box::new(root), access_chain }
}
