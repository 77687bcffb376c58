//! Types of values: of CSV fields by what they look like and parse as, of JSON values exactly.

use crate::digits;
use crate::digits::settled_field;
pub use crate::digits::{numbers, settled};
use crate::schema::{NOTE, loses, widen};
use arrow::compute::kernels::cast_utils::{Parser as _, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, TimeUnit};
use chrono::Utc;
use std::collections::HashMap;
use std::sync::Arc;

/// Why a column of numbers is text.
const TOO_MANY: &str = "text, because no type of numbers has the digits of all of it";

/// What the values of one column of text have in common.
#[derive(Debug, Clone)]
pub struct Guess {
    /// Of numbers, what [`digits`] knows of them.
    kind: DataType,
    note: Option<&'static str>,
}

impl Default for Guess {
    fn default() -> Self {
        Self { kind: DataType::Null, note: None }
    }
}

impl Guess {
    /// Takes one more value.
    pub fn add(&mut self, value: &str) {
        if self.kind == DataType::Utf8 && self.note.is_some() {
            return;
        }
        let (kind, note) = of_text(value);
        let all = fit(&self.kind, &kind);
        let lost = all == DataType::Utf8 && kind.is_numeric() && self.kind.is_numeric();
        self.note = self.note.or(note).or(lost.then_some(TOO_MANY));
        self.kind = all;
    }

    /// The type all values so far have; Null: there was none.
    pub fn kind(&self) -> DataType {
        settled(&self.kind)
    }

    /// The column.
    pub fn field(&self, name: &str) -> Field {
        let field = settled_field(&Field::new(name, self.kind.clone(), true));
        match self.note {
            Some(note) if self.kind == DataType::Utf8 => {
                field.with_metadata(HashMap::from([(NOTE.to_owned(), note.to_owned())]))
            }
            _ => field,
        }
    }
}

/// The type both guessed ones fit.
pub(crate) fn fit(a: &DataType, b: &DataType) -> DataType {
    if let Some(kind) = digits::join(a, b) {
        return kind;
    }
    match (a, b) {
        (DataType::Timestamp(x, None), DataType::Timestamp(y, None)) => {
            DataType::Timestamp(*x.max(y), None)
        }
        _ => widen(a, b),
    }
}

fn of_text(value: &str) -> (DataType, Option<&'static str>) {
    let bytes = value.as_bytes();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        return (DataType::Boolean, None);
    }
    if all_digits(digits) {
        return if digits.len() > 1 && digits.starts_with('0') {
            (DataType::Utf8, Some("text, because a number would lose leading zeros"))
        } else if value.starts_with('+') && digits.len() >= TELEPHONE {
            (
                DataType::Utf8,
                Some("text, because a number would lose the `+` of a telephone number"),
            )
        } else if value.parse::<i64>().is_ok() {
            (digits::whole(value), None)
        } else {
            (DataType::Utf8, Some("text, because BIGINT cannot hold a number of it"))
        };
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && bytes.iter().all(|b| b.is_ascii_digit() || b".eE+-".contains(b));
    if numeric && Float64Type::parse(value).is_some() {
        return match digits::with_point(value) {
            _ if value.contains(['e', 'E']) => (DataType::Float64, None),
            Some(kind) => (kind, None),
            None => (DataType::Utf8, Some(TOO_MANY)),
        };
    }
    let word = ["nan", "inf", "infinity"].iter().any(|word| digits.eq_ignore_ascii_case(word));
    if word && Float64Type::parse(value).is_some() {
        return (DataType::Float16, None);
    }
    of_time(value).unwrap_or((DataType::Utf8, None))
}

/// Digits after a `+` of which it is no sign.
const TELEPHONE: usize = 8;

