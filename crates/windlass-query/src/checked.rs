//! Whole numbers that are added, subtracted and multiplied without going round at the end of their type.
//!
//! The engine's own arithmetic wraps; here a result that does not fit is an error, as in `PostgreSQL` and `DuckDB`.

use crate::schema::sql;
use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use std::sync::{Arc, LazyLock};
use windlass_types::{Error, ErrorCode};

/// What is said of a result that does not fit its type.
pub(crate) fn beyond(kind: &DataType, what: &str) -> DataFusionError {
    let error = Error::new(ErrorCode::SqlExecution, format!("{what} is beyond {}", sql(kind)))
        .hint("cast what is calculated with to DECIMAL(38, 0)");
    DataFusionError::External(Box::new(error))
}

/// One of `+`, `-` and `*` over two numbers of one integer type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

static CHECKED: LazyLock<[(Operator, Arc<ScalarUDF>); 3]> = LazyLock::new(|| {
    [Operator::Plus, Operator::Minus, Operator::Multiply].map(|operator| {
        let signature = Signature::any(2, Volatility::Immutable);
        (operator, Arc::new(ScalarUDF::from(Checked { operator, signature })))
    })
});

/// `left op right` of one integer type, where a result that does not fit is an error. None for other operators.
pub(crate) fn checked(left: Expr, operator: Operator, right: Expr) -> Option<Expr> {
    let (_, function) = CHECKED.iter().find(|(known, _)| *known == operator)?;
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![left, right])))
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_sub",
            _ => "checked_mul",
        }
    }

    /// The name that the column has without the check.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return Ok(self.name().to_owned()) };
        let plain = BinaryExpr::new(Box::new(left.clone()), self.operator, Box::new(right.clone()));
        Ok(Expr::BinaryExpr(plain).schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Internal(format!("{} takes two numbers", self.name())));
        };
        let kernel: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> = match self.operator
        {
            Operator::Plus => add,
            Operator::Minus => sub,
            _ => mul,
        };
        apply(left, right, kernel).map_err(|error| match &error {
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                ArrowError::ArithmeticOverflow(_) => {
                    let what = format!("a result of {}", self.operator);
                    beyond(args.return_field.data_type(), &what)
                }
                _ => error,
            },
            _ => error,
        })
    }
}
