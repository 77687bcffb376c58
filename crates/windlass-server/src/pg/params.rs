//! Values that a client binds to `$1`, `$2`, ...: from bytes to arrays of one row.

use super::types::{Carried, Column};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use pgwire::api::Type;
use std::fmt::Write as _;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Days from 1970 to 2000, where PostgreSQL's times begin.
const DAYS: i32 = 10_957;
/// The same in microseconds.
const MICROS: i64 = DAYS as i64 * 86_400_000_000;
/// Most digits of a decimal.
const DIGITS: usize = 38;

fn wrong(at: usize, why: &str) -> Error {
    Error::new(ErrorCode::SqlExecution, format!("the value of ${} {why}", at + 1))
}

/// [`read`], of a value whose type the client gives as an object id (0: it does not say).
pub(crate) fn read_as(
    at: usize,
    bytes: Option<&[u8]>,
    binary: bool,
    kind: &DataType,
    oid: u32,
) -> Result<ArrayRef> {
    match (Type::from_oid(oid), bytes) {
        // Here it is text; binary, and without hyphens, it is not yet.
        (Some(Type::UUID), Some(bytes)) => {
            let text = if binary { uuid(bytes) } else { uuid_of_text(bytes) };
            let text = text.ok_or_else(|| wrong(at, "is not a UUID"))?;
            read(at, Some(text.as_bytes()), false, kind)
        }
        // The number of its version comes first.
        (Some(Type::JSONB), Some(bytes)) if binary => {
            let text = bytes.strip_prefix(&[1u8]).ok_or_else(|| wrong(at, "is not JSON"))?;
            read(at, Some(text), false, kind)
        }
        _ => read(at, bytes, binary, kind),
    }
}

/// Reads the value of parameter `at` (from 0). `kind` is the type the query gives it; `binary` says
/// how the bytes are written.
pub(crate) fn read(
    at: usize,
    bytes: Option<&[u8]>,
    binary: bool,
    kind: &DataType,
) -> Result<ArrayRef> {
    let Some(bytes) = bytes else { return Ok(new_null_array(kind, 1)) };
    if !binary {
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(at, "is not UTF-8"))?;
        return from_text(at, text, kind);
    }
    let column = Column::of_type(kind);
    let array = if column.array {
        list(at, bytes, kind)?
    } else {
        item(bytes, column.item).ok_or_else(|| wrong(at, "does not fit its type"))?
    };
    to(at, &array, kind)
}

/// Reads a value written as text.
fn from_text(at: usize, text: &str, kind: &DataType) -> Result<ArrayRef> {
    let one = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    match kind {
        DataType::Utf8 => Ok(one(text)),
        DataType::Boolean => {
            let flag = match text.trim().to_ascii_lowercase().as_str() {
                "t" | "true" | "y" | "yes" | "on" | "1" => true,
                "f" | "false" | "n" | "no" | "off" | "0" => false,
                _ => return Err(wrong(at, &format!("is not a boolean: `{text}`"))),
            };
            Ok(Arc::new(BooleanArray::from(vec![flag])))
        }
        DataType::Binary => {
            let bytes = text.strip_prefix("\\x").and_then(unhex);
            let bytes = bytes.ok_or_else(|| wrong(at, "is not a bytea in hexadecimal digits"))?;
            Ok(Arc::new(BinaryArray::from_vec(vec![&bytes])))
        }
        DataType::Decimal128(..) => decimal(at, text),
        DataType::List(inner) => {
            let items = elements(text).ok_or_else(|| wrong(at, "is not an array"))?;
            let items = items
                .into_iter()
                .map(|item| match item {
                    Some(text) => from_text(at, &text, inner.data_type()),
                    None => Ok(new_null_array(inner.data_type(), 1)),
                })
                .collect::<Result<Vec<_>>>()?;
            gather(at, &items, inner.data_type())
        }
        // Drivers that do not know whether a date or a time is meant send a zone or a time with it, which
        // PostgreSQL leaves out too.
        DataType::Date32 => {
            let day = text.trim().split([' ', 'T']).next().unwrap_or_default();
            to(at, &one(day), kind)
        }
        kind => to(at, &one(text.trim()), kind),
    }
}