/// What looks like a date or a time; None: it does not.
fn of_time(value: &str) -> Option<(DataType, Option<&'static str>)> {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
                b'9' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b' '),
                other => byte == other,
            })
    };
    let not_a_time = Some("text, because a date or time of it does not exist");
    if shape(value, "9999-99-99") {
        return Some(match Date32Type::parse(value) {
            Some(_) => (DataType::Date32, None),
            None => (DataType::Utf8, not_a_time),
        });
    }
    let moment = "9999-99-99T99:99:99";
    value.get(..moment.len()).filter(|text| shape(text, moment))?;
    let rest = &value[moment.len()..];
    let fraction = rest
        .strip_prefix('.')
        .map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match fraction {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        7..=9 => TimeUnit::Nanosecond,
        _ => return Some((DataType::Utf8, Some("text, because a time of it is too precise"))),
    };
    Some(match string_to_datetime(&Utc, value) {
        Ok(time) if unit != TimeUnit::Nanosecond || time.timestamp_nanos_opt().is_some() => {
            (DataType::Timestamp(unit, None), None)
        }
        _ => (DataType::Utf8, not_a_time),
    })
}

/// Depth of lists and objects in JSON.
const DEPTH: usize = 128;

/// The type of the one JSON value in `line`, of which [`settled`] makes that of a column; an error says
/// what is wrong.
pub fn of_json(line: &[u8]) -> Result<DataType, String> {
    of_json_lists(line).map(|(kind, _)| kind)
}

/// The same, and whether a list in it has an object or a list where its other items make it one
/// of texts.
pub fn of_json_lists(line: &[u8]) -> Result<(DataType, bool), String> {
    let mut reader = Json { bytes: line, at: 0, mixed: false };
    let kind = reader.value(0)?;
    match reader.peek() {
        None => Ok((kind, reader.mixed)),
        Some(_) => Err(format!("there is more after the value, at byte {}", reader.at + 1)),
    }
}

struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Items of some list do not all fit it but as text.
    mixed: bool,
}

impl Json<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn wrong<T>(&self, expected: &str) -> Result<T, String> {
        Err(if self.at >= self.bytes.len() {
            format!("the line ends where {expected} is expected")
        } else {
            format!("{expected} is expected at byte {}", self.at + 1)
        })
    }

    fn expect(&mut self, byte: u8, name: &str) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return self.wrong(name);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<DataType, String> {
        if depth > DEPTH {
            return Err(format!("it is nested more than {DEPTH} deep"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => {
                self.text().map(|text| of_time(&text).map_or(DataType::Utf8, |(kind, _)| kind))
            }
            Some(b'-' | b'0'..=b'9') => {
                let from = self.at;
                while self
                    .bytes
                    .get(self.at)
                    .is_some_and(|b| b.is_ascii_digit() || b".eE+-".contains(b))
                {
                    self.at += 1;
                }
                let text = std::str::from_utf8(&self.bytes[from..self.at]).unwrap_or_default();
                Ok(if text.parse::<i64>().is_ok() {
                    digits::whole(text)
                } else if text.parse::<u64>().is_ok() {
                    DataType::UInt64
                } else if text.contains(['e', 'E']) && text.parse::<f64>().is_ok() {
                    DataType::Float64
                } else if text.contains('.') && text.parse::<f64>().is_ok() {
                    digits::with_point(text).unwrap_or(DataType::Utf8)
                } else {
                    DataType::Utf8
                })
            }
            _ => {
                for (word, kind) in [
                    (&b"true"[..], DataType::Boolean),
                    (b"false", DataType::Boolean),
                    (b"null", DataType::Null),
                ] {
                    if self.bytes[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(kind);
                    }
                }
                self.wrong("a value")
            }
        }
    }

    /// A text, its escapes as they are written unless it has some.
    fn text(&mut self) -> Result<String, String> {
        self.expect(b'"', "a text")?;
        let mut text = Vec::new();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.bytes.get(self.at).copied().unwrap_or(b'\\');
                    let plain = match escaped {
                        b'n' => '\n',
                        b't' => '\t',
                        b'r' => '\r',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'u' => self.unit()?,
                        other => char::from(other),
                    };
                    text.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => text.push(*byte),
                None => return self.wrong("the end of a text"),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())
    }

    /// `\uXXXX`, or a pair of them; leaves `at` on its last digit.
    fn unit(&mut self) -> Result<char, String> {
        let hex = |at: usize| {
            let digits = self.bytes.get(at + 1..at + 5)?;
            u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let Some(first) = hex(self.at) else { return self.wrong("four hexadecimal digits") };
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at + 5) == Some(&b'\\') {
            units.extend(hex(self.at + 6));
        }
        self.at += units.len() * 6 - 2;
        char::decode_utf16(units)
            .next()
            .and_then(Result::ok)
            .map_or_else(|| self.wrong("a character"), Ok)
    }

    fn list(&mut self, depth: usize) -> Result<DataType, String> {
        self.expect(b'[', "`[`")?;
        let mut item = DataType::Null;
        while self.peek() != Some(b']') {
            let kind = self.value(depth + 1)?;
            let joined = join(&item, &kind);
            self.mixed |= loses(&joined, &item) || loses(&joined, &kind);
            item = joined;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {}
                _ => return self.wrong("`,` or `]`"),
            }
        }
        self.at += 1;
        Ok(DataType::List(Arc::new(Field::new("item", item, true))))
    }

    fn object(&mut self, depth: usize) -> Result<DataType, String> {
        self.expect(b'{', "`{`")?;
        let mut fields: Vec<Field> = Vec::new();
        while self.peek() != Some(b'}') {
            let name = self.text()?;
            self.expect(b':', "`:`")?;
            let kind = self.value(depth + 1)?;
            fields.retain(|field| *field.name() != name);
            fields.push(Field::new(name, kind, true));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return self.wrong("`,` or `}`"),
            }
        }
        self.at += 1;
        Ok(DataType::Struct(fields.into()))
    }
}

