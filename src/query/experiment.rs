//! The column `experiment`: looked up by id when it is read, so that a rename touches one row.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, col, lit,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::create_physical_expr;

use crate::store::merge::Overlay;

/// Names of experiments, by id.
type Names = Arc<BTreeMap<String, String>>;

/// Function from experiment id to name, over the experiments of one state.
#[derive(Debug)]
pub struct ExperimentNames {
    names: Names,
    signature: Signature,
}

impl ExperimentNames {
    /// The names in a state.
    pub fn new(overlay: &Overlay) -> Self {
        let names = overlay.experiments.values().map(|e| (e.id.to_string(), e.name().to_string()));
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        ExperimentNames { names: Arc::new(names.collect()), signature }
    }

    /// The name of the experiment with this id.
    pub fn call(self: &Arc<Self>, id: Expr) -> Expr {
        let own = ExperimentNames { names: Arc::clone(&self.names), signature: self.signature.clone() };
        ScalarUDF::from(own).call(vec![id])
    }
}

impl PartialEq for ExperimentNames {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for ExperimentNames {}

impl Hash for ExperimentNames {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names.len().hash(state);
    }
}

impl ScalarUDFImpl for ExperimentNames {
    fn name(&self) -> &str {
        "experiment_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ids = args.args[0].to_array(args.number_rows)?;
        let ids = ids.as_string::<i32>();
        let mut names = StringBuilder::with_capacity(ids.len(), ids.len() * 16);
        // Rows are sorted by experiment, so the last answer is mostly the next.
        let mut last: Option<(&str, Option<&String>)> = None;
        for id in ids {
            let Some(id) = id else {
                names.append_null();
                continue;
            };
            let name = match last {
                Some((same, name)) if same == id => name,
                _ => self.names.get(id),
            };
            last = Some((id, name));
            names.append_option(name);
        }
        Ok(ColumnarValue::Array(Arc::new(names.finish())))
    }
}

/// Turns conditions on the name into conditions on the id, which files are sorted by and pruned by.
#[derive(Debug)]
pub struct PruneByExperiment;

impl OptimizerRule for PruneByExperiment {
    fn name(&self) -> &str {
        "prune_by_experiment"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(_) | LogicalPlan::TableScan(_) => {
                plan.map_expressions(|expr| expr.transform_down(by_id))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// A condition that depends on the experiment's name alone, as a list of the ids that meet it.
fn by_id(expr: Expr) -> Result<Transformed<Expr>> {
    let is_condition = matches!(
        expr,
        Expr::BinaryExpr(_) | Expr::InList(_) | Expr::Like(_) | Expr::SimilarTo(_) | Expr::Between(_) | Expr::Not(_)
    );
    if !is_condition {
        return Ok(Transformed::no(expr));
    }
    let Some((names, id)) = name_call(&expr)? else { return Ok(Transformed::no(expr)) };
    let Some(condition) = over_names(&expr)? else { return Ok(Transformed::no(expr)) };
    let schema = Arc::new(Schema::new(vec![Field::new(NAME, DataType::Utf8, false)]));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(names.values()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values])?;
    let schema = DFSchema::try_from(schema)?;
    let condition =
        create_physical_expr(&condition, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let result = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
    let Some(result) = result.as_any().downcast_ref::<BooleanArray>() else { return Ok(Transformed::no(expr)) };
    let ids: Vec<Expr> =
        names.keys().zip(result.iter()).filter(|(_, met)| *met == Some(true)).map(|(id, _)| lit(id.as_str())).collect();
    let by_id = match ids.len() {
        0 => lit(false),
        1 => id.eq(ids.into_iter().next().expect("there is one")),
        _ => id.in_list(ids, false),
    };
    // What stands within was answered with it.
    Ok(Transformed::new(by_id, true, TreeNodeRecursion::Jump))
}

const NAME: &str = "experiment_name";

/// The names and the id column of the one lookup in a condition.
fn name_call(expr: &Expr) -> Result<Option<(Names, Expr)>> {
    let mut found: Option<(Names, Expr)> = None;
    let mut ids = BTreeSet::new();
    expr.apply(|e| {
        if let Expr::ScalarFunction(ScalarFunction { func, args }) = e
            && let Some(names) = (func.inner().as_ref() as &dyn Any).downcast_ref::<ExperimentNames>()
        {
            ids.insert(args[0].to_string());
            found = Some((Arc::clone(&names.names), args[0].clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.filter(|(_, id)| ids.len() == 1 && matches!(id, Expr::Column(_))))
}

/// The condition over a column of names; `None` when it depends on anything else.
fn over_names(expr: &Expr) -> Result<Option<Expr>> {
    let condition = expr.clone().transform_down(|e| match &e {
        Expr::ScalarFunction(ScalarFunction { func, .. }) if func.name() == NAME => {
            Ok(Transformed::new(col(NAME), true, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    let mut alone = true;
    condition.data.apply(|e| {
        alone &= match e {
            Expr::Column(column) => column.name == NAME,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::Placeholder(_) => false,
            Expr::OuterReferenceColumn(..) => false,
            _ => true,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(alone.then_some(condition.data))
}