/// Casts, and refuses what would be lost.
fn to(at: usize, array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if array.data_type() == kind {
        return Ok(Arc::clone(array));
    }
    // A decimal keeps the digits it came with.
    if let (DataType::Decimal128(..), DataType::Decimal128(..)) = (array.data_type(), kind) {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array.as_ref(), kind, &options)
        .map_err(|error| wrong(at, "does not fit its type").source(error))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    digits.chunks(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect()
}

/// A UUID as it is written, from its bytes.
fn uuid(bytes: &[u8]) -> Option<String> {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes.try_into().ok()?));
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// The same of one that is written in another way PostgreSQL takes.
fn uuid_of_text(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let digits: String = text.trim().chars().filter(|c| !"{}-".contains(*c)).collect();
    uuid(&unhex(&digits)?)
}

/// A decimal of exactly the digits after the point that it has.
fn decimal(at: usize, text: &str) -> Result<ArrayRef> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && (!number.is_finite() || text.contains(['e', 'E']))
    {
        return Ok(Arc::new(Float64Array::from(vec![number])));
    }
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let kind = match (digits.max(scale), i8::try_from(scale)) {
        (digits, Ok(scale)) if digits <= DIGITS => DataType::Decimal128(38, scale),
        _ => return Err(wrong(at, "has more than 38 digits")),
    };
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array.as_ref(), &kind, &options)
        .map_err(|error| wrong(at, &format!("is not a number: `{text}`")).source(error))
}

/// The elements of an array written as text; None if it is not one, or has more than one dimension.
fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut out = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(out);
    }
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut item = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => item.push(chars.next()?),
                    c => item.push(c),
                }
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            out.push(Some(item));
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                match c {
                    '{' | '}' | '"' => return None,
                    '\\' => item.push(chars.next()?),
                    c => item.push(c),
                }
            }
            let item = item.trim();
            out.push((!item.eq_ignore_ascii_case("null")).then(|| item.to_owned()));
        }
        match chars.next() {
            None => return Some(out),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

fn gather(at: usize, items: &[ArrayRef], kind: &DataType) -> Result<ArrayRef> {
    let parts: Vec<&dyn arrow::array::Array> = items.iter().map(AsRef::as_ref).collect();
    let values = if parts.is_empty() {
        new_null_array(kind, 0)
    } else {
        concat(&parts).map_err(|error| wrong(at, "is not an array of one type").source(error))?
    };
    let field = Field::new_list_field(values.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(Arc::new(ListArray::new(field.into(), offsets, values, None)))
}

/// Reads bytes from the front.
struct Front<'a>(&'a [u8]);

impl<'a> Front<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }
}

fn list(at: usize, bytes: &[u8], kind: &DataType) -> Result<ArrayRef> {
    let DataType::List(inner) = kind else { return Err(wrong(at, "is not an array")) };
    let item_kind = Column::of_type(inner.data_type()).item;
    let read = || {
        let mut front = Front(bytes);
        let dimensions = front.i32()?;
        let (_, element) = (front.i32()?, front.i32()?);
        let uuids = u32::try_from(element).ok() == Some(Type::UUID.oid());
        if dimensions == 0 {
            return Some(Vec::new());
        }
        let (length, _) = (front.i32()?, front.i32()?);
        // Each element has at least its length.
        let most = front.0.len() / 4;
        let length = usize::try_from(length).ok().filter(|n| dimensions == 1 && *n <= most)?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(match usize::try_from(front.i32()?) {
                Ok(size) if uuids => {
                    Arc::new(StringArray::from(vec![uuid(front.take(size)?)?])) as ArrayRef
                }
                Ok(size) => item(front.take(size)?, item_kind)?,
                Err(_) => new_null_array(inner.data_type(), 1),
            });
        }
        Some(items)
    };
    let items = read().ok_or_else(|| wrong(at, "is not an array of one dimension"))?;
    let items =
        items.iter().map(|item| to(at, item, inner.data_type())).collect::<Result<Vec<_>>>()?;
    gather(at, &items, inner.data_type())
}

