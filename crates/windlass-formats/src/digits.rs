//! Numbers as text has them, and the type that keeps the digits of all of them.
//!
//! While values are looked at, a number has a type that also says how many digits there were:
//! - `Decimal32(digits, 0)`: whole numbers that DOUBLE holds, `Decimal32(digits, 1)`: one it would round;
//! - `Decimal64(digits, after the point)`: numbers with a point that DOUBLE holds;
//! - `Decimal128(digits, after the point)`: numbers of which DOUBLE would round one;
//! - `UInt64`: whole numbers beyond BIGINT; `Float64`: with an exponent, NaN or infinity among numbers;
//! - `Float16`: nothing but NaN and infinities.
//!
//! [`settled`] makes types of columns of them. Nothing of this depends on the order of values or files.

use arrow::datatypes::{DataType, Field};
use std::collections::HashMap;
use std::sync::Arc;

/// The key, in the metadata of a column, of what its numbers are.
const NUMBERS: &str = "windlass.numbers";

/// Digits that every number keeps as DOUBLE.
const SAFE: usize = 15;
/// Most digits of a DECIMAL.
const MOST: u8 = 38;
/// More digits than this are not counted.
const COUNTED: u8 = 100;

/// What holds all digits of some numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    /// DOUBLE.
    #[default]
    Double,
    /// Not DOUBLE, which would round one.
    Exact,
    /// DECIMAL, or BIGINT UNSIGNED.
    Decimal,
}

/// What some numbers have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    /// One has an exponent, or is NaN or infinite.
    real: bool,
    /// One has a point.
    point: bool,
    held: Held,
    /// Most digits before the point, and after it.
    whole: u8,
    scale: u8,
}

impl Numbers {
    fn of(kind: &DataType) -> Option<Self> {
        let none = Self::default();
        let parts = |digits: u8, scale: i8| {
            let scale = scale.unsigned_abs();
            (digits.saturating_sub(scale), scale)
        };
        Some(match kind {
            DataType::Float16 | DataType::Float64 => Self { real: true, ..none },
            DataType::Decimal32(whole, 0) => Self { whole: *whole, ..none },
            DataType::Decimal32(whole, _) => Self { held: Held::Exact, whole: *whole, ..none },
            DataType::UInt64 => Self { held: Held::Decimal, whole: 20, ..none },
            DataType::Decimal64(digits, scale) => {
                let (whole, scale) = parts(*digits, *scale);
                Self { point: true, whole, scale, ..none }
            }
            DataType::Decimal128(digits, scale) => {
                let (whole, scale) = parts(*digits, *scale);
                Self { held: Held::Decimal, whole, scale, ..none }
            }
            _ => return None,
        })
    }

    fn kind(self) -> DataType {
        let digits = self.whole + self.scale;
        let scale = i8::try_from(self.scale).unwrap_or(i8::MAX);
        let exact = self.held > Held::Double;
        if self.real {
            return if exact { DataType::Utf8 } else { DataType::Float64 };
        }
        if self.held == Held::Decimal || (self.point && exact) {
            return match digits {
                0..=MOST => DataType::Decimal128(digits.max(1), scale),
                _ => DataType::Utf8,
            };
        }
        if self.point {
            return DataType::Decimal64(digits, scale);
        }
        DataType::Decimal32(self.whole, i8::from(exact))
    }
}

/// The type both numbers fit without losing digits, TEXT where there is none; None: one is no number.
pub(crate) fn join(a: &DataType, b: &DataType) -> Option<DataType> {
    let (x, y) = (Numbers::of(a)?, Numbers::of(b)?);
    if a == b {
        return Some(a.clone());
    }
    let both = Numbers {
        real: x.real || y.real,
        point: x.point || y.point,
        held: x.held.max(y.held),
        whole: x.whole.max(y.whole),
        scale: x.scale.max(y.scale),
    };
    Some(both.kind())
}

