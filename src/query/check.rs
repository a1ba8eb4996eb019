//! The engine's check of its own plans, save for those that it is wrong about.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal, NegativeExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;

/// Refuses plans whose inputs are not in the order that they need.
///
/// Not those that order by the negative of something, as `ORDER BY -abs(x) LIMIT 3` does: DataFusion 55 does not know the range of
/// a function's values, takes the negative of that for an error, and so cannot tell that what was just sorted by `-abs(x)` is.
#[derive(Debug)]
pub struct CheckPlan;

impl PhysicalOptimizerRule for CheckPlan {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.exists(|plan| Ok(orders_by_negative(plan.as_ref())))? {
            return Ok(plan);
        }
        SanityCheckPlan::new().optimize(plan, config)
    }

    fn name(&self) -> &str {
        "check_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn orders_by_negative(plan: &dyn ExecutionPlan) -> bool {
    let needed = plan.required_input_ordering().into_iter().flatten();
    needed.flat_map(|order| order.into_single()).any(|by| is_negative(&by.expr))
}

/// Whether there is the negative of something that is computed.
fn is_negative(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|expr| {
        let negative = expr.downcast_ref::<NegativeExpr>();
        Ok(negative.is_some_and(|negative| !negative.arg().is::<Column>() && !negative.arg().is::<Literal>()))
    })
    .is_ok_and(|found| found)
}
