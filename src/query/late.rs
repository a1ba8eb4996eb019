//! Reading most columns late: the best ten of a million runs are chosen by a few columns, and the others are read of ten.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr,
    PhysicalSortExpr,
};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream, collect,
};
use futures::stream;

use crate::store::delta::{RowPlaces, located, only};

/// Of more rows than these the pages that hold them would be nearly all pages.
const MOST_ROWS: usize = 100;

/// Reads the columns that do not decide which rows come first once it is known which do. It comes before all rules that push
/// something down, since it divides a plan in two.
#[derive(Debug)]
pub struct ReadLate;

impl PhysicalOptimizerRule for ReadLate {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let done = plan.transform_up(|plan| {
            let late = match plan.downcast_ref::<SortExec>() {
                Some(sort) if sort.fetch().is_some_and(|rows| rows <= MOST_ROWS) => late(sort, config)?,
                _ => None,
            };
            Ok(match late {
                Some(late) => Transformed::yes(Arc::new(late) as _),
                None => Transformed::no(plan),
            })
        })?;
        Ok(done.data)
    }

    fn name(&self) -> &str {
        "read_late"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn late(sort: &SortExec, config: &ConfigOptions) -> Result<Option<Late>> {
    let input = sort.input();
    let schema = input.schema();
    let deciding = columns_of(sort.expr().iter().map(|by| &by.expr));
    let late: Vec<usize> = (0..schema.fields().len()).filter(|i| deciding.binary_search(i).is_err()).collect();
    if late.is_empty() {
        return Ok(None);
    }
    let mut placing = Placing::new(true);
    let Some(first) = placing.place(input, &deciding)?.filter(|_| placing.is_worthwhile) else { return Ok(None) };
    // The parts of the plan come in the same order again, so they get the same numbers.
    let mut placing = Placing::new(false);
    let Some(rest) = placing.place(input, &late)? else { return Ok(None) };
    let rest = ProjectionPushdown::new().optimize(rest, config)?;
    let by = sort.expr().iter().map(|by| Ok(PhysicalSortExpr::new(moved(&by.expr, &deciding)?, by.options)));
    let by = LexOrdering::new(by.collect::<Result<Vec<_>>>()?).expect("it has as many as before");
    let sorted = SortExec::new(by.clone(), first).with_fetch(sort.fetch());
    let known = EquivalenceProperties::new_with_orderings(schema, [sort.expr().clone()]);
    let one = Partitioning::UnknownPartitioning(1);
    let properties = Arc::new(PlanProperties::new(known, one, EmissionType::Final, Boundedness::Bounded));
    let columns = Columns { deciding, late };
    Ok(Some(Late { sorted: Arc::new(sorted), rest, columns, by, properties }))
}

/// The columns of these expressions, in order.
pub(super) fn columns_of<'a>(exprs: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>) -> Vec<usize> {
    let columns: BTreeSet<_> = exprs.into_iter().flat_map(collect_columns).map(|column| column.index()).collect();
    columns.into_iter().collect()
}

/// The expression where its input has just these of its columns.
pub(super) fn moved(expr: &Arc<dyn PhysicalExpr>, columns: &[usize]) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = Arc::clone(expr).transform_up(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let Ok(at) = columns.binary_search(&column.index()) else { return internal_err!("{column} is not read") };
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), at)) as _))
    })?;
    Ok(moved.data)
}

/// Makes plans with some of their columns, in their order, and behind them the two that say where each row lies.
struct Placing {
    /// Parts that were numbered.
    parts: u64,
    /// Whether a large table is among them.
    is_worthwhile: bool,
    /// Whether conditions are asked. Rows that are read by their places have met them.
    conditions: bool,
}

impl Placing {
    fn new(conditions: bool) -> Self {
        Placing { parts: 0, is_worthwhile: false, conditions }
    }

