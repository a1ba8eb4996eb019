//! Chains of `JOIN ... USING`, written so that the engine understands them.
//!
//! DataFusion 55 knows the columns of one `USING` as one, but not those of several: with three tables an unqualified
//! `run_id` is ambiguous, with four the chain itself. So in such a chain `USING (run_id)` becomes
//! `ON first.run_id = this.run_id`, an unqualified `run_id` becomes `first.run_id`, and `*` shows the column once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
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

/// Columns that a chain joins by, in lower case unless quoted, with the relation that an unqualified one means.
type Owners = BTreeMap<String, Ident>;

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
            *expr = Expr::CompoundIdentifier(vec![owner.clone(), column.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// A chain of joins of which at least two are by `USING`.
struct Chain {
    owners: Owners,
    /// The relations so far, each with its table where it is one of ours.
    before: Vec<(Ident, Option<Table>)>,
    /// Relations whose columns `*` shows, with those that an earlier one shows already.
    shown: Vec<(Ident, Vec<Ident>)>,
    /// By join: the columns of its `USING`, each with its owner; `None` where the engine is to say that it has several.
    joined: Vec<Vec<(Ident, Option<Ident>)>>,
}

/// Finds the chain of a select. `None`: there is none, or one that the engine has to take as it is.
fn chain(select: &Select, ctes: &BTreeSet<String>) -> Option<Chain> {
    let [from] = select.from.as_slice() else { return None };
    let by_using = from.joins.iter().filter(|join| matches!(constraint(&join.join_operator), Some(c) if is_using(c)));
    if by_using.count() < 2 {
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
                    if let Some(owner) = &owner {
                        chain.owners.insert(normal(column), owner.clone());
                    }
                    joined.push((column.clone(), owner));
                }
            }
            JoinConstraint::On(_) | JoinConstraint::None => {}
            JoinConstraint::Natural => return None,
        }
        if !is_semi(&join.join_operator) {
            chain.shown.push((this.clone(), joined.iter().map(|(column, _)| column.clone()).collect()));
            chain.before.push((this, table(&join.relation, ctes)));
        }
        chain.joined.push(joined);
    }
    Some(chain)
}

impl Chain {
    /// The relation whose column a `USING` means; `Some(None)` where it has none or several to choose from, `None` where
    /// only the engine could tell.
    fn owner(&self, column: &Ident) -> Option<Option<Ident>> {
        if let Some(owner) = self.owners.get(&normal(column)) {
            return Some(Some(owner.clone()));
        }
        if let [(only, _)] = self.before.as_slice() {
            return Some(Some(only.clone()));
        }
        let mut found = Vec::new();
        for (relation, table) in &self.before {
            if has_column(table.as_ref()?, &normal(column))? {
                found.push(relation);
            }
        }
        Some(match found.as_slice() {
            [only] => Some((*only).clone()),
            _ => None,
        })
    }

    fn apply(&self, select: &mut Select) {
        for (join, joined) in select.from[0].joins.iter_mut().zip(&self.joined) {
            let this = relation(&join.relation);
            let equal = |(column, owner): &(Ident, Option<Ident>)| Expr::BinaryOp {
                left: Box::new(match owner {
                    Some(owner) => Expr::CompoundIdentifier(vec![owner.clone(), column.clone()]),
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
        let plain = |item: &SelectItem| match item {
            SelectItem::Wildcard(options) => *options == WildcardAdditionalOptions::default(),
            _ => false,
        };
        let items = std::mem::take(&mut select.projection);
        for item in items {
            match plain(&item) {
                true => select.projection.extend(self.shown.iter().map(|(relation, but)| all_of(relation, but))),
                false => select.projection.push(item),
            }
        }
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

fn is_using(constraint: &JoinConstraint) -> bool {
    matches!(constraint, JoinConstraint::Using(_))
}

fn is_semi(join: &JoinOperator) -> bool {
    use JoinOperator::*;
    matches!(join, Semi(_) | LeftSemi(_) | Anti(_) | LeftAnti(_))
}

/// The constraint of a join whose left side keeps its values; `None` for the others.
fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator::*;
    match join {
        Join(c) | Inner(c) | Left(c) | LeftOuter(c) | CrossJoin(c) | Semi(c) | LeftSemi(c) | Anti(c) | LeftAnti(c) => {
            Some(c)
        }
        _ => None,
    }
}

fn constraint_mut(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator::*;
    match join {
        Join(c) | Inner(c) | Left(c) | LeftOuter(c) | CrossJoin(c) | Semi(c) | LeftSemi(c) | Anti(c) | LeftAnti(c) => {
            Some(c)
        }
        _ => None,
    }
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
    fn what_the_engine_understands_stays_as_it_is() {
        for sql in [
            "SELECT run_id FROM a JOIN b USING(run_id)",
            "SELECT run_id FROM a JOIN b USING(run_id) FULL JOIN c USING(run_id)",
            "SELECT run_id FROM a JOIN b USING(run_id) JOIN c USING(key)",
            "WITH tags AS (SELECT 1) SELECT 1 FROM runs JOIN tags USING(run_id) JOIN params USING(key)",
            "SELECT run_id FROM a NATURAL JOIN b JOIN c USING(run_id)",
        ] {
            assert_eq!(spread(sql), sql);
        }
    }
}
