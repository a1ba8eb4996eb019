//! Joins by `USING`, written so that the engine understands them.
//!
//! DataFusion 55 knows the columns of one `USING` as one in some places: in `WHERE` an unqualified `run_id` is ambiguous,
//! with three tables everywhere, with four the chain itself is; and of a `RIGHT` or `FULL` join it shows the wrong side.
//! So `USING (run_id)` becomes `ON first.run_id = this.run_id`, an unqualified `run_id` becomes that of the side that
//! keeps its rows, and `*` shows the column once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement as Sql, TableFactor, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

use crate::schema::Table;

/// Rewrites the chains of a statement in place.
pub fn spread_using(statement: &mut Statement) {
    let sql: &mut Sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return spread_using(&mut explain.statement),
        _ => return,
    };
    let mut names = Ctes::default();
    let _ = sql.visit(&mut names);
    let _ = sql.visit(&mut Chains { ctes: names.0, scopes: Vec::new() });
}

/// Columns that a chain joins by, in lower case unless quoted, with what an unqualified one means.
type Owners = BTreeMap<String, Owner>;

/// What an unqualified column means that relations are joined by.
#[derive(Debug, Clone)]
enum Owner {
    /// The column of one relation.
    Of(Ident),
    /// Of several, the first that is not NULL: they are joined in full.
    FirstOf(Vec<Ident>),
}

impl Owner {
    fn relations(&self) -> &[Ident] {
        match self {
            Owner::Of(relation) => std::slice::from_ref(relation),
            Owner::FirstOf(relations) => relations,
        }
    }

    fn expr(&self, column: &Ident) -> Expr {
        let one = |relation: &Ident| Expr::CompoundIdentifier(vec![relation.clone(), column.clone()]);
        match self {
            Owner::Of(relation) => one(relation),
            Owner::FirstOf(relations) => {
                let args = relations.iter().map(|r| FunctionArg::Unnamed(FunctionArgExpr::Expr(one(r)))).collect();
                Expr::Function(Function {
                    name: ObjectName::from(vec![Ident::new("coalesce")]),
                    uses_odbc_syntax: false,
                    parameters: FunctionArguments::None,
                    args: FunctionArguments::List(FunctionArgumentList {
                        duplicate_treatment: None,
                        args,
                        clauses: Vec::new(),
                    }),
                    filter: None,
                    null_treatment: None,
                    over: None,
                    within_group: Vec::new(),
                })
            }
        }
    }
}

/// Names of the queries that a statement gives names to: relations of those names may not be our tables.
#[derive(Default)]
struct Ctes(BTreeSet<String>);

