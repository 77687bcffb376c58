//! The types that a plan works in, where the engine's own choice loses values or refuses them.
//!
//! - DECIMAL beside a number with a point: the number is a DECIMAL too, so `amount * 0.19` and `amount = 9.21` are exact.
//! - DECIMAL beside DOUBLE: both are DOUBLE, as in `PostgreSQL`. The engine would round the DOUBLE to 15 decimal places.
//! - Times beside dates, text and the present are compared in microseconds, so that 9999-12-31 is a time;
//!   the engine's nanoseconds end in the year 2262. Columns in nanoseconds stay as exact as they are.
//! - Whole numbers do not wrap: see [`crate::checked`].
//!
//! It is done before a plan is described or optimised; the engine then fits what is left to each other.

use crate::checked::checked;
use crate::numbers::{Mixed, double};
use crate::times::{common_time, of_times};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRewriter};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Between, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::expr_rewriter::{NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable as _, Join, LogicalPlan, Operator, binary_expr,
};
use std::sync::Arc;

/// Settles the types of a plan and of the queries in it.
pub(crate) fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(settle_one).map(|done| done.data)
}

fn settle_one(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // A limit is a number as it is written; a scan has no expressions yet.
    if matches!(plan, LogicalPlan::Limit(_) | LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let mut settler = Settler { schema: &schema };
    let settled = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr.rewrite(&mut settler)?.update_data(|expr| name.restore(expr)))
    })?;
    let settled = settled.transform_data(|plan| {
        Ok(match plan {
            LogicalPlan::Join(join) => settler.keys(join),
            plan => Transformed::no(plan),
        })
    })?;
    settled.map_data(LogicalPlan::recompute_schema)
}

/// The columns, with DOUBLE for every number.
fn doubled(schema: &DFSchema) -> Result<DFSchema> {
    let fields = schema.iter().map(|(relation, field)| {
        let field = if field.data_type().is_numeric() {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Float64))
        } else {
            Arc::clone(field)
        };
        (relation.cloned(), field)
    });
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())
}

/// Two of two.
fn pair(both: Vec<Expr>) -> Option<(Expr, Expr)> {
    let [left, right] = <[Expr; 2]>::try_from(both).ok()?;
    Some((left, right))
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

struct Settler<'a> {
    schema: &'a DFSchema,
}

