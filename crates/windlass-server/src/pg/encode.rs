//! Values as PostgreSQL's protocol carries them, as text and in binary.

use super::types::{Carried, Column};
use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit, SchemaRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use bytes::{BufMut as _, BytesMut};
use chrono::{
    DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, Timelike as _,
};
use chrono_tz::Tz;
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use std::fmt::Write as _;
use windlass_core::value;
use windlass_types::{Error, ErrorCode, Result};

/// Days from 1970 to 2000, where PostgreSQL's times begin.
const DAYS: i32 = 10_957;
/// The same in microseconds.
const MICROS: i64 = DAYS as i64 * 86_400_000_000;

/// How the rows of an answer are carried.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    names: Vec<String>,
    /// By column: binary, not text.
    binary: Vec<bool>,
}

impl Rows {
    /// Rows of a schema in formats as a Bind says: none is text, one is for all columns.
    pub(crate) fn new(schema: &SchemaRef, formats: &[i16]) -> Self {
        let columns: Vec<Column> = schema.fields().iter().map(|field| Column::of(field)).collect();
        let binary = (0..columns.len())
            .map(|at| match formats {
                [] => false,
                [all] => *all == 1,
                each => each.get(at) == Some(&1),
            })
            .collect();
        let names = schema.fields().iter().map(|field| field.name().replace('\0', "")).collect();
        Self { columns, names, binary }
    }

    /// The message that tells of the columns.
    pub(crate) fn description(&self) -> RowDescription {
        let fields = self.names.iter().zip(&self.columns).zip(&self.binary);
        RowDescription::new(
            fields
                .map(|((name, column), binary)| {
                    FieldDescription::new(
                        name.clone(),
                        0,
                        0,
                        column.kind.oid(),
                        column.size(),
                        column.modifier,
                        i16::from(*binary),
                    )
                })
                .collect(),
        )
    }

    /// A batch whose values are of the few types that are carried.
    pub(crate) fn prepare(&self, batch: &RecordBatch) -> Result<Prepared> {
        let columns = batch.columns().iter().zip(&self.columns);
        Ok(Prepared {
            rows: batch.num_rows(),
            columns: columns
                .map(|(array, column)| Plain::new(array, column.item, column.array))
                .collect::<Result<_>>()?,
        })
    }

    /// One row as a message.
    pub(crate) fn row(&self, batch: &Prepared, row: usize, zone: Tz) -> Result<DataRow> {
        let mut data = BytesMut::new();
        for (column, binary) in batch.columns.iter().zip(&self.binary) {
            column.put(row, *binary, zone, &mut data)?;
        }
        let count = i16::try_from(batch.columns.len()).map_err(|_| {
            Error::new(ErrorCode::StatementUnsupported, "more than 32,767 columns cannot be sent")
                .hint("choose columns")
        })?;
        Ok(DataRow::new(data, count))
    }

    /// One value as text; None is null.
    pub(crate) fn text(batch: &Prepared, row: usize, column: usize, zone: Tz) -> Option<String> {
        batch.columns.get(column)?.text(row, zone)
    }
}

/// A batch ready to be carried.
pub(crate) struct Prepared {
    pub(crate) rows: usize,
    columns: Vec<Plain>,
}

impl Prepared {
    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }
}

/// A column whose values are of a type that is carried.
struct Plain {
    array: ArrayRef,
    item: Carried,
    list: bool,
}

impl Plain {
    fn new(array: &ArrayRef, item: Carried, list: bool) -> Result<Self> {
        let target = target(item);
        let target = match (&target, list) {
            (Some(target), true) => {
                let field = arrow::datatypes::Field::new_list_field(target.clone(), true);
                Some(DataType::List(field.into()))
            }
            (None, true) => match array.data_type() {
                DataType::Dictionary(_, inner) => Some(inner.as_ref().clone()),
                DataType::LargeList(inner)
                | DataType::ListView(inner)
                | DataType::LargeListView(inner)
                | DataType::FixedSizeList(inner, _) => Some(DataType::List(inner.clone())),
                _ => None,
            },
            (target, false) => target.clone(),
        };
        let array = match target {
            Some(target) if *array.data_type() != target => cast(array, &target).map_err(unfit)?,
            _ => array.clone(),
        };
        Ok(Self { array, item, list })
    }

