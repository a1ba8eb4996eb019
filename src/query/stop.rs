//! Ending a statement that holds its thread.
//!
//! A statement that is dropped ends when its thread gets back to the executor. A join without a key does not get there
//! for minutes while no pair of rows fits; so what such a join asks of each batch of pairs also asks whether it should
//! end.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{NestedLoopJoinExec, NestedLoopJoinExecBuilder};

/// Whether statements should end.
pub type Stop = Arc<AtomicBool>;

/// Puts the question into joins without a key.
#[derive(Debug)]
pub struct StopJoins(pub Stop);

impl PhysicalOptimizerRule for StopJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let done = plan.transform_up(|plan| {
            let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(plan)) };
            let Some(filter) = join.filter() else { return Ok(Transformed::no(plan)) };
            let asking = Arc::new(Asking { stop: Arc::clone(&self.0), inner: Arc::clone(filter.expression()) });
            let indices = filter.column_indices().to_vec();
            let filter = JoinFilter::new(asking, indices, Arc::clone(filter.schema()));
            let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?;
            Ok(Transformed::yes(Arc::new(join) as _))
        })?;
        Ok(done.data)
    }

    fn name(&self) -> &str {
        "stop_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// An expression that fails once it should end.
#[derive(Debug)]
struct Asking {
    stop: Stop,
    inner: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.inner.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("the statement was stopped".to_string()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Asking { stop: Arc::clone(&self.stop), inner: children.remove(0) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
