//! Columns of files in OpenMetadata's words.

use arrow::datatypes::{DataType, Field, Fields};
use windlass_catalog::Column;
use windlass_catalog::types::{column, decimal, list, map, record};

/// A column of this field, with what is worth telling of it.
pub(super) fn of_field(field: &Field) -> Column {
    of_type(field.name(), field.data_type(), field.is_nullable())
}

fn members(fields: &Fields) -> Vec<Column> {
    fields.iter().map(|field| of_field(field)).collect()
}

fn of_type(name: &str, kind: &DataType, null: bool) -> Column {
    use DataType as T;
    let plain = |word: &str, display: &str| column(name, word, display, null);
    let bytes = |length: i64| Column { length: Some(length), ..plain("BINARY", "BYTEA") };
    match kind {
        T::Boolean => plain("BOOLEAN", "BOOLEAN"),
        T::Int8 => plain("TINYINT", "TINYINT"),
        T::Int16 => plain("SMALLINT", "SMALLINT"),
        T::Int32 => plain("INT", "INTEGER"),
        T::Int64 => plain("BIGINT", "BIGINT"),
        T::UInt8 => plain("UINT", "TINYINT UNSIGNED"),
        T::UInt16 => plain("UINT", "SMALLINT UNSIGNED"),
        T::UInt32 => plain("UINT", "INTEGER UNSIGNED"),
        T::UInt64 => plain("UINT", "BIGINT UNSIGNED"),
        T::Float16 | T::Float32 => plain("FLOAT", "REAL"),
        T::Float64 => plain("DOUBLE", "DOUBLE"),
        // Of null every value read of it is missing.
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null => plain("STRING", "TEXT"),
        T::Binary | T::LargeBinary | T::BinaryView => bytes(-1),
        T::FixedSizeBinary(length) => bytes(i64::from(*length)),
        T::Date32 | T::Date64 => plain("DATE", "DATE"),
        T::Time32(_) | T::Time64(_) => plain("TIME", "TIME"),
        T::Timestamp(_, None) => plain("TIMESTAMP", "TIMESTAMP"),
        T::Timestamp(_, Some(_)) => plain("TIMESTAMPZ", "TIMESTAMP WITH TIME ZONE"),
        T::Duration(_) | T::Interval(_) => plain("INTERVAL", "INTERVAL"),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            decimal(name, i32::from(*p), i32::from(*s), null)
        }
        T::List(item)
        | T::LargeList(item)
        | T::ListView(item)
        | T::LargeListView(item)
        | T::FixedSizeList(item, _) => list(name, of_field(item), null),
        T::Struct(fields) => record(name, members(fields), null),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(pair) if pair.len() == 2 => {
                map(name, of_field(&pair[0]), of_field(&pair[1]), null)
            }
            _ => plain("MAP", "MAP"),
        },
        T::Dictionary(_, value) => of_type(name, value, null),
        T::RunEndEncoded(_, value) => of_type(name, value.data_type(), null),
        T::Union(..) => plain("UNION", "TEXT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;
    use std::sync::Arc;

    #[test]
    fn what_theirs_loses_is_kept() {
        // Section 8: dates, digits of decimals, whole numbers with gaps, maps, lists of structs.
        let x = Field::new("x", DataType::Int64, true);
        let inner = DataType::Struct(vec![x].into());
        let item = Arc::new(Field::new("item", inner.clone(), true));
        let pair = vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Int64, true),
        ];
        let entries = Arc::new(Field::new("entries", DataType::Struct(pair.into()), false));
        let fields = [
            Field::new("d", DataType::Date32, false),
            Field::new("amount", DataType::Decimal128(10, 2), true),
            Field::new("n", DataType::Int64, true),
            Field::new("m", DataType::Map(entries, false), true),
            Field::new("l", DataType::List(item), true),
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
            Field::new(
                "word",
                DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
                true,
            ),
        ];
        let said: Vec<String> = fields
            .iter()
            .map(|field| {
                let c = of_field(field);
                let children: Vec<&str> =
                    c.children.iter().map(|child| child.name.as_str()).collect();
                format!(
                    "{} {} {} {:?} {:?} {}",
                    c.name,
                    c.data_type,
                    c.display,
                    c.array_data_type,
                    c.precision.zip(c.scale),
                    children.join(",")
                )
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        d DATE DATE None None 
        amount DECIMAL DECIMAL(10,2) None Some((10, 2)) 
        n BIGINT BIGINT None None 
        m MAP MAP<TEXT, BIGINT> None None key,value
        l ARRAY ARRAY<STRUCT<x BIGINT>> Some("STRUCT") None x
        at TIMESTAMP TIMESTAMP None None 
        word STRING TEXT None None 
        "#);
    }
}