/// The digits of a number from its first to its last that is not 0.
fn significant(number: &str) -> String {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// Whether DOUBLE holds another number than this. What a DOUBLE looks like with all of its 17 digits is
/// that DOUBLE.
fn rounds(number: &str) -> bool {
    if number.len() <= SAFE {
        return false;
    }
    let digits = significant(number);
    let Some(value) = number.parse::<f64>().ok().filter(|_| digits.len() > SAFE) else {
        return false;
    };
    digits != significant(&format!("{value:e}")) && digits != significant(&format!("{value:.16e}"))
}

fn count(digits: usize) -> u8 {
    u8::try_from(digits).map_or(COUNTED, |digits| digits.min(COUNTED))
}

/// The type of a whole number that BIGINT holds.
pub(crate) fn whole(number: &str) -> DataType {
    let digits = number.trim_start_matches(['-', '+']);
    DataType::Decimal32(count(digits.len()), i8::from(rounds(number)))
}

/// The type of a number with a point and without exponent; None: it has more digits than any type.
pub(crate) fn with_point(number: &str) -> Option<DataType> {
    let digits = number.trim_start_matches(['-', '+']);
    let (whole, after) = digits.split_once('.').unwrap_or((digits, ""));
    let held = if rounds(number) { Held::Exact } else { Held::Double };
    let (whole, scale) = (count(whole.trim_start_matches('0').len()), count(after.len()));
    match (Numbers { real: false, point: true, held, whole, scale }).kind() {
        DataType::Utf8 => None,
        kind => Some(kind),
    }
}

/// The type of a column, of that of its values; so inside lists and structs.
pub fn settled(kind: &DataType) -> DataType {
    match kind {
        DataType::Decimal32(..) => DataType::Int64,
        DataType::Decimal64(..) => DataType::Float64,
        // Such words alone are as likely texts.
        DataType::Float16 => DataType::Utf8,
        DataType::List(item) => {
            let kind = settled(item.data_type());
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(kind)))
        }
        DataType::Struct(fields) => {
            let field = |field: &Arc<Field>| {
                field.as_ref().clone().with_data_type(settled(field.data_type()))
            };
            DataType::Struct(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// The column, of one with the type of its values; it remembers what its numbers are.
pub(crate) fn settled_field(field: &Field) -> Field {
    let kind = field.data_type();
    let said = match kind {
        DataType::Float16 => Some((16, 0, 0)),
        DataType::Float64 => Some((1, 0, 0)),
        DataType::UInt64 => Some((2, 0, 0)),
        DataType::Decimal32(digits, scale) => Some((32, *digits, *scale)),
        DataType::Decimal64(digits, scale) => Some((64, *digits, *scale)),
        DataType::Decimal128(digits, scale) => Some((128, *digits, *scale)),
        _ => None,
    };
    let column = Field::new(field.name(), settled(kind), true);
    match said {
        Some((form, digits, scale)) => {
            let said = format!("{form} {digits} {scale}");
            column.with_metadata(HashMap::from([(NUMBERS.to_owned(), said)]))
        }
        None => column,
    }
}

/// What the numbers of a column are, which [`crate::infer::join`] joins with those of other files; None:
/// its values are no numbers, or were not looked at.
pub fn numbers(field: &Field) -> Option<DataType> {
    let mut said = field.metadata().get(NUMBERS)?.split(' ');
    let form = said.next()?;
    let (digits, scale) = (said.next()?.parse().ok()?, said.next()?.parse().ok()?);
    Some(match form {
        "16" => DataType::Float16,
        "1" => DataType::Float64,
        "2" => DataType::UInt64,
        "32" => DataType::Decimal32(digits, scale),
        "64" => DataType::Decimal64(digits, scale),
        "128" => DataType::Decimal128(digits, scale),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::join;

    fn of(values: &[&str]) -> DataType {
        let kinds = values.iter().map(|value| match value {
            _ if value.contains('e') => DataType::Float64,
            _ if value.contains('.') => with_point(value).unwrap_or(DataType::Utf8),
            _ => whole(value),
        });
        settled(&kinds.fold(DataType::Null, |all, kind| join(&all, &kind)))
    }

    #[test]
    fn digits_that_double_would_lose_make_a_decimal_in_any_order() {
        let cases: [(&[&str], DataType); 11] = [
            (&["12345678901234567890.12", "0.5"], DataType::Decimal128(22, 2)),
            (&["12345678901234567890.12", "7", "1.2345"], DataType::Decimal128(24, 4)),
            (&["-0.1234567890123456789"], DataType::Decimal128(19, 19)),
            (&["9007199254740993", "0.5"], DataType::Decimal128(17, 1)),
            (&["9007199254740993", "12"], DataType::Int64),
            (&["0.5", "12", "1e9"], DataType::Float64),
            (&["1.50000000000000000000", "0.30000000000000004"], DataType::Float64),
            // What C prints of a DOUBLE with `%.17g`.
            (&["3.1415926535897931", "1e-7"], DataType::Float64),
            (&["12345678901234567890.12", "1e-7"], DataType::Utf8),
            (&["1.12345678901234567890123456789", "12345678901234567.5"], DataType::Utf8),
            (&["1234567890123456789012345678901234567.89"], DataType::Utf8),
        ];
        for (values, expected) in cases {
            assert_eq!(of(values), expected, "{values:?}");
            let turned: Vec<&str> = values.iter().rev().copied().collect();
            assert_eq!(of(&turned), expected, "{turned:?}");
        }
    }

    #[test]
    fn columns_remember_what_their_numbers_are() {
        for kind in [
            DataType::Float16,
            DataType::Float64,
            DataType::UInt64,
            DataType::Decimal32(17, 1),
            DataType::Decimal64(4, 2),
            DataType::Decimal128(22, 2),
        ] {
            let field = settled_field(&Field::new("x", kind.clone(), true));
            assert_eq!(numbers(&field), Some(kind));
        }
        assert_eq!(numbers(&settled_field(&Field::new("x", DataType::Utf8, true))), None);
    }
}
