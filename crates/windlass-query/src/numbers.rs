//! DECIMAL and DOUBLE beside each other.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator, binary_expr, lit};

/// Digits after the point that a product may have: twenty are left before it.
const MOST_PLACES: i16 = 18;

/// The expression as a DOUBLE.
pub(crate) fn double(expr: &Expr) -> Expr {
    cast(expr.clone(), DataType::Float64)
}

/// A number as it is written, or what is calculated from such numbers and exact ones, without DOUBLE.
/// None for anything of which the digits are not known.
fn exact(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(number)), _) => written(*number).map(lit),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(exact(inner, schema)?))),
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply) =>
        {
            let (left, right) = (exact(left, schema)?, exact(right, schema)?);
            let whole = binary_expr(left, *op, right);
            whole.get_type(schema).is_ok().then_some(whole)
        }
        _ => {
            let kind = expr.get_type(schema).ok()?;
            (kind.is_integer() || kind.is_decimal()).then(|| expr.clone())
        }
    }
}

/// The DECIMAL with the digits that a DOUBLE is written with: the fewest that give it.
fn written(number: f64) -> Option<ScalarValue> {
    let text = number.to_string();
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    let unscaled: i128 = format!("{whole}{places}").parse().ok()?;
    let scale = u8::try_from(places.len()).ok()?;
    let digits = u8::try_from(unscaled.unsigned_abs().to_string().len()).ok()?;
    let precision = digits.max(scale);
    (precision <= DECIMAL128_MAX_PRECISION)
        .then(|| ScalarValue::Decimal128(Some(unscaled), precision, scale.cast_signed()))
}

/// Whether two DECIMALs can be compared, or calculated with, and no digit is lost or without room.
pub(crate) fn fits(op: Operator, left: &DataType, right: &DataType) -> bool {
    let (Some((whole, places)), Some((others, others_places))) = (digits(left), digits(right))
    else {
        return false;
    };
    let most = match op {
        Operator::Multiply => return places + others_places <= MOST_PLACES,
        _ => places.max(others_places),
    };
    whole.max(others) + most <= i16::from(DECIMAL128_MAX_PRECISION)
}

/// Digits before and after the point.
fn digits(kind: &DataType) -> Option<(i16, i16)> {
    match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale)))
        }
        _ => None,
    }
}

/// Expressions between which this operator stands, where some are DECIMAL and some DOUBLE.
#[derive(Debug)]
pub(crate) struct Mixed<'a> {
    expressions: Vec<(&'a Expr, DataType)>,
    op: Operator,
    schema: &'a DFSchema,
}

impl<'a> Mixed<'a> {
    /// None where they are not mixed, or their types are not known yet.
    pub(crate) fn of(
        expressions: impl IntoIterator<Item = &'a Expr>,
        op: Operator,
        schema: &'a DFSchema,
    ) -> Option<Self> {
        let typed = expressions.into_iter().map(|expr| Some((expr, expr.get_type(schema).ok()?)));
        let expressions = typed.collect::<Option<Vec<_>>>()?;
        let any = |is: fn(&DataType) -> bool| expressions.iter().any(|(_, kind)| is(kind));
        (any(DataType::is_decimal) && any(DataType::is_floating)).then_some(Self {
            expressions,
            op,
            schema,
        })
    }

    /// All of them exact, where that can be.
    pub(crate) fn exact(&self) -> Option<Vec<Expr>> {
        let decimals = || self.expressions.iter().filter(|(_, kind)| kind.is_decimal());
        let exact = self.expressions.iter().map(|(expr, kind)| {
            if !kind.is_floating() {
                return Some((*expr).clone());
            }
            let expr = exact(expr, self.schema)?;
            let own = expr.get_type(self.schema).ok().filter(DataType::is_decimal)?;
            decimals().all(|(_, kind)| fits(self.op, kind, &own)).then_some(expr)
        });
        exact.collect()
    }

    /// All of them exact, or those that are DECIMAL as DOUBLE.
    pub(crate) fn alike(&self) -> Vec<Expr> {
        self.exact().unwrap_or_else(|| {
            let doubles = self
                .expressions
                .iter()
                .map(|(expr, kind)| if kind.is_decimal() { double(expr) } else { (*expr).clone() });
            doubles.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_it_is_written_with() {
        let said = |number: f64| written(number).map(|value| format!("{value:?}"));
        let numbers = [9.21, 0.05, -1.5, 100.0, 1e20, 1e-7, 0.0];
        insta::assert_snapshot!(numbers.map(|number| said(number).unwrap()).join("\n"), @r"
        Decimal128(9.21,3,2)
        Decimal128(0.05,2,2)
        Decimal128(-1.5,2,1)
        Decimal128(100,3,0)
        Decimal128(100000000000000000000,21,0)
        Decimal128(0.0000001,7,7)
        Decimal128(0,1,0)
        ");
        for none in [1e39, 1e-39, f64::NAN, f64::INFINITY] {
            assert_eq!(written(none), None, "{none}");
        }
    }

    #[test]
    fn what_has_no_room_is_not_exact() {
        let (wide, narrow) = (DataType::Decimal128(38, 10), DataType::Decimal128(3, 2));
        assert!(fits(Operator::Eq, &wide, &narrow));
        assert!(!fits(Operator::Eq, &wide, &DataType::Decimal128(31, 0)));
        assert!(fits(Operator::Multiply, &wide, &narrow));
        assert!(!fits(Operator::Multiply, &wide, &DataType::Decimal128(17, 16)));
    }
}