    fn put(&self, row: usize, binary: bool, zone: Tz, out: &mut BytesMut) -> Result<()> {
        if self.array.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let at = out.len();
        out.put_i32(0);
        if self.list {
            let items = self.array.as_list::<i32>().value(row);
            if binary {
                list_binary(self.item, &items, zone, out)?;
            } else {
                out.put_slice(list_text(self.item, &items, zone).as_bytes());
            }
        } else if binary {
            put_binary(self.item, self.array.as_ref(), row, out)?;
        } else {
            out.put_slice(item_text(self.item, self.array.as_ref(), row, zone).as_bytes());
        }
        let length = i32::try_from(out.len() - at - 4)
            .map_err(|_| Error::new(ErrorCode::SqlExecution, "a value is larger than 2 GiB"))?;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn text(&self, row: usize, zone: Tz) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        Some(if self.list {
            list_text(self.item, &self.array.as_list::<i32>().value(row), zone)
        } else {
            item_text(self.item, self.array.as_ref(), row, zone)
        })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorCode::SqlExecution, "a value cannot be sent").source(error)
}

/// The one Arrow type in which values of a kind are written; None: as they are.
fn target(item: Carried) -> Option<DataType> {
    let micros = TimeUnit::Microsecond;
    Some(match item {
        Carried::Int2 | Carried::Int4 | Carried::Int8 | Carried::Oid => DataType::Int64,
        Carried::Bool => DataType::Boolean,
        Carried::Float4 => DataType::Float32,
        Carried::Float8 => DataType::Float64,
        Carried::Text | Carried::Char => DataType::Utf8,
        Carried::Date => DataType::Date32,
        Carried::Time => DataType::Time64(micros),
        Carried::Timestamp => DataType::Timestamp(micros, None),
        Carried::TimestampTz => DataType::Timestamp(micros, Some("UTC".into())),
        Carried::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        Carried::Bytea => DataType::Binary,
        // Decimals print themselves; JSON is made of any type.
        Carried::Numeric | Carried::Json => return None,
    })
}

/// One value as text.
fn item_text(item: Carried, array: &dyn Array, row: usize, zone: Tz) -> String {
    let plain = || value::text(array, row).unwrap_or_default();
    match item {
        Carried::Bool => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        Carried::Text => array.as_string::<i32>().value(row).replace('\0', ""),
        Carried::Float4 => {
            let number = array.as_primitive::<Float32Type>().value(row);
            float(f64::from(number), &number)
        }
        Carried::Float8 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            float(number, &number)
        }
        Carried::Bytea => {
            let mut out = String::from("\\x");
            for byte in array.as_binary::<i32>().value(row) {
                let _ = write!(out, "{byte:02x}");
            }
            out
        }
        Carried::Date => {
            let days = array.as_primitive::<Date32Type>().value(row);
            match NaiveDate::from_epoch_days(days) {
                Some(date) => era(date, &day(date)),
                None => days.to_string(),
            }
        }
        Carried::Time => clock(midnight(array.as_primitive::<Time64MicrosecondType>().value(row))),
        Carried::Timestamp => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match DateTime::from_timestamp_micros(micros) {
                Some(time) => moment(time.naive_utc(), ""),
                None => micros.to_string(),
            }
        }
        Carried::TimestampTz => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match DateTime::from_timestamp_micros(micros) {
                Some(time) => {
                    let local = time.with_timezone(&zone);
                    let offset = local.offset().fix().local_minus_utc();
                    moment(local.naive_local(), &offset_text(offset))
                }
                None => micros.to_string(),
            }
        }
        Carried::Interval => interval(array, row),
        Carried::Json => {
            let mut out = String::new();
            value::json(array, row, &mut out);
            out
        }
        Carried::Int2
        | Carried::Int4
        | Carried::Int8
        | Carried::Oid
        | Carried::Char
        | Carried::Numeric => plain(),
    }
}

/// As PostgreSQL writes floats: what reads back, the shortest way.
fn float(number: f64, shown: &(impl std::fmt::Display + std::fmt::LowerExp)) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = number.abs();
    if size == 0.0 || (1e-4..1e15).contains(&size) {
        return shown.to_string();
    }
    let text = format!("{shown:e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    }
}

fn midnight(micros: i64) -> NaiveTime {
    let seconds = u32::try_from(micros.div_euclid(1_000_000).rem_euclid(86_400)).unwrap_or(0);
    let nanos = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1000;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).unwrap_or_default()
}

/// A date of the era it is in.
fn day(date: NaiveDate) -> String {
    let year = if date.year() > 0 { date.year() } else { 1 - date.year() };
    format!("{year:04}-{:02}-{:02}", date.month(), date.day())
}

fn era(date: NaiveDate, text: &str) -> String {
    if date.year() > 0 { text.to_owned() } else { format!("{text} BC") }
}

