//! Rows as JSON, by the contract: integers and finite floats are numbers, decimals text, NaN and
//! infinity null, binary base64, times RFC 3339 UTC.

use arrow::array::{Array, ArrowPrimitiveType, AsArray as _, PrimitiveArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use windlass_types::entry::rfc3339;
use windlass_types::{Error, ErrorCode, Result};

fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Value
where
    T::Native: Into<Value>,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    array.value(row).into()
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The value of one cell.
pub fn value(array: &dyn Array, row: usize) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number::<Int8Type>(array, row),
        DataType::Int16 => number::<Int16Type>(array, row),
        DataType::Int32 => number::<Int32Type>(array, row),
        DataType::Int64 => number::<Int64Type>(array, row),
        DataType::UInt8 => number::<UInt8Type>(array, row),
        DataType::UInt16 => number::<UInt16Type>(array, row),
        DataType::UInt32 => number::<UInt32Type>(array, row),
        DataType::UInt64 => number::<UInt64Type>(array, row),
        DataType::Float16 => {
            float(f64::from(array.as_primitive::<Float16Type>().value(row).to_f32()))
        }
        // Through its own shortest text, so that 0.1 stays 0.1.
        DataType::Float32 => {
            let number = array.as_primitive::<Float32Type>().value(row);
            number.to_string().parse().map_or(Value::Null, float)
        }
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => STANDARD.encode(array.as_binary::<i32>().value(row)).into(),
        DataType::LargeBinary => STANDARD.encode(array.as_binary::<i64>().value(row)).into(),
        DataType::BinaryView => STANDARD.encode(array.as_binary_view().value(row)).into(),
        DataType::FixedSizeBinary(_) => {
            STANDARD.encode(array.as_fixed_size_binary().value(row)).into()
        }
        DataType::Timestamp(unit, _) => timestamp(array, *unit, row).into(),
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let mut object = Map::new();
            for (index, field) in fields.iter().enumerate() {
                object.insert(field.name().clone(), value(array.column(index), row)?);
            }
            Value::Object(object)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let mut object = Map::new();
            for index in 0..entries.len() {
                let key = match value(entries.column(0), index)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                object.insert(key, value(entries.column(1), index)?);
            }
            Value::Object(object)
        }
        DataType::Dictionary(..) => {
            let array = array.as_any_dictionary();
            let key = array.normalized_keys()[row];
            value(array.values(), key)?
        }
        _ => text(array, row)?.into(),
    })
}

fn list(items: &dyn Array) -> Result<Value> {
    (0..items.len()).map(|row| value(items, row)).collect::<Result<Vec<_>>>().map(Value::Array)
}

/// Decimals, dates, times of day, durations, intervals: as Arrow prints them.
fn text(array: &dyn Array, row: usize) -> Result<String> {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).map_err(|error| {
        Error::new(ErrorCode::Internal, "a value cannot be printed").source(error)
    })?;
    Ok(formatter.value(row).to_string())
}

/// A time without zone is taken as UTC. What chrono cannot hold is printed as its number.
fn timestamp(array: &dyn Array, unit: TimeUnit, row: usize) -> String {
    use arrow::datatypes::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    };
    let (raw, time): (i64, Option<DateTime<Utc>>) = match unit {
        TimeUnit::Second => {
            let raw = array.as_primitive::<TimestampSecondType>().value(row);
            (raw, DateTime::from_timestamp(raw, 0))
        }
        TimeUnit::Millisecond => {
            let raw = array.as_primitive::<TimestampMillisecondType>().value(row);
            (raw, DateTime::from_timestamp_millis(raw))
        }
        TimeUnit::Microsecond => {
            let raw = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (raw, DateTime::from_timestamp_micros(raw))
        }
        TimeUnit::Nanosecond => {
            let raw = array.as_primitive::<TimestampNanosecondType>().value(row);
            (raw, Some(DateTime::from_timestamp_nanos(raw)))
        }
    };
    time.map_or_else(|| raw.to_string(), |time| rfc3339(&time))
}

/// The rows of a batch as objects.
pub fn objects(batch: &RecordBatch) -> Result<Vec<Value>> {
    let schema = batch.schema();
    (0..batch.num_rows())
        .map(|row| {
            let mut object = Map::new();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                object.insert(field.name().clone(), value(column, row)?);
            }
            Ok(Value::Object(object))
        })
        .collect()
}

/// The rows of a batch as JSON lines.
pub fn lines(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for object in objects(batch)? {
        serde_json::to_writer(&mut bytes, &object).map_err(|error| {
            Error::new(ErrorCode::Internal, "a row cannot be printed").source(error)
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, ListArray,
        TimestampNanosecondArray,
    };
    use std::sync::Arc;

    #[test]
    fn values_follow_the_contract() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("f", Arc::new(Float64Array::from(vec![f64::NAN, 1.5]))),
            ("g", Arc::new(Float32Array::from(vec![f32::INFINITY, 0.1]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![12345, -5]).with_precision_and_scale(10, 2).unwrap(),
                ),
            ),
            ("b", Arc::new(BinaryArray::from(vec![b"\xff\x00".as_slice(), b""]))),
            (
                "t",
                Arc::new(TimestampNanosecondArray::from(vec![
                    Some(1_700_000_000_500_000_000),
                    None,
                ])),
            ),
            ("day", Arc::new(Date32Array::from(vec![0, 20_000]))),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
                    Some(vec![Some(1), None]),
                    Some(vec![]),
                ])),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        insta::assert_snapshot!(String::from_utf8(lines(&batch).unwrap()).unwrap(), @r#"
        {"f":null,"g":null,"d":"123.45","b":"/wA=","t":"2023-11-14T22:13:20.500Z","day":"1970-01-01","l":[1,null]}
        {"f":1.5,"g":0.1,"d":"-0.05","b":"","t":null,"day":"2024-10-04","l":[]}
        "#);
    }
}
