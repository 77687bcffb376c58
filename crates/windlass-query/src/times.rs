//! Times that are compared with dates, text and other times.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_fn::cast;
use std::sync::Arc;

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_date(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Date64)
}

/// The value of an expression that is written as one.
fn value(expr: &Expr) -> Option<Result<ScalarValue>> {
    match expr {
        Expr::Literal(value, _) => Some(Ok(value.clone())),
        Expr::Cast(inner) => {
            Some(value(&inner.expr)?.and_then(|value| value.cast_to(inner.field.data_type())))
        }
        _ => None,
    }
}

/// The type in which these two are compared, where the engine's would be one in which they may have no place.
pub(crate) fn common_time(left: (&Expr, &DataType), right: (&Expr, &DataType)) -> Option<DataType> {
    let ((expr, kind), (other, others)) = match (left.1, right.1) {
        (DataType::Timestamp(..), _) => (left, right),
        (_, DataType::Timestamp(..)) => (right, left),
        _ => return None,
    };
    let DataType::Timestamp(unit, zone) = kind else { return None };
    let beside_time = matches!(others, DataType::Timestamp(..));
    if !beside_time && !is_text(others) && !is_date(others) {
        return None;
    }
    let zone = zone.clone().or_else(|| match others {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    });
    // What the engine does with a date.
    let zone = if is_date(others) { None } else { zone };
    let whether_in_nanoseconds = |expr: &Expr| {
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
        value(expr).map(|value| value.and_then(|value| value.cast_to(&kind)).is_ok())
    };
    let microseconds = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    match unit {
        TimeUnit::Nanosecond => match whether_in_nanoseconds(other) {
            Some(true) => None,
            Some(false) => Some(microseconds),
            None => is_date(others).then_some(microseconds),
        },
        _ if beside_time => match (others, whether_in_nanoseconds(expr)) {
            (DataType::Timestamp(TimeUnit::Nanosecond, _), Some(false)) => Some(microseconds),
            _ => None,
        },
        _ => Some(microseconds),
    }
}

/// The present, and times in text: the engine gives them in nanoseconds.
pub(crate) fn of_times(
    call: &ScalarFunction,
    kind: impl Fn(&Expr) -> Option<DataType>,
) -> Option<Expr> {
    let time = |zone: Option<Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone);
    match (call.func.name(), call.args.as_slice()) {
        ("now", []) => {
            let whole = Expr::ScalarFunction(call.clone());
            let Some(DataType::Timestamp(_, zone)) = kind(&whole) else { return None };
            Some(cast(whole, time(zone)))
        }
        ("to_timestamp", [text]) if is_text(&kind(text)?) => Some(cast(text.clone(), time(None))),
        _ => None,
    }
}