/// One value in binary.
fn item(bytes: &[u8], kind: Carried) -> Option<ArrayRef> {
    let integer = || {
        Some(match bytes.len() {
            1 => i64::from(i8::from_be_bytes(bytes.try_into().ok()?)),
            2 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
            4 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            8 => i64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        })
    };
    Some(match kind {
        Carried::Bool => Arc::new(BooleanArray::from(vec![*bytes.first()? != 0])),
        Carried::Int2 | Carried::Int4 | Carried::Int8 | Carried::Oid => {
            Arc::new(Int64Array::from(vec![integer()?]))
        }
        Carried::Float4 | Carried::Float8 => match bytes.len() {
            4 => Arc::new(Float32Array::from(vec![f32::from_be_bytes(bytes.try_into().ok()?)])),
            _ => Arc::new(Float64Array::from(vec![f64::from_be_bytes(bytes.try_into().ok()?)])),
        },
        Carried::Numeric => numeric(bytes)?,
        Carried::Text | Carried::Char | Carried::Json => {
            Arc::new(StringArray::from(vec![std::str::from_utf8(bytes).ok()?]))
        }
        Carried::Bytea => Arc::new(BinaryArray::from_vec(vec![bytes])),
        Carried::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            Arc::new(Date32Array::from(vec![days.checked_add(DAYS)?]))
        }
        Carried::Time => Arc::new(Time64MicrosecondArray::from(vec![integer()?])),
        Carried::Timestamp => {
            Arc::new(TimestampMicrosecondArray::from(vec![integer()?.checked_add(MICROS)?]))
        }
        Carried::TimestampTz => Arc::new(
            TimestampMicrosecondArray::from(vec![integer()?.checked_add(MICROS)?])
                .with_timezone("UTC"),
        ),
        Carried::Interval => {
            let mut front = Front(bytes);
            let micros = i64::from_be_bytes(front.take(8)?.try_into().ok()?);
            let (days, months) = (front.i32()?, front.i32()?);
            let value = IntervalMonthDayNano::new(months, days, micros.checked_mul(1000)?);
            Arc::new(IntervalMonthDayNanoArray::from(vec![value]))
        }
    })
}

