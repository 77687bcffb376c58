//! One schema from several: columns by name, types widened until all fit.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;
use windlass_formats::infer::{join, numbers, settled};
use windlass_formats::schema::NOTE;
pub(crate) use windlass_formats::schema::{loses, sql, widen};

/// A column and what is worth telling about it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) field: Field,
    pub(crate) note: Option<String>,
    /// Some file has a value in it.
    pub(crate) known: bool,
    /// The types it has, and a file of each.
    pub(crate) from: Vec<(DataType, String)>,
    /// Of a column of DOUBLE, the DECIMAL that has all digits of its numbers, where that is known.
    pub(crate) decimal: Option<DataType>,
    /// What it is called in files; of several names, each file has one.
    pub(crate) names: Vec<String>,
}

/// Merges the schemas of named files. Order is that of first appearance.
pub(crate) fn merge(schemas: &[(String, Schema)]) -> Vec<Column> {
    struct Seen {
        kind: DataType,
        /// What its numbers are in all files; None: some file does not say.
        numbers: Option<DataType>,
        from: Vec<(DataType, String)>,
        files: usize,
        note: Option<String>,
    }
    let mut columns: Vec<(String, Seen)> = Vec::new();
    for (file, schema) in schemas {
        for field in schema.fields() {
            let kind = field.data_type();
            let at = columns.iter().position(|(name, _)| name == field.name());
            let (_, seen) = if let Some(at) = at {
                &mut columns[at]
            } else {
                let seen = Seen {
                    kind: DataType::Null,
                    numbers: Some(DataType::Null),
                    from: Vec::new(),
                    files: 0,
                    note: None,
                };
                columns.push((field.name().clone(), seen));
                columns.last_mut().expect("just pushed")
            };
            seen.kind = widen(&seen.kind, kind);
            let own = if kind.is_null() { Some(DataType::Null) } else { numbers(field) };
            seen.numbers = seen.numbers.take().zip(own).map(|(all, own)| join(&all, &own));
            seen.files += 1;
            seen.note = seen.note.take().or_else(|| field.metadata().get(NOTE).cloned());
            if !kind.is_null() && !seen.from.iter().any(|(known, _)| known == kind) {
                seen.from.push((kind.clone(), file.clone()));
            }
        }
    }
    columns
        .into_iter()
        .map(|(name, seen)| {
            // What every file knows of its numbers keeps digits that types alone would lose.
            let known = seen.numbers.filter(|numbers| !numbers.is_null());
            let kind = known.as_ref().map_or_else(|| seen.kind.clone(), settled);
            let decimal = match known {
                Some(DataType::Decimal64(digits, scale)) if digits <= 38 => {
                    Some(DataType::Decimal128(digits, scale))
                }
                _ => None,
            };
            let mut notes: Vec<String> = Vec::new();
            notes.extend(seen.note);
            if seen.from.len() > 1 {
                let from: Vec<String> = seen
                    .from
                    .iter()
                    .map(|(kind, file)| format!("{} in `{file}`", sql(kind)))
                    .collect();
                notes.push(format!("widened: {}", from.join(", ")));
            }
            if seen.files < schemas.len() {
                notes.push(format!(
                    "missing in {} of {} files read",
                    schemas.len() - seen.files,
                    schemas.len()
                ));
            }
            let note = (!notes.is_empty()).then(|| notes.join("; "));
            Column {
                field: Field::new(name.clone(), settle(&kind), true),
                note,
                known: !seen.kind.is_null(),
                from: seen.from,
                decimal,
                names: vec![name],
            }
        })
        .collect()
}