impl VisitorMut for Ctes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(ctes.map(|cte| normal(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Chains {
    ctes: BTreeSet<String>,
    /// Of the selects and queries around the present expression; it belongs to the last.
    scopes: Vec<Owners>,
}

impl VisitorMut for Chains {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // ORDER BY stands outside the select, and means its aliases first.
        let owners = match query.body.as_ref() {
            SetExpr::Select(select) => {
                let mut owners = chain(select, &self.ctes).map(|chain| chain.owners).unwrap_or_default();
                let aliases = select.projection.iter().filter_map(|item| match item {
                    SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
                    _ => None,
                });
                aliases.for_each(|alias| drop(owners.remove(&alias)));
                owners
            }
            _ => Owners::new(),
        };
        self.scopes.push(owners);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let chain = chain(select, &self.ctes);
        if let Some(chain) = &chain {
            chain.apply(select);
        }
        self.scopes.push(chain.map(|chain| chain.owners).unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Expr::Identifier(column), Some(owners)) = (&*expr, self.scopes.last())
            && let Some(owner) = owners.get(&normal(column))
        {
            *expr = owner.expr(column);
        }
        ControlFlow::Continue(())
    }
}

/// A chain of joins, some by `USING`.
struct Chain {
    owners: Owners,
    /// The relations so far, each with its table where it is one of ours.
    before: Vec<(Ident, Option<Table>)>,
    /// Relations whose columns `*` shows, with those that it leaves out since they are shown elsewhere.
    shown: Vec<(Ident, Vec<Ident>)>,
    /// By join: the columns of its `USING`, each with what they were before; `None` where the engine is to say that
    /// several relations have it.
    joined: Vec<Vec<(Ident, Option<Owner>)>>,
}

/// Finds the chain of a select. `None`: there is none, or one that the engine has to take as it is.
fn chain(select: &Select, ctes: &BTreeSet<String>) -> Option<Chain> {
    let [from] = select.from.as_slice() else { return None };
    if !from.joins.iter().any(|join| matches!(constraint(&join.join_operator), Some(JoinConstraint::Using(_)))) {
        return None;
    }
    let first = relation(&from.relation)?;
    let mut chain = Chain {
        owners: Owners::new(),
        before: vec![(first.clone(), table(&from.relation, ctes))],
        shown: vec![(first, Vec::new())],
        joined: Vec::new(),
    };
    for join in &from.joins {
        let this = relation(&join.relation)?;
        let mut joined = Vec::new();
        match constraint(&join.join_operator)? {
            JoinConstraint::Using(columns) => {
                for column in columns {
                    let [part] = column.0.as_slice() else { return None };
                    let column = part.as_ident()?;
                    let owner = chain.owner(column)?;
                    joined.push((column.clone(), owner));
                }
            }
            JoinConstraint::On(_) | JoinConstraint::None => {}
            JoinConstraint::Natural => return None,
        }
        chain.add(&join.join_operator, this, table(&join.relation, ctes), joined);
    }
    Some(chain)
}

impl Chain {
    /// What a column of a `USING` means; `Some(None)` where no relation has it or several do, `None` where only the engine
    /// could tell.
    fn owner(&self, column: &Ident) -> Option<Option<Owner>> {
        if let Some(owner) = self.owners.get(&normal(column)) {
            return Some(Some(owner.clone()));
        }
        if let [(only, _)] = self.before.as_slice() {
            return Some(Some(Owner::Of(only.clone())));
        }
        let mut found = Vec::new();
        for (relation, table) in &self.before {
            if has_column(table.as_ref()?, &normal(column))? {
                found.push(relation);
            }
        }
        Some(match found.as_slice() {
            [only] => Some(Owner::Of((*only).clone())),
            _ => None,
        })
    }

    /// Takes a join in: whose column is meant from here on, and which `*` shows.
    fn add(&mut self, join: &JoinOperator, this: Ident, table: Option<Table>, joined: Vec<(Ident, Option<Owner>)>) {
        let side = side(join);
        let mut hidden = Vec::new();
        for (column, owner) in joined.iter().filter_map(|(column, owner)| Some((column, owner.as_ref()?))) {
            let hide_left = |shown: &mut Vec<(Ident, Vec<Ident>)>| {
                let left = shown.iter_mut().filter(|(relation, _)| owner.relations().contains(relation));
                left.for_each(|(_, but)| but.push(column.clone()));
            };
            let next = match side {
                Side::Left | Side::Semi => {
                    hidden.push(column.clone());
                    owner.clone()
                }
                Side::Right => {
                    hide_left(&mut self.shown);
                    Owner::Of(this.clone())
                }
                Side::Both => {
                    hide_left(&mut self.shown);
                    hidden.push(column.clone());
                    Owner::FirstOf(owner.relations().iter().chain([&this]).cloned().collect())
                }
            };
            self.owners.insert(normal(column), next);
        }
        if !matches!(side, Side::Semi) {
            self.shown.push((this.clone(), hidden));
            self.before.push((this, table));
        }
        self.joined.push(joined);
    }

    fn apply(&self, select: &mut Select) {
        for (join, joined) in select.from[0].joins.iter_mut().zip(&self.joined) {
            let this = relation(&join.relation);
            let equal = |(column, owner): &(Ident, Option<Owner>)| Expr::BinaryOp {
                left: Box::new(match owner {
                    Some(owner) => owner.expr(column),
                    None => Expr::Identifier(column.clone()),
                }),
                op: BinaryOperator::Eq,
                right: Box::new(Expr::CompoundIdentifier(this.iter().chain([column]).cloned().collect())),
            };
            let both = |left: Expr, right: Expr| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::And,
                right: Box::new(right),
            };
            if let (Some(condition), Some(constraint)) =
                (joined.iter().map(equal).reduce(both), constraint_mut(&mut join.join_operator))
            {
                *constraint = JoinConstraint::On(condition);
            }
        }
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) if options == WildcardAdditionalOptions::default() => {
                    select.projection.extend(self.merged());
                    select.projection.extend(self.shown.iter().map(|(relation, but)| all_of(relation, but)));
                }
                // Its name would be that of the function.
                SelectItem::UnnamedExpr(Expr::Identifier(column)) => select.projection.push(self.named(column)),
                item => select.projection.push(item),
            }
        }
    }

    fn named(&self, column: Ident) -> SelectItem {
        match self.owners.get(&normal(&column)) {
            Some(owner @ Owner::FirstOf(_)) => SelectItem::ExprWithAlias { expr: owner.expr(&column), alias: column },
            _ => SelectItem::UnnamedExpr(Expr::Identifier(column)),
        }
    }

    /// The columns that belong to no relation alone.
    fn merged(&self) -> impl Iterator<Item = SelectItem> {
        let all = self.joined.iter().flatten().map(|(column, _)| column);
        let mut seen = BTreeSet::new();
        all.filter(move |column| {
            matches!(self.owners.get(&normal(column)), Some(Owner::FirstOf(_))) && seen.insert(normal(column))
        })
        .map(|column| self.named(column.clone()))
    }
}

