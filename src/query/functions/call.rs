//! What a function has to answer a call with: its arguments, and SQL over the session that the call stands in.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::args::Args;
use super::rows::Rows;
use super::scope::Scope;
use crate::query::error::QueryError;
use crate::query::session::Session;

/// A call at work.
#[derive(Debug)]
pub struct Call<'a> {
    session: &'a Session,
    /// Its arguments.
    pub args: Args,
}

impl<'a> Call<'a> {
    /// A call in a statement of a session.
    pub fn new(session: &'a Session, args: Args) -> Call<'a> {
        Call { session, args }
    }

    /// The session.
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// The next argument as a scope.
    pub async fn scope(&mut self, name: &'static str) -> Result<Scope, QueryError> {
        let text = self.args.text(name)?;
        Scope::of(self.session, &text).await
    }

    /// The next argument as one run, by its id or the beginning of it, or as a scope.
    pub async fn runs(&mut self, name: &'static str) -> Result<Scope, QueryError> {
        let text = self.args.text(name)?;
        Scope::of_run(self.session, &text).await
    }

    /// The next argument as the id of a run, which may be given by its first characters.
    pub async fn run(&mut self, name: &'static str) -> Result<String, QueryError> {
        let prefix = self.args.text(name)?;
        Ok(self.session.find_run(&prefix).await?.to_string())
    }

    /// All rows of a statement of ours.
    pub async fn ask(&self, sql: &str) -> Result<Rows, QueryError> {
        ask(self.session, sql, &[]).await
    }

    /// All rows of a statement that names the runs of a scope by [`Scope::condition`].
    pub async fn ask_in(&self, scope: &Scope, sql: &str) -> Result<Rows, QueryError> {
        ask(self.session, sql, scope.tables()).await
    }
}

/// All rows of a statement that may read tables of ours beside those of the session.
pub async fn ask(
    session: &Session,
    sql: &str,
    tables: &[(String, Arc<dyn TableProvider>)],
) -> Result<Rows, QueryError> {
    let frame = session.plan(sql, &[], tables).await?.frame;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    Rows::new(&schema, &frame.collect().await?)
}