impl Settler<'_> {
    fn kind(&self, expr: &Expr) -> Option<DataType> {
        expr.get_type(self.schema).ok()
    }

    /// Both sides of a comparison, where their types had to be settled.
    fn compared(&self, left: &Expr, right: &Expr) -> Option<(Expr, Expr)> {
        let kinds = (self.kind(left)?, self.kind(right)?);
        if let Some(time) = common_time((left, &kinds.0), (right, &kinds.1)) {
            return Some((cast(left.clone(), time.clone()), cast(right.clone(), time)));
        }
        pair(self.alike([left, right])?)
    }

    fn alike<'e>(&self, expressions: impl IntoIterator<Item = &'e Expr>) -> Option<Vec<Expr>>
    where
        Self: 'e,
    {
        Some(Mixed::of(expressions, Operator::Eq, self.schema)?.alike())
    }

    /// Both sides of each equality of a join.
    fn keys(&self, mut join: Join) -> Transformed<LogicalPlan> {
        let mut changed = false;
        for (left, right) in &mut join.on {
            if let Some(pair) = self.compared(left, right) {
                (*left, *right) = pair;
                changed = true;
            }
        }
        Transformed::new_transformed(LogicalPlan::Join(join), changed)
    }

    fn binary(&self, binary: &BinaryExpr) -> Option<Expr> {
        let (left, op, right) = (binary.left.as_ref(), binary.op, binary.right.as_ref());
        if compares(op) {
            let (left, right) = self.compared(left, right)?;
            return Some(binary_expr(left, op, right));
        }
        if !matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Modulo) {
            return None;
        }
        let (of_left, of_right) = (self.kind(left)?, self.kind(right)?);
        if of_left.is_integer() && of_right.is_integer() {
            let kind = BinaryTypeCoercer::new(&of_left, &op, &of_right).get_result_type().ok()?;
            let as_it = |side: &Expr, own: &DataType| {
                if *own == kind { side.clone() } else { cast(side.clone(), kind.clone()) }
            };
            return kind
                .is_integer()
                .then(|| checked(as_it(left, &of_left), op, as_it(right, &of_right)))?;
        }
        let (left, right) = pair(Mixed::of([left, right], op, self.schema)?.exact()?)?;
        Some(binary_expr(left, op, right))
    }

    fn between(&self, between: &Between) -> Option<Expr> {
        let Between { expr, negated, low, high } = between;
        let (from, to) = (self.compared(expr, low), self.compared(expr, high));
        if from.is_none() && to.is_none() {
            return None;
        }
        let (least, low) = from.unwrap_or_else(|| (expr.as_ref().clone(), low.as_ref().clone()));
        let (most, high) = to.unwrap_or_else(|| (expr.as_ref().clone(), high.as_ref().clone()));
        Some(if *negated {
            least.lt(low).or(most.gt(high))
        } else {
            least.gt_eq(low).and(most.lt_eq(high))
        })
    }

    fn in_list(&self, InList { expr, list, negated }: &InList) -> Option<Expr> {
        let kind = self.kind(expr)?;
        let kinds = list.iter().map(|item| self.kind(item)).collect::<Option<Vec<_>>>()?;
        let mut pairs = list.iter().zip(&kinds);
        let time = pairs.find_map(|(item, own)| common_time((expr, &kind), (item, own)));
        let all = match time {
            Some(time) => {
                let all = std::iter::once(expr.as_ref()).chain(list);
                all.map(|expr| cast(expr.clone(), time.clone())).collect()
            }
            None => self.alike(std::iter::once(expr.as_ref()).chain(list))?,
        };
        let mut all = all.into_iter();
        Some(all.next()?.in_list(all.collect(), *negated))
    }

    fn in_subquery(&self, within: &InSubquery) -> Result<Option<Expr>> {
        let columns = within.subquery.subquery.schema();
        let (Some(kind), Some(field)) = (self.kind(&within.expr), columns.fields().first()) else {
            return Ok(None);
        };
        let mut within = within.clone();
        if kind.is_decimal() && field.data_type().is_floating() {
            *within.expr = double(&within.expr);
        } else if kind.is_floating() && field.data_type().is_decimal() {
            let schema = doubled(columns)?;
            let plan = Arc::unwrap_or_clone(within.subquery.subquery);
            within.subquery.subquery = Arc::new(coerce_plan_expr_for_schema(plan, &schema)?);
        } else {
            return Ok(None);
        }
        Ok(Some(Expr::InSubquery(within)))
    }

    fn call(&self, call: &ScalarFunction) -> Option<Expr> {
        let args = match call.func.name() {
            "coalesce" | "greatest" | "least" | "nullif" | "nvl" => self.alike(&call.args)?,
            _ => return of_times(call, |expr| self.kind(expr)),
        };
        Some(Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&call.func), args }))
    }

    /// The results of a CASE.
    fn case(&self, case: &datafusion::logical_expr::Case) -> Option<Expr> {
        let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let mut results = self.alike(results.chain(case.else_expr.as_deref()))?.into_iter();
        let mut case = case.clone();
        for (_, then) in &mut case.when_then_expr {
            **then = results.next()?;
        }
        if let Some(otherwise) = &mut case.else_expr {
            **otherwise = results.next()?;
        }
        Some(Expr::Case(case))
    }
}

impl TreeNodeRewriter for Settler<'_> {
    type Node = Expr;

    /// A division that is one of DOUBLE as it is written stays one, also where an operand becomes DECIMAL.
    fn f_down(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let Expr::BinaryExpr(BinaryExpr { mut left, op: Operator::Divide, mut right }) = expr
        else {
            return Ok(Transformed::no(expr));
        };
        let mut changed = false;
        for side in [&mut left, &mut right] {
            let calculated = matches!(side.as_ref(), Expr::BinaryExpr(_) | Expr::Case(_));
            if calculated && self.kind(side).as_ref().is_some_and(DataType::is_floating) {
                **side = double(side);
                changed = true;
            }
        }
        let division = Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right });
        Ok(Transformed::new_transformed(division, changed))
    }

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let settled = match &expr {
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            Expr::InSubquery(within) => self.in_subquery(within)?,
            Expr::ScalarFunction(call) => self.call(call),
            Expr::Case(case) => self.case(case),
            _ => None,
        };
        Ok(settled.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}