/// `relation.*` without some columns.
fn all_of(relation: &Ident, but: &[Ident]) -> SelectItem {
    let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![relation.clone()]));
    let opt_except = but
        .split_first()
        .map(|(first, others)| ExceptSelectItem { first_element: first.clone(), additional_elements: others.to_vec() });
    SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions { opt_except, ..Default::default() })
}

/// The name by which the columns of a relation are qualified.
fn relation(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.clone()),
        _ => None,
    }
}

/// Which of our tables a relation is.
fn table(factor: &TableFactor, ctes: &BTreeSet<String>) -> Option<Table> {
    let TableFactor::Table { name, .. } = factor else { return None };
    let [part] = name.0.as_slice() else { return None };
    let name = normal(part.as_ident()?);
    Table::FIXED.into_iter().find(|table| table.name() == name && !ctes.contains(&name))
}

/// Whether a table shows a column of this name. `None`: its columns are what was logged.
fn has_column(table: &Table, name: &str) -> Option<bool> {
    let looked_up = matches!(table, Table::Runs) && name == "experiment";
    Some(looked_up || table.columns()?.iter().any(|column| column.name == name))
}

/// How an identifier counts: case matters only in quotes.
pub fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Which side of a join keeps all its rows, or that only the left one is seen after it.
enum Side {
    Left,
    Right,
    Both,
    Semi,
}

fn side(join: &JoinOperator) -> Side {
    use JoinOperator::*;
    match join {
        Right(_) | RightOuter(_) => Side::Right,
        FullOuter(_) => Side::Both,
        Semi(_) | LeftSemi(_) | Anti(_) | LeftAnti(_) => Side::Semi,
        _ => Side::Left,
    }
}

macro_rules! constraint_of {
    ($join:expr) => {{
        use JoinOperator::*;
        match $join {
            Join(c) | Inner(c) | Left(c) | LeftOuter(c) | Right(c) | RightOuter(c) | FullOuter(c) | CrossJoin(c)
            | Semi(c) | LeftSemi(c) | Anti(c) | LeftAnti(c) => Some(c),
            _ => None,
        }
    }};
}

/// What a join joins by; `None` for joins that no chain is made of.
pub(super) fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    constraint_of!(join)
}

