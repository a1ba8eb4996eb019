//! Which runs a function is about.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::call::ask;
use super::error::FunctionError;
use super::rows::{Columns, text};
use crate::query::error::QueryError;
use crate::query::guard;
use crate::query::keys::near;
use crate::query::session::Session;
use crate::store::StoreError;

/// Name of the table that holds the runs of a query.
const TABLE: &str = "runs of the scope";

/// Runs, as a condition over any table that carries `run_id` and `experiment_id`.
#[derive(Debug, Clone)]
pub struct Scope {
    /// As it was given.
    pub text: String,
    condition: String,
    tables: Vec<(String, Arc<dyn TableProvider>)>,
}

impl Scope {
    /// The name of an experiment, a LIKE pattern of names, or a query that returns `run_id`.
    pub async fn of(session: &Session, given: &str) -> Result<Scope, QueryError> {
        if is_query(given) {
            return Scope::of_query(session, given).await;
        }
        let rows = ask(session, "SELECT experiment_id, experiment FROM experiments ORDER BY experiment", &[]).await?;
        let (ids, names) = (rows.texts("experiment_id")?, rows.texts("experiment")?);
        let mut found: Vec<&str> = (0..rows.len()).filter(|i| names.value(*i) == given).map(|i| ids.value(i)).collect();
        if found.is_empty() && given.contains(['%', '_']) {
            let like = arrow::compute::kernels::comparison::like(&names, &arrow::array::StringArray::new_scalar(given));
            let like = like.map_err(datafusion::error::DataFusionError::from)?;
            found = (0..rows.len()).filter(|i| like.value(*i)).map(|i| ids.value(i)).collect();
        }
        if found.is_empty() {
            let names: Vec<&str> = names.iter().flatten().collect();
            return Err(FunctionError::NoExperiment { scope: given.to_string(), near: near(&names, given) }.into());
        }
        let list = found.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(", ");
        Ok(Scope { text: given.to_string(), condition: format!("experiment_id IN ({list})"), tables: Vec::new() })
    }

    /// A run by its id or the beginning of it, else what [`Scope::of`] says. An experiment of exactly that name wins.
    pub async fn of_run(session: &Session, given: &str) -> Result<Scope, QueryError> {
        let is_id = !given.is_empty() && given.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_id {
            return Scope::of(session, given).await;
        }
        let sql = format!("SELECT 1 FROM experiments WHERE experiment = {}", quoted(given));
        if ask(session, &sql, &[]).await?.len() > 0 {
            return Scope::of(session, given).await;
        }
        match session.find_run(given).await {
            Ok(run) => {
                let condition = format!("run_id = {}", quoted(run.as_str()));
                Ok(Scope { text: given.to_string(), condition, tables: Vec::new() })
            }
            Err(QueryError::Store(StoreError::RunNotFound { .. })) if given.contains('_') => {
                Scope::of(session, given).await
            }
            Err(e) => Err(e),
        }
    }

    async fn of_query(session: &Session, sql: &str) -> Result<Scope, QueryError> {
        // Whatever the session allows: a scope is only read.
        guard::check_sql(sql)?;
        let rows = ask(session, sql, &[]).await?;
        let columns = rows.batch().schema();
        if columns.index_of("run_id").is_err() {
            let names: Vec<_> = columns.fields().iter().map(|field| format!("'{}'", field.name())).collect();
            return Err(FunctionError::ScopeColumns { columns: names.join(", ") }.into());
        }
        let ids = rows.texts("run_id")?;
        Scope::of_ids(sql, (0..rows.len()).filter_map(|i| text(&ids, i)))
    }

    /// Just these runs.
    pub fn of_ids<'a>(given: &str, runs: impl IntoIterator<Item = &'a str>) -> Result<Scope, QueryError> {
        let runs: std::collections::BTreeSet<&str> = runs.into_iter().collect();
        let batch = Columns::new().text("run_id", runs.into_iter().map(Some)).finish()?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        Ok(Scope {
            text: given.to_string(),
            condition: format!(r#"run_id IN (SELECT run_id FROM "{TABLE}")"#),
            tables: vec![(TABLE.to_string(), Arc::new(table))],
        })
    }

    /// The condition in SQL. Statements that hold it are asked by [`super::Call::ask_in`].
    pub fn condition(&self) -> &str {
        &self.condition
    }

    /// Tables that the condition reads.
    pub fn tables(&self) -> &[(String, Arc<dyn TableProvider>)] {
        &self.tables
    }
}

/// Whether a scope is a query: it begins as one does. An experiment called 'select' is reached by the pattern 'selec_'.
fn is_query(text: &str) -> bool {
    let tokens = Tokenizer::new(guard::DIALECT, text).tokenize().unwrap_or_default();
    let mut tokens = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::LParen));
    matches!(tokens.next(), Some(Token::Word(word)) if matches!(word.keyword, Keyword::SELECT | Keyword::WITH))
        && tokens.next().is_some()
}

/// A text as a constant of SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