fn numeric(bytes: &[u8]) -> Option<ArrayRef> {
    let mut front = Front(bytes);
    let count = usize::try_from(front.i16()?).ok()?;
    let weight = front.i16()?;
    let sign = u16::from_be_bytes(front.take(2)?.try_into().ok()?);
    let scale = usize::try_from(front.i16()?).ok()?;
    match sign {
        0xC000 => return Some(Arc::new(Float64Array::from(vec![f64::NAN]))),
        0xD000 => return Some(Arc::new(Float64Array::from(vec![f64::INFINITY]))),
        0xF000 => return Some(Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
        _ => {}
    }
    let groups = (0..count).map(|_| front.i16()).collect::<Option<Vec<_>>>()?;
    // More would be beyond what a decimal holds.
    if !(-100..=100).contains(&weight) || scale > 1000 {
        return None;
    }
    let group = |at: i16| -> i16 {
        usize::try_from(weight - at).ok().and_then(|n| groups.get(n)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    for at in (0..=weight.max(0)).rev() {
        let _ = write!(text, "{:04}", group(at));
    }
    if scale > 0 {
        text.push('.');
        let mut fraction = String::new();
        let mut at = -1;
        while fraction.len() < scale {
            let _ = write!(fraction, "{:04}", group(at));
            at -= 1;
        }
        text.push_str(&fraction[..scale]);
    }
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let trimmed = digits.trim_start_matches('0');
    let trimmed = if trimmed.is_empty() || trimmed.starts_with('.') {
        format!("{minus}0{trimmed}")
    } else {
        format!("{minus}{trimmed}")
    };
    decimal(0, &trimmed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    fn shown(array: &ArrayRef) -> String {
        windlass_core::value::text(array.as_ref(), 0).unwrap_or_else(|| "NULL".to_owned())
    }

    fn text(value: &str, kind: &DataType) -> String {
        match read(0, Some(value.as_bytes()), false, kind) {
            Ok(array) => shown(&array),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn texts_become_values_of_the_type_they_are_compared_with() {
        let list = |item: DataType| DataType::List(Field::new_list_field(item, true).into());
        assert_eq!(text("42", &DataType::Int64), "42");
        assert_eq!(text("x", &DataType::Int64), "the value of $1 does not fit its type");
        assert_eq!(text("12.340", &DataType::Decimal128(38, 10)), "12.340");
        assert_eq!(text("-0.5", &DataType::Decimal128(38, 10)), "-0.5");
        assert_eq!(text("t", &DataType::Boolean), "true");
        assert_eq!(text("1969-12-31", &DataType::Date32), "1969-12-31");
        assert_eq!(text("2026-01-02 +00", &DataType::Date32), "2026-01-02");
        assert_eq!(
            text(
                "2024-01-01 10:00:00+02",
                &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            ),
            "2024-01-01T08:00:00Z"
        );
        assert_eq!(text(r"{1,NULL,3}", &list(DataType::Int64)), "[1,null,3]");
        assert_eq!(text(r#"{"a b",c\,d,"q\""}"#, &list(DataType::Utf8)), r#"["a b","c,d","q\""]"#);
        assert_eq!(text("{}", &list(DataType::Int64)), "[]");
        assert_eq!(text("{{1}}", &list(DataType::Int64)), "the value of $1 is not an array");
    }

    #[test]
    fn a_uuid_is_text_however_it_is_sent() {
        let (kind, oid) = (DataType::Utf8, Type::UUID.oid());
        let sent = |bytes: &[u8], binary: bool| match read_as(0, Some(bytes), binary, &kind, oid) {
            Ok(array) => shown(&array),
            Err(error) => error.message().to_owned(),
        };
        let five = "00000000-0000-0000-0000-000000000005";
        assert_eq!(sent(&5u128.to_be_bytes(), true), five);
        assert_eq!(sent(five.as_bytes(), false), five);
        assert_eq!(sent(five.replace('-', "").as_bytes(), false), five);
        let wrong: [(&[u8], bool); 3] = [(b"short", true), (b"short", false), (b"\xff", false)];
        for (bytes, binary) in wrong {
            assert_eq!(sent(bytes, binary), "the value of $1 is not a UUID");
        }
        let json = read_as(0, Some(&b"\x01{}"[..]), true, &kind, Type::JSONB.oid());
        assert_eq!(shown(&json.unwrap()), "{}");
    }

    #[test]
    fn binary_values_are_read_and_bad_ones_refused() {
        let binary = |bytes: &[u8], kind: &DataType| match read(0, Some(bytes), true, kind) {
            Ok(array) => shown(&array),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(binary(&7i32.to_be_bytes(), &DataType::Int64), "7");
        assert_eq!(binary(&(-10_958i32).to_be_bytes(), &DataType::Date32), "1969-12-31");
        // -12345.6789, as PostgreSQL packs it.
        let packed: Vec<u8> =
            [3i16, 1, 0x4000, 4, 1, 2345, 6789].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(binary(&packed, &DataType::Decimal128(38, 10)), "-12345.6789");
        let small: Vec<u8> =
            [2i16, -1, 0, 5, 1, 2000].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(binary(&small, &DataType::Decimal128(38, 10)), "0.00012");
        for kind in [DataType::Int64, DataType::Date32, DataType::Decimal128(38, 10)] {
            assert!(binary(&[1, 2, 3], &kind).starts_with("the value of $1"), "{kind}");
        }
        let list = DataType::List(Field::new_list_field(DataType::Int64, true).into());
        // Says it has a thousand million elements, and has none.
        let huge: Vec<u8> =
            [1, 0, 20, 1_000_000_000, 1].iter().flat_map(|n: &i32| n.to_be_bytes()).collect();
        assert!(binary(&huge, &list).starts_with("the value of $1"));
    }
}
