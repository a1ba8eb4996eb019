//! The groups of keys as whole structs: each made in one pass, however many keys it has.
//!
//! Put together by the engine, leaf by leaf, a struct of n keys takes time in n², since each access looks its leaf up by
//! name. A condition on one key of such a struct is turned back into one on the stored leaf, which the scan can check.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, StructArray, new_null_array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast as cast_array, is_null};
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::functions::core::expr_fn::{coalesce, get_field};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, ident,
    lit, try_cast, when,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::keys::Group;
use crate::model::Goal;
use crate::schema::wide::{KeyCounts, ParamColumn, ParamCounts, StoredStruct};
use crate::store::merge::Overlay;

/// How the value of a key is made of stored leaves of its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// As it is stored in this struct.
    Stored(StoredStruct),
    /// As it is stored in this struct; where it is NULL there it is the last value, which is not stored twice.
    Extreme(StoredStruct),
    /// As it is stored in this struct, as another type; NULL where it does not fit.
    Cast(StoredStruct, DataType),
    /// The least or the greatest value, by what the experiment of the run strives for; ids of experiments by goal.
    Best { min: Vec<String>, max: Vec<String> },
}

impl Leaf {
    /// How the value of this key is made.
    pub fn new(group: Group, key: &str, overlay: &Overlay, keys: &KeyCounts) -> Leaf {
        match group {
            Group::Params => match keys.params.get(key).map(ParamCounts::column) {
                Some(ParamColumn::BigInt { exact_text: false }) => Leaf::Cast(StoredStruct::ParamsNum, DataType::Int64),
                Some(ParamColumn::BigInt { exact_text: true }) => Leaf::Cast(StoredStruct::ParamsText, DataType::Int64),
                Some(ParamColumn::Double) => Leaf::Stored(StoredStruct::ParamsNum),
                Some(ParamColumn::Boolean) => Leaf::Cast(StoredStruct::ParamsText, DataType::Boolean),
                Some(ParamColumn::Text) | None => Leaf::Stored(StoredStruct::ParamsText),
            },
            Group::Best => {
                let with_goal = |goal: Goal| {
                    let goals = overlay.goals.iter().filter(|g| g.state.goal.key == key && g.state.goal.goal == goal);
                    goals.map(|g| g.experiment_id.clone()).collect()
                };
                Leaf::Best { min: with_goal(Goal::Min), max: with_goal(Goal::Max) }
            }
            Group::MetricsMin => Leaf::Extreme(StoredStruct::MetricsMin),
            Group::MetricsMax => Leaf::Extreme(StoredStruct::MetricsMax),
            other => Leaf::Stored(other.stored()[0]),
        }
    }

    /// The type of the value.
    pub fn data_type(&self) -> DataType {
        match self {
            Leaf::Stored(stored) => stored.leaf(),
            Leaf::Extreme(stored) => stored.leaf(),
            Leaf::Cast(_, data_type) => data_type.clone(),
            Leaf::Best { .. } => DataType::Float64,
        }
    }

    /// The value as an expression over the stored structs.
    pub fn expr(&self, key: &str, stored: impl Fn(StoredStruct) -> Expr, experiment_id: Expr) -> Expr {
        let leaf = |of: StoredStruct| get_field(stored(of), key);
        let extreme = |of: StoredStruct| coalesce(vec![leaf(of), leaf(StoredStruct::Metrics)]);
        // Texts are read as views. In a comparison with a constant the engine drops the cast.
        let text = |leaf: Expr, data_type: DataType| match data_type {
            DataType::Utf8 => cast(leaf, DataType::Utf8),
            _ => leaf,
        };
        match self {
            Leaf::Stored(of) => text(leaf(*of), of.leaf()),
            Leaf::Extreme(of) => extreme(*of),
            // A whole number that was counted as one fits.
            Leaf::Cast(of @ StoredStruct::ParamsNum, data_type) => cast(leaf(*of), data_type.clone()),
            Leaf::Cast(of, data_type) => try_cast(leaf(*of), data_type.clone()),
            Leaf::Best { min, max } => {
                let is_in = |ids: &[String]| {
                    experiment_id.clone().in_list(ids.iter().map(|id| lit(id.as_str())).collect(), false)
                };
                when(is_in(min), extreme(StoredStruct::MetricsMin))
                    .when(is_in(max), extreme(StoredStruct::MetricsMax))
                    .end()
                    .expect("both branches are doubles")
            }
        }
    }
}

/// Function from the experiment and the stored structs of a group to the struct that SQL shows.
#[derive(Debug)]
struct WholeStruct {
    group: Group,
    leaves: Vec<(String, Leaf)>,
    data_type: DataType,
    signature: Signature,
}

