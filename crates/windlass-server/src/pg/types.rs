//! Which of PostgreSQL's types a column is, and which column a parameter is.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use pgwire::api::Type;

/// Marks columns of the catalogue that hold object ids; the value names the type.
const OID_MARK: &str = "pg.oid_alias";
/// Marks columns of the catalogue that hold one character.
const CHAR_MARK: &str = "pg.char";

/// How a value is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Bool,
    Int2,
    Int4,
    Int8,
    /// An object id: four bytes without a sign.
    Oid,
    /// One byte.
    Char,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Json,
}

impl Carried {
    /// PostgreSQL's type, and that of arrays of it.
    pub(crate) fn types(self) -> (Type, Type) {
        match self {
            Self::Bool => (Type::BOOL, Type::BOOL_ARRAY),
            Self::Int2 => (Type::INT2, Type::INT2_ARRAY),
            Self::Int4 => (Type::INT4, Type::INT4_ARRAY),
            Self::Int8 => (Type::INT8, Type::INT8_ARRAY),
            Self::Oid => (Type::OID, Type::OID_ARRAY),
            Self::Char => (Type::CHAR, Type::CHAR_ARRAY),
            Self::Float4 => (Type::FLOAT4, Type::FLOAT4_ARRAY),
            Self::Float8 => (Type::FLOAT8, Type::FLOAT8_ARRAY),
            Self::Numeric => (Type::NUMERIC, Type::NUMERIC_ARRAY),
            Self::Text => (Type::TEXT, Type::TEXT_ARRAY),
            Self::Bytea => (Type::BYTEA, Type::BYTEA_ARRAY),
            Self::Date => (Type::DATE, Type::DATE_ARRAY),
            Self::Time => (Type::TIME, Type::TIME_ARRAY),
            Self::Timestamp => (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
            Self::TimestampTz => (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
            Self::Interval => (Type::INTERVAL, Type::INTERVAL_ARRAY),
            Self::Json => (Type::JSON, Type::JSON_ARRAY),
        }
    }

    /// Bytes of a value; negative if they vary.
    const fn size(self) -> i16 {
        match self {
            Self::Bool | Self::Char => 1,
            Self::Int2 => 2,
            Self::Int4 | Self::Oid | Self::Float4 | Self::Date => 4,
            Self::Int8 | Self::Float8 | Self::Time | Self::Timestamp | Self::TimestampTz => 8,
            Self::Interval => 16,
            Self::Numeric | Self::Text | Self::Bytea | Self::Json => -1,
        }
    }
}

/// How a column is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// One value, or one value of its arrays.
    pub(crate) item: Carried,
    /// Arrays of it.
    pub(crate) array: bool,
    /// The type that is told.
    pub(crate) kind: Type,
    /// PostgreSQL's modifier of it: precision and scale of a decimal.
    pub(crate) modifier: i32,
}

impl Column {
    /// How values of a field are carried.
    pub(crate) fn of(field: &Field) -> Self {
        let mark = field.metadata().get(OID_MARK).map(String::as_str);
        if matches!(field.data_type(), DataType::Int32 | DataType::Int64 | DataType::UInt32)
            && let Some(kind) = mark.map(oid_type)
        {
            return Self { item: Carried::Oid, array: false, kind, modifier: -1 };
        }
        if field.metadata().contains_key(CHAR_MARK) && text(field.data_type()) {
            return Self { item: Carried::Char, array: false, kind: Type::CHAR, modifier: -1 };
        }
        Self::of_type(field.data_type())
    }

    /// How values of a type are carried.
    pub(crate) fn of_type(kind: &DataType) -> Self {
        if let Some(item) = carried(kind) {
            let modifier = match kind {
                // As PostgreSQL packs numeric(p, s).
                DataType::Decimal32(p, s)
                | DataType::Decimal64(p, s)
                | DataType::Decimal128(p, s)
                | DataType::Decimal256(p, s)
                    if *s >= 0 =>
                {
                    (i32::from(*p) << 16 | i32::from(*s)) + 4
                }
                _ => -1,
            };
            return Self { item, array: false, kind: item.types().0, modifier };
        }
        match kind {
            DataType::List(inner)
            | DataType::LargeList(inner)
            | DataType::ListView(inner)
            | DataType::LargeListView(inner)
            | DataType::FixedSizeList(inner, _) => match carried(inner.data_type()) {
                Some(item) => Self { item, array: true, kind: item.types().1, modifier: -1 },
                // Arrays of arrays may differ in length, which PostgreSQL's may not.
                None => Self::json(),
            },
            DataType::Dictionary(_, inner) => Self::of_type(inner),
            DataType::RunEndEncoded(_, inner) => Self::of_type(inner.data_type()),
            _ => Self::json(),
        }
    }

