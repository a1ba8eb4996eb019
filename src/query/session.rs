//! A session: one consistent state of a store, and SQL over it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, col, lit};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::check::CheckPlan;
use super::describe::{self, ColumnInfo, TableSummary};
use super::error::QueryError;
use super::experiment::PruneByExperiment;
use super::in_order::ReadInOrder;
use super::in_turn::AskInTurn;
use super::keys::NamedKeys;
use super::late::ReadLate;
use super::stop::{Stop, StopJoins};
use super::structs::LeafOfWhole;
use super::{columns, experiments, functions, guard, joins, names, rewrite, runs, scan, udf};
use crate::error::Result;
use crate::model::{ExperimentState, Micros, RepeatKeys, RunId};
use crate::schema::{MetricDefRow, Row, Table};
use crate::store::cut::Cut;
use crate::store::delta::register_files;
use crate::store::merge::Overlay;
use crate::store::ops::goal_row;
use crate::store::snapshot::Snapshot;
use crate::store::{AsOf, Store, StoreError};

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Reads this sealed state instead of the newest with what is live.
    pub as_of: Option<AsOf>,
    /// Memory that queries may use, in bytes; beyond it they spill or fail. By default half of what the machine has;
    /// `None`: all they want.
    pub memory_bytes: Option<usize>,
    /// Whether statements that change something are refused. They never change the store: tables and views that they
    /// make live as long as the session.
    pub read_only: bool,
    /// Threads of a query. `None`: one per core, save that a state of the past is asked on one, so that sums and means of
    /// doubles are made in one order and an answer is the same to the last digit whenever it is asked for.
    pub threads: Option<usize>,
    /// Whether deleted runs and experiments show like all others, until they are reclaimed.
    pub deleted: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            as_of: None,
            memory_bytes: Some(half_of_memory()),
            read_only: true,
            threads: None,
            deleted: false,
        }
    }
}

fn half_of_memory() -> usize {
    let info = rustix::system::sysinfo();
    usize::try_from(info.totalram as u64 * u64::from(info.mem_unit) / 2).unwrap_or(usize::MAX)
}

/// A planned query.
#[derive(Debug)]
pub struct Query {
    /// The rows to come.
    pub frame: DataFrame,
    /// What its reader should know, such as values that do not fit the type of their key.
    pub notes: Vec<String>,
}

/// SQL over one consistent state of a store: a cut, and what was live when the session was made.
pub struct Session {
    snapshot: Arc<Snapshot>,
    engine: SessionContext,
    stop: Stop,
    memory_bytes: Option<usize>,
    read_only: bool,
    // Tables and views that statements of this session made.
    made: Mutex<BTreeMap<String, Arc<dyn TableProvider>>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("cut", &self.snapshot.cut().n).finish_non_exhaustive()
    }
}

impl Store {
    /// A session over the newest state, sealed and live.
    ///
    /// Costs the reading of what is live; tables open when a statement names them.
    pub async fn session(&self) -> Result<Session> {
        self.session_with(SessionOptions::default()).await
    }

    /// A session that behaves as told.
    ///
    /// # Errors
    /// [`StoreError::BeforeHistory`] when the store remembers nothing as old as `as_of`, [`StoreError::NoState`] when it has
    /// no state of that number.
    pub async fn session_with(&self, options: SessionOptions) -> Result<Session> {
        let snapshot = match options.as_of {
            Some(as_of) => self.snapshot_at(as_of)?,
            None => self.snapshot()?,
        };
        let snapshot = if options.deleted { snapshot.with_deleted() } else { snapshot };
        Session::new(snapshot, options)
    }
}

const CATALOG: &str = "runlake";
const SCHEMA: &str = "public";
const FRAMES: &str = "frames";