    /// `None` for a plan that is not made of what passes places on.
    fn place(&mut self, plan: &Arc<dyn ExecutionPlan>, needed: &[usize]) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        // What depends on chance would be something else the second time.
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            if projection.expr().iter().any(|shown| is_volatile(&shown.expr)) {
                return Ok(None);
            }
            let kept: Vec<_> = needed.iter().map(|i| &projection.expr()[*i]).collect();
            let below = columns_of(kept.iter().map(|shown| &shown.expr));
            let Some(input) = self.place(projection.input(), &below)? else { return Ok(None) };
            let kept = kept.into_iter().map(|shown| Ok((moved(&shown.expr, &below)?, shown.alias.clone())));
            return Ok(Some(with_places(kept.collect::<Result<_>>()?, input)?));
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            if is_volatile(filter.predicate()) || filter.fetch().is_some() {
                return Ok(None);
            }
            let kept: Vec<usize> = match filter.projection() {
                Some(shown) => needed.iter().map(|i| shown[*i]).collect(),
                None => needed.to_vec(),
            };
            let mut below = if self.conditions { columns_of([filter.predicate()]) } else { Vec::new() };
            below.extend(&kept);
            below.sort_unstable();
            below.dedup();
            let Some(input) = self.place(filter.input(), &below)? else { return Ok(None) };
            let kept = kept.iter().map(|column| below.partition_point(|below| below < column)).collect::<Vec<_>>();
            if !self.conditions {
                return Ok(Some(with_places(columns(&input.schema(), &kept), input)?));
            }
            let shown = kept.into_iter().chain([below.len(), below.len() + 1]).collect();
            let filter = FilterExecBuilder::new(moved(filter.predicate(), &below)?, input);
            return Ok(Some(Arc::new(filter.apply_projection(Some(shown))?.build()?)));
        }
        if let Some(union) = plan.downcast_ref::<UnionExec>() {
            let placed =
                union.inputs().iter().map(|input| self.place(input, needed)).collect::<Result<Option<Vec<_>>>>()?;
            return placed.map(UnionExec::try_new).transpose();
        }
        let Some(scan) = located(plan, &mut self.parts)? else { return Ok(None) };
        self.is_worthwhile |= scan.is_large;
        Ok(Some(with_places(columns(&plan.schema(), needed), scan.plan)?))
    }
}

type Shown = Vec<(Arc<dyn PhysicalExpr>, String)>;

/// A projection of a plan that has places, which passes them on.
fn with_places(mut shown: Shown, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let width = schema.fields().len();
    shown.extend(columns(&schema, &[width - 2, width - 1]));
    let shown = shown.into_iter().map(|(expr, alias)| ProjectionExpr { expr, alias });
    Ok(Arc::new(ProjectionExec::try_new(shown.collect::<Vec<_>>(), input)?))
}

fn columns(schema: &SchemaRef, which: &[usize]) -> Shown {
    let column = |&i: &usize| -> (Arc<dyn PhysicalExpr>, String) {
        let name = schema.field(i).name();
        (Arc::new(Column::new(name, i)), name.clone())
    };
    which.iter().map(column).collect()
}

/// The rows of its input, with columns that are read at the places of these rows.
#[derive(Debug)]
struct Late {
    sorted: Arc<dyn ExecutionPlan>,
    /// Reads the late columns of any rows. No rule has anything to find in it, so it is not among the inputs, where every rule
    /// would look at it (100,000 runs: 0.4 ms).
    rest: Arc<dyn ExecutionPlan>,
    columns: Columns,
    /// The order of the input, in its own columns.
    by: LexOrdering,
    properties: Arc<PlanProperties>,
}

/// Which columns come from where.
#[derive(Debug, Clone)]
struct Columns {
    deciding: Vec<usize>,
    late: Vec<usize>,
}

