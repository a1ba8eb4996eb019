//! What a statement asks for and the store does not have.
//!
//! A misspelt experiment gives no rows, and `no rows` would hold for ever. So before a check is decided, the tables that
//! its statement reads, and what its columns are compared with, are looked for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{Statement as Sql, TableFactor, Visit, Visitor};

use super::doubt::Doubt;
use super::named;
use super::rows::{Params, ask};
use crate::query::{Session, is_function, parse};

/// Says what a statement asks for in vain.
pub async fn look(session: &Session, sql: &str, params: &Params) -> Result<(), Doubt> {
    let statement = parse(sql)?;
    let (references, _) = resolve_table_references(&statement, true).map_err(crate::query::QueryError::from)?;
    let there: BTreeSet<String> = session.tables().into_iter().map(|table| table.name).collect();
    let mut read: BTreeSet<String> = BTreeSet::new();
    for reference in &references {
        let name = match reference.schema() {
            Some(schema) if schema != "public" => format!("{schema}.{}", reference.table()),
            _ => reference.table().to_string(),
        };
        read.extend(there.get(&name).cloned());
    }
    for table in &read {
        let name = match table.split_once('.') {
            Some((schema, name)) => format!("{schema}.\"{}\"", name.replace('"', "\"\"")),
            None => table.clone(),
        };
        if ask(session, &format!("SELECT 1 FROM {name} LIMIT 1"), &[], 0).await?.n == 0 {
            return Err(Doubt::EmptyTable { table: table.clone() });
        }
    }
    let calls = functions(&statement);
    for call in &calls {
        if ask(session, &format!("SELECT 1 FROM {call} LIMIT 1"), params, 0).await?.n == 0 {
            return Err(Doubt::EmptyTable { table: call.clone() });
        }
    }
    named::look(session, &statement, params, named::Read { tables: &read, calls: &calls }).await
}

/// Calls of table functions, as they are written.
fn functions(statement: &Statement) -> BTreeSet<String> {
    #[derive(Default)]
    struct Calls(BTreeSet<String>);
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, args: Some(args), .. } = factor
                && is_function(&name.to_string())
            {
                let args: Vec<String> = args.args.iter().map(ToString::to_string).collect();
                self.0.insert(format!("{name}({})", args.join(", ")));
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls::default();
    if let Statement::Statement(sql) = statement {
        let _: ControlFlow<()> = Sql::visit(sql, &mut calls);
    }
    calls.0
}