/// The type both JSON values fit without losing digits.
pub fn join(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        (DataType::Struct(x), DataType::Struct(y)) => {
            let mut fields: Vec<Field> = x.iter().map(|field| field.as_ref().clone()).collect();
            for field in y {
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    Some(known) => {
                        let kind = join(known.data_type(), field.data_type());
                        known.set_data_type(kind);
                    }
                    None => fields.push(field.as_ref().clone()),
                }
            }
            DataType::Struct(fields.into())
        }
        (DataType::List(x), DataType::List(y)) => {
            DataType::List(Arc::new(Field::new("item", join(x.data_type(), y.data_type()), true)))
        }
        _ => fit(a, b),
    }
}

/// The column, of one with the type of its values; with `text`, it is text unless it is nested.
pub fn column_of_json(field: &Field, text: bool) -> Field {
    match field.data_type() {
        _ if !text => settled_field(field),
        kind if kind.is_nested() => Field::new(field.name(), without_times(&settled(kind)), true),
        _ => Field::new(field.name(), DataType::Utf8, true),
    }
}

/// The type with dates and times as texts, inside lists and structs too.
fn without_times(kind: &DataType) -> DataType {
    match kind {
        DataType::Date32 | DataType::Timestamp(..) => DataType::Utf8,
        DataType::List(item) => {
            let kind = without_times(item.data_type());
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(kind)))
        }
        DataType::Struct(fields) => {
            let field = |field: &Arc<Field>| {
                field.as_ref().clone().with_data_type(without_times(field.data_type()))
            };
            DataType::Struct(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(values: &[&str]) -> (DataType, Option<&'static str>) {
        let mut guess = Guess::default();
        for value in values {
            guess.add(value);
        }
        (guess.kind(), guess.note)
    }

    #[test]
    fn what_does_not_parse_is_text() {
        let (kind, note) = guess(&["2026-02-28", "2026-02-30"]);
        assert_eq!(kind, DataType::Utf8);
        assert!(note.unwrap().contains("does not exist"));
        assert_eq!(
            guess(&["2026-02-28", "2026-02-28T01:02:03.25Z"]).0,
            DataType::Timestamp(TimeUnit::Millisecond, None)
        );
        assert_eq!(guess(&["2026-02-28 25:00:00"]).0, DataType::Utf8);
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(guess(&["1", "01234"]).0, DataType::Utf8);
        assert_eq!(guess(&["0", "-7"]).0, DataType::Int64);
        assert_eq!(guess(&["0.5", "1e9", "3"]).0, DataType::Float64);
        assert_eq!(guess(&["12345678901234567890"]).0, DataType::Utf8);
        for text in ["1.2.3", "1-2", "+-1", ".", "e5", "1e", "+4930123456"] {
            assert_eq!(guess(&[text]).0, DataType::Utf8, "{text}");
        }
        assert_eq!(guess(&["+5", "-7"]).0, DataType::Int64);
        assert_eq!(guess(&["+5.5", "1"]).0, DataType::Float64);
        let exact = ["12345678901234567890.12", "1.5"];
        assert_eq!(guess(&exact), (DataType::Decimal128(22, 2), None));
        assert_eq!(guess(&[exact[0], "1e-9"]), (DataType::Utf8, Some(TOO_MANY)));
    }

    #[test]
    fn nan_and_infinity_are_numbers_beside_numbers() {
        for word in ["NaN", "nan", "inf", "-Infinity", "+INF"] {
            assert_eq!(guess(&[word, "1"]).0, DataType::Float64, "{word}");
            assert_eq!(guess(&["1.5", word]).0, DataType::Float64, "{word}");
            assert_eq!(guess(&[word, word]).0, DataType::Utf8, "{word}");
            assert_eq!(guess(&[word, "x"]).0, DataType::Utf8, "{word}");
            assert_eq!(guess(&["2026-01-01", word]).0, DataType::Utf8, "{word}");
        }
    }

    #[test]
    fn dates_in_json_are_found_as_in_csv() {
        let of = |values: &[&str]| {
            let kinds = values.iter().map(|value| of_json(value.as_bytes()).unwrap());
            settled(&kinds.fold(DataType::Null, |all, kind| join(&all, &kind)))
        };
        let (day, at) = ("\"2026-02-28\"", "\"2026-02-28T01:02:03.25Z\"");
        let second = "\"2026-02-28 01:02:03\"";
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        assert_eq!(of(&[day, "null"]), DataType::Date32);
        assert_eq!(of(&[day, at]), time);
        assert_eq!(of(&[at, second]), time);
        for other in ["\"2026-02-30\"", "\"x\"", "7", "\"2026-02-28 01:02\""] {
            assert_eq!(of(&[day, other]), DataType::Utf8, "{other}");
        }
        let nested = of(&["{\"a\":[\"2026-02-28\"]}"]);
        assert!(nested.to_string().contains("Date32"), "{nested}");
        assert!(!without_times(&nested).to_string().contains("Date32"));
    }

    #[test]
    fn json_is_typed_exactly_or_refused() {
        let kind = |text: &str| of_json(text.as_bytes());
        assert_eq!(kind("12345678901234567890"), Ok(DataType::UInt64));
        assert_eq!(kind("123456789012345678901234567890"), Ok(DataType::Utf8));
        assert_eq!(settled(&kind("[1, 2.5]").unwrap()).to_string(), "List(Float64)");
        let DataType::Struct(fields) = kind(r#" {"a\u00e9\ud83d\ude00\"": {"b": []}} "#).unwrap()
        else {
            panic!("an object is a struct")
        };
        assert_eq!(fields[0].name(), "aé😀\"");
        for text in ["", "{", "{\"a\"", "{\"a\":1", "[1", "\"a", "tru", "{\"a\":1}{", "\"\\u12\""] {
            assert!(kind(text).is_err(), "{text}");
        }
        assert!(kind(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn lists_of_items_that_only_text_fits_are_told() {
        for (text, mixed) in [
            ("[1,{\"b\":2}]", true),
            ("{\"a\":[\"x\",[1]]}", true),
            ("{\"a\":[{\"b\":1},{\"b\":{\"c\":1}}]}", true),
            ("[[[1],[[2]]]]", true),
            ("[1,\"x\",null,2.5]", false),
            ("[null,{\"b\":1},{\"c\":[]}]", false),
            ("{\"a\":1,\"b\":{\"c\":\"x\"}}", false),
        ] {
            assert_eq!(of_json_lists(text.as_bytes()).unwrap().1, mixed, "{text}");
        }
    }
}