impl DisplayAs for Late {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let names: Vec<_> = self.columns.late.iter().map(|i| schema.field(*i).name().as_str()).collect();
        write!(f, "ReadLate: columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for Late {
    fn name(&self) -> &'static str {
        "ReadLate"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.sorted]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.by.clone()))]
    }

    /// Its order is that of the input, which has other columns in other places: what is asked of ours says nothing there.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (columns, by, properties) = (self.columns.clone(), self.by.clone(), Arc::clone(&self.properties));
        Ok(Arc::new(Late { sorted: children.remove(0), rest: Arc::clone(&self.rest), columns, by, properties }))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (sorted, rest) = (Arc::clone(&self.sorted), Arc::clone(&self.rest));
        let (schema, columns) = (self.schema(), self.columns.clone());
        let rows = async move {
            let first = collect(Arc::clone(&sorted), Arc::clone(&context)).await?;
            let first = concat_batches(&sorted.schema(), &first)?;
            let places = places(&first);
            let mut rows = RowPlaces::new();
            for (part, row) in &places {
                rows.entry(*part).or_default().insert(*row);
            }
            let threads = context.session_config().target_partitions();
            let rest = rest.transform_up(|plan| {
                Ok(match only(&plan, &rows, threads)? {
                    Some(few) => Transformed::yes(few),
                    None => Transformed::no(plan),
                })
            })?;
            let rest = concat_batches(&rest.data.schema(), &collect(rest.data, context).await?)?;
            columns.together(&schema, &first, &places, &rest)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(rows))))
    }
}

/// Where each row lies: the last two columns say it.
fn places(rows: &RecordBatch) -> Vec<(u64, i64)> {
    let [.., parts, numbers] = rows.columns() else { return Vec::new() };
    let (parts, numbers) = (parts.as_primitive::<UInt64Type>(), numbers.as_primitive::<Int64Type>());
    parts.values().iter().copied().zip(numbers.values().iter().copied()).collect()
}

impl Columns {
    /// The rows of the input, which lie at these places, with their late columns.
    fn together(
        &self,
        schema: &SchemaRef,
        first: &RecordBatch,
        places: &[(u64, i64)],
        rest: &RecordBatch,
    ) -> Result<RecordBatch> {
        let found: HashMap<_, _> = self::places(rest).into_iter().zip(0u32..).collect();
        let mut at = Vec::new();
        for place in places {
            let Some(row) = found.get(place) else { return internal_err!("the row at {place:?} was there and is not") };
            at.push(*row);
        }
        let rest = take_record_batch(rest, &UInt32Array::from(at))?;
        let mut columns: Vec<ArrayRef> = vec![new_null_array(&DataType::Null, 0); schema.fields().len()];
        for (which, rows) in [(&self.deciding, first), (&self.late, &rest)] {
            for (i, column) in which.iter().zip(rows.columns()) {
                columns[*i] = Arc::clone(column);
            }
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use crate::model::{Micros, ParamValue, Status};
    use crate::store::{RunOptions, Store};

    async fn ask(store: &Store, sql: &str) -> Vec<String> {
        let session = store.session().await.unwrap();
        let rows = session.sql(sql).await.unwrap().collect().await.unwrap();
        let table = pretty_format_batches(&rows).unwrap().to_string();
        table.lines().skip(3).filter(|line| !line.starts_with('+')).map(str::to_string).collect()
    }

    async fn plan(store: &Store, sql: &str) -> String {
        ask(store, &format!("EXPLAIN {sql}")).await.concat()
    }

    fn log(store: &Store, numbers: std::ops::Range<i64>) {
        for n in numbers {
            let options = RunOptions::new(["churn", "wine"][n as usize % 2]);
            let options = options.name(format!("run {n}")).start_time(Micros(1_790_000_000_000_000 + n));
            let run = store.start_run(options).unwrap();
            let lr: ParamValue = if n % 7 == 0 { "auto".into() } else { (n as f64 / 100.0).into() };
            run.log_param("lr", lr).unwrap();
            run.log_param("n", n).unwrap();
            run.log_param(format!("only.{}", n % 3), n).unwrap();
            if n % 5 != 0 {
                run.log_metric_at("auc", ((n * 37) % 101) as f64, 0).unwrap();
            }
            run.set_tag("stage", ["new", "old"][n as usize % 2]).unwrap();
            run.end(Status::Finished, None, None).unwrap();
        }
    }

    /// Several files, runs that were edited since, deleted ones and live ones.
    async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("s")).unwrap();
        for part in 0..4 {
            log(&store, part * 50..part * 50 + 50);
            store.seal().await.unwrap();
        }
        let ids = ask(&store, "SELECT run_id FROM runs ORDER BY metrics.auc DESC, name LIMIT 3").await;
        let id = |i: usize| crate::model::RunId::parse(ids[i].trim_matches(['|', ' '])).unwrap();
        store.delete_run(&id(0)).unwrap();
        store.attach(id(1)).unwrap().set_tag("stage", "edited").unwrap();
        log(&store, 200..215);
        store.flush().unwrap();
        (dir, store)
    }