impl Session {
    fn new(snapshot: Snapshot, options: SessionOptions) -> Result<Session> {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, SCHEMA);
        let threads = options.threads.or(options.as_of.map(|_| 1));
        if let Some(threads) = threads {
            config = config.with_target_partitions(threads);
        }
        let settings = config.options_mut();
        // The best ten of `ORDER BY ... DESC LIMIT 10` are not ten runs without a score.
        settings.sql_parser.default_null_ordering = "nulls_last".to_string();
        settings.execution.parquet.reorder_filters = true;
        // Inputs that are read at the same time come in another order each time.
        settings.optimizer.prefer_existing_union = threads == Some(1);
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = options.memory_bytes {
            runtime = runtime.with_memory_limit(bytes, 1.0);
        }
        let runtime = runtime.build_arc().map_err(QueryError::from)?;
        // Before common subexpressions are taken out of the conditions, where the lookup would hide from the scan.
        let mut rules = Optimizer::new().rules;
        let after = rules.iter().position(|rule| rule.name() == "push_down_filter").map_or(0, |i| i + 1);
        rules.insert(after, Arc::new(PruneByExperiment));
        rules.insert(after, Arc::new(LeafOfWhole));
        let stop = Stop::default();
        let mut physical_rules = PhysicalOptimizer::new().rules;
        for rule in &mut physical_rules {
            if rule.name() == "SanityCheckPlan" {
                *rule = Arc::new(CheckPlan);
            }
        }
        physical_rules.push(Arc::new(AskInTurn));
        physical_rules.push(Arc::new(StopJoins(Arc::clone(&stop))));
        physical_rules.insert(0, Arc::new(ReadLate));
        if threads == Some(1) {
            physical_rules.insert(0, Arc::new(ReadInOrder));
        }
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(rules)
            .with_physical_optimizer_rules(physical_rules)
            .build();
        let engine = SessionContext::new_with_state(state);
        register_files(&engine, Arc::clone(&snapshot.tables().objects));
        udf::register(&engine);
        let SessionOptions { memory_bytes, read_only, .. } = options;
        Ok(Session { snapshot: Arc::new(snapshot), engine, stop, memory_bytes, read_only, made: Mutex::default() })
    }

    /// Plans a statement; nothing runs before its rows are asked for.
    ///
    /// # Errors
    /// [`QueryError`]: no SQL, an unknown key or table, a statement that changes something, one that is too deep.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        Ok(self.query(sql).await?.frame)
    }

    /// Plans a statement, with notes for the reader of its rows.
    pub async fn query(&self, sql: &str) -> Result<Query> {
        self.query_with(sql, &[]).await
    }

    /// Plans a statement with values for its `$name`s.
    pub async fn query_with(&self, sql: &str, params: &[(String, ScalarValue)]) -> Result<Query> {
        let mut query = self.plan(sql, params, &[]).await?;
        if !params.is_empty() {
            let bound = query.frame.with_param_values(ParamValues::from(params.to_vec()));
            query.frame = bound.map_err(QueryError::from)?;
        }
        Ok(query)
    }

    /// Plans a statement that may read tables of ours beside those of the store. The values are for the arguments of
    /// functions; elsewhere the `$name`s stay.
    pub(super) async fn plan(
        &self,
        sql: &str,
        params: &[(String, ScalarValue)],
        tables: &[(String, Arc<dyn TableProvider>)],
    ) -> Result<Query, QueryError> {
        match self.plan_columns(sql, params, tables, true).await? {
            Ok(query) => Ok(query),
            // The error is to tell which columns there are, and it may be for want of one that has no name.
            Err(_) => self.plan_columns(sql, params, tables, false).await?,
        }
    }

    /// Plans a statement with the columns of `runs` that it names, or with all. The inner error is one that columns may have
    /// to do with.
    async fn plan_columns(
        &self,
        sql: &str,
        params: &[(String, ScalarValue)],
        tables: &[(String, Arc<dyn TableProvider>)],
        only_named: bool,
    ) -> Result<Result<Query, QueryError>, QueryError> {
        let mut statement = guard::parse(sql)?;
        if self.read_only {
            guard::check_reads_only(&statement)?;
        }
        if let Some(table) = described(&statement) {
            let columns = describe::columns(&self.snapshot, self.overlay().await?, &table).await?;
            return self.show(describe::batch(&columns)).map(Ok);
        }
        if matches!(&statement, Statement::Statement(sql) if matches!(sql.as_ref(), Sql::ShowTables { .. })) {
            return self.show(describe::tables_batch(self.tables())).map(Ok);
        }
        let mut tables = tables.to_vec();
        for call in functions::take(&mut statement, params)? {
            tables.push((call.table.clone(), self.rows_of(call).await?));
        }
        names::as_written(&mut statement);
        joins::spread_using(&mut statement);
        let snapshot = &self.snapshot;
        let mut named = NamedKeys::default();
        let mut notes = Vec::new();
        let overlay = if rewrite::reads_runs(&statement) {
            let keys = snapshot.keys().await?;
            named = rewrite::rewrite(&mut statement, keys)?;
            if only_named {
                named.columns = columns::named(&statement, sql);
            }
            notes = runs::notes(&named, keys);
            snapshot.overlay().await?
        } else {
            snapshot.overlay_of_long_tables().await?
        };
        names::tell_apart(&mut statement);
        let context = self.context(&statement, overlay, &named, &tables).await?;
        let plan = match context.state().statement_to_plan(statement).await.map_err(|e| self.explain(e)) {
            Ok(plan) => plan,
            Err(e) if named.columns.is_some() => return Ok(Err(e)),
            Err(e) => return Err(e),
        };
        let frame = context.execute_logical_plan(plan).await.map_err(QueryError::from)?;
        self.keep_made(&context);
        Ok(Ok(Query { frame, notes }))
    }

    /// Ends all statements of this session, those too that keep their threads busy. They fail; a statement that is merely
    /// dropped goes on until its thread next comes to a pause, which a join without a key may not do for minutes.
    pub fn stop(&self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// What statements may use, in bytes: see [`SessionOptions::memory_bytes`].
    pub fn memory_bytes(&self) -> Option<usize> {
        self.memory_bytes
    }

    async fn overlay(&self) -> Result<&Overlay, StoreError> {
        self.snapshot.overlay().await
    }

    /// The rows of a call, as a table.
    async fn rows_of(&self, call: functions::Found) -> Result<Arc<dyn TableProvider>, QueryError> {
        let args = functions::Args::new(call.function, call.args, call.named);
        let rows = call.function.answer(functions::Call::new(self, args)).await?;
        Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
    }

    /// A context with just the tables that a statement names.
    async fn context(
        &self,
        statement: &Statement,
        overlay: &Overlay,
        named: &NamedKeys,
        tables: &[(String, Arc<dyn TableProvider>)],
    ) -> Result<SessionContext, QueryError> {
        let mut state = self.engine.state();
        let references = state.resolve_table_references(statement).map_err(QueryError::from)?;
        let wants_all = references.iter().any(|r| r.schema() == Some("information_schema"))
            || matches!(statement, Statement::Statement(sql) if matches!(sql.as_ref(), Sql::ShowColumns { .. }));
        let public = MemorySchemaProvider::new();
        let frames = MemorySchemaProvider::new();
        for (name, table) in
            tables.iter().map(|(n, t)| (n, t)).chain(&*self.made.lock().unwrap_or_else(|e| e.into_inner()))
        {
            public.register_table(name.clone(), Arc::clone(table)).map_err(QueryError::from)?;
        }
        let mut wanted: Vec<Table> = Vec::new();
        if wants_all {
            wanted.extend(Table::FIXED);
            wanted.extend(self.snapshot.frames().into_iter().map(Table::Frame));
        }
        for reference in &references {
            match (reference.schema(), reference.table()) {
                (Some(FRAMES), name) => {
                    // Unquoted names arrive in lower case.
                    let all = self.snapshot.frames();
                    let found = all.get(name).or_else(|| all.iter().find(|f| f.to_lowercase() == name));
                    wanted.extend(found.cloned().map(Table::Frame));
                }
                (None | Some(SCHEMA), name) => wanted.extend(Table::FIXED.into_iter().find(|t| t.name() == name)),
                _ => {}
            }
        }
        wanted.sort();
        wanted.dedup();
        for table in wanted {
            let provider = self.provider(&table, overlay, named).await?;
            match &table {
                Table::Frame(name) => {
                    let name = references
                        .iter()
                        .find(|r| r.schema() == Some(FRAMES) && r.table() == name.to_lowercase())
                        .map_or_else(|| name.clone(), |r| r.table().to_string());
                    frames.register_table(name, provider).map_err(QueryError::from)?;
                }
                fixed if !public.table_exist(fixed.name()) => {
                    public.register_table(fixed.name().to_string(), provider).map_err(QueryError::from)?;
                }
                _ => {}
            }
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(public)).map_err(QueryError::from)?;
        catalog.register_schema(FRAMES, Arc::new(frames)).map_err(QueryError::from)?;
        let catalogs = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(&catalogs, CATALOG.to_string(), Arc::new(catalog));
        state.register_catalog_list(Arc::new(catalogs));
        if named.as_structs {
            // Moving accesses of leaves about loses columns in some joins (DataFusion 55: `ON a.s['x'] = b.s['x'] + 1`).
            state.config_mut().options_mut().optimizer.enable_leaf_expression_pushdown = false;
        }
        Ok(SessionContext::new_with_state(state))
    }

    async fn provider(
        &self,
        table: &Table,
        overlay: &Overlay,
        named: &NamedKeys,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let plan = match table {
            Table::Runs => runs::plan(&self.snapshot, overlay, named).await?,
            Table::Experiments => {
                let mut named = NamedKeys::default();
                named.columns = Some(experiments::columns_of_runs());
                experiments::plan(overlay, runs::plan(&self.snapshot, overlay, &named).await?)?
            }
            Table::MetricDefs => {
                let rows = overlay.goals.iter().filter(|g| !overlay.hidden_experiments.contains(&g.experiment_id));
                let rows = MetricDefRow::to_batch(rows.map(goal_row));
                let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(QueryError::from)?;
                return Ok(Arc::new(table));
            }
            other => scan::plan(&self.snapshot, overlay, other).await?,
        };
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// An error of planning, in our words where the engine's are about its own parts.
    fn explain(&self, e: datafusion::error::DataFusionError) -> QueryError {
        let text = e.find_root().to_string();
        if let Some(at) = text.find("' not found")
            && let Some(start) = text.find("table '")
        {
            let table = text[start + 7..at].trim_start_matches("runlake.").trim_start_matches("public.").to_string();
            return QueryError::UnknownTable { table, tables: self.tables().into_iter().map(|t| t.name).collect() };
        }
        QueryError::from(e)
    }

    /// Keeps the tables and views that a statement made, for later statements of this session.
    fn keep_made(&self, context: &SessionContext) {
        if self.read_only {
            return;
        }
        let schema = context.catalog(CATALOG).and_then(|catalog| catalog.schema(SCHEMA));
        let Some(schema) = schema else { return };
        let mut made = self.made.lock().unwrap_or_else(|e| e.into_inner());
        made.retain(|name, _| schema.table_exist(name));
        for name in schema.table_names() {
            if Table::FIXED.iter().all(|t| t.name() != name)
                && let Some(Ok(Some(table))) = futures::FutureExt::now_or_never(schema.table(&name))
            {
                made.insert(name, table);
            }
        }
    }

    fn show(&self, batch: RecordBatch) -> Result<Query, QueryError> {
        let frame = self.engine.read_batch(batch).map_err(QueryError::from)?;
        Ok(Query { frame, notes: Vec::new() })
    }

    /// The run whose id is or begins with this text; deleted runs too.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`], [`StoreError::AmbiguousRun`].
    pub async fn resolve_run(&self, prefix: &str) -> Result<RunId> {
        self.find_run(prefix).await.map_err(|e| match e {
            QueryError::Store(e) => e.into(),
            other => other.into(),
        })
    }

    pub(super) async fn find_run(&self, prefix: &str) -> Result<RunId, QueryError> {
        if let Ok(id) = RunId::parse(prefix)
            && (self.snapshot.live().states.contains_key(&id)
                || self.snapshot.cut().hidden_runs.iter().any(|run| run == prefix))
        {
            return Ok(id);
        }
        let frame = self.plan("SELECT run_id FROM runs", &[], &[]).await?.frame;
        let starts = datafusion::functions::string::expr_fn::starts_with(col("run_id"), lit(prefix));
        let frame = frame.filter(starts).and_then(|f| f.sort(vec![col("run_id").sort(true, false)]));
        let batches = frame.map_err(QueryError::from)?.collect().await.map_err(QueryError::from)?;
        let mut found: Vec<String> =
            batches.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten().map(str::to_string)).collect();
        found.extend(self.overlay().await?.hidden_runs.iter().filter(|run| run.starts_with(prefix)).cloned());
        match found.as_slice() {
            [] => Err(StoreError::RunNotFound { run: prefix.to_string() }.into()),
            [only] => Ok(RunId::parse(only).map_err(StoreError::from)?),
            several if several.iter().any(|id| id == prefix) => Ok(RunId::parse(prefix).map_err(StoreError::from)?),
            several => Err(StoreError::AmbiguousRun {
                prefix: prefix.to_string(),
                count: several.len(),
                examples: several[..several.len().min(3)].join(", "),
            }
            .into()),
        }
    }

    /// The params that tell repeats of a config apart.
    ///
    /// # Errors
    /// [`QueryError::Store`] where the experiments cannot be read.
    pub async fn repeat_keys(&self) -> Result<RepeatKeys, QueryError> {
        let experiments = &self.snapshot.overlay_of_long_tables().await?.experiments;
        let named = |e: &ExperimentState| Some((e.id.to_string(), e.repeat_keys()?.to_vec()));
        Ok(RepeatKeys::new(experiments.values().filter_map(named)))
    }

    /// The tables there are, frames included.
    pub fn tables(&self) -> Vec<TableSummary> {
        describe::tables(&self.snapshot)
    }

    /// Columns of a table; for `runs` also its keys, as they are written in SQL.
    ///
    /// # Errors
    /// [`QueryError::UnknownTable`].
    pub async fn columns(&self, table: &str) -> Result<Vec<ColumnInfo>> {
        let overlay = self.overlay().await?;
        Ok(describe::columns(&self.snapshot, overlay, table).await?)
    }

    /// Names of the functions that SQL may call, sorted.
    pub fn functions(&self) -> Vec<String> {
        let state = self.engine.state();
        let mut names: Vec<String> = state.scalar_functions().keys().cloned().collect();
        names.extend(state.aggregate_functions().keys().cloned());
        names.extend(state.window_functions().keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    /// Names of the functions that a `FROM` may call, sorted.
    pub fn table_functions(&self) -> Vec<String> {
        functions::ALL.iter().map(|function| function.name.to_string()).collect()
    }

    /// What is wrong with the store and leaves rows out, such as a damaged segment.
    pub fn warnings(&self) -> Vec<String> {
        let damaged = self.snapshot.damaged();
        damaged.into_iter().map(|d| format!("segment {} {}", d.path, d.damage)).collect()
    }

    /// Number and time of the sealed state that this session reads.
    pub fn state(&self) -> (u64, Micros) {
        let cut: &Cut = self.snapshot.cut();
        (cut.n, cut.time)
    }
}

/// Time that a statement may take; a helper for front ends.
///
/// # Errors
/// [`QueryError::Timeout`].
pub async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T> {
    match limit {
        None => Ok(work.await),
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(QueryError::Timeout { seconds: limit.as_secs_f64() }.into()),
        },
    }
}

/// The table of a `DESCRIBE`, which we answer ourselves: the engine would show one line per struct.
fn described(statement: &Statement) -> Option<String> {
    let Statement::Statement(sql) = statement else { return None };
    let Sql::ExplainTable { table_name, .. } = sql.as_ref() else { return None };
    let parts = table_name.0.iter().filter_map(|part| part.as_ident());
    let parts: Vec<String> = parts
        .map(|ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        })
        .collect();
    Some(parts.join("."))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