    fn json() -> Self {
        Self { item: Carried::Json, array: false, kind: Type::JSON, modifier: -1 }
    }

    /// Bytes of a value; negative if they vary.
    pub(crate) fn size(&self) -> i16 {
        if self.array { -1 } else { self.item.size() }
    }
}

fn text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn oid_type(name: &str) -> Type {
    match name {
        "regproc" => Type::REGPROC,
        "regprocedure" => Type::REGPROCEDURE,
        "regclass" => Type::REGCLASS,
        "regtype" => Type::REGTYPE,
        "regnamespace" => Type::REGNAMESPACE,
        "regrole" => Type::REGROLE,
        _ => Type::OID,
    }
}

fn carried(kind: &DataType) -> Option<Carried> {
    Some(match kind {
        DataType::Boolean => Carried::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Carried::Int2,
        DataType::Int32 | DataType::UInt16 => Carried::Int4,
        DataType::Int64 | DataType::UInt32 => Carried::Int8,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Carried::Numeric,
        DataType::Float16 | DataType::Float32 => Carried::Float4,
        DataType::Float64 => Carried::Float8,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Carried::Text,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Carried::Bytea,
        DataType::Date32 | DataType::Date64 => Carried::Date,
        DataType::Time32(_) | DataType::Time64(_) => Carried::Time,
        DataType::Timestamp(_, None) => Carried::Timestamp,
        DataType::Timestamp(_, Some(_)) => Carried::TimestampTz,
        DataType::Duration(_) | DataType::Interval(_) => Carried::Interval,
        _ => return None,
    })
}

/// The type a parameter has in a query, by the object id a client gives. None: the query says.
pub(crate) fn parameter(oid: u32) -> Option<DataType> {
    let list = |item: DataType| DataType::List(Field::new_list_field(item, true).into());
    let micros = TimeUnit::Microsecond;
    Some(match Type::from_oid(oid)? {
        Type::BOOL => DataType::Boolean,
        // Of the widest kind, so that LIMIT and others take what a client sends as small.
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(micros),
        Type::TIMESTAMP => DataType::Timestamp(micros, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(micros, Some("UTC".into())),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::BOOL_ARRAY => list(DataType::Boolean),
        Type::INT2_ARRAY | Type::INT4_ARRAY | Type::INT8_ARRAY => list(DataType::Int64),
        Type::FLOAT4_ARRAY => list(DataType::Float32),
        Type::FLOAT8_ARRAY => list(DataType::Float64),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::UUID_ARRAY => list(DataType::Utf8),
        Type::BYTEA_ARRAY => list(DataType::Binary),
        Type::DATE_ARRAY => list(DataType::Date32),
        Type::TIMESTAMP_ARRAY => list(DataType::Timestamp(micros, None)),
        Type::TIMESTAMPTZ_ARRAY => list(DataType::Timestamp(micros, Some("UTC".into()))),
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::CHAR
        | Type::JSON
        | Type::JSONB
        | Type::UUID
        | Type::XML => DataType::Utf8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_of_postgresqls() {
        let of = |kind: DataType| {
            let column = Column::of_type(&kind);
            (column.kind, column.modifier)
        };
        let list = |item: DataType| DataType::List(Field::new_list_field(item, true).into());
        assert_eq!(of(DataType::UInt64), (Type::NUMERIC, -1));
        assert_eq!(of(DataType::UInt32), (Type::INT8, -1));
        assert_eq!(of(DataType::Decimal128(12, 2)), (Type::NUMERIC, (12 << 16 | 2) + 4));
        assert_eq!(of(list(DataType::Utf8)), (Type::TEXT_ARRAY, -1));
        assert_eq!(of(list(list(DataType::Utf8))), (Type::JSON, -1));
        assert_eq!(
            of(DataType::Struct(vec![Field::new("a", DataType::Int8, true)].into())).0,
            Type::JSON
        );
        assert_eq!(
            of(DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into())).0,
            Type::TEXT
        );
        assert_eq!(
            of(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))).0,
            Type::TIMESTAMPTZ
        );
    }
}