    const COLUMNS: &str =
        "name, params.lr, params_text.lr, params.n * 2 AS twice, params['only.0'], tags.stage, metrics.auc";

    #[tokio::test]
    async fn the_first_rows_are_those_of_the_whole_answer() {
        let (_dir, store) = store().await;
        let questions = [
            format!("SELECT {COLUMNS} FROM runs ORDER BY metrics.auc DESC, name"),
            format!("SELECT {COLUMNS} FROM runs WHERE params.lr < 1.2 ORDER BY metrics.auc DESC, name"),
            format!("SELECT {COLUMNS} FROM runs WHERE params.lr < 1.2 AND tags.stage = 'old' ORDER BY params.n"),
            "SELECT * FROM runs WHERE experiment = 'wine' ORDER BY metrics.auc DESC, name".to_string(),
            "SELECT upper(name) AS name, params.n FROM runs WHERE name LIKE '%1%' ORDER BY -metrics.auc, 2".to_string(),
            "SELECT name, metrics.auc FROM runs WHERE metrics.auc IS NULL ORDER BY name DESC".to_string(),
            "SELECT r.name, r.n FROM (SELECT name, params.n AS n, metrics.auc AS auc FROM runs WHERE params.n > 3) AS r
             WHERE r.n % 2 = 0 ORDER BY r.auc DESC, r.n"
                .to_string(),
            "SELECT name, metrics.auc, tags.stage FROM runs WHERE params.n < 90
             UNION ALL SELECT name || '!', metrics.auc, status FROM runs WHERE params.n > 60
             UNION ALL SELECT 'one', 1.0, 'two' ORDER BY 2 DESC, 1"
                .to_string(),
            "SELECT name, (SELECT max(value) FROM metrics) + params.n AS m FROM runs WHERE name > 'run 1' ORDER BY metrics.auc, name"
                .to_string(),
            // The engine's check of its plans is wrong about these.
            format!("SELECT {COLUMNS} FROM runs WHERE params.n > 2 ORDER BY -length(name), name"),
            "SELECT name, params FROM runs ORDER BY -params.n, name".to_string(),
            "SELECT name, rank() OVER (ORDER BY -abs(params.n), name) AS r FROM runs ORDER BY r DESC".to_string(),
            format!("SELECT {COLUMNS} FROM runs WHERE random() >= 0 ORDER BY metrics.auc DESC, name"),
            "SELECT name, count(*) OVER () AS n_all FROM runs ORDER BY metrics.auc, name".to_string(),
        ];
        for _ in 0..2 {
            for sql in &questions {
                let all = ask(&store, sql).await;
                assert!(all.len() > 10, "{sql}: {all:?}");
                for (offset, rows) in [(0, 1), (0, 7), (5, 3), (0, 100)] {
                    let some = ask(&store, &format!("{sql} LIMIT {rows} OFFSET {offset}")).await;
                    let expected: Vec<_> = all.iter().skip(offset).take(rows).cloned().collect();
                    // Columns are as wide as the rows that are shown.
                    let squeezed = |rows: &[String]| rows.iter().map(|row| row.replace(' ', "")).collect::<Vec<_>>();
                    assert_eq!(squeezed(&some), squeezed(&expected), "{sql} LIMIT {rows} OFFSET {offset}");
                }
            }
            store.seal().await.unwrap();
        }
    }