fn constraint_mut(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    constraint_of!(join)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::guard::parse;

    fn spread(sql: &str) -> String {
        let mut statement = parse(sql).unwrap();
        spread_using(&mut statement);
        statement.to_string()
    }

    #[test]
    fn a_column_of_a_chain_is_that_of_its_first_relation() {
        let cases = [
            (
                "SELECT run_id, c.value FROM runs AS a JOIN tags AS b USING (run_id) LEFT JOIN params AS c USING (run_id) \
                 WHERE RUN_ID > 'x' GROUP BY run_id ORDER BY run_id",
                "SELECT a.run_id, c.value FROM runs AS a JOIN tags AS b ON a.run_id = b.run_id \
                 LEFT JOIN params AS c ON a.run_id = c.run_id WHERE a.RUN_ID > 'x' GROUP BY a.run_id ORDER BY a.run_id",
            ),
            (
                "SELECT * FROM metrics JOIN metric_stats USING (run_id, key) SEMI JOIN tags USING (run_id)",
                "SELECT metrics.*, metric_stats.* EXCEPT (run_id, key) FROM metrics \
                 JOIN metric_stats ON metrics.run_id = metric_stats.run_id AND metrics.key = metric_stats.key \
                 SEMI JOIN tags ON metrics.run_id = tags.run_id",
            ),
            // The only one before it that has the column, or none.
            (
                "SELECT key FROM runs JOIN tags USING (run_id) JOIN metrics USING (run_id, key) JOIN series USING (step)",
                "SELECT tags.key FROM runs JOIN tags ON runs.run_id = tags.run_id \
                 JOIN metrics ON runs.run_id = metrics.run_id AND tags.key = metrics.key JOIN series ON metrics.step = series.step",
            ),
            (
                "SELECT 1 FROM tags JOIN params USING (run_id) JOIN metrics USING (key)",
                "SELECT 1 FROM tags JOIN params ON tags.run_id = params.run_id JOIN metrics ON key = metrics.key",
            ),
            // An alias of the answer comes before a column in ORDER BY, and a query within has names of its own.
            (
                "SELECT max(b.key) AS run_id FROM a JOIN b USING (run_id) JOIN c USING (run_id) \
                 WHERE a.x IN (SELECT run_id FROM d) ORDER BY run_id",
                "SELECT max(b.key) AS run_id FROM a JOIN b ON a.run_id = b.run_id JOIN c ON a.run_id = c.run_id \
                 WHERE a.x IN (SELECT run_id FROM d) ORDER BY run_id",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(spread(sql), expected);
        }
    }

    #[test]
    fn the_side_that_keeps_its_rows_owns_the_column() {
        let cases = [
            ("SELECT k FROM a RIGHT JOIN b USING (k)", "SELECT b.k FROM a RIGHT JOIN b ON a.k = b.k"),
            (
                "SELECT * FROM a RIGHT JOIN b USING (k) JOIN c USING (k)",
                "SELECT a.* EXCEPT (k), b.*, c.* EXCEPT (k) FROM a RIGHT JOIN b ON a.k = b.k JOIN c ON b.k = c.k",
            ),
            (
                "SELECT *, k FROM a FULL JOIN b USING (k) WHERE k > 1 ORDER BY k",
                "SELECT coalesce(a.k, b.k) AS k, a.* EXCEPT (k), b.* EXCEPT (k), coalesce(a.k, b.k) AS k \
                 FROM a FULL JOIN b ON a.k = b.k WHERE coalesce(a.k, b.k) > 1 ORDER BY coalesce(a.k, b.k)",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(spread(sql), expected);
        }
    }

    #[test]
    fn what_the_engine_has_to_tell_stays_as_it_is() {
        for sql in [
            "SELECT run_id FROM a JOIN b ON a.run_id = b.run_id",
            "SELECT run_id FROM a JOIN b USING(run_id) JOIN c USING(key)",
            "WITH tags AS (SELECT 1) SELECT 1 FROM runs JOIN tags USING(run_id) JOIN params USING(key)",
            "SELECT run_id FROM a NATURAL JOIN b JOIN c USING(run_id)",
        ] {
            assert_eq!(spread(sql), sql);
        }
    }
}
