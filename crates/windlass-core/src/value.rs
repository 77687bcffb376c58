//! One value of a record batch as JSON or as plain text.
//!
//! Integers and finite floats are numbers, decimals text, NaN and infinity null, binary base64,
//! times RFC 3339 in UTC: the mapping is part of the contract.

use arrow::array::{Array, ArrayRef, AsArray as _, downcast_dictionary_array, downcast_run_array};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDateTime;
use std::fmt::Write as _;
use windlass_types::entry::rfc3339;

/// A value before it is written.
enum Value<'a> {
    Null,
    /// Written as it is in JSON.
    Literal(String),
    Text(&'a str),
    Owned(String),
    List(ArrayRef),
    /// Names and one-row columns.
    Record(Vec<(String, ArrayRef, usize)>),
    /// The same value, elsewhere.
    Inner(ArrayRef, usize),
}

macro_rules! number {
    ($array:expr, $row:expr, $kind:ty) => {
        Value::Literal($array.as_primitive::<$kind>().value($row).to_string())
    };
}

macro_rules! decimal {
    ($array:expr, $row:expr, $kind:ty) => {
        Value::Owned($array.as_primitive::<$kind>().value_as_string($row))
    };
}

macro_rules! time {
    ($array:expr, $row:expr, $kind:ty) => {{
        let array = $array.as_primitive::<$kind>();
        moment(array.value_as_datetime($row), array.value($row))
    }};
}

macro_rules! clock {
    ($array:expr, $row:expr, $kind:ty) => {{
        let array = $array.as_primitive::<$kind>();
        Value::Owned(array.value_as_time($row).map_or_else(
            || array.value($row).to_string(),
            |time| time.format("%H:%M:%S%.f").to_string(),
        ))
    }};
}

macro_rules! day {
    ($array:expr, $row:expr, $kind:ty) => {{
        let array = $array.as_primitive::<$kind>();
        Value::Owned(
            array
                .value_as_date($row)
                .map_or_else(|| array.value($row).to_string(), |day| day.to_string()),
        )
    }};
}

fn moment(time: Option<NaiveDateTime>, raw: i64) -> Value<'static> {
    Value::Owned(time.map_or_else(|| raw.to_string(), |time| rfc3339(&time.and_utc())))
}

fn float(number: f64) -> Value<'static> {
    serde_json::Number::from_f64(number)
        .map_or(Value::Null, |number| Value::Literal(number.to_string()))
}

fn short_float(number: f32) -> Value<'static> {
    if number.is_finite() {
        Value::Literal(serde_json::to_string(&number).unwrap_or_default())
    } else {
        Value::Null
    }
}

fn binary(bytes: &[u8]) -> Value<'static> {
    Value::Owned(STANDARD.encode(bytes))
}

fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Literal(array.as_boolean().value(row).to_string()),
        DataType::Int8 => number!(array, row, Int8Type),
        DataType::Int16 => number!(array, row, Int16Type),
        DataType::Int32 => number!(array, row, Int32Type),
        DataType::Int64 => number!(array, row, Int64Type),
        DataType::UInt8 => number!(array, row, UInt8Type),
        DataType::UInt16 => number!(array, row, UInt16Type),
        DataType::UInt32 => number!(array, row, UInt32Type),
        DataType::UInt64 => number!(array, row, UInt64Type),
        DataType::Float16 => short_float(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => short_float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => decimal!(array, row, Decimal32Type),
        DataType::Decimal64(..) => decimal!(array, row, Decimal64Type),
        DataType::Decimal128(..) => decimal!(array, row, Decimal128Type),
        DataType::Decimal256(..) => decimal!(array, row, Decimal256Type),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::Text(array.as_string_view().value(row)),
        DataType::Binary => binary(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => day!(array, row, Date32Type),
        DataType::Date64 => day!(array, row, Date64Type),
        DataType::Time32(TimeUnit::Second) => clock!(array, row, Time32SecondType),
        DataType::Time32(_) => clock!(array, row, Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => clock!(array, row, Time64MicrosecondType),
        DataType::Time64(_) => clock!(array, row, Time64NanosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => time!(array, row, TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            time!(array, row, TimestampMillisecondType)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            time!(array, row, TimestampMicrosecondType)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => time!(array, row, TimestampNanosecondType),
        DataType::List(_) => Value::List(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Value::List(array.as_list::<i64>().value(row)),
        DataType::ListView(_) => Value::List(array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => Value::List(array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => Value::List(array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            Value::Record(
                fields
                    .iter()
                    .zip(columns)
                    .map(|(field, column)| (field.name().clone(), column.clone(), row))
                    .collect(),
            )
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            Value::Record(
                (0..entries.len())
                    .map(|at| (text(keys.as_ref(), at).unwrap_or_default(), values.clone(), at))
                    .collect(),
            )
        }
        DataType::Union(..) => Value::Inner(array.as_union().value(row), 0),
        DataType::Dictionary(..) => downcast_dictionary_array! {
            array => match array.key(row) {
                Some(key) => Value::Inner(array.values().clone(), key),
                None => Value::Null,
            },
            _ => formatted(array, row),
        },
        DataType::RunEndEncoded(..) => downcast_run_array! {
            array => Value::Inner(array.values().clone(), array.get_physical_index(row)),
            _ => formatted(array, row),
        },
        _ => formatted(array, row),
    }
}

/// Durations and intervals: as Arrow writes them.
fn formatted(array: &dyn Array, row: usize) -> Value<'static> {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or(Value::Null, |formatter| Value::Owned(formatter.value(row).to_string()))
}

/// Appends the value as JSON.
pub fn json(array: &dyn Array, row: usize, out: &mut String) {
    match value(array, row) {
        Value::Null => out.push_str("null"),
        Value::Literal(text) => out.push_str(&text),
        Value::Text(text) => quote(text, out),
        Value::Owned(text) => quote(&text, out),
        Value::Inner(array, row) => json(array.as_ref(), row, out),
        Value::List(items) => {
            out.push('[');
            for at in 0..items.len() {
                if at > 0 {
                    out.push(',');
                }
                json(items.as_ref(), at, out);
            }
            out.push(']');
        }
        Value::Record(fields) => {
            out.push('{');
            for (at, (name, column, row)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                json(column.as_ref(), *row, out);
            }
            out.push('}');
        }
    }
}

/// The value as text for a table or CSV; None is null. Nested values are JSON.
pub fn text(array: &dyn Array, row: usize) -> Option<String> {
    match value(array, row) {
        // Not a number is null in JSON only: here it can be said.
        Value::Null if !array.is_null(row) => formatted_float(array, row),
        Value::Null => None,
        Value::Literal(text) | Value::Owned(text) => Some(text),
        Value::Text(text) => Some(text.to_owned()),
        Value::Inner(array, row) => text(array.as_ref(), row),
        Value::List(_) | Value::Record(_) => {
            let mut out = String::new();
            json(array, row, &mut out);
            Some(out)
        }
    }
}

fn formatted_float(array: &dyn Array, row: usize) -> Option<String> {
    if !array.data_type().is_floating() {
        return None;
    }
    match formatted(array, row) {
        Value::Owned(text) => Some(text),
        _ => None,
    }
}

/// Whether a character may move the cursor of a terminal, change colours or reorder what is shown.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{200e}' | '\u{200f}' | '\u{061c}')
}

/// Appends a JSON string; characters that may harm a terminal are escaped too.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