    /// With a condition by chance nothing comes late.
    #[tokio::test]
    async fn what_stands_above_sees_the_same_rows_in_the_same_order() {
        let (_dir, store) = store().await;
        store.seal().await.unwrap();
        for sql in [
            "WITH best AS (SELECT run_id, experiment, metrics.auc FROM runs {} ORDER BY metrics.auc DESC, run_id LIMIT 6)
             SELECT * FROM best ORDER BY experiment DESC, run_id",
            "SELECT * FROM (SELECT run_id, name, metrics.auc AS b, params.n AS c FROM runs {} ORDER BY c, run_id LIMIT 4)
             ORDER BY name DESC, run_id",
            "WITH t AS (SELECT name, tags.stage AS s, metrics.auc AS a FROM runs {} ORDER BY name, a DESC LIMIT 9)
             SELECT * FROM t ORDER BY name, s",
            "SELECT * FROM (SELECT run_id, name, params.n, start_time FROM runs {} ORDER BY start_time DESC, run_id LIMIT 4)
             ORDER BY start_time, run_id",
            "WITH best AS (SELECT run_id, tags.stage AS s, metrics.auc FROM runs {} ORDER BY metrics.auc DESC, run_id LIMIT 6)
             SELECT run_id, s, rank() OVER (ORDER BY s DESC, run_id) AS r FROM best ORDER BY run_id",
            "(SELECT run_id, name, metrics.auc FROM runs {} ORDER BY metrics.auc, run_id LIMIT 3) UNION ALL
             (SELECT run_id, name, params.n FROM runs {} ORDER BY params.n, run_id LIMIT 3) ORDER BY name, run_id, 3",
        ] {
            let (late, whole) = (sql.replace("{}", ""), sql.replace("{}", "WHERE random() >= 0"));
            assert!(plan(&store, &late).await.contains("ReadLate"), "{late}");
            assert!(!plan(&store, &whole).await.contains("ReadLate"), "{whole}");
            assert_eq!(ask(&store, &late).await, ask(&store, &whole).await, "{late}");
        }
        let chance = "SELECT r = r + 0 FROM (SELECT random() AS r, name FROM runs) ORDER BY r LIMIT 50";
        assert!(ask(&store, chance).await.iter().all(|row| row.contains("true")));
    }

    #[tokio::test]
    async fn columns_come_late_where_they_do_not_decide() {
        let (_dir, store) = store().await;
        let best = "SELECT name, params.lr, metrics.auc FROM runs WHERE params.n > 3 ORDER BY metrics.auc DESC LIMIT";
        for _ in ["with live runs", "all sealed"] {
            let shown = plan(&store, &format!("{best} 10")).await;
            assert!(shown.contains("ReadLate: columns=[name, params.lr]"), "{shown}");
            let placed = "experiment = 'wine' AND params.n > 3 AND tags.stage = 'old'";
            let shown = plan(&store, &format!("{best} 10").replace("params.n > 3", placed)).await;
            assert!(shown.contains("pruning_predicate="), "{shown}");
            store.seal().await.unwrap();
        }
        for other in [
            format!("{best} 1000"),
            "SELECT metrics.auc FROM runs ORDER BY metrics.auc DESC LIMIT 10".to_string(),
            "SELECT name FROM runs WHERE random() < 0.5 ORDER BY metrics.auc DESC LIMIT 10".to_string(),
            "SELECT experiment, max(metrics.auc) FROM runs GROUP BY 1 ORDER BY 1 LIMIT 10".to_string(),
            "SELECT run_id, value FROM metrics ORDER BY value DESC LIMIT 10".to_string(),
            "SELECT a, b FROM (VALUES (1, 2), (3, 4)) AS t (a, b) ORDER BY a LIMIT 1".to_string(),
        ] {
            let shown = plan(&store, &other).await;
            assert!(!shown.contains("ReadLate"), "{other}: {shown}");
        }
    }
}
