//! The type two files fit.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use std::sync::Arc;

/// The key of a note in the metadata of a field.
pub const NOTE: &str = "windlass.note";

/// The type both fit: whole numbers to BIGINT, then DOUBLE, then TEXT.
pub fn widen(a: &DataType, b: &DataType) -> DataType {
    use DataType as T;
    match (a, b) {
        _ if a == b => a.clone(),
        (T::Null, other) | (other, T::Null) => other.clone(),
        (T::UInt64, other) | (other, T::UInt64) if other.is_signed_integer() => {
            T::Decimal128(20, 0)
        }
        (T::UInt64, other) | (other, T::UInt64) if other.is_unsigned_integer() => T::UInt64,
        _ if a.is_integer() && b.is_integer() => T::Int64,
        (T::Decimal128(precision, scale), T::Decimal128(other, digits)) => {
            let most = *scale.max(digits);
            let whole = (i16::from(*precision) - i16::from(*scale))
                .max(i16::from(*other) - i16::from(*digits));
            match u8::try_from(whole + i16::from(most)) {
                Ok(precision) if precision <= 38 => T::Decimal128(precision, most),
                _ => T::Float64,
            }
        }
        (T::Decimal128(precision, scale), other) | (other, T::Decimal128(precision, scale))
            if other.is_integer() =>
        {
            // The digits of the whole number before the point, those of the decimal after it.
            let whole = (i16::from(*precision) - i16::from(*scale)).max(19);
            match u8::try_from(whole + i16::from(*scale)) {
                Ok(precision) if precision <= 38 => T::Decimal128(precision, *scale),
                _ => T::Float64,
            }
        }
        _ if a.is_numeric() && b.is_numeric() => T::Float64,
        (T::Date32, T::Timestamp(unit, zone)) | (T::Timestamp(unit, zone), T::Date32) => {
            T::Timestamp(*unit, zone.clone())
        }
        (T::Timestamp(unit, zone), T::Timestamp(finer, other)) if zone == other => {
            T::Timestamp(*unit.max(finer).max(&TimeUnit::Microsecond), zone.clone())
        }
        (T::Struct(x), T::Struct(y)) => T::Struct(widen_fields(x, y)),
        (T::List(x), T::List(y)) => {
            T::List(Arc::new(Field::new(x.name(), widen(x.data_type(), y.data_type()), true)))
        }
        (T::LargeUtf8, T::Utf8) | (T::Utf8, T::LargeUtf8) => T::LargeUtf8,
        _ => T::Utf8,
    }
}

fn widen_fields(a: &Fields, b: &Fields) -> Fields {
    let mut fields: Vec<Field> = a.iter().map(|field| field.as_ref().clone()).collect();
    for field in b {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => {
                let kind = widen(known.data_type(), field.data_type());
                known.set_data_type(kind);
            }
            None => fields.push(field.as_ref().clone().with_nullable(true)),
        }
    }
    fields.into()
}

/// Whether a column of this type has texts where a row has an object or a list.
pub fn loses(kind: &DataType, of_row: &DataType) -> bool {
    match (kind, of_row) {
        (DataType::Utf8, nested) => nested.is_nested(),
        (DataType::List(kind), DataType::List(of_row)) => {
            loses(kind.data_type(), of_row.data_type())
        }
        (DataType::Struct(fields), DataType::Struct(of_row)) => of_row.iter().any(|field| {
            let known = fields.iter().find(|known| known.name() == field.name());
            known.is_some_and(|known| loses(known.data_type(), field.data_type()))
        }),
        _ => false,
    }
}

/// A type as SQL names it.
pub fn sql(kind: &DataType) -> String {
    use DataType as T;
    match kind {
        T::Boolean => "BOOLEAN".to_owned(),
        T::Int8 => "TINYINT".to_owned(),
        T::Int16 => "SMALLINT".to_owned(),
        T::Int32 => "INTEGER".to_owned(),
        T::Int64 => "BIGINT".to_owned(),
        T::UInt8 => "TINYINT UNSIGNED".to_owned(),
        T::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        T::UInt32 => "INTEGER UNSIGNED".to_owned(),
        T::UInt64 => "BIGINT UNSIGNED".to_owned(),
        T::Float16 | T::Float32 => "REAL".to_owned(),
        T::Float64 => "DOUBLE".to_owned(),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "TEXT".to_owned(),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "BYTEA".to_owned(),
        T::Date32 | T::Date64 => "DATE".to_owned(),
        T::Time32(_) | T::Time64(_) => "TIME".to_owned(),
        T::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        T::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            format!("DECIMAL({p}, {s})")
        }
        T::List(item) | T::LargeList(item) | T::ListView(item) => {
            format!("{}[]", sql(item.data_type()))
        }
        T::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), sql(field.data_type())))
                .collect();
            format!("STRUCT({})", fields.join(", "))
        }
        T::Dictionary(_, value) => sql(value),
        other => other.to_string(),
    }
}

/// The type a column of this type of a file has in a table: dictionaries are their values, views and
/// large texts are plain ones, unions are text.
pub fn plain(kind: &DataType) -> DataType {
    use DataType as T;
    let field =
        |field: &Arc<Field>| Arc::new(Field::new(field.name(), plain(field.data_type()), true));
    match kind {
        T::Dictionary(_, value) => plain(value),
        T::RunEndEncoded(_, value) => plain(value.data_type()),
        T::LargeUtf8 | T::Utf8View | T::Union(..) => T::Utf8,
        T::LargeBinary | T::BinaryView => T::Binary,
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) => {
            T::List(Arc::new(Field::new("item", plain(item.data_type()), true)))
        }
        T::Struct(fields) => T::Struct(fields.iter().map(field).collect()),
        T::Timestamp(unit, Some(_)) => T::Timestamp(*unit, Some("UTC".into())),
        other => other.clone(),
    }
}

/// All columns of a file with the types a table has.
pub fn plain_schema(schema: &arrow::datatypes::Schema) -> arrow::datatypes::Schema {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), plain(field.data_type()), true))
        .collect();
    arrow::datatypes::Schema::new(fields)
}