fn clock(time: NaiveTime) -> String {
    let micros = time.nanosecond() / 1000;
    let mut out = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if micros > 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
    out
}

fn moment(time: NaiveDateTime, offset: &str) -> String {
    era(time.date(), &format!("{} {}{offset}", day(time.date()), clock(time.time())))
}

fn offset_text(seconds: i32) -> String {
    let (sign, size) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    match (minutes, seconds) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

fn interval(array: &dyn Array, row: usize) -> String {
    let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
    let (years, months) = (value.months / 12, value.months % 12);
    let mut parts = Vec::new();
    for (count, one, many) in
        [(years, "year", "years"), (months, "mon", "mons"), (value.days, "day", "days")]
    {
        if count != 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    }
    let micros = value.nanoseconds / 1000;
    if micros != 0 || parts.is_empty() {
        let size = micros.unsigned_abs();
        let (seconds, rest) = (size / 1_000_000, size % 1_000_000);
        let sign = if micros < 0 { "-" } else { "" };
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let mut text = format!("{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        if rest > 0 {
            let _ = write!(text, ".{rest:06}");
            text.truncate(text.trim_end_matches('0').len());
        }
        parts.push(text);
    }
    parts.join(" ")
}

fn list_text(item: Carried, items: &ArrayRef, zone: Tz) -> String {
    let mut out = String::from("{");
    for at in 0..items.len() {
        if at > 0 {
            out.push(',');
        }
        if items.is_null(at) {
            out.push_str("NULL");
            continue;
        }
        let text = item_text(item, items.as_ref(), at, zone);
        let plain = !text.is_empty()
            && !text.eq_ignore_ascii_case("null")
            && !text.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
        if plain {
            out.push_str(&text);
            continue;
        }
        out.push('"');
        for c in text.chars() {
            if c == '"' || c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

fn list_binary(item: Carried, items: &ArrayRef, zone: Tz, out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(items.len()).unwrap_or(i32::MAX);
    out.put_i32(i32::from(length > 0));
    out.put_i32(i32::from(items.null_count() > 0));
    out.put_u32(item.types().0.oid());
    if length > 0 {
        out.put_i32(length);
        out.put_i32(1);
    }
    let plain = Plain { array: items.clone(), item, list: false };
    for at in 0..items.len() {
        plain.put(at, true, zone, out)?;
    }
    Ok(())
}

fn put_binary(item: Carried, array: &dyn Array, row: usize, out: &mut BytesMut) -> Result<()> {
    let integer = || array.as_primitive::<Int64Type>().value(row);
    let far = || Error::new(ErrorCode::SqlExecution, "a time is too far away to be sent");
    match item {
        Carried::Bool => out.put_u8(u8::from(array.as_boolean().value(row))),
        Carried::Int2 => out.put_i16(i16::try_from(integer()).unwrap_or_default()),
        Carried::Int4 => out.put_i32(i32::try_from(integer()).unwrap_or_default()),
        Carried::Int8 => out.put_i64(integer()),
        // Ids beyond the sign are kept as they are, four bytes.
        Carried::Oid => out.put_slice(&integer().to_be_bytes()[4..]),
        Carried::Char => {
            out.put_u8(array.as_string::<i32>().value(row).bytes().next().unwrap_or_default());
        }
        Carried::Float4 => out.put_f32(array.as_primitive::<Float32Type>().value(row)),
        Carried::Float8 => out.put_f64(array.as_primitive::<Float64Type>().value(row)),
        Carried::Numeric => {
            numeric(&value::text(array, row).unwrap_or_default(), out);
        }
        Carried::Text => {
            out.put_slice(array.as_string::<i32>().value(row).replace('\0', "").as_bytes());
        }
        Carried::Bytea => out.put_slice(array.as_binary::<i32>().value(row)),
        Carried::Date => {
            let days = array.as_primitive::<Date32Type>().value(row);
            out.put_i32(days.checked_sub(DAYS).ok_or_else(far)?);
        }
        Carried::Time => out.put_i64(array.as_primitive::<Time64MicrosecondType>().value(row)),
        Carried::Timestamp | Carried::TimestampTz => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            out.put_i64(micros.checked_sub(MICROS).ok_or_else(far)?);
        }
        Carried::Interval => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            out.put_i64(value.nanoseconds / 1000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Carried::Json => {
            let mut text = String::new();
            value::json(array, row, &mut text);
            out.put_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// A decimal in PostgreSQL's binary form: groups of four digits around the point.
fn numeric(text: &str, out: &mut BytesMut) {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let left = whole.len().div_ceil(4);
    let mut padded = "0".repeat(left * 4 - whole.len());
    padded.push_str(whole);
    padded.push_str(fraction);
    padded.push_str(&"0".repeat((4 - fraction.len() % 4) % 4));
    let group = |text: &str| text.parse::<i16>().unwrap_or_default();
    let mut groups: Vec<i16> =
        (0..padded.len() / 4).map(|at| group(&padded[at * 4..at * 4 + 4])).collect();
    let mut weight = i16::try_from(left).unwrap_or_default() - 1;
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).unwrap_or_default();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    out.put_i16(i16::try_from(groups.len()).unwrap_or_default());
    out.put_i16(if groups.is_empty() { 0 } else { weight });
    out.put_u16(if negative && !groups.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(fraction.len()).unwrap_or_default());
    for group in groups {
        out.put_i16(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, ListArray, StringArray,
        TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type, Schema};
    use std::sync::Arc;

    fn text_of(array: ArrayRef) -> Vec<Option<String>> {
        let field = Field::new("c", array.data_type().clone(), true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).unwrap();
        let rows = Rows::new(&schema, &[]);
        let ready = rows.prepare(&batch).unwrap();
        (0..ready.rows).map(|row| Rows::text(&ready, row, 0, Tz::Europe__Berlin)).collect()
    }

    fn texts(array: ArrayRef) -> Vec<String> {
        text_of(array).into_iter().map(|text| text.unwrap_or_else(|| "NULL".to_owned())).collect()
    }

    #[test]
    fn values_are_written_as_postgresql_writes_them() {
        let floats = [1.0, 0.1, 1e300, -2.5e-7, f64::NAN, f64::NEG_INFINITY, 123_456_789.125];
        assert_eq!(
            texts(Arc::new(Float64Array::from(floats.to_vec()))),
            ["1", "0.1", "1e+300", "-2.5e-07", "NaN", "-Infinity", "123456789.125"]
        );
        assert_eq!(
            texts(Arc::new(Date32Array::from(vec![0, -1, 11_016, -719_528, -719_529]))),
            ["1970-01-01", "1969-12-31", "2000-02-29", "0001-01-01 BC", "0002-12-31 BC"]
        );
        let times = TimestampNanosecondArray::from(vec![-1_000_000_000, 1_700_000_000_123_456_789]);
        assert_eq!(
            texts(Arc::new(times.clone())),
            ["1969-12-31 23:59:59", "2023-11-14 22:13:20.123456"]
        );
        assert_eq!(
            texts(Arc::new(times.with_timezone("UTC"))),
            ["1970-01-01 00:59:59+01", "2023-11-14 23:13:20.123456+01"]
        );
        assert_eq!(texts(Arc::new(UInt64Array::from(vec![u64::MAX]))), ["18446744073709551615"]);
        let nasty = vec![Some("a b"), Some(""), None, Some("NULL"), Some("q\"\\"), Some("plain")];
        let values = StringArray::from(nasty);
        let list = ListArray::new(
            Field::new_list_field(DataType::Utf8, true).into(),
            arrow::buffer::OffsetBuffer::from_lengths([6]),
            Arc::new(values),
            None,
        );
        assert_eq!(texts(Arc::new(list)), [r#"{"a b","",NULL,"NULL","q\"\\",plain}"#]);
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        assert_eq!(texts(Arc::new(numbers)), ["{1,NULL}", "NULL", "{}"]);
    }

    #[test]
    fn decimals_are_packed_as_postgresql_packs_them() {
        let packed = |text: &str| {
            let mut out = BytesMut::new();
            numeric(text, &mut out);
            out.chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect::<Vec<_>>()
        };
        assert_eq!(packed("0"), [0, 0, 0, 0]);
        assert_eq!(packed("0.00"), [0, 0, 0, 2]);
        assert_eq!(packed("1"), [1, 0, 0, 0, 1]);
        assert_eq!(packed("-12345.6789"), [3, 1, 0x4000, 4, 1, 2345, 6789]);
        assert_eq!(packed("0.00012"), [2, -1, 0, 5, 1, 2000]);
        assert_eq!(packed("10000"), [1, 1, 0, 0, 1]);
        assert_eq!(packed("18446744073709551615"), [5, 4, 0, 0, 1844, 6744, 737, 955, 1615]);
        let array: ArrayRef =
            Arc::new(Decimal128Array::from(vec![-150]).with_precision_and_scale(5, 2).unwrap());
        assert_eq!(texts(array), ["-1.50"]);
    }
}
