//! How a statement writes metrics: `metrics.auc`, `r.best.auc`, `metrics['val auc']`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Query, Statement, Subscript, TableFactor, Value, Visit, Visitor,
};

/// Groups of `runs` that hold figures of metrics.
const GROUPS: [&str; 4] = ["metrics", "metrics_min", "metrics_max", "best"];

/// A metric of a run, as a statement writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Its name.
    pub key: String,
    /// The name of `runs` in the statement, where it is written before.
    pub relation: Option<String>,
}

/// What a statement calls its tables: `best.auc` is no metric where `best` is one of them.
#[derive(Debug, Default)]
pub struct Relations(BTreeSet<String>);

impl Relations {
    /// Tables, aliases and `WITH` names, wherever they stand.
    pub fn of(statement: &Statement) -> Relations {
        let mut relations = Relations::default();
        let _: ControlFlow<()> = statement.visit(&mut relations);
        relations
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name.to_ascii_lowercase())
    }

    /// The metric that an expression is.
    pub fn metric(&self, expr: &Expr) -> Option<Metric> {
        let parts = path(expr)?;
        let is_group = |part: &str| GROUPS.iter().any(|group| part.eq_ignore_ascii_case(group));
        let at = match parts.as_slice() {
            [first, ..] if is_group(first) && !self.has(first) => 0,
            [first, second, ..] if self.has(first) && is_group(second) => 1,
            _ => return None,
        };
        let key = parts[at + 1..].join(".");
        (!key.is_empty()).then(|| Metric { key, relation: (at == 1).then(|| parts[0].clone()) })
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let (name, alias) = match factor {
            TableFactor::Table { name, alias, .. } => (name.0.last().map(ToString::to_string), alias),
            TableFactor::Derived { alias, .. } => (None, alias),
            _ => (None, &None),
        };
        let name = alias.as_ref().map(|alias| alias.name.value.clone()).or(name);
        self.0.extend(name.map(|name| name.trim_matches('"').to_ascii_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(with.map(|cte| cte.alias.name.value.to_ascii_lowercase()));
        ControlFlow::Continue(())
    }
}

/// The parts of a name: `metrics['val auc']` has two.
fn path(expr: &Expr) -> Option<Vec<String>> {
    let (root, chain) = match expr {
        Expr::CompoundIdentifier(parts) => return Some(parts.iter().map(|part| part.value.clone()).collect()),
        Expr::CompoundFieldAccess { root, access_chain } => (root.as_ref(), access_chain),
        _ => return None,
    };
    let mut parts = match root {
        Expr::Identifier(part) => vec![part.value.clone()],
        Expr::CompoundIdentifier(parts) => parts.iter().map(|part| part.value.clone()).collect(),
        _ => return None,
    };
    for access in chain {
        match access {
            AccessExpr::Dot(Expr::Identifier(part)) => parts.push(part.value.clone()),
            AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) => match &value.value {
                Value::SingleQuotedString(text) => parts.push(text.clone()),
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(parts)
}