/// The struct of a group with these keys.
pub fn whole(group: Group, keys: impl IntoIterator<Item = (String, Leaf)>) -> Expr {
    let leaves: Vec<(String, Leaf)> = keys.into_iter().collect();
    let fields: Fields = leaves.iter().map(|(key, leaf)| Field::new(key, leaf.data_type(), true)).collect();
    let signature = Signature::any(1 + group.stored().len(), Volatility::Immutable);
    let function = WholeStruct { group, leaves, data_type: DataType::Struct(fields), signature };
    let mut args = vec![ident("experiment_id")];
    args.extend(group.stored().iter().map(|stored| ident(stored.name())));
    ScalarUDF::from(function).call(args)
}

impl WholeStruct {
    fn position(&self, stored: StoredStruct) -> usize {
        1 + self.group.stored().iter().position(|s| *s == stored).expect("a leaf comes from a struct of its group")
    }
}

impl PartialEq for WholeStruct {
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && self.leaves == other.leaves
    }
}

impl Eq for WholeStruct {}

impl Hash for WholeStruct {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.group.hash(state);
        self.leaves.len().hash(state);
    }
}

impl ScalarUDFImpl for WholeStruct {
    fn name(&self) -> &str {
        self.group.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let by_name: Vec<HashMap<&str, &ArrayRef>> = arrays[1..]
            .iter()
            .map(|array| {
                let array = array.as_struct();
                array.fields().iter().map(|f| f.name().as_str()).zip(array.columns()).collect()
            })
            .collect();
        let find = |stored: StoredStruct, key: &str| {
            let leaves = &by_name[self.position(stored) - 1];
            leaves.get(key).copied().ok_or_else(|| exec_datafusion_err!("{} has no leaf '{key}'", stored.name()))
        };
        let extreme = |stored: StoredStruct, key: &str| -> Result<ArrayRef> {
            let (extreme, last) = (find(stored, key)?, find(StoredStruct::Metrics, key)?);
            Ok(zip(&is_null(extreme)?, last, extreme)?)
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.leaves.len());
        for (key, leaf) in &self.leaves {
            columns.push(match leaf {
                Leaf::Stored(stored) => cast_array(find(*stored, key)?, &stored.leaf())?,
                Leaf::Extreme(stored) => extreme(*stored, key)?,
                Leaf::Cast(stored, data_type) => cast_array(find(*stored, key)?, data_type)?,
                Leaf::Best { min, max } if min.is_empty() && max.is_empty() => new_null_array(&DataType::Float64, rows),
                Leaf::Best { min, max } => {
                    let (least, most) =
                        (extreme(StoredStruct::MetricsMin, key)?, extreme(StoredStruct::MetricsMax, key)?);
                    let (least, most) = (least.as_primitive::<Float64Type>(), most.as_primitive::<Float64Type>());
                    let mut best = Float64Builder::with_capacity(rows);
                    for (i, id) in arrays[0].as_string::<i32>().iter().enumerate() {
                        let is_in = |ids: &[String]| id.is_some_and(|id| ids.iter().any(|other| other == id));
                        let from = if is_in(min) { Some(least) } else { is_in(max).then_some(most) };
                        best.append_option(from.filter(|array| array.is_valid(i)).map(|array| array.value(i)));
                    }
                    Arc::new(best.finish())
                }
            });
        }
        let DataType::Struct(fields) = &self.data_type else { unreachable!("it was made as a struct") };
        let whole = match fields.is_empty() {
            true => StructArray::new_empty_fields(rows, None),
            false => StructArray::try_new(fields.clone(), columns, None)?,
        };
        Ok(ColumnarValue::Array(Arc::new(whole)))
    }
}

/// Turns an access to one key of a whole struct into one to the stored leaf.
#[derive(Debug)]
pub struct LeafOfWhole;

impl OptimizerRule for LeafOfWhole {
    fn name(&self) -> &str {
        "leaf_of_whole_struct"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(|expr| expr.transform_up(|e| Ok(leaf_access(e))))
    }
}

fn leaf_access(expr: Expr) -> Transformed<Expr> {
    match find_leaf(&expr) {
        Some(leaf) => Transformed::yes(leaf),
        None => Transformed::no(expr),
    }
}

fn find_leaf(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    (func.inner().as_ref() as &dyn Any).downcast_ref::<GetFieldFunc>()?;
    let [Expr::ScalarFunction(ScalarFunction { func, args }), Expr::Literal(key, _)] = args.as_slice() else {
        return None;
    };
    let whole = (func.inner().as_ref() as &dyn Any).downcast_ref::<WholeStruct>()?;
    let key = key.try_as_str()??;
    let (_, leaf) = whole.leaves.iter().find(|(name, _)| name == key)?;
    Some(leaf.expr(key, |stored| args[whole.position(stored)].clone(), args[0].clone()))
}