/// A column of nothing but NULL is text; so inside structs and lists.
fn settle(kind: &DataType) -> DataType {
    match kind {
        DataType::Null => DataType::Utf8,
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(settle(item.data_type()))))
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| field.as_ref().clone().with_data_type(settle(field.data_type())))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The type SQL names, for columns of files; None: there are no columns of that type.
pub(crate) fn arrow(kind: &sqlparser::ast::DataType) -> Option<DataType> {
    use DataType as T;
    use sqlparser::ast::{DataType as S, ExactNumberInfo as Digits, TimezoneInfo as Zone};
    Some(match kind {
        S::Boolean | S::Bool => T::Boolean,
        S::TinyInt(_) => T::Int8,
        S::SmallInt(_) | S::Int2(_) => T::Int16,
        S::Int(_) | S::Integer(_) | S::Int4(_) => T::Int32,
        S::BigInt(_) | S::Int8(_) => T::Int64,
        S::BigIntUnsigned(_) | S::Int8Unsigned(_) => T::UInt64,
        S::IntUnsigned(_) | S::IntegerUnsigned(_) => T::UInt32,
        S::Real | S::Float4 => T::Float32,
        S::Double(_) | S::DoublePrecision | S::Float8 | S::Float(_) => T::Float64,
        S::Decimal(digits) | S::Numeric(digits) => {
            let (precision, scale) = match digits {
                Digits::None => (38, 10),
                Digits::Precision(precision) => (*precision, 0),
                Digits::PrecisionAndScale(precision, scale) => (*precision, *scale),
            };
            let precision = u8::try_from(precision).ok().filter(|p| (1..=38).contains(p))?;
            let scale = i8::try_from(scale).ok().filter(|s| (0..=38).contains(s))?;
            if scale.unsigned_abs() > precision {
                return None;
            }
            T::Decimal128(precision, scale)
        }
        S::Text | S::String(_) | S::Varchar(_) | S::Char(_) => T::Utf8,
        S::Date => T::Date32,
        S::Time(None, Zone::None | Zone::WithoutTimeZone) => T::Time64(TimeUnit::Nanosecond),
        S::Timestamp(None, Zone::None | Zone::WithoutTimeZone) => {
            T::Timestamp(TimeUnit::Microsecond, None)
        }
        S::Timestamp(None, Zone::WithTimeZone | Zone::Tz) => {
            T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType as T;

    #[test]
    fn types_widen_to_bigint_then_double_then_text() {
        assert_eq!(widen(&T::Int32, &T::Int64), T::Int64);
        assert_eq!(widen(&T::Int64, &T::Float32), T::Float64);
        assert_eq!(widen(&T::Float64, &T::Utf8), T::Utf8);
        assert_eq!(widen(&T::Boolean, &T::Int64), T::Utf8);
        assert_eq!(widen(&T::Null, &T::Date32), T::Date32);
        assert_eq!(widen(&T::Decimal128(10, 2), &T::Decimal128(8, 4)), T::Decimal128(12, 4));
    }

    #[test]
    fn numbers_of_several_files_keep_their_digits_in_any_order() {
        let file = |values: &[&str]| {
            let mut guess = windlass_formats::infer::Guess::default();
            for value in values {
                guess.add(value);
            }
            ("x.csv".to_owned(), Schema::new(vec![guess.field("x")]))
        };
        let cases: [(&[&[&str]], T); 6] = [
            (&[&["12345678901234567890.12"], &["0.5"], &["7"], &[]], T::Decimal128(22, 2)),
            (&[&["9007199254740993"], &["0.5"]], T::Decimal128(17, 1)),
            (&[&["0.5"], &["NaN"], &["7"]], T::Float64),
            (&[&["NaN"], &["inf"]], T::Utf8),
            (&[&["12345678901234567890.12"], &["1e9"]], T::Utf8),
            (&[&["7"], &["x"]], T::Utf8),
        ];
        for (files, expected) in cases {
            let mut schemas: Vec<(String, Schema)> =
                files.iter().map(|values| file(values)).collect();
            for _ in 0..2 {
                assert_eq!(*merge(&schemas)[0].field.data_type(), expected, "{files:?}");
                schemas.reverse();
            }
        }
    }
}
